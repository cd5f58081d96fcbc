// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

#include "fastsoft/core/csr.hpp"
#include "fastsoft/core/symmetric_operator.hpp"

// Laplacians of symmetric affinities W with row sums ("degrees") D:
//
//     L = D - W,    normalised    S (D - W) S,  S = D^-1/2
//
// (Aksoy et al., "Semantic soft segmentation", ACM Transactions on Graphics 37(4), 2018, Eq. 6, prints the normalised
// one; the authors' program uses the plain one.) L is linear in W, and S is diagonal, so that a sum of affinities is
// treated term by term and each term keeps its storage; only the degrees behind S are those of the sum.
//
// The diagonal of W takes part in D, as the definition says, but cancels in D - W. It is therefore left out there, and
// the diagonal of L is the sum of the stored off-diagonal weights, in double: rows of the plain L sum to 0 up to that
// number's own rounding to T.
namespace fastsoft {

// sums[i] = sum over j of W[i, j] and magnitudes[i] = sum of |W[i, j]|, over all terms.
template <class T>
void affinity_degrees(const SymmetricOperator<T>& affinity, double* sums, double* magnitudes);

// Entries of the Laplacian of a CSR affinity with sorted columns and no duplicates: rows that have entries but no
// diagonal gain one.
template <class T>
std::int64_t graph_laplacian_n_entries(const CsrView<T>& affinity);

// scale: the diagonal of S (n), or null for the plain Laplacian.
template <class T>
void graph_laplacian_csr(const CsrView<T>& affinity, const double* scale, std::int64_t* indptr, std::int32_t* indices,
                         T* data);

// weights (13, H, W) may not overlap the affinity.
template <class T>
void graph_laplacian_stencil(const StencilView<T>& affinity, const double* scale, T* weights);

}  // namespace fastsoft
