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

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

// Products, and the seconds they took.
template <class T>
class Product {
public:
    explicit Product(const SymmetricOperator<T>& matrix) : matrix_(matrix) {}

    double seconds() const { return seconds_; }

    void operator()(const T* in, T* out, std::ptrdiff_t count, const ProductFactors<T>& factors = {}) {
        const auto start = Clock::now();
        if (factors.plain()) {
            matrix_.apply(in, out, count);
        } else {
            const std::ptrdiff_t size = matrix_.n * count;
            product_.resize(static_cast<std::size_t>(size));
            matrix_.apply(in, product_.data(), count);
            TallCpu<T>::combine(size, factors.x, in, factors.product, product_.data(), factors.y, out);
        }
        seconds_ += seconds_since(start);
    }

private:
    const SymmetricOperator<T>& matrix_;
    std::vector<T> product_;
    double seconds_ = 0.0;
};

}  // namespace

template <class T>
LanczosInfo smallest_eigenvectors(const SymmetricOperator<T>& matrix, const LanczosParams& params, T* basis,
                                  double* values, double* residuals, Monitor& user_monitor) {
    RisingMonitor monitor(user_monitor);
    const std::ptrdiff_t n = matrix.n;
    detail::check_eigenvectors(params, n);
    const TallCpu<T> tall;
    Product<T> multiply(matrix);
    LanczosInfo info;
    SubMonitor iterations(monitor, params.method == EigenMethod::kShiftInvert ? 0.3 : 0.0, 0.95);
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
        detail::Target target;
        target.scale = params.lambda_max;
        target.map = detail::Target::Map::kInverse;
        target.shift = info.shift;
        target.n_negative = factor->n_negative();
        auto solve = [&](const T* in, T* out, std::ptrdiff_t count) {
            const auto begin = Clock::now();
            factor->solve(in, out, count);
            info.product_seconds += seconds_since(begin);
        };
        detail::BlockLanczos<T, TallCpu<T>, decltype(solve)> loop(
            tall, basis, n, params.n_eigenvectors, params.block_size, params.n_basis, params.seed, target, solve);
        info.solver = loop.run(params.tolerance, params.max_restarts, iterations);
    } else if (params.method == EigenMethod::kFiltered) {
        const auto make_work = [](std::ptrdiff_t count) { return std::vector<T>(static_cast<std::size_t>(count)); };
        T lower = T(0);
        T upper = T(0);
        matrix.spectrum_bounds(&lower, &upper);
        const auto largest = detail::largest_eigenvalue(tall, multiply, basis, n, params.seed);
        detail::filtered_lanczos(tall, multiply, params, basis, n, largest.upper_bound, static_cast<double>(upper),
                                 make_work, info, iterations);
        info.product_seconds = multiply.seconds();
    } else {
        info.solver = detail::direct_lanczos(tall, multiply, params, basis, n, iterations);
        info.product_seconds = multiply.seconds();
    }
    detail::finish_pairs(tall, multiply, params, basis, n, values, residuals, info);
    if (info.solver.converged) {
        monitor.report(1.0);
    }
    return info;
}

template <class T>
double estimate_lambda_max(const SymmetricOperator<T>& matrix, std::uint64_t seed) {
    Product<T> multiply(matrix);
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
