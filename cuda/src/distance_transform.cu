// SPDX-License-Identifier: MIT
#include "fastsoft/distance_transform.hpp"

#include "fastsoft/cuda/launcher.cuh"
#include "fastsoft/cuda/workspace.cuh"
#include "fastsoft/detail/distance_transform_block.hpp"

namespace fastsoft::cuda {
void distance_transform(const Context& context, const View<const std::uint8_t, 2>& mask, double* out) {
    FASTSOFT_EXPECTS(mask.size() > 0, "mask must not be empty");
    const detail::DistanceRun run{mask, out};
    const Workspace<std::int32_t> first(context, static_cast<std::size_t>(run.n_pieces()));
    const Workspace<std::int32_t> last(context, static_cast<std::size_t>(run.n_pieces()));
    const Workspace<std::int32_t> distance(context, static_cast<std::size_t>(run.n_pixels()));
    const Workspace<std::int32_t> nearest(context, static_cast<std::size_t>(run.n_pixels()));
    run.run(first.data(), last.data(), distance.data(), nearest.data(), Launcher{context, "distance_transform"});
}

}  // namespace fastsoft::cuda
