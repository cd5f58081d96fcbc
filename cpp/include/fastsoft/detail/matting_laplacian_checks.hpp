// SPDX-License-Identifier: MIT
#pragma once

#include <limits>

#include "fastsoft/core/error.hpp"
#include "fastsoft/matting_laplacian.hpp"

namespace fastsoft::detail {

// What the loops of either backend rely on.
template <class T>
void check_matting_image(const View<const T, 3>& image, double epsilon, int radius) {
    FASTSOFT_EXPECTS(radius >= 1 && radius <= kMattingMaxRadius, "radius must be in 1..", kMattingMaxRadius, ", got ",
                     radius);
    const int side = 2 * radius + 1;
    FASTSOFT_EXPECTS(image.extent(2) == 3, "image must have shape (H, W, 3), got ", image.extent(2), " channels");
    FASTSOFT_EXPECTS(image.extent(0) >= side && image.extent(1) >= side, "image must be at least ", side, "x", side,
                     " pixels, got ", image.extent(0), "x", image.extent(1));
    FASTSOFT_EXPECTS(image.extent(0) <= std::numeric_limits<std::int32_t>::max() / image.extent(1),
                     "image must have at most 2147483647 pixels");
    FASTSOFT_EXPECTS(epsilon > 0.0, "epsilon must be above 0, got ", epsilon);
}

}  // namespace fastsoft::detail
