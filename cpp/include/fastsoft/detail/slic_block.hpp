// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

#include "fastsoft/core/block.hpp"
#include "fastsoft/core/view.hpp"
#include "fastsoft/detail/each_block.hpp"
#include "fastsoft/detail/slic_pixel.hpp"

// SLIC: conversion to CIELAB, seeds, and the two halves of an iteration. Sums are formed in the order of the CPU's
// loop, so that results differ from its only where products and sums are fused in another way. What becomes of the
// cluster numbers at the end is in segments_block.hpp.
namespace fastsoft::detail {

// The picture in CIELAB, planes (3, H, W).
template <class T>
struct SlicPlanes {
    T* data;
    std::ptrdiff_t n_pixels;

    FASTSOFT_HD T* lightness() const { return data; }
    FASTSOFT_HD T* a() const { return data + n_pixels; }
    FASTSOFT_HD T* b() const { return data + 2 * n_pixels; }
};

// A thread per pixel. Least bytes per pixel: three numbers read, three written.
template <class T>
struct SlicLabStep {
    struct Arguments {
        View<const T, 3> image;
        SlicPlanes<T> lab;
    };

    FASTSOFT_HD static std::ptrdiff_t size(const Arguments& a) { return a.lab.n_pixels; }

    FASTSOFT_HD static void run(const Arguments& a, std::ptrdiff_t p) {
        const std::ptrdiff_t row = p / a.image.extent(1);
        const std::ptrdiff_t col = p % a.image.extent(1);
        srgb_to_lab(a.image(row, col, 0), a.image(row, col, 1), a.image(row, col, 2), a.lab.lightness()[p],
                    a.lab.a()[p], a.lab.b()[p]);
    }
};

template <class T>
using SlicLabBlock = EachBlock<SlicLabStep<T>>;

// A thread per cluster.
template <class T>
struct SlicSeedStep {
    struct Arguments {
        SlicGrid grid;
        SlicPlanes<const T> lab;
        SlicCluster<T>* clusters;
    };

    FASTSOFT_HD static std::ptrdiff_t size(const Arguments& a) { return a.grid.n_clusters(); }

    FASTSOFT_HD static void run(const Arguments& arguments, std::ptrdiff_t k) {
        const SlicGrid& grid = arguments.grid;
        const SlicPlanes<const T>& lab = arguments.lab;
        const auto difference = [&](std::ptrdiff_t row0, std::ptrdiff_t col0, std::ptrdiff_t row1,
                                    std::ptrdiff_t col1) {
            const std::ptrdiff_t p = row0 * grid.n_cols + col0;
            const std::ptrdiff_t q = row1 * grid.n_cols + col1;
            return squared_distance(lab.lightness()[p], lab.a()[p], lab.b()[p], lab.lightness()[q], lab.a()[q],
                                    lab.b()[q]);
        };
        std::ptrdiff_t row = 0;
        std::ptrdiff_t col = 0;
        slic_seed<T>(grid, k / grid.across, k % grid.across, difference, row, col);
        const std::ptrdiff_t p = row * grid.n_cols + col;
        arguments.clusters[k] = {lab.lightness()[p],  lab.a()[p], lab.b()[p], static_cast<T>(row),
                                 static_cast<T>(col), T(1),       T(1)};
    }
};

template <class T>
using SlicSeedBlock = EachBlock<SlicSeedStep<T>, 128>;

// Cells whose clusters can reach pixels first .. last along one axis after so many updates. A seed lies within two
// pixels of the middle of its cell. An update moves a centre by no more than a window reaches, since the centre is a
// mean of pixels in there, and by what its rounding to float adds: less than the slack below. The window reaches as far
// once more.
FASTSOFT_HD SlicSpan slic_cells(std::ptrdiff_t first, std::ptrdiff_t last, double side, std::ptrdiff_t n_cells,
                                std::ptrdiff_t n, std::ptrdiff_t updates) {
    const double slack = 1.0 + static_cast<double>(n) / 4194304.0;
    const double reach = 3.0 + static_cast<double>(updates + 1) * (std::ceil(side) + slack);
    const double begin = std::floor((static_cast<double>(first) - reach) / side - 0.5);
    const double end = std::ceil((static_cast<double>(last) + reach) / side - 0.5) + 1.0;
    const auto all = static_cast<double>(n_cells);
    return {begin > 0.0 ? static_cast<std::ptrdiff_t>(begin < all ? begin : all) : 0,
            end < all ? static_cast<std::ptrdiff_t>(end) : n_cells};
}

// A tile of pixels finds its nearest clusters. Candidates are the clusters of the cells around, kCandidates at a time:
// each thread looks at one (first phase), those whose windows meet the tile are listed by rising number (second), then
// every thread compares its pixels with them (third). The first of equally near ones wins, as on the CPU, because
// candidates are numbered row by row of cells. Least bytes per pixel: three numbers read, one int32 written.
template <class T>
struct SlicAssignBlock {
    static constexpr int kThreads = 256;
    static constexpr int kRows = 16;
    static constexpr int kCols = 32;
    static constexpr int kPixelsPerThread = kRows * kCols / kThreads;
    static constexpr int kCandidates = kThreads;
    static constexpr int kListed = 16;  // candidates of a list
    static constexpr int kLists = kCandidates / kListed;

    struct Arguments {
        SlicGrid grid;
        SlicPlanes<const T> lab;
        const SlicCluster<T>* clusters;
        std::int32_t* labels;
        T spatial_weight;
        std::ptrdiff_t iteration;
    };

    struct Candidate {
        SlicCluster<T> cluster;
        std::int32_t number;  // -1: does not meet the tile
        std::int32_t row_begin;
        std::int32_t row_end;
        std::int32_t col_begin;
        std::int32_t col_end;
    };

    struct Shared {
        Candidate candidates[kCandidates];
        std::int16_t lists[kLists][kListed];
        std::int16_t counts[kLists];
    };

    struct Registers {
        T lightness[kPixelsPerThread];
        T a[kPixelsPerThread];
        T b[kPixelsPerThread];
        T distance[kPixelsPerThread];
        std::int32_t label[kPixelsPerThread];
    };

    FASTSOFT_HD static std::ptrdiff_t n_blocks(const Arguments& a) {
        return divide_up(a.grid.n_rows, kRows) * divide_up(a.grid.n_cols, kCols);
    }

    // For the tile with the most candidates.
    FASTSOFT_HD static int n_phases(const Arguments& a) {
        const auto most = [&](int length, double side, std::ptrdiff_t n_cells, std::ptrdiff_t n) {
            // The count of a tile far from the borders, wherever it lies: rounding adds at most one.
            const SlicSpan cells = slic_cells(n, n + length - 1, side, std::ptrdiff_t{1} << 40, n, a.iteration);
            const std::ptrdiff_t count = cells.end - cells.begin + 1;
            const std::ptrdiff_t below = cells.begin > 0 ? count : n_cells;
            return below < n_cells ? below : n_cells;
        };
        const std::ptrdiff_t n_candidates = most(kRows, a.grid.cell_height, a.grid.down, a.grid.n_rows) *
                                            most(kCols, a.grid.cell_width, a.grid.across, a.grid.n_cols);
        return 3 * static_cast<int>(divide_up(n_candidates, kCandidates));
    }

    FASTSOFT_HD static void phase(int phase, const Arguments& a, Shared& shared, Registers& registers,
                                  std::ptrdiff_t block, int thread) {
        const std::ptrdiff_t tiles = divide_up(a.grid.n_cols, kCols);
        const std::ptrdiff_t row0 = block / tiles * kRows;
        const std::ptrdiff_t col0 = block % tiles * kCols;
        switch (phase % 3) {
            case 0:
                look(a, shared, row0, col0, phase / 3, thread);
                break;
            case 1:
                list(shared, thread);
                break;
            default:
                compare(a, shared, registers, row0, col0, phase / 3, thread);
                break;
        }
    }

private:
    FASTSOFT_HD static void look(const Arguments& a, Shared& shared, std::ptrdiff_t row0, std::ptrdiff_t col0,
                                 int round, int thread) {
        const SlicGrid& grid = a.grid;
        const std::ptrdiff_t row1 = row0 + kRows < grid.n_rows ? row0 + kRows : grid.n_rows;
        const std::ptrdiff_t col1 = col0 + kCols < grid.n_cols ? col0 + kCols : grid.n_cols;
        const SlicSpan down = slic_cells(row0, row1 - 1, grid.cell_height, grid.down, grid.n_rows, a.iteration);
        const SlicSpan across = slic_cells(col0, col1 - 1, grid.cell_width, grid.across, grid.n_cols, a.iteration);
        const std::ptrdiff_t width = across.end - across.begin;
        const std::ptrdiff_t i = static_cast<std::ptrdiff_t>(round) * kCandidates + thread;
        Candidate& candidate = shared.candidates[thread];
        candidate.number = -1;
        if (i >= (down.end - down.begin) * width) {
            return;
        }
        const std::ptrdiff_t k = (down.begin + i / width) * grid.across + across.begin + i % width;
        candidate.cluster = a.clusters[k];
        const SlicSpan rows = slic_rows(grid, candidate.cluster);
        const SlicSpan cols = slic_cols(grid, candidate.cluster);
        if (rows.begin < row1 && rows.end > row0 && cols.begin < col1 && cols.end > col0) {
            candidate.number = static_cast<std::int32_t>(k);
            candidate.row_begin = static_cast<std::int32_t>(rows.begin);
            candidate.row_end = static_cast<std::int32_t>(rows.end);
            candidate.col_begin = static_cast<std::int32_t>(cols.begin);
            candidate.col_end = static_cast<std::int32_t>(cols.end);
        }
    }

    FASTSOFT_HD static void list(Shared& shared, int thread) {
        if (thread >= kLists) {
            return;
        }
        std::int16_t count = 0;
        for (int i = thread * kListed; i < (thread + 1) * kListed; ++i) {
            if (shared.candidates[i].number >= 0) {
                shared.lists[thread][count++] = static_cast<std::int16_t>(i);
            }
        }
        shared.counts[thread] = count;
    }

    FASTSOFT_HD static void compare(const Arguments& a, const Shared& shared, Registers& registers, std::ptrdiff_t row0,
                                    std::ptrdiff_t col0, int round, int thread) {
        const bool last_round = 3 * (round + 1) == n_phases(a);
        FASTSOFT_UNROLL(2)
        for (int j = 0; j < kPixelsPerThread; ++j) {
            const std::ptrdiff_t row = row0 + (thread + j * kThreads) / kCols;
            const std::ptrdiff_t col = col0 + (thread + j * kThreads) % kCols;
            if (row >= a.grid.n_rows || col >= a.grid.n_cols) {
                continue;
            }
            const std::ptrdiff_t p = row * a.grid.n_cols + col;
            if (round == 0) {
                registers.lightness[j] = a.lab.lightness()[p];
                registers.a[j] = a.lab.a()[p];
                registers.b[j] = a.lab.b()[p];
                registers.distance[j] = std::numeric_limits<T>::max();
                registers.label[j] = -1;
            }
            const auto y = static_cast<std::int32_t>(row);
            const auto x = static_cast<std::int32_t>(col);
            for (int list = 0; list < kLists; ++list) {
                for (int i = 0; i < shared.counts[list]; ++i) {
                    const Candidate& candidate = shared.candidates[shared.lists[list][i]];
                    if (y < candidate.row_begin || y >= candidate.row_end || x < candidate.col_begin ||
                        x >= candidate.col_end) {
                        continue;
                    }
                    const T dx = static_cast<T>(x) - candidate.cluster.col;
                    const T dy = static_cast<T>(y) - candidate.cluster.row;
                    const T d = slic_distance(registers.lightness[j], registers.a[j], registers.b[j], dx, dy * dy,
                                              candidate.cluster, a.spatial_weight);
                    if (d < registers.distance[j]) {
                        registers.distance[j] = d;
                        registers.label[j] = candidate.number;
                    }
                }
            }
            // Pixels that no window covers keep their label.
            if (last_round && registers.label[j] >= 0) {
                a.labels[p] = registers.label[j];
            }
        }
    }
};

// Moves clusters. kSlicLanes threads sum a part (slic_pixel.hpp) lane by lane, `groups` parts of one cluster are
// summed at a time; then their lanes are added up in order. Bytes: windows overlap, so that every pixel is read about
// four times, mostly from cache: three numbers and an int32.
template <class T>
struct SlicUpdateBlock {
    static constexpr int kThreads = 256;
    static constexpr int kGroups = kThreads / kSlicLanes;
    static constexpr int kQuantities = 6;

    struct Arguments {
        SlicGrid grid;
        SlicPlanes<const T> lab;
        const std::int32_t* labels;
        SlicCluster<T>* clusters;
        bool adaptive;
        int groups;  // of one cluster: a divisor of kGroups
    };

    struct Shared {
        T parts[kGroups][kQuantities][kSlicLanes];
        T max_color[kGroups][kSlicLanes];
        double sums[kGroups][kQuantities];
    };

    using Registers = Nothing;

    // Parts of the largest window.
    FASTSOFT_HD static std::ptrdiff_t most_parts(const SlicGrid& grid) {
        const auto longest = [](double side, std::ptrdiff_t n) {
            const double reach = 2.0 * std::ceil(side) + 1.0;
            return reach < static_cast<double>(n) ? static_cast<std::ptrdiff_t>(reach) : n;
        };
        return divide_up(longest(grid.cell_height, grid.n_rows),
                         slic_rows_per_part(longest(grid.cell_width, grid.n_cols)));
    }

    // As many groups per cluster as it has parts.
    static int groups_for(const SlicGrid& grid) {
        int groups = 1;
        while (groups < kGroups && groups < most_parts(grid)) {
            groups *= 2;
        }
        return groups;
    }

    FASTSOFT_HD static std::ptrdiff_t n_blocks(const Arguments& a) {
        return divide_up(a.grid.n_clusters(), kGroups / a.groups);
    }
    FASTSOFT_HD static int n_phases(const Arguments& a) {
        return 2 * static_cast<int>(divide_up(most_parts(a.grid), a.groups)) + 1;
    }

    FASTSOFT_HD static void phase(int phase, const Arguments& a, Shared& shared, Registers&, std::ptrdiff_t block,
                                  int thread) {
        const int n_own = kGroups / a.groups;  // clusters of this block
        if (phase + 1 == n_phases(a)) {
            if (thread < n_own) {
                move(a, shared, block * n_own + thread, thread);
            }
        } else if (phase % 2 == 0) {
            const int group = thread / kSlicLanes;
            sum_part(a, shared, block * n_own + group / a.groups, phase / 2, group, thread % kSlicLanes);
        } else if (thread < n_own * kQuantities) {
            const int own = thread / kQuantities;
            add_lanes(a, shared, block * n_own + own, phase / 2, own, thread % kQuantities);
        }
    }

private:
    struct Window {
        SlicSpan rows;
        SlicSpan cols;
        std::ptrdiff_t rows_per_part;
    };

    FASTSOFT_HD static Window window_of(const Arguments& a, const SlicCluster<T>& cluster) {
        const SlicSpan cols = slic_cols(a.grid, cluster);
        return {slic_rows(a.grid, cluster), cols, slic_rows_per_part(cols.end - cols.begin)};
    }

    FASTSOFT_HD static void sum_part(const Arguments& a, Shared& shared, std::ptrdiff_t k, int round, int group,
                                     int lane) {
        if (k >= a.grid.n_clusters()) {
            return;
        }
        const SlicCluster<T> cluster = a.clusters[k];
        const Window window = window_of(a, cluster);
        const std::ptrdiff_t part = static_cast<std::ptrdiff_t>(round) * a.groups + group % a.groups;
        const std::ptrdiff_t first = window.rows.begin + part * window.rows_per_part;
        const std::ptrdiff_t last =
            first + window.rows_per_part < window.rows.end ? first + window.rows_per_part : window.rows.end;
        T count = 0;
        T lightness = 0;
        T sum_a = 0;
        T sum_b = 0;
        T row_sum = 0;
        T col_sum = 0;
        T max_color = 0;
        const auto width = static_cast<int>(window.cols.end - window.cols.begin);
        const auto own = static_cast<std::int32_t>(k);
        for (auto row = static_cast<int>(first); row < last; ++row) {
            const std::ptrdiff_t begin = row * a.grid.n_cols + window.cols.begin;
            for (int col = lane; col < width; col += kSlicLanes) {
                const std::ptrdiff_t p = begin + col;
                if (a.labels[p] != own) {
                    continue;
                }
                const T l = a.lab.lightness()[p];
                const T x = a.lab.a()[p];
                const T y = a.lab.b()[p];
                count += T(1);
                lightness += l;
                sum_a += x;
                sum_b += y;
                row_sum += static_cast<T>(row - static_cast<int>(window.rows.begin));
                col_sum += static_cast<T>(col);
                if (a.adaptive) {
                    const T color = squared_distance(l, x, y, cluster.lightness, cluster.a, cluster.b);
                    max_color = color > max_color ? color : max_color;
                }
            }
        }
        T(&sums)[kQuantities][kSlicLanes] = shared.parts[group];
        sums[0][lane] = count;
        sums[1][lane] = lightness;
        sums[2][lane] = sum_a;
        sums[3][lane] = sum_b;
        sums[4][lane] = row_sum;
        sums[5][lane] = col_sum;
        T& largest = shared.max_color[group][lane];
        largest = round > 0 && largest > max_color ? largest : max_color;
    }

    FASTSOFT_HD static void add_lanes(const Arguments& a, Shared& shared, std::ptrdiff_t k, int round, int own,
                                      int quantity) {
        if (k >= a.grid.n_clusters()) {
            return;
        }
        const Window window = window_of(a, a.clusters[k]);
        const std::ptrdiff_t n_parts = divide_up(window.rows.end - window.rows.begin, window.rows_per_part);
        double sum = round == 0 ? 0.0 : shared.sums[own][quantity];
        for (int i = 0; i < a.groups && static_cast<std::ptrdiff_t>(round) * a.groups + i < n_parts; ++i) {
            for (int lane = 0; lane < kSlicLanes; ++lane) {
                sum += static_cast<double>(shared.parts[own * a.groups + i][quantity][lane]);
            }
        }
        shared.sums[own][quantity] = sum;
    }

    FASTSOFT_HD static void move(const Arguments& a, const Shared& shared, std::ptrdiff_t k, int own) {
        if (k >= a.grid.n_clusters()) {
            return;
        }
        T max_color = 0;
        for (int group = own * a.groups; group < (own + 1) * a.groups; ++group) {
            for (int lane = 0; lane < kSlicLanes; ++lane) {
                const T color = shared.max_color[group][lane];
                max_color = color > max_color ? color : max_color;
            }
        }
        const Window window = window_of(a, a.clusters[k]);
        const double* const sums = shared.sums[own];
        slic_move(a.clusters[k], {sums[0], sums[1], sums[2], sums[3], sums[4], sums[5]}, window.rows, window.cols,
                  a.adaptive, max_color);
    }
};

}  // namespace fastsoft::detail
