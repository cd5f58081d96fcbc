// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

#include "fastsoft/core/block.hpp"
#include "fastsoft/detail/each_block.hpp"
#include "fastsoft/detail/graph_laplacian_row.hpp"

// Kernels of the Laplacian: a thread per matrix row (EachBlock), which are pixels, neighbours beside each other.
namespace fastsoft::detail {

// Row sums of a term, and of its magnitudes, set or added. Reads a stencil's 13 planes once, those of neighbours before
// the pixel from the cache: 13 numbers per pixel at least, and 16 bytes (32 to add).
template <class T>
struct StencilDegrees {
    struct Arguments {
        const T* weights;
        std::ptrdiff_t n_rows;
        std::ptrdiff_t n_cols;
        bool add;
        double* sums;
        double* magnitudes;
    };

    FASTSOFT_HD static std::ptrdiff_t size(const Arguments& a) { return a.n_rows * a.n_cols; }
    FASTSOFT_HD static void run(const Arguments& a, std::ptrdiff_t i) {
        double sum = a.add ? a.sums[i] : 0.0;
        double magnitude = a.add ? a.magnitudes[i] : 0.0;
        const auto add = [&](double w) {
            sum += w;
            magnitude += w < 0.0 ? -w : w;
        };
        add(static_cast<double>(a.weights[i]));
        over_stencil_row(a.weights, a.n_rows, a.n_cols, i / a.n_cols, i % a.n_cols, add);
        a.sums[i] = sum;
        a.magnitudes[i] = magnitude;
    }
};

template <class T>
struct CsrDegrees {
    struct Arguments {
        CsrView<T> matrix;
        bool add;
        double* sums;
        double* magnitudes;
    };

    FASTSOFT_HD static std::ptrdiff_t size(const Arguments& a) { return a.matrix.n_rows; }
    FASTSOFT_HD static void run(const Arguments& a, std::ptrdiff_t i) {
        double sum = a.add ? a.sums[i] : 0.0;
        double magnitude = a.add ? a.magnitudes[i] : 0.0;
        for (std::int64_t e = a.matrix.indptr[i]; e < a.matrix.indptr[i + 1]; ++e) {
            const auto w = static_cast<double>(a.matrix.data[e]);
            sum += w;
            magnitude += w < 0.0 ? -w : w;
        }
        a.sums[i] = sum;
        a.magnitudes[i] = magnitude;
    }
};

// 26 numbers per pixel at least, and the scale.
template <class T>
struct StencilLaplacian {
    struct Arguments {
        const T* affinity;
        std::ptrdiff_t n_rows;
        std::ptrdiff_t n_cols;
        const double* scale;  // or null
        T* weights;
    };

    FASTSOFT_HD static std::ptrdiff_t size(const Arguments& a) { return a.n_rows * a.n_cols; }
    FASTSOFT_HD static void run(const Arguments& a, std::ptrdiff_t i) {
        constexpr int kDown[kStencilSize] = {0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2};
        constexpr int kRight[kStencilSize] = {0, 1, 2, -2, -1, 0, 1, 2, -2, -1, 0, 1, 2};
        const std::ptrdiff_t n = size(a);
        const std::ptrdiff_t row = i / a.n_cols;
        const std::ptrdiff_t col = i % a.n_cols;
        double sum = 0.0;
        over_stencil_row(a.affinity, a.n_rows, a.n_cols, row, col, [&](double w) { sum += w; });
        const double own_scale = a.scale == nullptr ? 1.0 : a.scale[i];
        a.weights[i] = static_cast<T>(sum * (own_scale * own_scale));
        FASTSOFT_UNROLL(12)
        for (int k = 1; k < kStencilSize; ++k) {
            const auto w = static_cast<double>(a.affinity[k * n + i]);
            const bool inside = row + kDown[k] < a.n_rows && col + kRight[k] >= 0 && col + kRight[k] < a.n_cols;
            double factor = inside ? 1.0 : 0.0;
            if (a.scale != nullptr && inside) {
                factor = own_scale * a.scale[i + kDown[k] * a.n_cols + kRight[k]];
            }
            // Subtracting from 0 rather than negating: what leaves the grid stays +0.
            a.weights[k * n + i] = static_cast<T>(0.0 - w * factor);
        }
    }
};

// How many entries each row of the Laplacian has; whether columns rise.
template <class T>
struct LaplacianCounts {
    struct Arguments {
        CsrView<T> affinity;
        std::int32_t* counts;
        std::int32_t* unsorted;  // set where they do not
    };

    FASTSOFT_HD static std::ptrdiff_t size(const Arguments& a) { return a.affinity.n_rows; }
    FASTSOFT_HD static void run(const Arguments& a, std::ptrdiff_t i) {
        const std::int64_t begin = a.affinity.indptr[i];
        const std::int64_t end = a.affinity.indptr[i + 1];
        bool has_diagonal = false;
        std::int32_t before = -1;
        for (std::int64_t e = begin; e < end; ++e) {
            const std::int32_t j = a.affinity.indices[e];
            has_diagonal = has_diagonal || j == i;
            if (j <= before) {
                *a.unsorted = 1;
            }
            before = j;
        }
        a.counts[i] = static_cast<std::int32_t>(end - begin) + (end > begin && !has_diagonal ? 1 : 0);
    }
};

template <class T>
struct LaplacianRows {
    struct Arguments {
        CsrView<T> affinity;
        const double* scale;  // or null
        const std::int64_t* indptr;
        std::int32_t* indices;
        T* data;
    };

    FASTSOFT_HD static std::ptrdiff_t size(const Arguments& a) { return a.affinity.n_rows; }
    FASTSOFT_HD static void run(const Arguments& a, std::ptrdiff_t i) {
        if (a.indptr[i] < a.indptr[i + 1]) {
            over_laplacian_row(a.affinity, a.scale, i, a.indptr[i], [&](std::int64_t place, std::int32_t col, T value) {
                a.indices[place] = col;
                a.data[place] = value;
            });
        }
    }
};

// The sum of two matrices; two launches: count per row, then write.
template <class T>
struct SummedRows {
    struct Arguments {
        CsrView<T> first;
        T first_factor;
        CsrView<T> second;
        T second_factor;
        std::int32_t* counts;  // written if `indices` is null
        std::int32_t* unsorted;
        const std::int64_t* indptr;
        std::int32_t* indices;
        T* data;
    };

    FASTSOFT_HD static std::ptrdiff_t size(const Arguments& a) { return a.first.n_rows; }
    FASTSOFT_HD static void run(const Arguments& a, std::ptrdiff_t i) {
        if (a.indices == nullptr) {
            std::int32_t count = 0;
            over_summed_row(a.first, a.first_factor, a.second, a.second_factor, i, [&](std::int32_t, T) { ++count; });
            a.counts[i] = count;
            check_rises(a.first, i, a.unsorted);
            check_rises(a.second, i, a.unsorted);
            return;
        }
        std::int64_t place = a.indptr[i];
        over_summed_row(a.first, a.first_factor, a.second, a.second_factor, i, [&](std::int32_t col, T value) {
            a.indices[place] = col;
            a.data[place] = value;
            ++place;
        });
    }

private:
    FASTSOFT_HD static void check_rises(const CsrView<T>& matrix, std::ptrdiff_t i, std::int32_t* unsorted) {
        for (std::int64_t e = matrix.indptr[i] + 1; e < matrix.indptr[i + 1]; ++e) {
            if (matrix.indices[e] <= matrix.indices[e - 1]) {
                *unsorted = 1;
            }
        }
    }
};

}  // namespace fastsoft::detail
