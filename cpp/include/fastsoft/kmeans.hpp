// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

#include "fastsoft/core/cuda_context.hpp"
#include "fastsoft/core/monitor.hpp"

// k-means: centres c and labels l that make sum_i w_i |x_i - c_{l_i}|^2 small.
//
// S. P. Lloyd, "Least squares quantization in PCM", IEEE Transactions on Information Theory 28(2), 1982, started by
// D. Arthur, S. Vassilvitskii, "k-means++: the advantages of careful seeding", SODA 2007, in its greedy form (their
// section 7): each new centre is the best of 2 + floor(log k) candidates drawn with probability w_i times squared
// distance.
//
// A cluster that runs empty takes the point farthest from its centre. Where there are fewer distinct points than
// clusters, the surplus clusters stay empty.
//
// Distances are computed in T, all sums over points in double over chunks that depend on n alone: the same bits for any
// number of threads.
namespace fastsoft {

// points is (n, d), row-major; weights is (n), not negative and of positive sum, or null for ones.
template <class T>
struct KmeansPoints {
    const T* data = nullptr;
    std::ptrdiff_t n = 0;
    std::ptrdiff_t d = 0;
    const double* weights = nullptr;
};

struct KmeansInfo {
    double inertia = 0.0;  // the sum above
    int iterations = 0;    // updates of the centres
    bool converged = false;
};

// k-means++ draws from at most this many points, spread evenly over all.
constexpr std::ptrdiff_t kKmeansSeedPoints = std::ptrdiff_t{1} << 18;

struct KmeansOptions {
    std::uint64_t seed = 0;
    int n_init = 1;  // starts; the one of least inertia wins, the first of equal ones
    int max_iterations = 100;
    bool given_centers = false;  // start once from the centres passed in
};

// centers (n_clusters, d) is read if options.given_centers. On return every label is the number of the nearest centre.
template <class T>
KmeansInfo kmeans(const KmeansPoints<T>& points, std::ptrdiff_t n_clusters, const KmeansOptions& options,
                  std::int32_t* labels, T* centers, Monitor& monitor);

// Few clusters first, then more by splitting: k-means with n_start clusters, best of n_init starts by k-means++ and one
// by splitting; then, until there are n_clusters, the cluster is split whose division in two lowers the error most,
// followed by k-means from all centres while there are at most refine_up_to clusters. This follows the authors' program
// of semantic soft segmentation (Aksoy et al., ACM Transactions on Graphics 37(4), 2018), with three changes that make
// it fast and all but independent of the seed:
//
//   - A division in two is no random k-means but the best of up to three, each started along one of the cluster's
//     principal axes, at one standard deviation to either side of the mean.
//   - All this sees at most max_samples points: one from each of as many equal stretches of the points, at a fixed
//     pseudo-random place in it. All points are assigned to the nearest centre at the end.
//   - The best division of a cluster is kept until its points change.
//
// Clusters of at most 2 d (sampled) points, or of one value, are not split; there may thus be fewer clusters than asked
// for.
struct SplitKmeansOptions {
    std::uint64_t seed = 0;
    std::ptrdiff_t n_start = 5;
    int n_init = 7;
    std::ptrdiff_t refine_up_to = 12;
    std::ptrdiff_t max_samples = 65536;
    int max_iterations = 100;  // of each k-means within
};

struct SplitKmeansInfo {
    KmeansInfo info;                // iterations: those of all k-means within; converged: whether all did
    std::ptrdiff_t n_clusters = 0;  // centres written
};

template <class T>
SplitKmeansInfo split_kmeans(const KmeansPoints<T>& points, std::ptrdiff_t n_clusters,
                             const SplitKmeansOptions& options, std::int32_t* labels, T* centers, Monitor& monitor);

namespace cuda {

// On the device of the context, in the order of its stream; points, weights, labels and centres are in its memory.
// Every iteration waits once, for what is summed up per cluster: k (d + 2) + 2 numbers; centres are updated on the host
// and go back. k-means++ runs without a wait, with the random numbers of the CPU. Sums over points are added in another
// order than on the CPU, so that a point which lies between two centres to within rounding may fall to the other one.
//
// Workspace: up to 64 MB of sums; for seeding 8 bytes per point, of at most kKmeansSeedPoints; with several starts 4
// bytes per point.
template <class T>
KmeansInfo kmeans(const Context& context, const KmeansPoints<T>& points, std::ptrdiff_t n_clusters,
                  const KmeansOptions& options, std::int32_t* labels, T* centers, Monitor& monitor);

// The same steps, with the CPU's sample. Every k-means within waits once per iteration, as above; besides, every
// division in two waits four times: for the number of points, their mean, their covariance (whose eigenvectors the
// host computes), and before it is chosen. Workspace: the points seen, twice, and what k-means takes.
template <class T>
SplitKmeansInfo split_kmeans(const Context& context, const KmeansPoints<T>& points, std::ptrdiff_t n_clusters,
                             const SplitKmeansOptions& options, std::int32_t* labels, T* centers, Monitor& monitor);

}  // namespace cuda
}  // namespace fastsoft
