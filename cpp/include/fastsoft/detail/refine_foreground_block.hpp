// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "fastsoft/core/block.hpp"
#include "fastsoft/core/view.hpp"
#include "fastsoft/detail/checkerboard_tile.hpp"
#include "fastsoft/detail/each_block.hpp"
#include "fastsoft/detail/refine_foreground_checks.hpp"
#include "fastsoft/detail/refine_foreground_pixel.hpp"

// Refinement of a foreground as two kernels: what a level begins with, a thread per pixel, and iterations of a level in
// tiles in shared memory.
//
// Least bytes per pixel of the full level in float32: 16 to read and 12 to write once, whatever the number of
// iterations. Tiles do 4 iterations (8 of Jacobi's) at a time with a margin of 8 pixels, which makes them read 28 bytes
// for each of about twice the pixels and write 12: 340 for the 20 iterations of the full level, and as much again for
// all others.
namespace fastsoft::detail {

// A level: alpha, and alpha times (alpha F), (4, rows, cols), from full resolution; and its first colours (3, rows,
// cols), from the level before.
template <class T>
struct RefineLevelStep {
    struct Arguments {
        View<const T, 3> foreground;
        View<const T, 2> alpha;
        View<const T, 3> before;
        std::ptrdiff_t n_rows;
        std::ptrdiff_t n_cols;
        T* level;
        T* colors;
    };

    FASTSOFT_HD static std::ptrdiff_t size(const Arguments& a) { return a.n_rows * a.n_cols; }

    FASTSOFT_HD static void run(const Arguments& a, std::ptrdiff_t pixel) {
        const std::ptrdiff_t plane = a.n_rows * a.n_cols;
        const std::ptrdiff_t row = pixel / a.n_cols;
        const std::ptrdiff_t col = pixel % a.n_cols;
        const LinearTap row_tap = linear_tap(row, a.n_rows, a.alpha.extent(0));
        const LinearTap col_tap = linear_tap(col, a.n_cols, a.alpha.extent(1));
        const LinearTap before_row = linear_tap(row, a.n_rows, a.before.extent(0));
        const LinearTap before_col = linear_tap(col, a.n_cols, a.before.extent(1));
        const T alpha =
            interpolated<T>(row_tap, col_tap, [&](std::ptrdiff_t r, std::ptrdiff_t c) { return a.alpha(r, c); });
        a.level[pixel] = alpha;
        FASTSOFT_UNROLL(3)
        for (int i = 0; i < 3; ++i) {
            const T product = interpolated<T>(row_tap, col_tap, [&](std::ptrdiff_t r, std::ptrdiff_t c) {
                return a.alpha(r, c) * a.foreground(r, c, i);
            });
            a.level[(1 + i) * plane + pixel] = alpha * product;
            a.colors[i * plane + pixel] = interpolated<T>(
                before_row, before_col, [&](std::ptrdiff_t r, std::ptrdiff_t c) { return a.before(r, c, i); });
        }
    }
};

template <class T>
using RefineLevelBlock = EachBlock<RefineLevelStep<T>>;

// Iterations of a level in tiles. Colours and q are in shared memory, what only the pixel itself needs in registers.
template <class T, bool Jacobi>
struct RefineBlock {
    static constexpr int kThreads = 768;
    static constexpr int kRows = sizeof(T) == 4 ? 48 : 32;
    static constexpr int kCols = sizeof(T) == 4 ? 64 : 48;
    static constexpr int kSize = kRows * kCols;
    static constexpr int kPixels = kSize / 2 / kThreads;  // of a thread, of either colour of the chequerboard
    static constexpr int kMargin = 8;
    // Iterations of a launch where tiles have margins: an iteration of red-black order takes two pixels of them.
    static constexpr int kIterations = Jacobi ? kMargin : kMargin / 2;
    static_assert(kPixels * 2 * kThreads == kSize);

    struct Arguments {
        std::ptrdiff_t n_rows;
        std::ptrdiff_t n_cols;
        const T* level;   // (4, rows, cols)
        const T* before;  // colours (3, rows, cols)
        T* after;         // the same, or null: to out, cut to [0, 1]
        View<T, 3> out;
        int iterations;
        T kappa;
    };

    struct Shared {
        T q[kSize];
        T colors[3][kSize];
    };

    // Jacobi's updates are kept until all pixels are done.
    struct Updates {
        T colors[2][kPixels][3];
    };

    struct Registers {
        T data[2][kPixels][3];
        T scale[2][kPixels];
        std::conditional_t<Jacobi, Updates, Nothing> updates;
    };

    FASTSOFT_HD static std::ptrdiff_t max_iterations(std::ptrdiff_t n_rows, std::ptrdiff_t n_cols,
                                                     std::ptrdiff_t wanted) {
        // A bound on the time of a launch, too, so that it can be interrupted.
        const std::ptrdiff_t most = n_rows <= kRows && n_cols <= kCols ? 1024 : kIterations;
        return wanted < most ? wanted : most;
    }

    FASTSOFT_HD static std::ptrdiff_t n_blocks(const Arguments& a) {
        return n_tiles(a.n_rows, kRows, kMargin) * n_tiles(a.n_cols, kCols, kMargin);
    }
    FASTSOFT_HD static int n_phases(const Arguments& a) { return 3 + 2 * a.iterations; }

    FASTSOFT_HD static void phase(int phase, const Arguments& a, Shared& shared, Registers& registers,
                                  std::ptrdiff_t block, int thread) {
        const std::ptrdiff_t across = n_tiles(a.n_cols, kCols, kMargin);
        const TileSpan rows = tile_span(block / across, a.n_rows, kRows, kMargin);
        const TileSpan cols = tile_span(block % across, a.n_cols, kCols, kMargin);
        if (phase == 0) {
            load(a, shared, rows, cols, thread);
        } else if (phase == 1) {
            prepare<0>(a, shared, registers, rows, cols, thread);
            prepare<1>(a, shared, registers, rows, cols, thread);
        } else if (phase == n_phases(a) - 1) {
            store(a, shared, rows, cols, thread);
        } else if constexpr (Jacobi) {
            if ((phase & 1) == 0) {
                update<0>(shared, registers, rows, cols, thread);
                update<1>(shared, registers, rows, cols, thread);
            } else {
                assign<0>(shared, registers, rows, cols, thread);
                assign<1>(shared, registers, rows, cols, thread);
            }
        } else if ((phase & 1) == 0) {
            update<0>(shared, registers, rows, cols, thread);
        } else {
            update<1>(shared, registers, rows, cols, thread);
        }
    }

private:
    // Places of a pixel and its neighbours, mirrored at the border; so they are at cut edges, where nothing is stored.
    struct Places {
        int here;
        int left;
        int right;
        int up;
        int down;
    };

    FASTSOFT_HD static Places places(const TilePixel& at, const TileSpan& rows, const TileSpan& cols) {
        const int n_rows = rows.size();
        const int n_cols = cols.size();
        const int here = tile_place<kCols>(at.row, at.col);
        const int left = at.col > 0 ? at.col - 1 : (n_cols > 1 ? 1 : 0);
        const int right = at.col + 1 < n_cols ? at.col + 1 : (n_cols > 1 ? n_cols - 2 : 0);
        const int up = at.row > 0 ? at.row - 1 : (n_rows > 1 ? 1 : 0);
        const int down = at.row + 1 < n_rows ? at.row + 1 : (n_rows > 1 ? n_rows - 2 : 0);
        return {here, tile_place<kCols>(at.row, left), tile_place<kCols>(at.row, right), here + (up - at.row) * kCols,
                here + (down - at.row) * kCols};
    }

    // body(j, pixel) for the pixels of a colour that a thread has.
    template <int Color, class Body>
    FASTSOFT_HD static void each_pixel(const TileSpan& rows, const TileSpan& cols, int thread, const Body& body) {
        FASTSOFT_UNROLL(4)
        for (int j = 0; j < kPixels; ++j) {
            const TilePixel at = tile_pixel<kCols>(j * kThreads + thread, Color, (rows.first ^ cols.first) & 1);
            if (at.row < rows.size() && at.col < cols.size()) {
                body(j, at);
            }
        }
    }

    FASTSOFT_HD static void load(const Arguments& a, Shared& shared, const TileSpan& rows, const TileSpan& cols,
                                 int thread) {
        const std::ptrdiff_t plane = a.n_rows * a.n_cols;
        for (int i = thread; i < kSize; i += kThreads) {
            const int row = i / kCols;
            const int col = i % kCols;
            if (row < rows.size() && col < cols.size()) {
                const std::ptrdiff_t pixel = (rows.first + row) * a.n_cols + cols.first + col;
                const int place = tile_place<kCols>(row, col);
                shared.q[place] = transparency(a.level[pixel], a.kappa);
                FASTSOFT_UNROLL(3)
                for (int k = 0; k < 3; ++k) {
                    shared.colors[k][place] = a.before[k * plane + pixel];
                }
            }
        }
    }

    template <int Color>
    FASTSOFT_HD static void prepare(const Arguments& a, const Shared& shared, Registers& registers,
                                    const TileSpan& rows, const TileSpan& cols, int thread) {
        const std::ptrdiff_t plane = a.n_rows * a.n_cols;
        each_pixel<Color>(rows, cols, thread, [&](int j, const TilePixel& at) {
            const std::ptrdiff_t pixel = (rows.first + at.row) * a.n_cols + cols.first + at.col;
            const Places p = places(at, rows, cols);
            registers.scale[Color][j] = refine_scale(a.level[pixel], shared.q[p.here], shared.q[p.left],
                                                     shared.q[p.right], shared.q[p.up], shared.q[p.down]);
            FASTSOFT_UNROLL(3)
            for (int i = 0; i < 3; ++i) {
                registers.data[Color][j][i] = a.level[(1 + i) * plane + pixel];
            }
        });
    }

    // Pixels of one colour. In red-black order they read those of the other one, or themselves where an axis has one
    // pixel.
    template <int Color>
    FASTSOFT_HD static void update(Shared& shared, Registers& registers, const TileSpan& rows, const TileSpan& cols,
                                   int thread) {
        each_pixel<Color>(rows, cols, thread, [&](int j, const TilePixel& at) {
            const Places p = places(at, rows, cols);
            FASTSOFT_UNROLL(3)
            for (int i = 0; i < 3; ++i) {
                const T(&f)[kSize] = shared.colors[i];
                const T color = refined(registers.data[Color][j][i], registers.scale[Color][j], shared.q[p.here],
                                        shared.q[p.left], shared.q[p.right], shared.q[p.up], shared.q[p.down],
                                        f[p.left], f[p.right], f[p.up], f[p.down]);
                if constexpr (Jacobi) {
                    registers.updates.colors[Color][j][i] = color;
                } else {
                    shared.colors[i][p.here] = color;
                }
            }
        });
    }

    template <int Color>
    FASTSOFT_HD static void assign(Shared& shared, const Registers& registers, const TileSpan& rows,
                                   const TileSpan& cols, int thread) {
        each_pixel<Color>(rows, cols, thread, [&](int j, const TilePixel& at) {
            FASTSOFT_UNROLL(3)
            for (int i = 0; i < 3; ++i) {
                shared.colors[i][tile_place<kCols>(at.row, at.col)] = registers.updates.colors[Color][j][i];
            }
        });
    }

    FASTSOFT_HD static void store(const Arguments& a, const Shared& shared, const TileSpan& rows, const TileSpan& cols,
                                  int thread) {
        const std::ptrdiff_t plane = a.n_rows * a.n_cols;
        for (int i = thread; i < kSize; i += kThreads) {
            const std::ptrdiff_t row = rows.first + i / kCols;
            const std::ptrdiff_t col = cols.first + i % kCols;
            if (row < rows.begin || row >= rows.end || col < cols.begin || col >= cols.end) {
                continue;
            }
            const int place = tile_place<kCols>(i / kCols, i % kCols);
            FASTSOFT_UNROLL(3)
            for (int k = 0; k < 3; ++k) {
                const T color = shared.colors[k][place];
                if (a.after != nullptr) {
                    a.after[k * plane + row * a.n_cols + col] = color;
                } else {
                    a.out(row, col, k) = color < T(0) ? T(0) : (color > T(1) ? T(1) : color);
                }
            }
        }
    }
};

// The kernels in their order.
template <class T, bool Jacobi>
struct RefineRun {
    View<const T, 3> foreground;
    View<const T, 2> alpha;
    View<T, 3> out;
    RefineForegroundParams params;

    // Numbers per pixel of the workspaces: of the level, and of each of two for colours.
    static constexpr std::ptrdiff_t kLevelNumbers = 4;
    static constexpr std::ptrdiff_t kColorNumbers = 3;

    // report(share of the work enqueued) goes before launches, after at least one iteration of full resolution each.
    template <class Launch, class Report>
    void run(T* level, T* first, T* second, const Launch& launch, const Report& report) const {
        using Block = RefineBlock<T, Jacobi>;
        View<const T, 3> source = foreground;
        T* before = first;
        T* after = second;
        double done = 0.0;
        for (int s = params.n_scales - 1; s >= 0; --s) {
            const std::ptrdiff_t n_rows = refine_extent(alpha.extent(0), s);
            const std::ptrdiff_t n_cols = refine_extent(alpha.extent(1), s);
            run_kernel<RefineLevelBlock<T>>(launch, {foreground, alpha, source, n_rows, n_cols, level, before});
            const std::ptrdiff_t iterations = static_cast<std::ptrdiff_t>(params.iterations) << s;
            std::ptrdiff_t reported = -1;
            for (std::ptrdiff_t i = 0; i < iterations;) {
                if (i >> s > reported) {
                    reported = i >> s;
                    report(done + refine_share(params, s) * static_cast<double>(i) / static_cast<double>(iterations));
                }
                const std::ptrdiff_t count = Block::max_iterations(n_rows, n_cols, iterations - i);
                i += count;
                const bool last = s == 0 && i == iterations;
                run_kernel<Block>(launch, {n_rows, n_cols, level, before, last ? nullptr : after, out,
                                           static_cast<int>(count), static_cast<T>(params.kappa)});
                std::swap(before, after);
            }
            source = View<const T, 3>(before, {n_rows, n_cols, 3}, {n_cols, 1, n_rows * n_cols});
            std::swap(before, after);
            done += refine_share(params, s);
        }
    }
};

}  // namespace fastsoft::detail
