// SPDX-License-Identifier: MIT
#include "fastsoft/cuda/symmetric_operator.hpp"

#include "fastsoft/core/error.hpp"
#include "fastsoft/cuda/launcher.cuh"
#include "fastsoft/cuda/value_range.hpp"
#include "fastsoft/cuda/workspace.cuh"
#include "fastsoft/detail/symmetric_operator_block.hpp"

namespace fastsoft::cuda {
namespace {

template <class T>
void expect_terms(const SymmetricOperator<T>& a) {
    FASTSOFT_EXPECTS(!a.stencils.empty() || !a.csrs.empty(), "an operator needs at least one term");
}

}  // namespace

template <class T>
void operator_apply(const Context& context, const SymmetricOperator<T>& a, const T* x, T* y, std::ptrdiff_t n_vectors,
                    const ProductFactors<T>& factors) {
    expect_terms(a);
    detail::run_apply(a, x, y, n_vectors, factors, Launcher{context, "symmetric_operator (product)"});
}

template <class T>
void operator_diagonal(const Context& context, const SymmetricOperator<T>& a, T* out) {
    expect_terms(a);
    detail::run_rows<detail::RowQuantity::diagonal>(a, out, Launcher{context, "symmetric_operator (diagonal)"});
}

template <class T>
void operator_spectrum_bounds(const Context& context, const SymmetricOperator<T>& a, T* lower, T* upper) {
    expect_terms(a);
    const Workspace<T> ends(context, static_cast<std::size_t>(2 * a.n));
    detail::run_rows<detail::RowQuantity::interval>(a, ends.data(), Launcher{context, "symmetric_operator (bounds)"});
    // No lower end is above its upper end: the least of all is the least lower end, the largest the largest upper end.
    const detail::ValueRange range = value_range<T>(context, View<const T, 3>::contiguous(ends.data(), {1, 2, a.n}));
    *lower = static_cast<T>(range.low);
    *upper = static_cast<T>(range.high);
}

template void operator_apply(const Context&, const SymmetricOperator<float>&, const float*, float*, std::ptrdiff_t,
                             const ProductFactors<float>&);
template void operator_apply(const Context&, const SymmetricOperator<double>&, const double*, double*, std::ptrdiff_t,
                             const ProductFactors<double>&);
template void operator_diagonal(const Context&, const SymmetricOperator<float>&, float*);
template void operator_diagonal(const Context&, const SymmetricOperator<double>&, double*);
template void operator_spectrum_bounds(const Context&, const SymmetricOperator<float>&, float*, float*);
template void operator_spectrum_bounds(const Context&, const SymmetricOperator<double>&, double*, double*);

}  // namespace fastsoft::cuda
