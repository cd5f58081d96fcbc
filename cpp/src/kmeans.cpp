// SPDX-License-Identifier: MIT
#include "fastsoft/kmeans.hpp"

#include <Eigen/Dense>
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "fastsoft/core/parallel.hpp"
#include "fastsoft/detail/kmeans_loop.hpp"
#include "fastsoft/detail/kmeans_pixel.hpp"
#include "fastsoft/detail/kmeans_split_loop.hpp"
#include "fastsoft/detail/nearest_centers.hpp"

namespace fastsoft {
namespace {

constexpr std::ptrdiff_t kBlock = detail::kKmeansBlock;
constexpr std::ptrdiff_t kMinChunk = 4096;
constexpr std::ptrdiff_t kMaxChunks = 128;

std::size_t at(std::ptrdiff_t index) {
    return static_cast<std::size_t>(index);
}

// Points per chunk: a function of n alone, and few enough chunks that their sums take little memory.
std::ptrdiff_t chunk_of(std::ptrdiff_t n) {
    const std::ptrdiff_t even = std::max((n + kMaxChunks - 1) / kMaxChunks, kMinChunk);
    return (even + kBlock - 1) / kBlock * kBlock;
}

using detail::kSameShare;
using detail::squared_distance;
using Totals = detail::KmeansTotals;

template <class T>
void nearest(const T* x, std::ptrdiff_t d, const T* centers, std::ptrdiff_t k, T* best, detail::KmeansIndex<T>* index) {
    switch (d) {
        case 1:
            detail::nearest_centers<1>(x, d, centers, k, best, index);
            break;
        case 2:
            detail::nearest_centers<2>(x, d, centers, k, best, index);
            break;
        case 3:
            detail::nearest_centers<3>(x, d, centers, k, best, index);
            break;
        case 4:
            detail::nearest_centers<4>(x, d, centers, k, best, index);
            break;
        default:
            detail::nearest_centers<0>(x, d, centers, k, best, index);
            break;
    }
}

// Labels every point with its nearest centre and sums up.
template <class T>
Totals assign(const KmeansPoints<T>& points, const T* centers, std::ptrdiff_t k, std::int32_t* labels) {
    const std::ptrdiff_t d = points.d;
    const std::ptrdiff_t step = d + 2;
    return parallel_sum<Totals>(points.n, chunk_of(points.n), [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
        Totals totals;
        totals.clusters.resize(at(k * step));
        std::vector<T> x(at(d * kBlock));
        std::array<T, kBlock> best;
        std::array<detail::KmeansIndex<T>, kBlock> index;
        for (std::ptrdiff_t first = begin; first < end; first += kBlock) {
            const std::ptrdiff_t count = std::min(kBlock, end - first);
            const T* const block = points.data + first * d;
            for (std::ptrdiff_t c = 0; c < d; ++c) {
                for (std::ptrdiff_t i = 0; i < count; ++i) {
                    x[at(c * kBlock + i)] = block[i * d + c];
                }
            }
            nearest(x.data(), d, centers, k, best.data(), index.data());
            for (std::ptrdiff_t i = 0; i < count; ++i) {
                const double weight = points.weights == nullptr ? 1.0 : points.weights[first + i];
                const auto label = static_cast<std::int32_t>(index[at(i)]);
                totals.changed += labels[first + i] != label;
                labels[first + i] = label;
                totals.inertia += weight * static_cast<double>(best[at(i)]);
                double* const own = totals.clusters.data() + label * step;
                own[0] += weight;
                own[1] += 1.0;
                for (std::ptrdiff_t c = 0; c < d; ++c) {
                    own[2 + c] += weight * static_cast<double>(block[i * d + c]);
                }
            }
        }
        return totals;
    });
}

struct Farthest : detail::Farthest {
    Farthest(double distance_ = 0.0, std::ptrdiff_t point_ = -1) : detail::Farthest{distance_, point_} {}

    Farthest& operator+=(const Farthest& other) {
        if (other.distance > distance) {
            *this = other;
        }
        return *this;
    }
};

// What detail::lloyd moves.
template <class T>
class System {
public:
    System(const KmeansPoints<T>& points, std::int32_t* labels) : points_(points), labels_(labels) {}

    void clear_labels() { std::fill(labels_, labels_ + points_.n, -1); }

    Totals assign(const T* centers, std::ptrdiff_t k) { return fastsoft::assign(points_, centers, k, labels_); }

    detail::Farthest farthest(const T* centers, const double* clusters, std::ptrdiff_t) const {
        const std::ptrdiff_t d = points_.d;
        const std::ptrdiff_t step = d + 2;
        return parallel_sum<Farthest>(points_.n, chunk_of(points_.n), [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
            Farthest farthest;
            for (std::ptrdiff_t i = begin; i < end; ++i) {
                const bool weightless = points_.weights != nullptr && points_.weights[i] == 0.0;
                if (weightless || clusters[labels_[i] * step + 1] <= 1.0) {
                    continue;
                }
                const T* const point = points_.data + i * d;
                const double distance = squared_distance(point, centers + labels_[i] * d, d);
                double length = 0.0;
                for (std::ptrdiff_t c = 0; c < d; ++c) {
                    length += static_cast<double>(point[c]) * static_cast<double>(point[c]);
                }
                if (distance > kSameShare<T> * length) {
                    farthest += {distance, i};
                }
            }
            return farthest;
        });
    }

    detail::KmeansPoint<T> take(std::ptrdiff_t point, std::int32_t label) {
        const T* const first = points_.data + point * points_.d;
        const double weight = points_.weights == nullptr ? 1.0 : points_.weights[point];
        return {std::vector<T>(first, first + points_.d), weight, std::exchange(labels_[point], label)};
    }

protected:
    KmeansPoints<T> points_;
    std::int32_t* labels_;
};

std::vector<std::ptrdiff_t> sample_positions(std::ptrdiff_t n, std::ptrdiff_t n_samples) {
    std::vector<std::ptrdiff_t> positions(at(n_samples));
    for (std::ptrdiff_t s = 0; s < n_samples; ++s) {
        positions[at(s)] = detail::sample_position(n, n_samples, s);
    }
    return positions;
}

// Points of their own, gathered from others.
template <class T>
struct Gathered {
    std::vector<T> data;
    std::vector<double> weights;

    KmeansPoints<T> view(std::ptrdiff_t d) const {
        return {data.data(), static_cast<std::ptrdiff_t>(data.size()) / d, d,
                weights.empty() ? nullptr : weights.data()};
    }
};

template <class T>
Gathered<T> gather(const KmeansPoints<T>& points, const std::vector<std::ptrdiff_t>& positions) {
    Gathered<T> result;
    result.data.reserve(positions.size() * at(points.d));
    for (const std::ptrdiff_t i : positions) {
        result.data.insert(result.data.end(), points.data + i * points.d, points.data + (i + 1) * points.d);
        if (points.weights != nullptr) {
            result.weights.push_back(points.weights[i]);
        }
    }
    return result;
}

// Greedy k-means++.
template <class T>
class Seeding {
public:
    Seeding(const KmeansPoints<T>& points, std::uint64_t seed, std::uint64_t stream)
        : points_(points), seed_(seed), stream_(stream), nearest_(at(points.n)) {}

    void run(std::ptrdiff_t k, T* centers) {
        const std::ptrdiff_t d = points_.d;
        const int n_candidates = detail::kmeans_candidates(k);
        std::fill(nearest_.begin(), nearest_.end(), 1.0);
        for (std::ptrdiff_t c = 0; c < k; ++c) {
            const std::vector<double> cumulative = potential_per_chunk();
            std::ptrdiff_t best = draw(cumulative);
            double least = std::numeric_limits<double>::infinity();
            // The first centre is drawn by weight alone and has no competitors.
            for (int candidate = 0; c > 0 && candidate < n_candidates; ++candidate) {
                const std::ptrdiff_t point = candidate == 0 ? best : draw(cumulative);
                const double potential = potential_with(point);
                if (potential < least) {
                    least = potential;
                    best = point;
                }
            }
            std::copy_n(points_.data + best * d, d, centers + c * d);
            lower(best, c == 0);
        }
    }

private:
    double weight(std::ptrdiff_t i) const { return points_.weights == nullptr ? 1.0 : points_.weights[i]; }
    double distance_to(std::ptrdiff_t i, std::ptrdiff_t point) const {
        return squared_distance(points_.data + i * points_.d, points_.data + point * points_.d, points_.d);
    }

    // Sum of weight times squared distance up to the end of each chunk.
    std::vector<double> potential_per_chunk() const {
        const std::ptrdiff_t chunk = chunk_of(points_.n);
        std::vector<double> sums(at((points_.n + chunk - 1) / chunk));
        parallel_for(points_.n, chunk, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
            double sum = 0.0;
            for (std::ptrdiff_t i = begin; i < end; ++i) {
                sum += weight(i) * nearest_[at(i)];
            }
            sums[at(begin / chunk)] = sum;
        });
        for (std::size_t i = 1; i < sums.size(); ++i) {
            sums[i] += sums[i - 1];
        }
        return sums;
    }

    // A point with probability proportional to weight times squared distance; a late one if all of that is 0.
    std::ptrdiff_t draw(const std::vector<double>& cumulative) {
        const double target = detail::random_uniform(seed_, stream_, counter_++) * cumulative.back();
        const auto found = std::upper_bound(cumulative.begin(), cumulative.end() - 1, target);
        const auto number = static_cast<std::ptrdiff_t>(found - cumulative.begin());
        const std::ptrdiff_t begin = number * chunk_of(points_.n);
        const std::ptrdiff_t end = std::min(points_.n, begin + chunk_of(points_.n));
        double sum = number == 0 ? 0.0 : cumulative[at(number - 1)];
        std::ptrdiff_t last = begin;
        for (std::ptrdiff_t i = begin; i < end; ++i) {
            const double share = weight(i) * nearest_[at(i)];
            if (share > 0.0) {
                last = i;
            }
            sum += share;
            if (sum > target) {
                return i;
            }
        }
        return last;  // rounding put the target at the chunk's end
    }

    double potential_with(std::ptrdiff_t point) const {
        return parallel_sum<double>(points_.n, chunk_of(points_.n), [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
            double sum = 0.0;
            for (std::ptrdiff_t i = begin; i < end; ++i) {
                sum += weight(i) * std::min(nearest_[at(i)], distance_to(i, point));
            }
            return sum;
        });
    }

    void lower(std::ptrdiff_t point, bool first) {
        parallel_for(points_.n, chunk_of(points_.n), [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
            for (std::ptrdiff_t i = begin; i < end; ++i) {
                const double distance = distance_to(i, point);
                nearest_[at(i)] = first ? distance : std::min(nearest_[at(i)], distance);
            }
        });
    }

    const KmeansPoints<T>& points_;
    std::uint64_t seed_;
    std::uint64_t stream_;
    std::uint64_t counter_ = 0;
    std::vector<double> nearest_;  // squared distance to the nearest centre so far
};

template <class T>
detail::KmeansMoments moments_of(const KmeansPoints<T>& points) {
    struct Sum {
        Eigen::MatrixXd value;
        Sum& operator+=(const Sum& other) {
            if (value.size() == 0) {
                value = other.value;
            } else {
                value += other.value;
            }
            return *this;
        }
    };
    const std::ptrdiff_t d = points.d;
    const std::ptrdiff_t chunk = chunk_of(points.n);
    const auto weight = [&](std::ptrdiff_t i) { return points.weights == nullptr ? 1.0 : points.weights[i]; };
    const auto point = [&](std::ptrdiff_t i) {
        return Eigen::Map<const Eigen::Matrix<T, Eigen::Dynamic, 1>>(points.data + i * d, d).template cast<double>();
    };
    const Sum first = parallel_sum<Sum>(points.n, chunk, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
        Eigen::MatrixXd sum = Eigen::VectorXd::Zero(d + 1);
        for (std::ptrdiff_t i = begin; i < end; ++i) {
            sum.topRows(d) += weight(i) * point(i);
            sum(d) += weight(i);
        }
        return Sum{sum};
    });
    detail::KmeansMoments moments;
    moments.weight = first.value(d);
    const double divisor = std::max(moments.weight, std::numeric_limits<double>::min());
    const Eigen::VectorXd mean = first.value.topRows(d) / divisor;
    moments.mean.assign(mean.data(), mean.data() + d);
    const Sum second = parallel_sum<Sum>(points.n, chunk, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
        Eigen::MatrixXd sum = Eigen::MatrixXd::Zero(d, d);
        Eigen::VectorXd centred(d);
        for (std::ptrdiff_t i = begin; i < end; ++i) {
            centred = point(i) - mean;
            sum.selfadjointView<Eigen::Lower>().rankUpdate(centred, weight(i));
        }
        return Sum{sum};
    });
    moments.covariance.resize(at(d * d));
    for (std::ptrdiff_t row = 0; row < d; ++row) {
        for (std::ptrdiff_t col = 0; col <= row; ++col) {
            moments.covariance[at(row * d + col)] = second.value(row, col) / divisor;
        }
    }
    return moments;
}

// What detail::split_kmeans_loop moves: points, and labels of them.
template <class T>
class Points : public System<T> {
public:
    explicit Points(const KmeansPoints<T>& points) : System<T>(points, nullptr), own_labels_(at(points.n)) {
        this->labels_ = own_labels_.data();
    }
    Points(Gathered<T> points, std::ptrdiff_t d) : Points(points.view(d)) { own_points_ = std::move(points); }

    std::ptrdiff_t n() const { return points_.n; }
    std::ptrdiff_t d() const { return points_.d; }
    detail::KmeansMoments moments() const { return moments_of(points_); }
    void seed(std::uint64_t seed, std::uint64_t stream, std::ptrdiff_t k, T* centers) const {
        Seeding<T>(points_, seed, stream).run(k, centers);
    }
    void fill_labels(std::int32_t label) { std::fill(own_labels_.begin(), own_labels_.end(), label); }
    void remember_labels() { before_ = own_labels_; }

    std::vector<bool> changed_clusters(std::ptrdiff_t k) const {
        std::vector<bool> changed(at(k), false);
        for (std::size_t i = 0; i < before_.size(); ++i) {
            if (before_[i] != own_labels_[i]) {
                changed[at(own_labels_[i])] = true;
                if (before_[i] >= 0) {
                    changed[at(before_[i])] = true;
                }
            }
        }
        return changed;
    }

    void split_labels(std::int32_t from, std::int32_t added, const T* halves) {
        const std::ptrdiff_t d = points_.d;
        for (std::ptrdiff_t i = 0; i < points_.n; ++i) {
            const T* const point = points_.data + i * d;
            if (own_labels_[at(i)] == from &&
                squared_distance(point, halves + d, d) < squared_distance(point, halves, d)) {
                own_labels_[at(i)] = added;
            }
        }
    }

    std::vector<std::unique_ptr<Points>> members(const std::vector<bool>& wanted) const {
        std::vector<std::vector<std::ptrdiff_t>> positions(wanted.size());
        for (std::ptrdiff_t i = 0; i < points_.n; ++i) {
            if (wanted[at(own_labels_[at(i)])]) {
                positions[at(own_labels_[at(i)])].push_back(i);
            }
        }
        std::vector<std::unique_ptr<Points>> result(wanted.size());
        for (std::size_t c = 0; c < wanted.size(); ++c) {
            if (wanted[c]) {
                result[c] = std::make_unique<Points>(gather(points_, positions[c]), points_.d);
            }
        }
        return result;
    }

private:
    using System<T>::points_;

    Gathered<T> own_points_;
    std::vector<std::int32_t> own_labels_;
    std::vector<std::int32_t> before_;
};

// k-means++ on a sample if there are very many points.
template <class T>
void seed_centers(const KmeansPoints<T>& points, std::uint64_t seed, std::uint64_t stream, std::ptrdiff_t k,
                  T* centers) {
    if (points.n <= kKmeansSeedPoints) {
        Seeding<T>(points, seed, stream).run(k, centers);
        return;
    }
    const Gathered<T> sample = gather(points, sample_positions(points.n, kKmeansSeedPoints));
    const KmeansPoints<T> view = sample.view(points.d);
    Seeding<T>(view, seed, stream).run(k, centers);
}

// What detail::kmeans_loop moves.
template <class T>
class Starts : public System<T> {
public:
    Starts(const KmeansPoints<T>& points, std::uint64_t seed, std::int32_t* labels)
        : System<T>(points, labels), seed_(seed), output_(labels) {}

    void begin_start(int start) {
        if (start > 0) {
            others_.resize(at(this->points_.n));
            this->labels_ = others_.data();
        }
    }
    void seed(std::uint64_t stream, std::ptrdiff_t k, T* centers) const {
        seed_centers(this->points_, seed_, stream, k, centers);
    }
    void keep_labels() const { std::copy(others_.begin(), others_.end(), output_); }

private:
    std::uint64_t seed_;
    std::int32_t* output_;
    std::vector<std::int32_t> others_;
};

}  // namespace

template <class T>
KmeansInfo kmeans(const KmeansPoints<T>& points, std::ptrdiff_t n_clusters, const KmeansOptions& options,
                  std::int32_t* labels, T* centers, Monitor& monitor) {
    detail::check_kmeans(points, n_clusters, options);
    Starts<T> system(points, options.seed, labels);
    return detail::kmeans_loop(system, n_clusters, points.d, options, centers, monitor);
}

template <class T>
SplitKmeansInfo split_kmeans(const KmeansPoints<T>& points, std::ptrdiff_t n_clusters,
                             const SplitKmeansOptions& options, std::int32_t* labels, T* centers, Monitor& monitor) {
    detail::check_split_kmeans(points, n_clusters, options);
    auto seen =
        points.n > options.max_samples
            ? std::make_unique<Points<T>>(gather(points, sample_positions(points.n, options.max_samples)), points.d)
            : std::make_unique<Points<T>>(points);
    SplitKmeansInfo result;
    std::vector<T> found;
    detail::split_kmeans_loop(*seen, n_clusters, options, found, result, monitor);
    std::copy(found.begin(), found.end(), centers);
    System<T> all(points, labels);
    all.clear_labels();
    result.info.inertia = all.assign(centers, result.n_clusters).inertia;
    monitor.report(1.0);
    return result;
}

#define FASTSOFT_INSTANTIATE(T)                                                                                 \
    template KmeansInfo kmeans(const KmeansPoints<T>&, std::ptrdiff_t, const KmeansOptions&, std::int32_t*, T*, \
                               Monitor&);                                                                       \
    template SplitKmeansInfo split_kmeans(const KmeansPoints<T>&, std::ptrdiff_t, const SplitKmeansOptions&,    \
                                          std::int32_t*, T*, Monitor&)

FASTSOFT_INSTANTIATE(float);
FASTSOFT_INSTANTIATE(double);

}  // namespace fastsoft
