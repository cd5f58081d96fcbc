// SPDX-License-Identifier: MIT
#pragma once

#include "fastsoft/core/cuda_context.hpp"
#include "fastsoft/core/view.hpp"

namespace fastsoft {

// Gradient magnitude of an image with the separable 13-tap derivative filters of Farid and Simoncelli,
// "Differentiation of Discrete Multidimensional Signals", IEEE TIP 13(4), 2004. With prefilter p and derivative d,
//
//     gx = p over rows, d over columns     gy = d over rows, p over columns
//     out[r, c] = sqrt(sum over channels of gx^2 + gy^2)
//
// image is (H, W, C) with any strides and at least one element per axis; pixels outside repeat the nearest edge pixel.
// out is (H, W), C-contiguous. The magnitude is per pixel step: a ramp that rises by 1 from column to column has
// magnitude 1 (but for the four digits of the taps).
//
// Every output pixel is computed from the image alone in a fixed order: same bits for any number of threads.
template <class T>
void image_gradient(const View<const T, 3>& image, T* out);

extern template void image_gradient<float>(const View<const float, 3>&, float*);
extern template void image_gradient<double>(const View<const double, 3>&, double*);

namespace cuda {

// On the device of the context, in the order of its stream; image and out are in its memory.
template <class T>
void image_gradient(const Context& context, const View<const T, 3>& image, T* out);

}  // namespace cuda
}  // namespace fastsoft
