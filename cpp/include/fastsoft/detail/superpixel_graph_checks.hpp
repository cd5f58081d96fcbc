// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>

#include "fastsoft/core/error.hpp"
#include "fastsoft/superpixel_graph.hpp"

namespace fastsoft::detail {

// What the loops of either backend rely on.
inline void check_label_image(const View<const std::int32_t, 2>& labels) {
    FASTSOFT_EXPECTS(labels.size() > 0, "labels must hold at least one pixel, got ", labels.extent(0), "x",
                     labels.extent(1));
}

template <class T>
void check_region_means(const View<const T, 3>& values, const View<const std::int32_t, 2>& labels,
                        std::ptrdiff_t n_superpixels) {
    const std::ptrdiff_t height = labels.extent(0);
    const std::ptrdiff_t width = labels.extent(1);
    FASTSOFT_EXPECTS(values.extent(0) == height && values.extent(1) == width, "values must have the ", height, "x",
                     width, " pixels of labels, got ", values.extent(0), "x", values.extent(1));
    FASTSOFT_EXPECTS(n_superpixels >= 1 && n_superpixels <= labels.size(), "n_superpixels must be in 1..",
                     labels.size(), ", got ", n_superpixels);
}

// Labels lie in low .. high. Returns their number, if they may be dense.
inline std::ptrdiff_t check_label_range(std::ptrdiff_t low, std::ptrdiff_t high, std::ptrdiff_t n_pixels) {
    FASTSOFT_EXPECTS(low >= 0, "labels must be at least 0, got ", low);
    FASTSOFT_EXPECTS(high < n_pixels, "labels must be dense, got label ", high, " in an image of ", n_pixels,
                     " pixels");
    return high + 1;
}

}  // namespace fastsoft::detail
