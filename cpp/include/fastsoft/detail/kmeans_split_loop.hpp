// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "fastsoft/detail/kmeans_loop.hpp"
#include "fastsoft/detail/split_axes.hpp"

// k-means by splitting over a Points type that knows where points and labels live. Besides what detail::lloyd asks for
// it has
//
//     n(), d()
//     seed(seed, stream, k, centers)      k-means++
//     moments()                           KmeansMoments; labels are lost
//     fill_labels(label)
//     remember_labels()
//     changed_clusters(k)                 which clusters points have left or joined since, a vector<bool>
//     split_labels(from, added, halves)   gives points of a cluster that are nearer to the second of two centres a
//     label members(wanted)                     for every cluster with wanted[c] a Points of its own, in the order of
//     the points;
//                                         for others whatever
namespace fastsoft::detail {

// The best division of a cluster in two.
template <class T>
struct Division {
    double gain = 0.0;  // by how much it lowers the error; 0: none was found
    std::vector<T> centers;
};

template <class T, class Points, class Report>
Division<T> divide(Points& points, int max_iterations, const Report& report, KmeansInfo& sum) {
    Division<T> best;
    const std::ptrdiff_t d = points.d();
    if (points.n() <= 2 * d) {
        return best;
    }
    const KmeansMoments moments = points.moments();
    double variance = 0.0;
    double length = 0.0;
    for (std::ptrdiff_t c = 0; c < d; ++c) {
        variance += moments.covariance[static_cast<std::size_t>(c * d + c)];
        const double mean = moments.mean[static_cast<std::size_t>(c)];
        length += mean * mean;
    }
    const double error = variance * moments.weight;
    if (!(error > kSameShare<T> * moments.weight * length)) {
        return best;
    }
    for (const std::vector<double>& direction : split_axes(moments.covariance, d)) {
        std::vector<T> centers(static_cast<std::size_t>(2 * d));
        for (std::size_t c = 0; c < direction.size(); ++c) {
            centers[c] = static_cast<T>(moments.mean[c] - direction[c]);
            centers[direction.size() + c] = static_cast<T>(moments.mean[c] + direction[c]);
        }
        const KmeansInfo info = lloyd(points, centers.data(), 2, d, max_iterations, [&](int) { report(); });
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
template <class T, class Points, class Report>
class Splitting {
public:
    Splitting(Points& points, int max_iterations, const Report& report)
        : points_(points), max_iterations_(max_iterations), report_(report) {}

    KmeansInfo sum{0.0, 0, true};  // of all k-means within
    std::vector<T> centers;
    double inertia = 0.0;

    std::ptrdiff_t n_clusters() const { return static_cast<std::ptrdiff_t>(centers.size()) / points_.d(); }

    void add(const KmeansInfo& info) {
        sum.iterations += info.iterations;
        sum.converged = sum.converged && info.converged;
    }

    // One cluster: the mean.
    void start() {
        const KmeansMoments moments = points_.moments();
        centers.clear();
        for (const double mean : moments.mean) {
            centers.push_back(static_cast<T>(mean));
        }
        points_.fill_labels(0);
        divisions_.assign(1, {});
        stale_.assign(1, true);
    }

    void start(std::vector<T> from) {
        centers = std::move(from);
        points_.fill_labels(-1);
        divisions_.assign(static_cast<std::size_t>(n_clusters()), {});
        stale_.assign(static_cast<std::size_t>(n_clusters()), true);
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
        const std::ptrdiff_t d = points_.d();
        const std::vector<T> halves = std::move(divisions_[best].centers);
        const auto added = static_cast<std::int32_t>(n_clusters());
        std::copy_n(halves.begin(), d, centers.begin() + static_cast<std::ptrdiff_t>(best) * d);
        centers.insert(centers.end(), halves.begin() + d, halves.end());
        points_.split_labels(static_cast<std::int32_t>(best), added, halves.data());
        divisions_[best] = {};
        divisions_.push_back({});
        stale_[best] = true;
        stale_.push_back(true);
        return true;
    }

    // k-means from all centres.
    void refine() {
        points_.remember_labels();
        const KmeansInfo info =
            lloyd(points_, centers.data(), n_clusters(), points_.d(), max_iterations_, [&](int) { report_(); });
        add(info);
        inertia = info.inertia;
        const std::vector<bool> changed = points_.changed_clusters(n_clusters());
        for (std::size_t c = 0; c < changed.size(); ++c) {
            stale_[c] = stale_[c] || changed[c];
        }
    }

private:
    void update_divisions() {
        auto members = points_.members(stale_);
        for (std::size_t c = 0; c < divisions_.size(); ++c) {
            if (stale_[c]) {
                divisions_[c] = divide<T>(*members[c], max_iterations_, report_, sum);
                stale_[c] = false;
            }
        }
    }

    Points& points_;
    int max_iterations_;
    const Report& report_;
    std::vector<Division<T>> divisions_;
    std::vector<bool> stale_;
};

// The order in which random starts find the same centres must not leave a trace.
template <class T>
std::vector<T> in_lexicographic_order(const std::vector<T>& centers, std::ptrdiff_t d) {
    std::vector<const T*> order;
    for (std::size_t place = 0; place < centers.size(); place += static_cast<std::size_t>(d)) {
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

template <class T>
void check_split_kmeans(const KmeansPoints<T>& points, std::ptrdiff_t n_clusters, const SplitKmeansOptions& options) {
    check_kmeans(points, n_clusters, options.max_iterations);
    FASTSOFT_EXPECTS(options.n_init >= 0, "n_init must be at least 0, got ", options.n_init);
    FASTSOFT_EXPECTS(options.n_start >= 1, "n_start must be at least 1, got ", options.n_start);
    FASTSOFT_EXPECTS(options.max_samples >= n_clusters, "max_samples must be at least n_clusters ", n_clusters,
                     ", got ", options.max_samples);
}

// Centres of `seen`, points or a sample of them: fills `centers`, and `result` but for the inertia.
template <class T, class Points>
void split_kmeans_loop(Points& seen, std::ptrdiff_t n_clusters, const SplitKmeansOptions& options,
                       std::vector<T>& centers, SplitKmeansInfo& result, Monitor& monitor) {
    const std::ptrdiff_t d = seen.d();
    const std::ptrdiff_t n_start = std::min(options.n_start, n_clusters);

    // Counted in k-means runs of which the number is known beforehand.
    const double n_steps = static_cast<double>(options.n_init + 2 * n_clusters);
    double steps_done = 0.0;
    const auto report = [&] { monitor.report(std::min(steps_done / n_steps, 1.0)); };

    // The start by splitting does not depend on the seed; k-means++ may find better.
    Splitting<T, Points, decltype(report)> splitting(seen, options.max_iterations, report);
    splitting.start();
    while (splitting.n_clusters() < n_start && splitting.split()) {
        splitting.refine();
        steps_done += 1.0;
    }
    // With fewer clusters than asked for, the points are too few or too alike to divide: no other start helps.
    if (splitting.n_clusters() == n_start && n_start > 1) {
        std::vector<T> best = splitting.centers;
        double least = splitting.inertia;
        std::vector<T> own_centers(static_cast<std::size_t>(n_start * d));
        for (int start = 0; start < options.n_init; ++start) {
            seen.seed(options.seed, static_cast<std::uint64_t>(start), n_start, own_centers.data());
            const KmeansInfo info =
                lloyd(seen, own_centers.data(), n_start, d, options.max_iterations, [&](int) { report(); });
            splitting.add(info);
            // The same optimum reached on another path differs by rounding; it must not win by that.
            if (info.inertia < least * (1.0 - 1e-7)) {
                least = info.inertia;
                best = own_centers;
            }
            steps_done += 1.0;
        }
        splitting.start(in_lexicographic_order(best, d));
    }
    while (splitting.n_clusters() < n_clusters && splitting.split()) {
        if (splitting.n_clusters() <= options.refine_up_to) {
            splitting.refine();
        }
        steps_done += 1.0;
    }
    centers = splitting.centers;
    result.n_clusters = splitting.n_clusters();
    result.info.iterations = splitting.sum.iterations;
    result.info.converged = splitting.sum.converged;
}

}  // namespace fastsoft::detail
