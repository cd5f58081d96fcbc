// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>

#include "fastsoft/detail/vector.hpp"

// Products of a column-major matrix L with a narrow row-major block x of right-hand sides. General matrix products pack
// L into a layout of their own first, which costs more than the product when it is used for 8 or 16 columns only; these
// keep a tile of x in registers and stream L once.
namespace fastsoft::detail {

// Rows of a tile: with two vectors of right-hand sides each they fill the registers (32, or 16 without AVX-512), hide
// the latency of the multiply-add, and stay below the ways of the first cache: rows of images are often a multiple of
// 4096 bytes apart, and more than 12 such streams evict each other.
constexpr int kRowTile = kVectorBytes == 64 ? 8 : 6;

// y[i] -= sum_c L[i, c] x[c] for Rows rows of y and Vectors vectors of right-hand sides, held in registers.
// L[i, c] = l[i * row_step + c * col_step].
template <int Rows, int Vectors, class T>
inline void subtract_tile(T* y, const T* l, std::ptrdiff_t row_step, std::ptrdiff_t col_step, const T* x,
                          std::ptrdiff_t count, std::ptrdiff_t width) {
    Vector<T> sum[Rows][Vectors];
#pragma GCC unroll 8
    for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 2
        for (int v = 0; v < Vectors; ++v) {
            sum[i][v] = lanes(y + i * width + v * kLanes<T>);
        }
    }
    for (std::ptrdiff_t c = 0; c < count; ++c) {
        Vector<T> right[Vectors];
#pragma GCC unroll 2
        for (int v = 0; v < Vectors; ++v) {
            right[v] = lanes(x + c * width + v * kLanes<T>);
        }
        const T* const column = l + c * col_step;
#pragma GCC unroll 8
        for (int i = 0; i < Rows; ++i) {
            const T factor = column[i * row_step];
#pragma GCC unroll 2
            for (int v = 0; v < Vectors; ++v) {
                sum[i][v] -= factor * right[v];
            }
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 2
        for (int v = 0; v < Vectors; ++v) {
            lanes(y + i * width + v * kLanes<T>) = sum[i][v];
        }
    }
}

template <int Rows, class T>
inline void subtract_rows(T* y, const T* l, std::ptrdiff_t row_step, std::ptrdiff_t col_step, const T* x,
                          std::ptrdiff_t count, std::ptrdiff_t width) {
    std::ptrdiff_t v = 0;
    for (; v + 2 * kLanes<T> <= width; v += 2 * kLanes<T>) {
        subtract_tile<Rows, 2>(y + v, l, row_step, col_step, x + v, count, width);
    }
    for (; v < width; v += kLanes<T>) {
        subtract_tile<Rows, 1>(y + v, l, row_step, col_step, x + v, count, width);
    }
}

// y (rows, width) -= L x for L (rows, count) given by its steps and x (count, width). width is a multiple of kLanes<T>.
template <class T>
void subtract_narrow_product(T* y, const T* l, std::ptrdiff_t row_step, std::ptrdiff_t col_step, const T* x,
                             std::ptrdiff_t rows, std::ptrdiff_t count, std::ptrdiff_t width) {
    std::ptrdiff_t row = 0;
    for (; row + kRowTile <= rows; row += kRowTile) {
        subtract_rows<kRowTile>(y + row * width, l + row * row_step, row_step, col_step, x, count, width);
    }
    for (; row < rows; ++row) {
        subtract_rows<1>(y + row * width, l + row * row_step, row_step, col_step, x, count, width);
    }
}

// Sum of the numbers in a vector, by halves.
template <class T>
inline T sum_of_lanes(const Vector<T>& x) {
    alignas(64) T part[kLanes<T>];
    lanes(part) = x;
    for (std::ptrdiff_t half = kLanes<T> / 2; half > 0; half /= 2) {
        for (std::ptrdiff_t i = 0; i < half; ++i) {
            part[i] += part[i + half];
        }
    }
    return part[0];
}

// sums[r * sums_step + c] += v_r . w_c over `count` numbers, for Rows rows of v and Cols rows of w.
template <int Rows, int Cols, class T>
inline void add_dots(const T* v, std::ptrdiff_t v_step, const T* w, std::ptrdiff_t w_step, std::ptrdiff_t count,
                     double* sums, std::ptrdiff_t sums_step) {
    Vector<T> total[Rows][Cols] = {};
    std::ptrdiff_t i = 0;
    for (; i + kLanes<T> <= count; i += kLanes<T>) {
        Vector<T> right[Cols];
#pragma GCC unroll 4
        for (int c = 0; c < Cols; ++c) {
            right[c] = lanes(w + c * w_step + i);
        }
#pragma GCC unroll 4
        for (int r = 0; r < Rows; ++r) {
            const Vector<T> left = lanes(v + r * v_step + i);
#pragma GCC unroll 4
            for (int c = 0; c < Cols; ++c) {
                total[r][c] += left * right[c];
            }
        }
    }
    for (int r = 0; r < Rows; ++r) {
        for (int c = 0; c < Cols; ++c) {
            T rest = sum_of_lanes<T>(total[r][c]);
            for (std::ptrdiff_t j = i; j < count; ++j) {
                rest += v[r * v_step + j] * w[c * w_step + j];
            }
            sums[r * sums_step + c] += static_cast<double>(rest);
        }
    }
}

// The same for any numbers of rows: sums (m, b) += V W'.
template <class T>
void add_all_dots(const T* v, std::ptrdiff_t v_step, std::ptrdiff_t m, const T* w, std::ptrdiff_t w_step,
                  std::ptrdiff_t b, std::ptrdiff_t count, double* sums) {
    // Accumulators, the rows of w and one of v fill the registers.
    constexpr int kRows = kVectorBytes == 64 ? 4 : 2;
    std::ptrdiff_t r = 0;
    for (; r + kRows <= m; r += kRows) {
        std::ptrdiff_t c = 0;
        for (; c + 4 <= b; c += 4) {
            add_dots<kRows, 4>(v + r * v_step, v_step, w + c * w_step, w_step, count, sums + r * b + c, b);
        }
        for (; c < b; ++c) {
            add_dots<kRows, 1>(v + r * v_step, v_step, w + c * w_step, w_step, count, sums + r * b + c, b);
        }
    }
    for (; r < m; ++r) {
        for (std::ptrdiff_t c = 0; c < b; ++c) {
            add_dots<1, 1>(v + r * v_step, v_step, w + c * w_step, w_step, count, sums + r * b + c, b);
        }
    }
}

// w_j -= sum_r factors[r * factors_step + j] v_r over `count` numbers, for Cols rows j of w; the sums stay in
// registers.
template <int Cols, class T>
inline void subtract_combinations(T* w, std::ptrdiff_t w_step, const T* v, std::ptrdiff_t v_step, std::ptrdiff_t m,
                                  std::ptrdiff_t count, const T* factors, std::ptrdiff_t factors_step) {
    std::ptrdiff_t i = 0;
    for (; i + kLanes<T> <= count; i += kLanes<T>) {
        Vector<T> sum[Cols];
#pragma GCC unroll 16
        for (int j = 0; j < Cols; ++j) {
            sum[j] = lanes(w + j * w_step + i);
        }
        for (std::ptrdiff_t r = 0; r < m; ++r) {
            const Vector<T> left = lanes(v + r * v_step + i);
#pragma GCC unroll 16
            for (int j = 0; j < Cols; ++j) {
                sum[j] -= factors[r * factors_step + j] * left;
            }
        }
#pragma GCC unroll 16
        for (int j = 0; j < Cols; ++j) {
            lanes(w + j * w_step + i) = sum[j];
        }
    }
    for (; i < count; ++i) {
        for (int j = 0; j < Cols; ++j) {
            T sum = w[j * w_step + i];
            for (std::ptrdiff_t r = 0; r < m; ++r) {
                sum -= factors[r * factors_step + j] * v[r * v_step + i];
            }
            w[j * w_step + i] = sum;
        }
    }
}

// The same for any number of rows: W (b, count) -= factors' V, factors (m, b).
template <class T>
void subtract_all_combinations(T* w, std::ptrdiff_t w_step, std::ptrdiff_t b, const T* v, std::ptrdiff_t v_step,
                               std::ptrdiff_t m, std::ptrdiff_t count, const T* factors) {
    // As many accumulators as hide the latency and leave a register for v.
    constexpr int kCols = kVectorBytes == 64 ? 16 : 8;
    std::ptrdiff_t j = 0;
    for (; j + kCols <= b; j += kCols) {
        subtract_combinations<kCols>(w + j * w_step, w_step, v, v_step, m, count, factors + j, b);
    }
    for (; j + 4 <= b; j += 4) {
        subtract_combinations<4>(w + j * w_step, w_step, v, v_step, m, count, factors + j, b);
    }
    for (; j < b; ++j) {
        subtract_combinations<1>(w + j * w_step, w_step, v, v_step, m, count, factors + j, b);
    }
}

// x = L^-1 x for lower triangular L (p, p), column-major.
template <class T>
void solve_lower(const T* l, std::ptrdiff_t ld, T* x, std::ptrdiff_t p, std::ptrdiff_t width) {
    for (std::ptrdiff_t first = 0; first < p; first += kRowTile) {
        const std::ptrdiff_t count = std::min<std::ptrdiff_t>(kRowTile, p - first);
        subtract_narrow_product(x + first * width, l + first, std::ptrdiff_t{1}, ld, x, count, first, width);
        for (std::ptrdiff_t j = first; j < first + count; ++j) {
            const T inverse = T(1) / l[j + j * ld];
            for (std::ptrdiff_t v = 0; v < width; ++v) {
                x[j * width + v] *= inverse;
            }
            for (std::ptrdiff_t i = j + 1; i < first + count; ++i) {
                const T factor = l[i + j * ld];
                for (std::ptrdiff_t v = 0; v < width; ++v) {
                    x[i * width + v] -= factor * x[j * width + v];
                }
            }
        }
    }
}

// x = L'^-1 x.
template <class T>
void solve_lower_transposed(const T* l, std::ptrdiff_t ld, T* x, std::ptrdiff_t p, std::ptrdiff_t width) {
    for (std::ptrdiff_t last = p; last > 0;) {
        const std::ptrdiff_t first = last > kRowTile ? last - kRowTile : 0;
        subtract_narrow_product(x + first * width, l + last + first * ld, ld, std::ptrdiff_t{1}, x + last * width,
                                last - first, p - last, width);
        for (std::ptrdiff_t j = last; j-- > first;) {
            for (std::ptrdiff_t i = j + 1; i < last; ++i) {
                const T factor = l[i + j * ld];
                for (std::ptrdiff_t v = 0; v < width; ++v) {
                    x[j * width + v] -= factor * x[i * width + v];
                }
            }
            const T inverse = T(1) / l[j + j * ld];
            for (std::ptrdiff_t v = 0; v < width; ++v) {
                x[j * width + v] *= inverse;
            }
        }
        last = first;
    }
}

}  // namespace fastsoft::detail
