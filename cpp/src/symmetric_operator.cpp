// SPDX-License-Identifier: MIT
#include "fastsoft/core/symmetric_operator.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "fastsoft/core/parallel.hpp"

namespace fastsoft {
namespace {

constexpr std::ptrdiff_t kRowGrain = 4096;

// One output pixel with every bounds check; used for the two columns at either side.
template <class T>
T stencil_pixel(const StencilView<T>& stencil, const T* x, std::ptrdiff_t row, std::ptrdiff_t col) {
    const std::ptrdiff_t n_rows = stencil.n_grid_rows;
    const std::ptrdiff_t n_cols = stencil.n_grid_cols;
    const std::ptrdiff_t pixel = row * n_cols + col;
    T sum = stencil.plane(0)[pixel] * x[pixel];
    for (int k = 1; k < kStencilSize; ++k) {
        const std::ptrdiff_t dr = kStencilRowOffset[k];
        const std::ptrdiff_t dc = kStencilColOffset[k];
        if (row + dr < n_rows && col + dc >= 0 && col + dc < n_cols) {
            sum += stencil.plane(k)[pixel] * x[pixel + dr * n_cols + dc];
        }
        if (row - dr >= 0 && col - dc >= 0 && col - dc < n_cols) {
            const std::ptrdiff_t other = pixel - dr * n_cols - dc;
            sum += stencil.plane(k)[other] * x[other];
        }
    }
    return sum;
}

// y[c] += forward and backward neighbours that lie dr rows away, for the columns whose stencil stays inside.
// Five columns of neighbours in one pass keep y in registers; the loop vectorises.
template <class T>
void add_rows_below(const StencilView<T>& stencil, const T* x, T* y, std::ptrdiff_t row, int dr) {
    const std::ptrdiff_t n_cols = stencil.n_grid_cols;
    const std::ptrdiff_t here = row * n_cols;
    const T* const xs = x + here + dr * n_cols;
    const int k = dr == 1 ? 3 : 8;
    const T* const w0 = stencil.plane(k) + here;
    const T* const w1 = stencil.plane(k + 1) + here;
    const T* const w2 = stencil.plane(k + 2) + here;
    const T* const w3 = stencil.plane(k + 3) + here;
    const T* const w4 = stencil.plane(k + 4) + here;
#pragma GCC ivdep
    for (std::ptrdiff_t c = 2; c < n_cols - 2; ++c) {
        y[c] += w0[c] * xs[c - 2] + w1[c] * xs[c - 1] + w2[c] * xs[c] + w3[c] * xs[c + 1] + w4[c] * xs[c + 2];
    }
}

template <class T>
void add_rows_above(const StencilView<T>& stencil, const T* x, T* y, std::ptrdiff_t row, int dr) {
    const std::ptrdiff_t n_cols = stencil.n_grid_cols;
    const std::ptrdiff_t there = (row - dr) * n_cols;
    const T* const xs = x + there;
    const int k = dr == 1 ? 3 : 8;
    const T* const w0 = stencil.plane(k) + there;
    const T* const w1 = stencil.plane(k + 1) + there;
    const T* const w2 = stencil.plane(k + 2) + there;
    const T* const w3 = stencil.plane(k + 3) + there;
    const T* const w4 = stencil.plane(k + 4) + there;
#pragma GCC ivdep
    for (std::ptrdiff_t c = 2; c < n_cols - 2; ++c) {
        y[c] += w0[c + 2] * xs[c + 2] + w1[c + 1] * xs[c + 1] + w2[c] * xs[c] + w3[c - 1] * xs[c - 1] +
                w4[c - 2] * xs[c - 2];
    }
}

template <class T>
void stencil_row(const StencilView<T>& stencil, const T* x, T* y, std::ptrdiff_t row) {
    const std::ptrdiff_t n_rows = stencil.n_grid_rows;
    const std::ptrdiff_t n_cols = stencil.n_grid_cols;
    for (std::ptrdiff_t c = 0; c < n_cols; ++c) {
        if (c == 2 && n_cols > 4) {
            c = n_cols - 2;
        }
        y[c] = stencil_pixel(stencil, x, row, c);
    }
    const T* const xs = x + row * n_cols;
    const T* const diagonal = stencil.plane(0) + row * n_cols;
    const T* const w1 = stencil.plane(1) + row * n_cols;
    const T* const w2 = stencil.plane(2) + row * n_cols;
#pragma GCC ivdep
    for (std::ptrdiff_t c = 2; c < n_cols - 2; ++c) {
        y[c] =
            diagonal[c] * xs[c] + w1[c] * xs[c + 1] + w2[c] * xs[c + 2] + w1[c - 1] * xs[c - 1] + w2[c - 2] * xs[c - 2];
    }
    for (int dr = 1; dr <= kStencilRadius; ++dr) {
        if (row + dr < n_rows) {
            add_rows_below(stencil, x, y, row, dr);
        }
        if (row - dr >= 0) {
            add_rows_above(stencil, x, y, row, dr);
        }
    }
}

template <class T>
void stencil_apply(const StencilView<T>& stencil, const T* x, T* y, std::ptrdiff_t n_vectors) {
    const std::ptrdiff_t n = stencil.size();
    const std::ptrdiff_t grain =
        std::max<std::ptrdiff_t>(1, kRowGrain / std::max<std::ptrdiff_t>(1, stencil.n_grid_cols));
    parallel_for(stencil.n_grid_rows, grain, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
        for (std::ptrdiff_t row = begin; row < end; ++row) {
            for (std::ptrdiff_t v = 0; v < n_vectors; ++v) {
                stencil_row(stencil, x + v * n, y + v * n + row * stencil.n_grid_cols, row);
            }
        }
    });
}

template <class T, bool Add>
void csr_apply(const CsrView<T>& csr, const T* x, T* y, std::ptrdiff_t n_vectors) {
    const std::ptrdiff_t n = csr.n_rows;
    parallel_for(n, kRowGrain, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
        for (std::ptrdiff_t i = begin; i < end; ++i) {
            const std::int64_t first = csr.indptr[i];
            const std::int64_t last = csr.indptr[i + 1];
            if (Add && first == last) {
                continue;
            }
            for (std::ptrdiff_t v = 0; v < n_vectors; ++v) {
                const T* const xs = x + v * n;
                T sum = Add ? y[v * n + i] : T(0);
                for (std::int64_t e = first; e < last; ++e) {
                    sum += csr.data[e] * xs[csr.indices[e]];
                }
                y[v * n + i] = sum;
            }
        }
    });
}

}  // namespace

template <class T>
void SymmetricOperator<T>::apply(const T* x, T* y, std::ptrdiff_t n_vectors) const {
    bool add = false;
    for (const auto& stencil : stencils) {
        if (add) {
            // A second stencil is rare enough for a temporary.
            std::vector<T> sum(static_cast<std::size_t>(n * n_vectors));
            stencil_apply(stencil, x, sum.data(), n_vectors);
            for (std::ptrdiff_t i = 0; i < n * n_vectors; ++i) {
                y[i] += sum[static_cast<std::size_t>(i)];
            }
        } else {
            stencil_apply(stencil, x, y, n_vectors);
        }
        add = true;
    }
    for (const auto& csr : csrs) {
        if (add) {
            csr_apply<T, true>(csr, x, y, n_vectors);
        } else {
            csr_apply<T, false>(csr, x, y, n_vectors);
        }
        add = true;
    }
}

template <class T>
void SymmetricOperator<T>::diagonal(T* out) const {
    std::fill(out, out + n, T(0));
    for (const auto& stencil : stencils) {
        for (std::ptrdiff_t i = 0; i < n; ++i) {
            out[i] += stencil.plane(0)[i];
        }
    }
    for (const auto& csr : csrs) {
        for (std::ptrdiff_t i = 0; i < n; ++i) {
            for (std::int64_t e = csr.indptr[i]; e < csr.indptr[i + 1]; ++e) {
                if (csr.indices[e] == i) {
                    out[i] += csr.data[e];
                }
            }
        }
    }
}

template <class T>
void SymmetricOperator<T>::spectrum_bounds(T* lower, T* upper) const {
    std::vector<T> centre(static_cast<std::size_t>(n));
    std::vector<T> radius(static_cast<std::size_t>(n), T(0));
    diagonal(centre.data());
    for (const auto& stencil : stencils) {
        const std::ptrdiff_t n_cols = stencil.n_grid_cols;
        for (int k = 1; k < kStencilSize; ++k) {
            const std::ptrdiff_t step = kStencilRowOffset[k] * n_cols + kStencilColOffset[k];
            const T* const w = stencil.plane(k);
            // Weights that leave the grid are 0, also where the step wraps into the next row.
            for (std::ptrdiff_t i = 0; i + step < n; ++i) {
                const T magnitude = std::abs(w[i]);
                radius[static_cast<std::size_t>(i)] += magnitude;
                radius[static_cast<std::size_t>(i + step)] += magnitude;
            }
        }
    }
    for (const auto& csr : csrs) {
        for (std::ptrdiff_t i = 0; i < n; ++i) {
            for (std::int64_t e = csr.indptr[i]; e < csr.indptr[i + 1]; ++e) {
                if (csr.indices[e] != i) {
                    radius[static_cast<std::size_t>(i)] += std::abs(csr.data[e]);
                }
            }
        }
    }
    *lower = std::numeric_limits<T>::max();
    *upper = std::numeric_limits<T>::lowest();
    for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i) {
        *lower = std::min(*lower, centre[i] - radius[i]);
        *upper = std::max(*upper, centre[i] + radius[i]);
    }
}

template struct SymmetricOperator<float>;
template struct SymmetricOperator<double>;

}  // namespace fastsoft
