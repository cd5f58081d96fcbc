// SPDX-License-Identifier: MIT
#include "fastsoft/cuda/sort.hpp"

#include <limits>

#include "fastsoft/cuda/launcher.cuh"
#include "fastsoft/cuda/workspace.cuh"

namespace fastsoft::cuda {
namespace {

std::size_t n_partial(std::ptrdiff_t n) {
    return static_cast<std::size_t>(detail::n_prefix_tiles(n) + 1);
}

}  // namespace

void prefix_sums(const Context& context, const std::int32_t* in, std::ptrdiff_t count, std::int64_t* out) {
    const Workspace<std::int64_t> partial(context, n_partial(count + 1));
    detail::prefix_sums<detail::CountsBefore>(Launcher{context, "prefix_sums"}, {{count + 1, in, out}, partial.data()});
}

void sort_by_key(const Context& context, detail::KeyedValues& data, detail::KeyedValues& spare, std::ptrdiff_t count,
                 std::ptrdiff_t n_keys) {
    FASTSOFT_EXPECTS(count <= std::numeric_limits<std::int32_t>::max(),
                     "at most 2147483647 elements can be sorted, got ", count);
    const std::ptrdiff_t n_counts = detail::radix_counts(count);
    const Workspace<std::int32_t> tile_counts(context, static_cast<std::size_t>(n_counts));
    const Workspace<std::int64_t> begins(context, static_cast<std::size_t>(n_counts + 1));
    const Workspace<std::int64_t> partial(context, n_partial(n_counts + 1));
    detail::sort_by_key(Launcher{context, "sort_by_key"}, data, spare, count, n_keys,
                        {tile_counts.data(), begins.data(), partial.data()});
}

}  // namespace fastsoft::cuda
