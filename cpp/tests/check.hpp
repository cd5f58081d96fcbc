// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

// Just enough to test the core without a framework: TEST(name) { CHECK(condition); }. A failed check ends its test.
namespace fastsoft::tests {

struct Test {
    std::string name;
    std::function<void()> run;
};

inline std::vector<Test>& registry() {
    static std::vector<Test> tests;
    return tests;
}

struct Registration {
    Registration(const char* name, void (*run)()) { registry().push_back({name, run}); }
};

class Failure : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

[[noreturn]] inline void fail(const char* file, int line, const std::string& what) {
    std::ostringstream message;
    message << file << ":" << line << ": " << what;
    throw Failure(message.str());
}

template <class A, class B>
void check_equal(const A& found, const B& expected, const char* text, const char* file, int line) {
    if (!(found == expected)) {
        std::ostringstream message;
        message << text << " is " << found << ", expected " << expected;
        fail(file, line, message.str());
    }
}

}  // namespace fastsoft::tests

#define TEST(name)                                                                  \
    static void test_##name();                                                      \
    static const fastsoft::tests::Registration register_##name(#name, test_##name); \
    static void test_##name()

#define CHECK(condition)                                                       \
    do {                                                                       \
        if (!(condition)) {                                                    \
            fastsoft::tests::fail(__FILE__, __LINE__, #condition " is false"); \
        }                                                                      \
    } while (false)

#define CHECK_EQUAL(found, expected) fastsoft::tests::check_equal(found, expected, #found, __FILE__, __LINE__)

#define CHECK_THROWS(expression, Exception)                                                       \
    do {                                                                                          \
        bool thrown = false;                                                                      \
        try {                                                                                     \
            (void)(expression);                                                                   \
        } catch (const Exception&) {                                                              \
            thrown = true;                                                                        \
        }                                                                                         \
        if (!thrown) {                                                                            \
            fastsoft::tests::fail(__FILE__, __LINE__, #expression " does not throw " #Exception); \
        }                                                                                         \
    } while (false)
