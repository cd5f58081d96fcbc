// SPDX-License-Identifier: MIT
#pragma once

#include "fastsoft/core/host_device.hpp"

namespace fastsoft::detail {

constexpr int kGradientRadius = 6;

// One half of the symmetric prefilter and, from offset 1 on, of the antisymmetric derivative filter. These are the
// four-digit numbers behind the gradients recorded from the program of Aksoy et al. 2018: a least-squares fit of 7 + 6
// free taps to those recordings, rounded to four digits, reproduces all of them to their float32 rounding (1.5e-8).
// Hence the sum of the prefilter is 0.9999, and its outermost taps are 0.
// Functions rather than tables: kernels cannot take an element of a constant of the host, the loops are unrolled.
FASTSOFT_HD constexpr double gradient_prefilter_tap(int k) {
    constexpr double taps[kGradientRadius + 1] = {0.2605, 0.2119, 0.1126, 0.0374, 0.0071, 0.0007, 0.0};
    return taps[k];
}

FASTSOFT_HD constexpr double gradient_derivative_tap(int k) {
    constexpr double taps[kGradientRadius + 1] = {0.0, 0.0878, 0.0963, 0.0509, 0.0142, 0.0019, 0.0001};
    return taps[k];
}

// Both filters along one line; at(offset) is the sample `offset` steps away, offset in -6..6.
template <class T, class At>
FASTSOFT_HD T gradient_prefilter(const At& at) {
    T sum = T(gradient_prefilter_tap(0)) * at(0);
    FASTSOFT_UNROLL(8)
    for (int k = 1; k < kGradientRadius; ++k) {
        sum += T(gradient_prefilter_tap(k)) * (at(k) + at(-k));
    }
    return sum;
}

template <class T, class At>
FASTSOFT_HD T gradient_derivative(const At& at) {
    T sum = T(0);
    FASTSOFT_UNROLL(8)
    for (int k = 1; k <= kGradientRadius; ++k) {
        sum += T(gradient_derivative_tap(k)) * (at(k) - at(-k));
    }
    return sum;
}

}  // namespace fastsoft::detail
