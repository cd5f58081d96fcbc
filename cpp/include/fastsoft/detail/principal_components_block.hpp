// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

#include "fastsoft/core/block.hpp"
#include "fastsoft/core/view.hpp"

// Principal components: means, products of centred channels, scores and their ranges. All sums are in double, over
// chunks of pixels that depend on the sizes alone, and then over the chunks in order (sums_block.hpp).
namespace fastsoft::detail {

// Pixels as they are read: cut to the limits.
template <class T>
struct PcaPixels {
    View<const T, 3> values;
    T limit;
    bool flat;  // rows follow each other at the step of pixels

    PcaPixels(const View<const T, 3>& view, T limit_)
        : values(view), limit(limit_), flat(view.extent(0) == 1 || view.stride(0) == view.extent(1) * view.stride(1)) {}

    FASTSOFT_HD std::ptrdiff_t n() const { return values.extent(0) * values.extent(1); }
    FASTSOFT_HD std::ptrdiff_t n_channels() const { return values.extent(2); }
    // As it is stored.
    FASTSOFT_HD T raw(std::ptrdiff_t pixel, std::ptrdiff_t channel) const {
        if (flat) {
            return values.data()[pixel * values.stride(1) + channel * values.stride(2)];
        }
        return values(pixel / values.extent(1), pixel % values.extent(1), channel);
    }
    FASTSOFT_HD double at(std::ptrdiff_t pixel, std::ptrdiff_t channel) const {
        const T value = raw(pixel, channel);
        return static_cast<double>(value > limit ? limit : (value < -limit ? -limit : value));
    }
};

// Where sums begin: values less the first pixel of all, and less the mean of these. Two steps, since where values lie
// far from zero a mean itself cannot hold as many digits as its difference from a value needs.
struct PcaCenter {
    double* mean;  // (C), less the first pixel
    double* first;
};

// Sums of a chunk of pixels less the first pixel of all, channel by channel, and that pixel. Neighbouring threads have
// neighbouring channels; where these are few, several pixels are read at a time.
template <class T>
struct PcaMeanBlock {
    static constexpr int kThreads = 256;

    struct Arguments {
        PcaPixels<T> pixels;
        std::ptrdiff_t chunk;
        int* not_finite;  // becomes 1 if a value is NaN or infinite
        double* sums;     // (n_chunks, C)
        double* first;    // (C), the first pixel
    };

    struct Shared {
        double sums[kThreads];
    };

    using Registers = Nothing;

    static std::ptrdiff_t chunk_of(std::ptrdiff_t n) {
        const std::ptrdiff_t even = divide_up(n, 1024);
        return even < 256 ? 256 : even;
    }
    FASTSOFT_HD static int width(const Arguments& a) {
        return static_cast<int>(a.pixels.n_channels() < kThreads ? a.pixels.n_channels() : kThreads);
    }
    FASTSOFT_HD static std::ptrdiff_t n_groups(const Arguments& a) {
        return divide_up(a.pixels.n_channels(), width(a));
    }
    FASTSOFT_HD static std::ptrdiff_t n_blocks(const Arguments& a) {
        return divide_up(a.pixels.n(), a.chunk) * n_groups(a);
    }
    FASTSOFT_HD static int n_phases(const Arguments&) { return 2; }

    FASTSOFT_HD static void phase(int phase, const Arguments& a, Shared& shared, Registers&, std::ptrdiff_t block,
                                  int thread) {
        const int columns = width(a);
        const int lanes = kThreads / columns;
        const int lane = thread / columns;
        const std::ptrdiff_t chunk = block / n_groups(a);
        const std::ptrdiff_t channel = block % n_groups(a) * columns + thread % columns;
        if (lane >= lanes || channel >= a.pixels.n_channels()) {
            return;
        }
        if (phase == 0) {
            const std::ptrdiff_t first = chunk * a.chunk;
            const std::ptrdiff_t end = first + a.chunk < a.pixels.n() ? first + a.chunk : a.pixels.n();
            const double origin = a.pixels.at(0, channel);
            double sum = 0.0;
            bool finite = true;
            for (std::ptrdiff_t pixel = first + lane; pixel < end; pixel += lanes) {
                finite = finite && is_finite_number(a.pixels.raw(pixel, channel));
                sum += a.pixels.at(pixel, channel) - origin;
            }
            if (!finite) {
                *a.not_finite = 1;  // whichever thread: all write the same
            }
            shared.sums[thread] = sum;
        } else if (lane == 0) {
            double sum = 0.0;
            for (int i = 0; i < lanes; ++i) {
                sum += shared.sums[i * columns + thread];
            }
            a.sums[chunk * a.pixels.n_channels() + channel] = sum;
            if (chunk == 0) {
                a.first[channel] = a.pixels.at(0, channel);
            }
        }
    }
};

// Products of centred channels, summed over a chunk of pixels, for a tile of kTile by kTile channels in the lower
// triangle. A thread has kOwn by kOwn of them in registers; kPixels pixels at a time stand in shared memory. Least
// bytes: the values once per row of tiles.
template <class T>
struct PcaProductsBlock {
    static constexpr int kThreads = 256;
    static constexpr int kTile = 64;
    static constexpr int kOwn = 4;
    static constexpr int kAcross = kTile / kOwn;
    static constexpr int kPixels = 32;
    static_assert(kAcross * kAcross == kThreads && kThreads % kTile == 0);

    struct Arguments {
        PcaPixels<T> pixels;
        PcaCenter center;
        std::ptrdiff_t chunk;
        double* products;  // (n_chunks, n_tiles, kTile, kTile)
    };

    struct Shared {
        double rows[kPixels][kTile];
        double cols[kPixels][kTile];
    };

    struct Registers {
        double sums[kOwn][kOwn];
    };

    FASTSOFT_HD static std::ptrdiff_t n_tiles(std::ptrdiff_t n_channels) {
        const std::ptrdiff_t across = divide_up(n_channels, kTile);
        return across * (across + 1) / 2;
    }
    // Of the product of channels i >= j.
    FASTSOFT_HD static std::ptrdiff_t place(std::ptrdiff_t i, std::ptrdiff_t j) {
        const std::ptrdiff_t row = i / kTile;
        const std::ptrdiff_t tile = row * (row + 1) / 2 + j / kTile;
        return (tile * kTile + i % kTile) * kTile + j % kTile;
    }
    // A function of the sizes alone: enough blocks to fill a device, few enough that their sums take 20 MB.
    static std::ptrdiff_t chunk_of(std::ptrdiff_t n, std::ptrdiff_t n_channels) {
        constexpr std::ptrdiff_t kBlocks = 528;
        constexpr std::ptrdiff_t kMinChunk = 256;
        const std::ptrdiff_t n_chunks = kBlocks / n_tiles(n_channels) < 1 ? 1 : kBlocks / n_tiles(n_channels);
        const std::ptrdiff_t even = divide_up(divide_up(n, n_chunks), kPixels) * kPixels;
        return even < kMinChunk ? kMinChunk : even;
    }

    FASTSOFT_HD static std::ptrdiff_t n_blocks(const Arguments& a) {
        return divide_up(a.pixels.n(), a.chunk) * n_tiles(a.pixels.n_channels());
    }
    FASTSOFT_HD static int n_phases(const Arguments& a) { return 2 * static_cast<int>(a.chunk / kPixels); }

    FASTSOFT_HD static void phase(int phase, const Arguments& a, Shared& shared, Registers& registers,
                                  std::ptrdiff_t block, int thread) {
        const std::ptrdiff_t n_own_tiles = n_tiles(a.pixels.n_channels());
        const std::ptrdiff_t chunk = block / n_own_tiles;
        std::ptrdiff_t tile_col = block % n_own_tiles;
        std::ptrdiff_t tile_row = 0;
        while (tile_col > tile_row) {
            ++tile_row;
            tile_col -= tile_row;
        }
        if (phase % 2 == 0) {
            const std::ptrdiff_t first = chunk * a.chunk + static_cast<std::ptrdiff_t>(phase / 2) * kPixels;
            load(a, shared.rows, first, tile_row * kTile, thread);
            load(a, shared.cols, first, tile_col * kTile, thread);
            return;
        }
        multiply(shared, registers, phase == 1, thread);
        if (phase + 1 == n_phases(a)) {
            double* const out = a.products + block * kTile * kTile;
            FASTSOFT_UNROLL(4)
            for (int i = 0; i < kOwn; ++i) {
                FASTSOFT_UNROLL(4)
                for (int j = 0; j < kOwn; ++j) {
                    out[(thread / kAcross + i * kAcross) * kTile + thread % kAcross + j * kAcross] =
                        registers.sums[i][j];
                }
            }
        }
    }

private:
    // A thread reads one channel. What lies outside counts as 0.
    FASTSOFT_HD static void load(const Arguments& a, double (&to)[kPixels][kTile], std::ptrdiff_t first,
                                 std::ptrdiff_t channel0, int thread) {
        const std::ptrdiff_t channel = channel0 + thread % kTile;
        const bool exists = channel < a.pixels.n_channels();
        const double first_value = exists ? a.center.first[channel] : 0.0;
        const double mean = exists ? a.center.mean[channel] : 0.0;
        for (int i = thread / kTile; i < kPixels; i += kThreads / kTile) {
            const std::ptrdiff_t pixel = first + i;
            const bool inside = exists && pixel < a.pixels.n();
            to[i][thread % kTile] = inside ? (a.pixels.at(pixel, channel) - first_value) - mean : 0.0;
        }
    }

    FASTSOFT_HD static void multiply(const Shared& shared, Registers& registers, bool first, int thread) {
        const int row = thread / kAcross;
        const int col = thread % kAcross;
        if (first) {
            FASTSOFT_UNROLL(4)
            for (int i = 0; i < kOwn; ++i) {
                FASTSOFT_UNROLL(4)
                for (int j = 0; j < kOwn; ++j) {
                    registers.sums[i][j] = 0.0;
                }
            }
        }
        for (int pixel = 0; pixel < kPixels; ++pixel) {
            double left[kOwn];
            double right[kOwn];
            FASTSOFT_UNROLL(4)
            for (int i = 0; i < kOwn; ++i) {
                left[i] = shared.rows[pixel][row + i * kAcross];
                right[i] = shared.cols[pixel][col + i * kAcross];
            }
            FASTSOFT_UNROLL(4)
            for (int i = 0; i < kOwn; ++i) {
                FASTSOFT_UNROLL(4)
                for (int j = 0; j < kOwn; ++j) {
                    registers.sums[i][j] += left[i] * right[j];
                }
            }
        }
    }
};

// Scores: kPixels pixels of a block times kComponents components at a time, kChannels channels at a time in shared
// memory. Least bytes per pixel: its channels read once (for up to kComponents components), its scores written.
template <class T>
struct PcaScoresBlock {
    static constexpr int kThreads = 256;
    static constexpr int kPixels = 64;
    static constexpr int kChannels = 32;
    static constexpr int kOwn = 4;  // components of a thread
    static constexpr int kComponents = kOwn * (kThreads / kPixels);

    struct Arguments {
        PcaPixels<T> pixels;
        PcaCenter center;
        const double* basis;  // (C, n)
        std::ptrdiff_t n;
        std::ptrdiff_t rank;  // scores of later components are 0
        T* scores;            // (N, n)
    };

    struct Shared {
        double pixels[kPixels][kChannels + 1];
        double basis[kChannels][kComponents];
    };

    struct Registers {
        double sums[kOwn];
    };

    FASTSOFT_HD static int n_slabs(const Arguments& a) {
        return static_cast<int>(divide_up(a.pixels.n_channels(), kChannels));
    }
    FASTSOFT_HD static std::ptrdiff_t n_blocks(const Arguments& a) { return divide_up(a.pixels.n(), kPixels); }
    FASTSOFT_HD static int n_phases(const Arguments& a) {
        return 2 * n_slabs(a) * static_cast<int>(divide_up(a.n, kComponents));
    }

    FASTSOFT_HD static void phase(int phase, const Arguments& a, Shared& shared, Registers& registers,
                                  std::ptrdiff_t block, int thread) {
        const std::ptrdiff_t first = block * kPixels;
        const int slab = phase / 2 % n_slabs(a);
        const std::ptrdiff_t component0 = static_cast<std::ptrdiff_t>(phase / 2 / n_slabs(a)) * kComponents;
        const std::ptrdiff_t channel0 = static_cast<std::ptrdiff_t>(slab) * kChannels;
        if (phase % 2 == 0) {
            load(a, shared, first, channel0, component0, thread);
            return;
        }
        const int pixel = thread % kPixels;
        const int own = thread / kPixels * kOwn;
        FASTSOFT_UNROLL(4)
        for (int k = 0; k < kOwn; ++k) {
            registers.sums[k] = slab == 0 ? 0.0 : registers.sums[k];
        }
        if (component0 + own < a.n) {
            for (int c = 0; c < kChannels; ++c) {
                const double value = shared.pixels[pixel][c];
                FASTSOFT_UNROLL(4)
                for (int k = 0; k < kOwn; ++k) {
                    registers.sums[k] += value * shared.basis[c][own + k];
                }
            }
        }
        if (slab + 1 == n_slabs(a) && first + pixel < a.pixels.n()) {
            FASTSOFT_UNROLL(4)
            for (int k = 0; k < kOwn; ++k) {
                const std::ptrdiff_t component = component0 + own + k;
                if (component < a.n) {
                    a.scores[(first + pixel) * a.n + component] =
                        component < a.rank ? static_cast<T>(registers.sums[k]) : T(0);
                }
            }
        }
    }

private:
    FASTSOFT_HD static void load(const Arguments& a, Shared& shared, std::ptrdiff_t first, std::ptrdiff_t channel0,
                                 std::ptrdiff_t component0, int thread) {
        const std::ptrdiff_t channel = channel0 + thread % kChannels;
        const bool exists = channel < a.pixels.n_channels();
        const double first_value = exists ? a.center.first[channel] : 0.0;
        const double mean = exists ? a.center.mean[channel] : 0.0;
        for (int i = thread / kChannels; i < kPixels; i += kThreads / kChannels) {
            const bool inside = exists && first + i < a.pixels.n();
            shared.pixels[i][thread % kChannels] =
                inside ? (a.pixels.at(first + i, channel) - first_value) - mean : 0.0;
        }
        for (int i = thread; i < kChannels * kComponents; i += kThreads) {
            const std::ptrdiff_t row = channel0 + i / kComponents;
            const std::ptrdiff_t component = component0 + i % kComponents;
            shared.basis[i / kComponents][i % kComponents] =
                row < a.pixels.n_channels() && component < a.n ? a.basis[row * a.n + component] : 0.0;
        }
    }
};

// Least and greatest score of each component in chunks of pixels, then of all: n_chunks = 1 row of each.
template <class T>
struct PcaRangeBlock {
    static constexpr int kThreads = 256;

    struct Arguments {
        const T* lows;   // (n_rows, n), of which the least are sought
        const T* highs;  // (n_rows, n): the same scores in the first launch
        std::ptrdiff_t n_rows;
        std::ptrdiff_t n;
        std::ptrdiff_t chunk;
        T* low;  // (n_chunks, n)
        T* high;
        double* low_out;  // if not null: written in place of these
        double* high_out;
    };

    struct Shared {
        T low[kThreads];
        T high[kThreads];
    };

    using Registers = Nothing;

    FASTSOFT_HD static int width(const Arguments& a) { return static_cast<int>(a.n < kThreads ? a.n : kThreads); }
    FASTSOFT_HD static std::ptrdiff_t n_groups(const Arguments& a) { return divide_up(a.n, width(a)); }
    FASTSOFT_HD static std::ptrdiff_t n_blocks(const Arguments& a) {
        return divide_up(a.n_rows, a.chunk) * n_groups(a);
    }
    FASTSOFT_HD static int n_phases(const Arguments&) { return 2; }

    FASTSOFT_HD static void phase(int phase, const Arguments& a, Shared& shared, Registers&, std::ptrdiff_t block,
                                  int thread) {
        const int columns = width(a);
        const int lanes = kThreads / columns;
        const int lane = thread / columns;
        const std::ptrdiff_t chunk = block / n_groups(a);
        const std::ptrdiff_t component = block % n_groups(a) * columns + thread % columns;
        if (lane >= lanes || component >= a.n) {
            return;
        }
        if (phase == 0) {
            const std::ptrdiff_t first = chunk * a.chunk;
            const std::ptrdiff_t end = first + a.chunk < a.n_rows ? first + a.chunk : a.n_rows;
            // A lane beyond the last row repeats the first one.
            T low = a.lows[first * a.n + component];
            T high = a.highs[first * a.n + component];
            for (std::ptrdiff_t row = first + lane; row < end; row += lanes) {
                const T l = a.lows[row * a.n + component];
                const T h = a.highs[row * a.n + component];
                low = l < low ? l : low;
                high = h > high ? h : high;
            }
            shared.low[thread] = low;
            shared.high[thread] = high;
        } else if (lane == 0) {
            T low = shared.low[thread];
            T high = shared.high[thread];
            for (int i = 1; i < lanes; ++i) {
                low = shared.low[i * columns + thread] < low ? shared.low[i * columns + thread] : low;
                high = shared.high[i * columns + thread] > high ? shared.high[i * columns + thread] : high;
            }
            if (a.low_out != nullptr) {
                a.low_out[component] = static_cast<double>(low);
                a.high_out[component] = static_cast<double>(high);
            } else {
                a.low[chunk * a.n + component] = low;
                a.high[chunk * a.n + component] = high;
            }
        }
    }
};

}  // namespace fastsoft::detail
