// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

#include "fastsoft/core/cuda_context.hpp"
#include "fastsoft/core/monitor.hpp"
#include "fastsoft/core/solver_info.hpp"
#include "fastsoft/core/symmetric_operator.hpp"

// The k algebraically smallest eigenpairs of a symmetric matrix A, which may be indefinite, by the thick-restart block
// Lanczos method (Wu and Simon, SIAM J. Matrix Anal. Appl. 22, 2000; block shift-invert as in Grimes, Lewis and Simon,
// SIAM J. Matrix Anal. Appl. 15, 1994) with full reorthogonalisation.
//
// kShiftInvert works on (A - shift I)^-1, factorised once by nested dissection (detail/sparse_factor.hpp). The shift
// should lie near the lower end of the spectrum; the factorisation counts the eigenvalues below it, so none of those
// can be missed. kDirect works on A itself and needs nothing but products; for the ill-conditioned Laplacians of
// photographs it is slower by orders of magnitude and meant for matrices that cannot be factorised. kFiltered works on
// a Chebyshev polynomial of A (detail/chebyshev_filter.hpp), chosen from an estimate of the spectrum: products only,
// too, but far fewer vectors to keep orthogonal. It is the method for devices; docs/eigensolvers.md compares them. Both
// can miss copies of an eigenvalue that is repeated more often than a block has vectors.
//
// Every returned pair is checked: residual || A v - lambda v || of unit vectors, relative to lambda_max.
namespace fastsoft {

enum class EigenMethod { kShiftInvert, kDirect, kFiltered };

struct LanczosParams {
    std::ptrdiff_t n_eigenvectors = 100;
    std::ptrdiff_t block_size = 16;
    std::ptrdiff_t n_basis = 0;  // vectors kept before a restart, a multiple of block_size; > n_eigenvectors
    double tolerance = 1e-5;     // on the residual, relative to lambda_max
    double shift = 0.0;          // kShiftInvert
    bool lower_shift =
        false;  // multiply the (negative) shift by 3 while more than max_negative eigenvalues lie below it
    std::ptrdiff_t max_negative = 0;
    double lambda_max = 1.0;  // kDirect: an upper bound; kShiftInvert: an estimate, for the tolerance
    int max_restarts = 50;
    std::uint64_t seed = 0;
    EigenMethod method = EigenMethod::kShiftInvert;
    std::ptrdiff_t n_grid_rows = 0;  // 0: no grid known
    std::ptrdiff_t n_grid_cols = 0;
};

struct LanczosInfo {
    SolverInfo solver;   // iterations = operator products or solves with a block; residual = largest, relative
    double shift = 0.0;  // that was used
    std::ptrdiff_t n_below_shift = 0;  // eigenvalues below the shift (kShiftInvert)
    std::size_t factor_bytes = 0;
    double factor_flops = 0.0;
    double factor_seconds = 0.0;
    double product_seconds = 0.0;   // solves with the factor, or products; 0 on a device, which is not waited for
    int degree = 0;                 // kFiltered: of the polynomial
    double cut = 0.0;               // kFiltered: eigenvalues below are amplified
    std::ptrdiff_t n_products = 0;  // kFiltered: vectors multiplied with A
};

// basis: (n_basis + block_size, n) workspace; its first n_eigenvectors rows return the eigenvectors, unit, sign fixed
// so that the component of largest magnitude is positive. values and residuals: n_eigenvectors each, ascending.
// Progress never falls, and reaches 1 only if the pairs converged: without that, the caller may have more to do.
template <class T>
LanczosInfo smallest_eigenvectors(const SymmetricOperator<T>& matrix, const LanczosParams& params, T* basis,
                                  double* values, double* residuals, Monitor& monitor);

// Largest eigenvalue from a few Lanczos steps: a lower bound, right to a few per cent.
template <class T>
double estimate_lambda_max(const SymmetricOperator<T>& matrix, std::uint64_t seed);

namespace cuda {

// The same on a device, where the operator's arrays and the basis are; values and residuals are on the host. block_size
// is at most 16, and the method not kShiftInvert. Waits for the stream.
template <class T>
LanczosInfo smallest_eigenvectors(const Context& context, const SymmetricOperator<T>& matrix,
                                  const LanczosParams& params, T* basis, double* values, double* residuals,
                                  Monitor& monitor);

template <class T>
double estimate_lambda_max(const Context& context, const SymmetricOperator<T>& matrix, std::uint64_t seed);

}  // namespace cuda

}  // namespace fastsoft
