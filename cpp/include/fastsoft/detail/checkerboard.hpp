// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <memory>

namespace fastsoft::detail {

// Planes of a grid whose even and odd columns lie apart: half(plane, row, 0) holds columns 0, 2, 4, ... of a row and
// half(plane, row, 1) columns 1, 3, 5, ... All pixels of one colour of a chequerboard then are contiguous halves of
// rows, and so are their four neighbours:
//
//     half 0, position k (column 2k):      left is half 1 at k - 1, right is half 1 at k
//     half 1, position k (column 2k + 1):  left is half 0 at k,     right is half 0 at k + 1
//
// Each half has a margin for what lies beyond the border; mirror() and clamp() fill it.
template <class T>
class Checkerboard {
public:
    Checkerboard() = default;
    Checkerboard(std::ptrdiff_t n_planes, std::ptrdiff_t n_rows, std::ptrdiff_t n_cols) {
        reset(n_planes, n_rows, n_cols);
    }

    // Memory of larger grids is kept; what it holds is unspecified.
    void reset(std::ptrdiff_t n_planes, std::ptrdiff_t n_rows, std::ptrdiff_t n_cols) {
        n_rows_ = n_rows;
        n_cols_ = n_cols;
        pitch_ = (n_cols + 1) / 2 + 2 * kMargin;
        const auto size = static_cast<std::size_t>(n_planes * n_rows * 2 * pitch_);
        if (capacity_ < size) {
            values_ = std::make_unique_for_overwrite<T[]>(size);
            capacity_ = size;
        }
    }

    std::ptrdiff_t n_rows() const { return n_rows_; }
    std::ptrdiff_t n_cols() const { return n_cols_; }
    std::ptrdiff_t count(std::ptrdiff_t s) const { return (n_cols_ + 1 - s) / 2; }

    T* half(std::ptrdiff_t plane, std::ptrdiff_t row, std::ptrdiff_t s) {
        return values_.get() + ((plane * n_rows_ + row) * 2 + s) * pitch_ + kMargin;
    }
    const T* half(std::ptrdiff_t plane, std::ptrdiff_t row, std::ptrdiff_t s) const {
        return values_.get() + ((plane * n_rows_ + row) * 2 + s) * pitch_ + kMargin;
    }
    T& at(std::ptrdiff_t plane, std::ptrdiff_t row, std::ptrdiff_t col) { return half(plane, row, col & 1)[col >> 1]; }
    const T& at(std::ptrdiff_t plane, std::ptrdiff_t row, std::ptrdiff_t col) const {
        return half(plane, row, col & 1)[col >> 1];
    }

    // Makes the margins of a row what pixels of half s see as left and right neighbours: column -1 is column 1 and
    // column n_cols is column n_cols - 2; the only column of a grid is its own neighbour.
    void mirror(std::ptrdiff_t plane, std::ptrdiff_t row, std::ptrdiff_t s) {
        T* const own = half(plane, row, s);
        T* const other = half(plane, row, 1 - s);
        const std::ptrdiff_t last = count(1 - s) - 1;
        if (s == 0) {
            other[-1] = last >= 0 ? other[0] : own[0];
        }
        // The last column is one of half s.
        if (((n_cols_ - 1) & 1) == s) {
            other[last + 1] = last >= 0 ? other[last] : own[0];
        }
    }

    // The same where border pixels are their own neighbours beyond it.
    void clamp(std::ptrdiff_t plane, std::ptrdiff_t row, std::ptrdiff_t s) {
        T* const own = half(plane, row, s);
        T* const other = half(plane, row, 1 - s);
        if (s == 0) {
            other[-1] = own[0];
        }
        if (((n_cols_ - 1) & 1) == s) {
            other[count(1 - s)] = own[count(s) - 1];
        }
    }

private:
    static constexpr std::ptrdiff_t kMargin = 1;
    std::ptrdiff_t n_rows_ = 0;
    std::ptrdiff_t n_cols_ = 0;
    std::ptrdiff_t pitch_ = 0;
    std::size_t capacity_ = 0;
    std::unique_ptr<T[]> values_;
};

}  // namespace fastsoft::detail
