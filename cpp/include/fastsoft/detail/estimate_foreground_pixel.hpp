// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>

#include "fastsoft/core/host_device.hpp"

namespace fastsoft::detail {

template <class T>
FASTSOFT_HD T unit_clamp(T value) {
    return value < T(0) ? T(0) : (value > T(1) ? T(1) : value);
}

// The update of one pixel minimises (a F + b B - I)^2 + sum_j d_j ((F - F_j)^2 + (B - B_j)^2), b = 1 - a. With S = sum
// d_j and the means mF = sum d_j F_j / S, mB likewise, the 2x2 system has the solution (Sherman-Morrison)
//
//     F = mF + a r / (S + a^2 + b^2),   B = mB + b r / (S + a^2 + b^2),   r = I - a mF - b mB,
//
// which cancels nothing: float32 suffices, where the inverse of the matrix needs float64 (its determinant is
// S (S + a^2 + b^2), with S down to 4e-5). What all channels share:
template <class T>
struct MultilevelWeights {
    T left, right, up, down;  // d_j / S
    T foreground;             // a / (S + a^2 + b^2)
    T background;             // b / (S + a^2 + b^2)
};

template <class T>
FASTSOFT_HD T magnitude(T value) {
    return value < T(0) ? -value : value;
}

template <class T>
FASTSOFT_HD MultilevelWeights<T> multilevel_weights(T a, T left, T right, T up, T down, T regularization,
                                                    T gradient_weight) {
    const T d_left = regularization + gradient_weight * magnitude(a - left);
    const T d_right = regularization + gradient_weight * magnitude(a - right);
    const T d_up = regularization + gradient_weight * magnitude(a - up);
    const T d_down = regularization + gradient_weight * magnitude(a - down);
    const T sum = (d_left + d_right) + (d_up + d_down);
    const T scale = T(1) / sum;
    const T b = T(1) - a;
    const T step = T(1) / (sum + (a * a + b * b));
    return {d_left * scale, d_right * scale, d_up * scale, d_down * scale, a * step, b * step};
}

// The new colours of one channel: of the pixel itself I and a, of its neighbours F and B.
template <class T>
struct MultilevelColors {
    T foreground;
    T background;
};

template <class T>
FASTSOFT_HD MultilevelColors<T> multilevel_colors(const MultilevelWeights<T>& w, T image, T a, T f_left, T f_right,
                                                  T f_up, T f_down, T b_left, T b_right, T b_up, T b_down) {
    const T mean_f = (w.left * f_left + w.right * f_right) + (w.up * f_up + w.down * f_down);
    const T mean_b = (w.left * b_left + w.right * b_right) + (w.up * b_up + w.down * b_down);
    const T rest = image - a * mean_f - (T(1) - a) * mean_b;
    return {unit_clamp(mean_f + w.foreground * rest), unit_clamp(mean_b + w.background * rest)};
}

// Pixels of a level.
struct LevelSize {
    std::ptrdiff_t rows;
    std::ptrdiff_t cols;
};

// Of n_from positions the one that position i of n_to is nearest to.
FASTSOFT_HD std::ptrdiff_t nearest_position(std::ptrdiff_t i, std::ptrdiff_t n_to, std::ptrdiff_t n_from) {
    const std::ptrdiff_t position = i * n_from / n_to;
    return position < n_from ? position : n_from - 1;
}

// Of which colours the mean is where a level has none before it. PyMatting compares float32 with float64 constants,
// too.
FASTSOFT_HD bool nearly_opaque(double a) {
    return a > 0.9;
}
FASTSOFT_HD bool nearly_transparent(double a) {
    return a < 0.1;
}

// Black where there is no such pixel.
FASTSOFT_HD double first_color(double sum, double count) {
    return sum / (count + 1e-5);
}

// 1 unless a number lies in [0, 1]; NaN does not.
template <class T>
FASTSOFT_HD int outside_unit(T value) {
    return static_cast<int>(!(value >= T(0) && value <= T(1)));
}

// What the sum of a colour over a window is multiplied by: mean(F a) / (mean(a) + 1e-5) where `scale` is one over the
// number of pixels and mean_weight is mean(a).
FASTSOFT_HD double fused_scale(double mean_weight, double scale) {
    return scale / (mean_weight + 1e-5);
}

// mF + a (I - a mF - (1 - a) mB), cut to [0, 1]: the last step of blur fusion.
template <class T>
FASTSOFT_HD T fused_foreground(T image, T a, T mean_foreground, T mean_background) {
    return unit_clamp(mean_foreground + a * (image - a * mean_foreground - (T(1) - a) * mean_background));
}

}  // namespace fastsoft::detail
