// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

#include "fastsoft/core/cuda_context.hpp"
#include "fastsoft/core/view.hpp"

// The two perceptual errors of an alpha against the true one of C. Rhemann et al., "A perceptually motivated online
// benchmark for image matting", CVPR 2009. Sums over the pixels of a region, with the conventions that are in use
// today: Adobe's program for Deep Image Matting (2017) and that of LSA matting (Wang et al., ICME 2022), which is a
// port of it. What they do differently is a parameter here.
//
// alpha, truth: (H, W), contiguous; region: the same shape, non-zero where a pixel counts. Sums are taken in double
// over fixed chunks in a fixed order: same bits for any number of threads.
namespace fastsoft {

// Sum over the region of (|grad alpha| - |grad truth|)^2. The gradient is the derivative of a Gaussian of standard
// deviation `sigma`, cut off at half_size pixels and divided by the 2-norm of the two-dimensional kernel; pixels
// outside repeat the nearest edge pixel. Magnitudes are multiplied by the scales, which stretch an alpha to the range
// [0, 1]. half_size is 1..4; region may be empty (null data): everywhere.
template <class T>
double gradient_error(const View<const T, 2>& alpha, const View<const T, 2>& truth,
                      const View<const std::uint8_t, 2>& region, double sigma, int half_size, double alpha_scale,
                      double truth_scale);

// Sum over the region of |phi(alpha) - phi(truth)|, phi(x) = 1 - d [d >= 0.15], d = x - l. With Omega_k the largest
// 4-connected component of {alpha >= k/10 and truth >= k/10}, l is (k - 1)/10 for the smallest k = 1..10 for which the
// pixel is not in Omega_k, and 1 if it is in all of them. Of components of one size the one that is met first in row
// order is taken.
//
// skip_empty: a level k at which no pixel passes the threshold assigns no l, as in the program of LSA matting;
// otherwise Omega_k is the empty set.
template <class T>
double connectivity_error(const T* alpha, const T* truth, const std::uint8_t* region, std::ptrdiff_t n_rows,
                          std::ptrdiff_t n_cols, bool skip_empty);

namespace cuda {

// On the device of the context, in the order of its stream, for whose end it waits; arrays of any strides in its
// memory. Connected components are the CPU's only.
template <class T>
double gradient_error(const Context& context, const View<const T, 2>& alpha, const View<const T, 2>& truth,
                      const View<const std::uint8_t, 2>& region, double sigma, int half_size, double alpha_scale,
                      double truth_scale);

}  // namespace cuda
}  // namespace fastsoft
