// SPDX-License-Identifier: MIT
#include "fastsoft/slic.hpp"

#include <algorithm>
#include <cmath>
#include <memory>

#include "fastsoft/cuda/launcher.cuh"
#include "fastsoft/cuda/workspace.cuh"
#include "fastsoft/detail/prefix_sums_block.hpp"
#include "fastsoft/detail/segments_block.hpp"
#include "fastsoft/detail/slic_block.hpp"
#include "fastsoft/detail/slic_checks.hpp"
#include "fastsoft/detail/slic_loop.hpp"

namespace fastsoft::cuda {
namespace {

// The numbers of the segments from roots and sizes of pieces, then the labels from these. `spare` and `sizes` are
// overwritten. Returns the number of segments; waits for the stream.
std::ptrdiff_t number_segments(const Context& context, const detail::SegmentsGrid& grid, double min_size,
                               const std::int32_t* roots, std::int32_t* sizes, std::int32_t* spare,
                               std::int32_t* labels) {
    const std::ptrdiff_t n_pixels = grid.n_pixels();
    const std::ptrdiff_t n_tiles = detail::n_prefix_tiles(n_pixels);
    const Workspace<std::int32_t> partial(context, static_cast<std::size_t>(n_tiles + 1));
    const Launcher launcher{context, "slic (numbers)"};
    const auto n_before = static_cast<std::ptrdiff_t>(std::min(std::ceil(min_size), static_cast<double>(n_pixels)));
    if (n_before > 0) {
        detail::prefix_sums<detail::SizesBefore>(launcher, {{n_before, roots, sizes, spare}, partial.data()});
    }
    detail::prefix_sums<detail::SegmentNumbers>(
        launcher, {{n_pixels, roots, sizes, spare, n_before, min_size, spare}, partial.data()});
    using Join = detail::JoinPiecesBlock;
    using Label = detail::SegmentLabelsBlock;
    launch<Join>(context, "slic (join)", {grid, roots, spare, sizes});
    launch<Label>(context, "slic (labels)", {n_pixels, roots, sizes, labels});
    return read_back(context, partial.data() + n_tiles);
}

// What detail::slic_loop moves.
template <class T>
class Slic {
public:
    Slic(const Context& context, const View<const T, 3>& image, const detail::SlicGrid& grid, std::int32_t* labels)
        : context_(context),
          grid_(grid),
          n_pixels_(grid.n_rows * grid.n_cols),
          labels_(labels),
          cluster_labels_(context, static_cast<std::size_t>(n_pixels_)),
          clusters_(context, static_cast<std::size_t>(grid.n_clusters())),
          planes_(std::make_unique<Workspace<T>>(context, static_cast<std::size_t>(3 * n_pixels_))) {
        using Lab = detail::SlicLabBlock<T>;
        using Seed = detail::SlicSeedBlock<T>;
        // Pixels that no window covers keep their label; the first windows cover all.
        cluster_labels_.clear(static_cast<std::size_t>(n_pixels_));
        launch<Lab>(context, "slic (CIELAB)", {image, {planes_->data(), n_pixels_}});
        launch<Seed>(context, "slic (seeds)", {grid, lab(), clusters_.data()});
    }

    void assign(std::ptrdiff_t iteration, T spatial_weight) {
        using Assign = detail::SlicAssignBlock<T>;
        launch<Assign>(context_, "slic (assignment)",
                       {grid_, lab(), clusters_.data(), cluster_labels_.data(), spatial_weight, iteration});
    }

    void update(bool adaptive) {
        using Update = detail::SlicUpdateBlock<T>;
        launch<Update>(context_, "slic (centres)",
                       {grid_, lab(), cluster_labels_.data(), clusters_.data(), adaptive, Update::groups_for(grid_)});
    }

    std::ptrdiff_t connected_labels(double min_size) {
        using Tiles = detail::TilePiecesBlock;
        using Borders = detail::BorderPiecesBlock;
        using Roots = detail::RootsBlock;
        planes_.reset();
        const auto n = static_cast<std::size_t>(n_pixels_);
        const detail::SegmentsGrid grid{grid_.n_rows, grid_.n_cols};
        const Workspace<std::int32_t> sizes(context_, n);
        const Workspace<std::int32_t> spare(context_, n);
        // The output holds the parents until it receives the labels; roots take the place of the cluster numbers.
        std::int32_t* const parents = labels_;
        launch<Tiles>(context_, "slic (pieces of tiles)", {grid, cluster_labels_.data(), parents, sizes.data()});
        launch<Borders>(context_, "slic (borders of tiles)", {grid, cluster_labels_.data(), parents});
        launch<Roots>(context_, "slic (roots)", {n_pixels_, parents, cluster_labels_.data(), sizes.data()});
        return number_segments(context_, grid, min_size, cluster_labels_.data(), sizes.data(), spare.data(), labels_);
    }

    std::ptrdiff_t dense_labels() {
        using First = detail::FirstPixelsBlock;
        using Roots = detail::LabelRootsBlock;
        planes_.reset();
        const auto n = static_cast<std::size_t>(n_pixels_);
        const auto n_clusters = static_cast<std::size_t>(grid_.n_clusters());
        const detail::SegmentsGrid grid{grid_.n_rows, grid_.n_cols};
        const Workspace<std::int32_t> from_end(context_, n_clusters);
        const Workspace<std::int32_t> segments(context_, n);
        const Workspace<std::int32_t> spare(context_, n);
        from_end.clear(n_clusters);
        launch<First>(context_, "slic (first pixels)", {grid, cluster_labels_.data(), from_end.data()});
        launch<Roots>(context_, "slic (roots of labels)", {n_pixels_, from_end.data(), cluster_labels_.data()});
        return number_segments(context_, grid, 0.0, cluster_labels_.data(), segments.data(), spare.data(), labels_);
    }

private:
    detail::SlicPlanes<const T> lab() const { return {planes_->data(), n_pixels_}; }

    const Context& context_;
    detail::SlicGrid grid_;
    std::ptrdiff_t n_pixels_;
    std::int32_t* labels_;
    Workspace<std::int32_t> cluster_labels_;
    Workspace<detail::SlicCluster<T>> clusters_;
    std::unique_ptr<Workspace<T>> planes_;  // freed before pieces are found
};

}  // namespace

template <class T>
std::ptrdiff_t slic(const Context& context, const View<const T, 3>& image, const SlicParams& params,
                    std::int32_t* labels, Monitor& monitor) {
    detail::check_slic(image, params);
    const detail::SlicGrid grid = detail::slic_grid(image.extent(0), image.extent(1), params.n_segments);
    Slic<T> system(context, image, grid, labels);
    return detail::slic_loop<T>(system, grid, params, monitor);
}

template std::ptrdiff_t slic<float>(const Context&, const View<const float, 3>&, const SlicParams&, std::int32_t*,
                                    Monitor&);
template std::ptrdiff_t slic<double>(const Context&, const View<const double, 3>&, const SlicParams&, std::int32_t*,
                                     Monitor&);

}  // namespace fastsoft::cuda
