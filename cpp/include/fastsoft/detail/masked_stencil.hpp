// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "fastsoft/core/large_buffer.hpp"

// Rows of a 5x5 stencil matrix of an image that belong to some of its pixels, the unknowns. All 25 numbers of a row are
// stored, without indices: 200 bytes per unknown, whatever the size of the image, and products stream them once.
namespace fastsoft::detail {

constexpr int kSpan = 5;
constexpr int kStencilRow = kSpan * kSpan;

struct MaskedStencil {
    std::ptrdiff_t n_rows = 0;
    std::ptrdiff_t n_cols = 0;
    std::ptrdiff_t n = 0;                 // unknowns, numbered in row order
    std::vector<std::int32_t> number;     // pixel -> unknown, or -1
    std::vector<std::int32_t> pixel;      // unknown -> pixel
    std::vector<std::int32_t> row_begin;  // first unknown of each image row, and n
    // Those of the count unknowns of a row lie together, one plane of `count` numbers per entry of the stencil, which
    // runs over rows -2..2 and in each over columns -2..2. Entries outside the image are 0.
    LargeBuffer<double> weights;

    // Number of unknowns in the row of unknown i; weight e of i is plane(row)[e * count + i - row_begin[row]].
    std::ptrdiff_t count(std::ptrdiff_t row) const {
        const auto r = static_cast<std::size_t>(row);
        return row_begin[r + 1] - row_begin[r];
    }
    const double* planes(std::ptrdiff_t row) const {
        return weights.get() + kStencilRow * static_cast<std::ptrdiff_t>(row_begin[static_cast<std::size_t>(row)]);
    }
};

// The block of a masked stencil that couples unknowns with unknowns, in the precision of a factorisation.
template <class T>
struct UnknownBlock {
    const MaskedStencil& stencil;
    std::ptrdiff_t n = stencil.n;
};

// Calls visit(j, value) for the entries (i, j) of row i.
template <class T, class Visit>
void for_each_in_row(const UnknownBlock<T>& block, std::ptrdiff_t i, Visit&& visit) {
    const MaskedStencil& s = block.stencil;
    const std::ptrdiff_t pixel = s.pixel[static_cast<std::size_t>(i)];
    const std::ptrdiff_t row = pixel / s.n_cols;
    const std::ptrdiff_t col = pixel % s.n_cols;
    const std::ptrdiff_t count = s.count(row);
    const double* const weights = s.planes(row) + i - s.row_begin[static_cast<std::size_t>(row)];
    for (int dr = -2; dr <= 2; ++dr) {
        if (row + dr < 0 || row + dr >= s.n_rows) {
            continue;
        }
        for (int dc = -2; dc <= 2; ++dc) {
            if (col + dc < 0 || col + dc >= s.n_cols) {
                continue;
            }
            const std::int32_t j = s.number[static_cast<std::size_t>(pixel + dr * s.n_cols + dc)];
            if (j >= 0) {
                visit(static_cast<std::ptrdiff_t>(j), static_cast<T>(weights[((dr + 2) * kSpan + dc + 2) * count]));
            }
        }
    }
}

// Calls visit(j) for the entries (i, j) of row i that the stencil has room for, 0 or not.
template <class T, class Visit>
void for_each_neighbour(const UnknownBlock<T>& block, std::ptrdiff_t i, Visit&& visit) {
    const MaskedStencil& s = block.stencil;
    const std::ptrdiff_t pixel = s.pixel[static_cast<std::size_t>(i)];
    const std::ptrdiff_t row = pixel / s.n_cols;
    const std::ptrdiff_t col = pixel % s.n_cols;
    const std::ptrdiff_t col0 = col < 2 ? -col : -2;
    const std::ptrdiff_t col1 = col + 2 < s.n_cols ? 2 : s.n_cols - 1 - col;
    for (std::ptrdiff_t r = row < 2 ? 0 : row - 2; r <= row + 2 && r < s.n_rows; ++r) {
        const std::int32_t* const number = s.number.data() + r * s.n_cols + col;
        for (std::ptrdiff_t dc = col0; dc <= col1; ++dc) {
            if (number[dc] >= 0) {
                visit(static_cast<std::ptrdiff_t>(number[dc]));
            }
        }
    }
}

}  // namespace fastsoft::detail
