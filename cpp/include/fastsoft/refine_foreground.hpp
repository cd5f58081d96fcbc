// SPDX-License-Identifier: MIT
#pragma once

#include "fastsoft/core/cuda_context.hpp"
#include "fastsoft/core/monitor.hpp"
#include "fastsoft/core/view.hpp"

namespace fastsoft {

// Multi-scale refinement of the colours of a foreground F with alpha a, "RF" of Wang et al., "Improving Deep Image
// Matting via Local Smoothness Assumption", ICME 2022, Algorithm 2: colours of transparent pixels, which say nothing,
// are replaced by smooth continuations of those that do. Per channel it decreases
//
//     1/2 sum_i ( a_i^2 (F'_i - F_i)^2 + kappa (1 - a_i)^2 sum_{j in N4(i)} (F'_i - F'_j)^2 )
//
// by the update, with q_i = (1 - a_i)^2 and w_ij = kappa (q_i + q_j),
//
//     F'_i = (a_i (aF)_i + sum_j w_ij F'_j) / (a_i^2 + sum_j w_ij),
//
// on n_scales levels s = n_scales-1 .. 0 of size (H >> s, W >> s), with iterations * 2^s updates of all pixels each. a
// and the product aF are resized from full resolution to each level, and F' from one level to the next, bilinearly with
// half-pixel centres and without antialiasing; the first F' is F. The neighbours of a border pixel are mirrored at it,
// so that the inner one counts twice. An axis of one pixel has that pixel for neighbours. The result is cut to [0, 1].
//
// We deviate from the authors' program in two points: levels are at least one pixel (theirs ends below 2^(n_scales-1)
// pixels), and the order of updates may be chosen. `jacobi` is theirs: all pixels from the state before. `red_black`
// updates the pixels of either colour of a chequerboard in turn, which converges about twice as fast and needs one copy
// of the colours.
//
// Blocks of opaque pixels with opaque neighbours are computed once per level, since they do not change any more.
//
// foreground and out are (H, W, 3), alpha is (H, W), all with any strides and in [0, 1]; out must not overlap the
// others. Workspace: at most 11 numbers per pixel. Same bits for any number of threads.
enum class RefineOrder { red_black = 0, jacobi = 1 };

struct RefineForegroundParams {
    double kappa = 1.0;
    int n_scales = 6;
    int iterations = 20;
    RefineOrder order = RefineOrder::red_black;
};

template <class T>
void refine_foreground(const View<const T, 3>& foreground, const View<const T, 2>& alpha, const View<T, 3>& out,
                       const RefineForegroundParams& params, Monitor& monitor);

extern template void refine_foreground<float>(const View<const float, 3>&, const View<const float, 2>&,
                                              const View<float, 3>&, const RefineForegroundParams&, Monitor&);
extern template void refine_foreground<double>(const View<const double, 3>&, const View<const double, 2>&,
                                               const View<double, 3>&, const RefineForegroundParams&, Monitor&);

namespace cuda {

// On the device of the context, in the order of its stream, for which it does not wait: the monitor learns what is
// enqueued. All arrays are in its memory. Workspace: 10 numbers per pixel.
template <class T>
void refine_foreground(const Context& context, const View<const T, 3>& foreground, const View<const T, 2>& alpha,
                       const View<T, 3>& out, const RefineForegroundParams& params, Monitor& monitor);

}  // namespace cuda
}  // namespace fastsoft
