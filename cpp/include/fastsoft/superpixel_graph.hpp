// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

#include "fastsoft/core/allocate.hpp"
#include "fastsoft/core/csr.hpp"
#include "fastsoft/core/cuda_context.hpp"
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

// S superpixels, M pairs.
struct SuperpixelGraphOutput {
    Allocate<std::int64_t> counts;            // (S) pixels of each
    Allocate<std::int32_t> centroids;         // (S, 2) row and column
    Allocate<std::int32_t> centroid_indices;  // (S) the same as row * W + column
    Allocate<std::int32_t> adjacent_pairs;    // (M, 2) i < j, sorted
};

// labels (H, W): every number in 0 .. S - 1 must occur.
void superpixel_graph(const View<const std::int32_t, 2>& labels, const SuperpixelGraphOutput& out);

// means (S, C) = mean of values (H, W, C) over each label. Labels without pixels are an error.
// Sums are taken in double over blocks of pixels that depend on the sizes only.
template <class T>
void region_means(const View<const T, 3>& values, const View<const std::int32_t, 2>& labels,
                  std::ptrdiff_t n_superpixels, T* means);

// Centroid pixels and a number of colours or features of each superpixel, contiguous.
template <class T>
struct SuperpixelValues {
    std::ptrdiff_t n_superpixels;
    const std::int32_t* centroids;  // (S, 2)
    const T* values;                // (S, C)
    std::ptrdiff_t n_channels;
    std::ptrdiff_t height;
    std::ptrdiff_t width;
};

// Symmetric matrices over the H * W pixels, both triangles, columns sorted. Weights that are exactly 0 are left out.
template <class T>
void color_affinity(const SuperpixelValues<T>& colors, double steepness, double threshold, double max_distance,
                    const CsrOutput<T>& out);

// adjacent_pairs (M, 2) contiguous.
template <class T>
void semantic_affinity(const SuperpixelValues<T>& features, const std::int32_t* adjacent_pairs, std::ptrdiff_t n_pairs,
                       double steepness, double threshold, const CsrOutput<T>& out);

namespace cuda {

// On the device of the context, in the order of its stream; all arrays are in its memory, and results are allocated
// there.
//
// Pixels are sorted by label, stably, and a block adds up each superpixel in the order that this gives. Workspace: 16
// bytes per pixel, and for pairs at most 64 per pixel on borders. Waits for the stream three times: to know the number
// of superpixels, how many pixels lie where superpixels meet, and the number of pairs.
void superpixel_graph(const Context& context, const View<const std::int32_t, 2>& labels,
                      const SuperpixelGraphOutput& out);

// Workspace: 16 bytes per pixel. Waits twice: for the range of the labels, and for whether one is without pixels.
template <class T>
void region_means(const Context& context, const View<const T, 3>& values, const View<const std::int32_t, 2>& labels,
                  std::ptrdiff_t n_superpixels, T* means);

// The error functions of a device and of the C library differ in their last bits, and so may what is exactly 0. A block
// per matrix row that is not empty. Workspace: 4 bytes per pixel and 48 per superpixel. Waits twice, for the number of
// entries.
template <class T>
void color_affinity(const Context& context, const SuperpixelValues<T>& colors, double steepness, double threshold,
                    double max_distance, const CsrOutput<T>& out);

// Workspace: 4 bytes per pixel and 68 per pair. Waits three times, for counts on the way
// to the number of entries.
template <class T>
void semantic_affinity(const Context& context, const SuperpixelValues<T>& features, const std::int32_t* adjacent_pairs,
                       std::ptrdiff_t n_pairs, double steepness, double threshold, const CsrOutput<T>& out);

}  // namespace cuda
}  // namespace fastsoft
