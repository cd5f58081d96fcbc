// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

#include "fastsoft/core/atomic.hpp"
#include "fastsoft/core/block.hpp"
#include "fastsoft/detail/each_block.hpp"

// Segments from a picture of cluster numbers: 4-connected pieces, of which the small ones join a neighbour, numbered in
// the order in which they are met.
//
// A piece is known by its root, the number of its first pixel row by row. Roots are found by union-find with atomic
// minima (tiles first, then the borders between them): whichever order the unions take, the root is the smallest pixel.
//
// The CPU goes through the pieces in the order of their roots. The first begins segment 0; another begins one of its
// own if it has min_size pixels, unless all so far are segment 0 and together still too small; else it joins the
// segment to the left of its root, or above. For the piece of root p that says: it begins a segment if p = 0, or if
// both its size and the sizes of the pieces before it add up to min_size. For were it not for the second condition,
// then all pieces before were too small, or joined segment 0 on account of it. Hence two prefix sums number the
// segments, and what joins follows its left or upper neighbours, whose roots are smaller, until it meets one that
// begins a segment.
namespace fastsoft::detail {

struct SegmentsGrid {
    std::ptrdiff_t n_rows;
    std::ptrdiff_t n_cols;

    FASTSOFT_HD std::ptrdiff_t n_pixels() const { return n_rows * n_cols; }
};

// Parents only ever become smaller, so that a stale one still leads to the root.
FASTSOFT_HD std::int32_t find_root(const std::int32_t* parents, std::int32_t i) {
    std::int32_t parent = parents[i];
    while (parent != i) {
        i = parent;
        parent = parents[i];
    }
    return i;
}

// Joins two trees by hanging the larger root below the smaller one. If another thread was faster, what that root now
// hangs below remains to be joined.
FASTSOFT_HD void unite(std::int32_t* parents, std::int32_t i, std::int32_t j) {
    for (;;) {
        i = find_root(parents, i);
        j = find_root(parents, j);
        if (i == j) {
            return;
        }
        const std::int32_t high = i > j ? i : j;
        const std::int32_t low = i > j ? j : i;
        const std::int32_t before = atomic_min(parents + high, low);
        if (before == high) {
            return;
        }
        i = before;
        j = low;
    }
}

// Pieces of each tile: parents as pixel numbers in the picture, and at roots how many pixels of the tile they have,
// else 0. Least bytes per pixel: 4 read, 8 written.
struct TilePiecesBlock {
    static constexpr int kThreads = 256;
    static constexpr int kRows = 16;
    static constexpr int kCols = 32;
    static constexpr int kPixels = kRows * kCols;

    struct Arguments {
        SegmentsGrid grid;
        const std::int32_t* labels;
        std::int32_t* parents;
        std::int32_t* sizes;
    };

    struct Shared {
        std::int32_t labels[kPixels];
        std::int32_t parents[kPixels];
        std::int32_t sizes[kPixels];
    };

    using Registers = Nothing;

    FASTSOFT_HD static std::ptrdiff_t n_blocks(const Arguments& a) {
        return divide_up(a.grid.n_rows, kRows) * divide_up(a.grid.n_cols, kCols);
    }
    FASTSOFT_HD static int n_phases(const Arguments&) { return 5; }

    FASTSOFT_HD static void phase(int phase, const Arguments& a, Shared& shared, Registers&, std::ptrdiff_t block,
                                  int thread) {
        const std::ptrdiff_t tiles = divide_up(a.grid.n_cols, kCols);
        const std::ptrdiff_t row0 = block / tiles * kRows;
        const std::ptrdiff_t col0 = block % tiles * kCols;
        for (int i = thread; i < kPixels; i += kThreads) {
            const std::ptrdiff_t row = row0 + i / kCols;
            const std::ptrdiff_t col = col0 + i % kCols;
            const bool inside = row < a.grid.n_rows && col < a.grid.n_cols;
            const std::ptrdiff_t p = row * a.grid.n_cols + col;
            switch (phase) {
                case 0:
                    // What lies outside is like nothing inside.
                    shared.labels[i] = inside ? a.labels[p] : -1;
                    shared.sizes[i] = 0;
                    break;
                case 1:
                    shared.parents[i] = run_begin(shared.labels, i);
                    break;
                case 2:
                    join_above(shared, i);
                    break;
                case 3:
                    count_run(shared, i);
                    break;
                default:
                    if (inside) {
                        const std::int32_t root = find_root(shared.parents, i);
                        a.parents[p] =
                            static_cast<std::int32_t>((row0 + root / kCols) * a.grid.n_cols + col0 + root % kCols);
                        a.sizes[p] = shared.sizes[i];
                    }
                    break;
            }
        }
    }

private:
    FASTSOFT_HD static std::int32_t run_begin(const std::int32_t* labels, int i) {
        int begin = i;
        while (begin % kCols > 0 && labels[begin - 1] == labels[i]) {
            --begin;
        }
        return begin;
    }

    // Once per pair of runs that touch: where the pair to the left does not touch as well.
    FASTSOFT_HD static void join_above(Shared& shared, int i) {
        const std::int32_t* const labels = shared.labels;
        if (i < kCols || labels[i] != labels[i - kCols]) {
            return;
        }
        const bool left_too = i % kCols > 0 && labels[i - 1] == labels[i] && labels[i - kCols - 1] == labels[i];
        if (!left_too) {
            unite(shared.parents, i, i - kCols);
        }
    }

    FASTSOFT_HD static void count_run(Shared& shared, int i) {
        const bool ends = i % kCols == kCols - 1 || shared.labels[i + 1] != shared.labels[i];
        if (ends) {
            atomic_add(shared.sizes + find_root(shared.parents, i), i - run_begin(shared.labels, i) + 1);
        }
    }
};

// Joins pieces across the borders of tiles. A thread per pixel in the first column or the first row of a tile.
struct BorderPiecesStep {
    static constexpr int kPairs = TilePiecesBlock::kRows + TilePiecesBlock::kCols;  // of a tile

    struct Arguments {
        SegmentsGrid grid;
        const std::int32_t* labels;
        std::int32_t* parents;
    };

    FASTSOFT_HD static std::ptrdiff_t n_tiles(const Arguments& a) {
        return divide_up(a.grid.n_rows, TilePiecesBlock::kRows) * divide_up(a.grid.n_cols, TilePiecesBlock::kCols);
    }
    FASTSOFT_HD static std::ptrdiff_t size(const Arguments& a) { return n_tiles(a) * kPairs; }

    FASTSOFT_HD static void run(const Arguments& a, std::ptrdiff_t index) {
        const std::ptrdiff_t across = divide_up(a.grid.n_cols, TilePiecesBlock::kCols);
        const std::ptrdiff_t tile = index / kPairs;
        const std::ptrdiff_t pair = index % kPairs;
        const bool above = pair < TilePiecesBlock::kCols;
        const std::ptrdiff_t row = tile / across * TilePiecesBlock::kRows + (above ? 0 : pair - TilePiecesBlock::kCols);
        const std::ptrdiff_t col = tile % across * TilePiecesBlock::kCols + (above ? pair : 0);
        if (row >= a.grid.n_rows || col >= a.grid.n_cols || (above ? row : col) == 0) {
            return;
        }
        const std::ptrdiff_t p = row * a.grid.n_cols + col;
        const std::ptrdiff_t other = above ? p - a.grid.n_cols : p - 1;
        if (a.labels[p] != a.labels[other]) {
            return;
        }
        // The pair before along the border joins the same pieces, if it lies in the same two tiles.
        const std::ptrdiff_t back = above ? 1 : a.grid.n_cols;
        const bool first = pair == 0 || pair == TilePiecesBlock::kCols;
        if (!first && a.labels[p - back] == a.labels[p] && a.labels[other - back] == a.labels[p]) {
            return;
        }
        unite(a.parents, static_cast<std::int32_t>(p), static_cast<std::int32_t>(other));
    }
};

using BorderPiecesBlock = EachBlock<BorderPiecesStep>;

// Roots of all pixels; the sizes of the tiles' pieces are added up at the roots.
struct RootsStep {
    struct Arguments {
        std::ptrdiff_t n_pixels;
        const std::int32_t* parents;
        std::int32_t* roots;
        std::int32_t* sizes;
    };

    FASTSOFT_HD static std::ptrdiff_t size(const Arguments& a) { return a.n_pixels; }

    FASTSOFT_HD static void run(const Arguments& a, std::ptrdiff_t p) {
        const std::int32_t root = find_root(a.parents, static_cast<std::int32_t>(p));
        a.roots[p] = root;
        // Only roots of the picture gain pixels, only others give them.
        if (root != p && a.sizes[p] > 0) {
            atomic_add(a.sizes + root, a.sizes[p]);
        }
    }
};

using RootsBlock = EachBlock<RootsStep>;

// The first pixel of every label, written as n_pixels less its number, so that it can begin as 0. Only pixels that
// differ from their left neighbour take part.
struct FirstPixelsStep {
    struct Arguments {
        SegmentsGrid grid;
        const std::int32_t* labels;
        std::int32_t* from_end;
    };

    FASTSOFT_HD static std::ptrdiff_t size(const Arguments& a) { return a.grid.n_pixels(); }

    FASTSOFT_HD static void run(const Arguments& a, std::ptrdiff_t p) {
        if (p % a.grid.n_cols == 0 || a.labels[p] != a.labels[p - 1]) {
            atomic_max(a.from_end + a.labels[p], static_cast<std::int32_t>(a.grid.n_pixels() - p));
        }
    }
};

using FirstPixelsBlock = EachBlock<FirstPixelsStep>;

// Roots where all pixels of a label are one piece, in place of the labels.
struct LabelRootsStep {
    struct Arguments {
        std::ptrdiff_t n_pixels;
        const std::int32_t* from_end;
        std::int32_t* labels;
    };

    FASTSOFT_HD static std::ptrdiff_t size(const Arguments& a) { return a.n_pixels; }

    FASTSOFT_HD static void run(const Arguments& a, std::ptrdiff_t p) {
        a.labels[p] = static_cast<std::int32_t>(a.n_pixels - a.from_end[a.labels[p]]);
    }
};

using LabelRootsBlock = EachBlock<LabelRootsStep>;

// What the pieces before pixel p have, written for p < n: prefix sums of sizes at roots.
struct SizesBefore {
    using Sum = std::int32_t;
    std::ptrdiff_t n;
    const std::int32_t* roots;
    const std::int32_t* sizes;
    std::int32_t* before;

    FASTSOFT_HD std::int32_t value(std::ptrdiff_t p) const { return roots[p] == p ? sizes[p] : 0; }
    FASTSOFT_HD void store(std::ptrdiff_t p, std::int32_t, std::int32_t sum) const { before[p] = sum; }
};

// Numbers of segments at the roots that begin one, -1 elsewhere. Sizes add up to more than p before pixel p, so that
// `before` is known to suffice beyond the first n_before pixels. It may be `numbers`.
struct SegmentNumbers {
    using Sum = std::int32_t;
    std::ptrdiff_t n;
    const std::int32_t* roots;
    const std::int32_t* sizes;
    const std::int32_t* before;
    std::ptrdiff_t n_before;
    double min_size;
    std::int32_t* numbers;

    FASTSOFT_HD std::int32_t value(std::ptrdiff_t p) const {
        if (roots[p] != p) {
            return 0;
        }
        if (p == 0 || min_size <= 0.0) {
            return 1;
        }
        const bool enough_before = p >= n_before || static_cast<double>(before[p]) >= min_size;
        return enough_before && static_cast<double>(sizes[p]) >= min_size ? 1 : 0;
    }
    FASTSOFT_HD void store(std::ptrdiff_t p, std::int32_t own, std::int32_t sum) const {
        numbers[p] = own != 0 ? sum : -1;
    }
};

// Segments of all roots: their own, or that of what they join.
struct JoinPiecesStep {
    struct Arguments {
        SegmentsGrid grid;
        const std::int32_t* roots;
        const std::int32_t* numbers;
        std::int32_t* segments;
    };

    FASTSOFT_HD static std::ptrdiff_t size(const Arguments& a) { return a.grid.n_pixels(); }

    FASTSOFT_HD static void run(const Arguments& a, std::ptrdiff_t p) {
        if (a.roots[p] != p) {
            return;
        }
        std::ptrdiff_t root = p;
        while (a.numbers[root] < 0) {
            root = a.roots[root % a.grid.n_cols > 0 ? root - 1 : root - a.grid.n_cols];
        }
        a.segments[p] = a.numbers[root];
    }
};

using JoinPiecesBlock = EachBlock<JoinPiecesStep>;

// Labels from roots.
struct SegmentLabelsStep {
    struct Arguments {
        std::ptrdiff_t n_pixels;
        const std::int32_t* roots;
        const std::int32_t* segments;
        std::int32_t* labels;
    };

    FASTSOFT_HD static std::ptrdiff_t size(const Arguments& a) { return a.n_pixels; }

    FASTSOFT_HD static void run(const Arguments& a, std::ptrdiff_t p) { a.labels[p] = a.segments[a.roots[p]]; }
};

using SegmentLabelsBlock = EachBlock<SegmentLabelsStep>;

}  // namespace fastsoft::detail
