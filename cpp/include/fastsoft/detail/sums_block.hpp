// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>

#include "fastsoft/core/block.hpp"

// Sums of a fixed shape.
namespace fastsoft::detail {

// Sums over rows in order, divided by a number; a thread per column.
struct ColumnMeansBlock {
    static constexpr int kThreads = 128;

    struct Arguments {
        const double* values;  // (n_rows, n_cols)
        std::ptrdiff_t n_rows;
        std::ptrdiff_t n_cols;
        double* out;
        double divisor;
    };

    using Shared = Nothing;
    using Registers = Nothing;

    FASTSOFT_HD static std::ptrdiff_t n_blocks(const Arguments& a) { return divide_up(a.n_cols, kThreads); }
    FASTSOFT_HD static int n_phases(const Arguments&) { return 1; }

    FASTSOFT_HD static void phase(int, const Arguments& a, Shared&, Registers&, std::ptrdiff_t block, int thread) {
        const std::ptrdiff_t col = block * kThreads + thread;
        if (col >= a.n_cols) {
            return;
        }
        double sum = 0.0;
        for (std::ptrdiff_t row = 0; row < a.n_rows; ++row) {
            sum += a.values[row * a.n_cols + col];
        }
        a.out[col] = sum / a.divisor;
    }
};

}  // namespace fastsoft::detail
