// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

#include "fastsoft/core/host_device.hpp"

namespace fastsoft::detail {

// Distance along a column in which there is no pixel of the set.
inline constexpr std::int32_t kNoDistance = 0x7FFFFFFF;

// (steps along the row)^2 + (distance along the column)^2: whole numbers below 2^53, so nothing is rounded.
FASTSOFT_HD double squared_distance(std::ptrdiff_t steps, double column_squared) {
    const auto step = static_cast<double>(steps);
    return step * step + column_squared;
}

}  // namespace fastsoft::detail
