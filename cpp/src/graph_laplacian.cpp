// SPDX-License-Identifier: MIT
#include "fastsoft/graph_laplacian.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "fastsoft/core/error.hpp"
#include "fastsoft/core/parallel.hpp"
#include "fastsoft/detail/graph_laplacian_row.hpp"

namespace fastsoft {
namespace {

constexpr std::ptrdiff_t kGrain = 4096;  // matrix rows per task

// Whether row i has a diagonal entry. Columns are sorted.
template <class T>
bool has_diagonal(const CsrView<T>& csr, std::ptrdiff_t i) {
    return std::binary_search(csr.indices + csr.indptr[i], csr.indices + csr.indptr[i + 1],
                              static_cast<std::int32_t>(i));
}

template <class T>
std::int64_t laplacian_row_entries(const CsrView<T>& csr, std::ptrdiff_t i) {
    const std::int64_t count = csr.indptr[i + 1] - csr.indptr[i];
    return count + (count > 0 && !has_diagonal(csr, i) ? 1 : 0);
}

template <class T, class Body>
void for_each_grid_row(const StencilView<T>& stencil, const Body& body) {
    const std::ptrdiff_t grain = std::max<std::ptrdiff_t>(1, kGrain / std::max<std::ptrdiff_t>(1, stencil.n_grid_cols));
    parallel_for(stencil.n_grid_rows, grain, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
        for (std::ptrdiff_t row = begin; row < end; ++row) {
            body(row);
        }
    });
}

// sum[c] += value(w) of every off-diagonal entry w of the matrix rows of one grid row. Entries that leave the grid are
// 0.
template <class T, class Value>
void add_neighbours(const StencilView<T>& stencil, std::ptrdiff_t row, double* sum, const Value& value) {
    const std::ptrdiff_t n_cols = stencil.n_grid_cols;
    for (int k = 1; k < kStencilSize; ++k) {
        const std::ptrdiff_t dr = kStencilRowOffset[k];
        const std::ptrdiff_t dc = kStencilColOffset[k];
        const T* const after = stencil.plane(k) + row * n_cols;
        for (std::ptrdiff_t c = 0; c < n_cols; ++c) {
            sum[c] += value(static_cast<double>(after[c]));
        }
        if (row >= dr) {
            const T* const before = stencil.plane(k) + (row - dr) * n_cols;
            const std::ptrdiff_t end = n_cols + std::min<std::ptrdiff_t>(dc, 0);
            for (std::ptrdiff_t c = std::max<std::ptrdiff_t>(dc, 0); c < end; ++c) {
                sum[c] += value(static_cast<double>(before[c - dc]));
            }
        }
    }
}

}  // namespace

template <class T>
void affinity_degrees(const SymmetricOperator<T>& affinity, double* sums, double* magnitudes) {
    std::fill(sums, sums + affinity.n, 0.0);
    std::fill(magnitudes, magnitudes + affinity.n, 0.0);
    for (const StencilView<T>& stencil : affinity.stencils) {
        for_each_grid_row(stencil, [&](std::ptrdiff_t row) {
            const std::ptrdiff_t first = row * stencil.n_grid_cols;
            for (std::ptrdiff_t i = first; i < first + stencil.n_grid_cols; ++i) {
                const auto own = static_cast<double>(stencil.plane(0)[i]);
                sums[i] += own;
                magnitudes[i] += std::abs(own);
            }
            add_neighbours(stencil, row, sums + first, [](double w) { return w; });
            add_neighbours(stencil, row, magnitudes + first, [](double w) { return std::abs(w); });
        });
    }
    for (const CsrView<T>& csr : affinity.csrs) {
        parallel_for(csr.n_rows, kGrain, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
            for (std::ptrdiff_t i = begin; i < end; ++i) {
                for (std::int64_t e = csr.indptr[i]; e < csr.indptr[i + 1]; ++e) {
                    const auto w = static_cast<double>(csr.data[e]);
                    sums[i] += w;
                    magnitudes[i] += std::abs(w);
                }
            }
        });
    }
}

template <class T>
void weighted_sum(const CsrView<T>& first, double first_factor, const CsrView<T>& second, double second_factor,
                  const CsrOutput<T>& out) {
    FASTSOFT_EXPECTS(first.n_rows == second.n_rows, "matrices must have one number of rows, got ", first.n_rows,
                     " and ", second.n_rows);
    const auto over_row = [&](std::ptrdiff_t i, const auto& put) {
        detail::over_summed_row(first, static_cast<T>(first_factor), second, static_cast<T>(second_factor), i, put);
    };
    std::int64_t* const indptr = out.indptr;
    indptr[0] = 0;
    parallel_for(first.n_rows, kGrain, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
        for (std::ptrdiff_t i = begin; i < end; ++i) {
            std::int64_t count = 0;
            over_row(i, [&](std::int32_t, T) { ++count; });
            indptr[i + 1] = count;
        }
    });
    for (std::ptrdiff_t i = 0; i < first.n_rows; ++i) {
        indptr[i + 1] += indptr[i];
    }
    std::int32_t* const indices = out.indices(indptr[first.n_rows]);
    T* const data = out.data(indptr[first.n_rows]);
    parallel_for(first.n_rows, kGrain, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
        for (std::ptrdiff_t i = begin; i < end; ++i) {
            std::int64_t place = indptr[i];
            over_row(i, [&](std::int32_t col, T value) {
                indices[place] = col;
                data[place] = value;
                ++place;
            });
        }
    });
}

template <class T>
void graph_laplacian_csr(const CsrView<T>& affinity, const double* scale, const CsrOutput<T>& out) {
    std::int64_t* const indptr = out.indptr;
    indptr[0] = 0;
    for (std::ptrdiff_t i = 0; i < affinity.n_rows; ++i) {
        indptr[i + 1] = indptr[i] + laplacian_row_entries(affinity, i);
    }
    std::int32_t* const indices = out.indices(indptr[affinity.n_rows]);
    T* const data = out.data(indptr[affinity.n_rows]);
    parallel_for(affinity.n_rows, kGrain, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
        for (std::ptrdiff_t i = begin; i < end; ++i) {
            if (indptr[i] < indptr[i + 1]) {
                detail::over_laplacian_row(affinity, scale, i, indptr[i],
                                           [&](std::int64_t place, std::int32_t col, T value) {
                                               indices[place] = col;
                                               data[place] = value;
                                           });
            }
        }
    });
}

template <class T>
void graph_laplacian_stencil(const StencilView<T>& affinity, const double* scale, T* weights) {
    const std::ptrdiff_t n = affinity.size();
    const std::ptrdiff_t n_cols = affinity.n_grid_cols;
    for_each_grid_row(affinity, [&](std::ptrdiff_t row) {
        const std::ptrdiff_t first = row * n_cols;
        std::vector<double> sum(static_cast<std::size_t>(n_cols));
        add_neighbours(affinity, row, sum.data(), [](double w) { return w; });
        for (std::ptrdiff_t c = 0; c < n_cols; ++c) {
            const double own_scale = scale == nullptr ? 1.0 : scale[first + c];
            weights[first + c] = static_cast<T>(sum[static_cast<std::size_t>(c)] * (own_scale * own_scale));
        }
        for (int k = 1; k < kStencilSize; ++k) {
            const std::ptrdiff_t dc = kStencilColOffset[k];
            const std::ptrdiff_t other = first + kStencilRowOffset[k] * n_cols + dc;
            const T* const from = affinity.plane(k) + first;
            T* const to = weights + k * n + first;
            // Subtracting from 0 rather than negating: what leaves the grid stays +0.
            if (scale == nullptr) {
                for (std::ptrdiff_t c = 0; c < n_cols; ++c) {
                    to[c] = T(0) - from[c];
                }
                continue;
            }
            std::fill(to, to + n_cols, T(0));
            const bool inside = row + kStencilRowOffset[k] < affinity.n_grid_rows;
            const std::ptrdiff_t end = inside ? n_cols - std::max<std::ptrdiff_t>(dc, 0) : 0;
            for (std::ptrdiff_t c = std::max<std::ptrdiff_t>(-dc, 0); c < end; ++c) {
                to[c] = static_cast<T>(0.0 - static_cast<double>(from[c]) * (scale[first + c] * scale[other + c]));
            }
        }
    });
}

#define FASTSOFT_INSTANTIATE(T)                                                                            \
    template void affinity_degrees(const SymmetricOperator<T>&, double*, double*);                         \
    template void weighted_sum(const CsrView<T>&, double, const CsrView<T>&, double, const CsrOutput<T>&); \
    template void graph_laplacian_csr(const CsrView<T>&, const double*, const CsrOutput<T>&);              \
    template void graph_laplacian_stencil(const StencilView<T>&, const double*, T*)

FASTSOFT_INSTANTIATE(float);
FASTSOFT_INSTANTIATE(double);

}  // namespace fastsoft
