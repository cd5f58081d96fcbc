// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "fastsoft/core/error.hpp"
#include "fastsoft/core/monitor.hpp"
#include "fastsoft/kmeans.hpp"

// The iteration of k-means over a System that knows where points and labels live. Centres and what is summed up per
// cluster are few numbers and live on the host.
namespace fastsoft::detail {

// What one pass over the points sums up. Per cluster: weight, number of points, weighted sum of each coordinate.
struct KmeansTotals {
    std::vector<double> clusters;
    double inertia = 0.0;
    std::int64_t changed = 0;  // labels that differ from before

    KmeansTotals& operator+=(const KmeansTotals& other) {
        clusters.resize(other.clusters.size());
        for (std::size_t i = 0; i < clusters.size(); ++i) {
            clusters[i] += other.clusters[i];
        }
        inertia += other.inertia;
        changed += other.changed;
        return *this;
    }
};

// The point farthest from its centre, the first of equal ones; -1: there is none.
struct Farthest {
    double distance;
    std::ptrdiff_t point;
};

// A single point.
template <class T>
struct KmeansPoint {
    std::vector<T> coordinates;
    double weight;
    std::int32_t label;
};

// Squared distances below this share of a point's squared length are rounding: of a mean to T, or of the sum over a
// chunk behind it (1e-11 = 2^16 times the rounding of one addition in double).
template <class T>
constexpr double kSameShare = std::max(1e-22, 16.0 * static_cast<double>(std::numeric_limits<T>::epsilon()) *
                                                  static_cast<double>(std::numeric_limits<T>::epsilon()));

// Gives every empty cluster the point farthest from its centre, taken from a cluster that keeps others.
template <class T, class System>
void fill_empty_clusters(System& system, T* centers, std::ptrdiff_t k, std::ptrdiff_t d, KmeansTotals& totals) {
    const std::ptrdiff_t step = d + 2;
    double* const clusters = totals.clusters.data();
    for (std::ptrdiff_t empty = 0; empty < k; ++empty) {
        if (clusters[empty * step] > 0.0) {
            continue;
        }
        const Farthest found = system.farthest(centers, clusters, k);
        if (found.point < 0) {
            return;  // every point lies on its centre
        }
        const KmeansPoint<T> point = system.take(found.point, static_cast<std::int32_t>(empty));
        double* const from = clusters + point.label * step;
        double* const to = clusters + empty * step;
        const auto move = [&](std::ptrdiff_t place, double value) {
            from[place] -= value;
            to[place] += value;
        };
        move(0, point.weight);
        move(1, 1.0);
        for (std::ptrdiff_t c = 0; c < d; ++c) {
            const T value = point.coordinates[static_cast<std::size_t>(c)];
            move(2 + c, point.weight * static_cast<double>(value));
            centers[empty * d + c] = value;
        }
        ++totals.changed;
    }
}

// Lloyd's iteration from the given centres. System has
//
//     clear_labels()                      makes all labels -1
//     assign(centers, k)                  labels every point with its nearest centre and returns KmeansTotals
//     farthest(centers, clusters, k)      the point farthest from its centre among those of clusters with two points at
//                                         least, that have a weight, and a distance above rounding (kSameShare)
//     take(point, label)                  gives a point a label and returns it as it was, a KmeansPoint
//
// report(iteration) may throw.
template <class T, class System, class Report>
KmeansInfo lloyd(System& system, T* centers, std::ptrdiff_t k, std::ptrdiff_t d, int max_iterations,
                 const Report& report) {
    system.clear_labels();
    KmeansInfo info;
    for (int iteration = 0;; ++iteration) {
        report(iteration);
        KmeansTotals totals = system.assign(centers, k);
        info.inertia = totals.inertia;
        info.iterations = iteration;
        if (iteration == max_iterations) {
            info.converged = totals.changed == 0;
            return info;
        }
        fill_empty_clusters(system, centers, k, d, totals);
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

// Several starts, of which the one of least inertia wins, the first of equal ones. System has besides
//
//     begin_start(start)                  labels go to the output in start 0, elsewhere after that
//     seed(stream, k, centers)            k-means++
//     keep_labels()                       copies labels that went elsewhere to the output
template <class T, class System>
KmeansInfo kmeans_loop(System& system, std::ptrdiff_t k, std::ptrdiff_t d, const KmeansOptions& options, T* centers,
                       Monitor& monitor) {
    const int n_init = options.given_centers ? 1 : options.n_init;
    KmeansInfo best;
    std::vector<T> others;
    for (int start = 0; start < n_init; ++start) {
        system.begin_start(start);
        others.resize(start == 0 ? 0 : static_cast<std::size_t>(k * d));
        T* const own = start == 0 ? centers : others.data();
        if (!options.given_centers) {
            system.seed(static_cast<std::uint64_t>(start), k, own);
        }
        const KmeansInfo info = lloyd(system, own, k, d, options.max_iterations, [&](int iteration) {
            monitor.report((start + iteration / (options.max_iterations + 1.0)) / n_init);
        });
        if (start == 0) {
            best = info;
        } else if (info.inertia < best.inertia) {
            best = info;
            std::copy(others.begin(), others.end(), centers);
            system.keep_labels();
        }
    }
    monitor.report(1.0);
    return best;
}

template <class T>
void check_kmeans(const KmeansPoints<T>& points, std::ptrdiff_t n_clusters, int max_iterations) {
    FASTSOFT_EXPECTS(points.n >= 1 && points.d >= 1, "points must have shape (N, d) with both at least 1, got (",
                     points.n, ", ", points.d, ")");
    FASTSOFT_EXPECTS(
        n_clusters >= 1 && n_clusters <= points.n && n_clusters <= std::numeric_limits<std::int32_t>::max(),
        "n_clusters must be in 1..", points.n, ", got ", n_clusters);
    FASTSOFT_EXPECTS(max_iterations >= 1, "max_iterations must be at least 1, got ", max_iterations);
}

template <class T>
void check_kmeans(const KmeansPoints<T>& points, std::ptrdiff_t n_clusters, const KmeansOptions& options) {
    check_kmeans(points, n_clusters, options.max_iterations);
    FASTSOFT_EXPECTS(options.given_centers || options.n_init >= 1, "n_init must be at least 1, got ", options.n_init);
}

// Candidates that compete for a centre of greedy k-means++.
inline int kmeans_candidates(std::ptrdiff_t k) {
    return 2 + static_cast<int>(std::log(static_cast<double>(k)));
}

}  // namespace fastsoft::detail
