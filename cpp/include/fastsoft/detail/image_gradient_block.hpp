// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <cstddef>

#include "fastsoft/core/block.hpp"
#include "fastsoft/core/view.hpp"
#include "fastsoft/detail/image_gradient_pixel.hpp"

namespace fastsoft::detail {

// A tile of the gradient. Three phases per channel: the tile and the six pixels around it are read, filtered over rows
// (the prefilter towards gx, the derivative towards gy), then over columns. Least bytes per pixel: its channels read
// once, the magnitude written once; the margin of the tiles is read again, from cache.
template <class T>
struct ImageGradientBlock {
    static constexpr int kThreads = 256;
    static constexpr int kRows = 32;
    static constexpr int kCols = 32;
    static constexpr int kPixelsPerThread = kRows * kCols / kThreads;
    static constexpr int kReadRows = kRows + 2 * kGradientRadius;
    static constexpr int kReadCols = kCols + 2 * kGradientRadius;
    static_assert(kPixelsPerThread * kThreads == kRows * kCols);

    struct Arguments {
        View<const T, 3> image;
        T* out;
    };

    struct Shared {
        T image[kReadRows][kReadCols];
        T smooth[kRows][kReadCols];
        T slope[kRows][kReadCols];
    };

    struct Registers {
        T sum[kPixelsPerThread];  // of squares over the channels so far
    };

    FASTSOFT_HD static std::ptrdiff_t n_blocks(const Arguments& a) {
        return divide_up(a.image.extent(0), kRows) * divide_up(a.image.extent(1), kCols);
    }

    FASTSOFT_HD static int n_phases(const Arguments& a) { return 3 * static_cast<int>(a.image.extent(2)); }

    FASTSOFT_HD static void phase(int phase, const Arguments& a, Shared& shared, Registers& registers,
                                  std::ptrdiff_t block, int thread) {
        const std::ptrdiff_t across = divide_up(a.image.extent(1), kCols);
        const std::ptrdiff_t row0 = block / across * kRows;
        const std::ptrdiff_t col0 = block % across * kCols;
        const int channel = phase / 3;
        switch (phase % 3) {
            case 0:
                read(a, shared, row0, col0, channel, thread);
                break;
            case 1:
                filter_rows(shared, thread);
                break;
            default:
                filter_cols(a, shared, registers, row0, col0, channel, thread);
                break;
        }
    }

private:
    // Pixels outside repeat the nearest edge pixel.
    FASTSOFT_HD static void read(const Arguments& a, Shared& shared, std::ptrdiff_t row0, std::ptrdiff_t col0,
                                 int channel, int thread) {
        for (int i = thread; i < kReadRows * kReadCols; i += kThreads) {
            const int row = i / kReadCols;
            const int col = i % kReadCols;
            shared.image[row][col] = a.image(clamp_index(row0 + row - kGradientRadius, a.image.extent(0)),
                                             clamp_index(col0 + col - kGradientRadius, a.image.extent(1)), channel);
        }
    }

    FASTSOFT_HD static void filter_rows(Shared& shared, int thread) {
        for (int i = thread; i < kRows * kReadCols; i += kThreads) {
            const int row = i / kReadCols;
            const int col = i % kReadCols;
            const auto at = [&](int k) { return shared.image[row + kGradientRadius + k][col]; };
            shared.smooth[row][col] = gradient_prefilter<T>(at);
            shared.slope[row][col] = gradient_derivative<T>(at);
        }
    }

    FASTSOFT_HD static void filter_cols(const Arguments& a, const Shared& shared, Registers& registers,
                                        std::ptrdiff_t row0, std::ptrdiff_t col0, int channel, int thread) {
        FASTSOFT_UNROLL(8)
        for (int j = 0; j < kPixelsPerThread; ++j) {
            const int row = (thread + j * kThreads) / kCols;
            const int col = (thread + j * kThreads) % kCols;
            const T gx = gradient_derivative<T>([&](int k) { return shared.smooth[row][col + kGradientRadius + k]; });
            const T gy = gradient_prefilter<T>([&](int k) { return shared.slope[row][col + kGradientRadius + k]; });
            const T square = gx * gx + gy * gy;
            registers.sum[j] = channel == 0 ? square : registers.sum[j] + square;
            const std::ptrdiff_t r = row0 + row;
            const std::ptrdiff_t c = col0 + col;
            if (channel + 1 == a.image.extent(2) && r < a.image.extent(0) && c < a.image.extent(1)) {
                a.out[r * a.image.extent(1) + c] = std::sqrt(registers.sum[j]);
            }
        }
    }
};

}  // namespace fastsoft::detail
