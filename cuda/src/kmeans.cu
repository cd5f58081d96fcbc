// SPDX-License-Identifier: MIT
#include "fastsoft/kmeans.hpp"

#include <algorithm>
#include <memory>
#include <vector>

#include "fastsoft/cuda/launch.cuh"
#include "fastsoft/cuda/workspace.cuh"
#include "fastsoft/detail/kmeans_block.hpp"
#include "fastsoft/detail/kmeans_loop.hpp"

namespace fastsoft::cuda {
namespace {

template <class Block>
__global__ void __launch_bounds__(Block::kThreads) kmeans_kernel(typename Block::Arguments arguments) {
    run_block<Block>(arguments);
}

std::size_t at(std::ptrdiff_t index) {
    return static_cast<std::size_t>(index);
}

// Enqueued in both directions; memory of the host that is not page-locked is read before the call returns, and written
// when the stream has been waited for.
template <class T>
void copy(const Context& context, T* to, const T* from, std::ptrdiff_t count, cudaMemcpyKind kind) {
    check(cudaMemcpyAsync(to, from, at(count) * sizeof(T), kind, stream_of(context)), "cudaMemcpyAsync");
}

// Greedy k-means++. The centres go to device memory; nothing is waited for.
template <class T>
void seed_centers(const Context& context, const detail::KmeansData<T>& data, std::uint64_t seed, std::uint64_t stream,
                  std::ptrdiff_t k, T* centers) {
    using Seeds = detail::SeedData<T>;
    using Lower = detail::SeedLowerBlock<T>;
    using Draw = detail::SeedDrawBlock<T>;
    using Potential = detail::SeedPotentialBlock<T>;
    using Pick = detail::SeedPickBlock<T>;
    const auto n_candidates = static_cast<std::ptrdiff_t>(detail::kmeans_candidates(k));
    const std::ptrdiff_t chunk = Seeds::chunk_of(data.n);
    const std::ptrdiff_t n_chunks = divide_up(data.n, chunk);
    const Workspace<double> nearest(context, at(data.n));
    const Workspace<double> sums(context, at(n_chunks * (n_candidates + 1)));
    const Workspace<std::int64_t> chosen(context, at(n_candidates + 1));
    const Seeds seeds{
        data, chunk, nearest.data(), sums.data(), chosen.data(), sums.data() + n_chunks, chosen.data() + n_candidates};
    std::uint64_t counter = 0;
    for (std::ptrdiff_t center = 0; center < k; ++center) {
        // The first centre is drawn by weight alone and has no competitors.
        const std::ptrdiff_t competing = center == 0 ? 1 : n_candidates;
        launch<Lower>(context, kmeans_kernel<Lower>, "kmeans_kernel (distances)", {seeds, center});
        launch<Draw>(context, kmeans_kernel<Draw>, "kmeans_kernel (draw)", {seeds, competing, seed, stream, counter});
        if (center > 0) {
            launch<Potential>(context, kmeans_kernel<Potential>, "kmeans_kernel (potentials)", {seeds, competing});
        }
        launch<Pick>(context, kmeans_kernel<Pick>, "kmeans_kernel (pick)",
                     {seeds, competing, centers + center * data.d});
        counter += static_cast<std::uint64_t>(competing);
    }
}

// What detail::kmeans_loop moves.
template <class T>
class Starts {
public:
    Starts(const Context& context, const KmeansPoints<T>& points, std::ptrdiff_t k, std::uint64_t seed,
           std::int32_t* labels)
        : context_(context),
          data_{points.data, points.weights, points.n, points.d},
          seed_(seed),
          output_(labels),
          labels_(labels),
          n_slots_(k * (points.d + 2)),
          n_blocks_(divide_up(points.n, Assign::kThreads)),
          chunk_(Sums::chunk_of(points.n, n_slots_)),
          centers_(context, at(k * points.d)),
          errors_(context, at(n_blocks_)),
          sums_(context, at(divide_up(points.n, chunk_) * n_slots_)),
          totals_(context, at(n_slots_ + 2)) {}

    void begin_start(int start) {
        if (start == 1) {
            others_ = std::make_unique<Workspace<std::int32_t>>(context_, at(data_.n));
            labels_ = others_->data();
        }
    }

    void seed(std::uint64_t stream, std::ptrdiff_t k, T* centers) {
        if (data_.n <= kKmeansSeedPoints) {
            seed_centers(context_, data_, seed_, stream, k, centers_.data());
        } else {
            using Sample = detail::KmeansSampleBlock<T>;
            const Workspace<T> points(context_, at(kKmeansSeedPoints * data_.d));
            const Workspace<double> weights(context_, data_.weights == nullptr ? 1 : at(kKmeansSeedPoints));
            double* const own_weights = data_.weights == nullptr ? nullptr : weights.data();
            launch<Sample>(context_, kmeans_kernel<Sample>, "kmeans_kernel (sample)",
                           {data_, kKmeansSeedPoints, points.data(), own_weights});
            seed_centers(context_, detail::KmeansData<T>{points.data(), own_weights, kKmeansSeedPoints, data_.d}, seed_,
                         stream, k, centers_.data());
        }
        copy(context_, centers, centers_.data(), k * data_.d, cudaMemcpyDeviceToHost);
        context_.synchronize();
    }

    void keep_labels() { copy(context_, output_, labels_, data_.n, cudaMemcpyDeviceToDevice); }

    void clear_labels() {
        check(cudaMemsetAsync(labels_, 0xFF, at(data_.n) * sizeof(std::int32_t), stream_of(context_)),
              "cudaMemsetAsync");
    }

    detail::KmeansTotals assign(const T* centers, std::ptrdiff_t k) {
        copy(context_, centers_.data(), centers, k * data_.d, cudaMemcpyHostToDevice);
        double* const error = totals_.data() + n_slots_;
        launch<Assign>(context_, kmeans_kernel<Assign>, "kmeans_kernel (assignment)",
                       {data_, centers_.data(), k, labels_, errors_.data()});
        launch<Errors>(context_, kmeans_kernel<Errors>, "kmeans_kernel (error)", {errors_.data(), n_blocks_, error});
        launch<Sums>(context_, kmeans_kernel<Sums>, "kmeans_kernel (sums)",
                     {data_, k, labels_, chunk_, Sums::lanes_of(n_slots_), sums_.data()});
        launch<Columns>(context_, kmeans_kernel<Columns>, "kmeans_kernel (sums of chunks)",
                        {sums_.data(), divide_up(data_.n, chunk_), n_slots_, totals_.data(), 1.0});
        std::vector<double> values(at(n_slots_ + 2));
        copy(context_, values.data(), totals_.data(), n_slots_ + 2, cudaMemcpyDeviceToHost);
        context_.synchronize();
        detail::KmeansTotals totals;
        totals.inertia = values[at(n_slots_)];
        totals.changed = static_cast<std::int64_t>(values[at(n_slots_ + 1)]);
        values.resize(at(n_slots_));
        totals.clusters = std::move(values);
        return totals;
    }

    detail::Farthest farthest(const T* centers, const double* clusters, std::ptrdiff_t k) {
        using Farthest = detail::KmeansFarthestBlock<T>;
        using Total = detail::KmeansFarthestTotalBlock;
        std::vector<double> counts(at(k));
        for (std::ptrdiff_t c = 0; c < k; ++c) {
            counts[at(c)] = clusters[c * (data_.d + 2) + 1];
        }
        const Workspace<double> own_counts(context_, at(k));
        copy(context_, own_counts.data(), counts.data(), k, cudaMemcpyHostToDevice);
        copy(context_, centers_.data(), centers, k * data_.d, cudaMemcpyHostToDevice);
        const std::ptrdiff_t n_pieces = divide_up(data_.n, Farthest::kThreads * Farthest::kPerThread);
        const Workspace<detail::KmeansFarthest> partial(context_, at(n_pieces + 1));
        launch<Farthest>(context_, kmeans_kernel<Farthest>, "kmeans_kernel (farthest)",
                         {data_, centers_.data(), own_counts.data(), labels_, detail::kSameShare<T>, partial.data()});
        launch<Total>(context_, kmeans_kernel<Total>, "kmeans_kernel (farthest of all)",
                      {partial.data(), n_pieces, partial.data() + n_pieces});
        const detail::KmeansFarthest found = read_back(context_, partial.data() + n_pieces);
        return {found.distance, static_cast<std::ptrdiff_t>(found.point)};
    }

    detail::KmeansPoint<T> take(std::ptrdiff_t point, std::int32_t label) {
        detail::KmeansPoint<T> result{std::vector<T>(at(data_.d)), 1.0, 0};
        copy(context_, result.coordinates.data(), data_.points + point * data_.d, data_.d, cudaMemcpyDeviceToHost);
        if (data_.weights != nullptr) {
            copy(context_, &result.weight, data_.weights + point, 1, cudaMemcpyDeviceToHost);
        }
        result.label = read_back(context_, labels_ + point);
        copy(context_, labels_ + point, &label, 1, cudaMemcpyHostToDevice);
        return result;
    }

private:
    using Assign = detail::KmeansAssignBlock<T>;
    using Errors = detail::KmeansErrorBlock;
    using Sums = detail::KmeansSumsBlock<T>;
    using Columns = detail::ColumnSumsBlock;

    const Context& context_;
    detail::KmeansData<T> data_;
    std::uint64_t seed_;
    std::int32_t* output_;
    std::int32_t* labels_;
    std::ptrdiff_t n_slots_;
    std::ptrdiff_t n_blocks_;
    std::ptrdiff_t chunk_;
    Workspace<T> centers_;
    Workspace<detail::KmeansError> errors_;
    Workspace<double> sums_;
    Workspace<double> totals_;
    std::unique_ptr<Workspace<std::int32_t>> others_;  // labels of later starts
};

}  // namespace

template <class T>
KmeansInfo kmeans(const Context& context, const KmeansPoints<T>& points, std::ptrdiff_t n_clusters,
                  const KmeansOptions& options, std::int32_t* labels, T* centers, Monitor& monitor) {
    detail::check_kmeans(points, n_clusters, options);
    const std::ptrdiff_t n_numbers = n_clusters * points.d;
    std::vector<T> own_centers(at(n_numbers));
    if (options.given_centers) {
        copy<T>(context, own_centers.data(), centers, n_numbers, cudaMemcpyDeviceToHost);
        context.synchronize();
    }
    Starts<T> system(context, points, n_clusters, options.seed, labels);
    const KmeansInfo info = detail::kmeans_loop(system, n_clusters, points.d, options, own_centers.data(), monitor);
    copy<T>(context, centers, own_centers.data(), n_numbers, cudaMemcpyHostToDevice);
    return info;
}

template KmeansInfo kmeans(const Context&, const KmeansPoints<float>&, std::ptrdiff_t, const KmeansOptions&,
                           std::int32_t*, float*, Monitor&);
template KmeansInfo kmeans(const Context&, const KmeansPoints<double>&, std::ptrdiff_t, const KmeansOptions&,
                           std::int32_t*, double*, Monitor&);

}  // namespace fastsoft::cuda
