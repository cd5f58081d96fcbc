// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>

#include "fastsoft/core/cuda_context.hpp"
#include "fastsoft/core/monitor.hpp"
#include "fastsoft/core/view.hpp"

namespace fastsoft {

// Guided filter of He, Sun and Tang, "Guided Image Filtering", IEEE TPAMI 35(6), 2013, for a grey or a colour guide I
// and any number of source channels p. With mean(.) over the (2 radius + 1)^2 window around a pixel,
//
//     a = (cov(I, I) + epsilon * 1)^-1 cov(I, p)        (their Eq. 5 and 19)
//     b = mean(p) - a . mean(I)                         (Eq. 6 and 20)
//     q = mean(a) . I + mean(b)                         (Eq. 8 and 21)
//
// Windows are cut at the border: every mean is over the pixels that exist. guide is (H, W, 1) or (H, W, 3), source and
// out are (H, W, C), all with any strides; out must not overlap the others. epsilon > 0 is in squared guide units.
//
// Cost: O(1) in the radius; the guide's statistics are computed once per pixel whatever C is. The picture is processed
// in tiles, all stages at once, so that the workspace is a few MB per thread for radii up to 32. Beyond, tiles grow
// with the radius and with them the workspace, about 2 kB * radius^2 per thread until the tile is the picture. Tiles
// depend on sizes only: same bits for any number of threads.
//
// Accuracy: window sums are formed by adding only, at most 2 (2 radius + 1) terms in a row, never by adding and
// subtracting along the picture, so float32 does not drift; the guide's statistics are accumulated in float64.
//
// The source is cut to [-clip, clip] as it is read (infinity: not at all), which saves a copy of all its channels.
//
// Returns false if source holds NaN or infinity; out is unspecified then. The guide must be finite.
template <class T>
bool guided_filter(const View<const T, 3>& guide, const View<const T, 3>& source, const View<T, 3>& out,
                   std::ptrdiff_t radius, double epsilon, double clip, Monitor& monitor);

extern template bool guided_filter<float>(const View<const float, 3>&, const View<const float, 3>&,
                                          const View<float, 3>&, std::ptrdiff_t, double, double, Monitor&);
extern template bool guided_filter<double>(const View<const double, 3>&, const View<const double, 3>&,
                                           const View<double, 3>&, std::ptrdiff_t, double, double, Monitor&);

namespace cuda {

// On the device of the context, in the order of its stream; all arrays are in its memory. Waits for the stream: after
// every portion of channels to report progress, and at the end to read whether the source was finite.
//
// Workspace: per pixel 184 bytes in float32 and 224 in float64 for the guide's statistics (colour guide; 48 and 64 for
// a grey one), of which 144 (32) are free again when channels are filtered; these take 8 numbers per pixel and channel
// (4) for as many channels at a time as fit into 256 MB, at least one.
template <class T>
bool guided_filter(const Context& context, const View<const T, 3>& guide, const View<const T, 3>& source,
                   const View<T, 3>& out, std::ptrdiff_t radius, double epsilon, double clip, Monitor& monitor);

}  // namespace cuda
}  // namespace fastsoft
