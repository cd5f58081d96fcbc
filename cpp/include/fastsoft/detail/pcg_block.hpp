// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>

#include "fastsoft/core/block.hpp"
#include "fastsoft/detail/vector_block.hpp"

// The passes of conjugate gradients over vectors (n_columns, n), as bodies of ColumnsBlock. inverse_diagonal is the
// preconditioner, (n), or null for none. Least bytes of an iteration per element and column: 15 numbers (dot 2, advance
// 6 + 1, direct 3 + 1, the product's x and y 2), and per element what the operator holds.
namespace fastsoft::detail {

// r = b - r, where r holds A x; sum of r r.
template <class T>
struct PcgResidualBody {
    static constexpr int kSums = 1;
    const T* b;
    T* r;
    std::ptrdiff_t n;

    FASTSOFT_HD Nothing begin(std::ptrdiff_t) const { return {}; }
    FASTSOFT_HD void element(std::ptrdiff_t column, std::ptrdiff_t i, const Nothing&, double* sums) const {
        const T value = b[column * n + i] - r[column * n + i];
        r[column * n + i] = value;
        sums[0] += static_cast<double>(value) * static_cast<double>(value);
    }
};

// x += alpha p, r -= alpha q with the step lengths of the columns; sums of r r and r M r.
template <class T>
struct PcgAdvanceBody {
    static constexpr int kSums = 2;
    T* x;
    T* r;
    const T* p;
    const T* q;
    const T* inverse_diagonal;
    const double* numbers;  // (n_columns, kColumnSlots)
    std::ptrdiff_t n;

    FASTSOFT_HD T begin(std::ptrdiff_t column) const {
        return static_cast<T>(numbers[column * kColumnSlots + kStepLength]);
    }
    FASTSOFT_HD void element(std::ptrdiff_t column, std::ptrdiff_t i, const T& alpha, double* sums) const {
        const std::ptrdiff_t at = column * n + i;
        x[at] += alpha * p[at];
        const T value = r[at] - alpha * q[at];
        r[at] = value;
        const T z = inverse_diagonal == nullptr ? value : inverse_diagonal[i] * value;
        sums[0] += static_cast<double>(value) * static_cast<double>(value);
        sums[1] += static_cast<double>(value) * static_cast<double>(z);
    }
};

// p = z; sum of r z. z is M r: inverse_diagonal r, or what a function made of r.
template <class T>
struct PcgStartBody {
    static constexpr int kSums = 1;
    const T* r;
    const T* z;
    const T* inverse_diagonal;
    T* p;
    std::ptrdiff_t n;

    FASTSOFT_HD Nothing begin(std::ptrdiff_t) const { return {}; }
    FASTSOFT_HD void element(std::ptrdiff_t column, std::ptrdiff_t i, const Nothing&, double* sums) const {
        const std::ptrdiff_t at = column * n + i;
        const T value = inverse_diagonal == nullptr ? z[at] : inverse_diagonal[i] * z[at];
        p[at] = value;
        sums[0] += static_cast<double>(r[at]) * static_cast<double>(value);
    }
};

// p = z + beta p for a group of columns.
template <class T>
struct PcgDirectBody {
    static constexpr int kSums = 0;
    const T* z;
    const T* inverse_diagonal;
    T* p;
    std::ptrdiff_t n;
    T beta[kColumnGroup];

    FASTSOFT_HD T begin(std::ptrdiff_t column) const { return beta[column]; }
    FASTSOFT_HD void element(std::ptrdiff_t column, std::ptrdiff_t i, const T& factor, double*) const {
        const std::ptrdiff_t at = column * n + i;
        const T value = inverse_diagonal == nullptr ? z[at] : inverse_diagonal[i] * z[at];
        p[at] = value + factor * p[at];
    }
};

}  // namespace fastsoft::detail
