// SPDX-License-Identifier: MIT
#pragma once

#include "fastsoft/core/view.hpp"
#include "fastsoft/cuda/context.hpp"
#include "fastsoft/detail/value_range_block.hpp"

namespace fastsoft::cuda {

// What checks of arguments ask of an array on a device, of float, double or std::int32_t: one pass over it, then waits
// for the stream.
template <class T>
detail::ValueRange value_range(const Context& context, const View<const T, 3>& values);

}  // namespace fastsoft::cuda
