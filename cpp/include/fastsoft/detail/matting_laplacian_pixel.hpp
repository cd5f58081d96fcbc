// SPDX-License-Identifier: MIT
#pragma once

#include "fastsoft/core/host_device.hpp"

// Arithmetic of the matting affinity at one window and at one pixel. Real is double, or a GCC vector of doubles that
// holds neighbouring columns; everything is passed by reference because vectors wider than the machine's registers
// have no stable calling convention.
namespace fastsoft::detail {

// Position of the pair (p, p + (dr, dc)) among the stored half of the neighbourhood: p itself, then what follows it in
// row-major order. Radius 1 gives the order of kStencilRowOffset.
template <int Radius>
FASTSOFT_HD constexpr int matting_plane(int dr, int dc) {
    return dr == 0 ? dc : 2 * Radius + 1 + (dr - 1) * (4 * Radius + 1) + dc + 2 * Radius;
}

template <int Radius>
inline constexpr int kMattingPlanes = ((4 * Radius + 1) * (4 * Radius + 1) + 1) / 2;

// Mean colour of a window and the factors of its regularised covariance,
//     Sigma + epsilon / n = L D L',  L unit lower triangular with entries lower[0..2] = L10, L20, L21.
// A window that is not wholly inside the image is all zeros and so contributes nothing.
template <class Real>
struct MattingWindow {
    Real mean[3];
    Real lower[3];
    Real inverse_pivot[3];
    Real inside;
};

// colour[i] is the colour of the i-th of the n = (2 Radius + 1)^2 pixels.
//
// The factors rather than the inverse, for accuracy: at a sharp edge between two flat areas the covariance has
// condition number 1e7, and multiplying by its explicit inverse cancels terms of 1e8; two triangular solves do not.
template <int Radius, class Real>
FASTSOFT_HD void matting_window(const Real (&colour)[(2 * Radius + 1) * (2 * Radius + 1)][3], double epsilon,
                                MattingWindow<Real>& out) {
    constexpr int n = (2 * Radius + 1) * (2 * Radius + 1);
    constexpr double share = 1.0 / n;
    FASTSOFT_UNROLL(4)
    for (int k = 0; k < 3; ++k) {
        Real sum = colour[0][k];
        FASTSOFT_UNROLL(64)
        for (int i = 1; i < n; ++i) {
            sum += colour[i][k];
        }
        out.mean[k] = sum * share;
    }
    // Biased covariance of centred colours: xx xy xz yy yz zz.
    Real cov[6] = {};
    FASTSOFT_UNROLL(64)
    for (int i = 0; i < n; ++i) {
        const Real x = colour[i][0] - out.mean[0];
        const Real y = colour[i][1] - out.mean[1];
        const Real z = colour[i][2] - out.mean[2];
        cov[0] += x * x;
        cov[1] += x * y;
        cov[2] += x * z;
        cov[3] += y * y;
        cov[4] += y * z;
        cov[5] += z * z;
    }
    const double ridge = epsilon * share;
    const Real xx = cov[0] * share + ridge;
    const Real xy = cov[1] * share;
    const Real xz = cov[2] * share;
    const Real yy = cov[3] * share + ridge;
    const Real yz = cov[4] * share;
    const Real zz = cov[5] * share + ridge;

    // Every pivot is at least the smallest eigenvalue, which is at least the ridge; rounding can only fake less.
    const Real least = Real{} + ridge;
    out.inverse_pivot[0] = 1.0 / xx;
    out.lower[0] = xy * out.inverse_pivot[0];
    out.lower[1] = xz * out.inverse_pivot[0];
    Real pivot1 = yy - out.lower[0] * xy;
    pivot1 = pivot1 > least ? pivot1 : least;
    out.inverse_pivot[1] = 1.0 / pivot1;
    const Real rest = yz - out.lower[1] * xy;
    out.lower[2] = rest * out.inverse_pivot[1];
    Real pivot2 = zz - out.lower[1] * xz - out.lower[2] * rest;
    pivot2 = pivot2 > least ? pivot2 : least;
    out.inverse_pivot[2] = 1.0 / pivot2;
    out.inside = Real{} + 1.0;
}

// The stored half of one row of n W, n the pixels of a window.
//
// With d_p = I_p - mean and v = (Sigma + epsilon / n)^-1 d_p, a window that holds p and q adds
//     1 + d_p' (Sigma + epsilon / n)^-1 d_q = [1 + v . d_p] + v . (I_q - I_p).
// The bracket and v do not depend on q, so windows are summed first and each q costs one scalar product; taking
// colours relative to I_p keeps every term small. Windows that hold both p and q = p + (dr, dc) have their centres at
// rows dr - Radius .. Radius and columns dc - Radius .. Radius (or -Radius .. dc + Radius) from p: adding window rows
// from the bottom up, and within them columns from either end, meets each of these rectangles once.
//
// own: I_p. load_window(a, b, window): window centred at p + (a, b). load_colour(dr, dc, colour): I_q.
// emit(plane, value): receives n W[p, q].
template <int Radius, class Real, class LoadWindow, class LoadColour, class Emit>
FASTSOFT_HD void matting_pixel(const Real (&own)[3], const LoadWindow& load_window, const LoadColour& load_colour,
                               const Emit& emit) {
    constexpr int kSide = 2 * Radius + 1;
    // Per window column: v (three numbers) and the bracket, summed over the window rows met so far.
    Real column[kSide][4] = {};
    FASTSOFT_UNROLL(16)
    for (int dr = 2 * Radius; dr >= 0; --dr) {
        FASTSOFT_UNROLL(16)
        for (int b = 0; b < kSide; ++b) {
            MattingWindow<Real> window;
            load_window(dr - Radius, b - Radius, window);
            const Real d0 = own[0] - window.mean[0];
            const Real d1 = own[1] - window.mean[1];
            const Real d2 = own[2] - window.mean[2];
            // v = L^-T D^-1 L^-1 d
            const Real f1 = d1 - window.lower[0] * d0;
            const Real f2 = d2 - window.lower[1] * d0 - window.lower[2] * f1;
            const Real v2 = f2 * window.inverse_pivot[2];
            const Real v1 = f1 * window.inverse_pivot[1] - window.lower[2] * v2;
            const Real v0 = d0 * window.inverse_pivot[0] - window.lower[0] * v1 - window.lower[1] * v2;
            column[b][0] += v0;
            column[b][1] += v1;
            column[b][2] += v2;
            column[b][3] += window.inside + v0 * d0 + v1 * d1 + v2 * d2;
        }
        Real sum[4] = {};
        const auto emit_pair = [&](int dc) {
            Real other[3];
            load_colour(dr, dc, other);
            emit(matting_plane<Radius>(dr, dc),
                 sum[3] + sum[0] * (other[0] - own[0]) + sum[1] * (other[1] - own[1]) + sum[2] * (other[2] - own[2]));
        };
        FASTSOFT_UNROLL(16)
        for (int dc = 2 * Radius; dc >= 0; --dc) {
            FASTSOFT_UNROLL(4)
            for (int k = 0; k < 4; ++k) {
                sum[k] += column[dc][k];
            }
            emit_pair(dc);
        }
        if (dr > 0) {
            FASTSOFT_UNROLL(4)
            for (int k = 0; k < 4; ++k) {
                sum[k] = Real{};
            }
            FASTSOFT_UNROLL(16)
            for (int dc = -2 * Radius; dc < 0; ++dc) {
                FASTSOFT_UNROLL(4)
                for (int k = 0; k < 4; ++k) {
                    sum[k] += column[dc + 2 * Radius][k];
                }
                emit_pair(dc);
            }
        }
    }
}

}  // namespace fastsoft::detail
