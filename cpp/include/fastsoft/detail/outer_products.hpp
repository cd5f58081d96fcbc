// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>

#include "fastsoft/detail/vector.hpp"

// Sum of many outer products b b', b of about a hundred numbers: the lower triangle of B'B for a tall B. Two to three
// times the speed of a general triangular product, whose blocking suits larger matrices and which copies B twice.
namespace fastsoft::detail {

// A tile of the result stays in registers while B streams by: kTileRows rows, up to three vectors wide, which with one
// row of B (three vectors and a broadcast) fits the register file of each level.
constexpr int kTileRows = kVectorBytes == 64 ? 8 : 4;

// Length of a row of B and of the result for vectors of k numbers; the rest of a row of B must be 0.
template <class T>
constexpr std::ptrdiff_t padded_length(std::ptrdiff_t k) {
    constexpr std::ptrdiff_t kUnit = kLanes<T> > kTileRows ? kLanes<T> : kTileRows;
    return (k + kUnit - 1) / kUnit * kUnit;
}

// result[i, j] += sign * sum over the n rows b of left[b, i] * right[b, j] for a tile.
template <class T, int Vectors>
void add_outer_products_tile(const T* left, const T* right, std::ptrdiff_t length, std::ptrdiff_t n, T sign,
                             T* result) {
    Vector<T> sums[kTileRows][Vectors] = {};
    for (std::ptrdiff_t row = 0; row < n; ++row) {
        Vector<T> values[Vectors];
#pragma GCC unroll 3
        for (int j = 0; j < Vectors; ++j) {
            values[j] = lanes(right + row * length + j * kLanes<T>);
        }
#pragma GCC unroll 8
        for (int i = 0; i < kTileRows; ++i) {
            const T factor = left[row * length + i];
#pragma GCC unroll 3
            for (int j = 0; j < Vectors; ++j) {
                sums[i][j] += factor * values[j];
            }
        }
    }
    for (int i = 0; i < kTileRows; ++i) {
        for (int j = 0; j < Vectors; ++j) {
            lanes(result + i * length + j * kLanes<T>) += sign * sums[i][j];
        }
    }
}

// result[i, j] += sign * sum over the n rows b of B of b[i] * b[j] for j <= i. B is (n, length) and the result (length,
// length), both row-major, length = padded_length(k). Entries of the result above the diagonal are left undefined.
template <class T>
void add_outer_products(const T* rows, std::ptrdiff_t length, std::ptrdiff_t n, T sign, T* result) {
    for (std::ptrdiff_t i = 0; i < length; i += kTileRows) {
        const std::ptrdiff_t n_vectors = (i + kTileRows + kLanes<T> - 1) / kLanes<T>;
        std::ptrdiff_t j = 0;
        for (; j + 3 <= n_vectors; j += 3) {
            add_outer_products_tile<T, 3>(rows + i, rows + j * kLanes<T>, length, n, sign,
                                          result + i * length + j * kLanes<T>);
        }
        if (n_vectors - j == 2) {
            add_outer_products_tile<T, 2>(rows + i, rows + j * kLanes<T>, length, n, sign,
                                          result + i * length + j * kLanes<T>);
        } else if (n_vectors - j == 1) {
            add_outer_products_tile<T, 1>(rows + i, rows + j * kLanes<T>, length, n, sign,
                                          result + i * length + j * kLanes<T>);
        }
    }
}

}  // namespace fastsoft::detail
