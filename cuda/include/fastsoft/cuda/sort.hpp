// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

#include "fastsoft/cuda/context.hpp"
#include "fastsoft/detail/sort_block.hpp"

// Prefix sums and sorting of arrays on a device, in the order of the context's stream; they do not wait.
namespace fastsoft::cuda {

// out[i] = sum of in[0 .. i), i = 0 .. count. Workspace: 8 bytes per 2048 elements.
void prefix_sums(const Context& context, const std::int32_t* in, std::ptrdiff_t count, std::int64_t* out);

// Sorts stably by keys, all below n_keys; the result is in `data`, since the two are exchanged on the way. At most
// 2^31 - 1 elements. Workspace: 192 bytes per 2048 elements. Five launches per 4 bits of n_keys.
void sort_by_key(const Context& context, detail::KeyedValues& data, detail::KeyedValues& spare, std::ptrdiff_t count,
                 std::ptrdiff_t n_keys);

}  // namespace fastsoft::cuda
