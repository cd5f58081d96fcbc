// SPDX-License-Identifier: MIT
#include "fastsoft/distance_transform.hpp"

#include <type_traits>

#include "fastsoft/cuda/launch.cuh"
#include "fastsoft/cuda/workspace.cuh"
#include "fastsoft/detail/distance_transform_block.hpp"

namespace fastsoft::cuda {
namespace {

template <class Block>
__global__ void __launch_bounds__(Block::kThreads) distance_transform_kernel(typename Block::Arguments arguments) {
    run_block<Block>(arguments);
}

}  // namespace

void distance_transform(const Context& context, const View<const std::uint8_t, 2>& mask, double* out) {
    FASTSOFT_EXPECTS(mask.size() > 0, "mask must not be empty");
    const detail::DistanceRun run{mask, out};
    const Workspace<std::int32_t> first(context, static_cast<std::size_t>(run.n_pieces()));
    const Workspace<std::int32_t> last(context, static_cast<std::size_t>(run.n_pieces()));
    const Workspace<std::int32_t> distance(context, static_cast<std::size_t>(run.n_pixels()));
    const Workspace<std::int32_t> nearest(context, static_cast<std::size_t>(run.n_pixels()));
    run.run(first.data(), last.data(), distance.data(), nearest.data(),
            [&]<class Block>(std::type_identity<Block>, const typename Block::Arguments& arguments) {
                launch<Block>(context, distance_transform_kernel<Block>, "distance_transform_kernel", arguments);
            });
}

}  // namespace fastsoft::cuda
