// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>

#include "fastsoft/core/host_device.hpp"
#include "fastsoft/core/power.hpp"

// What relaxed sparsification does at a pixel. Layers are planes `stride` apart; the loops over pixels are the
// caller's. Equation numbers: Aksoy et al. 2018.
namespace fastsoft::detail {

// Hard thresholds of the input layers of one pixel, then division by their sum.
template <class T>
FASTSOFT_HD void threshold_layers(T* alpha, std::ptrdiff_t n_layers, std::ptrdiff_t stride, T threshold) {
    T sum = T(0);
    T largest = alpha[0];
    std::ptrdiff_t largest_layer = 0;
    for (std::ptrdiff_t i = 0; i < n_layers; ++i) {
        T& value = alpha[i * stride];
        if (value > largest) {
            largest = value;
            largest_layer = i;
        }
        value = value < threshold ? T(0) : (value > T(1) - threshold ? T(1) : value);
        sum += value;
    }
    for (std::ptrdiff_t i = 0; i < n_layers; ++i) {
        T& value = alpha[i * stride];
        value = sum > T(0) ? value / sum : T(i == largest_layer ? 1 : 0);
    }
}

// Exponent g - 2 of the weights, g = min(gamma + gradient, 1) (Eq. 10).
template <class T>
FASTSOFT_HD T sparsity_exponent(T gradient, T gamma) {
    const T sum = gamma + gradient;
    return (sum < T(1) ? sum : T(1)) - T(2);
}

// max(|x|, clamp)^exponent: u for x = alpha, v for x = 1 - alpha (Eq. 15).
template <class T>
FASTSOFT_HD T sparsity_weight(T x, T clamp, T exponent) {
    const T magnitude = x < T(0) ? -x : x;
    return positive_pow(magnitude > clamp ? magnitude : clamp, exponent);
}

// The block of a pixel is diag(d_1..d_n) + lambda * ones. Its inverse applied to r is (r_i - shift) / d_i with this
// shift (Sherman and Morrison 1950), given sum_inverse = sum 1 / d_i and sum_r = sum r_i / d_i.
template <class T>
FASTSOFT_HD T block_shift(T lambda, T sum_inverse, T sum_r) {
    return lambda * sum_r / (T(1) + lambda * sum_inverse);
}

}  // namespace fastsoft::detail
