// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>

#include "fastsoft/core/host_device.hpp"

namespace fastsoft::detail {

// q_i = kappa (1 - alpha_i)^2, the weight of a pixel in the weights of its four edges.
template <class T>
FASTSOFT_HD T transparency(T alpha, T kappa) {
    return kappa * (T(1) - alpha) * (T(1) - alpha);
}

// One over alpha_i^2 + sum_j (q_i + q_j).
template <class T>
FASTSOFT_HD T refine_scale(T alpha, T q, T left, T right, T up, T down) {
    return T(1) / (alpha * alpha + (T(4) * q + ((left + right) + (up + down))));
}

// The new colour: (data + sum_j (q_i + q_j) F_j) * scale, data = alpha_i (alpha F)_i.
template <class T>
FASTSOFT_HD T refined(T data, T scale, T q, T q_left, T q_right, T q_up, T q_down, T left, T right, T up, T down) {
    const T sum = data + (q + q_left) * left + (q + q_right) * right + (q + q_up) * up + (q + q_down) * down;
    return sum * scale;
}

// Where pixel `to` of n_to lies between pixels of n_from: half-pixel centres, held inside at the ends.
struct LinearTap {
    std::ptrdiff_t first;
    std::ptrdiff_t second;
    double weight;  // of the second
};

FASTSOFT_HD LinearTap linear_tap(std::ptrdiff_t to, std::ptrdiff_t n_to, std::ptrdiff_t n_from) {
    const double step = static_cast<double>(n_from) / static_cast<double>(n_to);
    const double position = (static_cast<double>(to) + 0.5) * step - 0.5;
    if (!(position > 0.0)) {
        return {0, 0, 0.0};
    }
    const auto first = static_cast<std::ptrdiff_t>(position);
    if (first >= n_from - 1) {
        return {n_from - 1, n_from - 1, 0.0};
    }
    return {first, first + 1, position - static_cast<double>(first)};
}

// The value between four of get(row, col).
template <class T, class Get>
FASTSOFT_HD T interpolated(const LinearTap& row, const LinearTap& col, const Get& get) {
    const T above = get(row.first, col.first) * T(1.0 - col.weight) + get(row.first, col.second) * T(col.weight);
    const T below = get(row.second, col.first) * T(1.0 - col.weight) + get(row.second, col.second) * T(col.weight);
    return above * T(1.0 - row.weight) + below * T(row.weight);
}

}  // namespace fastsoft::detail
