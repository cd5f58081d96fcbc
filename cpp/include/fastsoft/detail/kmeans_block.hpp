// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "fastsoft/core/host_device.hpp"

// Arithmetic of k-means for a block of points, and its random numbers.
namespace fastsoft::detail {

// Points per block. Their coordinates are planar, so that the loops over points below vectorise.
constexpr int kKmeansBlock = 128;

// As wide as T, so that a label and a distance are selected by one mask.
template <class T>
using KmeansIndex = std::conditional_t<sizeof(T) == 8, std::int64_t, std::int32_t>;

// best[i], index[i] = squared distance and number of the centre nearest to point i; of equal ones the first. x is
// (d, kKmeansBlock), centers (n_centers, d). D is d if known when compiling, else 0.
template <int D, class T>
FASTSOFT_HD void nearest_centers(const T* x, std::ptrdiff_t d, const T* centers, std::ptrdiff_t n_centers, T* best,
                                 KmeansIndex<T>* index) {
    for (int i = 0; i < kKmeansBlock; ++i) {
        best[i] = std::numeric_limits<T>::infinity();
        index[i] = 0;
    }
    for (std::ptrdiff_t c = 0; c < n_centers; ++c) {
        const T* const center = centers + c * d;
        const auto number = static_cast<KmeansIndex<T>>(c);
        if constexpr (D > 0) {
#pragma GCC ivdep
            for (int i = 0; i < kKmeansBlock; ++i) {
                T sum = 0;
#pragma GCC unroll 8
                for (int k = 0; k < D; ++k) {
                    const T difference = x[k * kKmeansBlock + i] - center[k];
                    sum += difference * difference;
                }
                const bool closer = sum < best[i];
                best[i] = closer ? sum : best[i];
                index[i] = closer ? number : index[i];
            }
        } else {
            T sum[kKmeansBlock] = {};
            for (std::ptrdiff_t k = 0; k < d; ++k) {
                for (int i = 0; i < kKmeansBlock; ++i) {
                    const T difference = x[k * kKmeansBlock + i] - center[k];
                    sum[i] += difference * difference;
                }
            }
            for (int i = 0; i < kKmeansBlock; ++i) {
                const bool closer = sum[i] < best[i];
                best[i] = closer ? sum[i] : best[i];
                index[i] = closer ? number : index[i];
            }
        }
    }
}

// Counter-based random numbers (SplitMix64's output function: Steele, Lea, Flood, "Fast splittable pseudorandom number
// generators", OOPSLA 2014): the value depends on the arguments alone, on every machine and for any number of threads.
FASTSOFT_HD std::uint64_t random_bits(std::uint64_t seed, std::uint64_t stream, std::uint64_t counter) {
    const auto mix = [](std::uint64_t z) {
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
        return z ^ (z >> 31);
    };
    constexpr std::uint64_t kStep = 0x9E3779B97F4A7C15ULL;
    return mix(mix(mix(seed + kStep) + stream + kStep) + counter + kStep);
}

// Uniform in [0, 1).
FASTSOFT_HD double random_uniform(std::uint64_t seed, std::uint64_t stream, std::uint64_t counter) {
    return static_cast<double>(random_bits(seed, stream, counter) >> 11) * 0x1.0p-53;
}

}  // namespace fastsoft::detail
