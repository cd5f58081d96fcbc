// SPDX-License-Identifier: MIT
#include "fastsoft/kmeans.hpp"

#include <algorithm>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "fastsoft/cuda/launcher.cuh"
#include "fastsoft/cuda/workspace.cuh"
#include "fastsoft/detail/kmeans_block.hpp"
#include "fastsoft/detail/kmeans_loop.hpp"
#include "fastsoft/detail/kmeans_split_loop.hpp"
#include "fastsoft/detail/prefix_sums_block.hpp"

namespace fastsoft::cuda {
namespace {

std::size_t at(std::ptrdiff_t index) {
    return static_cast<std::size_t>(index);
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
        launch<Lower>(context, "kmeans (distances)", {seeds, center});
        launch<Draw>(context, "kmeans (draw)", {seeds, competing, seed, stream, counter});
        if (center > 0) {
            launch<Potential>(context, "kmeans (potentials)", {seeds, competing});
        }
        launch<Pick>(context, "kmeans (pick)", {seeds, competing, centers + center * data.d});
        counter += static_cast<std::uint64_t>(competing);
    }
}

// What detail::lloyd moves: points and labels on the device, room for k clusters.
template <class T>
class System {
public:
    System(const Context& context, const detail::KmeansData<T>& data, std::ptrdiff_t k, std::int32_t* labels)
        : context_(context),
          data_(data),
          labels_(labels),
          n_blocks_(divide_up(data.n, Assign::kThreads)),
          chunk_(Sums::chunk_of(data.n, k * (data.d + 2))),
          centers_(context, at(k * data.d)),
          errors_(context, at(n_blocks_)),
          sums_(context, at(divide_up(data.n, chunk_) * k * (data.d + 2))),
          totals_(context, at(k * (data.d + 2) + 2)) {}

    void clear_labels() { fill_bytes(context_, labels_, 0xFF, data_.n); }

    detail::KmeansTotals assign(const T* centers, std::ptrdiff_t k) {
        copy(context_, centers_.data(), centers, k * data_.d, cudaMemcpyHostToDevice);
        const std::ptrdiff_t n_slots = k * (data_.d + 2);
        double* const error = totals_.data() + n_slots;
        launch<Assign>(context_, "kmeans (assignment)", {data_, centers_.data(), k, labels_, errors_.data()});
        launch<Errors>(context_, "kmeans (error)", {errors_.data(), n_blocks_, error});
        launch<Sums>(context_, "kmeans (sums)", {data_, k, labels_, chunk_, Sums::lanes_of(n_slots), sums_.data()});
        launch<Columns>(context_, "kmeans (sums of chunks)",
                        {sums_.data(), divide_up(data_.n, chunk_), n_slots, totals_.data(), 1.0});
        std::vector<double> values(at(n_slots + 2));
        copy(context_, values.data(), totals_.data(), n_slots + 2, cudaMemcpyDeviceToHost);
        context_.synchronize();
        detail::KmeansTotals totals;
        totals.inertia = values[at(n_slots)];
        totals.changed = static_cast<std::int64_t>(values[at(n_slots + 1)]);
        values.resize(at(n_slots));
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
        launch<Farthest>(context_, "kmeans (farthest)",
                         {data_, centers_.data(), own_counts.data(), labels_, detail::kSameShare<T>, partial.data()});
        launch<Total>(context_, "kmeans (farthest of all)", {partial.data(), n_pieces, partial.data() + n_pieces});
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

protected:
    using Assign = detail::KmeansAssignBlock<T>;
    using Errors = detail::KmeansErrorBlock;
    using Sums = detail::KmeansSumsBlock<T>;
    using Columns = detail::ColumnMeansBlock;

    const Context& context_;
    detail::KmeansData<T> data_;
    std::int32_t* labels_;
    std::ptrdiff_t n_blocks_;
    std::ptrdiff_t chunk_;
    Workspace<T> centers_;
    Workspace<detail::KmeansError> errors_;
    Workspace<double> sums_;
    Workspace<double> totals_;
};

// Points of a sample, in memory of their own.
template <class T>
struct Sample {
    Workspace<T> points;
    Workspace<double> weights;
    detail::KmeansData<T> data;

    // Not filled.
    Sample(const Context& context, const detail::KmeansData<T>& from, std::ptrdiff_t n)
        : points(context, at(n * from.d)),
          weights(context, from.weights == nullptr ? 1 : at(n)),
          data{points.data(), from.weights == nullptr ? nullptr : weights.data(), n, from.d} {}

    double* own_weights() const { return data.weights == nullptr ? nullptr : weights.data(); }

    // One point of each of n equal stretches.
    static std::unique_ptr<Sample> draw(const Context& context, const detail::KmeansData<T>& from, std::ptrdiff_t n) {
        using Block = detail::KmeansSampleBlock<T>;
        auto sample = std::make_unique<Sample>(context, from, n);
        launch<Block>(context, "kmeans (sample)", {from, n, sample->points.data(), sample->own_weights()});
        return sample;
    }
};

// What detail::kmeans_loop moves.
template <class T>
class Starts : public System<T> {
public:
    Starts(const Context& context, const detail::KmeansData<T>& data, std::ptrdiff_t k, std::uint64_t seed,
           std::int32_t* labels)
        : System<T>(context, data, k, labels), seed_(seed), output_(labels) {}

    void begin_start(int start) {
        if (start == 1) {
            others_ = std::make_unique<Workspace<std::int32_t>>(context_, at(data_.n));
            this->labels_ = others_->data();
        }
    }

    void seed(std::uint64_t stream, std::ptrdiff_t k, T* centers) {
        if (data_.n <= kKmeansSeedPoints) {
            seed_centers(context_, data_, seed_, stream, k, this->centers_.data());
        } else {
            const auto sample = Sample<T>::draw(context_, data_, kKmeansSeedPoints);
            seed_centers(context_, sample->data, seed_, stream, k, this->centers_.data());
        }
        copy(context_, centers, this->centers_.data(), k * data_.d, cudaMemcpyDeviceToHost);
        context_.synchronize();
    }

    void keep_labels() { copy(context_, output_, this->labels_, data_.n, cudaMemcpyDeviceToDevice); }

private:
    using System<T>::context_;
    using System<T>::data_;

    std::uint64_t seed_;
    std::int32_t* output_;
    std::unique_ptr<Workspace<std::int32_t>> others_;  // labels of later starts
};

// What detail::split_kmeans_loop moves: points, and labels of them in memory of their own.
template <class T>
class Points : public System<T> {
public:
    Points(const Context& context, const detail::KmeansData<T>& data, std::ptrdiff_t k)
        : System<T>(context, data, k, nullptr), own_labels_(context, at(data.n)) {
        this->labels_ = own_labels_.data();
    }
    Points(const Context& context, std::unique_ptr<Sample<T>> sample, std::ptrdiff_t k)
        : Points(context, sample->data, k) {
        sample_ = std::move(sample);
    }

    std::ptrdiff_t n() const { return data_.n; }
    std::ptrdiff_t d() const { return data_.d; }

    // Sums of one cluster with all points.
    detail::KmeansMoments moments() {
        using Covariance = detail::KmeansCovarianceBlock<T>;
        const std::ptrdiff_t d = data_.d;
        fill_labels(0);
        launch<Sums>(context_, "kmeans (mean)",
                     {data_, 1, this->labels_, this->chunk_, Sums::lanes_of(d + 2), this->sums_.data()});
        add_chunks(this->sums_.data(), d + 2, this->totals_.data());
        std::vector<double> sums(at(d + 2));
        copy(context_, sums.data(), this->totals_.data(), d + 2, cudaMemcpyDeviceToHost);
        context_.synchronize();
        detail::KmeansMoments moments;
        moments.weight = sums[0];
        const double divisor = std::max(moments.weight, std::numeric_limits<double>::min());
        for (std::ptrdiff_t c = 0; c < d; ++c) {
            moments.mean.push_back(sums[at(2 + c)] / divisor);
        }

        const std::ptrdiff_t n_slots = Covariance::n_slots(d);
        const Workspace<double> mean(context_, at(d));
        const Workspace<double> partial(context_, at(divide_up(data_.n, this->chunk_) * n_slots));
        const Workspace<double> total(context_, at(n_slots));
        copy(context_, mean.data(), moments.mean.data(), d, cudaMemcpyHostToDevice);
        launch<Covariance>(context_, "kmeans (covariance)",
                           {data_, mean.data(), this->chunk_, Sums::lanes_of(n_slots), partial.data()});
        add_chunks(partial.data(), n_slots, total.data());
        std::vector<double> products(at(n_slots));
        copy(context_, products.data(), total.data(), n_slots, cudaMemcpyDeviceToHost);
        context_.synchronize();
        moments.covariance.resize(at(d * d));
        std::size_t slot = 0;
        for (std::ptrdiff_t row = 0; row < d; ++row) {
            for (std::ptrdiff_t col = 0; col <= row; ++col) {
                moments.covariance[at(row * d + col)] = products[slot++] / divisor;
            }
        }
        return moments;
    }

    void seed(std::uint64_t seed, std::uint64_t stream, std::ptrdiff_t k, T* centers) {
        seed_centers(context_, data_, seed, stream, k, this->centers_.data());
        copy(context_, centers, this->centers_.data(), k * data_.d, cudaMemcpyDeviceToHost);
        context_.synchronize();
    }

    // 0 or -1: all bytes are alike.
    void fill_labels(std::int32_t label) { fill_bytes(context_, this->labels_, label, data_.n); }

    void remember_labels() {
        if (before_ == nullptr) {
            before_ = std::make_unique<Workspace<std::int32_t>>(context_, at(data_.n));
        }
        copy(context_, before_->data(), this->labels_, data_.n, cudaMemcpyDeviceToDevice);
    }

    std::vector<bool> changed_clusters(std::ptrdiff_t k) {
        using Changes = detail::KmeansChangesBlock;
        const Workspace<std::int32_t> flags(context_, at(k));
        flags.clear(at(k));
        launch<Changes>(context_, "kmeans (changes)", {data_.n, before_->data(), this->labels_, flags.data()});
        std::vector<std::int32_t> values(at(k));
        copy(context_, values.data(), flags.data(), k, cudaMemcpyDeviceToHost);
        context_.synchronize();
        return std::vector<bool>(values.begin(), values.end());
    }

    void split_labels(std::int32_t from, std::int32_t added, const T* halves) {
        using Halves = detail::KmeansHalvesBlock<T>;
        const Workspace<T> centers(context_, at(2 * data_.d));
        copy(context_, centers.data(), halves, 2 * data_.d, cudaMemcpyHostToDevice);
        launch<Halves>(context_, "kmeans (halves)", {data_, centers.data(), from, added, this->labels_});
    }

    std::vector<std::unique_ptr<Points>> members(const std::vector<bool>& wanted) {
        using Members = detail::KmeansMembers<T>;
        using Gather = detail::PrefixSumsBlock<Members>;
        const std::ptrdiff_t n_tiles = detail::n_prefix_tiles(data_.n);
        const Workspace<std::int32_t> partial(context_, at(n_tiles + 1));
        std::vector<std::unique_ptr<Points>> result(wanted.size());
        for (std::size_t c = 0; c < wanted.size(); ++c) {
            if (!wanted[c]) {
                continue;
            }
            Members members{data_.n, data_, this->labels_, static_cast<std::int32_t>(c), nullptr, nullptr};
            detail::count_before<Members>(Launcher{context_, "kmeans (members)"}, {members, partial.data()});
            const std::ptrdiff_t count = read_back(context_, partial.data() + n_tiles);
            auto sample = std::make_unique<Sample<T>>(context_, data_, count);
            members.points = sample->points.data();
            members.weights = sample->own_weights();
            launch<Gather>(context_, "kmeans (gather)", {members, partial.data()});
            result[c] = std::make_unique<Points>(context_, std::move(sample), 2);
        }
        return result;
    }

private:
    using System<T>::context_;
    using System<T>::data_;
    using Sums = typename System<T>::Sums;
    using Columns = typename System<T>::Columns;

    void add_chunks(const double* sums, std::ptrdiff_t n_slots, double* totals) {
        launch<Columns>(context_, "kmeans (sums of chunks)",
                        {sums, divide_up(data_.n, this->chunk_), n_slots, totals, 1.0});
    }

    std::unique_ptr<Sample<T>> sample_;
    Workspace<std::int32_t> own_labels_;
    std::unique_ptr<Workspace<std::int32_t>> before_;
};

template <class T>
detail::KmeansData<T> data_of(const KmeansPoints<T>& points) {
    return {points.data, points.weights, points.n, points.d};
}

}  // namespace

template <class T>
KmeansInfo kmeans(const Context& context, const KmeansPoints<T>& points, std::ptrdiff_t n_clusters,
                  const KmeansOptions& options, std::int32_t* labels, T* centers, Monitor& monitor) {
    detail::check_kmeans(points, n_clusters, options);
    const std::ptrdiff_t n_numbers = n_clusters * points.d;
    std::vector<T> own_centers(at(n_numbers));
    if (options.given_centers) {
        copy(context, own_centers.data(), centers, n_numbers, cudaMemcpyDeviceToHost);
        context.synchronize();
    }
    Starts<T> system(context, data_of(points), n_clusters, options.seed, labels);
    const KmeansInfo info = detail::kmeans_loop(system, n_clusters, points.d, options, own_centers.data(), monitor);
    copy(context, centers, own_centers.data(), n_numbers, cudaMemcpyHostToDevice);
    return info;
}

template <class T>
SplitKmeansInfo split_kmeans(const Context& context, const KmeansPoints<T>& points, std::ptrdiff_t n_clusters,
                             const SplitKmeansOptions& options, std::int32_t* labels, T* centers, Monitor& monitor) {
    detail::check_split_kmeans(points, n_clusters, options);
    const detail::KmeansData<T> data = data_of(points);
    SplitKmeansInfo result;
    std::vector<T> found;
    {
        auto seen =
            points.n > options.max_samples
                ? std::make_unique<Points<T>>(context, Sample<T>::draw(context, data, options.max_samples), n_clusters)
                : std::make_unique<Points<T>>(context, data, n_clusters);
        detail::split_kmeans_loop(*seen, n_clusters, options, found, result, monitor);
    }
    System<T> all(context, data, result.n_clusters, labels);
    all.clear_labels();
    result.info.inertia = all.assign(found.data(), result.n_clusters).inertia;
    copy(context, centers, found.data(), result.n_clusters * points.d, cudaMemcpyHostToDevice);
    monitor.report(1.0);
    return result;
}

#define FASTSOFT_INSTANTIATE(T)                                                                              \
    template KmeansInfo kmeans(const Context&, const KmeansPoints<T>&, std::ptrdiff_t, const KmeansOptions&, \
                               std::int32_t*, T*, Monitor&);                                                 \
    template SplitKmeansInfo split_kmeans(const Context&, const KmeansPoints<T>&, std::ptrdiff_t,            \
                                          const SplitKmeansOptions&, std::int32_t*, T*, Monitor&)

FASTSOFT_INSTANTIATE(float);
FASTSOFT_INSTANTIATE(double);

}  // namespace fastsoft::cuda
