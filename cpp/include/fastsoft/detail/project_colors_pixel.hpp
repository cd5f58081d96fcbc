// SPDX-License-Identifier: MIT
#pragma once

#include "fastsoft/core/host_device.hpp"

namespace fastsoft::detail {

// One channel of one layer at one pixel. `bound` is 1 where colours must rise and 0 where they must fall; lambda has
// the sign that belongs to it.

// 1 if lambda takes the colour to the bound, 0 if not: a number, so that loops over pixels vectorise.
template <class T>
FASTSOFT_HD T held_at_bound(T color, T alpha, T lambda, T bound) {
    // How far it is beyond the bound, for either bound without a branch.
    const T beyond = (T(2) * bound - T(1)) * (color + lambda * alpha - bound);
    return beyond >= T(0) ? T(1) : T(0);
}

// What a layer adds to the sum of squares over free layers, and takes from what the colours must sum up to.
template <class T>
FASTSOFT_HD void add_layer(T color, T alpha, T held, T bound, T& square, T& missing) {
    square += (T(1) - held) * alpha * alpha;
    missing -= alpha * (color + held * (bound - color));
}

// lambda only ever grows in size; without a free layer of any weight it stays as it is.
template <class T>
FASTSOFT_HD T next_lambda(T lambda, T square, T missing, T bound, T smallest) {
    const T found = square > smallest ? missing / square : lambda;
    return (bound > T(0) ? found > lambda : found < lambda) ? found : lambda;
}

template <class T>
FASTSOFT_HD T projected(T color, T alpha, T lambda) {
    const T value = color + lambda * alpha;
    return value < T(0) ? T(0) : (value > T(1) ? T(1) : value);
}

}  // namespace fastsoft::detail
