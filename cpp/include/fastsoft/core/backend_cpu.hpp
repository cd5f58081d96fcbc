// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>

#include "fastsoft/core/parallel.hpp"
#include "fastsoft/core/symmetric_operator.hpp"

namespace fastsoft {

// The vector primitives that iterations are written with, on the thread pool. All sums are taken over fixed chunks in
// a fixed order, so their bits do not depend on the number of threads.
template <class T>
struct CpuBackend {
    using value_type = T;

    // A chunk of a few vectors fits the second-level cache.
    static constexpr std::ptrdiff_t kGrain = 8192;

    // y = A x for n_vectors contiguous vectors, one after the other.
    static void spmv(const SymmetricOperator<T>& a, const T* x, T* y, std::ptrdiff_t n_vectors) {
        a.apply(x, y, n_vectors);
    }

    static double dot(std::ptrdiff_t n, const T* x, const T* y) {
        return parallel_sum<double>(n, kGrain, [=](std::ptrdiff_t begin, std::ptrdiff_t end) {
            return dot_range(end - begin, x + begin, y + begin);
        });
    }

    // y = a x + b y
    static void axpby(std::ptrdiff_t n, T a, const T* x, T b, T* y) {
        parallel_for(n, kGrain, [=](std::ptrdiff_t begin, std::ptrdiff_t end) {
#pragma GCC ivdep
            for (std::ptrdiff_t i = begin; i < end; ++i) {
                y[i] = a * x[i] + b * y[i];
            }
        });
    }

    static void copy(std::ptrdiff_t n, const T* x, T* y) {
        parallel_for(n, kGrain,
                     [=](std::ptrdiff_t begin, std::ptrdiff_t end) { std::copy(x + begin, x + end, y + begin); });
    }

    static void fill(std::ptrdiff_t n, T value, T* y) {
        parallel_for(n, kGrain,
                     [=](std::ptrdiff_t begin, std::ptrdiff_t end) { std::fill(y + begin, y + end, value); });
    }

    // Dot product of a chunk by one thread, with independent lanes that vectorise without reordering by the compiler.
    // float32 products are added in float32 within a lane: a chunk is short enough for that.
    static double dot_range(std::ptrdiff_t n, const T* x, const T* y) {
        constexpr std::ptrdiff_t kLanes = 32;
        std::array<T, kLanes> lanes{};
        std::ptrdiff_t i = 0;
        for (; i + kLanes <= n; i += kLanes) {
            for (std::ptrdiff_t j = 0; j < kLanes; ++j) {
                lanes[static_cast<std::size_t>(j)] += x[i + j] * y[i + j];
            }
        }
        double total = 0.0;
        for (; i < n; ++i) {
            total += static_cast<double>(x[i]) * static_cast<double>(y[i]);
        }
        for (const T lane : lanes) {
            total += static_cast<double>(lane);
        }
        return total;
    }
};

}  // namespace fastsoft
