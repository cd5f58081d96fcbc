// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

#include "fastsoft/core/cuda_context.hpp"
#include "fastsoft/core/view.hpp"

namespace fastsoft {

// Exact Euclidean distance of every pixel to the nearest pixel of a set, by the two passes of
// A. Meijster, J. B. T. M. Roerdink, W. H. Hesselink, "A general algorithm for computing distance transforms in linear
// time", Mathematical Morphology and its Applications to Image and Signal Processing, 2000: distances along columns,
// then per row the lower envelope of the parabolas that they stand for.
//
// mask (H, W), C-contiguous: non-zero where a pixel belongs to the set. out (H, W), C-contiguous: the correctly rounded
// square root of the exact squared distance, so that comparisons with an integer radius are exact; infinite everywhere
// if the set is empty. At most 2^30 rows and columns.
//
// All arithmetic before the root is in integers: same bits for any number of threads, and on a device.
void distance_transform(const View<const std::uint8_t, 2>& mask, double* out);

namespace cuda {

// On the device of the context, in the order of its stream, for which it does not wait; mask, of any strides, and out
// are in its memory. The envelope of a row is found by bisection: the nearest column never moves left from one pixel to
// the next. Workspace: 8 bytes per pixel and 8 per 32 of them.
void distance_transform(const Context& context, const View<const std::uint8_t, 2>& mask, double* out);

}  // namespace cuda

}  // namespace fastsoft
