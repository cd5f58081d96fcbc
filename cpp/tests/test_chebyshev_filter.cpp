// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "check.hpp"
#include "fastsoft/core/tall_matrix.hpp"
#include "fastsoft/detail/chebyshev_filter.hpp"

// On diagonal matrices, whose eigenvalues are known.
namespace {

using fastsoft::TallCpu;
namespace detail = fastsoft::detail;

struct Diagonal {
    std::vector<double> values;

    void operator()(const double* x, double* y, std::ptrdiff_t count,
                    const fastsoft::ProductFactors<double>& factors = {}) const {
        const auto n = static_cast<std::ptrdiff_t>(values.size());
        for (std::ptrdiff_t i = 0; i < n * count; ++i) {
            const double kept = factors.y == 0.0 ? 0.0 : factors.y * y[i];
            y[i] = (factors.product * values[static_cast<std::size_t>(i % n)] + factors.x) * x[i] + kept;
        }
    }
    std::ptrdiff_t size() const { return static_cast<std::ptrdiff_t>(values.size()); }
};

// Eigenvalues first..last in equal steps.
Diagonal even_spectrum(std::ptrdiff_t n, double first, double last) {
    Diagonal matrix;
    for (std::ptrdiff_t i = 0; i < n; ++i) {
        matrix.values.push_back(first + (last - first) * static_cast<double>(i) / static_cast<double>(n - 1));
    }
    return matrix;
}

std::vector<double> workspace(const Diagonal& matrix, std::ptrdiff_t n_vectors) {
    return std::vector<double>(static_cast<std::size_t>(n_vectors * matrix.size()), NAN);
}

TEST(chebyshev_filter_is_the_polynomial) {
    Diagonal matrix = even_spectrum(40, -0.3, 2.0);
    const TallCpu<double> tall;
    for (const int degree : {1, 3, 9}) {
        auto work = workspace(matrix, 2);
        detail::ChebyshevFilter<double, TallCpu<double>, Diagonal> filter(tall, matrix, work.data(), 40, degree, 0.1,
                                                                          2.0);
        const std::vector<double> ones(80, 1.0);
        std::vector<double> out(80, NAN);
        filter(ones.data(), out.data(), 2);
        for (std::size_t i = 0; i < 80; ++i) {
            const double x = (1.05 - matrix.values[i % 40]) / 0.95;
            const double expected = x > 1.0 ? std::cosh(degree * std::acosh(x)) : std::cos(degree * std::acos(x));
            CHECK(std::abs(out[i] - expected) <= 1e-13 * std::max(1.0, std::abs(expected)));
        }
    }
}

TEST(spectrum_count_of_an_even_spectrum) {
    Diagonal matrix = even_spectrum(4000, 0.0, 1.0);
    const TallCpu<double> tall;
    auto work = workspace(matrix, 2 * detail::kCountVectors);
    // 1.3 k + 8 of 4000 in equal steps; five standard deviations of the estimate are 5 sqrt(2 / 8 * count).
    for (const std::ptrdiff_t k : {10, 100, 400}) {
        const auto plan = detail::plan_filter<double>(tall, matrix, work.data(), 4000, k, 1.02, 5.0, 7);
        const double count = 1.3 * static_cast<double>(k) + 8.0;
        CHECK(std::abs(plan.cut * 4000.0 - count) <= 2.5 * std::sqrt(count) + 0.05 * count);
        CHECK(plan.middle < plan.cut && plan.middle > 0.0);
        CHECK_EQUAL(plan.high, 1.02);
        CHECK(plan.low >= -1e-3);
    }
}

TEST(spectrum_count_finds_eigenvalues_outside_of_the_bounds) {
    Diagonal matrix = even_spectrum(2000, 0.0, 1.0);
    const TallCpu<double> tall;
    auto work = workspace(matrix, 2 * detail::kCountVectors);
    matrix.values[1999] = 1.4;
    auto plan = detail::plan_filter<double>(tall, matrix, work.data(), 2000, 50, 1.02, 1.6, 7);
    CHECK_EQUAL(plan.high, 1.6);
    matrix.values[1999] = 1.0;
    matrix.values[0] = -0.2;
    plan = detail::plan_filter<double>(tall, matrix, work.data(), 2000, 50, 1.02, 1.6, 7);
    CHECK_EQUAL(plan.high, 1.02);
    CHECK(plan.low <= -0.2 && plan.low >= -0.85);
}

TEST(filter_degree_is_bounded_by_the_deepest_eigenvalue) {
    detail::FilterPlan plan;
    plan.high = 1.0;
    plan.cut = 0.001;
    plan.middle = 0.0004;
    const int free = detail::filter_degree(plan, 1e6);
    CHECK_EQUAL(free % 2, 1);
    CHECK(std::abs(free * std::acosh(1.0 + 2.0 * 0.0006 / 0.999) - 2.5) <= 0.06);
    plan.low = -0.1;
    const int bounded = detail::filter_degree(plan, 1e6);
    CHECK_EQUAL(bounded % 2, 1);
    CHECK(bounded < free);
    CHECK(std::cosh((bounded - 2) * std::acosh(1.0 + 2.0 * 0.101 / 0.999)) <= 1e6);
}

TEST(filtered_values_count_as_found_only_above_all_others) {
    detail::Target target;
    target.map = detail::Target::Map::kFilter;
    target.spread = 3.0;
    CHECK_EQUAL(target.relative_residual(1.5, 0.25), 1.5);
    for (const double theta : {1.0, 0.9, -1.0, -7.0}) {
        CHECK_EQUAL(target.relative_residual(theta, 0.25), HUGE_VAL);
        CHECK_EQUAL(target.relative_residual(theta, 0.0), HUGE_VAL);
        CHECK(target.too_few(theta));
    }
    CHECK(!target.too_few(1.5));
}

// A plan may be wrong: too few eigenvalues below the cut, or some above `high`. Then it is made again.
TEST(filtered_lanczos_mends_its_plan) {
    constexpr std::ptrdiff_t n = 3000;
    const TallCpu<double> tall;
    fastsoft::SilentMonitor monitor;
    fastsoft::LanczosParams params;
    params.n_eigenvectors = 20;
    params.block_size = 16;
    params.n_basis = 64;
    params.max_restarts = 60;
    params.tolerance = 1e-6;
    params.lambda_max = 1.4;
    detail::FilterPlan good;
    good.cut = 0.0115;
    good.high = 1.4;
    good.middle = 0.0035;
    good.low = -1e-6;
    detail::FilterPlan low = good;
    low.cut = 0.0055;
    low.middle = 0.003;
    detail::FilterPlan narrow = good;
    narrow.high = 1.0;
    int degree_of_good = 0;
    for (const detail::FilterPlan& plan : {good, low, narrow}) {
        Diagonal matrix = even_spectrum(n, 0.0, 1.0);
        matrix.values[n - 1] = 1.4;
        auto basis = workspace(matrix, params.n_basis + params.block_size);
        auto work = workspace(matrix, params.block_size);
        fastsoft::LanczosInfo info;
        detail::run_filtered_lanczos<double>(tall, matrix, params, basis.data(), n, plan, 1.4, work.data(), info,
                                             monitor);
        CHECK(info.solver.converged);
        CHECK(plan.cut > 0.011 ? info.cut == plan.cut : info.cut > 0.0067);
        degree_of_good = degree_of_good == 0 ? info.degree : degree_of_good;
        CHECK(plan.cut < 0.011 || info.degree == degree_of_good);  // which `high` has its share in
        // The wanted eigenvectors are the unit vectors of the first 20 components.
        for (std::ptrdiff_t v = 0; v < 20; ++v) {
            double inside = 0.0;
            for (std::ptrdiff_t i = 0; i < 20; ++i) {
                inside += std::pow(basis[static_cast<std::size_t>(v * n + i)], 2);
            }
            CHECK(std::abs(inside - 1.0) <= 1e-6);
        }
    }
}

// A cut below which fewer eigenvalues lie than are wanted is noticed, and not taken for convergence.
TEST(filtered_lanczos_notices_a_cut_that_is_too_low) {
    Diagonal matrix = even_spectrum(3000, 0.0, 1.0);
    const TallCpu<double> tall;
    const std::ptrdiff_t k = 20;
    auto work = workspace(matrix, 16);
    auto basis = workspace(matrix, 64);
    fastsoft::SilentMonitor monitor;
    for (const double cut : {0.005, 0.01}) {  // 15 and 30 eigenvalues below
        detail::ChebyshevFilter<double, TallCpu<double>, Diagonal> filter(tall, matrix, work.data(), 3000, 31, cut,
                                                                          1.0);
        detail::Target target;
        target.map = detail::Target::Map::kFilter;
        target.patience = 20;
        detail::BlockLanczos<double, TallCpu<double>, decltype(filter)> loop(tall, basis.data(), 3000, k, 16, 48, 0,
                                                                             target, filter);
        const auto info = loop.run(1e-6, 60, monitor);
        CHECK(info.converged == (cut > 0.008));
        CHECK(loop.has_too_few() == (cut < 0.008));
    }
}

}  // namespace
