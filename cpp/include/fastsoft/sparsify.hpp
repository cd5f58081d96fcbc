// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "fastsoft/core/cuda_context.hpp"
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

// The pixels that the iteration runs on.
template <class T>
struct SparsifyPixels {
    std::ptrdiff_t n_pixels = 0;
    std::ptrdiff_t n_eigenvectors = 0;
    const T* eigenvectors = nullptr;       // (n_eigenvectors, n_pixels), contiguous
    const T* weights = nullptr;            // (n_pixels), or null for ones
    const std::int32_t* labels = nullptr;  // (n_pixels), or null when start is given
    const T* start = nullptr;              // (n_segments, n_pixels), contiguous
};

// Segments alpha_k = E c_k + offset_k.
struct SegmentCoefficients {
    std::ptrdiff_t n_segments = 0;
    const double* coefficients = nullptr;  // (n_segments, n_eigenvectors), or null for the start
    const double* offsets = nullptr;       // (n_segments)
};

// How alphas become weights of the least squares in an iteration.
template <class T>
struct SparsityWeighting {
    bool flat = true;  // method stable
    T clamp{};
    T exponent{};  // gamma - 2
    T factor{};    // 0.3^gamma
    T peak{};      // factor * clamp^exponent
    T offset{};    // stable: 1/K, what the unknowns are added to
};

// The sums over pixels of an iteration, wherever the pixels are. The iteration itself, with its factorisations of
// k x k matrices, runs on the host. Matrices are in columns; of symmetric ones the lower triangle counts.
template <class T>
class SparsifySums {
public:
    virtual ~SparsifySums() = default;

    // Sets (k, k): E' diag(weights) E.
    virtual void gram(double* sum, Monitor& monitor) = 0;

    // Forms what the next three return.
    virtual void form(const SparsityWeighting<T>& weighting, const SegmentCoefficients& segments, Monitor& monitor) = 0;

    // Adds to (k, k) of a segment: stable, minus the sum of (peak + factor - e0 - e1) e e'; compat, the sum of
    // (e0 + e1) e e'. Called by several threads at a time.
    virtual void add_matrix(std::ptrdiff_t segment, double* sum) const = 0;

    // Adds to (k, K): E'(e1 - (e0 + e1) offset), or compat E' e1.
    virtual void add_right(double* sum) const = 0;

    // compat: adds to (k): E' e0 of the last segment.
    virtual void add_last(double* sum) const = 0;

    // Sets (K): the largest |alpha| of each segment.
    virtual void peaks(const SegmentCoefficients& segments, double* largest, Monitor& monitor) = 0;
};

// The iteration over sums that are formed elsewhere.
template <class T>
SparsifyOutcome sparsify_segments(SparsifySums<T>& sums, std::ptrdiff_t n_eigenvectors, std::ptrdiff_t n_segments,
                                  const double* eigenvalues, const double* constant, const SparsifyParams& params,
                                  Monitor& monitor);

// segments[p, k] = sum_j eigenvectors[j, p] * coefficients[k, j] + offsets[k], any strides of segments (n_pixels, K).
// Returns sum over p and k of |segments|^gamma + |1 - segments|^gamma.
template <class T>
double combine_eigenvectors(View<const T, 2> eigenvectors, const double* coefficients, const double* offsets,
                            double gamma, View<T, 2> segments, Monitor& monitor);

namespace cuda {

// What SparsifySums asks for, on the device of the context, in the order of its stream. Pixels are in its memory;
// coefficients, offsets and all results are in the host's, so every function waits for the stream. Lower triangles
// are packed row by row: entry (i, j) is number i (i + 1) / 2 + j.
//
// Per iteration with n pixels, k eigenvectors and K segments: K n k (k + 1) operations for the matrices, of which
// stable skips pixels within the clamp, and 4 n k K for segments and right-hand sides. Least bytes: the eigenvectors
// once, 4 n k in float32. That is 124 GFLOP and 123 MB for 640x480 pixels, k = 100 and K = 40. Sums are in T within 768
// pixels, in double across them. Workspace: up to 64 MB of partial sums, or those of 768 pixels; 2 K + 1 numbers per
// pixel for at most 196608 pixels at a time.

// sum (k (k + 1) / 2): E' diag(weights) E.
template <class T>
void sparsify_gram(const Context& context, const SparsifyPixels<T>& pixels, double* sum);

// matrices (K, k (k + 1) / 2), right (K, k) and, unless stable, last (k).
template <class T>
void sparsify_sums(const Context& context, const SparsifyPixels<T>& pixels, const SparsityWeighting<T>& weighting,
                   const SegmentCoefficients& segments, double* matrices, double* right, double* last);

// largest (K).
template <class T>
void sparsify_peaks(const Context& context, const SparsifyPixels<T>& pixels, const SegmentCoefficients& segments,
                    double* largest);

// Waits for the stream to read the sum. Least bytes: eigenvectors read once, segments written once.
template <class T>
double combine_eigenvectors(const Context& context, View<const T, 2> eigenvectors, const double* coefficients,
                            const double* offsets, double gamma, View<T, 2> segments, Monitor& monitor);

}  // namespace cuda
}  // namespace fastsoft
