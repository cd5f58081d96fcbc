// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>

#include "fastsoft/core/host_device.hpp"

namespace fastsoft::detail {

// Where position i is mirrored to that may lie outside [0, n), without repeating the border.
FASTSOFT_HD std::ptrdiff_t mirrored_position(std::ptrdiff_t i, std::ptrdiff_t n) {
    if (i >= 0 && i < n) {
        return i;
    }
    if (n == 1) {
        return 0;
    }
    const std::ptrdiff_t period = 2 * (n - 1);
    i %= period;
    if (i < 0) {
        i += period;
    }
    return i < n ? i : period - i;
}

}  // namespace fastsoft::detail
