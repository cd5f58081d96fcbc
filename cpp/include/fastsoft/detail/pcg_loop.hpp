// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "fastsoft/core/host_device.hpp"
#include "fastsoft/core/monitor.hpp"
#include "fastsoft/core/solver_info.hpp"
#include "fastsoft/pcg.hpp"

namespace fastsoft::detail {

// 0 for a column that waits, and for a direction that ends its column.
FASTSOFT_HD double step_length(bool active, double rz, double pq) {
    return active && pq > 0.0 && rz > 0.0 ? rz / pq : 0.0;
}

template <class System>
void pcg_step(System& system, const std::vector<char>& active, const std::vector<double>& rz,
              std::vector<double>& alpha, std::vector<double>& next_rz, std::vector<double>& rr) {
    if constexpr (requires { system.step(active, rz, alpha, next_rz, rr); }) {
        system.step(active, rz, alpha, next_rz, rr);
    } else {
        system.product(next_rz);  // has not been made yet: room for p.q
        for (std::size_t c = 0; c < alpha.size(); ++c) {
            alpha[c] = step_length(active[c] != 0, rz[c], next_rz[c]);
        }
        system.advance(alpha, next_rz, rr);
    }
}

// Preconditioned conjugate gradients (Hestenes and Stiefel 1952; Barrett et al. 1994, fig. 2.5) for several
// independent systems A x_c = b_c that share their products, c = 0..n_columns-1. The vectors live in `system`, which
// knows nothing of the iteration; this loop knows nothing of where they live. A System offers, with one number per
// column in every std::vector<double>:
//
//   n_columns()
//   residual(rr)             r = b - A x,                                          rr = r.r
//   start(rz)                p = M r,                                              rz = r.p
//   product(pq)              q = A p,                                              pq = p.q
//   advance(alpha, rz, rr)   x += alpha p, r -= alpha q,                           rz = r.(M r), rr = r.r
//   direct(beta)             p = M r + beta p
//   keep(c, alpha)           saved_c = x_c - alpha p_c, the iterate before the last step
//   restore(c)               x_c = saved_c
//
// A System whose scalars are where the host would have to wait for them has in place of product and advance
//
//   step(active, rz, alpha, next_rz, rr)     product, alpha_c = step_length(active_c, rz_c, (p.q)_c), advance
//
// norm_b: ||b_c||; a column is done when ||b - A x|| <= tolerance * ||b||. A done column waits with alpha = beta = 0
// for the others. The residual of conjugate gradients does not fall monotonically, so on failure the best iterate is
// returned, not the last. A direction with p.Ap <= 0 (A or M not positive definite) ends its column.
template <class System>
std::vector<SolverInfo> pcg_loop(System& system, const std::vector<double>& norm_b, const PcgParams& params,
                                 Monitor& monitor) {
    const std::size_t n_columns = system.n_columns();
    std::vector<double> target(n_columns);
    for (std::size_t c = 0; c < n_columns; ++c) {
        target[c] = params.tolerance * norm_b[c];
        target[c] *= target[c];
    }
    std::vector<double> rr(n_columns), rz(n_columns), next_rz(n_columns);
    std::vector<double> alpha(n_columns), beta(n_columns);
    std::vector<char> active(n_columns), saved(n_columns, 0);
    std::vector<SolverInfo> info(n_columns);

    system.residual(rr);
    const std::vector<double> initial = rr;
    std::vector<double> best = rr;
    double reported = 0.0;
    const auto activate = [&] {
        bool any = false;
        for (std::size_t c = 0; c < n_columns; ++c) {
            info[c].converged = rr[c] <= target[c];
            active[c] = !info[c].converged;
            any = any || active[c];
        }
        return any;
    };
    // Share of the way from the first residual to the tolerance, on a logarithmic scale, of the slowest column.
    const auto report = [&] {
        double fraction = 1.0;
        for (std::size_t c = 0; c < n_columns; ++c) {
            if (active[c] && initial[c] > target[c] && target[c] > 0.0 && rr[c] > 0.0) {
                fraction = std::min(fraction, std::log(initial[c] / rr[c]) / std::log(initial[c] / target[c]));
            }
        }
        reported = std::clamp(fraction, reported, 1.0);
        monitor.report(reported);
    };

    bool any_active = activate();
    bool exact_residual = true;
    if (any_active) {
        system.start(rz);
    }
    for (int iteration = 0; any_active && iteration < params.max_iterations; ++iteration) {
        const std::vector<double> previous = rr;
        pcg_step(system, active, rz, alpha, next_rz, rr);
        any_active = false;
        bool any_finished = false;
        for (std::size_t c = 0; c < n_columns; ++c) {
            if (!active[c] || alpha[c] == 0.0) {
                active[c] = 0;
                beta[c] = 0.0;
                continue;
            }
            ++info[c].iterations;
            if (rr[c] < best[c]) {
                best[c] = rr[c];
                saved[c] = 0;
            } else if (!saved[c] && previous[c] <= best[c]) {
                system.keep(c, alpha[c]);
                saved[c] = 1;
            }
            beta[c] = next_rz[c] / rz[c];
            if (rr[c] <= target[c]) {
                info[c].converged = true;
                active[c] = 0;
                any_finished = true;
            }
            any_active = any_active || active[c];
        }
        rz = next_rz;
        exact_residual = false;
        if (any_active) {
            system.direct(beta);
        } else if (any_finished && params.verify) {
            // The updated residual drifts from b - A x; where that has not arrived yet, restart from it.
            system.residual(rr);
            exact_residual = true;
            any_active = activate();
            if (any_active) {
                system.start(rz);
            }
        }
        report();
    }
    bool restored = false;
    for (std::size_t c = 0; c < n_columns; ++c) {
        if (!info[c].converged && saved[c]) {
            system.restore(c);
            restored = true;
        }
    }
    if (restored || (params.verify && !exact_residual)) {
        system.residual(rr);
    }
    for (std::size_t c = 0; c < n_columns; ++c) {
        if (params.verify) {
            info[c].converged = rr[c] <= target[c];
        }
        info[c].residual = norm_b[c] > 0.0 ? std::sqrt(rr[c]) / norm_b[c] : 0.0;
    }
    return info;
}

}  // namespace fastsoft::detail
