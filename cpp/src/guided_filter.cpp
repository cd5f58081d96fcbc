// SPDX-License-Identifier: MIT
#include "fastsoft/guided_filter.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <vector>

#include "fastsoft/core/parallel.hpp"
#include "fastsoft/detail/grid_neighbours.hpp"
#include "fastsoft/detail/guided_filter_checks.hpp"
#include "fastsoft/detail/guided_filter_pixel.hpp"

namespace fastsoft {
namespace {

using std::ptrdiff_t;

// Pixels of a row to fetch ahead: the channels of a block lie one pixel stride apart, which the processor does not
// follow.
constexpr ptrdiff_t kPrefetch = 16;
// Small enough that a block of channels of a tile stays in the second-level cache, large enough that the margins of two
// radii around it cost little.
constexpr ptrdiff_t kTileRows = 96;
constexpr ptrdiff_t kTileCols = 96;
// Above this radius the tiles grow with it, and narrow blocks of channels keep the workspace in bounds.
constexpr ptrdiff_t kLargeRadius = 32;

#if defined(__AVX512F__)
constexpr int kRegisterBytes = 64;
#elif defined(__AVX__)
constexpr int kRegisterBytes = 32;
#else
constexpr int kRegisterBytes = 16;
#endif

// B numbers with arithmetic number by number, held in as many vectors of the length of a register as it takes. (Longer
// ones are allowed by the compiler, but pass through memory at every step.)
template <class T, int B>
struct Lanes {
    static constexpr int kBytes = std::min(static_cast<int>(sizeof(T)) * B, kRegisterBytes);
    static constexpr int kParts = static_cast<int>(sizeof(T)) * B / kBytes;
    typedef T Part __attribute__((vector_size(kBytes)));
    Part part[kParts];

    // Copies go part by part, as vectors and not as bytes: byte copies go in shorter portions on some processors,
    // and what was stored in portions has to reach the cache before it can be loaded as a whole.
    Lanes() = default;
    Lanes(const Lanes& other) { *this = other; }
    Lanes& operator=(const Lanes& other) {
        for (int i = 0; i < kParts; ++i) {
            part[i] = other.part[i];
        }
        return *this;
    }

    typedef T Unaligned __attribute__((vector_size(kBytes), aligned(alignof(T)), may_alias));
    void read(const T* from) {
        for (int i = 0; i < kParts; ++i) {
            part[i] = reinterpret_cast<const Unaligned*>(from)[i];
        }
    }
    void write(T* to) const {
        for (int i = 0; i < kParts; ++i) {
            reinterpret_cast<Unaligned*>(to)[i] = part[i];
        }
    }

    Lanes& operator+=(const Lanes& other) {
        for (int i = 0; i < kParts; ++i) {
            part[i] += other.part[i];
        }
        return *this;
    }
    Lanes& operator-=(const Lanes& other) {
        for (int i = 0; i < kParts; ++i) {
            part[i] -= other.part[i];
        }
        return *this;
    }
    Lanes& operator*=(T factor) {
        for (int i = 0; i < kParts; ++i) {
            part[i] *= factor;
        }
        return *this;
    }
    // Cuts to [-limit, limit].
    void clip(T limit) {
        const Part high = limit - Part{};
        for (int i = 0; i < kParts; ++i) {
            part[i] = part[i] > high ? high : part[i];
            part[i] = part[i] < -high ? -high : part[i];
        }
    }
    friend Lanes operator+(Lanes a, const Lanes& b) { return a += b; }
    friend Lanes operator-(Lanes a, const Lanes& b) { return a -= b; }
    friend Lanes operator*(Lanes a, T factor) { return a *= factor; }
};

// Sums over (2 radius + 1)^2 windows of a picture that is pushed pixel by pixel, row by row, Q quantities at a time.
//
// Along either axis the line is cut into blocks of one window length. A window is then the end of one block followed by
// the beginning of the next: the sum is (sum from here to the end of the block, kept for every position of the block)
// + (sum from the beginning of the next block, growing). That is van Herk's and Gil and Werman's scheme for running
// maxima; for sums it needs three additions per element whatever the radius, and no subtraction, so rounding errors do
// not travel along the picture as they do in running sums or integral images.
template <class V, int Q>
class BoxSums {
public:
    // n_cols: columns with data; outside columns and rows are zero.
    BoxSums(ptrdiff_t n_cols, ptrdiff_t row_radius, ptrdiff_t col_radius)
        : n_cols_(n_cols),
          row_length_(2 * row_radius + 1),
          col_length_(2 * col_radius + 1),
          ring_(static_cast<std::size_t>(row_length_ * n_cols * Q)),
          front_(static_cast<std::size_t>(n_cols * Q)),
          line_ring_(static_cast<std::size_t>(col_length_ * Q)) {}

    void begin_picture() {
        slot_ = row_length_ - 1;
        std::fill(front_.begin(), front_.end(), V{});
    }

    void begin_row() {
        slot_ = slot_ + 1 == row_length_ ? 0 : slot_ + 1;
        line_slot_ = col_length_ - 1;
        for (int q = 0; q < Q; ++q) {
            line_front_[q] = V{};
        }
    }

    // Adds the next pixel of the row; col is its position among the columns with data. sums: over the window whose
    // last row and column it is, meaningful once 2 radius rows and columns came before.
    [[gnu::always_inline]] void push(ptrdiff_t col, const V* values, V* sums) {
        V* const front = front_.data() + col * Q;
        V* const here = ring_.data() + (slot_ * n_cols_ + col) * Q;
        V column[Q];
        if (slot_ + 1 < row_length_) {
            const V* const tail = here + n_cols_ * Q;
            for (int q = 0; q < Q; ++q) {
                const V sum = front[q] + values[q];
                front[q] = sum;
                here[q] = values[q];
                column[q] = tail[q] + sum;
            }
        } else {
            // The block is complete: from raw values to sums up to its end, and the front starts anew.
            for (int q = 0; q < Q; ++q) {
                front[q] = V{};
                here[q] = values[q];
                column[q] = values[q];
            }
            V* below = here;
            for (ptrdiff_t i = 1; i < row_length_; ++i) {
                V* const above = below - n_cols_ * Q;
                for (int q = 0; q < Q; ++q) {
                    column[q] += above[q];
                    above[q] = column[q];
                }
                below = above;
            }
        }
        push_column(column, sums);
    }

    // The same for a column outside the picture.
    [[gnu::always_inline]] void push_outside(V* sums) {
        const V column[Q] = {};
        push_column(column, sums);
    }

private:
    [[gnu::always_inline]] void push_column(const V* column, V* sums) {
        line_slot_ = line_slot_ + 1 == col_length_ ? 0 : line_slot_ + 1;
        V* const here = line_ring_.data() + line_slot_ * Q;
        if (line_slot_ + 1 < col_length_) {
            for (int q = 0; q < Q; ++q) {
                const V sum = line_front_[q] + column[q];
                line_front_[q] = sum;
                here[q] = column[q];
                sums[q] = here[Q + q] + sum;
            }
        } else {
            for (int q = 0; q < Q; ++q) {
                line_front_[q] = V{};
                here[q] = column[q];
                sums[q] = column[q];
            }
            for (ptrdiff_t i = line_slot_ - 1; i >= 0; --i) {
                V* const before = line_ring_.data() + i * Q;
                for (int q = 0; q < Q; ++q) {
                    sums[q] += before[q];
                    before[q] = sums[q];
                }
            }
        }
    }

    ptrdiff_t n_cols_;
    ptrdiff_t row_length_;
    ptrdiff_t col_length_;
    std::vector<V> ring_;       // (row_length, n_cols, Q)
    std::vector<V> front_;      // (n_cols, Q)
    std::vector<V> line_ring_;  // (col_length, Q)
    V line_front_[Q] = {};
    ptrdiff_t slot_ = 0;
    ptrdiff_t line_slot_ = 0;
};

struct Range {
    ptrdiff_t begin = 0;
    ptrdiff_t end = 0;

    ptrdiff_t size() const { return end - begin; }
    bool contains(ptrdiff_t i) const { return i >= begin && i < end; }
    Range grown(ptrdiff_t by) const { return {begin - by, end + by}; }
    Range within(ptrdiff_t n) const { return {std::max<ptrdiff_t>(begin, 0), std::min(end, n)}; }
};

template <class T, int G>
struct Problem {
    View<const T, 3> guide;
    View<const T, 3> source;
    View<T, 3> out;
    ptrdiff_t row_radius = 0;
    ptrdiff_t col_radius = 0;
    double epsilon = 0.0;
    bool clipped = false;
    T clip = T(0);

    ptrdiff_t n_rows() const { return source.extent(0); }
    ptrdiff_t n_cols() const { return source.extent(1); }
    ptrdiff_t n_channels() const { return source.extent(2); }
};

// A rectangle of output pixels. Coefficients are needed one radius around it, source and guide two.
template <class T, int G>
class Tile {
public:
    Tile(const Problem<T, G>& problem, Range rows, Range cols) : problem_(problem), rows_(rows), cols_(cols) {
        source_rows_ = rows.grown(2 * problem.row_radius);
        source_cols_ = cols.grown(2 * problem.col_radius);
        guide_rows_ = source_rows_.within(problem.n_rows());
        guide_cols_ = source_cols_.within(problem.n_cols());
        coefficient_rows_ = rows.grown(problem.row_radius).within(problem.n_rows());
        coefficient_cols_ = cols.grown(problem.col_radius).within(problem.n_cols());
        copy_guide();
        compute_statistics();
    }

    // Filters all channels; returns false if one of the values read is not finite.
    template <int B>
    bool filter() const {
        bool finite = true;
        BoxSums<Lanes<T, B>, G + 1> products(guide_cols_.size(), problem_.row_radius, problem_.col_radius);
        BoxSums<Lanes<T, B>, G + 1> coefficients(coefficient_cols_.size(), problem_.row_radius, problem_.col_radius);
        const bool adjacent = problem_.source.stride(2) == 1 && problem_.out.stride(2) == 1;
        for (ptrdiff_t channel = 0; channel < problem_.n_channels(); channel += B) {
            const ptrdiff_t count = std::min<ptrdiff_t>(B, problem_.n_channels() - channel);
            if (adjacent && count == B) {
                finite = filter_block<B, true>(channel, count, products, coefficients) && finite;
            } else {
                finite = filter_block<B, false>(channel, count, products, coefficients) && finite;
            }
        }
        return finite;
    }

private:
    void copy_guide() {
        guide_.resize(static_cast<std::size_t>(guide_rows_.size() * guide_cols_.size() * G));
        T* to = guide_.data();
        for (ptrdiff_t row = guide_rows_.begin; row < guide_rows_.end; ++row) {
            for (ptrdiff_t col = guide_cols_.begin; col < guide_cols_.end; ++col) {
                for (int i = 0; i < G; ++i) {
                    *to++ = problem_.guide(row, col, i);
                }
            }
        }
    }

    const T* color(ptrdiff_t row, ptrdiff_t col) const {
        return guide_.data() + ((row - guide_rows_.begin) * guide_cols_.size() + col - guide_cols_.begin) * G;
    }

    void compute_statistics() {
        statistics_.resize(static_cast<std::size_t>(coefficient_rows_.size() * coefficient_cols_.size()));
        constexpr int kSums = G == 3 ? 16 : 2;  // 3 + 6 sums, padded to whole registers; or 1 + 1
        using V = Lanes<double, kSums>;
        const ptrdiff_t row_radius = problem_.row_radius;
        const ptrdiff_t col_radius = problem_.col_radius;
        const Range rows = {coefficient_rows_.begin - row_radius, coefficient_rows_.end + row_radius};
        const Range cols = {coefficient_cols_.begin - col_radius, coefficient_cols_.end + col_radius};
        BoxSums<V, 1> box(guide_cols_.size(), row_radius, col_radius);
        // A row of each lies in memory, because scalars cannot be put into a register one by one without waiting.
        std::vector<double> values(static_cast<std::size_t>(guide_cols_.size() * kSums));
        std::vector<double> sums(static_cast<std::size_t>(coefficient_cols_.size() * kSums));
        box.begin_picture();
        for (ptrdiff_t row = rows.begin; row < rows.end; ++row) {
            fill_guide_values(row, kSums, values);
            box.begin_row();
            for (ptrdiff_t col = cols.begin; col < cols.end; ++col) {
                V sum;
                if (guide_cols_.contains(col)) {
                    const ptrdiff_t position = col - guide_cols_.begin;
                    V value;
                    value.read(values.data() + position * kSums);
                    box.push(position, &value, &sum);
                } else {
                    box.push_outside(&sum);
                }
                if (col - col_radius >= coefficient_cols_.begin) {
                    sum.write(sums.data() + (col - col_radius - coefficient_cols_.begin) * kSums);
                }
            }
            const ptrdiff_t center_row = row - row_radius;
            if (center_row < coefficient_rows_.begin) {
                continue;
            }
            const ptrdiff_t n_window_rows = detail::n_neighbours(center_row, problem_.n_rows(), row_radius);
            for (ptrdiff_t col = coefficient_cols_.begin; col < coefficient_cols_.end; ++col) {
                const auto count =
                    static_cast<double>(n_window_rows * detail::n_neighbours(col, problem_.n_cols(), col_radius));
                detail::guide_statistics<T, G>(sums.data() + (col - coefficient_cols_.begin) * kSums, count,
                                               problem_.epsilon, statistics_[statistics_index(center_row, col)]);
            }
        }
    }

    // The guide's values and products of values along a row; zero for a row outside the picture.
    void fill_guide_values(ptrdiff_t row, ptrdiff_t pitch, std::vector<double>& values) const {
        if (!guide_rows_.contains(row)) {
            std::fill(values.begin(), values.end(), 0.0);
            return;
        }
        const T* rgb = color(row, guide_cols_.begin);
        for (double* value = values.data(); value != values.data() + values.size(); value += pitch) {
            double* product = value + G;
            for (int i = 0; i < G; ++i) {
                value[i] = static_cast<double>(rgb[i]);
                for (int j = i; j < G; ++j) {
                    *product++ = static_cast<double>(rgb[i]) * static_cast<double>(rgb[j]);
                }
            }
            rgb += G;
        }
    }

    const detail::GuideStatistics<T, G>& statistics(ptrdiff_t row, ptrdiff_t col) const {
        return statistics_[statistics_index(row, col)];
    }
    std::size_t statistics_index(ptrdiff_t row, ptrdiff_t col) const {
        return static_cast<std::size_t>((row - coefficient_rows_.begin) * coefficient_cols_.size() + col -
                                        coefficient_cols_.begin);
    }

    template <int B, bool Adjacent>
    void load(ptrdiff_t row, ptrdiff_t col, ptrdiff_t channel, ptrdiff_t count, Lanes<T, B>& value) const {
        const T* const from = &problem_.source(row, col, channel);
        if constexpr (Adjacent) {
            const T* const ahead = from + kPrefetch * problem_.source.stride(1);
            __builtin_prefetch(ahead);
            __builtin_prefetch(ahead + B - 1);
            value.read(from);
        } else {
            T plain[B] = {};
            for (ptrdiff_t i = 0; i < count; ++i) {
                plain[i] = from[i * problem_.source.stride(2)];
            }
            value.read(plain);
        }
    }

    template <int B, bool Adjacent>
    void store(ptrdiff_t row, ptrdiff_t col, ptrdiff_t channel, ptrdiff_t count, const Lanes<T, B>& value) const {
        T* const to = &problem_.out(row, col, channel);
        if constexpr (Adjacent) {
            value.write(to);
        } else {
            T plain[B];
            value.write(plain);
            for (ptrdiff_t i = 0; i < count; ++i) {
                to[i * problem_.out.stride(2)] = plain[i];
            }
        }
    }

    // All stages in one sweep over the tile: the source pixel at (row, col) completes the window of the coefficients at
    // (row - radius, col - radius), which complete the window of the output at (row - 2 radius, col - 2 radius).
    template <int B, bool Adjacent>
    bool filter_block(ptrdiff_t channel, ptrdiff_t count, BoxSums<Lanes<T, B>, G + 1>& products,
                      BoxSums<Lanes<T, B>, G + 1>& coefficients) const {
        using V = Lanes<T, B>;
        V not_finite{};  // stays 0 unless a value times 0 is NaN
        products.begin_picture();
        coefficients.begin_picture();
        for (ptrdiff_t row = source_rows_.begin; row < source_rows_.end; ++row) {
            const ptrdiff_t a_row = row - problem_.row_radius;
            const ptrdiff_t out_row = a_row - problem_.row_radius;
            const bool row_inside = guide_rows_.contains(row);
            const bool a_row_due = a_row >= rows_.begin - problem_.row_radius;
            const bool a_row_inside = coefficient_rows_.contains(a_row);
            const bool out_row_due = out_row >= rows_.begin;
            products.begin_row();
            if (a_row_due) {
                coefficients.begin_row();
            }
            for (ptrdiff_t col = source_cols_.begin; col < source_cols_.end; ++col) {
                V sums[G + 1];
                if (guide_cols_.contains(col)) {
                    V values[G + 1] = {};
                    if (row_inside) {
                        V value;
                        load<B, Adjacent>(row, col, channel, count, value);
                        not_finite += value * T(0);
                        if (problem_.clipped) {
                            value.clip(problem_.clip);
                        }
                        const T* const rgb = color(row, col);
                        values[0] = value;
                        for (int i = 0; i < G; ++i) {
                            values[1 + i] = value * rgb[i];
                        }
                    }
                    products.push(col - guide_cols_.begin, values, sums);
                } else {
                    products.push_outside(sums);
                }
                const ptrdiff_t a_col = col - problem_.col_radius;
                if (!a_row_due || a_col < cols_.begin - problem_.col_radius) {
                    continue;
                }
                V out_sums[G + 1];
                if (coefficient_cols_.contains(a_col)) {
                    V ab[G + 1] = {};
                    if (a_row_inside) {
                        detail::guided_coefficients<T, G>(statistics(a_row, a_col), sums, ab);
                    }
                    coefficients.push(a_col - coefficient_cols_.begin, ab, out_sums);
                } else {
                    coefficients.push_outside(out_sums);
                }
                const ptrdiff_t out_col = a_col - problem_.col_radius;
                if (out_row_due && out_col >= cols_.begin) {
                    V value;
                    detail::guided_value<T, G>(out_sums, color(out_row, out_col),
                                               statistics(out_row, out_col).inverse_count, value);
                    store<B, Adjacent>(out_row, out_col, channel, count, value);
                }
            }
        }
        T plain[B];
        not_finite.write(plain);
        return std::all_of(plain, plain + B, [](T zero) { return zero == T(0); });
    }

    const Problem<T, G>& problem_;
    Range rows_;
    Range cols_;
    Range source_rows_;
    Range source_cols_;
    Range guide_rows_;
    Range guide_cols_;
    Range coefficient_rows_;
    Range coefficient_cols_;
    std::vector<T> guide_;
    std::vector<detail::GuideStatistics<T, G>> statistics_;
};

// Tiles along an axis: about `target` long, at least four radii, all nearly the same.
ptrdiff_t tile_count(ptrdiff_t n, ptrdiff_t target, ptrdiff_t radius) {
    const ptrdiff_t length = std::max(target, 4 * radius);
    return (n + length - 1) / length;
}

template <class T, int G>
bool run(const Problem<T, G>& problem, Monitor& monitor) {
    const ptrdiff_t n_rows = problem.n_rows();
    const ptrdiff_t n_cols = problem.n_cols();
    const ptrdiff_t down = tile_count(n_rows, kTileRows, problem.row_radius);
    const ptrdiff_t across = tile_count(n_cols, kTileCols, problem.col_radius);
    const bool narrow = problem.n_channels() <= 4 || std::max(problem.row_radius, problem.col_radius) > kLargeRadius;
    const ptrdiff_t n_tiles = down * across;
    const ptrdiff_t batch = std::max<ptrdiff_t>(8, 4 * num_threads());
    std::atomic<bool> finite{true};
    monitor.report(0.0);
    for (ptrdiff_t first = 0; first < n_tiles; first += batch) {
        parallel_for(std::min(batch, n_tiles - first), 1, [&](ptrdiff_t begin, ptrdiff_t end) {
            for (ptrdiff_t i = first + begin; i < first + end; ++i) {
                const ptrdiff_t y = i / across;
                const ptrdiff_t x = i % across;
                const Tile<T, G> tile(problem, {n_rows * y / down, n_rows * (y + 1) / down},
                                      {n_cols * x / across, n_cols * (x + 1) / across});
                constexpr int kWide = kRegisterBytes / static_cast<int>(sizeof(T));
                if (!(narrow ? tile.template filter<4>() : tile.template filter<kWide>())) {
                    finite.store(false, std::memory_order_relaxed);
                }
            }
        });
        monitor.report(static_cast<double>(std::min(first + batch, n_tiles)) / static_cast<double>(n_tiles));
    }
    return finite.load();
}

}  // namespace

template <class T>
bool guided_filter(const View<const T, 3>& guide, const View<const T, 3>& source, const View<T, 3>& out,
                   std::ptrdiff_t radius, double epsilon, double clip, Monitor& monitor) {
    const ptrdiff_t n_rows = source.extent(0);
    const ptrdiff_t n_cols = source.extent(1);
    detail::check_guided_filter<T>(guide, source, out, radius, epsilon, clip);
    const bool clipped = std::isfinite(clip);
    const T limit = static_cast<T>(std::min(clip, static_cast<double>(std::numeric_limits<T>::max())));
    // A window that reaches beyond the picture on both sides is the same as the next larger one.
    const ptrdiff_t row_radius = std::min(radius, n_rows - 1);
    const ptrdiff_t col_radius = std::min(radius, n_cols - 1);
    if (guide.extent(2) == 3) {
        return run(Problem<T, 3>{guide, source, out, row_radius, col_radius, epsilon, clipped, limit}, monitor);
    }
    return run(Problem<T, 1>{guide, source, out, row_radius, col_radius, epsilon, clipped, limit}, monitor);
}

template bool guided_filter<float>(const View<const float, 3>&, const View<const float, 3>&, const View<float, 3>&,
                                   std::ptrdiff_t, double, double, Monitor&);
template bool guided_filter<double>(const View<const double, 3>&, const View<const double, 3>&, const View<double, 3>&,
                                    std::ptrdiff_t, double, double, Monitor&);

}  // namespace fastsoft
