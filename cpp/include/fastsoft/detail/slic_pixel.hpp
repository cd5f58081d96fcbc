// SPDX-License-Identifier: MIT
#pragma once

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "fastsoft/core/host_device.hpp"

namespace fastsoft::detail {

// Roots by Newton's and Halley's iterations from a first guess that divides the exponent: a few multiplications that
// vectorise, where std::cbrt and std::pow are calls. Relative errors of the guesses are below 6 % on the intervals
// used, (0.008, 1.1] and [0.007, 1]; each step of Halley cubes the error, each step of Newton doubles its square.
FASTSOFT_HD float root_guess(float x, float one_over_n) {
    // The bits of a float are about 2^23 (log2 x + 127); 0.045 centres the error of that straight line.
    const float bits = static_cast<float>(std::bit_cast<std::int32_t>(x));
    const float offset = (127.0F - 0.045F) * 8388608.0F;
    return std::bit_cast<float>(static_cast<std::int32_t>(offset + (bits - offset) * one_over_n));
}

template <class T>
FASTSOFT_HD T halley_cube_root(T x, T y) {
    const T cube = y * y * y;
    return y * (cube + T(2) * x) / (T(2) * cube + x);
}

FASTSOFT_HD float cube_root(float x) {
    const float y = halley_cube_root(x, root_guess(x, 1.0F / 3.0F));
    return halley_cube_root(x, y);
}
FASTSOFT_HD double cube_root(double x) {
    return halley_cube_root(x, static_cast<double>(cube_root(static_cast<float>(x))));
}

template <class T>
FASTSOFT_HD T newton_fifth_root(T x, T y) {
    const T square = y * y;
    return T(0.2) * (T(4) * y + x / (square * square));
}

FASTSOFT_HD float fifth_root(float x) {
    float y = root_guess(x, 0.2F);
    for (int step = 0; step < 3; ++step) {
        y = newton_fifth_root(x, y);
    }
    return y;
}
FASTSOFT_HD double fifth_root(double x) {
    return newton_fifth_root(x, static_cast<double>(fifth_root(static_cast<float>(x))));
}

// sRGB (IEC 61966-2-1), [0, 1] -> linear light.
template <class T>
FASTSOFT_HD T srgb_to_linear(T value) {
    const T base = (value + T(0.055)) / T(1.055);
    const T square = base * base;
    const T curved = square * fifth_root(square);  // base^2.4
    return value <= T(0.04045) ? value / T(12.92) : curved;
}

template <class T>
FASTSOFT_HD T lab_curve(T t) {
    const T root = cube_root(t);
    return t > T(216.0 / 24389.0) ? root : (T(24389.0 / 27.0) * t + T(16)) / T(116);
}

// sRGB -> CIELAB under D65 (white 0.95047, 1, 1.08883).
template <class T>
FASTSOFT_HD void srgb_to_lab(T red, T green, T blue, T& lightness, T& a, T& b) {
    const T r = srgb_to_linear(red);
    const T g = srgb_to_linear(green);
    const T l = srgb_to_linear(blue);
    const T x = lab_curve((T(0.4124564) * r + T(0.3575761) * g + T(0.1804375) * l) / T(0.95047));
    const T y = lab_curve(T(0.2126729) * r + T(0.7151522) * g + T(0.0721750) * l);
    const T z = lab_curve((T(0.0193339) * r + T(0.1191920) * g + T(0.9503041) * l) / T(1.08883));
    lightness = T(116) * y - T(16);
    a = T(500) * (x - y);
    b = T(200) * (y - z);
}

template <class T>
FASTSOFT_HD T squared_distance(T x, T y, T z, T x0, T y0, T z0) {
    const T dx = x - x0;
    const T dy = y - y0;
    const T dz = z - z0;
    return dx * dx + dy * dy + dz * dz;
}

template <class T>
struct SlicCluster {
    T lightness;
    T a;
    T b;
    T row;
    T col;
    T color_weight;  // 1, or 1 / m^2 from the second iteration of SLIC0 on
    T max_color;     // largest squared colour distance so far
};

// Distance of a pixel from a cluster, both terms scaled alike.
template <class T>
FASTSOFT_HD T slic_distance(T lightness, T a, T b, T dx, T dy2, const SlicCluster<T>& cluster, T spatial_weight) {
    const T color = squared_distance(lightness, a, b, cluster.lightness, cluster.a, cluster.b);
    return color * cluster.color_weight + (dx * dx + dy2) * spatial_weight;
}

// The cells of the seeds.
struct SlicGrid {
    std::ptrdiff_t n_rows;
    std::ptrdiff_t n_cols;
    std::ptrdiff_t down;  // cells
    std::ptrdiff_t across;
    double cell_height;
    double cell_width;

    FASTSOFT_HD std::ptrdiff_t n_clusters() const { return down * across; }
};

struct SlicSpan {
    std::ptrdiff_t begin;
    std::ptrdiff_t end;
};

// Pixels that a cluster is compared with, along one axis: it reaches one cell side, rounded up, to both sides of its
// centre.
template <class T>
FASTSOFT_HD SlicSpan slic_window(T center, double side, std::ptrdiff_t n) {
    const auto middle = static_cast<double>(center);
    const double reach = std::ceil(side);
    const auto begin = static_cast<std::ptrdiff_t>(std::ceil(middle - reach));
    const auto end = static_cast<std::ptrdiff_t>(std::floor(middle + reach)) + 1;
    return {begin < 0 ? 0 : begin, end < n ? end : n};
}

template <class T>
FASTSOFT_HD SlicSpan slic_rows(const SlicGrid& grid, const SlicCluster<T>& cluster) {
    return slic_window(cluster.row, grid.cell_height, grid.n_rows);
}
template <class T>
FASTSOFT_HD SlicSpan slic_cols(const SlicGrid& grid, const SlicCluster<T>& cluster) {
    return slic_window(cluster.col, grid.cell_width, grid.n_cols);
}

// Where the seed of cell (i, j) goes: to the middle, or in cells that are at least 3 pixels long, so that a seed has
// eight neighbours, to the lowest gradient (Eq. 2) of the 3x3 pixels there; the middle itself wins a tie.
// difference(row0, col0, row1, col1) is the squared distance of two colours.
template <class T, class Difference>
FASTSOFT_HD void slic_seed(const SlicGrid& grid, std::ptrdiff_t i, std::ptrdiff_t j, const Difference& difference,
                           std::ptrdiff_t& row, std::ptrdiff_t& col) {
    const auto seed_row = static_cast<std::ptrdiff_t>((static_cast<double>(i) + 0.5) * grid.cell_height);
    const auto seed_col = static_cast<std::ptrdiff_t>((static_cast<double>(j) + 0.5) * grid.cell_width);
    row = seed_row;
    col = seed_col;
    if (grid.cell_height < 3.0 || grid.cell_width < 3.0) {
        return;
    }
    const auto gradient = [&](std::ptrdiff_t r, std::ptrdiff_t c) {
        const std::ptrdiff_t below = r + 1 < grid.n_rows ? r + 1 : r;
        const std::ptrdiff_t above = r > 0 ? r - 1 : r;
        const std::ptrdiff_t right = c + 1 < grid.n_cols ? c + 1 : c;
        const std::ptrdiff_t left = c > 0 ? c - 1 : c;
        return difference(r, right, r, left) + difference(below, c, above, c);
    };
    T lowest = gradient(row, col);
    for (std::ptrdiff_t r = seed_row - 1; r <= seed_row + 1; ++r) {
        for (std::ptrdiff_t c = seed_col - 1; c <= seed_col + 1; ++c) {
            const T found = gradient(r, c);
            if (found < lowest) {
                lowest = found;
                row = r;
                col = c;
            }
        }
    }
}

// Sums over the pixels of a cluster are kept apart by the column in the window modulo kSlicLanes, and over stretches of
// rows ("parts") of about kSlicBlocksPerSum times as many pixels: these are added in T, then one after another in
// double. Rows and columns count from the corner of the window, so that their sums are whole numbers below 2^24 and
// exact even in float32.
constexpr int kSlicLanes = 16;
constexpr std::ptrdiff_t kSlicBlocksPerSum = 512;

FASTSOFT_HD std::ptrdiff_t slic_rows_per_part(std::ptrdiff_t n_cols) {
    const std::ptrdiff_t blocks_per_row = (n_cols + kSlicLanes - 1) / kSlicLanes;
    return kSlicBlocksPerSum > blocks_per_row ? kSlicBlocksPerSum / blocks_per_row : 1;
}

struct SlicSums {
    double count;
    double lightness;
    double a;
    double b;
    double row;
    double col;
};

// The mean of a cluster's pixels becomes its centre. One without pixels stays where it is.
template <class T>
FASTSOFT_HD void slic_move(SlicCluster<T>& cluster, const SlicSums& sums, SlicSpan rows, SlicSpan cols, bool adaptive,
                           T max_color) {
    if (sums.count == 0.0) {
        return;
    }
    if (adaptive) {
        cluster.max_color = cluster.max_color < max_color ? max_color : cluster.max_color;
        cluster.color_weight = T(1) / cluster.max_color;
    }
    cluster.lightness = static_cast<T>(sums.lightness / sums.count);
    cluster.a = static_cast<T>(sums.a / sums.count);
    cluster.b = static_cast<T>(sums.b / sums.count);
    cluster.row = static_cast<T>(static_cast<double>(rows.begin) + sums.row / sums.count);
    cluster.col = static_cast<T>(static_cast<double>(cols.begin) + sums.col / sums.count);
}

}  // namespace fastsoft::detail
