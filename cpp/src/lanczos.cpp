// SPDX-License-Identifier: MIT
#include "fastsoft/lanczos.hpp"

#include <chrono>
#include <memory>

#include "fastsoft/core/error.hpp"
#include "fastsoft/core/parallel.hpp"
#include "fastsoft/core/tall_matrix.hpp"
#include "fastsoft/detail/lanczos_loop.hpp"
#include "fastsoft/detail/sparse_factor.hpp"

namespace fastsoft {
namespace {

using detail::SmallMatrix;

// Rayleigh-Ritz on the span of the first k rows with A itself: removes what rounding in the factorisation left,
// restores orthonormality, and gives eigenvalues to second order in the error of the vectors.
template <class T>
void rayleigh_ritz(const SymmetricOperator<T>& matrix, T* v, T* scratch, std::ptrdiff_t k, std::ptrdiff_t block,
                   double* values) {
    const std::ptrdiff_t n = matrix.n;
    SmallMatrix projected(k, k);
    SmallMatrix gram(k, k);
    for (std::ptrdiff_t first = 0; first < k; first += block) {
        const std::ptrdiff_t count = std::min(block, k - first);
        SmallMatrix part(k, count);
        matrix.apply(v + first * n, scratch, count);
        TallCpu<T>::project(v, k, scratch, count, n, part.data());
        projected.middleCols(first, count) = part;
        TallCpu<T>::project(v, k, v + first * n, count, n, part.data());
        gram.middleCols(first, count) = part;
    }
    const Eigen::MatrixXd a = 0.5 * (projected + projected.transpose());
    const Eigen::MatrixXd b = 0.5 * (gram + gram.transpose());
    const Eigen::GeneralizedSelfAdjointEigenSolver<Eigen::MatrixXd> eig(a, b);
    FASTSOFT_EXPECTS(eig.info() == Eigen::Success, "operator must be finite and symmetric: Rayleigh-Ritz failed");
    const SmallMatrix q = eig.eigenvectors();
    TallCpu<T>::rotate(v, k, n, q.data(), k);
    std::copy(eig.eigenvalues().data(), eig.eigenvalues().data() + k, values);
}

// The component of largest magnitude, the first of equals, becomes positive.
template <class T>
void fix_signs(T* v, std::ptrdiff_t k, std::ptrdiff_t n) {
    parallel_for(k, 1, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
        for (std::ptrdiff_t row = begin; row < end; ++row) {
            T* const x = v + row * n;
            std::ptrdiff_t largest = 0;
            for (std::ptrdiff_t i = 1; i < n; ++i) {
                if (std::abs(x[i]) > std::abs(x[largest])) {
                    largest = i;
                }
            }
            if (x[largest] < T(0)) {
                std::transform(x, x + n, x, [](T value) { return -value; });
            }
        }
    });
}

}  // namespace

template <class T>
LanczosInfo smallest_eigenvectors(const SymmetricOperator<T>& matrix, const LanczosParams& params, T* basis,
                                  double* values, double* residuals, Monitor& user_monitor) {
    RisingMonitor monitor(user_monitor);
    const std::ptrdiff_t n = matrix.n;
    const std::ptrdiff_t k = params.n_eigenvectors;
    const std::ptrdiff_t block = params.block_size;
    FASTSOFT_EXPECTS(
        k >= 1 && params.n_basis > k && params.n_basis % block == 0 && params.n_basis + block <= n,
        "n_basis must be a multiple of block_size above n_eigenvectors with n_basis + block_size <= n, got ",
        params.n_basis);
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
        detail::BlockLanczos<T, TallCpu<T>, decltype(apply)> loop(basis, n, k, block, params.n_basis, params.seed,
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
        target.inverted = true;
        target.shift = info.shift;
        target.n_negative = factor->n_negative();
        auto apply = [&](const T* in, T* out, std::ptrdiff_t count) { factor->solve(in, out, count); };
        run(apply, 0.3);
    } else {
        target.inverted = false;
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
    T* const scratch = basis + k * n;
    rayleigh_ritz(matrix, basis, scratch, k, block, values);
    fix_signs(basis, k, n);
    double worst = 0.0;
    for (std::ptrdiff_t first = 0; first < k; first += block) {
        const std::ptrdiff_t count = std::min(block, k - first);
        matrix.apply(basis + first * n, scratch, count);
        TallCpu<T>::residual_norms(scratch, basis + first * n, values + first, count, n, residuals + first);
        worst = std::max(worst, *std::max_element(residuals + first, residuals + first + count));
    }
    info.solver.residual = worst / params.lambda_max;
    info.solver.converged = info.solver.converged && info.solver.residual <= params.tolerance;
    if (info.solver.converged) {
        monitor.report(1.0);
    }
    return info;
}

template <class T>
double estimate_lambda_max(const SymmetricOperator<T>& matrix, std::uint64_t seed) {
    const std::ptrdiff_t n = matrix.n;
    const std::ptrdiff_t steps = std::min<std::ptrdiff_t>(16, n);
    std::vector<T> v(static_cast<std::size_t>((steps + 1) * n));
    SmallMatrix h = SmallMatrix::Zero(steps, steps);
    const auto normalise = [&](T* x) {
        double square = 0.0;
        TallCpu<T>::gram(x, 1, n, &square);
        const double norm = std::sqrt(square);
        const double inverse = norm > 0.0 ? 1.0 / norm : 0.0;
        TallCpu<T>::transform(x, 1, n, &inverse);
        return norm;
    };
    TallCpu<T>::fill_normal(v.data(), 1, n, seed, 0);
    normalise(v.data());
    std::ptrdiff_t m = 0;
    while (m < steps) {
        T* const w = v.data() + (m + 1) * n;
        matrix.apply(v.data() + m * n, w, 1);
        SmallMatrix c(m + 1, 1);
        TallCpu<T>::project(v.data(), m + 1, w, 1, n, c.data());
        TallCpu<T>::project_out(v.data(), m + 1, w, 1, n, c.data(), nullptr);
        h.block(0, m, m + 1, 1) = c;
        h.block(m, 0, 1, m + 1) = c.transpose();
        ++m;
        const double scale = h.topLeftCorner(m, m).norm();
        if (normalise(w) <= 1e3 * std::numeric_limits<T>::epsilon() * scale) {
            break;
        }
    }
    const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> eig(h.topLeftCorner(m, m));
    return eig.eigenvalues()[m - 1];
}

template LanczosInfo smallest_eigenvectors(const SymmetricOperator<float>&, const LanczosParams&, float*, double*,
                                           double*, Monitor&);
template LanczosInfo smallest_eigenvectors(const SymmetricOperator<double>&, const LanczosParams&, double*, double*,
                                           double*, Monitor&);
template double estimate_lambda_max(const SymmetricOperator<float>&, std::uint64_t);
template double estimate_lambda_max(const SymmetricOperator<double>&, std::uint64_t);

}  // namespace fastsoft
