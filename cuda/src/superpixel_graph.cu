// SPDX-License-Identifier: MIT
#include "fastsoft/superpixel_graph.hpp"

#include <limits>

#include "fastsoft/cuda/launch.cuh"
#include "fastsoft/cuda/sort.hpp"
#include "fastsoft/cuda/value_range.hpp"
#include "fastsoft/cuda/workspace.cuh"
#include "fastsoft/detail/superpixel_graph_block.hpp"
#include "fastsoft/detail/superpixel_graph_checks.hpp"

namespace fastsoft::cuda {
namespace {

using Labels = View<const std::int32_t, 2>;

template <class Block>
void run(const Context& context, const typename Block::Arguments& arguments) {
    launch<Block>(context, "superpixel_graph", arguments);
}

template <class Step>
void run_each(const Context& context, const typename Step::Arguments& arguments) {
    run<detail::EachBlock<Step>>(context, arguments);
}

std::size_t at(std::ptrdiff_t index) {
    return static_cast<std::size_t>(index);
}

// Keys and values of their own, and as many again to sort them.
class SortedPairs {
public:
    SortedPairs(const Context& context, std::ptrdiff_t count)
        : context_(context),
          count_(count),
          keys_(context, at(count)),
          values_(context, at(count)),
          spare_keys_(context, at(count)),
          spare_values_(context, at(count)),
          data_{keys_.data(), values_.data()},
          spare_{spare_keys_.data(), spare_values_.data()} {}

    const detail::KeyedValues& data() const { return data_; }
    void sort(std::ptrdiff_t n_keys) { sort_by_key(context_, data_, spare_, count_, n_keys); }

    // Values become keys, and keys values: neither is ever negative.
    void exchange() {
        const auto exchanged = [](const detail::KeyedValues& pairs) {
            return detail::KeyedValues{reinterpret_cast<std::uint32_t*>(pairs.values),
                                       reinterpret_cast<std::int32_t*>(pairs.keys)};
        };
        data_ = exchanged(data_);
        spare_ = exchanged(spare_);
    }

private:
    const Context& context_;
    std::ptrdiff_t count_;
    Workspace<std::uint32_t> keys_;
    Workspace<std::int32_t> values_;
    Workspace<std::uint32_t> spare_keys_;
    Workspace<std::int32_t> spare_values_;
    detail::KeyedValues data_;
    detail::KeyedValues spare_;
};

// Smallest and largest label; waits.
detail::ValueRange label_range(const Context& context, const Labels& labels) {
    const View<const std::int32_t, 3> values(labels.data(), {labels.extent(0), labels.extent(1), 1},
                                             {labels.stride(0), labels.stride(1), 1});
    return value_range<std::int32_t>(context, values);
}

// The pixels in the order of their labels, and where each label begins; all labels are below n_superpixels.
class SortedPixels {
public:
    SortedPixels(const Context& context, const Labels& labels, std::ptrdiff_t n_superpixels)
        : pixels_(context, labels.size()), begins_(context, at(n_superpixels + 1)) {
        FASTSOFT_EXPECTS(labels.size() <= std::numeric_limits<std::int32_t>::max(),
                         "labels must have at most 2147483647 pixels, got ", labels.size());
        run_each<detail::LabelledPixels>(context, {labels, pixels_.data()});
        pixels_.sort(n_superpixels);
        run_each<detail::SegmentBegins>(context, {pixels_.data().keys, labels.size(), n_superpixels, begins_.data()});
    }

    const std::int32_t* pixels() const { return pixels_.data().values; }
    const std::int32_t* begins() const { return begins_.data(); }

private:
    SortedPairs pixels_;
    Workspace<std::int32_t> begins_;
};

void expect_dense(std::int64_t missing, std::ptrdiff_t n_superpixels) {
    FASTSOFT_EXPECTS(missing < 0, "labels must be dense 0..", n_superpixels - 1, ", but no pixel has label ", missing);
}

}  // namespace

void superpixel_graph(const Context& context, const Labels& labels, const SuperpixelGraphOutput& out) {
    detail::check_label_image(labels);
    const auto range = label_range(context, labels);
    const std::ptrdiff_t n = detail::check_label_range(static_cast<std::ptrdiff_t>(range.low),
                                                       static_cast<std::ptrdiff_t>(range.high), labels.size());
    // What the host must know before it goes on, side by side.
    struct Found {
        std::int64_t n_touching;
        std::int64_t missing;
    };
    using Touching = detail::TouchingPairsBlock;
    const std::ptrdiff_t n_blocks = Touching::n_blocks({labels, nullptr, nullptr, {}});
    const Workspace<std::int64_t> begins(context, at(n_blocks + 2));
    Found found{};
    {
        const SortedPixels pixels(context, labels, n);
        run<detail::EmptySegmentBlock>(context, {pixels.begins(), n, begins.data() + n_blocks + 1});
        std::int64_t* const counts = out.counts(n);
        std::int32_t* const centroids = out.centroids(n);
        run<detail::CentroidsBlock>(context, {n, labels.extent(1), pixels.begins(), pixels.pixels(), counts, centroids,
                                              out.centroid_indices(n)});
    }
    {
        const Workspace<std::int32_t> counts(context, at(n_blocks));
        run<Touching>(context, {labels, counts.data(), nullptr, {}});
        prefix_sums(context, counts.data(), n_blocks, begins.data());
        found = read_back(context, reinterpret_cast<const Found*>(begins.data() + n_blocks));
    }
    expect_dense(found.missing, n);

    SortedPairs pairs(context, found.n_touching);
    run<Touching>(context, {labels, nullptr, begins.data(), pairs.data()});
    // By the smaller label, and where that is the same by the larger one.
    pairs.sort(n);
    pairs.exchange();
    pairs.sort(n);
    const Workspace<std::int32_t> distinct(context, at(found.n_touching));
    const Workspace<std::int64_t> places(context, at(found.n_touching + 1));
    run_each<detail::DistinctPairs>(context, {pairs.data(), found.n_touching, distinct.data()});
    prefix_sums(context, distinct.data(), found.n_touching, places.data());
    const std::int64_t n_pairs = read_back(context, places.data() + found.n_touching);
    run_each<detail::WritePairs>(
        context, {pairs.data(), found.n_touching, distinct.data(), places.data(), out.adjacent_pairs(n_pairs)});
}

template <class T>
void region_means(const Context& context, const View<const T, 3>& values, const Labels& labels,
                  std::ptrdiff_t n_superpixels, T* means) {
    detail::check_region_means<T>(values, labels, n_superpixels);
    const auto range = label_range(context, labels);
    FASTSOFT_EXPECTS(range.low >= 0 && range.high < static_cast<double>(n_superpixels), "labels must be in 0..",
                     n_superpixels - 1, ", got ", static_cast<std::int64_t>(range.low < 0 ? range.low : range.high));
    const SortedPixels pixels(context, labels, n_superpixels);
    const Workspace<std::int64_t> missing(context, 1);
    run<detail::EmptySegmentBlock>(context, {pixels.begins(), n_superpixels, missing.data()});
    run<detail::RegionMeansBlock<T>>(context, {values, n_superpixels, pixels.begins(), pixels.pixels(), means});
    expect_dense(read_back(context, missing.data()), n_superpixels);
}

template <class T>
void color_affinity(const Context& context, const SuperpixelValues<T>& colors, double steepness, double threshold,
                    double max_distance, const CsrOutput<T>& out) {
    const std::ptrdiff_t n = colors.n_superpixels;
    const std::ptrdiff_t n_pixels = colors.height * colors.width;
    const Workspace<std::int32_t> outside(context, 1);
    outside.clear(1);
    SortedPairs superpixels(context, n);
    run_each<detail::CentroidPixels>(
        context, {colors.centroids, n, colors.height, colors.width, superpixels.data(), outside.data()});
    superpixels.sort(n_pixels);
    const Workspace<detail::ScaledPlace> places(context, at(n));
    run_each<detail::ScaledPlaces>(
        context, {colors.centroids, n, colors.height, colors.width, superpixels.data().values, places.data()});

    using Block = detail::ColorAffinityBlock<T>;
    typename Block::Arguments rows{
        superpixels.data(), places.data(), n,       colors.values, colors.n_channels, steepness,
        threshold,          max_distance,  nullptr, nullptr,       nullptr,           nullptr};
    {
        const Workspace<std::int32_t> counts(context, at(n_pixels));
        counts.clear(at(n_pixels));
        rows.counts = counts.data();
        run<Block>(context, rows);
        prefix_sums(context, counts.data(), n_pixels, out.indptr);
    }
    const std::int64_t n_entries = read_back(context, out.indptr + n_pixels);
    FASTSOFT_EXPECTS(read_back(context, outside.data()) == 0, "centroids must lie in the image of ", colors.height, "x",
                     colors.width, " pixels");
    rows.indptr = out.indptr;
    rows.indices = out.indices(n_entries);
    rows.data = out.data(n_entries);
    if (n_entries > 0) {
        run<Block>(context, rows);
    }
}

template <class T>
void semantic_affinity(const Context& context, const SuperpixelValues<T>& features, const std::int32_t* adjacent_pairs,
                       std::ptrdiff_t n_pairs, double steepness, double threshold, const CsrOutput<T>& out) {
    const std::ptrdiff_t n_pixels = features.height * features.width;
    const std::ptrdiff_t count = 2 * n_pairs;
    const Workspace<std::int32_t> fault(context, 2);
    fault.clear(2);
    const Workspace<std::uint32_t> rows(context, at(count));
    const Workspace<double> weights(context, at(n_pairs));
    SortedPairs entries(context, count);
    run_each<detail::SemanticEntries<T>>(
        context, {features.centroids, features.n_superpixels, features.height, features.width, adjacent_pairs, n_pairs,
                  features.values, features.n_channels, steepness, threshold, rows.data(), entries.data(),
                  weights.data(), fault.data()});
    // By rows, and in a row by columns; edges between the same pixels keep the order of their pairs.
    entries.sort(n_pixels + 1);
    run_each<detail::RowsAsKeys>(context, {rows.data(), entries.data(), count});
    entries.sort(n_pixels + 1);

    const detail::SortedEntries sorted{rows.data(), entries.data(), count, static_cast<std::uint32_t>(n_pixels)};
    const Workspace<std::int32_t> distinct(context, at(count));
    const Workspace<std::int64_t> places(context, at(count + 1));
    {
        const Workspace<std::int32_t> row_counts(context, at(n_pixels));
        row_counts.clear(at(n_pixels));
        run_each<detail::DistinctEntries>(context, {sorted, distinct.data(), row_counts.data()});
        prefix_sums(context, row_counts.data(), n_pixels, out.indptr);
    }
    prefix_sums(context, distinct.data(), count, places.data());
    const std::int64_t n_entries = read_back(context, out.indptr + n_pixels);
    FASTSOFT_EXPECTS(read_back(context, fault.data() + 1) == 0, "adjacent_pairs must be in 0..",
                     features.n_superpixels - 1, ", got others");
    FASTSOFT_EXPECTS(read_back(context, fault.data()) == 0, "centroids must lie in the image of ", features.height, "x",
                     features.width, " pixels");
    std::int32_t* const indices = out.indices(n_entries);
    T* const data = out.data(n_entries);
    run_each<detail::WriteEntries<T>>(context, {sorted, distinct.data(), places.data(), weights.data(), indices, data});
}

#define FASTSOFT_INSTANTIATE(T)                                                                                      \
    template void region_means(const Context&, const View<const T, 3>&, const Labels&, std::ptrdiff_t, T*);          \
    template void color_affinity(const Context&, const SuperpixelValues<T>&, double, double, double,                 \
                                 const CsrOutput<T>&);                                                               \
    template void semantic_affinity(const Context&, const SuperpixelValues<T>&, const std::int32_t*, std::ptrdiff_t, \
                                    double, double, const CsrOutput<T>&)

FASTSOFT_INSTANTIATE(float);
FASTSOFT_INSTANTIATE(double);

}  // namespace fastsoft::cuda
