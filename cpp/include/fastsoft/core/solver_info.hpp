// SPDX-License-Identifier: MIT
#pragma once

namespace fastsoft {

// What every iterative solver returns; the Python side raises ConvergenceError unless converged.
struct SolverInfo {
    bool converged = false;
    int iterations = 0;
    double residual = 0.0;  // in the norm and scale that the solver's header states
};

}  // namespace fastsoft
