// SPDX-License-Identifier: MIT
#pragma once

#include "fastsoft/core/cuda_context.hpp"
#include "fastsoft/core/view.hpp"

namespace fastsoft {

// Exact recomposition. At every pixel, with alphas a_i >= 0 that sum to 1, layer colours u_i in [0, 1] and the
// photograph's colour c in [0, 1], the colours v_i that
//
//     minimise sum_i |v_i - u_i|^2     subject to  sum_i a_i v_i = c,  0 <= v_i <= 1,
//
// the colour and the box constraint of Aksoy et al., "Unmixing-Based Soft Color Segmentation for Image Manipulation",
// ACM TOG 36(2), 2017, which are Eq. (1) and (3) of Akimoto et al., "Fast Soft Color Segmentation", CVPR 2020. v_i = c
// fulfils both, so there always is a solution. The channels are independent, and in each one
//
//     v_i = clamp(u_i + lambda a_i, 0, 1)
//
// with one number lambda. Where sum a_i u_i < c, lambda is positive and only the bound 1 can be met. It follows in
// rounds: lambda from the layers that are free; those that it takes to the bound are held there, which makes the next
// lambda larger, so that they stay there; at most as many rounds as layers. The other case is its mirror image.
//
// alphas is (H, W, n), colors and out are (H, W, n, 3), image is (H, W, 3), all with any strides; out may be colors,
// but must not overlap the others otherwise. The constraint holds to a few roundings of T, and as closely as the alphas
// sum to 1. Layers whose alpha is 0 keep their colour. Same bits for any number of threads.
//
// Returns what was not as it must be, and leaves out unspecified then.
enum class ProjectColorsFault { none = 0, alphas = 1, colors = 2, image = 3 };

template <class T>
ProjectColorsFault project_colors(const View<const T, 3>& alphas, const View<const T, 4>& colors,
                                  const View<const T, 3>& image, const View<T, 4>& out);

extern template ProjectColorsFault project_colors<float>(const View<const float, 3>&, const View<const float, 4>&,
                                                         const View<const float, 3>&, const View<float, 4>&);
extern template ProjectColorsFault project_colors<double>(const View<const double, 3>&, const View<const double, 4>&,
                                                          const View<const double, 3>&, const View<double, 4>&);

namespace cuda {

// On the device of the context, in the order of its stream; all arrays are in its memory. A thread per pixel; without
// workspace. Waits for the stream, to tell of faults.
template <class T>
ProjectColorsFault project_colors(const Context& context, const View<const T, 3>& alphas,
                                  const View<const T, 4>& colors, const View<const T, 3>& image, const View<T, 4>& out);

}  // namespace cuda
}  // namespace fastsoft
