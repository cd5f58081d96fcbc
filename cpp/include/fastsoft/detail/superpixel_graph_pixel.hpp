// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

#include "fastsoft/core/host_device.hpp"

// Arithmetic of the superpixel graph at one superpixel and at one pair.
namespace fastsoft::detail {

// Mean of 1-based coordinates, rounded half up, as a 0-based coordinate. `sum` is that of the 0-based coordinates of
// `count` pixels. In integers: floor((sum + count) / count + 1/2) - 1.
FASTSOFT_HD std::int64_t rounded_mean(std::int64_t sum, std::int64_t count) {
    return (2 * sum + count) / (2 * count);
}

// A 0-based coordinate in units of the image's extent, counted from 1 as the authors' program does.
FASTSOFT_HD double scaled_coordinate(std::int32_t coordinate, std::ptrdiff_t extent) {
    return (static_cast<double>(coordinate) + 1.0) / static_cast<double>(extent);
}

// a * b, rounded before anything is added to it. Compilers of the host are told so for the whole file.
FASTSOFT_HD double rounded_product(double a, double b) {
#if defined(__CUDA_ARCH__)
    return __dmul_rn(a, b);
#else
    return a * b;
#endif
}

// Whether two centroids, in scaled coordinates, are at most max_distance apart.
//
// On small images many pairs lie exactly on a limit such as 0.2, and rounding decides them: scale first, then subtract,
// in double and without contraction to fused multiply-add.
FASTSOFT_HD bool centroids_are_near(double row_i, double col_i, double row_j, double col_j, double max_distance) {
    const double down = row_i - row_j;
    const double across = col_i - col_j;
    return !(std::sqrt(rounded_product(down, down) + rounded_product(across, across)) > max_distance);
}

template <class T>
FASTSOFT_HD double euclidean_distance(const T* a, const T* b, std::ptrdiff_t n) {
    double sum = 0.0;
    for (std::ptrdiff_t k = 0; k < n; ++k) {
        const double difference = static_cast<double>(a[k]) - static_cast<double>(b[k]);
        sum += difference * difference;
    }
    return std::sqrt(sum);
}

// 1 for equal colours, 1/2 at the threshold, 0 beyond: exactly 0 once erf has reached -1.
FASTSOFT_HD double color_affinity(double distance, double steepness, double threshold) {
    return (std::erf(steepness * (threshold - distance)) + 1.0) / 2.0;
}

// 1 for equal features, 0 at the threshold, -1 beyond.
FASTSOFT_HD double semantic_affinity(double distance, double steepness, double threshold) {
    return std::erf(steepness * (threshold - distance));
}

}  // namespace fastsoft::detail
