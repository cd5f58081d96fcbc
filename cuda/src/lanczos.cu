// SPDX-License-Identifier: MIT
// Small matrices are the host's: Eigen is not to mark its functions for devices, of which nvcc warns.
#define EIGEN_NO_CUDA
#include "fastsoft/lanczos.hpp"

#include "fastsoft/core/error.hpp"
#include "fastsoft/cuda/check.cuh"
#include "fastsoft/cuda/symmetric_operator.hpp"
#include "fastsoft/cuda/tall_matrix.hpp"
#include "fastsoft/cuda/workspace.cuh"
#include "fastsoft/detail/chebyshev_filter.hpp"
#include "fastsoft/detail/eigenpairs.hpp"
#include "fastsoft/detail/lanczos_loop.hpp"

namespace fastsoft::cuda {

template <class T>
LanczosInfo smallest_eigenvectors(const Context& context, const SymmetricOperator<T>& matrix,
                                  const LanczosParams& params, T* basis, double* values, double* residuals,
                                  Monitor& user_monitor) {
    detail::check_eigenvectors(params, matrix.n);
    FASTSOFT_EXPECTS(params.method != EigenMethod::kShiftInvert,
                     "shift-invert factorises the operator, which is done on the CPU only");
    const std::ptrdiff_t n = matrix.n;
    RisingMonitor monitor(user_monitor);
    const TallCuda<T> tall(context);
    auto multiply = [&](const T* in, T* out, std::ptrdiff_t count, const ProductFactors<T>& factors = {}) {
        operator_apply<T>(context, matrix, in, out, count, factors);
    };
    const auto make_work = [&](std::ptrdiff_t count) { return Workspace<T>(context, static_cast<std::size_t>(count)); };
    LanczosInfo info;
    SubMonitor part(monitor, 0.0, 0.95);
    if (params.method == EigenMethod::kFiltered) {
        T lower = T(0);
        T upper = T(0);
        operator_spectrum_bounds<T>(context, matrix, &lower, &upper);
        const auto largest = detail::largest_eigenvalue(tall, multiply, basis, n, params.seed);
        detail::filtered_lanczos(tall, multiply, params, basis, n, largest.upper_bound, static_cast<double>(upper),
                                 make_work, info, part);
    } else {
        info.solver = detail::direct_lanczos(tall, multiply, params, basis, n, part);
    }
    detail::finish_pairs(tall, multiply, params, basis, n, values, residuals, info);
    if (info.solver.converged) {
        monitor.report(1.0);
    }
    return info;
}

template <class T>
double estimate_lambda_max(const Context& context, const SymmetricOperator<T>& matrix, std::uint64_t seed) {
    const TallCuda<T> tall(context);
    auto multiply = [&](const T* in, T* out, std::ptrdiff_t count) {
        operator_apply<T>(context, matrix, in, out, count);
    };
    const Workspace<T> work(context, static_cast<std::size_t>((detail::kEstimateSteps + 1) * matrix.n));
    return detail::largest_eigenvalue(tall, multiply, work.data(), matrix.n, seed).estimate;
}

template LanczosInfo smallest_eigenvectors(const Context&, const SymmetricOperator<float>&, const LanczosParams&,
                                           float*, double*, double*, Monitor&);
template LanczosInfo smallest_eigenvectors(const Context&, const SymmetricOperator<double>&, const LanczosParams&,
                                           double*, double*, double*, Monitor&);
template double estimate_lambda_max(const Context&, const SymmetricOperator<float>&, std::uint64_t);
template double estimate_lambda_max(const Context&, const SymmetricOperator<double>&, std::uint64_t);

}  // namespace fastsoft::cuda
