// SPDX-License-Identifier: MIT
#include "fastsoft/cuda/sort.hpp"

#include <limits>

#include "fastsoft/cuda/launch.cuh"
#include "fastsoft/cuda/workspace.cuh"

namespace fastsoft::cuda {
namespace {

template <class Block>
__global__ void __launch_bounds__(Block::kThreads) sort_kernel(typename Block::Arguments arguments) {
    run_block<Block>(arguments);
}

struct Launch {
    const Context& context;

    template <class Block>
    void operator()(const typename Block::Arguments& arguments) const {
        launch<Block>(context, sort_kernel<Block>, "sort_kernel", arguments);
    }
};

std::size_t prefix_tiles(std::ptrdiff_t count) {
    return static_cast<std::size_t>(divide_up(count, detail::PrefixTile::kTile));
}

}  // namespace

void prefix_sums(const Context& context, const std::int32_t* in, std::ptrdiff_t count, std::int64_t* out) {
    const Workspace<std::int64_t> partial(context, prefix_tiles(count));
    detail::prefix_sums(Launch{context}, {in, count, partial.data(), out});
}

void sort_by_key(const Context& context, detail::KeyedValues& data, detail::KeyedValues& spare, std::ptrdiff_t count,
                 std::ptrdiff_t n_keys) {
    FASTSOFT_EXPECTS(count <= std::numeric_limits<std::int32_t>::max(),
                     "at most 2147483647 elements can be sorted, got ", count);
    const std::ptrdiff_t n_counts = detail::radix_counts(count);
    const Workspace<std::int32_t> tile_counts(context, static_cast<std::size_t>(n_counts));
    const Workspace<std::int64_t> partial(context, prefix_tiles(n_counts));
    const Workspace<std::int64_t> begins(context, static_cast<std::size_t>(n_counts + 1));
    detail::sort_by_key(Launch{context}, data, spare, count, n_keys,
                        {tile_counts.data(), partial.data(), begins.data()});
}

}  // namespace fastsoft::cuda
