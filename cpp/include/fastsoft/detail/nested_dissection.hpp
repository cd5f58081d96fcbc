// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "fastsoft/core/symmetric_operator.hpp"
#include "fastsoft/detail/masked_stencil.hpp"

// Order in which a sparse factorisation eliminates the unknowns: nested dissection (George, "Nested dissection of a
// regular finite element mesh", SIAM J. Numer. Anal. 10, 1973). A separator splits the unknowns into two parts
// without a common edge; the parts are eliminated first, each by the same rule, the separator last.
//
// On a pixel grid the separators are known without a graph partitioner: two neighbouring rows or columns cut every
// 5x5 stencil. Pixels with edges that leave the stencil (superpixel centroids) are few and are eliminated last of all.
namespace fastsoft::detail {

// One set of unknowns that is eliminated together. Unknowns are named by their position in the elimination order, so
// those of a front are the range [begin, end).
struct Front {
    std::int32_t begin = 0;
    std::int32_t end = 0;
    std::int32_t parent = -1;
    std::int32_t first_child = -1;  // children are linked in elimination order
    std::int32_t next_sibling = -1;
    std::int32_t subtree_begin = 0;   // first front of the subtree; fronts are in post-order
    std::int64_t boundary_begin = 0;  // into EliminationTree::boundary
    std::int32_t n_boundary = 0;

    std::int32_t n_own() const { return end - begin; }
    std::int32_t size() const { return n_own() + n_boundary; }
};

struct EliminationTree {
    std::ptrdiff_t n = 0;
    std::vector<std::int32_t> order;     // position -> unknown
    std::vector<std::int32_t> position;  // unknown -> position
    std::vector<Front> fronts;           // in post-order; the last one is the root
    std::vector<std::int32_t> boundary;  // sorted positions after a front that elimination of the front couples

    const std::int32_t* boundary_of(const Front& front) const { return boundary.data() + front.boundary_begin; }
    std::int64_t n_factor_entries() const;  // of all panels, size() x n_own() each
    double n_flops() const;                 // multiply-adds of the factorisation
};

// n_grid_rows = n_grid_cols = 0: no grid is known; separators are then level sets of breadth-first searches.
template <class T>
EliminationTree nested_dissection(const SymmetricOperator<T>& matrix, std::ptrdiff_t n_grid_rows,
                                  std::ptrdiff_t n_grid_cols);

// A position on a grid.
struct GridPoint {
    std::int32_t row;
    std::int32_t col;
};

// The same for unknowns that have places on a grid, several perhaps the same one, anywhere: those of a narrow band,
// say. Coupled are only places at most `reach` rows and columns apart, so that `reach` neighbouring lines separate.
// Among all rows and columns the lines with the fewest unknowns are taken that leave parts of similar size.
template <class Matrix>
EliminationTree dissect_points(const Matrix& matrix, const std::vector<GridPoint>& points, std::ptrdiff_t reach);

extern template EliminationTree nested_dissection(const SymmetricOperator<float>&, std::ptrdiff_t, std::ptrdiff_t);
extern template EliminationTree nested_dissection(const SymmetricOperator<double>&, std::ptrdiff_t, std::ptrdiff_t);
extern template EliminationTree dissect_points(const SymmetricOperator<float>&, const std::vector<GridPoint>&,
                                               std::ptrdiff_t);
extern template EliminationTree dissect_points(const UnknownBlock<float>&, const std::vector<GridPoint>&,
                                               std::ptrdiff_t);

// Calls visit(j, value) for every stored entry (i, j) of row i, term by term; an entry may come several times.
template <class T, class Visit>
void for_each_in_row(const SymmetricOperator<T>& matrix, std::ptrdiff_t i, Visit&& visit) {
    for (const StencilView<T>& stencil : matrix.stencils) {
        const std::ptrdiff_t n_cols = stencil.n_grid_cols;
        const std::ptrdiff_t row = i / n_cols;
        const std::ptrdiff_t col = i % n_cols;
        visit(i, stencil.plane(0)[i]);
        for (int k = 1; k < kStencilSize; ++k) {
            const std::ptrdiff_t dr = kStencilRowOffset[k];
            const std::ptrdiff_t dc = kStencilColOffset[k];
            if (row + dr < stencil.n_grid_rows && col + dc >= 0 && col + dc < n_cols) {
                visit(i + dr * n_cols + dc, stencil.plane(k)[i]);
            }
            if (row - dr >= 0 && col - dc >= 0 && col - dc < n_cols) {
                const std::ptrdiff_t j = i - dr * n_cols - dc;
                visit(j, stencil.plane(k)[j]);
            }
        }
    }
    for (const CsrView<T>& csr : matrix.csrs) {
        for (std::int64_t e = csr.indptr[i]; e < csr.indptr[i + 1]; ++e) {
            visit(static_cast<std::ptrdiff_t>(csr.indices[e]), csr.data[e]);
        }
    }
}

// Calls visit(j) for the stored entries (i, j) of row i that are not 0; an entry may come several times.
template <class T, class Visit>
void for_each_neighbour(const SymmetricOperator<T>& matrix, std::ptrdiff_t i, Visit&& visit) {
    for_each_in_row(matrix, i, [&](std::ptrdiff_t j, T value) {
        if (value != T(0)) {
            visit(j);
        }
    });
}

}  // namespace fastsoft::detail
