// SPDX-License-Identifier: MIT
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace fastsoft {

// Becomes TypeError in Python; std::invalid_argument becomes ValueError there.
class type_error : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

namespace detail {

template <class... Parts>
[[noreturn]] void throw_invalid_argument(const Parts&... parts) {
    std::ostringstream message;
    (message << ... << parts);
    throw std::invalid_argument(message.str());
}

}  // namespace detail
}  // namespace fastsoft

// Message parts are streamed one after another: state argument, expectation and finding.
#define FASTSOFT_EXPECTS(condition, ...)                             \
    do {                                                             \
        if (!(condition)) {                                          \
            ::fastsoft::detail::throw_invalid_argument(__VA_ARGS__); \
        }                                                            \
    } while (false)
