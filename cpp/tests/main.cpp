// SPDX-License-Identifier: MIT
#include <exception>
#include <iostream>

#include "check.hpp"

int main() {
    int failed = 0;
    for (const auto& test : fastsoft::tests::registry()) {
        try {
            test.run();
        } catch (const std::exception& error) {
            ++failed;
            std::cout << "FAILED " << test.name << ": " << error.what() << "\n";
        }
    }
    const auto passed = static_cast<int>(fastsoft::tests::registry().size()) - failed;
    std::cout << passed << " passed, " << failed << " failed\n";
    return failed == 0 ? 0 : 1;
}
