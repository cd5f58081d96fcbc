// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

#include "fastsoft/core/host_device.hpp"

// Counts of neighbours within `reach` along an axis of a pixel grid that is cut at its border.
namespace fastsoft::detail {

FASTSOFT_HD std::ptrdiff_t first_neighbour(std::ptrdiff_t position, std::ptrdiff_t reach) {
    return position > reach ? position - reach : 0;
}

FASTSOFT_HD std::ptrdiff_t last_neighbour(std::ptrdiff_t position, std::ptrdiff_t extent, std::ptrdiff_t reach) {
    return position + reach < extent ? position + reach : extent - 1;
}

FASTSOFT_HD std::ptrdiff_t n_neighbours(std::ptrdiff_t position, std::ptrdiff_t extent, std::ptrdiff_t reach) {
    return last_neighbour(position, extent, reach) - first_neighbour(position, reach) + 1;
}

// Sum of n_neighbours over the positions before `position`, 0 <= position <= extent.
FASTSOFT_HD std::int64_t n_neighbours_before(std::ptrdiff_t position, std::ptrdiff_t extent, std::ptrdiff_t reach) {
    // Uncut windows less what the first and the last positions lack: reach, reach - 1, .. 1 each.
    const std::int64_t uncut = static_cast<std::int64_t>(position) * (2 * reach + 1);
    const std::int64_t n_low = position < reach ? position : reach;
    const std::int64_t lacking_low = n_low * reach - n_low * (n_low - 1) / 2;
    const std::int64_t first_cut = extent > reach ? extent - reach : 0;
    const std::int64_t n_high = position > first_cut ? position - first_cut : 0;
    // The i-th of these lacks i + 1 more than what the first of them already lacks.
    const std::int64_t lacking_first = first_cut + reach - extent;
    const std::int64_t lacking_high = n_high * (lacking_first + 1) + n_high * (n_high - 1) / 2;
    return uncut - lacking_low - lacking_high;
}

// Entries in the rows of a CSR matrix before pixel (row, col), where a pixel is coupled with all within reach.
FASTSOFT_HD std::int64_t grid_row_begin(std::ptrdiff_t row, std::ptrdiff_t col, std::ptrdiff_t n_rows,
                                        std::ptrdiff_t n_cols, std::ptrdiff_t reach) {
    const std::int64_t of_rows = n_neighbours_before(row, n_rows, reach) * n_neighbours_before(n_cols, n_cols, reach);
    return of_rows + (row < n_rows ? n_neighbours(row, n_rows, reach) * n_neighbours_before(col, n_cols, reach) : 0);
}

}  // namespace fastsoft::detail
