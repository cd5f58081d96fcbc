// SPDX-License-Identifier: MIT
#include "fastsoft/estimate_foreground.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "fastsoft/core/parallel.hpp"
#include "fastsoft/detail/checkerboard.hpp"
#include "fastsoft/detail/estimate_foreground_checks.hpp"
#include "fastsoft/detail/estimate_foreground_pixel.hpp"

namespace fastsoft {
namespace {

using detail::Checkerboard;
using std::ptrdiff_t;

// Pixels of a tile with the margin that its iterations use up. In float32 it takes 430 kB, which fits second-level
// caches; the margin of two iterations is a sixth of it. Half its columns are a multiple of the longest vectors.
constexpr ptrdiff_t kTileRows = 56;
constexpr ptrdiff_t kTileCols = 192;
constexpr ptrdiff_t kRowGrain = 16;

// Colours of a pixel of a level: F and B of three channels.
constexpr ptrdiff_t kColors = 6;

using Size = detail::LevelSize;

// For each of n_to positions the nearest of n_from ones, floor(i n_from / n_to), times a stride.
std::vector<ptrdiff_t> nearest(ptrdiff_t n_to, ptrdiff_t n_from, ptrdiff_t stride = 1) {
    std::vector<ptrdiff_t> from(static_cast<std::size_t>(n_to));
    for (ptrdiff_t i = 0; i < n_to; ++i) {
        from[static_cast<std::size_t>(i)] = detail::nearest_position(i, n_to, n_from) * stride;
    }
    return from;
}

// One layer: its alpha and where its colours go.
template <class T>
struct Problem {
    View<const T, 3> image;
    View<const T, 2> alpha;
    View<T, 3> foreground;
    View<T, 3> background;  // null data: not wanted

    ptrdiff_t height() const { return alpha.extent(0); }
    ptrdiff_t width() const { return alpha.extent(1); }
};

template <class T>
Problem<T> problem_of(const View<const T, 3>& image, const View<const T, 3>& alphas, const View<T, 4>& foregrounds,
                      const View<T, 4>& backgrounds, ptrdiff_t layer) {
    return {image, detail::layer_of(alphas, layer), detail::layer_of(foregrounds, layer),
            detail::layer_of(backgrounds, layer)};
}

// Sums of colours where alpha is nearly 1 and nearly 0, and whether all numbers lie in [0, 1]. S: type of the sums.
template <class S>
struct Statistics {
    std::array<S, kColors> sum{};
    double n_foreground = 0.0;
    double n_background = 0.0;
    bool alpha_bad = false;
    bool image_bad = false;

    Statistics& operator+=(const Statistics& other) {
        for (std::size_t i = 0; i < sum.size(); ++i) {
            sum[i] += other.sum[i];
        }
        n_foreground += other.n_foreground;
        n_background += other.n_background;
        alpha_bad = alpha_bad || other.alpha_bad;
        image_bad = image_bad || other.image_bad;
        return *this;
    }

    ForegroundFault fault() const {
        if (alpha_bad) {
            return ForegroundFault::alpha;
        }
        return image_bad ? ForegroundFault::image : ForegroundFault::none;
    }

    // Black where there is no such pixel.
    template <class T>
    std::array<T, kColors> means() const {
        std::array<T, kColors> colors{};
        for (std::size_t i = 0; i < colors.size(); ++i) {
            const double count = i < 3 ? n_foreground : n_background;
            colors[i] = static_cast<T>(detail::first_color(static_cast<double>(sum[i]), count));
        }
        return colors;
    }
};

// 1 if a number does not lie in [0, 1], NaN included.
template <class T>
int outside(const T* values, ptrdiff_t count, ptrdiff_t step) {
    int bad = 0;
    if (step == 1) {
        for (ptrdiff_t i = 0; i < count; ++i) {
            bad |= detail::outside_unit(values[i]);
        }
        return bad;
    }
    for (ptrdiff_t i = 0; i < count; ++i) {
        bad |= detail::outside_unit(values[i * step]);
    }
    return bad;
}

template <class S, class T>
Statistics<S> statistics(const Problem<T>& problem, ptrdiff_t begin, ptrdiff_t end) {
    Statistics<S> found;
    int alpha_bad = 0;
    int image_bad = 0;
    const ptrdiff_t pixel = problem.image.stride(1);
    const ptrdiff_t channel = problem.image.stride(2);
    for (ptrdiff_t row = begin; row < end; ++row) {
        const T* const colors = &problem.image(row, 0, 0);
        if (channel == 1 && pixel == 3) {
            image_bad |= outside(colors, 3 * problem.width(), 1);
        } else {
            for (ptrdiff_t i = 0; i < 3; ++i) {
                image_bad |= outside(colors + i * channel, problem.width(), pixel);
            }
        }
        alpha_bad |= outside(&problem.alpha(row, 0), problem.width(), problem.alpha.stride(1));
        for (ptrdiff_t col = 0; col < problem.width(); ++col) {
            const auto a = static_cast<double>(problem.alpha(row, col));
            const T* const color = colors + col * pixel;
            if (detail::nearly_opaque(a)) {
                for (std::size_t i = 0; i < 3; ++i) {
                    found.sum[i] += static_cast<S>(color[static_cast<ptrdiff_t>(i) * channel]);
                }
                found.n_foreground += 1.0;
            } else if (detail::nearly_transparent(a)) {
                for (std::size_t i = 0; i < 3; ++i) {
                    found.sum[3 + i] += static_cast<S>(color[static_cast<ptrdiff_t>(i) * channel]);
                }
                found.n_background += 1.0;
            }
        }
    }
    found.alpha_bad = alpha_bad != 0;
    found.image_bad = image_bad != 0;
    return found;
}

// ---------------------------------------------------------------------------------------------------------------------
// Red-black order, in tiles

// Weights of half a row, which its six colours share.
template <class T>
struct RowWeights {
    std::vector<T> left, right, up, down, foreground, background;

    explicit RowWeights(ptrdiff_t n_cols) {
        for (auto* const row : {&left, &right, &up, &down, &foreground, &background}) {
            row->resize(static_cast<std::size_t>((n_cols + 1) / 2));
        }
    }
};

template <class T>
class RedBlackTile {
public:
    RedBlackTile(ptrdiff_t max_cols, T regularization, T gradient_weight)
        : regularization_(regularization), gradient_weight_(gradient_weight), weights_(max_cols) {}

    void reset(ptrdiff_t n_rows, ptrdiff_t n_cols) {
        alpha_.reset(1, n_rows, n_cols);
        image_.reset(3, n_rows, n_cols);
        colors_.reset(kColors, n_rows, n_cols);
    }

    Checkerboard<T>& alpha() { return alpha_; }
    Checkerboard<T>& image() { return image_; }
    Checkerboard<T>& colors() { return colors_; }

    // origin: row + column of the tile in the level, so that colours of the chequerboard do not depend on tiles.
    void iterate(int iterations, ptrdiff_t origin) {
        for (int i = 0; i < iterations; ++i) {
            for (ptrdiff_t color = 0; color < 2; ++color) {
                for (ptrdiff_t row = 0; row < alpha_.n_rows(); ++row) {
                    update_half_row(row, (row + color + origin) & 1);
                }
            }
        }
    }

private:
    void update_half_row(ptrdiff_t row, ptrdiff_t s) {
        const ptrdiff_t count = alpha_.count(s);
        // Tiles are cut at the border of the picture, or where values are not used any more.
        const ptrdiff_t above = std::max<ptrdiff_t>(row - 1, 0);
        const ptrdiff_t below = std::min(row + 1, alpha_.n_rows() - 1);
        const ptrdiff_t shift = s == 0 ? 1 : 0;
        alpha_.clamp(0, row, s);
        const T* const a = alpha_.half(0, row, s);
        {
            const T* const left = alpha_.half(0, row, 1 - s) - shift;
            const T* const right = left + 1;
            const T* const up = alpha_.half(0, above, s);
            const T* const down = alpha_.half(0, below, s);
            T* const to_left = weights_.left.data();
            T* const to_right = weights_.right.data();
            T* const to_up = weights_.up.data();
            T* const to_down = weights_.down.data();
            T* const to_foreground = weights_.foreground.data();
            T* const to_background = weights_.background.data();
            const T regularization = regularization_;
            const T gradient_weight = gradient_weight_;
#pragma GCC ivdep
            for (ptrdiff_t k = 0; k < count; ++k) {
                const detail::MultilevelWeights<T> w = detail::multilevel_weights(
                    a[k], left[k], right[k], up[k], down[k], regularization, gradient_weight);
                to_left[k] = w.left;
                to_right[k] = w.right;
                to_up[k] = w.up;
                to_down[k] = w.down;
                to_foreground[k] = w.foreground;
                to_background[k] = w.background;
            }
        }
        for (ptrdiff_t channel = 0; channel < 3; ++channel) {
            colors_.clamp(channel, row, s);
            colors_.clamp(3 + channel, row, s);
            update_channel(channel, row, above, below, s, a, count);
        }
    }

    void update_channel(ptrdiff_t channel, ptrdiff_t row, ptrdiff_t above, ptrdiff_t below, ptrdiff_t s, const T* a,
                        ptrdiff_t count) {
        const ptrdiff_t shift = s == 0 ? 1 : 0;
        const T* const image = image_.half(channel, row, s);
        const T* const f_left = colors_.half(channel, row, 1 - s) - shift;
        const T* const f_right = f_left + 1;
        const T* const f_up = colors_.half(channel, above, s);
        const T* const f_down = colors_.half(channel, below, s);
        T* const f = colors_.half(channel, row, s);
        const T* const b_left = colors_.half(3 + channel, row, 1 - s) - shift;
        const T* const b_right = b_left + 1;
        const T* const b_up = colors_.half(3 + channel, above, s);
        const T* const b_down = colors_.half(3 + channel, below, s);
        T* const b = colors_.half(3 + channel, row, s);
        const T* const left = weights_.left.data();
        const T* const right = weights_.right.data();
        const T* const up = weights_.up.data();
        const T* const down = weights_.down.data();
        const T* const foreground = weights_.foreground.data();
        const T* const background = weights_.background.data();
        // At the border a row is its own neighbour: each position then reads itself only.
#pragma GCC ivdep
        for (ptrdiff_t k = 0; k < count; ++k) {
            const detail::MultilevelColors<T> colors = detail::multilevel_colors<T>(
                {left[k], right[k], up[k], down[k], foreground[k], background[k]}, image[k], a[k], f_left[k],
                f_right[k], f_up[k], f_down[k], b_left[k], b_right[k], b_up[k], b_down[k]);
            f[k] = colors.foreground;
            b[k] = colors.background;
        }
    }

    T regularization_;
    T gradient_weight_;
    Checkerboard<T> alpha_;
    Checkerboard<T> image_;
    Checkerboard<T> colors_;
    RowWeights<T> weights_;
};

template <class T>
class RedBlackLevel {
public:
    // before: colours (rows, cols, 6) of the level before, of size `before_size`.
    RedBlackLevel(const Problem<T>& problem, Size size, const T* before, Size before_size,
                  const MultilevelParams& params)
        : problem_(problem),
          size_(size),
          before_(before),
          params_(params),
          full_rows_(nearest(size.rows, problem.height())),
          image_cols_(nearest(size.cols, problem.width(), problem.image.stride(1))),
          alpha_cols_(nearest(size.cols, problem.width(), problem.alpha.stride(1))),
          before_rows_(nearest(size.rows, before_size.rows, before_size.cols * kColors)),
          before_cols_(nearest(size.cols, before_size.cols, kColors)) {
        iterations_ = detail::level_iterations(params, size);
    }

    // out: colours of this level (rows, cols, 6), or null, when they go to the problem's foreground and background.
    void run(T* out) const {
        // Half an iteration makes one more pixel along the cut edges of a tile wrong.
        const ptrdiff_t margin = 2 * static_cast<ptrdiff_t>(iterations_);
        const ptrdiff_t band_rows = std::max(kTileRows, 6 * margin) - 2 * margin;
        const ptrdiff_t tile_cols = std::max(kTileCols, 6 * margin);
        parallel_for(size_.rows, band_rows, [&](ptrdiff_t row_begin, ptrdiff_t row_end) {
            RedBlackTile<T> tile(std::min(size_.cols, tile_cols), static_cast<T>(params_.regularization),
                                 static_cast<T>(params_.gradient_weight));
            const ptrdiff_t first_row = std::max<ptrdiff_t>(0, row_begin - margin);
            const ptrdiff_t last_row = std::min(size_.rows, row_end + margin);
            ptrdiff_t col_begin = 0;
            while (col_begin < size_.cols) {
                const ptrdiff_t first_col = std::max<ptrdiff_t>(0, col_begin - margin);
                const ptrdiff_t last_col = std::min(size_.cols, first_col + tile_cols);
                const ptrdiff_t col_end = last_col == size_.cols ? last_col : last_col - margin;
                tile.reset(last_row - first_row, last_col - first_col);
                load(tile, first_row, first_col);
                tile.iterate(iterations_, first_row + first_col);
                for (ptrdiff_t row = row_begin; row < row_end; ++row) {
                    const Part part{row - first_row, col_begin - first_col, col_end - first_col};
                    if (out != nullptr) {
                        T* const to = out + (row * size_.cols + col_begin) * kColors;
                        store(tile.colors(), part, 0, kColors, to, kColors, 1);
                        continue;
                    }
                    const View<T, 3>& f = problem_.foreground;
                    store(tile.colors(), part, 0, 3, &f(row, col_begin, 0), f.stride(1), f.stride(2));
                    if (problem_.background.data() != nullptr) {
                        const View<T, 3>& b = problem_.background;
                        store(tile.colors(), part, 3, 3, &b(row, col_begin, 0), b.stride(1), b.stride(2));
                    }
                }
                col_begin = col_end;
            }
        });
    }

private:
    void load(RedBlackTile<T>& tile, ptrdiff_t first_row, ptrdiff_t first_col) const {
        for (ptrdiff_t row = 0; row < tile.alpha().n_rows(); ++row) {
            const ptrdiff_t full_row = full_rows_[static_cast<std::size_t>(first_row + row)];
            const T* const image = &problem_.image(full_row, 0, 0);
            const T* const alpha = &problem_.alpha(full_row, 0);
            const T* const before = before_ + before_rows_[static_cast<std::size_t>(first_row + row)];
            for (ptrdiff_t s = 0; s < 2; ++s) {
                const ptrdiff_t first = first_col + s;
                const ptrdiff_t count = tile.alpha().count(s);
                gather<1>(alpha, 0, alpha_cols_.data() + first, count, tile.alpha(), row, s);
                gather<3>(image, problem_.image.stride(2), image_cols_.data() + first, count, tile.image(), row, s);
                gather<kColors>(before, 1, before_cols_.data() + first, count, tile.colors(), row, s);
            }
        }
    }

    // Every other column's values of N planes.
    template <ptrdiff_t N>
    static void gather(const T* from, ptrdiff_t plane_step, const ptrdiff_t* cols, ptrdiff_t count, Checkerboard<T>& to,
                       ptrdiff_t row, ptrdiff_t s) {
        T* out[N];
        for (ptrdiff_t i = 0; i < N; ++i) {
            out[i] = to.half(i, row, s);
        }
        for (ptrdiff_t k = 0; k < count; ++k) {
            const T* const pixel = from + cols[2 * k];
            for (ptrdiff_t i = 0; i < N; ++i) {
                out[i][k] = pixel[i * plane_step];
            }
        }
    }

    // Part of a row of a tile.
    struct Part {
        ptrdiff_t row;
        ptrdiff_t begin;
        ptrdiff_t end;
    };

    // Writes n_colors colours of the pixels of a part.
    static void store(const Checkerboard<T>& colors, const Part& part, ptrdiff_t first_color, ptrdiff_t n_colors, T* to,
                      ptrdiff_t step, ptrdiff_t color_step) {
        for (ptrdiff_t i = 0; i < n_colors; ++i) {
            for (ptrdiff_t s = 0; s < 2; ++s) {
                const T* const half = colors.half(first_color + i, part.row, s);
                const ptrdiff_t begin = (part.begin + 1 - s) / 2;
                const ptrdiff_t end = (part.end + 1 - s) / 2;
                T* const out = to + i * color_step + (2 * begin + s - part.begin) * step;
                for (ptrdiff_t k = begin; k < end; ++k) {
                    out[2 * (k - begin) * step] = half[k];
                }
            }
        }
    }

    const Problem<T>& problem_;
    Size size_;
    const T* before_;
    const MultilevelParams& params_;
    int iterations_ = 0;
    std::vector<ptrdiff_t> full_rows_, image_cols_, alpha_cols_, before_rows_, before_cols_;
};

template <class T>
ForegroundFault red_black(const Problem<T>& problem, const std::vector<Size>& sizes, const MultilevelParams& params,
                          Monitor& monitor) {
    const auto found = parallel_sum<Statistics<double>>(
        problem.height(), kRowGrain,
        [&](ptrdiff_t begin, ptrdiff_t end) { return statistics<double>(problem, begin, end); });
    if (found.fault() != ForegroundFault::none) {
        return found.fault();
    }
    const auto start = found.template means<T>();
    // Colours of a level and of the one before; the last level's go where the caller wants them.
    const Size largest = sizes.size() > 1 ? sizes[sizes.size() - 2] : Size{1, 1};
    const auto capacity = static_cast<std::size_t>(largest.rows * largest.cols * kColors);
    auto before = std::make_unique_for_overwrite<T[]>(capacity);
    auto colors = std::make_unique_for_overwrite<T[]>(capacity);
    std::copy(start.begin(), start.end(), before.get());
    Size before_size{1, 1};
    for (const Size& size : sizes) {
        const bool last = &size == &sizes.back();
        RedBlackLevel<T>(problem, size, before.get(), before_size, params).run(last ? nullptr : colors.get());
        std::swap(before, colors);
        before_size = size;
        monitor.report(last ? 1.0 : 0.25);
    }
    return ForegroundFault::none;
}

// ---------------------------------------------------------------------------------------------------------------------
// Sequential order

template <class T>
class SequentialLevel {
public:
    SequentialLevel(const Problem<T>& problem, Size size, const std::vector<T>& before, Size before_size)
        : size_(size),
          alpha_(static_cast<std::size_t>(size.rows * size.cols)),
          image_(alpha_.size() * 3),
          colors_(alpha_.size() * kColors) {
        const auto full_rows = nearest(size.rows, problem.height());
        const auto full_cols = nearest(size.cols, problem.width());
        const auto before_rows = nearest(size.rows, before_size.rows);
        const auto before_cols = nearest(size.cols, before_size.cols);
        for (ptrdiff_t row = 0; row < size.rows; ++row) {
            const auto r = static_cast<std::size_t>(row);
            for (ptrdiff_t col = 0; col < size.cols; ++col) {
                const auto c = static_cast<std::size_t>(col);
                const ptrdiff_t p = row * size.cols + col;
                alpha_[static_cast<std::size_t>(p)] = problem.alpha(full_rows[r], full_cols[c]);
                for (ptrdiff_t i = 0; i < 3; ++i) {
                    image_[static_cast<std::size_t>(p * 3 + i)] = problem.image(full_rows[r], full_cols[c], i);
                }
                const T* const from = before.data() + (before_rows[r] * before_size.cols + before_cols[c]) * kColors;
                std::copy_n(from, kColors, colors_.data() + p * kColors);
            }
        }
    }

    void iterate(T regularization, T gradient_weight) {
        for (ptrdiff_t row = 0; row < size_.rows; ++row) {
            const ptrdiff_t above = std::max<ptrdiff_t>(row - 1, 0);
            const ptrdiff_t below = std::min(row + 1, size_.rows - 1);
            for (ptrdiff_t col = 0; col < size_.cols; ++col) {
                const ptrdiff_t left = std::max<ptrdiff_t>(col - 1, 0);
                const ptrdiff_t right = std::min(col + 1, size_.cols - 1);
                update(row * size_.cols + col,
                       {row * size_.cols + left, row * size_.cols + right, above * size_.cols + col,
                        below * size_.cols + col},
                       regularization, gradient_weight);
            }
        }
    }

    std::vector<T>& colors() { return colors_; }

private:
    // The 2x2 system by its inverse, in PyMatting's mixture of float32 and float64.
    void update(ptrdiff_t p, const std::array<ptrdiff_t, 4>& neighbors, T regularization, T gradient_weight) {
        const T a0 = alpha_[static_cast<std::size_t>(p)];
        const double a1 = 1.0 - static_cast<double>(a0);
        T a00 = a0 * a0;
        const double a01 = static_cast<double>(a0) * a1;
        double a11 = a1 * a1;
        const T* const image = image_.data() + p * 3;
        T right_f[3];
        T right_b[3];
        for (int i = 0; i < 3; ++i) {
            right_f[i] = a0 * image[i];
            right_b[i] = static_cast<T>(a1 * static_cast<double>(image[i]));
        }
        for (const ptrdiff_t q : neighbors) {
            const T d = regularization + gradient_weight * detail::magnitude(a0 - alpha_[static_cast<std::size_t>(q)]);
            a00 += d;
            a11 += static_cast<double>(d);
            const T* const colors = colors_.data() + q * kColors;
            for (int i = 0; i < 3; ++i) {
                right_f[i] += d * colors[i];
                right_b[i] += d * colors[3 + i];
            }
        }
        const double inverse = 1.0 / (static_cast<double>(a00) * a11 - a01 * a01);
        const double b00 = inverse * a11;
        const double b01 = -inverse * a01;
        const double b11 = inverse * static_cast<double>(a00);
        T* const out = colors_.data() + p * kColors;
        for (int i = 0; i < 3; ++i) {
            const auto f = static_cast<double>(right_f[i]);
            const auto b = static_cast<double>(right_b[i]);
            out[i] = static_cast<T>(detail::unit_clamp(b00 * f + b01 * b));
            out[3 + i] = static_cast<T>(detail::unit_clamp(b01 * f + b11 * b));
        }
    }

    Size size_;
    std::vector<T> alpha_;
    std::vector<T> image_;
    std::vector<T> colors_;
};

template <class T>
ForegroundFault sequential(const Problem<T>& problem, const std::vector<Size>& sizes, const MultilevelParams& params) {
    // Sums in T: for large pictures in float32 they are off by up to a thousandth, and parity includes that.
    const auto found = statistics<T>(problem, 0, problem.height());
    if (found.fault() != ForegroundFault::none) {
        return found.fault();
    }
    const auto start = found.template means<T>();
    std::vector<T> before(start.begin(), start.end());
    Size before_size{1, 1};
    for (const Size& size : sizes) {
        SequentialLevel<T> level(problem, size, before, before_size);
        const int iterations = detail::level_iterations(params, size);
        for (int i = 0; i < iterations; ++i) {
            level.iterate(static_cast<T>(params.regularization), static_cast<T>(params.gradient_weight));
        }
        std::swap(before, level.colors());
        before_size = size;
    }
    const T* from = before.data();
    for (ptrdiff_t row = 0; row < problem.height(); ++row) {
        for (ptrdiff_t col = 0; col < problem.width(); ++col, from += kColors) {
            for (ptrdiff_t i = 0; i < 3; ++i) {
                problem.foreground(row, col, i) = from[i];
                if (problem.background.data() != nullptr) {
                    problem.background(row, col, i) = from[3 + i];
                }
            }
        }
    }
    return ForegroundFault::none;
}

}  // namespace

template <class T>
ForegroundFault multilevel_foreground(const View<const T, 3>& image, const View<const T, 3>& alphas,
                                      const View<T, 4>& foregrounds, const View<T, 4>& backgrounds,
                                      const MultilevelParams& params, Monitor& monitor) {
    detail::check_foreground(image, alphas, foregrounds, backgrounds);
    detail::check_multilevel(params);
    const ptrdiff_t n = alphas.extent(2);
    const std::vector<Size> sizes = detail::level_sizes(alphas.extent(0), alphas.extent(1));
    if (params.order == ForegroundOrder::sequential) {
        std::vector<ForegroundFault> faults(static_cast<std::size_t>(n), ForegroundFault::none);
        monitor.report(0.0);
        parallel_for(n, 1, [&](ptrdiff_t begin, ptrdiff_t end) {
            for (ptrdiff_t i = begin; i < end; ++i) {
                faults[static_cast<std::size_t>(i)] =
                    sequential(problem_of(image, alphas, foregrounds, backgrounds, i), sizes, params);
            }
        });
        monitor.report(1.0);
        const auto bad = std::find_if(faults.begin(), faults.end(),
                                      [](ForegroundFault fault) { return fault != ForegroundFault::none; });
        return bad == faults.end() ? ForegroundFault::none : *bad;
    }
    for (ptrdiff_t i = 0; i < n; ++i) {
        SubMonitor part(monitor, static_cast<double>(i) / static_cast<double>(n),
                        static_cast<double>(i + 1) / static_cast<double>(n));
        const auto problem = problem_of(image, alphas, foregrounds, backgrounds, i);
        const ForegroundFault fault = red_black(problem, sizes, params, part);
        if (fault != ForegroundFault::none) {
            return fault;
        }
    }
    return ForegroundFault::none;
}

template ForegroundFault multilevel_foreground<float>(const View<const float, 3>&, const View<const float, 3>&,
                                                      const View<float, 4>&, const View<float, 4>&,
                                                      const MultilevelParams&, Monitor&);
template ForegroundFault multilevel_foreground<double>(const View<const double, 3>&, const View<const double, 3>&,
                                                       const View<double, 4>&, const View<double, 4>&,
                                                       const MultilevelParams&, Monitor&);

}  // namespace fastsoft
