// SPDX-License-Identifier: MIT
#pragma once

#include <vector>

#include "fastsoft/core/monitor.hpp"
#include "fastsoft/core/solver_info.hpp"
#include "fastsoft/detail/pcg_loop.hpp"
#include "fastsoft/relax.hpp"

namespace fastsoft::detail {

// The reweighted rounds and the last solve. A System is one of detail/pcg_loop.hpp with a single column that has
// besides, each of which returns the norm of the right-hand side,
//
//   reweight(clamp)      weights at the present x, and the system that follows from them
//   drop_sparsity()      the last system, close to the present x
//
// before_final_solve() is called between the rounds and the last solve.
template <class T, class System, class Before>
std::vector<SolverInfo> relax_loop(System& system, const RelaxParams& params, Monitor& monitor,
                                   Before&& before_final_solve) {
    // The final solve takes about as long as three rounds.
    const double n_steps = params.n_iterations + (params.final_solve ? 3.0 : 0.0);
    PcgParams solver{params.tolerance, params.max_cg_iterations, false};
    std::vector<SolverInfo> info;
    for (int round = 0; round < params.n_iterations; ++round) {
        SubMonitor step(monitor, round / n_steps, (round + 1) / n_steps);
        const double norm_b = system.reweight(static_cast<T>(params.clamp));
        info.push_back(pcg_loop(system, {norm_b}, solver, step).front());
    }
    before_final_solve();
    if (params.final_solve) {
        SubMonitor step(monitor, params.n_iterations / n_steps, 1.0);
        solver.max_iterations = params.max_final_iterations;
        const double norm_b = system.drop_sparsity();
        info.push_back(pcg_loop(system, {norm_b}, solver, step).front());
    }
    return info;
}

}  // namespace fastsoft::detail
