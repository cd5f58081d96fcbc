// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

#include "fastsoft/core/block.hpp"
#include "fastsoft/core/view.hpp"

namespace fastsoft::detail {

// Planes of some pixels, (n_planes, count) from (n_pixels, n_planes) of any strides, converted to T: a tile of pixels
// and planes per block, read and written along whichever axis is contiguous. Least bytes: what is wanted read and
// written once.
template <class S, class T>
struct PixelPlanesBlock {
    static constexpr int kThreads = 256;
    static constexpr int kSide = 32;

    struct Arguments {
        View<const S, 2> values;
        const std::int64_t* pixels;  // (count), or null for all
        std::ptrdiff_t count;
        T* out;
    };

    struct Shared {
        T tile[kSide][kSide + 1];  // [plane][pixel]
    };

    using Registers = Nothing;

    FASTSOFT_HD static std::ptrdiff_t n_blocks(const Arguments& a) {
        return divide_up(a.count, kSide) * divide_up(a.values.extent(1), kSide);
    }
    FASTSOFT_HD static int n_phases(const Arguments&) { return 2; }

    FASTSOFT_HD static void phase(int phase, const Arguments& a, Shared& shared, Registers&, std::ptrdiff_t block,
                                  int thread) {
        const std::ptrdiff_t across = divide_up(a.count, kSide);
        const std::ptrdiff_t pixel0 = block % across * kSide;
        const std::ptrdiff_t plane0 = block / across * kSide;
        const bool planar = size_of(a.values.stride(0)) <= size_of(a.values.stride(1));
        for (int i = thread; i < kSide * kSide; i += kThreads) {
            const int slow = i / kSide;
            const int fast = i % kSide;
            const int plane = phase == 1 || planar ? slow : fast;
            const int pixel = phase == 1 || planar ? fast : slow;
            if (pixel0 + pixel >= a.count || plane0 + plane >= a.values.extent(1)) {
                continue;
            }
            if (phase == 0) {
                const std::ptrdiff_t from =
                    a.pixels != nullptr ? static_cast<std::ptrdiff_t>(a.pixels[pixel0 + pixel]) : pixel0 + pixel;
                shared.tile[plane][pixel] = static_cast<T>(a.values(from, plane0 + plane));
            } else {
                a.out[(plane0 + plane) * a.count + pixel0 + pixel] = shared.tile[plane][pixel];
            }
        }
    }

private:
    FASTSOFT_HD static std::ptrdiff_t size_of(std::ptrdiff_t stride) { return stride < 0 ? -stride : stride; }
};

// Sums of rows in double: of pieces of a fixed length, a block each. A thread adds every 256th number of the piece,
// then the first half of what is left takes from the second.
template <class T>
struct RowSumsBlock {
    static constexpr int kThreads = 256;
    static constexpr std::ptrdiff_t kPiece = 8192;

    struct Arguments {
        const T* values;  // (n_rows, length)
        std::ptrdiff_t n_rows;
        std::ptrdiff_t length;
        double* sums;  // (n_rows, n_pieces)
    };

    struct Shared {
        double sums[kThreads];
    };

    using Registers = Nothing;

    FASTSOFT_HD static std::ptrdiff_t n_pieces(std::ptrdiff_t length) { return divide_up(length, kPiece); }
    FASTSOFT_HD static std::ptrdiff_t n_blocks(const Arguments& a) { return a.n_rows * n_pieces(a.length); }
    FASTSOFT_HD static int n_phases(const Arguments&) { return 9; }

    FASTSOFT_HD static void phase(int phase, const Arguments& a, Shared& shared, Registers&, std::ptrdiff_t block,
                                  int thread) {
        if (phase == 0) {
            const std::ptrdiff_t begin = block % n_pieces(a.length) * kPiece;
            const std::ptrdiff_t end = begin + kPiece < a.length ? begin + kPiece : a.length;
            const T* const row = a.values + block / n_pieces(a.length) * a.length;
            double sum = 0.0;
            for (std::ptrdiff_t i = begin + thread; i < end; i += kThreads) {
                sum += static_cast<double>(row[i]);
            }
            shared.sums[thread] = sum;
            return;
        }
        const int half = kThreads >> phase;
        if (thread < half) {
            shared.sums[thread] += shared.sums[thread + half];
            if (half == 1) {
                a.sums[block] = shared.sums[0];
            }
        }
    }
};

}  // namespace fastsoft::detail
