// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

#include "fastsoft/core/block.hpp"
#include "fastsoft/core/csr.hpp"
#include "fastsoft/core/symmetric_operator.hpp"
#include "fastsoft/detail/each_block.hpp"

// Products, diagonals and Gershgorin's bounds of the terms of a symmetric operator. A term is a launch; the first one
// writes, the others add to what is there. Each element of a result is one sum in a fixed order. What a recurrence adds
// to a product costs no pass of its own (ProductFactors).
namespace fastsoft::detail {

// Row and column offset of a plane of the stencil, as arithmetic: kernels cannot index a table on the host, and the
// loops over k are unrolled.
FASTSOFT_HD constexpr int stencil_down(int k) {
    return k < 3 ? 0 : (k < 8 ? 1 : 2);
}
FASTSOFT_HD constexpr int stencil_right(int k) {
    return k < 3 ? k : (k < 8 ? k - 5 : k - 10);
}

template <class T>
FASTSOFT_HD void put_product(const ProductFactors<T>& factors, T product, const T& x, T& y) {
    T value = factors.product * product;
    if (factors.x != T(0)) {
        value += factors.x * x;
    }
    if (factors.y != T(0)) {
        value += factors.y * y;
    }
    y = value;
}

// Weights of plane k as the kernel gets them.
template <class T>
FASTSOFT_HD const T* stencil_plane(const StencilView<T>& stencil, int k) {
    return stencil.weights + k * (stencil.n_grid_rows * stencil.n_grid_cols);
}

// A product for up to Vectors vectors at a time, a thread per pixel: 25 weights are read once for all vectors of the
// group. Least bytes per pixel: 13 weights once per group, x read and y written once per vector, and read where it has
// a factor. The other twelve weights and the neighbours of x come from cache: tiles are nearly square for that.
template <class T, int Vectors>
struct StencilApplyBlock {
    static constexpr int kRows = 8;
    static constexpr int kCols = 32;
    static constexpr int kThreads = kRows * kCols;

    struct Arguments {
        StencilView<T> stencil;
        const T* x;  // (n_vectors, n)
        T* y;
        std::ptrdiff_t n_vectors;
        ProductFactors<T> factors;
    };

    using Shared = Nothing;
    using Registers = Nothing;

    FASTSOFT_HD static std::ptrdiff_t n_blocks(const Arguments& a) {
        return n_tiles(a) * divide_up(a.n_vectors, Vectors);
    }
    FASTSOFT_HD static int n_phases(const Arguments&) { return 1; }

    FASTSOFT_HD static void phase(int, const Arguments& a, Shared&, Registers&, std::ptrdiff_t block, int thread) {
        const std::ptrdiff_t n_rows = a.stencil.n_grid_rows;
        const std::ptrdiff_t n_cols = a.stencil.n_grid_cols;
        const std::ptrdiff_t n = n_rows * n_cols;
        const std::ptrdiff_t across = divide_up(n_cols, kCols);
        const std::ptrdiff_t tile = block % n_tiles(a);
        const std::ptrdiff_t row = tile / across * kRows + thread / kCols;
        const std::ptrdiff_t col = tile % across * kCols + thread % kCols;
        if (row >= n_rows || col >= n_cols) {
            return;
        }
        const std::ptrdiff_t first = block / n_tiles(a) * Vectors;
        const std::ptrdiff_t left = a.n_vectors - first;
        const int count = left < Vectors ? static_cast<int>(left) : Vectors;
        const std::ptrdiff_t pixel = row * n_cols + col;
        const T* const x = a.x + first * n + pixel;
        T* const y = a.y + first * n + pixel;

        T sum[Vectors];
        const T centre = stencil_plane(a.stencil, 0)[pixel];
        FASTSOFT_UNROLL(8)
        for (int v = 0; v < Vectors; ++v) {
            sum[v] = v < count ? centre * x[v * n] : T(0);
        }
        FASTSOFT_UNROLL(16)
        for (int k = 1; k < kStencilSize; ++k) {
            const int down = stencil_down(k);
            const int right = stencil_right(k);
            const std::ptrdiff_t step = down * n_cols + right;
            if (row + down < n_rows && col + right >= 0 && col + right < n_cols) {
                add_neighbour(sum, stencil_plane(a.stencil, k)[pixel], x + step, n, count);
            }
            if (row - down >= 0 && col - right >= 0 && col - right < n_cols) {
                add_neighbour(sum, stencil_plane(a.stencil, k)[pixel - step], x - step, n, count);
            }
        }
        FASTSOFT_UNROLL(8)
        for (int v = 0; v < Vectors; ++v) {
            if (v < count) {
                put_product(a.factors, sum[v], x[v * n], y[v * n]);
            }
        }
    }

private:
    FASTSOFT_HD static std::ptrdiff_t n_tiles(const Arguments& a) {
        return divide_up(a.stencil.n_grid_rows, kRows) * divide_up(a.stencil.n_grid_cols, kCols);
    }

    FASTSOFT_HD static void add_neighbour(T (&sum)[Vectors], T weight, const T* x, std::ptrdiff_t n, int count) {
        FASTSOFT_UNROLL(8)
        for (int v = 0; v < Vectors; ++v) {
            if (v < count) {
                sum[v] += weight * x[v * n];
            }
        }
    }
};

// A product for up to Vectors vectors at a time. kLanes threads share a row: neighbouring threads read
// neighbouring entries, and rows of hundreds of entries (the superpixels') do not hold up their block. Phases: sums of
// the lanes; their sum. Least bytes: an index and a value per entry, once per group of vectors, a row pointer, and per
// vector what x and y need; rows without entries cost their pointer alone when adding.
template <class T, int Vectors>
struct CsrApplyBlock {
    static constexpr int kLanes = 8;
    static constexpr int kRows = 32;
    static constexpr int kThreads = kLanes * kRows;

    struct Arguments {
        CsrView<T> csr;
        const T* x;  // (n_vectors, n)
        T* y;
        std::ptrdiff_t n_vectors;
        ProductFactors<T> factors;
    };

    struct Shared {
        T sum[Vectors][kThreads];
    };

    using Registers = Nothing;

    FASTSOFT_HD static std::ptrdiff_t n_blocks(const Arguments& a) {
        return row_blocks(a) * divide_up(a.n_vectors, Vectors);
    }
    FASTSOFT_HD static int n_phases(const Arguments&) { return 2; }

    FASTSOFT_HD static void phase(int phase, const Arguments& a, Shared& shared, Registers&, std::ptrdiff_t block,
                                  int thread) {
        const std::ptrdiff_t n = a.csr.n_rows;
        const std::ptrdiff_t row0 = block % row_blocks(a) * kRows;
        const std::ptrdiff_t first = block / row_blocks(a) * Vectors;
        const std::ptrdiff_t left = a.n_vectors - first;
        const int count = left < Vectors ? static_cast<int>(left) : Vectors;
        if (phase == 0) {
            if (row0 + thread / kLanes < n) {
                add_entries(a, shared, row0 + thread / kLanes, first, count, thread);
            }
            return;
        }
        // A thread per row and vector, neighbouring threads in neighbouring rows.
        const bool kept = a.factors.x == T(0) && a.factors.y == T(1);
        for (int i = thread; i < kRows * count; i += kThreads) {
            const std::ptrdiff_t row = row0 + i % kRows;
            const int v = i / kRows;
            if (row >= n || (kept && a.csr.indptr[row] == a.csr.indptr[row + 1])) {
                continue;
            }
            T sum = T(0);
            FASTSOFT_UNROLL(8)
            for (int lane = 0; lane < kLanes; ++lane) {
                sum += shared.sum[v][i % kRows * kLanes + lane];
            }
            const std::ptrdiff_t place = (first + v) * n + row;
            put_product(a.factors, sum, a.x[place], a.y[place]);
        }
    }

private:
    FASTSOFT_HD static std::ptrdiff_t row_blocks(const Arguments& a) { return divide_up(a.csr.n_rows, kRows); }

    FASTSOFT_HD static void add_entries(const Arguments& a, Shared& shared, std::ptrdiff_t row, std::ptrdiff_t first,
                                        int count, int thread) {
        const std::ptrdiff_t n = a.csr.n_rows;
        const T* const x = a.x + first * n;
        T sum[Vectors];
        FASTSOFT_UNROLL(8)
        for (int v = 0; v < Vectors; ++v) {
            sum[v] = T(0);
        }
        const std::int64_t end = a.csr.indptr[row + 1];
        for (std::int64_t e = a.csr.indptr[row] + thread % kLanes; e < end; e += kLanes) {
            const T value = a.csr.data[e];
            const std::ptrdiff_t column = a.csr.indices[e];
            FASTSOFT_UNROLL(8)
            for (int v = 0; v < Vectors; ++v) {
                if (v < count) {
                    sum[v] += value * x[v * n + column];
                }
            }
        }
        FASTSOFT_UNROLL(8)
        for (int v = 0; v < Vectors; ++v) {
            shared.sum[v][thread] = sum[v];
        }
    }
};

// What the rows of a matrix give: the diagonal, or Gershgorin's interval A[i, i] -+ sum of |A[i, j]|, j != i, as two
// vectors of n. A thread per row; done once per solve.
enum class RowQuantity { diagonal, interval };

template <class T, RowQuantity Quantity>
struct StencilRowsStep {
    struct Arguments {
        StencilView<T> stencil;
        T* out;  // (n) or (2, n): lower ends, upper ends
        bool add;
    };

    FASTSOFT_HD static std::ptrdiff_t size(const Arguments& a) { return a.stencil.n_grid_rows * a.stencil.n_grid_cols; }

    FASTSOFT_HD static void run(const Arguments& a, std::ptrdiff_t pixel) {
        const std::ptrdiff_t n = size(a);
        const T centre = a.stencil.weights[pixel];
        if constexpr (Quantity == RowQuantity::diagonal) {
            a.out[pixel] = a.add ? a.out[pixel] + centre : centre;
        } else {
            T radius = T(0);
            const std::ptrdiff_t row = pixel / a.stencil.n_grid_cols;
            const std::ptrdiff_t col = pixel % a.stencil.n_grid_cols;
            for (int k = 1; k < kStencilSize; ++k) {
                const std::ptrdiff_t before_row = row - stencil_down(k);
                const std::ptrdiff_t before_col = col - stencil_right(k);
                const T after = stencil_plane(a.stencil, k)[pixel];
                radius += after < T(0) ? -after : after;
                if (before_row >= 0 && before_col >= 0 && before_col < a.stencil.n_grid_cols) {
                    const T before = stencil_plane(a.stencil, k)[before_row * a.stencil.n_grid_cols + before_col];
                    radius += before < T(0) ? -before : before;
                }
            }
            a.out[pixel] = (a.add ? a.out[pixel] : T(0)) + (centre - radius);
            a.out[n + pixel] = (a.add ? a.out[n + pixel] : T(0)) + (centre + radius);
        }
    }
};

template <class T, RowQuantity Quantity>
using StencilRowsBlock = EachBlock<StencilRowsStep<T, Quantity>>;

template <class T, RowQuantity Quantity>
struct CsrRowsStep {
    struct Arguments {
        CsrView<T> csr;
        T* out;  // (n) or (2, n): lower ends, upper ends
        bool add;
    };

    FASTSOFT_HD static std::ptrdiff_t size(const Arguments& a) { return a.csr.n_rows; }

    FASTSOFT_HD static void run(const Arguments& a, std::ptrdiff_t row) {
        const std::ptrdiff_t n = size(a);
        T centre = T(0);
        T radius = T(0);
        for (std::int64_t e = a.csr.indptr[row]; e < a.csr.indptr[row + 1]; ++e) {
            const T value = a.csr.data[e];
            if (a.csr.indices[e] == row) {
                centre += value;
            } else {
                radius += value < T(0) ? -value : value;
            }
        }
        if constexpr (Quantity == RowQuantity::diagonal) {
            a.out[row] = a.add ? a.out[row] + centre : centre;
        } else {
            a.out[row] = (a.add ? a.out[row] : T(0)) + (centre - radius);
            a.out[n + row] = (a.add ? a.out[n + row] : T(0)) + (centre + radius);
        }
    }
};

template <class T, RowQuantity Quantity>
using CsrRowsBlock = EachBlock<CsrRowsStep<T, Quantity>>;

// Vectors of a group: as many as there are, up to 8, whose sums stay in registers.
template <class Body>
void with_group_size(std::ptrdiff_t n_vectors, Body&& body) {
    if (n_vectors <= 1) {
        body.template operator()<1>();
    } else if (n_vectors == 2) {
        body.template operator()<2>();
    } else if (n_vectors <= 4) {
        body.template operator()<4>();
    } else {
        body.template operator()<8>();
    }
}

// y = product A x + x x + y y for n_vectors vectors.
template <class T, class Launch>
void run_apply(const SymmetricOperator<T>& a, const T* x, T* y, std::ptrdiff_t n_vectors,
               const ProductFactors<T>& factors, const Launch& launch) {
    with_group_size(n_vectors, [&]<int Vectors>() {
        ProductFactors<T> own = factors;
        for (const auto& stencil : a.stencils) {
            run_kernel<StencilApplyBlock<T, Vectors>>(launch, {stencil, x, y, n_vectors, own});
            own = {factors.product, T(0), T(1)};
        }
        for (const auto& csr : a.csrs) {
            run_kernel<CsrApplyBlock<T, Vectors>>(launch, {csr, x, y, n_vectors, own});
            own = {factors.product, T(0), T(1)};
        }
    });
}

// The diagonal, (n), or Gershgorin's intervals, (2, n).
template <RowQuantity Quantity, class T, class Launch>
void run_rows(const SymmetricOperator<T>& a, T* out, const Launch& launch) {
    bool add = false;
    for (const auto& stencil : a.stencils) {
        run_kernel<StencilRowsBlock<T, Quantity>>(launch, {stencil, out, add});
        add = true;
    }
    for (const auto& csr : a.csrs) {
        run_kernel<CsrRowsBlock<T, Quantity>>(launch, {csr, out, add});
        add = true;
    }
}

}  // namespace fastsoft::detail
