// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>

#include "fastsoft/core/error.hpp"
#include "fastsoft/core/view.hpp"

namespace fastsoft::detail {

// What the loops of either backend rely on. n_unknowns: rows of the Laplacian.
template <class T>
void check_relax(const View<const T, 3>& segments, std::ptrdiff_t n_unknowns, const View<const T, 2>& gradient,
                 const View<T, 3>& result) {
    const std::ptrdiff_t n_rows = segments.extent(0);
    const std::ptrdiff_t n_cols = segments.extent(1);
    const std::ptrdiff_t n = n_rows * n_cols;
    FASTSOFT_EXPECTS(segments.extent(2) >= 1 && n >= 1, "segments must not be empty");
    FASTSOFT_EXPECTS(n_unknowns == n, "laplacian must have ", n, " rows, got ", n_unknowns);
    FASTSOFT_EXPECTS(gradient.extent(0) == n_rows && gradient.extent(1) == n_cols,
                     "gradient must be of the size of segments");
    FASTSOFT_EXPECTS(result.shape() == segments.shape(), "result must have the shape of segments");
}

}  // namespace fastsoft::detail
