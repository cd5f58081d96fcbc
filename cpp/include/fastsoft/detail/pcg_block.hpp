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
    static constexpr int kPerThread = 4;
    const T* b;
    T* r;
    std::ptrdiff_t n;

    FASTSOFT_HD Nothing begin(std::ptrdiff_t) const { return {}; }
    FASTSOFT_HD T load(std::ptrdiff_t column, std::ptrdiff_t i) const { return b[column * n + i] - r[column * n + i]; }
    FASTSOFT_HD void finish(std::ptrdiff_t column, std::ptrdiff_t i, const Nothing&, const T& value,
                            double* sums) const {
        r[column * n + i] = value;
        sums[0] += static_cast<double>(value) * static_cast<double>(value);
    }
};

// x += alpha p, r -= alpha q with the step lengths of the columns; sums of r r and r M r.
template <class T>
struct PcgAdvanceBody {
    static constexpr int kSums = 2;
    static constexpr int kPerThread = 4;
    T* x;
    T* r;
    const T* p;
    const T* q;
    const T* inverse_diagonal;
    const double* numbers;  // (n_columns, kColumnSlots)
    std::ptrdiff_t n;

    struct Loaded {
        T x, r, p, q, m;
    };

    FASTSOFT_HD T begin(std::ptrdiff_t column) const {
        return static_cast<T>(numbers[column * kColumnSlots + kStepLength]);
    }
    FASTSOFT_HD Loaded load(std::ptrdiff_t column, std::ptrdiff_t i) const {
        const std::ptrdiff_t at = column * n + i;
        return {x[at], r[at], p[at], q[at], inverse_diagonal == nullptr ? T(1) : inverse_diagonal[i]};
    }
    FASTSOFT_HD void finish(std::ptrdiff_t column, std::ptrdiff_t i, const T& alpha, const Loaded& in,
                            double* sums) const {
        const std::ptrdiff_t at = column * n + i;
        const T value = in.r - alpha * in.q;
        x[at] = in.x + alpha * in.p;
        r[at] = value;
        sums[0] += static_cast<double>(value) * static_cast<double>(value);
        sums[1] += static_cast<double>(value) * static_cast<double>(in.m * value);
    }
};

// p = z; sum of r z. z is M r: inverse_diagonal r, or what a function made of r.
template <class T>
struct PcgStartBody {
    static constexpr int kSums = 1;
    static constexpr int kPerThread = 4;
    const T* r;
    const T* z;
    const T* inverse_diagonal;
    T* p;
    std::ptrdiff_t n;

    struct Loaded {
        T r, z;
    };

    FASTSOFT_HD Nothing begin(std::ptrdiff_t) const { return {}; }
    FASTSOFT_HD Loaded load(std::ptrdiff_t column, std::ptrdiff_t i) const {
        const std::ptrdiff_t at = column * n + i;
        return {r[at], inverse_diagonal == nullptr ? z[at] : inverse_diagonal[i] * z[at]};
    }
    FASTSOFT_HD void finish(std::ptrdiff_t column, std::ptrdiff_t i, const Nothing&, const Loaded& in,
                            double* sums) const {
        p[column * n + i] = in.z;
        sums[0] += static_cast<double>(in.r) * static_cast<double>(in.z);
    }
};

// p = z + beta p for a group of columns.
template <class T>
struct PcgDirectBody {
    static constexpr int kSums = 0;
    static constexpr int kPerThread = 4;
    const T* z;
    const T* inverse_diagonal;
    T* p;
    std::ptrdiff_t n;
    T beta[kColumnGroup];

    struct Loaded {
        T z, p;
    };

    FASTSOFT_HD T begin(std::ptrdiff_t column) const { return beta[column]; }
    FASTSOFT_HD Loaded load(std::ptrdiff_t column, std::ptrdiff_t i) const {
        const std::ptrdiff_t at = column * n + i;
        return {inverse_diagonal == nullptr ? z[at] : inverse_diagonal[i] * z[at], p[at]};
    }
    FASTSOFT_HD void finish(std::ptrdiff_t column, std::ptrdiff_t i, const T& factor, const Loaded& in, double*) const {
        p[column * n + i] = in.z + factor * in.p;
    }
};

}  // namespace fastsoft::detail
