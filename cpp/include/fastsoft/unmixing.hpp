// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>

#include "fastsoft/core/cuda_context.hpp"
#include "fastsoft/core/view.hpp"

namespace fastsoft {

// The full-resolution part of fastsoft's network for layers of homogeneous colour: what is done at every pixel with the
// coefficients that the network's convolutions leave at half the resolution. python/fastsoft/color/network_layers.py
// does the same in torch for training.
//
// With c the photograph's colour and p_i the palette's n colours, and coefficients interpolated bilinearly (pixels are
// squares; beyond the first and last coefficient the nearest one holds),
//
//     z_i   = A_i . c + b_i - |c - p_i|^2 / scale
//     alpha = P(z),  then `steps` times  alpha = P(alpha + p . (c - sum_j alpha_j p_j) / stiffness)
//
// where P is the projection on {x >= 0, sum x = 1} (sparsemax of Martins and Astudillo, "From Softmax to Sparsemax",
// ICML 2016), whose threshold Newton's method finds in at most n rounds, and
//
//     e       = c - sum_j alpha_j (p_j + o_j)
//     color_i = clamp(p_i + o_i + g_i alpha_i e / sum_j alpha_j^2, 0, 1).
//
// image is (H, W, 3) and a part of the photograph; palette is (n, 3). coefficients are (h, w, n, 4): A and b for
// alphas, o and g for colours. Pixel (0, 0) of the image lies at pixel `origin`, even in both directions, of the area
// that the coefficients cover with 2x2 pixels each. alphas are (H, W, n), colors (H, W, n, 3). All with any strides.
// Outputs must not overlap inputs.
//
// Every pixel is computed by itself: same bits for any number of threads. Memory: a few kilobytes per thread and layer.
struct Unmixing {
    double scale = 1.0;      // > 0
    double stiffness = 1.0;  // > 0
    std::ptrdiff_t steps = 0;
};

template <class T>
void unmix_alphas(const View<const T, 3>& image, const View<const T, 2>& palette, const View<const T, 4>& coefficients,
                  const std::array<std::ptrdiff_t, 2>& origin, const Unmixing& params, const View<T, 3>& alphas);

template <class T>
void unmix_colors(const View<const T, 3>& image, const View<const T, 2>& palette, const View<const T, 3>& alphas,
                  const View<const T, 4>& coefficients, const std::array<std::ptrdiff_t, 2>& origin,
                  const View<T, 4>& colors);

extern template void unmix_alphas<float>(const View<const float, 3>&, const View<const float, 2>&,
                                         const View<const float, 4>&, const std::array<std::ptrdiff_t, 2>&,
                                         const Unmixing&, const View<float, 3>&);
extern template void unmix_colors<float>(const View<const float, 3>&, const View<const float, 2>&,
                                         const View<const float, 3>&, const View<const float, 4>&,
                                         const std::array<std::ptrdiff_t, 2>&, const View<float, 4>&);
extern template void unmix_alphas<double>(const View<const double, 3>&, const View<const double, 2>&,
                                          const View<const double, 4>&, const std::array<std::ptrdiff_t, 2>&,
                                          const Unmixing&, const View<double, 3>&);
extern template void unmix_colors<double>(const View<const double, 3>&, const View<const double, 2>&,
                                          const View<const double, 3>&, const View<const double, 4>&,
                                          const std::array<std::ptrdiff_t, 2>&, const View<double, 4>&);

namespace cuda {

// On the device of the context, in the order of its stream; all arrays are in its memory. A thread per pixel, whose
// scores are kept where its alphas go; without workspace. Do not wait.
template <class T>
void unmix_alphas(const Context& context, const View<const T, 3>& image, const View<const T, 2>& palette,
                  const View<const T, 4>& coefficients, const std::array<std::ptrdiff_t, 2>& origin,
                  const Unmixing& params, const View<T, 3>& alphas);

template <class T>
void unmix_colors(const Context& context, const View<const T, 3>& image, const View<const T, 2>& palette,
                  const View<const T, 3>& alphas, const View<const T, 4>& coefficients,
                  const std::array<std::ptrdiff_t, 2>& origin, const View<T, 4>& colors);

}  // namespace cuda
}  // namespace fastsoft
