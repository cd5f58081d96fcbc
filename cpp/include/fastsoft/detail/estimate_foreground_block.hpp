// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "fastsoft/core/block.hpp"
#include "fastsoft/core/view.hpp"
#include "fastsoft/detail/checkerboard_tile.hpp"
#include "fastsoft/detail/each_block.hpp"
#include "fastsoft/detail/estimate_foreground_checks.hpp"
#include "fastsoft/detail/estimate_foreground_pixel.hpp"
#include "fastsoft/detail/line_sums.hpp"
#include "fastsoft/detail/tree.hpp"

// Multi-level estimation, as three kernels: sums of colours for the mean ones of the first level, the means, and tiles
// of a level, which go through its iterations in shared memory. Blur fusion, as two stages of line sums (line_sums.hpp)
// and a kernel per pixel, for each of its two blurs.
//
// Least bytes per pixel in float32: multi-level 16 for the sums and, of the full level, 16 to read, 6 of the level
// before and 12 to write (24 with a background); levels below take a third of that together. Tiles of 32x48 pixels with
// a margin of 4 read 1.6 times their share, from the level-2 cache for the most part. Blur fusion 104: both blurs read
// colours and alpha and write colours; the line sums move about 8 times that.
namespace fastsoft::detail {

// What was not in [0, 1]. Whichever thread finds it: all write the same.
struct ForegroundFaults {
    int alpha;
    int image;
};

struct ForegroundSums {
    double sum[6];  // of colours where alpha is nearly 1, and nearly 0
    double n_foreground;
    double n_background;
};

FASTSOFT_HD void merge_into(ForegroundSums& to, const ForegroundSums& from) {
    FASTSOFT_UNROLL(6)
    for (int i = 0; i < 6; ++i) {
        to.sum[i] += from.sum[i];
    }
    to.n_foreground += from.n_foreground;
    to.n_background += from.n_background;
}

// Pieces of a fixed number of pixels of each layer: the sums of each go to partial (layers, pieces).
template <class T>
struct ForegroundSumsStep {
    using Item = ForegroundSums;
    static constexpr int kPerThread = 16;

    struct Arguments {
        View<const T, 3> image;
        View<const T, 3> alphas;
        ForegroundSums* partial;
        ForegroundFaults* faults;
    };

    FASTSOFT_HD static std::ptrdiff_t n_pieces(std::ptrdiff_t n_pixels) {
        return divide_up(n_pixels, kTreeThreads * kPerThread);
    }
    FASTSOFT_HD static std::ptrdiff_t n_blocks(const Arguments& a) {
        return a.alphas.extent(2) * n_pieces(a.alphas.extent(0) * a.alphas.extent(1));
    }

    FASTSOFT_HD static Item gather(const Arguments& a, std::ptrdiff_t block, int thread) {
        const std::ptrdiff_t n_pixels = a.alphas.extent(0) * a.alphas.extent(1);
        const std::ptrdiff_t pieces = n_pieces(n_pixels);
        const std::ptrdiff_t layer = block / pieces;
        const std::ptrdiff_t first = block % pieces * kPerThread * kTreeThreads + thread;
        Item sums{};
        for (int j = 0; j < kPerThread; ++j) {
            const std::ptrdiff_t i = first + static_cast<std::ptrdiff_t>(j) * kTreeThreads;
            if (i < n_pixels) {
                add_pixel(a, i / a.alphas.extent(1), i % a.alphas.extent(1), layer, sums);
            }
        }
        return sums;
    }
    FASTSOFT_HD static void put(const Arguments& a, std::ptrdiff_t block, const Item& item) { a.partial[block] = item; }

private:
    FASTSOFT_HD static void add_pixel(const Arguments& a, std::ptrdiff_t row, std::ptrdiff_t col, std::ptrdiff_t layer,
                                      ForegroundSums& sums) {
        const T alpha = a.alphas(row, col, layer);
        const T color[3] = {a.image(row, col, 0), a.image(row, col, 1), a.image(row, col, 2)};
        if (outside_unit(alpha) != 0) {
            a.faults->alpha = 1;
        }
        if ((outside_unit(color[0]) | outside_unit(color[1]) | outside_unit(color[2])) != 0) {
            a.faults->image = 1;
        }
        // Without branches, which would keep the sums from being registers.
        const double opaque = nearly_opaque(static_cast<double>(alpha)) ? 1.0 : 0.0;
        const double transparent = nearly_transparent(static_cast<double>(alpha)) ? 1.0 : 0.0;
        FASTSOFT_UNROLL(3)
        for (int i = 0; i < 3; ++i) {
            sums.sum[i] += opaque * static_cast<double>(color[i]);
            sums.sum[3 + i] += transparent * static_cast<double>(color[i]);
        }
        sums.n_foreground += opaque;
        sums.n_background += transparent;
    }
};

template <class T>
using ForegroundSumsBlock = TreeBlock<ForegroundSumsStep<T>>;

// A block per layer: mean colours (layers, 6) from the sums of its pieces.
template <class T>
struct ForegroundMeansStep {
    using Item = ForegroundSums;

    struct Arguments {
        const ForegroundSums* partial;
        std::ptrdiff_t n_pieces;
        std::ptrdiff_t n_layers;
        T* means;
    };

    FASTSOFT_HD static std::ptrdiff_t n_blocks(const Arguments& a) { return a.n_layers; }

    FASTSOFT_HD static Item gather(const Arguments& a, std::ptrdiff_t block, int thread) {
        return merged_items(a.partial + block * a.n_pieces, a.n_pieces, thread);
    }
    FASTSOFT_HD static void put(const Arguments& a, std::ptrdiff_t block, const Item& sums) {
        FASTSOFT_UNROLL(6)
        for (int i = 0; i < 6; ++i) {
            const double count = i < 3 ? sums.n_foreground : sums.n_background;
            a.means[block * 6 + i] = static_cast<T>(first_color(sums.sum[i], count));
        }
    }
};

template <class T>
using ForegroundMeansBlock = TreeBlock<ForegroundMeansStep<T>>;

// Iterations of a level in tiles. Colours of alpha and of neighbours are in shared memory, those of the photograph,
// which only their own pixel needs, in registers.
template <class T>
struct MultilevelBlock {
    static constexpr int kThreads = 384;
    static constexpr int kRows = sizeof(T) == 4 ? 32 : 24;
    static constexpr int kCols = sizeof(T) == 4 ? 48 : 32;
    static constexpr int kSize = kRows * kCols;
    static constexpr int kPixels = kSize / 2 / kThreads;  // of a thread, of either colour of the chequerboard
    // Iterations of a launch where tiles have margins, and what two half iterations each take from them.
    static constexpr int kIterations = 2;
    static constexpr int kMargin = 2 * kIterations;
    static_assert(kPixels * 2 * kThreads == kSize);

    struct Arguments {
        View<const T, 3> image;
        View<const T, 3> alphas;
        LevelSize size;
        // Colours (layers, 6, rows, cols) to begin with: of the level before, or of this one.
        const T* before;
        LevelSize before_size;
        T* out;  // the same of this level, or null: to foregrounds and backgrounds
        View<T, 4> foregrounds;
        View<T, 4> backgrounds;  // null data: not wanted
        int iterations;
        T regularization;
        T gradient_weight;
    };

    struct Shared {
        T alpha[kSize];
        T colors[6][kSize];
        // Rows and columns of the full level, and of the one before, that those of the tile are nearest to.
        std::int32_t full_row[kRows], full_col[kCols], before_row[kRows], before_col[kCols];
    };

    struct Registers {
        T image[2][kPixels][3];
    };

    // How many iterations a launch may do.
    FASTSOFT_HD static int max_iterations(const LevelSize& size, int wanted) {
        const bool whole = size.rows <= kRows && size.cols <= kCols;
        return whole || wanted < kIterations ? wanted : kIterations;
    }

    FASTSOFT_HD static std::ptrdiff_t n_blocks(const Arguments& a) {
        return a.alphas.extent(2) * n_tiles(a.size.rows, kRows, kMargin) * n_tiles(a.size.cols, kCols, kMargin);
    }
    FASTSOFT_HD static int n_phases(const Arguments& a) { return 3 + 2 * a.iterations; }

    FASTSOFT_HD static void phase(int phase, const Arguments& a, Shared& shared, Registers& registers,
                                  std::ptrdiff_t block, int thread) {
        const std::ptrdiff_t across = n_tiles(a.size.cols, kCols, kMargin);
        const std::ptrdiff_t down = n_tiles(a.size.rows, kRows, kMargin);
        const std::ptrdiff_t layer = block / (across * down);
        const TileSpan rows = tile_span(block / across % down, a.size.rows, kRows, kMargin);
        const TileSpan cols = tile_span(block % across, a.size.cols, kCols, kMargin);
        if (phase == 0) {
            find_nearest(a, shared, rows, cols, thread);
        } else if (phase == 1) {
            load(a, shared, registers, rows, cols, layer, thread);
        } else if (phase == n_phases(a) - 1) {
            store(a, shared, rows, cols, layer, thread);
        } else if ((phase & 1) == 0) {
            update<0>(a, shared, registers, rows, cols, thread);
        } else {
            update<1>(a, shared, registers, rows, cols, thread);
        }
    }

private:
    FASTSOFT_HD static void find_nearest(const Arguments& a, Shared& shared, const TileSpan& rows, const TileSpan& cols,
                                         int thread) {
        for (int i = thread; i < rows.size(); i += kThreads) {
            const std::ptrdiff_t row = rows.first + i;
            shared.full_row[i] = static_cast<std::int32_t>(nearest_position(row, a.size.rows, a.alphas.extent(0)));
            shared.before_row[i] = static_cast<std::int32_t>(nearest_position(row, a.size.rows, a.before_size.rows));
        }
        for (int i = thread; i < cols.size(); i += kThreads) {
            const std::ptrdiff_t col = cols.first + i;
            shared.full_col[i] = static_cast<std::int32_t>(nearest_position(col, a.size.cols, a.alphas.extent(1)));
            shared.before_col[i] = static_cast<std::int32_t>(nearest_position(col, a.size.cols, a.before_size.cols));
        }
    }

    FASTSOFT_HD static void load(const Arguments& a, Shared& shared, Registers& registers, const TileSpan& rows,
                                 const TileSpan& cols, std::ptrdiff_t layer, int thread) {
        const std::ptrdiff_t plane = a.before_size.rows * a.before_size.cols;
        const T* const before = a.before + layer * 6 * plane;
        for (int i = thread; i < kSize; i += kThreads) {
            const int row = i / kCols;
            const int col = i % kCols;
            if (row < rows.size() && col < cols.size()) {
                const int place = tile_place<kCols>(row, col);
                shared.alpha[place] = a.alphas(shared.full_row[row], shared.full_col[col], layer);
                const T* const from = before + shared.before_row[row] * a.before_size.cols + shared.before_col[col];
                FASTSOFT_UNROLL(6)
                for (int k = 0; k < 6; ++k) {
                    shared.colors[k][place] = from[k * plane];
                }
            }
        }
        FASTSOFT_UNROLL(2)
        for (int color = 0; color < 2; ++color) {
            FASTSOFT_UNROLL(4)
            for (int j = 0; j < kPixels; ++j) {
                const TilePixel at = tile_pixel<kCols>(j * kThreads + thread, color, (rows.first ^ cols.first) & 1);
                if (at.row < rows.size() && at.col < cols.size()) {
                    FASTSOFT_UNROLL(3)
                    for (int i = 0; i < 3; ++i) {
                        registers.image[color][j][i] = a.image(shared.full_row[at.row], shared.full_col[at.col], i);
                    }
                }
            }
        }
    }

    // Pixels of one colour. They read those of the other one and, at the border of the picture, themselves; so they do
    // at cut edges, where nothing of it is stored.
    template <int Color>
    FASTSOFT_HD static void update(const Arguments& a, Shared& shared, const Registers& registers, const TileSpan& rows,
                                   const TileSpan& cols, int thread) {
        FASTSOFT_UNROLL(4)
        for (int j = 0; j < kPixels; ++j) {
            const TilePixel at = tile_pixel<kCols>(j * kThreads + thread, Color, (rows.first ^ cols.first) & 1);
            if (at.row < rows.size() && at.col < cols.size()) {
                const int here = tile_place<kCols>(at.row, at.col);
                const int left = at.col > 0 ? tile_place<kCols>(at.row, at.col - 1) : here;
                const int right = at.col + 1 < cols.size() ? tile_place<kCols>(at.row, at.col + 1) : here;
                const int up = at.row > 0 ? here - kCols : here;  // the same half of the row above
                const int down = at.row + 1 < rows.size() ? here + kCols : here;
                const T alpha = shared.alpha[here];
                const MultilevelWeights<T> weights =
                    multilevel_weights(alpha, shared.alpha[left], shared.alpha[right], shared.alpha[up],
                                       shared.alpha[down], a.regularization, a.gradient_weight);
                FASTSOFT_UNROLL(3)
                for (int i = 0; i < 3; ++i) {
                    T(&f)[kSize] = shared.colors[i];
                    T(&b)[kSize] = shared.colors[3 + i];
                    const MultilevelColors<T> colors =
                        multilevel_colors(weights, registers.image[Color][j][i], alpha, f[left], f[right], f[up],
                                          f[down], b[left], b[right], b[up], b[down]);
                    f[here] = colors.foreground;
                    b[here] = colors.background;
                }
            }
        }
    }

    FASTSOFT_HD static void store(const Arguments& a, const Shared& shared, const TileSpan& rows, const TileSpan& cols,
                                  std::ptrdiff_t layer, int thread) {
        const std::ptrdiff_t plane = a.size.rows * a.size.cols;
        for (int i = thread; i < kSize; i += kThreads) {
            const std::ptrdiff_t row = rows.first + i / kCols;
            const std::ptrdiff_t col = cols.first + i % kCols;
            if (row < rows.begin || row >= rows.end || col < cols.begin || col >= cols.end) {
                continue;
            }
            const int place = tile_place<kCols>(i / kCols, i % kCols);
            if (a.out != nullptr) {
                T* const to = a.out + layer * 6 * plane + row * a.size.cols + col;
                FASTSOFT_UNROLL(6)
                for (int k = 0; k < 6; ++k) {
                    to[k * plane] = shared.colors[k][place];
                }
                continue;
            }
            FASTSOFT_UNROLL(3)
            for (int k = 0; k < 3; ++k) {
                a.foregrounds(row, col, layer, k) = shared.colors[k][place];
                if (a.backgrounds.data() != nullptr) {
                    a.backgrounds(row, col, layer, k) = shared.colors[3 + k][place];
                }
            }
        }
    }
};

// The kernels of multi-level estimation, of all layers at once, in their order.
template <class T>
struct MultilevelRun {
    View<const T, 3> image;
    View<const T, 3> alphas;
    View<T, 4> foregrounds;
    View<T, 4> backgrounds;
    MultilevelParams params;

    // Numbers per layer of each of the two buffers for colours, and ForegroundSums per layer.
    std::ptrdiff_t n_numbers() const {
        const auto sizes = level_sizes(alphas.extent(0), alphas.extent(1));
        std::ptrdiff_t largest = 1;
        for (std::size_t i = 0; i < sizes.size(); ++i) {
            const int iterations = level_iterations(params, sizes[i]);
            const bool stored = i + 1 < sizes.size() || n_launches(sizes[i], iterations) > 1;
            largest = stored ? std::max(largest, sizes[i].rows * sizes[i].cols) : largest;
        }
        return 6 * largest;
    }
    std::ptrdiff_t n_sums() const { return ForegroundSumsBlock<T>::n_pieces(alphas.extent(0) * alphas.extent(1)); }

    template <class Launch>
    void run(ForegroundSums* sums, ForegroundFaults* faults, T* first, T* second, const Launch& launch) const {
        run_kernel<ForegroundSumsBlock<T>>(launch, {image, alphas, sums, faults});
        run_kernel<ForegroundMeansBlock<T>>(launch, {sums, n_sums(), alphas.extent(2), first});
        T* before = first;
        T* colors = second;
        LevelSize before_size{1, 1};
        const auto sizes = level_sizes(alphas.extent(0), alphas.extent(1));
        for (std::size_t i = 0; i < sizes.size(); ++i) {
            int left = level_iterations(params, sizes[i]);
            for (bool begun = false; left > 0 || !begun; begun = true) {
                const int iterations = MultilevelBlock<T>::max_iterations(sizes[i], left);
                left -= iterations;
                const bool last = i + 1 == sizes.size() && left == 0;
                run_kernel<MultilevelBlock<T>>(
                    launch,
                    {image, alphas, sizes[i], before, before_size, last ? nullptr : colors, foregrounds, backgrounds,
                     iterations, static_cast<T>(params.regularization), static_cast<T>(params.gradient_weight)});
                std::swap(before, colors);
                before_size = sizes[i];
            }
        }
    }

private:
    static int n_launches(const LevelSize& size, int iterations) {
        const int most = std::max(1, MultilevelBlock<T>::max_iterations(size, iterations));
        return (iterations + most - 1) / most;
    }
};

// ---------------------------------------------------------------------------------------------------------------------
// Blur fusion

// Window sums (4, 2, H, W): slice i < 3 of F alpha and B (1 - alpha) of channel i, slice 3 of alpha and 1 - alpha. Sums
// of numbers that are not negative, and no difference of sums: T suffices.
template <class T>
struct FusionPlanes {
    T* data;
    std::ptrdiff_t n_rows;
    std::ptrdiff_t n_cols;

    FASTSOFT_HD std::ptrdiff_t step() const { return n_rows * n_cols; }
    FASTSOFT_HD T* at(std::ptrdiff_t slice, std::ptrdiff_t row, std::ptrdiff_t col) const {
        return data + (2 * slice * n_rows + row) * n_cols + col;
    }
    FASTSOFT_HD void load(std::ptrdiff_t slice, std::ptrdiff_t row, std::ptrdiff_t col, T (&values)[2]) const {
        const T* const from = at(slice, row, col);
        values[0] = from[0];
        values[1] = from[step()];
    }
    FASTSOFT_HD void store(std::ptrdiff_t slice, std::ptrdiff_t row, std::ptrdiff_t col, const T (&values)[2]) const {
        T* const to = at(slice, row, col);
        to[0] = values[0];
        to[step()] = values[1];
    }
};

inline constexpr std::ptrdiff_t kFusionSlices = 4;

// A stage that sums windows of `size` pixels, which begin size / 2 before their own one, along columns (down) or rows.
template <class T, bool AlongRows>
struct FusionStage {
    using Sum = T;
    static constexpr int kQuantities = 2;
    static constexpr int kThreads = 128;
    static constexpr bool kAlongRows = AlongRows;
    static constexpr bool kMirrored = true;
    std::ptrdiff_t before;
    std::ptrdiff_t after;
    std::ptrdiff_t n_along;
    std::ptrdiff_t n_across;
    std::ptrdiff_t n_slices;
    FusionPlanes<T> out;

    FASTSOFT_HD FusionStage(std::ptrdiff_t size, std::ptrdiff_t n_rows, std::ptrdiff_t n_cols, T* out_)
        : before(size / 2),
          after(size - 1 - size / 2),
          n_along(AlongRows ? n_cols : n_rows),
          n_across(AlongRows ? n_rows : n_cols),
          n_slices(kFusionSlices),
          out{out_, n_rows, n_cols} {}

    FASTSOFT_HD T* scratch(std::ptrdiff_t slice, std::ptrdiff_t row, std::ptrdiff_t col) const {
        return out.at(slice, row, col);
    }
    FASTSOFT_HD std::ptrdiff_t scratch_step() const { return out.step(); }
    FASTSOFT_HD void store(std::ptrdiff_t slice, std::ptrdiff_t row, std::ptrdiff_t col, const T (&sums)[2]) const {
        out.store(slice, row, col, sums);
    }
};

// Colours and alpha, summed over columns.
template <class T>
struct FusionColumns : FusionStage<T, false> {
    View<const T, 3> foreground;
    View<const T, 3> background;
    View<const T, 2> alpha;
    ForegroundFaults* faults;

    FASTSOFT_HD FusionColumns(std::ptrdiff_t size, const View<const T, 3>& foreground_,
                              const View<const T, 3>& background_, const View<const T, 2>& alpha_,
                              ForegroundFaults* faults_, T* out_)
        : FusionStage<T, false>(size, alpha_.extent(0), alpha_.extent(1), out_),
          foreground(foreground_),
          background(background_),
          alpha(alpha_),
          faults(faults_) {}

    FASTSOFT_HD void load(std::ptrdiff_t slice, std::ptrdiff_t row, std::ptrdiff_t col, T (&values)[2]) const {
        const T a = alpha(row, col);
        if (slice == 3) {
            if (outside_unit(a) != 0) {
                faults->alpha = 1;
            }
            values[0] = a;
            values[1] = T(1) - a;
            return;
        }
        const T f = foreground(row, col, slice);
        const T b = background(row, col, slice);
        if ((outside_unit(f) | outside_unit(b)) != 0) {
            faults->image = 1;
        }
        values[0] = f * a;
        values[1] = b * (T(1) - a);
    }
};

// These summed over rows.
template <class T>
struct FusionRows : FusionStage<T, true> {
    FusionPlanes<T> columns;

    FASTSOFT_HD FusionRows(std::ptrdiff_t size, std::ptrdiff_t n_rows, std::ptrdiff_t n_cols, T* columns_, T* out_)
        : FusionStage<T, true>(size, n_rows, n_cols, out_), columns{columns_, n_rows, n_cols} {}

    FASTSOFT_HD void load(std::ptrdiff_t slice, std::ptrdiff_t row, std::ptrdiff_t col, T (&values)[2]) const {
        columns.load(slice, row, col, values);
    }
};

// The colours from the sums; a thread per pixel.
template <class T>
struct FusionStep {
    struct Arguments {
        View<const T, 3> image;
        View<const T, 2> alpha;
        FusionPlanes<T> sums;
        std::ptrdiff_t size;
        View<T, 3> foreground;
        View<T, 3> background;  // null data: not wanted
    };

    FASTSOFT_HD static std::ptrdiff_t size(const Arguments& a) { return a.sums.step(); }

    FASTSOFT_HD static void run(const Arguments& a, std::ptrdiff_t pixel) {
        const std::ptrdiff_t row = pixel / a.sums.n_cols;
        const std::ptrdiff_t col = pixel % a.sums.n_cols;
        const double scale = 1.0 / (static_cast<double>(a.size) * static_cast<double>(a.size));
        const T alpha = a.alpha(row, col);
        T weights[2];
        a.sums.load(3, row, col, weights);
        const double f_scale = fused_scale(static_cast<double>(weights[0]) * scale, scale);
        const double b_scale = fused_scale(static_cast<double>(weights[1]) * scale, scale);
        FASTSOFT_UNROLL(3)
        for (int i = 0; i < 3; ++i) {
            T sums[2];
            a.sums.load(i, row, col, sums);
            // Means of numbers in [0, 1], but for roundings.
            const T mean_f = static_cast<T>(unit_clamp(static_cast<double>(sums[0]) * f_scale));
            const T mean_b = static_cast<T>(unit_clamp(static_cast<double>(sums[1]) * b_scale));
            a.foreground(row, col, i) = fused_foreground(a.image(row, col, i), alpha, mean_f, mean_b);
            if (a.background.data() != nullptr) {
                a.background(row, col, i) = mean_b;
            }
        }
    }
};

template <class T>
using FusionBlock = EachBlock<FusionStep<T>>;

// The launches of blur fusion, of one layer.
template <class T>
struct FusionRun {
    View<const T, 3> image;
    View<const T, 2> alpha;
    View<T, 3> foreground;
    View<T, 3> background;
    BlurFusionParams params;
    ForegroundFaults* faults;

    // Numbers per pixel of the workspaces: colours between the blurs, and window sums twice.
    static constexpr std::ptrdiff_t kColorNumbers = 6;
    static constexpr std::ptrdiff_t kSumNumbers = 2 * kFusionSlices;

    template <class Launch>
    void run(T* colors, T* columns, T* sums, const Launch& launch) const {
        const std::ptrdiff_t n_rows = alpha.extent(0);
        const std::ptrdiff_t n_cols = alpha.extent(1);
        const auto planes = [&](std::ptrdiff_t first) {
            return View<T, 3>(colors + first * n_rows * n_cols, {n_rows, n_cols, 3}, {n_cols, 1, n_rows * n_cols});
        };
        const auto blur = [&](const View<const T, 3>& f, const View<const T, 3>& b, std::ptrdiff_t size,
                              const View<T, 3>& to_f, const View<T, 3>& to_b) {
            run_kernel<LineSumsBlock<FusionColumns<T>>>(launch, {size, f, b, alpha, faults, columns});
            run_kernel<LineSumsBlock<FusionRows<T>>>(launch, {size, n_rows, n_cols, columns, sums});
            run_kernel<FusionBlock<T>>(launch, {image, alpha, {sums, n_rows, n_cols}, size, to_f, to_b});
        };
        blur(image, image, params.first_size, planes(0), planes(3));
        blur(planes(0), planes(3), params.second_size, foreground, background);
    }
};

}  // namespace fastsoft::detail
