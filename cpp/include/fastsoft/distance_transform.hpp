// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

namespace fastsoft {

// Exact Euclidean distance of every pixel to the nearest pixel of a set, by the two passes of
// A. Meijster, J. B. T. M. Roerdink, W. H. Hesselink, "A general algorithm for computing distance transforms in linear
// time", Mathematical Morphology and its Applications to Image and Signal Processing, 2000: distances along columns,
// then per row the lower envelope of the parabolas that they stand for.
//
// mask (n_rows, n_cols): non-zero where a pixel belongs to the set. out (n_rows, n_cols): the correctly rounded square
// root of the exact squared distance, so that comparisons with an integer radius are exact; infinite everywhere if the
// set is empty. At most 2^30 rows and columns.
//
// All arithmetic before the root is in integers: same bits for any number of threads.
void distance_transform(const std::uint8_t* mask, std::ptrdiff_t n_rows, std::ptrdiff_t n_cols, double* out);

}  // namespace fastsoft
