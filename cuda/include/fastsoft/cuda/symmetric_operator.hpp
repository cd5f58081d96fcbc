// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>

#include "fastsoft/core/symmetric_operator.hpp"
#include "fastsoft/cuda/context.hpp"

// Symmetric operators whose arrays are in the memory of the context's device; x, y and out are there, too. Everything
// is enqueued on the context's stream. The same bits from run to run.
namespace fastsoft::cuda {

// y = A x for n_vectors vectors, each contiguous, one after the other: x and y are (n_vectors, n) and must not overlap.
// Reads the weights once for every eight vectors. One launch per term. Does not wait. With factors, sums of the product
// with x and what y was, for which y is read once more.
template <class T>
void operator_apply(const Context& context, const SymmetricOperator<T>& a, const T* x, T* y, std::ptrdiff_t n_vectors,
                    const ProductFactors<T>& factors = {});

// out[i] = A[i, i]. Does not wait.
template <class T>
void operator_diagonal(const Context& context, const SymmetricOperator<T>& a, T* out);

// Gershgorin's bounds on the spectrum, to the host. Waits for the stream. Workspace: two vectors.
template <class T>
void operator_spectrum_bounds(const Context& context, const SymmetricOperator<T>& a, T* lower, T* upper);

}  // namespace fastsoft::cuda
