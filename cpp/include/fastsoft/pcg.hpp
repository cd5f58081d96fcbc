// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <functional>
#include <vector>

#include "fastsoft/core/cuda_context.hpp"
#include "fastsoft/core/monitor.hpp"
#include "fastsoft/core/solver_info.hpp"
#include "fastsoft/core/symmetric_operator.hpp"

// Solves A x = b for a symmetric positive definite A and several right-hand sides by preconditioned conjugate
// gradients (Barrett et al., Templates for the Solution of Linear Systems, 1994, section 2.3.1).
//
// Right-hand sides are independent systems: each has its own step lengths and stops by itself at
// ||b - A x|| <= tolerance * ||b|| (2-norm); they share the pass over A. SolverInfo::residual is ||b - A x|| / ||b||,
// computed from x at the end. A right-hand side of zeros has the solution 0, whatever x was.
namespace fastsoft {

struct PcgParams {
    double tolerance = 1e-6;
    int max_iterations = 1000;
    bool verify = true;  // compute b - A x anew before believing that it has arrived
};

// z = M r for n_vectors contiguous vectors, M symmetric positive definite.
template <class T>
using PreconditionerFunction = std::function<void(const T* r, T* z, std::ptrdiff_t n_vectors)>;

// A preconditioner is one of: inverse_diagonal (n numbers, M = diag); a function; neither, M = I.
template <class T>
struct Preconditioner {
    const T* inverse_diagonal = nullptr;
    PreconditionerFunction<T> function;
    // Where the function is to find r and put z, (n_vectors, n) each, if the caller wants to say; devices only.
    T* residuals = nullptr;
    T* preconditioned = nullptr;
};

// b and x are (n_vectors, a.n), contiguous; x holds the first iterate and is overwritten with the solution. Workspace:
// three vectors per right-hand side, one more with a preconditioner function, one more if the residual ever rises.
template <class T>
std::vector<SolverInfo> pcg(const SymmetricOperator<T>& a, const T* b, T* x, std::ptrdiff_t n_vectors,
                            const Preconditioner<T>& preconditioner, const PcgParams& params, Monitor& monitor);

namespace cuda {

// On the device of the context, in the order of its stream; all arrays are in its memory, also those that a
// preconditioner function gets, which must enqueue its work on that stream. Waits for the stream once per iteration and
// four times per solve. Workspace as on the CPU.
template <class T>
std::vector<SolverInfo> pcg(const Context& context, const SymmetricOperator<T>& a, const T* b, T* x,
                            std::ptrdiff_t n_vectors, const Preconditioner<T>& preconditioner, const PcgParams& params,
                            Monitor& monitor);

}  // namespace cuda
}  // namespace fastsoft
