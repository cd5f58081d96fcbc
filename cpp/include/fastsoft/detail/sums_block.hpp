// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>

#include "fastsoft/core/block.hpp"
#include "fastsoft/detail/each_block.hpp"

// Sums of a fixed shape.
namespace fastsoft::detail {

// Sums over rows in order, divided by a number; a thread per column.
struct ColumnMeansStep {
    struct Arguments {
        const double* values;  // (n_rows, n_cols)
        std::ptrdiff_t n_rows;
        std::ptrdiff_t n_cols;
        double* out;
        double divisor;
    };

    FASTSOFT_HD static std::ptrdiff_t size(const Arguments& a) { return a.n_cols; }

    FASTSOFT_HD static void run(const Arguments& a, std::ptrdiff_t col) {
        double sum = 0.0;
        for (std::ptrdiff_t row = 0; row < a.n_rows; ++row) {
            sum += a.values[row * a.n_cols + col];
        }
        a.out[col] = sum / a.divisor;
    }
};

using ColumnMeansBlock = EachBlock<ColumnMeansStep, 128>;

}  // namespace fastsoft::detail
