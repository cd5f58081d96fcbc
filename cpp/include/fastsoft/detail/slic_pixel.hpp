// SPDX-License-Identifier: MIT
#pragma once

#include <bit>
#include <cstdint>

#include "fastsoft/core/host_device.hpp"

namespace fastsoft::detail {

// Roots by Newton's and Halley's iterations from a first guess that divides the exponent: a few multiplications that
// vectorise, where std::cbrt and std::pow are calls. Relative errors of the guesses are below 6 % on the intervals
// used, (0.008, 1.1] and [0.007, 1]; each step of Halley cubes the error, each step of Newton doubles its square.
FASTSOFT_HD float root_guess(float x, float one_over_n) {
    // The bits of a float are about 2^23 (log2 x + 127); 0.045 centres the error of that straight line.
    const float bits = static_cast<float>(std::bit_cast<std::int32_t>(x));
    const float offset = (127.0F - 0.045F) * 8388608.0F;
    return std::bit_cast<float>(static_cast<std::int32_t>(offset + (bits - offset) * one_over_n));
}

template <class T>
FASTSOFT_HD T halley_cube_root(T x, T y) {
    const T cube = y * y * y;
    return y * (cube + T(2) * x) / (T(2) * cube + x);
}

FASTSOFT_HD float cube_root(float x) {
    const float y = halley_cube_root(x, root_guess(x, 1.0F / 3.0F));
    return halley_cube_root(x, y);
}
FASTSOFT_HD double cube_root(double x) {
    return halley_cube_root(x, static_cast<double>(cube_root(static_cast<float>(x))));
}

template <class T>
FASTSOFT_HD T newton_fifth_root(T x, T y) {
    const T square = y * y;
    return T(0.2) * (T(4) * y + x / (square * square));
}

FASTSOFT_HD float fifth_root(float x) {
    float y = root_guess(x, 0.2F);
    for (int step = 0; step < 3; ++step) {
        y = newton_fifth_root(x, y);
    }
    return y;
}
FASTSOFT_HD double fifth_root(double x) {
    return newton_fifth_root(x, static_cast<double>(fifth_root(static_cast<float>(x))));
}

// sRGB (IEC 61966-2-1), [0, 1] -> linear light.
template <class T>
FASTSOFT_HD T srgb_to_linear(T value) {
    const T base = (value + T(0.055)) / T(1.055);
    const T square = base * base;
    const T curved = square * fifth_root(square);  // base^2.4
    return value <= T(0.04045) ? value / T(12.92) : curved;
}

template <class T>
FASTSOFT_HD T lab_curve(T t) {
    const T root = cube_root(t);
    return t > T(216.0 / 24389.0) ? root : (T(24389.0 / 27.0) * t + T(16)) / T(116);
}

// sRGB -> CIELAB under D65 (white 0.95047, 1, 1.08883).
template <class T>
FASTSOFT_HD void srgb_to_lab(T red, T green, T blue, T& lightness, T& a, T& b) {
    const T r = srgb_to_linear(red);
    const T g = srgb_to_linear(green);
    const T l = srgb_to_linear(blue);
    const T x = lab_curve((T(0.4124564) * r + T(0.3575761) * g + T(0.1804375) * l) / T(0.95047));
    const T y = lab_curve(T(0.2126729) * r + T(0.7151522) * g + T(0.0721750) * l);
    const T z = lab_curve((T(0.0193339) * r + T(0.1191920) * g + T(0.9503041) * l) / T(1.08883));
    lightness = T(116) * y - T(16);
    a = T(500) * (x - y);
    b = T(200) * (y - z);
}

template <class T>
FASTSOFT_HD T squared_distance(T x, T y, T z, T x0, T y0, T z0) {
    const T dx = x - x0;
    const T dy = y - y0;
    const T dz = z - z0;
    return dx * dx + dy * dy + dz * dz;
}

}  // namespace fastsoft::detail
