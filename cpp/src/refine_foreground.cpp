// SPDX-License-Identifier: MIT
#include "fastsoft/refine_foreground.hpp"

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "fastsoft/core/parallel.hpp"
#include "fastsoft/detail/checkerboard.hpp"
#include "fastsoft/detail/refine_foreground_checks.hpp"
#include "fastsoft/detail/refine_foreground_pixel.hpp"

namespace fastsoft {
namespace {

using detail::Checkerboard;
using detail::interpolated;
using detail::LinearTap;
using std::ptrdiff_t;

// Positions of half a row that are skipped together where nothing changes any more.
constexpr ptrdiff_t kBlock = 32;
// Pixels of a chunk of rows; smaller levels run in one thread, since waking others takes as long as the work.
constexpr ptrdiff_t kChunkPixels = 16384;

constexpr ptrdiff_t kAlphaPlane = 0;
constexpr ptrdiff_t kQPlane = 0;
constexpr ptrdiff_t kScalePlane = 1;

std::vector<LinearTap> linear_taps(ptrdiff_t n_to, ptrdiff_t n_from) {
    std::vector<LinearTap> taps(static_cast<std::size_t>(n_to));
    for (ptrdiff_t i = 0; i < n_to; ++i) {
        taps[static_cast<std::size_t>(i)] = detail::linear_tap(i, n_to, n_from);
    }
    return taps;
}

ptrdiff_t row_grain(ptrdiff_t n_cols) {
    return std::max<ptrdiff_t>(1, kChunkPixels / n_cols);
}

// Colours of half a row with those around it, for one channel.
template <class T>
struct HalfRow {
    const T* data;
    const T* left;
    const T* right;
    const T* up;
    const T* down;
    T* out;
};

template <class T>
struct HalfWeights {
    const T* scale;
    const T* q;
    const T* left;
    const T* right;
    const T* up;
    const T* down;
};

template <class T>
void update_range(const HalfWeights<T>& weights, const HalfRow<T>& row, ptrdiff_t begin, ptrdiff_t end) {
    // `up` and `down` are `out` itself where the grid has a single row: each position then reads itself only.
#pragma GCC ivdep
    for (ptrdiff_t k = begin; k < end; ++k) {
        row.out[k] = detail::refined(row.data[k], weights.scale[k], weights.q[k], weights.left[k], weights.right[k],
                                     weights.up[k], weights.down[k], row.left[k], row.right[k], row.up[k], row.down[k]);
    }
}

template <class T>
class Level {
public:
    Level(const View<const T, 3>& foreground, const View<const T, 2>& alpha, ptrdiff_t n_rows, ptrdiff_t n_cols,
          T kappa)
        : n_rows_(n_rows), n_cols_(n_cols), weights_(2, n_rows, n_cols), data_(3, n_rows, n_cols) {
        resize_data(foreground, alpha, kappa);
        find_active();
    }

    // One update of all pixels; `first` of the level, when opaque pixels are not yet what they stay.
    void jacobi(Checkerboard<T>& colors, Checkerboard<T>& next, bool first) {
        half_sweep(colors, next, 0, first);
        half_sweep(colors, next, 1, first);
        std::swap(colors, next);
    }

    void red_black(Checkerboard<T>& colors, bool first) {
        half_sweep(colors, colors, 0, first);
        half_sweep(colors, colors, 1, first);
    }

private:
    void resize_data(const View<const T, 3>& foreground, const View<const T, 2>& alpha, T kappa) {
        const auto row_taps = linear_taps(n_rows_, alpha.extent(0));
        const auto col_taps = linear_taps(n_cols_, alpha.extent(1));
        const auto each_row = [&](const auto& body) {
            parallel_for(n_rows_, row_grain(n_cols_), [&](ptrdiff_t begin, ptrdiff_t end) {
                for (ptrdiff_t row = begin; row < end; ++row) {
                    body(row);
                }
            });
        };
        Checkerboard<T> alphas(1, n_rows_, n_cols_);
        each_row([&](ptrdiff_t row) {
            const LinearTap& row_tap = row_taps[static_cast<std::size_t>(row)];
            for (ptrdiff_t col = 0; col < n_cols_; ++col) {
                const LinearTap& col_tap = col_taps[static_cast<std::size_t>(col)];
                const T a = interpolated<T>(row_tap, col_tap, [&](ptrdiff_t r, ptrdiff_t c) { return alpha(r, c); });
                alphas.at(kAlphaPlane, row, col) = a;
                weights_.at(kQPlane, row, col) = detail::transparency(a, kappa);
                for (ptrdiff_t channel = 0; channel < 3; ++channel) {
                    data_.at(channel, row, col) = a * interpolated<T>(row_tap, col_tap, [&](ptrdiff_t r, ptrdiff_t c) {
                                                      return alpha(r, c) * foreground(r, c, channel);
                                                  });
                }
            }
        });
        each_row([&](ptrdiff_t row) {
            for (ptrdiff_t s = 0; s < 2; ++s) {
                weights_.mirror(kQPlane, row, s);
                const HalfWeights<T> w = half_weights(row, s);
                const T* const a = alphas.half(kAlphaPlane, row, s);
                T* const scale = weights_.half(kScalePlane, row, s);
                for (ptrdiff_t k = 0; k < weights_.count(s); ++k) {
                    scale[k] = detail::refine_scale(a[k], w.q[k], w.left[k], w.right[k], w.up[k], w.down[k]);
                }
            }
        });
    }

    // The margins in use are those that half s needs; in a row of several columns those of the two halves differ, and
    // in a row of one column half 1 is empty.
    HalfWeights<T> half_weights(ptrdiff_t row, ptrdiff_t s) const {
        const T* const other = weights_.half(kQPlane, row, 1 - s);
        const T* const left = other - (s == 0 ? 1 : 0);
        return {weights_.half(kScalePlane, row, s),    weights_.half(kQPlane, row, s),       left, left + 1,
                weights_.half(kQPlane, above(row), s), weights_.half(kQPlane, below(row), s)};
    }

    ptrdiff_t above(ptrdiff_t row) const { return row > 0 ? row - 1 : std::min<ptrdiff_t>(1, n_rows_ - 1); }
    ptrdiff_t below(ptrdiff_t row) const { return row + 1 < n_rows_ ? row + 1 : std::max<ptrdiff_t>(0, n_rows_ - 2); }

    // Blocks in which a pixel or one of its neighbours is not opaque.
    void find_active() {
        n_blocks_ = (weights_.count(0) + kBlock - 1) / kBlock;
        active_.assign(static_cast<std::size_t>(n_rows_ * 2 * n_blocks_), 0);
        for (ptrdiff_t row = 0; row < n_rows_; ++row) {
            for (ptrdiff_t s = 0; s < 2; ++s) {
                const HalfWeights<T> w = half_weights(row, s);
                for (ptrdiff_t k = 0; k < weights_.count(s); ++k) {
                    if (w.q[k] + w.left[k] + w.right[k] + w.up[k] + w.down[k] > T(0)) {
                        active_[static_cast<std::size_t>((row * 2 + s) * n_blocks_ + k / kBlock)] = 1;
                    }
                }
            }
        }
    }

    // Updates the pixels of one colour, (row + col) mod 2, reading `from` and writing `to`.
    void half_sweep(Checkerboard<T>& from, Checkerboard<T>& to, ptrdiff_t color, bool all) {
        parallel_for(n_rows_, row_grain(n_cols_), [&](ptrdiff_t begin, ptrdiff_t end) {
            for (ptrdiff_t row = begin; row < end; ++row) {
                update_half_row(from, to, row, (row + color) & 1, all);
            }
        });
    }

    void update_half_row(Checkerboard<T>& from, Checkerboard<T>& to, ptrdiff_t row, ptrdiff_t s, bool all) {
        const ptrdiff_t count = weights_.count(s);
        const HalfWeights<T> weights = half_weights(row, s);
        HalfRow<T> rows[3];
        for (ptrdiff_t channel = 0; channel < 3; ++channel) {
            // Only this row reads these margins, and no other thread writes what they are copied from.
            from.mirror(channel, row, s);
            const T* const left = from.half(channel, row, 1 - s) - (s == 0 ? 1 : 0);
            rows[channel] = {data_.half(channel, row, s),
                             left,
                             left + 1,
                             from.half(channel, above(row), s),
                             from.half(channel, below(row), s),
                             to.half(channel, row, s)};
        }
        const char* const active = active_.data() + (row * 2 + s) * n_blocks_;
        for (ptrdiff_t block = 0; block * kBlock < count;) {
            if (!all && !active[block]) {
                // Where the result goes elsewhere, what does not change is there from the last but one update.
                ++block;
                continue;
            }
            ptrdiff_t last = block + 1;
            while (last * kBlock < count && (all || active[last])) {
                ++last;
            }
            for (const HalfRow<T>& channel : rows) {
                update_range(weights, channel, block * kBlock, std::min(last * kBlock, count));
            }
            block = last;
        }
    }

    ptrdiff_t n_rows_;
    ptrdiff_t n_cols_;
    Checkerboard<T> weights_;  // q and scale
    Checkerboard<T> data_;     // alpha times (alpha F)
    ptrdiff_t n_blocks_ = 0;
    std::vector<char> active_;  // (row, half, block)
};

template <class T>
void resize_colors(const Checkerboard<T>& from, Checkerboard<T>& to, ptrdiff_t n_rows, ptrdiff_t n_cols) {
    to.reset(3, n_rows, n_cols);
    const auto row_taps = linear_taps(n_rows, from.n_rows());
    const auto col_taps = linear_taps(n_cols, from.n_cols());
    parallel_for(n_rows, row_grain(n_cols), [&](ptrdiff_t begin, ptrdiff_t end) {
        for (ptrdiff_t row = begin; row < end; ++row) {
            for (ptrdiff_t channel = 0; channel < 3; ++channel) {
                for (ptrdiff_t col = 0; col < n_cols; ++col) {
                    to.at(channel, row, col) = interpolated<T>(
                        row_taps[static_cast<std::size_t>(row)], col_taps[static_cast<std::size_t>(col)],
                        [&](ptrdiff_t r, ptrdiff_t c) { return from.at(channel, r, c); });
                }
            }
        }
    });
}

template <class T>
void resize_foreground(const View<const T, 3>& from, Checkerboard<T>& to, ptrdiff_t n_rows, ptrdiff_t n_cols) {
    to.reset(3, n_rows, n_cols);
    const auto row_taps = linear_taps(n_rows, from.extent(0));
    const auto col_taps = linear_taps(n_cols, from.extent(1));
    parallel_for(n_rows, row_grain(n_cols), [&](ptrdiff_t begin, ptrdiff_t end) {
        for (ptrdiff_t row = begin; row < end; ++row) {
            for (ptrdiff_t col = 0; col < n_cols; ++col) {
                for (ptrdiff_t channel = 0; channel < 3; ++channel) {
                    to.at(channel, row, col) = interpolated<T>(
                        row_taps[static_cast<std::size_t>(row)], col_taps[static_cast<std::size_t>(col)],
                        [&](ptrdiff_t r, ptrdiff_t c) { return from(r, c, channel); });
                }
            }
        }
    });
}

}  // namespace

template <class T>
void refine_foreground(const View<const T, 3>& foreground, const View<const T, 2>& alpha, const View<T, 3>& out,
                       const RefineForegroundParams& params, Monitor& monitor) {
    detail::check_refine_foreground(foreground, alpha, out, params);
    const ptrdiff_t height = alpha.extent(0);
    const ptrdiff_t width = alpha.extent(1);

    Checkerboard<T> colors;
    Checkerboard<T> next;
    double done = 0.0;
    for (int s = params.n_scales - 1; s >= 0; --s) {
        const ptrdiff_t n_rows = detail::refine_extent(height, s);
        const ptrdiff_t n_cols = detail::refine_extent(width, s);
        if (s == params.n_scales - 1) {
            resize_foreground(foreground, colors, n_rows, n_cols);
        } else {
            resize_colors(colors, next, n_rows, n_cols);
            std::swap(colors, next);
        }
        Level<T> level(foreground, alpha, n_rows, n_cols, static_cast<T>(params.kappa));
        if (params.order == RefineOrder::jacobi) {
            next.reset(3, n_rows, n_cols);
        }
        const ptrdiff_t iterations = static_cast<ptrdiff_t>(params.iterations) << s;
        const double share = detail::refine_share(params, s);
        for (ptrdiff_t i = 0; i < iterations; ++i) {
            if (i % (ptrdiff_t{1} << s) == 0) {
                monitor.report(done + share * static_cast<double>(i) / static_cast<double>(iterations));
            }
            // Both buffers of Jacobi's updates have to see opaque pixels once.
            if (params.order == RefineOrder::jacobi) {
                level.jacobi(colors, next, i < 2);
            } else {
                level.red_black(colors, i < 1);
            }
        }
        done += share;
    }
    parallel_for(height, row_grain(width), [&](ptrdiff_t begin, ptrdiff_t end) {
        for (ptrdiff_t row = begin; row < end; ++row) {
            for (ptrdiff_t col = 0; col < width; ++col) {
                for (ptrdiff_t channel = 0; channel < 3; ++channel) {
                    out(row, col, channel) = std::clamp(colors.at(channel, row, col), T(0), T(1));
                }
            }
        }
    });
    monitor.report(1.0);
}

template void refine_foreground<float>(const View<const float, 3>&, const View<const float, 2>&, const View<float, 3>&,
                                       const RefineForegroundParams&, Monitor&);
template void refine_foreground<double>(const View<const double, 3>&, const View<const double, 2>&,
                                        const View<double, 3>&, const RefineForegroundParams&, Monitor&);

}  // namespace fastsoft
