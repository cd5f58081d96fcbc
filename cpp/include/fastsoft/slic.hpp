// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

#include "fastsoft/core/cuda_context.hpp"
#include "fastsoft/core/monitor.hpp"
#include "fastsoft/core/view.hpp"

namespace fastsoft {

struct SlicParams {
    std::ptrdiff_t n_segments = 2500;
    // SLIC0 instead of SLIC: each cluster divides colour distances by the largest one met in it so far.
    bool adaptive = true;
    // Weight of distance in the image against distance in colour: m of the paper, for SLIC0 in the first iteration
    // only.
    double compactness = 10.0;
    std::ptrdiff_t max_iterations = 10;
    bool enforce_connectivity = true;
};

// Superpixels of Achanta et al., "SLIC Superpixels Compared to State-of-the-Art Superpixel Methods", IEEE TPAMI 34(11),
// 2012: k-means in CIELAB colour and position, each pixel compared only with the clusters near it.
//
//     D^2 = |lab - lab_k|^2 / m_k^2 + |position - position_k|^2 / S^2       (Eq. 3)
//
// where S^2 is the number of pixels per seed and m_k the compactness, or for SLIC0 the largest colour distance met in
// cluster k in earlier iterations, at least 1 CIELAB unit (both as in the authors' program).
//
// image is (H, W, 3) sRGB in [0, 1], any strides. labels is (H, W), C-contiguous; it receives 0 .. S-1, all of them
// used, numbered in the order in which they are met row by row; S is returned and is near n_segments, not equal to it.
// With enforce_connectivity, every label is 4-connected: pieces cut off from their cluster become segments of their own
// if they have at least a quarter of the pixels per seed, and else join the segment to the left of their first pixel,
// or above.
//
// Where we deviate from the paper: seeds form a grid of n_rows x n_cols whose cells may be rectangles, so that any
// n_segments from 1 to H * W and any aspect ratio (1 x N too) work, and windows reach one cell side, rounded up, to all
// sides; seeds move to the lowest gradient only where cells are at least 3 pixels long; a centre is the mean of those
// of its pixels that lie in its window (all of them, unless it jumped by more than half a cell); compactness below 1e-3
// acts like 1e-3, which only decides between equal colours.
//
// Pixels of a strip of rows and clusters are each computed by one thread in a fixed order: same bits for any number
// of threads. Memory beyond input and output: three planes of T and one strip per thread, and one plane of int32 twice
// for the connected components.
template <class T>
std::ptrdiff_t slic(const View<const T, 3>& image, const SlicParams& params, std::int32_t* labels, Monitor& monitor);

extern template std::ptrdiff_t slic<float>(const View<const float, 3>&, const SlicParams&, std::int32_t*, Monitor&);
extern template std::ptrdiff_t slic<double>(const View<const double, 3>&, const SlicParams&, std::int32_t*, Monitor&);

namespace cuda {

// On the device of the context, in the order of its stream; image and labels are in its memory. Waits for the stream
// once, at the end, to read how many labels there are. Nothing else is copied: connected pieces are found on the
// device, with the labels that the CPU's pass would give (detail/segments_block.hpp).
//
// Sums are formed in the CPU's order; only distances and the conversion to CIELAB may round otherwise, where products
// and sums are fused. A pixel that lies between two clusters to within that may fall to the other one.
//
// Workspace per pixel: 16 bytes in float32, 28 in float64 while clusters move, 12 afterwards.
template <class T>
std::ptrdiff_t slic(const Context& context, const View<const T, 3>& image, const SlicParams& params,
                    std::int32_t* labels, Monitor& monitor);

}  // namespace cuda
}  // namespace fastsoft
