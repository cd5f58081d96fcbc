// SPDX-License-Identifier: MIT
#pragma once

#include "fastsoft/core/host_device.hpp"

namespace fastsoft::detail {

// Bilinear enlargement by two along one axis: an even pixel lies a quarter of a coefficient before the centre of its
// own, an odd one a quarter behind it.
template <class T>
FASTSOFT_HD T enlarged_even(T before, T own) {
    return T(0.25) * before + T(0.75) * own;
}

template <class T>
FASTSOFT_HD T enlarged_odd(T own, T after) {
    return T(0.75) * own + T(0.25) * after;
}

// What decides how much of a colour is in a pixel, before the projection.
template <class T>
FASTSOFT_HD T unmixing_score(const T* slope, T level, const T* color, const T* palette, T inverse_scale) {
    const T red = color[0] - palette[0];
    const T green = color[1] - palette[1];
    const T blue = color[2] - palette[2];
    return slope[0] * color[0] + slope[1] * color[1] + slope[2] * color[2] + level -
           (red * red + green * green + blue * blue) * inverse_scale;
}

// One round of Newton's method for the threshold t with sum max(z - t, 0) = 1: adds a score to the sum and the number
// of those above the threshold.
template <class T>
FASTSOFT_HD void add_above(T score, T threshold, T& sum, T& count) {
    const T above = score > threshold ? T(1) : T(0);
    sum += above * score;
    count += above;
}

template <class T>
FASTSOFT_HD T positive(T value) {
    return value > T(0) ? value : T(0);
}

template <class T>
FASTSOFT_HD T clamp_unit(T value) {
    return value < T(0) ? T(0) : (value > T(1) ? T(1) : value);
}

}  // namespace fastsoft::detail
