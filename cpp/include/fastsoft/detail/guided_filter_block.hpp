// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>

#include "fastsoft/core/block.hpp"
#include "fastsoft/core/view.hpp"
#include "fastsoft/detail/grid_neighbours.hpp"
#include "fastsoft/detail/guided_filter_pixel.hpp"
#include "fastsoft/detail/line_sums.hpp"

// The guided filter as six stages of line sums (line_sums.hpp): window sums of the guide and its products over columns,
// then over rows, which ends in the guide's statistics; of source and source times guide, which ends in coefficients;
// of coefficients, which ends in the result.
namespace fastsoft::detail {

// Planes (n_slices, Q, H, W) in a workspace.
template <class T, int Q>
struct GuidedPlanes {
    T* data;
    std::ptrdiff_t n_rows;
    std::ptrdiff_t n_cols;

    FASTSOFT_HD std::ptrdiff_t step() const { return n_rows * n_cols; }
    FASTSOFT_HD T* at(std::ptrdiff_t slice, std::ptrdiff_t row, std::ptrdiff_t col) const {
        return data + (slice * Q * n_rows + row) * n_cols + col;
    }
    FASTSOFT_HD void load(std::ptrdiff_t slice, std::ptrdiff_t row, std::ptrdiff_t col, T (&values)[Q]) const {
        const T* const from = at(slice, row, col);
        FASTSOFT_UNROLL(16)
        for (int q = 0; q < Q; ++q) {
            values[q] = from[q * step()];
        }
    }
    FASTSOFT_HD void store(std::ptrdiff_t slice, std::ptrdiff_t row, std::ptrdiff_t col, const T (&values)[Q]) const {
        T* const to = at(slice, row, col);
        FASTSOFT_UNROLL(16)
        for (int q = 0; q < Q; ++q) {
            to[q * step()] = values[q];
        }
    }
};

struct GuidedGrid {
    std::ptrdiff_t n_rows;
    std::ptrdiff_t n_cols;
    std::ptrdiff_t row_radius;
    std::ptrdiff_t col_radius;
};

// Extents and radius of a stage that sums along columns (down) or rows.
template <bool AlongRows>
struct GuidedStage {
    static constexpr int kThreads = 256;
    static constexpr bool kAlongRows = AlongRows;
    static constexpr bool kMirrored = false;
    std::ptrdiff_t before;
    std::ptrdiff_t after;
    std::ptrdiff_t n_along;
    std::ptrdiff_t n_across;
    std::ptrdiff_t n_slices;

    FASTSOFT_HD GuidedStage(const GuidedGrid& grid, std::ptrdiff_t slices)
        : before(AlongRows ? grid.col_radius : grid.row_radius),
          after(before),
          n_along(AlongRows ? grid.n_cols : grid.n_rows),
          n_across(AlongRows ? grid.n_rows : grid.n_cols),
          n_slices(slices) {}
};

// Sums over columns, which go to planes of their own; these are the pass's scratch memory, too.
template <class Sum_, int Q>
struct GuidedColumns : GuidedStage<false> {
    using Sum = Sum_;
    static constexpr int kQuantities = Q;
    GuidedPlanes<Sum, Q> sums;

    FASTSOFT_HD GuidedColumns(const GuidedGrid& grid, std::ptrdiff_t slices, Sum* sums_)
        : GuidedStage(grid, slices), sums{sums_, grid.n_rows, grid.n_cols} {}

    FASTSOFT_HD Sum* scratch(std::ptrdiff_t slice, std::ptrdiff_t row, std::ptrdiff_t col) const {
        return sums.at(slice, row, col);
    }
    FASTSOFT_HD std::ptrdiff_t scratch_step() const { return sums.step(); }
    FASTSOFT_HD void store(std::ptrdiff_t slice, std::ptrdiff_t row, std::ptrdiff_t col, const Sum (&values)[Q]) const {
        sums.store(slice, row, col, values);
    }
};

// Sums of these over rows, with other planes as scratch memory.
template <class Sum_, int Q>
struct GuidedRows : GuidedStage<true> {
    using Sum = Sum_;
    static constexpr int kQuantities = Q;
    GuidedPlanes<Sum, Q> columns;
    GuidedPlanes<Sum, Q> spare;

    FASTSOFT_HD GuidedRows(const GuidedGrid& grid, std::ptrdiff_t slices, Sum* columns_, Sum* spare_)
        : GuidedStage(grid, slices),
          columns{columns_, grid.n_rows, grid.n_cols},
          spare{spare_, grid.n_rows, grid.n_cols} {}

    FASTSOFT_HD void load(std::ptrdiff_t slice, std::ptrdiff_t row, std::ptrdiff_t col, Sum (&values)[Q]) const {
        columns.load(slice, row, col, values);
    }
    FASTSOFT_HD Sum* scratch(std::ptrdiff_t slice, std::ptrdiff_t row, std::ptrdiff_t col) const {
        return spare.at(slice, row, col);
    }
    FASTSOFT_HD std::ptrdiff_t scratch_step() const { return spare.step(); }
};

template <int G>
inline constexpr int kGuideSums = G + G * (G + 1) / 2;

// Guide and products of its channels, summed over columns in double.
template <class T, int G>
struct GuideColumns : GuidedColumns<double, kGuideSums<G>> {
    View<const T, 3> guide;

    FASTSOFT_HD GuideColumns(const GuidedGrid& grid, const View<const T, 3>& guide_, double* sums_)
        : GuidedColumns<double, kGuideSums<G>>(grid, 1, sums_), guide(guide_) {}

    FASTSOFT_HD void load(std::ptrdiff_t, std::ptrdiff_t row, std::ptrdiff_t col,
                          double (&values)[kGuideSums<G>]) const {
        int product = G;
        FASTSOFT_UNROLL(3)
        for (int i = 0; i < G; ++i) {
            values[i] = static_cast<double>(guide(row, col, i));
        }
        FASTSOFT_UNROLL(3)
        for (int i = 0; i < G; ++i) {
            FASTSOFT_UNROLL(3)
            for (int j = i; j < G; ++j) {
                values[product++] = values[i] * values[j];
            }
        }
    }
};

// These summed over rows: statistics.
template <class T, int G>
struct GuideRows : GuidedRows<double, kGuideSums<G>> {
    GuidedGrid grid;
    double epsilon;
    GuideStatistics<T, G>* statistics;

    FASTSOFT_HD GuideRows(const GuidedGrid& grid_, double* columns_, double* spare_, double epsilon_,
                          GuideStatistics<T, G>* statistics_)
        : GuidedRows<double, kGuideSums<G>>(grid_, 1, columns_, spare_),
          grid(grid_),
          epsilon(epsilon_),
          statistics(statistics_) {}

    FASTSOFT_HD void store(std::ptrdiff_t, std::ptrdiff_t row, std::ptrdiff_t col,
                           const double (&sums)[kGuideSums<G>]) const {
        const auto count = static_cast<double>(n_neighbours(row, grid.n_rows, grid.row_radius) *
                                               n_neighbours(col, grid.n_cols, grid.col_radius));
        guide_statistics<T, G>(sums, count, epsilon, statistics[row * grid.n_cols + col]);
    }
};

// Source and source times guide, summed over columns. A slice is a channel of the source.
template <class T, int G>
struct ProductColumns : GuidedColumns<T, G + 1> {
    View<const T, 3> guide;
    View<const T, 3> source;
    std::ptrdiff_t first_channel;
    bool clipped;
    T clip;
    int* not_finite;  // becomes 1 if a value of the source is NaN or infinite

    FASTSOFT_HD ProductColumns(const GuidedGrid& grid, std::ptrdiff_t n_channels, const View<const T, 3>& guide_,
                               const View<const T, 3>& source_, std::ptrdiff_t first_channel_, bool clipped_, T clip_,
                               int* not_finite_, T* sums_)
        : GuidedColumns<T, G + 1>(grid, n_channels, sums_),
          guide(guide_),
          source(source_),
          first_channel(first_channel_),
          clipped(clipped_),
          clip(clip_),
          not_finite(not_finite_) {}

    FASTSOFT_HD void load(std::ptrdiff_t slice, std::ptrdiff_t row, std::ptrdiff_t col, T (&values)[G + 1]) const {
        T value = source(row, col, first_channel + slice);
        if (!is_finite_number(value)) {
            *not_finite = 1;  // whichever thread: all write the same
        }
        if (clipped) {
            value = value > clip ? clip : value;
            value = value < -clip ? -clip : value;
        }
        values[0] = value;
        FASTSOFT_UNROLL(3)
        for (int i = 0; i < G; ++i) {
            values[1 + i] = value * guide(row, col, i);
        }
    }
};

// These summed over rows: coefficients (b, a_1, ..), in the scratch planes.
template <class T, int G>
struct CoefficientRows : GuidedRows<T, G + 1> {
    const GuideStatistics<T, G>* statistics;

    FASTSOFT_HD CoefficientRows(const GuidedGrid& grid, std::ptrdiff_t n_channels, T* columns_,
                                const GuideStatistics<T, G>* statistics_, T* out)
        : GuidedRows<T, G + 1>(grid, n_channels, columns_, out), statistics(statistics_) {}

    FASTSOFT_HD void store(std::ptrdiff_t slice, std::ptrdiff_t row, std::ptrdiff_t col, const T (&sums)[G + 1]) const {
        T coefficients[G + 1];
        guided_coefficients<T, G>(statistics[row * this->spare.n_cols + col], sums, coefficients);
        this->spare.store(slice, row, col, coefficients);
    }
};

// Coefficients summed over columns.
template <class T, int G>
struct CoefficientColumns : GuidedColumns<T, G + 1> {
    GuidedPlanes<T, G + 1> coefficients;

    FASTSOFT_HD CoefficientColumns(const GuidedGrid& grid, std::ptrdiff_t n_channels, T* coefficients_, T* sums_)
        : GuidedColumns<T, G + 1>(grid, n_channels, sums_), coefficients{coefficients_, grid.n_rows, grid.n_cols} {}

    FASTSOFT_HD void load(std::ptrdiff_t slice, std::ptrdiff_t row, std::ptrdiff_t col, T (&values)[G + 1]) const {
        coefficients.load(slice, row, col, values);
    }
};

// These summed over rows: the result.
template <class T, int G>
struct ValueRows : GuidedRows<T, G + 1> {
    View<const T, 3> guide;
    const GuideStatistics<T, G>* statistics;
    View<T, 3> out;
    std::ptrdiff_t first_channel;

    FASTSOFT_HD ValueRows(const GuidedGrid& grid, std::ptrdiff_t n_channels, T* columns_, T* spare_,
                          const View<const T, 3>& guide_, const GuideStatistics<T, G>* statistics_,
                          const View<T, 3>& out_, std::ptrdiff_t first_channel_)
        : GuidedRows<T, G + 1>(grid, n_channels, columns_, spare_),
          guide(guide_),
          statistics(statistics_),
          out(out_),
          first_channel(first_channel_) {}

    FASTSOFT_HD void store(std::ptrdiff_t slice, std::ptrdiff_t row, std::ptrdiff_t col, const T (&sums)[G + 1]) const {
        T color[G];
        FASTSOFT_UNROLL(3)
        for (int i = 0; i < G; ++i) {
            color[i] = guide(row, col, i);
        }
        T value;
        guided_value<T, G>(sums, color, statistics[row * this->columns.n_cols + col].inverse_count, value);
        out(row, col, first_channel + slice) = value;
    }
};

// Everything the stages need, and their order.
template <class T, int G>
struct GuidedFilterRun {
    GuidedGrid grid;
    View<const T, 3> guide;
    View<const T, 3> source;
    View<T, 3> out;
    double epsilon;
    bool clipped;
    T clip;
    int* not_finite;
    GuideStatistics<T, G>* statistics;  // (H, W)

    // Doubles of the two workspaces of guide_stages, and Ts of those of channel_stages, per pixel and channel.
    static constexpr int kGuideNumbers = kGuideSums<G>;
    static constexpr int kChannelNumbers = G + 1;

    template <class Launch>
    void guide_stages(double* first, double* second, const Launch& launch) const {
        run_kernel<LineSumsBlock<GuideColumns<T, G>>>(launch, {grid, guide, first});
        run_kernel<LineSumsBlock<GuideRows<T, G>>>(launch, {grid, first, second, epsilon, statistics});
    }

    template <class Launch>
    void channel_stages(std::ptrdiff_t channel, std::ptrdiff_t n_channels, T* first, T* second,
                        const Launch& launch) const {
        run_kernel<LineSumsBlock<ProductColumns<T, G>>>(
            launch, {grid, n_channels, guide, source, channel, clipped, clip, not_finite, first});
        run_kernel<LineSumsBlock<CoefficientRows<T, G>>>(launch, {grid, n_channels, first, statistics, second});
        run_kernel<LineSumsBlock<CoefficientColumns<T, G>>>(launch, {grid, n_channels, second, first});
        run_kernel<LineSumsBlock<ValueRows<T, G>>>(launch,
                                                   {grid, n_channels, first, second, guide, statistics, out, channel});
    }
};

}  // namespace fastsoft::detail
