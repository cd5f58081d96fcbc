// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

#include "fastsoft/core/block.hpp"
#include "fastsoft/core/view.hpp"
#include "fastsoft/detail/distance_transform_pixel.hpp"
#include "fastsoft/detail/each_block.hpp"

// The distance transform as three kernels: the first and the last pixel of the set in pieces of columns, distances
// along columns, and a block per row for the nearest column of each pixel.
//
// Least bytes per pixel: 1 to read, 8 to write. These take 1 and 1 of the mask, 8 to write and 4 to read of distances
// along columns, and of a row 8 bytes per pixel that stay in the cache of first level, and 8 to write.
namespace fastsoft::detail {

// Rows of a piece of a column: as many threads as a small picture has pixels, by 32.
inline constexpr std::ptrdiff_t kPieceRows = 32;

struct PieceRows {
    std::ptrdiff_t begin;
    std::ptrdiff_t end;
};

FASTSOFT_HD PieceRows piece_rows(std::ptrdiff_t piece, std::ptrdiff_t n_rows) {
    const std::ptrdiff_t begin = piece * kPieceRows;
    return {begin, begin + kPieceRows < n_rows ? begin + kPieceRows : n_rows};
}

// first, last (pieces, W): rows of the first and of the last pixel of the set in a piece of a column, -1 without one.
struct ColumnPiecesStep {
    struct Arguments {
        View<const std::uint8_t, 2> mask;
        std::int32_t* first;
        std::int32_t* last;
    };

    FASTSOFT_HD static std::ptrdiff_t n_pieces(const Arguments& a) { return divide_up(a.mask.extent(0), kPieceRows); }
    FASTSOFT_HD static std::ptrdiff_t size(const Arguments& a) { return n_pieces(a) * a.mask.extent(1); }

    FASTSOFT_HD static void run(const Arguments& a, std::ptrdiff_t item) {
        const std::ptrdiff_t n_cols = a.mask.extent(1);
        const PieceRows rows = piece_rows(item / n_cols, a.mask.extent(0));
        std::int32_t first = -1;
        std::int32_t last = -1;
        for (std::ptrdiff_t row = rows.begin; row < rows.end; ++row) {
            if (a.mask(row, item % n_cols) != 0) {
                last = static_cast<std::int32_t>(row);
                first = first < 0 ? last : first;
            }
        }
        a.first[item] = first;
        a.last[item] = last;
    }
};

using ColumnPiecesBlock = EachBlock<ColumnPiecesStep, 64>;

// out (H, W): rows to the nearest pixel of the set in the same column, kNoDistance without one.
struct ColumnDistanceStep {
    struct Arguments {
        View<const std::uint8_t, 2> mask;
        const std::int32_t* first;
        const std::int32_t* last;
        std::int32_t* out;
    };

    FASTSOFT_HD static std::ptrdiff_t size(const Arguments& a) {
        return ColumnPiecesStep::size({a.mask, nullptr, nullptr});
    }

    FASTSOFT_HD static void run(const Arguments& a, std::ptrdiff_t item) {
        const std::ptrdiff_t n_rows = a.mask.extent(0);
        const std::ptrdiff_t n_cols = a.mask.extent(1);
        const std::ptrdiff_t n_pieces = divide_up(n_rows, kPieceRows);
        const std::ptrdiff_t piece = item / n_cols;
        const std::ptrdiff_t col = item % n_cols;
        std::ptrdiff_t above = -1;
        for (std::ptrdiff_t i = piece - 1; i >= 0 && above < 0; --i) {
            above = a.last[i * n_cols + col];
        }
        std::ptrdiff_t below = -1;
        for (std::ptrdiff_t i = piece + 1; i < n_pieces && below < 0; ++i) {
            below = a.first[i * n_cols + col];
        }
        const PieceRows rows = piece_rows(piece, n_rows);
        for (std::ptrdiff_t row = rows.begin; row < rows.end; ++row) {
            above = a.mask(row, col) != 0 ? row : above;
            a.out[row * n_cols + col] = above < 0 ? kNoDistance : static_cast<std::int32_t>(row - above);
        }
        for (std::ptrdiff_t row = rows.end - 1; row >= rows.begin && (below >= 0 || a.first[item] >= 0); --row) {
            std::int32_t& here = a.out[row * n_cols + col];
            below = here == 0 ? row : below;
            if (below >= 0 && below - row < here) {
                here = static_cast<std::int32_t>(below - row);
            }
        }
    }
};

using ColumnDistanceBlock = EachBlock<ColumnDistanceStep, 64>;

// A block per row. The nearest column of a pixel, the leftmost of equals, is no further left than that of any pixel
// left of it: that of every other pixel lies between those of its neighbours, so bisection finds all of them, each
// level in about as many steps as the row has pixels.
struct NearestColumnBlock {
    static constexpr int kThreads = 256;

    struct Arguments {
        const std::int32_t* distance;  // along columns (H, W)
        std::ptrdiff_t n_rows;
        std::ptrdiff_t n_cols;
        std::int32_t* nearest;  // (H, W)
        double* out;
    };

    using Shared = Nothing;
    using Registers = Nothing;

    FASTSOFT_HD static std::ptrdiff_t n_blocks(const Arguments& a) { return a.n_rows; }

    // Levels of bisection: 2^levels > n_cols.
    FASTSOFT_HD static int n_levels(std::ptrdiff_t n_cols) {
        int levels = 0;
        while (n_cols >> levels != 0) {
            ++levels;
        }
        return levels;
    }
    FASTSOFT_HD static int n_phases(const Arguments& a) { return n_levels(a.n_cols) + 1; }

    FASTSOFT_HD static void phase(int phase, const Arguments& a, Shared&, Registers&, std::ptrdiff_t block,
                                  int thread) {
        const std::int32_t* const distance = a.distance + block * a.n_cols;
        std::int32_t* const nearest = a.nearest + block * a.n_cols;
        const int level = n_levels(a.n_cols) - 1 - phase;
        if (level < 0) {
            for (std::ptrdiff_t col = thread; col < a.n_cols; col += kThreads) {
                const std::int32_t down = distance[nearest[col]];
                a.out[block * a.n_cols + col] = down == kNoDistance
                                                    ? static_cast<double>(HUGE_VAL)
                                                    : std::sqrt(squared_distance(col - nearest[col], squared(down)));
            }
            return;
        }
        // Columns one less than an odd multiple of 2^level; those one less than an even multiple are known.
        const std::ptrdiff_t step = std::ptrdiff_t{1} << level;
        for (std::ptrdiff_t col = (2 * static_cast<std::ptrdiff_t>(thread) + 1) * step - 1; col < a.n_cols;
             col += 2 * kThreads * step) {
            const std::ptrdiff_t low = col - step >= 0 ? nearest[col - step] : 0;
            const std::ptrdiff_t high = col + step < a.n_cols ? nearest[col + step] : a.n_cols - 1;
            std::ptrdiff_t best = low;
            std::int64_t least = value(distance, col, low);
            for (std::ptrdiff_t i = low + 1; i <= high; ++i) {
                const std::int64_t other = value(distance, col, i);
                if (other < least) {
                    least = other;
                    best = i;
                }
            }
            nearest[col] = static_cast<std::int32_t>(best);
        }
    }

private:
    FASTSOFT_HD static double squared(std::int32_t distance) {
        return static_cast<double>(static_cast<std::int64_t>(distance) * distance);
    }

    // kNoDistance, too, stands for a distance here, larger than any other: 2^31 - 1, with at most 2^30 columns.
    FASTSOFT_HD static std::int64_t value(const std::int32_t* distance, std::ptrdiff_t col, std::ptrdiff_t from) {
        const std::int64_t steps = col - from;
        const std::int64_t down = distance[from];
        return steps * steps + down * down;
    }
};

// The kernels in their order.
struct DistanceRun {
    View<const std::uint8_t, 2> mask;
    double* out;

    // Numbers of the workspaces.
    std::ptrdiff_t n_pieces() const { return divide_up(mask.extent(0), kPieceRows) * mask.extent(1); }
    std::ptrdiff_t n_pixels() const { return mask.size(); }

    // first, last: n_pieces each; distance, nearest: n_pixels each.
    template <class Launch>
    void run(std::int32_t* first, std::int32_t* last, std::int32_t* distance, std::int32_t* nearest,
             const Launch& launch) const {
        run_kernel<ColumnPiecesBlock>(launch, {mask, first, last});
        run_kernel<ColumnDistanceBlock>(launch, {mask, first, last, distance});
        run_kernel<NearestColumnBlock>(launch, {distance, mask.extent(0), mask.extent(1), nearest, out});
    }
};

}  // namespace fastsoft::detail
