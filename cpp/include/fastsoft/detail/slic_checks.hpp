// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

#include "fastsoft/core/error.hpp"
#include "fastsoft/core/view.hpp"
#include "fastsoft/slic.hpp"

namespace fastsoft::detail {

// What the loops of either backend rely on.
template <class T>
void check_slic(const View<const T, 3>& image, const SlicParams& params) {
    const std::ptrdiff_t n_pixels = image.extent(0) * image.extent(1);
    FASTSOFT_EXPECTS(n_pixels > 0 && image.extent(2) == 3, "image must have shape (H, W, 3) and pixels");
    FASTSOFT_EXPECTS(n_pixels <= std::numeric_limits<std::int32_t>::max(), "image must have fewer than 2^31 pixels");
    FASTSOFT_EXPECTS(params.n_segments >= 1 && params.n_segments <= n_pixels, "n_segments must be in 1..", n_pixels,
                     ", got ", params.n_segments);
    FASTSOFT_EXPECTS(params.compactness >= 0.0, "compactness must be at least 0, got ", params.compactness);
    FASTSOFT_EXPECTS(params.max_iterations >= 1, "max_iterations must be at least 1, got ", params.max_iterations);
}

}  // namespace fastsoft::detail
