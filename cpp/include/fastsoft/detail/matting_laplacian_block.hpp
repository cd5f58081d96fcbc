// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

#include "fastsoft/core/block.hpp"
#include "fastsoft/core/view.hpp"
#include "fastsoft/detail/each_block.hpp"
#include "fastsoft/detail/grid_neighbours.hpp"
#include "fastsoft/detail/matting_laplacian_pixel.hpp"

// The matting matrix in three kernels: the stored half of every row, (kMattingPlanes, H, W); the diagonal of the
// Laplacian from it; CSR rows from it. Each output gathers, nothing is added atomically.
namespace fastsoft::detail {

// Entries of the half rows, times `scale` (1 / n for the affinity, -1 / n for the Laplacian, n the pixels of a window).
// Phases: colours of the tile and 2 Radius around it; window statistics; entries.
template <int Radius, class T>
struct MattingEntriesBlock {
    static constexpr int kReach = 2 * Radius;
    static constexpr int kSide = 2 * Radius + 1;
    static constexpr int kRows = 8;
    // Narrow for large windows, whose statistics around the tile must fit into 48 KB.
    static constexpr int kCols = Radius == 1 ? 32 : 16;
    static constexpr int kThreads = kRows * kCols;
    static constexpr int kWindowRows = kRows + 2 * Radius;
    static constexpr int kWindowCols = kCols + 2 * Radius;
    static constexpr int kColourRows = kRows + 2 * kReach;
    static constexpr int kColourCols = kCols + 2 * kReach;

    struct Arguments {
        View<const T, 3> image;
        double epsilon;
        double scale;
        T* planes;
    };

    struct Shared {
        double colour[3][kColourRows][kColourCols];
        double mean[3][kWindowRows][kWindowCols];
        double lower[3][kWindowRows][kWindowCols];
        double inverse_pivot[3][kWindowRows][kWindowCols];
        double inside[kWindowRows][kWindowCols];
    };

    using Registers = Nothing;

    FASTSOFT_HD static std::ptrdiff_t n_blocks(const Arguments& a) {
        return divide_up(a.image.extent(0), kRows) * divide_up(a.image.extent(1), kCols);
    }

    FASTSOFT_HD static int n_phases(const Arguments&) { return 3; }

    FASTSOFT_HD static void phase(int phase, const Arguments& a, Shared& shared, Registers&, std::ptrdiff_t block,
                                  int thread) {
        const std::ptrdiff_t across = divide_up(a.image.extent(1), kCols);
        const std::ptrdiff_t row0 = block / across * kRows;
        const std::ptrdiff_t col0 = block % across * kCols;
        switch (phase) {
            case 0:
                read_colours(a, shared, row0, col0, thread);
                break;
            case 1:
                compute_windows(a, shared, row0, col0, thread);
                break;
            default:
                compute_entries(a, shared, row0, col0, thread);
                break;
        }
    }

private:
    // Colours outside the image meet only windows of weight 0: any finite number does.
    FASTSOFT_HD static void read_colours(const Arguments& a, Shared& shared, std::ptrdiff_t row0, std::ptrdiff_t col0,
                                         int thread) {
        for (int i = thread; i < kColourRows * kColourCols; i += kThreads) {
            const int row = i / kColourCols;
            const int col = i % kColourCols;
            const std::ptrdiff_t r = row0 + row - kReach;
            const std::ptrdiff_t c = col0 + col - kReach;
            const bool inside = r >= 0 && r < a.image.extent(0) && c >= 0 && c < a.image.extent(1);
            FASTSOFT_UNROLL(3)
            for (int k = 0; k < 3; ++k) {
                shared.colour[k][row][col] = inside ? static_cast<double>(a.image(r, c, k)) : 0.0;
            }
        }
    }

    FASTSOFT_HD static void compute_windows(const Arguments& a, Shared& shared, std::ptrdiff_t row0,
                                            std::ptrdiff_t col0, int thread) {
        for (int i = thread; i < kWindowRows * kWindowCols; i += kThreads) {
            const int row = i / kWindowCols;
            const int col = i % kWindowCols;
            const std::ptrdiff_t r = row0 + row - Radius;
            const std::ptrdiff_t c = col0 + col - Radius;
            MattingWindow<double> window{};
            if (r >= Radius && r + Radius < a.image.extent(0) && c >= Radius && c + Radius < a.image.extent(1)) {
                double colour[kSide * kSide][3];
                FASTSOFT_UNROLL(64)
                for (int p = 0; p < kSide * kSide; ++p) {
                    FASTSOFT_UNROLL(3)
                    for (int k = 0; k < 3; ++k) {
                        colour[p][k] = shared.colour[k][row + p / kSide][col + p % kSide];
                    }
                }
                matting_window<Radius>(colour, a.epsilon, window);
            }
            shared.inside[row][col] = window.inside;
            FASTSOFT_UNROLL(3)
            for (int k = 0; k < 3; ++k) {
                shared.mean[k][row][col] = window.mean[k];
                shared.lower[k][row][col] = window.lower[k];
                shared.inverse_pivot[k][row][col] = window.inverse_pivot[k];
            }
        }
    }

    FASTSOFT_HD static void compute_entries(const Arguments& a, const Shared& shared, std::ptrdiff_t row0,
                                            std::ptrdiff_t col0, int thread) {
        const int row = thread / kCols;
        const int col = thread % kCols;
        const std::ptrdiff_t r = row0 + row;
        const std::ptrdiff_t c = col0 + col;
        if (r >= a.image.extent(0) || c >= a.image.extent(1)) {
            return;
        }
        const std::ptrdiff_t n_pixels = a.image.extent(0) * a.image.extent(1);
        T* const out = a.planes + r * a.image.extent(1) + c;
        double own[3];
        FASTSOFT_UNROLL(3)
        for (int k = 0; k < 3; ++k) {
            own[k] = shared.colour[k][row + kReach][col + kReach];
        }
        matting_pixel<Radius>(
            own,
            [&](int down, int right, MattingWindow<double>& window) {
                const int i = row + Radius + down;
                const int j = col + Radius + right;
                window.inside = shared.inside[i][j];
                FASTSOFT_UNROLL(3)
                for (int k = 0; k < 3; ++k) {
                    window.mean[k] = shared.mean[k][i][j];
                    window.lower[k] = shared.lower[k][i][j];
                    window.inverse_pivot[k] = shared.inverse_pivot[k][i][j];
                }
            },
            [&](int down, int right, double (&colour)[3]) {
                FASTSOFT_UNROLL(3)
                for (int k = 0; k < 3; ++k) {
                    colour[k] = shared.colour[k][row + kReach + down][col + kReach + right];
                }
            },
            // Adding 0 turns the -0 of pairs outside the image into 0.
            [&](int plane, double value) { out[plane * n_pixels] = static_cast<T>(value * a.scale + 0.0); });
    }
};

// Where entry (p, p + (down, right)) of the half rows lies for either sign of the offset, p a pixel of an image of
// n_cols columns and n_pixels pixels: earlier neighbours keep it for p.
template <int Radius>
FASTSOFT_HD std::ptrdiff_t matting_entry(std::ptrdiff_t pixel, int down, int right, std::ptrdiff_t n_cols,
                                         std::ptrdiff_t n_pixels) {
    if (down < 0 || (down == 0 && right < 0)) {
        return matting_plane<Radius>(-down, -right) * n_pixels + pixel + down * n_cols + right;
    }
    return matting_plane<Radius>(down, right) * n_pixels + pixel;
}

// Diagonal of the Laplacian: minus the sum of the row's other entries, in double, of the numbers as stored. A thread
// per pixel.
template <int Radius, class T>
struct MattingDiagonalStep {
    struct Arguments {
        std::ptrdiff_t n_rows;
        std::ptrdiff_t n_cols;
        T* planes;
    };

    FASTSOFT_HD static std::ptrdiff_t size(const Arguments& a) { return a.n_rows * a.n_cols; }

    FASTSOFT_HD static void run(const Arguments& a, std::ptrdiff_t pixel) {
        constexpr int kReach = 2 * Radius;
        const std::ptrdiff_t n_pixels = a.n_rows * a.n_cols;
        const std::ptrdiff_t row = pixel / a.n_cols;
        const std::ptrdiff_t col = pixel % a.n_cols;
        double sum = 0.0;
        for (int down = 0; down <= kReach; ++down) {
            for (int right = down == 0 ? 1 : -kReach; right <= kReach; ++right) {
                const double after =
                    static_cast<double>(a.planes[matting_entry<Radius>(pixel, down, right, a.n_cols, n_pixels)]);
                double before = 0.0;
                if (row - down >= 0 && col - right >= 0 && col - right < a.n_cols) {
                    before =
                        static_cast<double>(a.planes[matting_entry<Radius>(pixel, -down, -right, a.n_cols, n_pixels)]);
                }
                sum += after + before;
            }
        }
        a.planes[pixel] = static_cast<T>(0.0 - sum);
    }
};

template <int Radius, class T>
using MattingDiagonalBlock = EachBlock<MattingDiagonalStep<Radius, T>>;

// CSR rows. A block writes those of kPixels pixels, so that neighbouring threads write neighbouring entries of a row.
template <int Radius, class T>
struct MattingCsrBlock {
    static constexpr int kThreads = 256;
    static constexpr int kPixels = 32;
    static constexpr int kReach = 2 * Radius;
    static constexpr int kSpan = 4 * Radius + 1;
    static_assert(kPixels <= kThreads);

    struct Arguments {
        std::ptrdiff_t n_rows;
        std::ptrdiff_t n_cols;
        const T* planes;
        std::int64_t* indptr;
        std::int32_t* indices;
        T* data;
    };

    using Shared = Nothing;
    using Registers = Nothing;

    FASTSOFT_HD static std::ptrdiff_t n_blocks(const Arguments& a) { return divide_up(a.n_rows * a.n_cols, kPixels); }
    FASTSOFT_HD static int n_phases(const Arguments&) { return 1; }

    FASTSOFT_HD static void phase(int, const Arguments& a, Shared&, Registers&, std::ptrdiff_t block, int thread) {
        const std::ptrdiff_t n_pixels = a.n_rows * a.n_cols;
        const std::ptrdiff_t first = block * kPixels;
        if (thread < kPixels && first + thread < n_pixels) {
            const std::ptrdiff_t pixel = first + thread;
            a.indptr[pixel] = grid_row_begin(pixel / a.n_cols, pixel % a.n_cols, a.n_rows, a.n_cols, kReach);
            if (pixel + 1 == n_pixels) {
                a.indptr[n_pixels] = grid_row_begin(a.n_rows, 0, a.n_rows, a.n_cols, kReach);
            }
        }
        for (int i = thread; i < kPixels * kSpan * kSpan; i += kThreads) {
            const std::ptrdiff_t pixel = first + i / (kSpan * kSpan);
            if (pixel >= n_pixels) {
                break;
            }
            const int down = i / kSpan % kSpan - kReach;
            const int right = i % kSpan - kReach;
            const std::ptrdiff_t row = pixel / a.n_cols;
            const std::ptrdiff_t col = pixel % a.n_cols;
            if (row + down < 0 || row + down >= a.n_rows || col + right < 0 || col + right >= a.n_cols) {
                continue;
            }
            const std::ptrdiff_t rank =
                (row + down - first_neighbour(row, kReach)) * n_neighbours(col, a.n_cols, kReach) + col + right -
                first_neighbour(col, kReach);
            const std::int64_t entry = grid_row_begin(row, col, a.n_rows, a.n_cols, kReach) + rank;
            a.indices[entry] = static_cast<std::int32_t>(pixel + down * a.n_cols + right);
            a.data[entry] = a.planes[matting_entry<Radius>(pixel, down, right, a.n_cols, n_pixels)];
        }
    }
};

}  // namespace fastsoft::detail
