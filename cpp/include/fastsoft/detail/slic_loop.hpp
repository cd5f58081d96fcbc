// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "fastsoft/core/monitor.hpp"
#include "fastsoft/detail/slic_pixel.hpp"
#include "fastsoft/slic.hpp"

// The iteration of SLIC over a System that knows where pixels and clusters live.
namespace fastsoft::detail {

// A grid of about n_segments seeds in the middle of equal cells, near squares where the picture allows.
inline SlicGrid slic_grid(std::ptrdiff_t n_rows, std::ptrdiff_t n_cols, std::ptrdiff_t n_segments) {
    const auto height = static_cast<double>(n_rows);
    const auto width = static_cast<double>(n_cols);
    const auto wanted = static_cast<double>(n_segments);
    const auto down = std::clamp(std::round(std::sqrt(wanted * height / width)), 1.0, std::min(height, wanted));
    const auto across = std::clamp(std::round(wanted / down), 1.0, width);
    return {n_rows,        n_cols,        static_cast<std::ptrdiff_t>(down), static_cast<std::ptrdiff_t>(across),
            height / down, width / across};
}

// System has
//
//     assign(iteration, spatial_weight)   gives every pixel to the nearest cluster whose window covers it, the one with
//                                         the lowest number in a tie; pixels that no window covers keep their label
//     update(adaptive)                    moves every cluster to the mean of its pixels
//     connected_labels(min_size)          writes the labels: 4-connected pieces, the small ones joined to a neighbour
//     dense_labels()                      writes the labels: cluster numbers without gaps
//
// the last two of which return the number of labels. Clusters are at their seeds when the loop begins.
template <class T, class System>
std::ptrdiff_t slic_loop(System& system, const SlicGrid& grid, const SlicParams& params, Monitor& monitor) {
    // Below this, distances in the image would be lost in the rounding of colour distances.
    constexpr double kMinCompactness = 1e-3;
    // In all of SLIC and in the first iteration of SLIC0 the clusters share one m. The distance times m^2 orders them
    // in the same way without numbers that overflow for a tiny m.
    const double m = std::max(params.compactness, kMinCompactness);
    const double area = grid.cell_height * grid.cell_width;
    auto spatial_weight = static_cast<T>(m * m / area);
    const auto steps = static_cast<double>(params.max_iterations + 2);
    for (std::ptrdiff_t iteration = 0; iteration < params.max_iterations; ++iteration) {
        monitor.report(static_cast<double>(iteration + 1) / steps);
        system.assign(iteration, spatial_weight);
        system.update(params.adaptive);
        if (params.adaptive) {
            spatial_weight = static_cast<T>(1.0 / area);
        }
    }
    monitor.report((steps - 1.0) / steps);
    const std::ptrdiff_t count =
        params.enforce_connectivity ? system.connected_labels(area / 4.0) : system.dense_labels();
    monitor.report(1.0);
    return count;
}

}  // namespace fastsoft::detail
