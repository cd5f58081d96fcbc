// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

#include "fastsoft/core/csr.hpp"
#include "fastsoft/core/cuda_context.hpp"
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

// first_factor * first + second_factor * second, both with sorted columns and no duplicates. Products are rounded to T
// before they are added; entries that are exactly 0 are left out.
template <class T>
void weighted_sum(const CsrView<T>& first, double first_factor, const CsrView<T>& second, double second_factor,
                  const CsrOutput<T>& out);

// The Laplacian of a CSR affinity with sorted columns and no duplicates: rows that have entries but no diagonal gain
// one. scale: the diagonal of S (n), or null for the plain Laplacian.
template <class T>
void graph_laplacian_csr(const CsrView<T>& affinity, const double* scale, const CsrOutput<T>& out);

// weights (13, H, W) may not overlap the affinity.
template <class T>
void graph_laplacian_stencil(const StencilView<T>& affinity, const double* scale, T* weights);

namespace cuda {

// On the device of the context, in the order of its stream; all arrays are in its memory, and results are allocated
// there. A thread per row. Rows are added in the order of their entries, as on the CPU.

// One launch per term. Does not wait.
template <class T>
void affinity_degrees(const Context& context, const SymmetricOperator<T>& affinity, double* sums, double* magnitudes);

// Throws if columns are not sorted or occur twice. Workspace: 4 bytes per row. Waits for the number of entries.
template <class T>
void weighted_sum(const Context& context, const CsrView<T>& first, double first_factor, const CsrView<T>& second,
                  double second_factor, const CsrOutput<T>& out);

// The same.
template <class T>
void graph_laplacian_csr(const Context& context, const CsrView<T>& affinity, const double* scale,
                         const CsrOutput<T>& out);

// Does not wait.
template <class T>
void graph_laplacian_stencil(const Context& context, const StencilView<T>& affinity, const double* scale, T* weights);

}  // namespace cuda
}  // namespace fastsoft
