// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

#include "fastsoft/core/csr.hpp"
#include "fastsoft/core/host_device.hpp"
#include "fastsoft/core/symmetric_operator.hpp"

// One row of a matrix: what either backend does in a loop over rows.
namespace fastsoft::detail {

// Calls put(w, k) for every weight off the diagonal of a pixel's row of a stencil: for each of the twelve offsets the
// neighbour after the pixel, then the one before. Weights of neighbours after it that lie outside the grid are 0.
template <class T, class Put>
FASTSOFT_HD void over_stencil_row(const T* weights, std::ptrdiff_t n_rows, std::ptrdiff_t n_cols, std::ptrdiff_t row,
                                  std::ptrdiff_t col, const Put& put) {
    constexpr int kDown[kStencilSize] = {0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2};
    constexpr int kRight[kStencilSize] = {0, 1, 2, -2, -1, 0, 1, 2, -2, -1, 0, 1, 2};
    const std::ptrdiff_t n = n_rows * n_cols;
    const T* const own = weights + row * n_cols + col;
    FASTSOFT_UNROLL(12)
    for (int k = 1; k < kStencilSize; ++k) {
        put(static_cast<double>(own[k * n]));
        if (row >= kDown[k] && col >= kRight[k] && col - kRight[k] < n_cols) {
            put(static_cast<double>(own[k * n - kDown[k] * n_cols - kRight[k]]));
        }
    }
}

// Calls put(column, value) for the entries first_factor * first + second_factor * second of a row of two matrices with
// sorted columns. Products are rounded to T before they are added; entries that are exactly 0 are left out.
template <class T, class Put>
FASTSOFT_HD void over_summed_row(const CsrView<T>& first, T first_factor, const CsrView<T>& second, T second_factor,
                                 std::ptrdiff_t row, const Put& put) {
    std::int64_t i = first.indptr[row];
    std::int64_t j = second.indptr[row];
    const std::int64_t i_end = first.indptr[row + 1];
    const std::int64_t j_end = second.indptr[row + 1];
    while (i < i_end || j < j_end) {
        const bool of_first = i < i_end && (j == j_end || first.indices[i] <= second.indices[j]);
        const bool of_second = j < j_end && (i == i_end || second.indices[j] <= first.indices[i]);
        const std::int32_t col = of_first ? first.indices[i] : second.indices[j];
        T value = of_first ? first_factor * first.data[i] : second_factor * second.data[j];
        if (of_first && of_second) {
            value += second_factor * second.data[j];
        }
        if (value != T(0)) {
            put(col, value);
        }
        i += of_first ? 1 : 0;
        j += of_second ? 1 : 0;
    }
}

// A row of the Laplacian: calls put(place, column, value) with place counting from `out`. It has entries, and sorted
// columns.
template <class T, class Put>
FASTSOFT_HD void over_laplacian_row(const CsrView<T>& affinity, const double* scale, std::ptrdiff_t i, std::int64_t out,
                                    const Put& put) {
    const double own_scale = scale == nullptr ? 1.0 : scale[i];
    std::int64_t diagonal = -1;
    double sum = 0.0;
    for (std::int64_t e = affinity.indptr[i]; e < affinity.indptr[i + 1]; ++e) {
        const std::int32_t j = affinity.indices[e];
        if (j >= i && diagonal < 0) {
            diagonal = out++;
        }
        if (j == i) {
            continue;
        }
        const auto w = static_cast<double>(affinity.data[e]);
        sum += w;
        put(out, j, static_cast<T>(scale == nullptr ? -w : -w * (own_scale * scale[j])));
        ++out;
    }
    put(diagonal < 0 ? out : diagonal, static_cast<std::int32_t>(i), static_cast<T>(sum * (own_scale * own_scale)));
}

}  // namespace fastsoft::detail
