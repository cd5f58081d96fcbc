// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "fastsoft/core/monitor.hpp"
#include "fastsoft/core/view.hpp"

// Constrained sparsification: soft segments that are linear combinations of eigenvectors of a Laplacian, sum to 1 and
// are as often 0 or 1 as possible. Levin, Rav-Acha, Lischinski 2008 (Spectral Matting), section 4.2; Aksoy et al. 2018,
// Eq. 2. With alpha_k = E y_k + offset_k,
//
//     minimise  sum_k  (2 w / gamma) sum_p |alpha_kp|^gamma + |1 - alpha_kp|^gamma  +  alpha_k' L alpha_k
//     subject to  sum_k alpha_k = 1,                                                        w = 0.3^gamma,
//
// by Newton's method in the form of reweighted least squares: every iteration minimises, with e0 = w |alpha|^(gamma -
// 2) and e1 = w |1 - alpha|^(gamma - 2) at the last iterate, sum_p e0 alpha^2 + e1 (1 - alpha)^2 + alpha' L alpha. That
// is one k x k matrix per segment,
//
//     A_k = E' diag(e0_k + e1_k) E + Lambda,
//
// and the coupling by the constraint, which is one more k x k system (not one of k K unknowns).
//
// Two methods:
//
// compat: the authors' program. alpha_k = E y_k for k < K and alpha_K = 1 - sum of the others, so with s = sum_{k<K}
// y_k
//     A_k y_k + A_K s = E' e1_k + E' e0_K + Lambda E' 1,   k < K;
//     s = sum A_k^-1 (b_k - A_K s), hence (I + M A_K) s = sum A_k^-1 b_k, M = sum_{k<K} A_k^-1.
//   Distances from 0 and 1 count at least `clamp` = 1e-10 in the weights. That makes weights of 1e12, in whose
//   rounding the iteration is chaotic.
//
// stable: treats all segments alike. alpha_k = 1/K + E c_k with sum c_k = 0, so the segments sum to 1 whether or not E
//   spans the constant; with the multiplier m, A_k c_k + m = E'(e1_k - (e0_k + e1_k) / K) - Lambda E'1 / K, and
//     M m = sum A_k^-1 b_k,  M = sum_k A_k^-1.
//   Closer than the clamp, 1e-2, to 0 (or 1) the weights are those of exactly 0 (or 1), which makes e0 + e1 a constant
//   there: A_k is the Gram matrix times it, minus a sum over the few pixels in between. A large clamp is what cures
//   the chaos; lowering it gradually from a larger one was tried and is worse: with a clamp of 0.3 the penalty is
//   nearly quadratic, and its minimum is 1/K everywhere.
//
// Segments that reach prune_threshold nowhere (in absolute value) are dropped after the iterations in prune_after; at
// least one stays.
namespace fastsoft {

enum class SparsifyMethod { stable, compat };

struct SparsifyParams {
    SparsifyMethod method = SparsifyMethod::stable;
    double gamma = 0.8;
    int n_iterations = 40;
    double clamp = 1e-2;
    double prune_threshold = 0.1;
    std::vector<int> prune_after;  // iterations, counted from 1, rising
};

// What the iteration runs on: all pixels, or a sample of them whose weights sum to the number of all.
template <class T>
struct SparsifyInput {
    std::ptrdiff_t n_pixels = 0;
    std::ptrdiff_t n_eigenvectors = 0;
    std::ptrdiff_t n_segments = 0;
    const T* eigenvectors = nullptr;       // (n_eigenvectors, n_pixels), contiguous
    const double* eigenvalues = nullptr;   // (n_eigenvectors)
    const double* constant = nullptr;      // (n_eigenvectors): E' 1 over all pixels
    const T* weights = nullptr;            // (n_pixels), or null for ones
    const std::int32_t* labels = nullptr;  // (n_pixels), in 0..n_segments-1, or null when start is given
    const T* start = nullptr;              // (n_segments, n_pixels), contiguous: the first iterate
};

struct SparsifyOutcome {
    std::ptrdiff_t n_segments = 0;
    std::vector<double> coefficients;  // (n_segments, n_eigenvectors): c_k of alpha_k = E c_k + offset_k
    std::vector<double> offsets;       // (n_segments)
    std::vector<std::ptrdiff_t> kept;  // (n_segments): which of the starting segments these are
    std::vector<std::int32_t> counts;  // (n_iterations): segments at the start of each iteration
};

template <class T>
SparsifyOutcome sparsify_segments(const SparsifyInput<T>& input, const SparsifyParams& params, Monitor& monitor);

// segments[p, k] = sum_j eigenvectors[j, p] * coefficients[k, j] + offsets[k], any strides of segments (n_pixels, K).
// Returns sum over p and k of |segments|^gamma + |1 - segments|^gamma.
template <class T>
double combine_eigenvectors(View<const T, 2> eigenvectors, const double* coefficients, const double* offsets,
                            double gamma, View<T, 2> segments, Monitor& monitor);

}  // namespace fastsoft
