// SPDX-License-Identifier: MIT
#pragma once

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

// mF + a (I - a mF - (1 - a) mB), cut to [0, 1]: the last step of blur fusion.
template <class T>
FASTSOFT_HD T fused_foreground(T image, T a, T mean_foreground, T mean_background) {
    return unit_clamp(mean_foreground + a * (image - a * mean_foreground - (T(1) - a) * mean_background));
}

}  // namespace fastsoft::detail
