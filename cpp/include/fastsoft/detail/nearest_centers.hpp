// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>

// Arithmetic of k-means for a block of points, for the CPU.
namespace fastsoft::detail {

// Points per block. Their coordinates are planar, so that the loops over points below vectorise.
constexpr int kKmeansBlock = 128;

// As wide as T, so that a label and a distance are selected by one mask.
template <class T>
using KmeansIndex = std::conditional_t<sizeof(T) == 8, std::int64_t, std::int32_t>;

// best[i], index[i] = squared distance and number of the centre nearest to point i; of equal ones the first. x is
// (d, kKmeansBlock), centers (n_centers, d). D is d if known when compiling, else 0.
template <int D, class T>
void nearest_centers(const T* x, std::ptrdiff_t d, const T* centers, std::ptrdiff_t n_centers, T* best,
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

}  // namespace fastsoft::detail
