// SPDX-License-Identifier: MIT
#pragma once

#include <vector>

#include "fastsoft/core/cuda_context.hpp"
#include "fastsoft/core/monitor.hpp"
#include "fastsoft/core/solver_info.hpp"
#include "fastsoft/core/symmetric_operator.hpp"
#include "fastsoft/core/view.hpp"

// Relaxed sparsification: layers alpha_i, one free value per pixel and layer, that stay close to given layers
// alpha^_i, follow the Laplacian L and are sparse where the image is smooth. Aksoy et al. 2018, section 3.4, Eqs. 7-17.
//
// Energy (Eq. 11): sum_i alpha_i' L alpha_i + ||alpha_i - alpha^_i||^2 + lambda ||1 - sum_i alpha_i||^2
//                  + sum_ip |alpha_ip|^g_p + |1 - alpha_ip|^g_p,      g_p = min(gamma + gradient_p, 1).
// Every round replaces the last term by the quadratic with weights u = max(|a|, clamp)^(g - 2) and
// v = max(|1 - a|, clamp)^(g - 2) at the last iterate a (Eq. 15) and solves (Eq. 17)
//
//     (L + I + D_u + D_v) alpha_i + lambda sum_j alpha_j = alpha^_i + v_i + lambda 1,    i = 1..n.
//
// As in the authors' program, and not in the paper: alpha^ is the input with values below `threshold` set to 0 and
// above 1 - threshold to 1, divided by the sum over the layers; and one last system without the sparsity terms
// (D_u = D_v = v = 0) is solved, with the last iterate in place of alpha^.
//
// Deviations: (1) the conjugate gradients are preconditioned by the n x n block of each pixel, a diagonal plus lambda
// times the matrix of ones, whose inverse has a closed form; lambda = 100 is what makes the plain system
// ill-conditioned. 3 to 6 iterations instead of 17 to 31. (2) Where thresholding leaves nothing of a pixel, its largest
// layer gets it (the program would divide by 0).
namespace fastsoft {

struct RelaxParams {
    int n_iterations = 20;
    double gamma = 0.9;
    double sum_weight = 100.0;
    double clamp = 1e-2;
    double threshold = 0.1;
    double tolerance = 5e-7;  // of each solve: ||b - A x|| <= tolerance * ||b||
    int max_cg_iterations = 100;
    int max_final_iterations = 1000;
    bool final_solve = true;
};

// segments: (H, W, n). gradient: (H, W), not negative. laplacian.n = H * W. before_final_solve and result: (H, W, n),
// any strides; before_final_solve may be an empty view. Returns what happened in each solve, n_iterations of them and
// the final one. Workspace: seven numbers per pixel and layer. Same bits for any number of threads.
template <class T>
std::vector<SolverInfo> relax_segments(View<const T, 3> segments, const SymmetricOperator<T>& laplacian,
                                       View<const T, 2> gradient, const RelaxParams& params,
                                       View<T, 3> before_final_solve, View<T, 3> result, Monitor& monitor);

namespace cuda {

// On the device of the context, in the order of its stream; all arrays are in its memory. Waits for the stream once per
// iteration of conjugate gradients and three times per solve, once more where the best iterate is not the last.
// Workspace: seven numbers per pixel and layer and two per pixel; one more per pixel and layer if a residual rises.
template <class T>
std::vector<SolverInfo> relax_segments(const Context& context, View<const T, 3> segments,
                                       const SymmetricOperator<T>& laplacian, View<const T, 2> gradient,
                                       const RelaxParams& params, View<T, 3> before_final_solve, View<T, 3> result,
                                       Monitor& monitor);

}  // namespace cuda
}  // namespace fastsoft
