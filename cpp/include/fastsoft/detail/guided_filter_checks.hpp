// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>

#include "fastsoft/core/error.hpp"
#include "fastsoft/core/view.hpp"

namespace fastsoft::detail {

// What the loops of either backend rely on.
template <class T>
void check_guided_filter(const View<const T, 3>& guide, const View<const T, 3>& source, const View<T, 3>& out,
                         std::ptrdiff_t radius, double epsilon, double clip) {
    const std::ptrdiff_t n_rows = source.extent(0);
    const std::ptrdiff_t n_cols = source.extent(1);
    FASTSOFT_EXPECTS(source.size() > 0, "source must not be empty");
    FASTSOFT_EXPECTS(guide.extent(0) == n_rows && guide.extent(1) == n_cols, "guide must be ", n_rows, "x", n_cols,
                     " as source is, got ", guide.extent(0), "x", guide.extent(1));
    FASTSOFT_EXPECTS(guide.extent(2) == 1 || guide.extent(2) == 3, "guide must have 1 or 3 channels, got ",
                     guide.extent(2));
    FASTSOFT_EXPECTS(out.shape() == source.shape(), "out must have the shape of source");
    FASTSOFT_EXPECTS(radius >= 0, "radius must be at least 0, got ", radius);
    FASTSOFT_EXPECTS(epsilon > 0.0, "epsilon must be above 0, got ", epsilon);
    FASTSOFT_EXPECTS(clip > 0.0, "clip must be above 0, got ", clip);
}

}  // namespace fastsoft::detail
