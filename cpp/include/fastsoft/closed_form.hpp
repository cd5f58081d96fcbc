// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

#include "fastsoft/core/monitor.hpp"
#include "fastsoft/core/solver_info.hpp"
#include "fastsoft/core/view.hpp"

// Closed-form matting with the known pixels eliminated: with the matting Laplacian L of the image, the unknown pixels U
// and the known ones K,
//
//     L_UU alpha_U = -L_UK s_K,    s = 1 where foreground is known, 0 where background is.
//
// A. Levin, D. Lischinski, Y. Weiss, "A closed-form solution to natural image matting", PAMI 30(2), 2008. The paper
// keeps all pixels and adds lambda ||alpha_K - s_K||^2; this is its limit for large lambda, as in PyMatting.
//
// Only the rows of L that belong to unknown pixels are computed. Conjugate gradients in double solve the system, with
// one of two preconditioners, both positive definite whatever the trimap:
//
// direct: a Cholesky factor of L_UU in float along nested dissection (detail/sparse_factor.hpp). Unknown pixels form
//   bands, whose separators are short: about 100 numbers per unknown, hardly more than what incomplete factors with
//   drop tolerance keep. It is exact but for float's rounding, so that two or three iterations suffice. Should rounding
//   make a pivot negative, a small multiple of the identity is added and the factorisation repeated.
// multilevel: Gauss-Seidel and a correction from a coarse space, for systems whose factor would not fit. L_UU hardly
//   resists any alpha that is an affine function of the colours of its surroundings, which no smoother reduces; the
//   coarse space therefore has, in every block of pixels, the four functions 1, red, green and blue (aggregation with
//   the near null space as candidates; Vanek, Mandel, Brezina, "Algebraic multigrid by smoothed aggregation for second
//   and fourth order elliptic problems", Computing 56, 1996, without their smoothing of the prolongation). Its matrix
//   is factorised directly.
namespace fastsoft {

enum class ClosedFormMethod { automatic, direct, multilevel };

struct ClosedFormParams {
    double epsilon = 1e-7;
    double tolerance = 1e-7;  // ||b - L_UU alpha_U|| <= tolerance * ||b||, or rounding of L_UU alpha_U
    int max_iterations = 2000;
    ClosedFormMethod method = ClosedFormMethod::automatic;
    double max_factor_bytes = 1.8e9;  // automatic: direct up to here
};

struct ClosedFormResult {
    SolverInfo info;
    ClosedFormMethod method = ClosedFormMethod::direct;
};

constexpr std::uint8_t kRegionBackground = 0;
constexpr std::uint8_t kRegionUnknown = 1;
constexpr std::uint8_t kRegionForeground = 2;

// image (H, W, 3), at least 3x3; regions (H, W), contiguous; at least one pixel unknown and one known. Then every
// unknown pixel is coupled with a known one, directly or through others: pixels at most 2 apart share a window, so that
// what is coupled with nothing known would have to be surrounded by unknown pixels up to the border on all sides. alpha
// (H, W): its unknown pixels are written, not clamped; the others are left alone. Same bits for any number of threads.
template <class T>
ClosedFormResult closed_form(const View<const T, 3>& image, const std::uint8_t* regions, T* alpha,
                             const ClosedFormParams& params, Monitor& monitor);

}  // namespace fastsoft
