// SPDX-License-Identifier: MIT
#pragma once

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "fastsoft/core/error.hpp"
#include "fastsoft/detail/lanczos_loop.hpp"
#include "fastsoft/lanczos.hpp"

// What stands before and after the iteration, over the same Tall as detail/lanczos_loop.hpp and an
// Apply(x, y, count, factors = {}) that multiplies with A itself (ProductFactors).
namespace fastsoft::detail {

inline void check_eigenvectors(const LanczosParams& params, std::ptrdiff_t n) {
    FASTSOFT_EXPECTS(
        params.n_eigenvectors >= 1 && params.n_basis > params.n_eigenvectors &&
            params.n_basis % params.block_size == 0 && params.n_basis + params.block_size <= n,
        "n_basis must be a multiple of block_size above n_eigenvectors with n_basis + block_size <= n, got ",
        params.n_basis);
}

// Rayleigh-Ritz on the span of the first k rows with A itself: removes what rounding in B left, restores
// orthonormality, and gives eigenvalues to second order in the error of the vectors.
template <class T, class Tall, class Apply>
void rayleigh_ritz(const Tall& tall, Apply& apply, T* v, T* scratch, std::ptrdiff_t n, std::ptrdiff_t k,
                   std::ptrdiff_t block, double* values) {
    SmallMatrix projected(k, k);
    SmallMatrix gram(k, k);
    for (std::ptrdiff_t first = 0; first < k; first += block) {
        const std::ptrdiff_t count = std::min(block, k - first);
        SmallMatrix part(k, count);
        apply(v + first * n, scratch, count);
        tall.project(v, k, scratch, count, n, part.data());
        projected.middleCols(first, count) = part;
        tall.project(v, k, v + first * n, count, n, part.data());
        gram.middleCols(first, count) = part;
    }
    const Eigen::MatrixXd a = 0.5 * (projected + projected.transpose());
    const Eigen::MatrixXd b = 0.5 * (gram + gram.transpose());
    const Eigen::GeneralizedSelfAdjointEigenSolver<Eigen::MatrixXd> eig(a, b);
    FASTSOFT_EXPECTS(eig.info() == Eigen::Success, "operator must be finite and symmetric: Rayleigh-Ritz failed");
    const SmallMatrix q = eig.eigenvectors();
    tall.rotate(v, k, n, q.data(), k);
    std::copy(eig.eigenvalues().data(), eig.eigenvalues().data() + k, values);
}

// kDirect: block Lanczos on lambda_max - A.
template <class T, class Tall, class Apply>
SolverInfo direct_lanczos(const Tall& tall, Apply& apply, const LanczosParams& params, T* basis, std::ptrdiff_t n,
                          Monitor& monitor) {
    Target target;
    target.map = Target::Map::kNegative;
    target.shift = params.lambda_max;
    target.scale = params.lambda_max;
    const ProductFactors<T> factors{T(-1), static_cast<T>(params.lambda_max), T(0)};
    auto reversed = [&](const T* in, T* out, std::ptrdiff_t count) { apply(in, out, count, factors); };
    BlockLanczos<T, Tall, decltype(reversed)> loop(tall, basis, n, params.n_eigenvectors, params.block_size,
                                                   params.n_basis, params.seed, target, reversed);
    return loop.run(params.tolerance, params.max_restarts, monitor);
}

// Turns the basis' first k rows into the eigenvectors that are returned, and finds what they are worth.
template <class T, class Tall, class Apply>
void finish_pairs(const Tall& tall, Apply& apply, const LanczosParams& params, T* basis, std::ptrdiff_t n,
                  double* values, double* residuals, LanczosInfo& info) {
    const std::ptrdiff_t k = params.n_eigenvectors;
    const std::ptrdiff_t block = params.block_size;
    T* const scratch = basis + k * n;
    rayleigh_ritz(tall, apply, basis, scratch, n, k, block, values);
    tall.fix_signs(basis, k, n);
    double worst = 0.0;
    for (std::ptrdiff_t first = 0; first < k; first += block) {
        const std::ptrdiff_t count = std::min(block, k - first);
        apply(basis + first * n, scratch, count);
        tall.residual_norms(scratch, basis + first * n, values + first, count, n, residuals + first);
        worst = std::max(worst, *std::max_element(residuals + first, residuals + first + count));
    }
    info.solver.residual = worst / params.lambda_max;
    info.solver.converged = info.solver.converged && info.solver.residual <= params.tolerance;
}

// The largest eigenvalue from a few Lanczos steps.
struct LargestEigenvalue {
    double estimate = 0.0;     // from below, right to a few per cent
    double upper_bound = 0.0;  // what it hardly exceeds: estimate and last residual (Zhou and Li, Lin. Alg. Appl. 2011)
};

constexpr std::ptrdiff_t kEstimateSteps = 16;

// work: kEstimateSteps + 1 vectors.
template <class T, class Tall, class Apply>
LargestEigenvalue largest_eigenvalue(const Tall& tall, Apply& apply, T* work, std::ptrdiff_t n, std::uint64_t seed) {
    const std::ptrdiff_t steps = std::min<std::ptrdiff_t>(kEstimateSteps, n);
    SmallMatrix h = SmallMatrix::Zero(steps, steps);
    const auto normalise = [&](T* x) {
        double square = 0.0;
        tall.gram(x, 1, n, &square);
        const double norm = std::sqrt(square);
        const double inverse = norm > 0.0 ? 1.0 / norm : 0.0;
        tall.transform(x, 1, n, &inverse);
        return norm;
    };
    tall.fill_normal(work, 1, n, seed, 0);
    normalise(work);
    std::ptrdiff_t m = 0;
    double last = 0.0;
    while (m < steps) {
        T* const w = work + (m + 1) * n;
        apply(work + m * n, w, 1);
        SmallMatrix c(m + 1, 1);
        tall.project(work, m + 1, w, 1, n, c.data());
        tall.project_out(work, m + 1, w, 1, n, c.data(), nullptr);
        h.block(0, m, m + 1, 1) = c;
        h.block(m, 0, 1, m + 1) = c.transpose();
        ++m;
        const double scale = h.topLeftCorner(m, m).norm();
        last = normalise(w);
        if (last <= 1e3 * std::numeric_limits<T>::epsilon() * scale) {
            break;
        }
    }
    const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> eig(h.topLeftCorner(m, m));
    const double estimate = eig.eigenvalues()[m - 1];
    return {estimate, estimate + last};
}

}  // namespace fastsoft::detail
