// SPDX-License-Identifier: MIT
#include "fastsoft/kmeans.hpp"

#include <Eigen/Dense>
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "fastsoft/core/parallel.hpp"
#include "fastsoft/detail/kmeans_loop.hpp"
#include "fastsoft/detail/kmeans_pixel.hpp"
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
    const KmeansPoints<T>& points_;
    std::int32_t* labels_;
};

// Lloyd's iteration from the given centres; labels need no start. report(iteration) may throw.
template <class T, class Report>
KmeansInfo lloyd(const KmeansPoints<T>& points, T* centers, std::ptrdiff_t k, int max_iterations, std::int32_t* labels,
                 const Report& report) {
    System<T> system(points, labels);
    return detail::lloyd(system, centers, k, points.d, max_iterations, report);
}

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

// Weight, mean and covariance of points.
struct Moments {
    double weight = 0.0;
    Eigen::VectorXd mean;
    Eigen::MatrixXd covariance;
};

template <class T>
Moments moments_of(const KmeansPoints<T>& points) {
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
    Moments moments;
    moments.weight = first.value(d);
    moments.mean = first.value.topRows(d) / std::max(moments.weight, std::numeric_limits<double>::min());
    const Sum second = parallel_sum<Sum>(points.n, chunk, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
        Eigen::MatrixXd sum = Eigen::MatrixXd::Zero(d, d);
        Eigen::VectorXd centred(d);
        for (std::ptrdiff_t i = begin; i < end; ++i) {
            centred = point(i) - moments.mean;
            sum.selfadjointView<Eigen::Lower>().rankUpdate(centred, weight(i));
        }
        return Sum{sum};
    });
    moments.covariance = second.value / std::max(moments.weight, std::numeric_limits<double>::min());
    return moments;
}

// The best division of a cluster in two.
template <class T>
struct Division {
    double gain = 0.0;  // by how much it lowers the error; 0: none was found
    std::vector<T> centers;
};

constexpr std::ptrdiff_t kMaxAxes = 3;

template <class T, class Report>
Division<T> divide(const KmeansPoints<T>& points, int max_iterations, const Report& report, KmeansInfo& sum) {
    Division<T> best;
    const std::ptrdiff_t d = points.d;
    if (points.n <= 2 * d) {
        return best;
    }
    const Moments moments = moments_of(points);
    const double error = moments.covariance.trace() * moments.weight;
    if (!(error > kSameShare<T> * moments.weight * moments.mean.squaredNorm())) {
        return best;
    }
    const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(moments.covariance);
    std::vector<std::int32_t> labels(at(points.n));
    for (std::ptrdiff_t axis = 0; axis < std::min(d, kMaxAxes); ++axis) {
        const Eigen::Index column = d - 1 - axis;
        const double variance = solver.eigenvalues()(column);
        if (!(variance > 0.0)) {
            break;
        }
        Eigen::VectorXd direction = solver.eigenvectors().col(column) * std::sqrt(variance);
        // The sign of an eigenvector is arbitrary: its largest component points up.
        Eigen::Index largest = 0;
        direction.cwiseAbs().maxCoeff(&largest);
        if (direction(largest) < 0.0) {
            direction = -direction;
        }
        std::vector<T> centers(at(2 * d));
        for (std::ptrdiff_t c = 0; c < d; ++c) {
            centers[at(c)] = static_cast<T>(moments.mean(c) - direction(c));
            centers[at(d + c)] = static_cast<T>(moments.mean(c) + direction(c));
        }
        const KmeansInfo info = lloyd(points, centers.data(), 2, max_iterations, labels.data(), [&](int) { report(); });
        sum.iterations += info.iterations;
        sum.converged = sum.converged && info.converged;
        // Below rounding there is nothing to gain.
        const double gain = error - info.inertia;
        if (gain > best.gain && gain > 1e-12 * error) {
            best.gain = gain;
            best.centers = centers;
        }
    }
    return best;
}

// A clustering that grows by divisions.
template <class T, class Report>
class Splitting {
public:
    Splitting(const KmeansPoints<T>& points, int max_iterations, const Report& report)
        : points_(points), max_iterations_(max_iterations), report_(report) {}

    KmeansInfo sum{0.0, 0, true};  // of all k-means within
    std::vector<T> centers;
    double inertia = 0.0;

    std::ptrdiff_t n_clusters() const { return static_cast<std::ptrdiff_t>(centers.size()) / points_.d; }

    void add(const KmeansInfo& info) {
        sum.iterations += info.iterations;
        sum.converged = sum.converged && info.converged;
    }

    // One cluster: the mean.
    void start() {
        const Moments moments = moments_of(points_);
        centers.resize(at(points_.d));
        for (std::ptrdiff_t c = 0; c < points_.d; ++c) {
            centers[at(c)] = static_cast<T>(moments.mean(c));
        }
        labels_.assign(at(points_.n), 0);
        divisions_.assign(1, {});
        stale_.assign(1, true);
    }

    void start(std::vector<T> from) {
        centers = std::move(from);
        labels_.assign(at(points_.n), -1);
        divisions_.assign(at(n_clusters()), {});
        stale_.assign(at(n_clusters()), true);
        refine();
    }

    // Splits the cluster that gains most; false if none can be split.
    bool split() {
        update_divisions();
        std::size_t best = 0;
        for (std::size_t c = 1; c < divisions_.size(); ++c) {
            if (divisions_[c].gain > divisions_[best].gain) {
                best = c;
            }
        }
        if (!(divisions_[best].gain > 0.0)) {
            return false;
        }
        const std::ptrdiff_t d = points_.d;
        const std::vector<T> halves = std::move(divisions_[best].centers);
        const auto added = static_cast<std::int32_t>(n_clusters());
        std::copy_n(halves.begin(), d, centers.begin() + static_cast<std::ptrdiff_t>(best) * d);
        centers.insert(centers.end(), halves.begin() + d, halves.end());
        for (std::ptrdiff_t i = 0; i < points_.n; ++i) {
            if (labels_[at(i)] == static_cast<std::int32_t>(best) &&
                squared_distance(points_.data + i * d, halves.data() + d, d) <
                    squared_distance(points_.data + i * d, halves.data(), d)) {
                labels_[at(i)] = added;
            }
        }
        divisions_[best] = {};
        divisions_.push_back({});
        stale_[best] = true;
        stale_.push_back(true);
        return true;
    }

    // k-means from all centres.
    void refine() {
        const std::vector<std::int32_t> before = labels_;
        const KmeansInfo info =
            lloyd(points_, centers.data(), n_clusters(), max_iterations_, labels_.data(), [&](int) { report_(); });
        add(info);
        inertia = info.inertia;
        for (std::size_t i = 0; i < before.size(); ++i) {
            if (before[i] != labels_[i]) {
                stale_[at(labels_[i])] = true;
                if (before[i] >= 0) {
                    stale_[at(before[i])] = true;
                }
            }
        }
    }

private:
    void update_divisions() {
        std::vector<std::vector<std::ptrdiff_t>> members(divisions_.size());
        for (std::ptrdiff_t i = 0; i < points_.n; ++i) {
            if (stale_[at(labels_[at(i)])]) {
                members[at(labels_[at(i)])].push_back(i);
            }
        }
        for (std::size_t c = 0; c < divisions_.size(); ++c) {
            if (stale_[c]) {
                const Gathered<T> own = gather(points_, members[c]);
                divisions_[c] = divide(own.view(points_.d), max_iterations_, report_, sum);
                stale_[c] = false;
            }
        }
    }

    const KmeansPoints<T>& points_;
    int max_iterations_;
    const Report& report_;
    std::vector<std::int32_t> labels_;
    std::vector<Division<T>> divisions_;
    std::vector<bool> stale_;
};

// The order in which random starts find the same centres must not leave a trace.
template <class T>
std::vector<T> in_lexicographic_order(const std::vector<T>& centers, std::ptrdiff_t d) {
    std::vector<const T*> order;
    for (std::size_t place = 0; place < centers.size(); place += at(d)) {
        order.push_back(centers.data() + place);
    }
    std::sort(order.begin(), order.end(),
              [d](const T* a, const T* b) { return std::lexicographical_compare(a, a + d, b, b + d); });
    std::vector<T> sorted;
    for (const T* const center : order) {
        sorted.insert(sorted.end(), center, center + d);
    }
    return sorted;
}

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
    detail::check_kmeans(points, n_clusters, options.max_iterations);
    FASTSOFT_EXPECTS(options.n_init >= 0, "n_init must be at least 0, got ", options.n_init);
    FASTSOFT_EXPECTS(options.n_start >= 1, "n_start must be at least 1, got ", options.n_start);
    FASTSOFT_EXPECTS(options.max_samples >= n_clusters, "max_samples must be at least n_clusters ", n_clusters,
                     ", got ", options.max_samples);
    const std::ptrdiff_t n_start = std::min(options.n_start, n_clusters);
    Gathered<T> sample;
    KmeansPoints<T> seen = points;
    if (points.n > options.max_samples) {
        sample = gather(points, sample_positions(points.n, options.max_samples));
        seen = sample.view(points.d);
    }

    // Counted in k-means runs of which the number is known beforehand.
    const double n_steps = static_cast<double>(options.n_init + 2 * n_clusters);
    double steps_done = 0.0;
    const auto report = [&] { monitor.report(std::min(steps_done / n_steps, 1.0)); };

    // The start by splitting does not depend on the seed; k-means++ may find better.
    Splitting<T, decltype(report)> splitting(seen, options.max_iterations, report);
    splitting.start();
    while (splitting.n_clusters() < n_start && splitting.split()) {
        splitting.refine();
        steps_done += 1.0;
    }
    // With fewer clusters than asked for, the points are too few or too alike to divide: no other start helps.
    if (splitting.n_clusters() == n_start && n_start > 1) {
        std::vector<T> best = splitting.centers;
        double least = splitting.inertia;
        std::vector<std::int32_t> own_labels(at(seen.n));
        std::vector<T> own_centers(at(n_start * points.d));
        for (int start = 0; start < options.n_init; ++start) {
            Seeding<T>(seen, options.seed, static_cast<std::uint64_t>(start)).run(n_start, own_centers.data());
            const KmeansInfo info = lloyd(seen, own_centers.data(), n_start, options.max_iterations, own_labels.data(),
                                          [&](int) { report(); });
            splitting.add(info);
            // The same optimum reached on another path differs by rounding; it must not win by that.
            if (info.inertia < least * (1.0 - 1e-7)) {
                least = info.inertia;
                best = own_centers;
            }
            steps_done += 1.0;
        }
        splitting.start(in_lexicographic_order(best, points.d));
    }
    while (splitting.n_clusters() < n_clusters && splitting.split()) {
        if (splitting.n_clusters() <= options.refine_up_to) {
            splitting.refine();
        }
        steps_done += 1.0;
    }

    SplitKmeansInfo result;
    result.n_clusters = splitting.n_clusters();
    std::copy(splitting.centers.begin(), splitting.centers.end(), centers);
    std::fill(labels, labels + points.n, -1);
    result.info.inertia = assign(points, centers, result.n_clusters, labels).inertia;
    result.info.iterations = splitting.sum.iterations;
    result.info.converged = splitting.sum.converged;
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
