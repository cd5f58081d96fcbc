// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

#include "fastsoft/core/block.hpp"

// Tiles of a grid whose pixels are updated by the colours of a chequerboard in turn, each by itself for several
// iterations. What lies beyond a tile is unknown to it, so every half iteration makes one more pixel wrong along its
// cut edges, of a margin that is not stored. An axis that fits a tile whole is not cut and needs no margin.
namespace fastsoft::detail {

// Pixels [first, last) of an axis are in the tile, and [begin, end) of them are stored. Positions in the grid, whose
// axes have less than 2^31 pixels: as 64-bit numbers they would take twice the registers.
struct TileSpan {
    std::int32_t first;
    std::int32_t begin;
    std::int32_t end;
    std::int32_t last;

    FASTSOFT_HD int size() const { return last - first; }
};

FASTSOFT_HD std::ptrdiff_t tile_step(std::ptrdiff_t n, std::ptrdiff_t tile, std::ptrdiff_t margin) {
    return n <= tile ? n : tile - 2 * margin;
}

FASTSOFT_HD std::ptrdiff_t n_tiles(std::ptrdiff_t n, std::ptrdiff_t tile, std::ptrdiff_t margin) {
    return divide_up(n, tile_step(n, tile, margin));
}

FASTSOFT_HD TileSpan tile_span(std::ptrdiff_t index, std::ptrdiff_t n, std::ptrdiff_t tile, std::ptrdiff_t margin) {
    const std::ptrdiff_t step = tile_step(n, tile, margin);
    const std::ptrdiff_t begin = index * step;
    const std::ptrdiff_t end = begin + step < n ? begin + step : n;
    const std::ptrdiff_t last = end + margin < n ? end + margin : n;
    return {static_cast<std::int32_t>(begin > margin ? begin - margin : 0), static_cast<std::int32_t>(begin),
            static_cast<std::int32_t>(end), static_cast<std::int32_t>(last)};
}

// Where a pixel of a tile lies in shared memory: even columns of a row before odd ones, so that neighbouring threads,
// which take neighbouring pixels of one colour, read neighbouring words.
template <int Cols>
FASTSOFT_HD int tile_place(int row, int col) {
    static_assert(Cols % 2 == 0);
    return row * Cols + (col & 1) * (Cols / 2) + (col >> 1);
}

// The i-th pixel of a colour. origin: row + column of the tile in the grid, so that colours do not depend on tiles.
struct TilePixel {
    int row;
    int col;
};

template <int Cols>
FASTSOFT_HD TilePixel tile_pixel(int i, int color, int origin) {
    const int row = i / (Cols / 2);
    return {row, 2 * (i % (Cols / 2)) + ((row + color + origin) & 1)};
}

}  // namespace fastsoft::detail
