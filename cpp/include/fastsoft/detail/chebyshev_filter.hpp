// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numbers>
#include <vector>

#include "fastsoft/core/error.hpp"
#include "fastsoft/core/monitor.hpp"
#include "fastsoft/detail/eigenpairs.hpp"

// Block Lanczos on a polynomial of A, for devices on which products are cheap and factorisations are not: the
// polynomial spreads the wanted end of the spectrum and levels the rest, so that few vectors have to be kept and made
// orthogonal (Saad, Math. Comp. 42, 1984; Zhou and Saad, SIAM J. Matrix Anal. Appl. 29, 2007; Li, Xi, Vecharynski, Yang
// and Saad, SIAM J. Sci. Comput. 38, 2016).
namespace fastsoft::detail {

// p(A) for the Chebyshev polynomial of the first kind, mapped so that cut..high becomes 1..-1: it lies in -1..1 there
// and grows below the cut. Odd degrees: eigenvalues above `high`, should there be any, show as theta below -1.
template <class T, class Tall, class Apply>
class ChebyshevFilter {
public:
    // work: a block.
    ChebyshevFilter(const Tall& tall, Apply& apply, T* work, std::ptrdiff_t n, int degree, double cut, double high)
        : tall_(tall),
          apply_(apply),
          spare_(work),
          n_(n),
          degree_(degree),
          centre_(0.5 * (cut + high)),
          half_(0.5 * (high - cut)) {}

    void operator()(const T* in, T* out, std::ptrdiff_t count) {
        // Odd members of the recurrence are made in `out`, even ones beside it.
        step(1.0, in, T(0), out, count);
        if (degree_ > 1) {
            tall_.copy(in, count * n_, spare_);
        }
        for (int j = 2; j <= degree_; ++j) {
            if (j % 2 == 0) {
                step(2.0, out, T(-1), spare_, count);
            } else {
                step(2.0, spare_, T(-1), out, count);
            }
        }
    }

private:
    // z = factor (centre - A) / half x + c z
    void step(double factor, const T* x, T c, T* z, std::ptrdiff_t count) {
        apply_(x, z, count,
               ProductFactors<T>{static_cast<T>(-factor / half_), static_cast<T>(factor * centre_ / half_), c});
    }

    const Tall& tall_;
    Apply& apply_;
    T* spare_;
    std::ptrdiff_t n_;
    int degree_;
    double centre_;
    double half_;
};

// Numbers of eigenvalues below a value, from moments of the spectrum against Chebyshev polynomials: the kernel
// polynomial method with random vectors and Jackson's damping (Weisse, Wellein, Alvermann and Fehske, Rev. Mod. Phys.
// 78, 2006; Di Napoli, Polizzi and Saad, Numer. Linear Algebra Appl. 23, 2016).
class SpectrumCount {
public:
    // moments[j]: mean over the spectrum of cos(j phi), where phi runs from 0 at low to pi at high.
    SpectrumCount(std::vector<double> moments, double low, double high, std::ptrdiff_t n)
        : moments_(std::move(moments)), low_(low), high_(high), n_(n) {}

    double below_angle(double phi) const {
        const auto count = static_cast<double>(moments_.size()) + 1.0;
        double sum = phi * moments_[0];
        for (std::size_t j = 1; j < moments_.size(); ++j) {
            const double angle = std::numbers::pi * static_cast<double>(j) / count;
            const double damping = ((count - static_cast<double>(j)) * std::cos(angle) +
                                    std::sin(angle) / std::tan(std::numbers::pi / count)) /
                                   count;
            sum += 2.0 * damping * moments_[j] * std::sin(static_cast<double>(j) * phi) / static_cast<double>(j);
        }
        return static_cast<double>(n_) * sum / std::numbers::pi;
    }

    // The angle with so many eigenvalues below. Jackson's kernel is positive, so the count rises.
    double angle_with_below(double count) const {
        double left = 0.0;
        double right = std::numbers::pi;
        for (int i = 0; i < 40; ++i) {
            const double middle = 0.5 * (left + right);
            (below_angle(middle) < count ? left : right) = middle;
        }
        return right;
    }

    double value(double phi) const { return low_ + (high_ - low_) * 0.5 * (1.0 - std::cos(phi)); }

    // Width of the kernel there, by which counts are smeared.
    double width(double phi) const {
        return 0.5 * (high_ - low_) * std::sin(phi) * std::numbers::pi / static_cast<double>(moments_.size());
    }

private:
    std::vector<double> moments_;
    double low_;
    double high_;
    std::ptrdiff_t n_;
};

// What the filter is made of.
struct FilterPlan {
    double cut = 0.0;
    double high = 0.0;
    double low = 0.0;
    double middle = 0.0;            // about half of the wanted eigenvalues lie below
    std::ptrdiff_t n_products = 0;  // vectors multiplied to find out
};

// Finds a cut with about 1.3 k + 8 eigenvalues below. The number of products of the method that follows hardly depends
// on it (docs/eigensolvers.md), but fewer than k would be wrong. With 8 random vectors the count's standard deviation
// is half the root of the count.
// work: two blocks of kCountVectors. `high` is raised to `safe_high` should eigenvalues lie above.
constexpr std::ptrdiff_t kCountVectors = 8;

template <class T, class Tall, class Apply>
FilterPlan plan_filter(const Tall& tall, Apply& apply, T* work, std::ptrdiff_t n, std::ptrdiff_t k, double high,
                       double safe_high, std::uint64_t seed) {
    constexpr int kCheckEvery = 16;
    constexpr int kMaxProducts = 768;
    // Kernel widths between the cut and the middle of the wanted eigenvalues.
    constexpr double kResolved = 1.2;
    // Streams of random numbers that the iteration does not reach.
    constexpr std::uint64_t kStream = std::uint64_t{1} << 40;
    const double wanted = std::min(1.3 * static_cast<double>(k) + 8.0, 0.9 * static_cast<double>(n));
    const std::ptrdiff_t size = kCountVectors * n;
    T* here = work;
    T* before = work + size;
    FilterPlan plan;
    plan.high = high;
    // A share of the spectrum below 0 that does not count, widened while eigenvalues prove to lie lower.
    double below = 1e-6 * high;
    const auto dots = [&](const T* x, const T* y) {
        double parts[kCountVectors];
        tall.dots(x, y, kCountVectors, n, parts);
        double sum = 0.0;
        for (const double part : parts) {
            sum += part;
        }
        return sum;
    };
    for (int attempt = 0;; ++attempt) {
        FASTSOFT_EXPECTS(attempt < 32, "operator must be finite and symmetric: its spectrum could not be bounded");
        plan.low = -below;
        const double centre = 0.5 * (plan.low + plan.high);
        const double half = 0.5 * (plan.high - plan.low);
        const auto step = [&](double factor, const T* x, T c, T* z) {
            apply(x, z, kCountVectors,
                  ProductFactors<T>{static_cast<T>(-factor / half), static_cast<T>(factor * centre / half), c});
            plan.n_products += kCountVectors;
        };
        tall.fill_normal(before, kCountVectors, n, seed, kStream);
        step(1.0, before, T(0), here);
        const double total = dots(before, before);
        std::vector<double> moments{1.0, dots(here, before) / total};
        double growth = 0.0;  // with its sign: at which end eigenvalues lie outside
        for (int j = 1; growth == 0.0; ++j) {
            // here = T_j, before = T_(j-1): T_2j = 2 T_j^2 - 1 and T_(2j+1) = 2 T_(j+1) T_j - T_1.
            moments.push_back(2.0 * dots(here, here) / total - 1.0);
            step(2.0, here, T(-1), before);
            std::swap(here, before);
            moments.push_back(2.0 * dots(here, before) / total - moments[1]);
            for (const double moment : {moments[moments.size() - 2], moments.back()}) {
                if (!(std::abs(moment) <= 1.05)) {
                    growth = moments.back() < 0.0 ? -1.0 : 1.0;
                }
            }
            if (growth == 0.0 && (j % kCheckEvery == 0 || j == kMaxProducts)) {
                const SpectrumCount count(moments, plan.low, plan.high, n);
                const double phi = count.angle_with_below(wanted);
                plan.cut = count.value(phi);
                plan.middle = count.value(count.angle_with_below(std::max(0.5 * static_cast<double>(k), 1.0)));
                if (plan.cut - plan.middle >= kResolved * count.width(phi) || j == kMaxProducts) {
                    return plan;
                }
            }
        }
        if (growth < 0.0 && plan.high < safe_high) {
            plan.high = safe_high;
        } else {
            below *= 4.0;
        }
    }
}

// Degree at which the polynomial is cosh(2.5), about 6, in the middle of the wanted eigenvalues: by measurement, the
// number of products is least there and flat around (docs/eigensolvers.md). Less where eigenvalues lie so far below the
// others that they would be amplified by more than `most`, which costs the others as many digits. Odd.
inline int filter_degree(const FilterPlan& plan, double most) {
    constexpr double kAmplification = 2.5;
    constexpr double kMaxDegree = 4095.0;
    const double half = 0.5 * (plan.high - plan.cut);
    const auto growth = [&](double value) { return std::acosh(1.0 + std::max(plan.cut - value, 1e-12 * half) / half); };
    const double degree = std::min(kAmplification / growth(plan.middle), std::log(2.0 * most) / growth(plan.low));
    return 2 * static_cast<int>(0.5 * std::clamp(degree, 1.0, kMaxDegree)) + 1;
}

// The k smallest eigenpairs by a filter that is made as planned, and again should the plan prove wrong: with more room
// below the cut, or above the largest eigenvalue up to safe_bound. work: a block.
template <class T, class Tall, class Apply>
void run_filtered_lanczos(const Tall& tall, Apply& apply, const LanczosParams& params, T* basis, std::ptrdiff_t n,
                          FilterPlan plan, double safe_bound, T* work, LanczosInfo& info, Monitor& monitor) {
    constexpr int kAttempts = 6;
    constexpr int kPatience = 20;
    // Rounding in products is relative to what is amplified most, and has to stay below the tolerance.
    const auto epsilon = static_cast<double>(std::numeric_limits<T>::epsilon());
    const double most = std::clamp(0.02 * params.tolerance / epsilon, 30.0, 0.1 / std::sqrt(epsilon));
    const std::ptrdiff_t k = params.n_eigenvectors;
    const std::ptrdiff_t block = params.block_size;
    info.n_products = plan.n_products;
    Target target;
    target.map = Target::Map::kFilter;
    target.scale = params.lambda_max;
    target.patience = kPatience;
    for (int attempt = 1;; ++attempt) {
        info.degree = filter_degree(plan, most);
        info.cut = plan.cut;
        target.spread = (plan.high - plan.low) / params.lambda_max;
        ChebyshevFilter<T, Tall, Apply> filter(tall, apply, work, n, info.degree, plan.cut, plan.high);
        BlockLanczos<T, Tall, decltype(filter)> loop(tall, basis, n, k, block, params.n_basis, params.seed, target,
                                                     filter);
        const SolverInfo found = loop.run(params.tolerance, params.max_restarts, monitor);
        info.n_products += found.iterations * block * info.degree;
        info.solver.converged = found.converged;
        info.solver.iterations += found.iterations;
        info.solver.residual = found.residual;
        const bool above = loop.lowest_theta() < -1.5 && plan.high < safe_bound;
        if (attempt == kAttempts || !(above || (!found.converged && loop.has_too_few()))) {
            return;
        }
        if (above) {
            plan.high = safe_bound;
        } else {
            plan.cut = std::min(2.0 * plan.cut - plan.middle, 0.5 * (plan.cut + plan.high));
        }
    }
}

// The same with a plan of its own. upper_bound: what the largest eigenvalue hardly exceeds; safe_bound: what it never
// does (Gershgorin's). Allocates with make_work(count), which returns something with data().
template <class T, class Tall, class Apply, class MakeWork>
void filtered_lanczos(const Tall& tall, Apply& apply, const LanczosParams& params, T* basis, std::ptrdiff_t n,
                      double upper_bound, double safe_bound, MakeWork&& make_work, LanczosInfo& info,
                      Monitor& monitor) {
    FilterPlan plan;
    {
        auto work = make_work(2 * kCountVectors * n);
        plan = plan_filter<T>(tall, apply, work.data(), n, params.n_eigenvectors,
                              std::min(1.01 * upper_bound, safe_bound), safe_bound, params.seed);
    }
    monitor.report(0.0);
    auto work = make_work(params.block_size * n);
    run_filtered_lanczos<T>(tall, apply, params, basis, n, plan, safe_bound, work.data(), info, monitor);
}

}  // namespace fastsoft::detail
