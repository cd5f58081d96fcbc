// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

#include "fastsoft/core/view.hpp"
#include "fastsoft/cuda/context.hpp"

// What operations on pixels in planes make of their arguments.
namespace fastsoft::cuda {

// out (n_planes, count) = values[pixels[i], j], converted to T; pixels (count) are in host memory, or null for all. The
// pixels must exist.
template <class S, class T>
void pixel_planes(const Context& context, const View<const S, 2>& values, const std::int64_t* pixels,
                  std::ptrdiff_t count, T* out);

// sums (n_rows), in host memory: of rows (n_rows, length), added in double. Waits for the stream.
template <class T>
void row_sums(const Context& context, const T* rows, std::ptrdiff_t n_rows, std::ptrdiff_t length, double* sums);

}  // namespace fastsoft::cuda
