// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

#include "fastsoft/core/block.hpp"
#include "fastsoft/core/view.hpp"
#include "fastsoft/detail/matting_errors_pixel.hpp"
#include "fastsoft/detail/tree.hpp"

// The gradient error as two kernels: tiles, one image after the other, with a sum for each, and the sum of the sums.
//
// Least bytes per pixel in float32: 9, two alphas and the region. Tiles of 32x32 pixels read their margin of 4 as well,
// 1.6 times the alphas, from the level-2 cache for the most part.
namespace fastsoft::detail {

template <class T>
struct GradientErrorBlock {
    static constexpr int kThreads = 256;
    static constexpr int kTile = 32;
    static constexpr int kMargin = GradientTaps::kMaxHalfSize;
    static constexpr int kWide = kTile + 2 * kMargin;
    static constexpr int kPixels = kTile * kTile / kThreads;  // of a thread

    struct Arguments {
        View<const T, 2> alpha;
        View<const T, 2> truth;
        View<const std::uint8_t, 2> region;  // null data: everywhere
        GradientTaps taps;
        double alpha_scale;
        double truth_scale;
        double* partial;
    };

    struct Shared {
        union {
            T pixels[kWide][kWide];  // with a margin that repeats the picture's edge
            double sums[kThreads];   // in the end
        };
        // Sums along columns with the smooth taps and with those of the slope.
        double smooth[kTile][kWide];
        double slope[kTile][kWide];
    };

    struct Registers {
        double magnitude[kPixels];  // of alpha
    };

    FASTSOFT_HD static std::ptrdiff_t tiles_across(const Arguments& a) { return divide_up(a.alpha.extent(1), kTile); }
    FASTSOFT_HD static std::ptrdiff_t n_blocks(const Arguments& a) {
        return divide_up(a.alpha.extent(0), kTile) * tiles_across(a);
    }
    // Three of either image, then halvings, then one to store the sum.
    FASTSOFT_HD static int n_phases(const Arguments&) { return 6 + n_tree_phases<kThreads>() + 1; }

    FASTSOFT_HD static void phase(int phase, const Arguments& a, Shared& shared, Registers& registers,
                                  std::ptrdiff_t block, int thread) {
        const std::ptrdiff_t row = block / tiles_across(a) * kTile;
        const std::ptrdiff_t col = block % tiles_across(a) * kTile;
        double sum = 0.0;
        switch (phase) {
            case 0:
                load(a.alpha, shared, row, col, thread);
                break;
            case 1:
            case 4:
                filter_columns(a, shared, thread);
                break;
            case 2:
                FASTSOFT_UNROLL(4)
                for (int j = 0; j < kPixels; ++j) {
                    registers.magnitude[j] = a.alpha_scale * magnitude(a, shared, j * kThreads + thread);
                }
                break;
            case 3:
                load(a.truth, shared, row, col, thread);
                break;
            case 5:
                // The tile's pixels, in whose place the sums are, have been read before the last barrier.
                FASTSOFT_UNROLL(4)
                for (int j = 0; j < kPixels; ++j) {
                    const int i = j * kThreads + thread;
                    const std::ptrdiff_t r = row + i / kTile;
                    const std::ptrdiff_t c = col + i % kTile;
                    if (r < a.alpha.extent(0) && c < a.alpha.extent(1) &&
                        (a.region.data() == nullptr || a.region(r, c) != 0)) {
                        const double difference = registers.magnitude[j] - a.truth_scale * magnitude(a, shared, i);
                        sum += difference * difference;
                    }
                }
                shared.sums[thread] = sum;
                break;
            default:
                if (phase < 6 + n_tree_phases<kThreads>()) {
                    tree_phase(phase - 6, shared.sums, thread);
                } else if (thread == 0) {
                    a.partial[block] = shared.sums[0];
                }
        }
    }

private:
    FASTSOFT_HD static void load(const View<const T, 2>& image, Shared& shared, std::ptrdiff_t row, std::ptrdiff_t col,
                                 int thread) {
        for (int i = thread; i < kWide * kWide; i += kThreads) {
            shared.pixels[i / kWide][i % kWide] = image(clamp_index(row + i / kWide - kMargin, image.extent(0)),
                                                        clamp_index(col + i % kWide - kMargin, image.extent(1)));
        }
    }

    FASTSOFT_HD static void filter_columns(const Arguments& a, Shared& shared, int thread) {
        const int half = a.taps.half_size;
        for (int i = thread; i < kTile * kWide; i += kThreads) {
            const int row = i / kWide;
            const int col = i % kWide;
            double smooth = 0.0;
            double slope = 0.0;
            for (int k = -half; k <= half; ++k) {
                const auto value = static_cast<double>(shared.pixels[row + kMargin + k][col]);
                smooth += a.taps.smooth[k + half] * value;
                slope += a.taps.slope[k + half] * value;
            }
            shared.smooth[row][col] = smooth;
            shared.slope[row][col] = slope;
        }
    }

    FASTSOFT_HD static double magnitude(const Arguments& a, const Shared& shared, int i) {
        const int row = i / kTile;
        const int col = i % kTile + kMargin;
        const int half = a.taps.half_size;
        double gx = 0.0;
        double gy = 0.0;
        for (int k = -half; k <= half; ++k) {
            gx += a.taps.slope[k + half] * shared.smooth[row][col + k];
            gy += a.taps.smooth[k + half] * shared.slope[row][col + k];
        }
        return std::sqrt(gx * gx + gy * gy);
    }
};

// One block: the sum of all numbers.
using GradientTotalBlock = TreeTotalBlock<double>;

}  // namespace fastsoft::detail
