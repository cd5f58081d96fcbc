// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <vector>

#include "fastsoft/core/csr.hpp"

namespace fastsoft {

// Half of the 5x5 stencil of a symmetric matrix on an H x W grid: the diagonal and the twelve neighbours that follow
// a pixel in row-major order. The other half is the mirror image, so 13 numbers per pixel replace 25 values and 25
// indices.
constexpr int kStencilSize = 13;
constexpr int kStencilRadius = 2;
constexpr int kStencilRowOffset[kStencilSize] = {0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2};
constexpr int kStencilColOffset[kStencilSize] = {0, 1, 2, -2, -1, 0, 1, 2, -2, -1, 0, 1, 2};

// weights is a C-contiguous (13, H, W) array: weights[k, r, c] couples pixel (r, c) with pixel
// (r + row_offset[k], c + col_offset[k]) and must be 0 where that pixel lies outside the grid.
template <class T>
struct StencilView {
    const T* weights = nullptr;
    std::ptrdiff_t n_grid_rows = 0;
    std::ptrdiff_t n_grid_cols = 0;

    std::ptrdiff_t size() const { return n_grid_rows * n_grid_cols; }
    const T* plane(int k) const { return weights + k * size(); }
};

// y = product A x + x x + y y, the factors' names being those of what they multiply. Where that of y is 0, y is not
// read.
template <class T>
struct ProductFactors {
    T product = T(1);
    T x = T(0);
    T y = T(0);

    bool plain() const { return product == T(1) && x == T(0) && y == T(0); }
};

// Sum of symmetric matrices of the same size, each stored as a stencil or as CSR. Views only: the caller keeps the
// arrays alive. Where they point into the memory of a device, the functions of namespace cuda apply, and the members
// do not.
template <class T>
struct SymmetricOperator {
    std::ptrdiff_t n = 0;
    std::vector<StencilView<T>> stencils;
    std::vector<CsrView<T>> csrs;

    // y = A x for n_vectors vectors, each contiguous, one after the other: x and y are (n_vectors, n). Gathers, so
    // every element of y is one sum in a fixed order. Bytes per vector: n * sizeof(T) * (2 + 13 / n_vectors) at least.
    void apply(const T* x, T* y, std::ptrdiff_t n_vectors) const;

    // out[i] = A[i, i].
    void diagonal(T* out) const;

    // Gershgorin's bounds on the spectrum: min and max over the rows of A[i, i] -+ sum of |A[i, j]|, j != i.
    void spectrum_bounds(T* lower, T* upper) const;
};

extern template struct SymmetricOperator<float>;
extern template struct SymmetricOperator<double>;

// The same as functions, for bindings: cuda/include/fastsoft/cuda/symmetric_operator.hpp has them for devices.
template <class T>
void operator_apply(const SymmetricOperator<T>& a, const T* x, T* y, std::ptrdiff_t n_vectors) {
    a.apply(x, y, n_vectors);
}

template <class T>
void operator_diagonal(const SymmetricOperator<T>& a, T* out) {
    a.diagonal(out);
}

}  // namespace fastsoft
