// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "fastsoft/core/view.hpp"

// Superpixels as a graph, and the two sparse affinities that semantic soft segmentation draws between them:
// Y. Aksoy, T.-H. Oh, S. Paris, M. Pollefeys, W. Matusik, "Semantic soft segmentation", ACM Transactions on Graphics
// 37(4), 2018.
//
// color_affinity (Eq. 4): (erf(a (b - d)) + 1) / 2 for every pair of superpixels whose centroids are near, d the
// distance of their mean colours. semantic_affinity (Eq. 5): erf(a (b - d)) for adjacent pairs, d the distance of their
// mean features. An edge joins the two centroid pixels. Where the paper is silent we follow the authors' program: the
// centroid pixel is the mean of 1-based coordinates rounded half up (it need not belong to the superpixel), "near"
// means at most max_distance with rows divided by the height and columns by the width, "adjacent" counts all eight
// neighbours.
//
// Two superpixels may share a centroid pixel, as rings do. Edges between the same two pixels add up; an edge from a
// pixel to itself is dropped, since it cancels in any Laplacian.
namespace fastsoft {

struct SuperpixelGraph {
    std::vector<std::int64_t> counts;          // (S) pixels of each
    std::vector<std::int32_t> centroids;       // (S, 2) row and column
    std::vector<std::int32_t> adjacent_pairs;  // (M, 2) i < j, sorted
};

// labels (H, W): every number in 0 .. S - 1 must occur.
SuperpixelGraph superpixel_graph(const View<const std::int32_t, 2>& labels);

// means (S, C) = mean of values (H, W, C) over each label. Labels without pixels are an error.
// Sums are taken in double over blocks of pixels that depend on the sizes only.
template <class T>
void region_means(const View<const T, 3>& values, const View<const std::int32_t, 2>& labels,
                  std::ptrdiff_t n_superpixels, T* means);

// Upper triangle, as triples sorted by (row, col), of a symmetric matrix over pixels.
struct PixelEdges {
    std::vector<std::int32_t> rows;
    std::vector<std::int32_t> cols;
    std::vector<double> weights;
};

// centroids (S, 2), colors (S, C) contiguous. Weights that are exactly 0 are left out.
template <class T>
PixelEdges color_affinity(const std::int32_t* centroids, const T* colors, std::ptrdiff_t n_superpixels,
                          std::ptrdiff_t n_channels, std::ptrdiff_t height, std::ptrdiff_t width, double steepness,
                          double threshold, double max_distance);

// adjacent_pairs (M, 2), features (S, C) contiguous. Weights that are exactly 0 are left out.
template <class T>
PixelEdges semantic_affinity(const std::int32_t* centroids, const std::int32_t* adjacent_pairs, std::ptrdiff_t n_pairs,
                             const T* features, std::ptrdiff_t n_superpixels, std::ptrdiff_t n_channels,
                             std::ptrdiff_t width, double steepness, double threshold);

// Both triangles as CSR: indptr (n + 1), indices and data (2 * number of edges), columns sorted. Rows below cols.
template <class T>
void edges_to_csr(const PixelEdges& edges, std::ptrdiff_t n, std::int64_t* indptr, std::int32_t* indices, T* data);

}  // namespace fastsoft
