// SPDX-License-Identifier: MIT
#include "fastsoft/lanczos.hpp"

#include <chrono>
#include <memory>
#include <vector>

#include "fastsoft/core/error.hpp"
#include "fastsoft/core/parallel.hpp"
#include "fastsoft/core/tall_matrix.hpp"
#include "fastsoft/detail/chebyshev_filter.hpp"
#include "fastsoft/detail/eigenpairs.hpp"
#include "fastsoft/detail/lanczos_loop.hpp"
#include "fastsoft/detail/sparse_factor.hpp"

namespace fastsoft {
namespace {

template <class T>
auto product_with(const SymmetricOperator<T>& matrix) {
    return [&matrix](const T* in, T* out, std::ptrdiff_t count) { matrix.apply(in, out, count); };
}

}  // namespace

template <class T>
LanczosInfo smallest_eigenvectors(const SymmetricOperator<T>& matrix, const LanczosParams& params, T* basis,
                                  double* values, double* residuals, Monitor& user_monitor) {
    RisingMonitor monitor(user_monitor);
    const std::ptrdiff_t n = matrix.n;
    const std::ptrdiff_t k = params.n_eigenvectors;
    const std::ptrdiff_t block = params.block_size;
    detail::check_eigenvectors(params, n);
    const TallCpu<T> tall;
    auto multiply = product_with(matrix);
    LanczosInfo info;
    detail::Target target;
    target.scale = params.lambda_max;
    using Clock = std::chrono::steady_clock;
    const auto seconds_since = [](Clock::time_point start) {
        return std::chrono::duration<double>(Clock::now() - start).count();
    };
    const auto run = [&](auto& product, double begin) {
        auto apply = [&](const T* in, T* out, std::ptrdiff_t count) {
            const auto start = Clock::now();
            product(in, out, count);
            info.product_seconds += seconds_since(start);
        };
        SubMonitor part(monitor, begin, 0.95);
        detail::BlockLanczos<T, TallCpu<T>, decltype(apply)> loop(tall, basis, n, k, block, params.n_basis, params.seed,
                                                                  target, apply);
        info.solver = loop.run(params.tolerance, params.max_restarts, part);
    };
    if (params.method == EigenMethod::kShiftInvert) {
        const auto start = Clock::now();
        SubMonitor part(monitor, 0.0, 0.3);
        auto tree = detail::nested_dissection(matrix, params.n_grid_rows, params.n_grid_cols);
        auto shift = static_cast<T>(params.shift);
        auto factor = std::make_unique<detail::SparseFactor<T>>(matrix, shift, tree, part);
        constexpr int kMaxAttempts = 8;
        for (int attempt = 1; params.lower_shift && factor->n_negative() > params.max_negative; ++attempt) {
            FASTSOFT_EXPECTS(attempt < kMaxAttempts, "operator must be bounded below: ", factor->n_negative(),
                             " eigenvalues lie below the shift ", shift);
            shift *= T(3);
            factor.reset();  // frees the memory first
            factor = std::make_unique<detail::SparseFactor<T>>(matrix, shift, tree, part);
        }
        info.factor_seconds = seconds_since(start);
        info.factor_bytes = factor->n_bytes();
        info.factor_flops = factor->n_flops();
        info.n_below_shift = factor->n_negative();
        info.shift = static_cast<double>(shift);
        target.map = detail::Target::Map::kInverse;
        target.shift = info.shift;
        target.n_negative = factor->n_negative();
        auto apply = [&](const T* in, T* out, std::ptrdiff_t count) { factor->solve(in, out, count); };
        run(apply, 0.3);
    } else if (params.method == EigenMethod::kFiltered) {
        auto product = [&](const T* in, T* out, std::ptrdiff_t count) {
            const auto start = Clock::now();
            matrix.apply(in, out, count);
            info.product_seconds += seconds_since(start);
        };
        const auto make_work = [](std::ptrdiff_t count) { return std::vector<T>(static_cast<std::size_t>(count)); };
        T lower = T(0);
        T upper = T(0);
        matrix.spectrum_bounds(&lower, &upper);
        const auto largest = detail::largest_eigenvalue(tall, product, basis, n, params.seed);
        SubMonitor part(monitor, 0.0, 0.95);
        detail::filtered_lanczos(tall, product, params, basis, n, largest.upper_bound, static_cast<double>(upper),
                                 make_work, info, part);
    } else {
        target.map = detail::Target::Map::kNegative;
        target.shift = params.lambda_max;
        const auto upper = static_cast<T>(params.lambda_max);
        auto apply = [&](const T* in, T* out, std::ptrdiff_t count) {
            matrix.apply(in, out, count);
            for (std::ptrdiff_t i = 0; i < n * count; ++i) {
                out[i] = upper * in[i] - out[i];
            }
        };
        run(apply, 0.0);
    }
    detail::finish_pairs(tall, multiply, params, basis, n, values, residuals, info);
    if (info.solver.converged) {
        monitor.report(1.0);
    }
    return info;
}

template <class T>
double estimate_lambda_max(const SymmetricOperator<T>& matrix, std::uint64_t seed) {
    auto multiply = product_with(matrix);
    std::vector<T> work(static_cast<std::size_t>((detail::kEstimateSteps + 1) * matrix.n));
    return detail::largest_eigenvalue(TallCpu<T>(), multiply, work.data(), matrix.n, seed).estimate;
}

template LanczosInfo smallest_eigenvectors(const SymmetricOperator<float>&, const LanczosParams&, float*, double*,
                                           double*, Monitor&);
template LanczosInfo smallest_eigenvectors(const SymmetricOperator<double>&, const LanczosParams&, double*, double*,
                                           double*, Monitor&);
template double estimate_lambda_max(const SymmetricOperator<float>&, std::uint64_t);
template double estimate_lambda_max(const SymmetricOperator<double>&, std::uint64_t);

}  // namespace fastsoft
