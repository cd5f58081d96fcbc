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

#include "fastsoft/core/error.hpp"
#include "fastsoft/core/parallel.hpp"
#include "fastsoft/detail/kmeans_block.hpp"

namespace fastsoft {
namespace {

constexpr std::ptrdiff_t kBlock = detail::kKmeansBlock;
constexpr std::ptrdiff_t kMinChunk = 4096;
constexpr std::ptrdiff_t kMaxChunks = 128;
// Random streams: restarts count up from 0, these lie beyond.
constexpr std::uint64_t kSampleStream = std::uint64_t{1} << 40;

std::size_t at(std::ptrdiff_t index) {
    return static_cast<std::size_t>(index);
}

// Points per chunk: a function of n alone, and few enough chunks that their sums take little memory.
std::ptrdiff_t chunk_of(std::ptrdiff_t n) {
    const std::ptrdiff_t even = std::max((n + kMaxChunks - 1) / kMaxChunks, kMinChunk);
    return (even + kBlock - 1) / kBlock * kBlock;
}

// What one pass over the points sums up. Per cluster: weight, number of points, weighted sum of each coordinate.
struct Totals {
    std::vector<double> clusters;
    double inertia = 0.0;
    std::int64_t changed = 0;  // labels that differ from before

    Totals& operator+=(const Totals& other) {
        clusters.resize(other.clusters.size());
        for (std::size_t i = 0; i < clusters.size(); ++i) {
            clusters[i] += other.clusters[i];
        }
        inertia += other.inertia;
        changed += other.changed;
        return *this;
    }
};

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

template <class T>
double squared_distance(const T* a, const T* b, std::ptrdiff_t d) {
    double sum = 0.0;
    for (std::ptrdiff_t c = 0; c < d; ++c) {
        const double difference = static_cast<double>(a[c]) - static_cast<double>(b[c]);
        sum += difference * difference;
    }
    return sum;
}

// Squared distances below this share of a point's squared length are rounding: of a mean to T, or of the sum over a
// chunk behind it (1e-11 = 2^16 times the rounding of one addition in double).
template <class T>
constexpr double kSameShare = std::max(1e-22, 16.0 * static_cast<double>(std::numeric_limits<T>::epsilon()) *
                                                  static_cast<double>(std::numeric_limits<T>::epsilon()));

struct Farthest {
    double distance = 0.0;
    std::ptrdiff_t point = -1;

    Farthest& operator+=(const Farthest& other) {
        if (other.distance > distance) {
            *this = other;
        }
        return *this;
    }
};

// Gives every empty cluster the point farthest from its centre, taken from a cluster that keeps others.
template <class T>
void fill_empty_clusters(const KmeansPoints<T>& points, T* centers, std::ptrdiff_t k, std::int32_t* labels,
                         Totals& totals) {
    const std::ptrdiff_t d = points.d;
    const std::ptrdiff_t step = d + 2;
    double* const clusters = totals.clusters.data();
    for (std::ptrdiff_t empty = 0; empty < k; ++empty) {
        if (clusters[empty * step] > 0.0) {
            continue;
        }
        const auto found =
            parallel_sum<Farthest>(points.n, chunk_of(points.n), [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
                Farthest farthest;
                for (std::ptrdiff_t i = begin; i < end; ++i) {
                    const bool weightless = points.weights != nullptr && points.weights[i] == 0.0;
                    if (weightless || clusters[labels[i] * step + 1] <= 1.0) {
                        continue;
                    }
                    const T* const point = points.data + i * d;
                    const double distance = squared_distance(point, centers + labels[i] * d, d);
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
        if (found.point < 0) {
            return;  // every point lies on its centre
        }
        const T* const point = points.data + found.point * d;
        const double weight = points.weights == nullptr ? 1.0 : points.weights[found.point];
        double* const from = clusters + labels[found.point] * step;
        double* const to = clusters + empty * step;
        const auto move = [&](std::ptrdiff_t place, double value) {
            from[place] -= value;
            to[place] += value;
        };
        move(0, weight);
        move(1, 1.0);
        for (std::ptrdiff_t c = 0; c < d; ++c) {
            move(2 + c, weight * static_cast<double>(point[c]));
            centers[empty * d + c] = point[c];
        }
        labels[found.point] = static_cast<std::int32_t>(empty);
        ++totals.changed;
    }
}

// Lloyd's iteration from the given centres; labels need no start. report(iteration) may throw.
template <class T, class Report>
KmeansInfo lloyd(const KmeansPoints<T>& points, T* centers, std::ptrdiff_t k, int max_iterations, std::int32_t* labels,
                 const Report& report) {
    const std::ptrdiff_t d = points.d;
    std::fill(labels, labels + points.n, -1);
    KmeansInfo info;
    for (int iteration = 0;; ++iteration) {
        report(iteration);
        Totals totals = assign(points, centers, k, labels);
        info.inertia = totals.inertia;
        info.iterations = iteration;
        if (iteration == max_iterations) {
            info.converged = totals.changed == 0;
            return info;
        }
        fill_empty_clusters(points, centers, k, labels, totals);
        if (totals.changed == 0) {
            info.converged = true;
            return info;
        }
        for (std::ptrdiff_t c = 0; c < k; ++c) {
            const double* const own = totals.clusters.data() + c * (d + 2);
            for (std::ptrdiff_t j = 0; j < d && own[0] > 0.0; ++j) {
                centers[c * d + j] = static_cast<T>(own[2 + j] / own[0]);
            }
        }
    }
}

// Positions of n_samples points: one from each of as many equal stretches, at a fixed pseudo-random place in it.
std::vector<std::ptrdiff_t> sample_positions(std::ptrdiff_t n, std::ptrdiff_t n_samples) {
    std::vector<std::ptrdiff_t> positions(at(n_samples));
    // Products in double: exact up to 2^53.
    const double stretch = static_cast<double>(n) / static_cast<double>(n_samples);
    for (std::ptrdiff_t s = 0; s < n_samples; ++s) {
        const double place =
            n_samples == n ? 0.0 : detail::random_uniform(0, kSampleStream, static_cast<std::uint64_t>(s));
        const auto position = static_cast<std::ptrdiff_t>((static_cast<double>(s) + place) * stretch);
        positions[at(s)] = std::min(position, n - 1);
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
        const int n_candidates = 2 + static_cast<int>(std::log(static_cast<double>(k)));
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

template <class T>
void check(const KmeansPoints<T>& points, std::ptrdiff_t n_clusters, int max_iterations) {
    FASTSOFT_EXPECTS(points.n >= 1 && points.d >= 1, "points must have shape (N, d) with both at least 1, got (",
                     points.n, ", ", points.d, ")");
    FASTSOFT_EXPECTS(
        n_clusters >= 1 && n_clusters <= points.n && n_clusters <= std::numeric_limits<std::int32_t>::max(),
        "n_clusters must be in 1..", points.n, ", got ", n_clusters);
    FASTSOFT_EXPECTS(max_iterations >= 1, "max_iterations must be at least 1, got ", max_iterations);
}

}  // namespace

template <class T>
KmeansInfo kmeans(const KmeansPoints<T>& points, std::ptrdiff_t n_clusters, const KmeansOptions& options,
                  std::int32_t* labels, T* centers, Monitor& monitor) {
    const int n_init = options.given_centers ? 1 : options.n_init;
    check(points, n_clusters, options.max_iterations);
    FASTSOFT_EXPECTS(n_init >= 1, "n_init must be at least 1, got ", n_init);
    const auto run = [&](int start, T* own_centers, std::int32_t* own_labels) {
        if (!options.given_centers) {
            seed_centers(points, options.seed, static_cast<std::uint64_t>(start), n_clusters, own_centers);
        }
        return lloyd(points, own_centers, n_clusters, options.max_iterations, own_labels, [&](int iteration) {
            monitor.report((start + iteration / (options.max_iterations + 1.0)) / n_init);
        });
    };
    KmeansInfo best = run(0, centers, labels);
    if (n_init > 1) {
        std::vector<T> other_centers(at(n_clusters * points.d));
        std::vector<std::int32_t> other_labels(at(points.n));
        for (int start = 1; start < n_init; ++start) {
            const KmeansInfo info = run(start, other_centers.data(), other_labels.data());
            if (info.inertia < best.inertia) {
                best = info;
                std::copy(other_centers.begin(), other_centers.end(), centers);
                std::copy(other_labels.begin(), other_labels.end(), labels);
            }
        }
    }
    monitor.report(1.0);
    return best;
}

template <class T>
SplitKmeansInfo split_kmeans(const KmeansPoints<T>& points, std::ptrdiff_t n_clusters,
                             const SplitKmeansOptions& options, std::int32_t* labels, T* centers, Monitor& monitor) {
    check(points, n_clusters, options.max_iterations);
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
