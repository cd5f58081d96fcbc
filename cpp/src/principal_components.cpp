// SPDX-License-Identifier: MIT
#include "fastsoft/principal_components.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

#include "fastsoft/core/parallel.hpp"
#include "fastsoft/detail/narrow_kernels.hpp"
#include "fastsoft/detail/outer_products.hpp"
#include "fastsoft/detail/principal_components_loop.hpp"
#include "fastsoft/detail/vector.hpp"

namespace fastsoft {
namespace {

// Pixels of a task; the borders of tasks and blocks decide in which order is summed, and depend on nothing else.
constexpr std::ptrdiff_t kChunk = 8192;
// Pixels whose mean is taken at a time, and that stay in the second-level cache until it is subtracted.
constexpr std::ptrdiff_t kBlock = 128;
// Pixels whose centred values, in double, stay in the first-level cache (with 128 channels).
constexpr std::ptrdiff_t kRows = 32;
// Bytes that the sums of tasks waiting to be merged may take, unless every thread needs more.
constexpr std::ptrdiff_t kPartialBytes = std::ptrdiff_t{1} << 22;

std::size_t at(std::ptrdiff_t index) {
    return static_cast<std::size_t>(index);
}

// Reads pixels, whatever the strides are.
template <class T>
class Reader {
public:
    Reader(const View<const T, 3>& values, double clip)
        : values_(values), limit_(static_cast<T>(std::min(clip, static_cast<double>(std::numeric_limits<T>::max())))) {}

    std::ptrdiff_t n_pixels() const { return values_.extent(0) * values_.extent(1); }
    std::ptrdiff_t n_channels() const { return values_.extent(2); }

    // to (end - begin, C) = pixels begin..end, cut to the limits; false if one is not finite.
    bool read(std::ptrdiff_t begin, std::ptrdiff_t end, T* to) const {
        const std::ptrdiff_t width = values_.extent(1);
        const std::ptrdiff_t n_channels = values_.extent(2);
        bool finite = true;
        while (begin < end) {
            const std::ptrdiff_t col = begin % width;
            const std::ptrdiff_t count = std::min(end - begin, width - col);
            finite = read_run(&values_(begin / width, col, 0), count, to) && finite;
            begin += count;
            to += count * n_channels;
        }
        return finite;
    }

private:
    // As wide as T, so that the loop over both vectorises.
    using Flag = std::conditional_t<sizeof(T) == 8, std::int64_t, std::int32_t>;

    bool read_run(const T* from, std::ptrdiff_t count, T* to) const {
        const std::ptrdiff_t n_channels = values_.extent(2);
        const std::ptrdiff_t pixel = values_.stride(1);
        const std::ptrdiff_t channel = values_.stride(2);
        if (channel == 1 && pixel == n_channels) {
            return read_line(from, 1, count * n_channels, to, 1);
        }
        bool finite = true;
        if (std::abs(channel) <= std::abs(pixel)) {
            for (std::ptrdiff_t i = 0; i < count; ++i) {
                finite = read_line(from + i * pixel, channel, n_channels, to + i * n_channels, 1) && finite;
            }
        } else {
            for (std::ptrdiff_t c = 0; c < n_channels; ++c) {
                finite = read_line(from + c * channel, pixel, count, to + c, n_channels) && finite;
            }
        }
        return finite;
    }

    bool read_line(const T* from, std::ptrdiff_t from_step, std::ptrdiff_t count, T* to, std::ptrdiff_t to_step) const {
        if (from_step == 1 && to_step == 1) {
            return read_line_by(from, std::integral_constant<std::ptrdiff_t, 1>(), count, to,
                                std::integral_constant<std::ptrdiff_t, 1>());
        }
        return read_line_by(from, from_step, count, to, to_step);
    }

    template <class FromStep, class ToStep>
    bool read_line_by(const T* from, FromStep from_step, std::ptrdiff_t count, T* to, ToStep to_step) const {
        const T limit = limit_;
        Flag bad = 0;
        for (std::ptrdiff_t i = 0; i < count; ++i) {
            T value = from[i * from_step];
            bad |= static_cast<Flag>(value - value != T(0));
            value = value > limit ? limit : value;
            value = value < -limit ? -limit : value;
            to[i * to_step] = value;
        }
        return bad == 0;
    }

    View<const T, 3> values_;
    T limit_;
};

// Means are kept as differences from `origin`, the first pixel of all: where values lie far from zero a mean itself
// cannot hold as many digits as its difference from another mean needs.

// rows (n, length) = pixels (n, C) less origin and mean; what pads a row is left as it is.
template <class T>
void centre(const T* pixels, std::ptrdiff_t n, std::ptrdiff_t n_channels, const double* origin, const double* mean,
            std::ptrdiff_t length, double* rows) {
    for (std::ptrdiff_t i = 0; i < n; ++i) {
        const T* const from = pixels + i * n_channels;
        double* const to = rows + i * length;
#pragma GCC ivdep
        for (std::ptrdiff_t c = 0; c < n_channels; ++c) {
            to[c] = (static_cast<double>(from[c]) - origin[c]) - mean[c];
        }
    }
}

// mean (C) of n pixels less origin.
template <class T>
void mean_of(const T* pixels, std::ptrdiff_t n, std::ptrdiff_t n_channels, const double* origin, double* mean) {
    std::fill(mean, mean + n_channels, 0.0);
    for (std::ptrdiff_t i = 0; i < n; ++i) {
        const T* const from = pixels + i * n_channels;
#pragma GCC ivdep
        for (std::ptrdiff_t c = 0; c < n_channels; ++c) {
            mean[c] += static_cast<double>(from[c]) - origin[c];
        }
    }
    for (std::ptrdiff_t c = 0; c < n_channels; ++c) {
        mean[c] /= static_cast<double>(n);
    }
}

// Number, mean (less origin), and lower triangle of the sum of (x - mean) (x - mean)' of some pixels.
struct Moments {
    std::ptrdiff_t n_channels = 0;
    std::ptrdiff_t length = 0;  // of a row of `products`: a multiple of what outer products take at a time
    double count = 0.0;
    std::vector<double> mean;
    std::vector<double> products;  // (length, length)

    explicit Moments(std::ptrdiff_t channels)
        : n_channels(channels),
          length(detail::padded_length<double>(channels)),
          mean(at(channels)),
          products(at(length * length)) {}

    void clear() {
        count = 0.0;
        std::fill(mean.begin(), mean.end(), 0.0);
        std::fill(products.begin(), products.end(), 0.0);
    }

    // Moves the mean to that of these and `other_count` pixels of mean `other_mean`. Their products still lack the
    // outer product of the vector that is written to `bridge`.
    void move_mean(double other_count, const double* other_mean, double* bridge) {
        const double total = count + other_count;
        const double scale = std::sqrt(count * other_count / total);
        const double share = other_count / total;
        for (std::ptrdiff_t c = 0; c < n_channels; ++c) {
            const double difference = other_mean[c] - mean[at(c)];
            bridge[c] = scale * difference;
            mean[at(c)] += share * difference;
        }
        count = total;
    }

    void merge(const Moments& other) {
        std::vector<double> bridge(at(length));
        move_mean(other.count, other.mean.data(), bridge.data());
        detail::add_outer_products(bridge.data(), length, 1, 1.0, products.data());
        for (std::size_t i = 0; i < products.size(); ++i) {
            products[i] += other.products[i];
        }
    }
};

// Adds pixels begin..end; false if one is not finite.
template <class T>
bool add_pixels(const Reader<T>& reader, std::ptrdiff_t begin, std::ptrdiff_t end, const double* origin,
                Moments& moments) {
    const std::ptrdiff_t n_channels = moments.n_channels;
    const std::ptrdiff_t length = moments.length;
    std::vector<T> block(at(kBlock * n_channels));
    std::vector<double> mean(at(n_channels));
    std::vector<double> rows(at((kRows + 1) * length));
    for (std::ptrdiff_t first = begin; first < end; first += kBlock) {
        const std::ptrdiff_t count = std::min(kBlock, end - first);
        if (!reader.read(first, first + count, block.data())) {
            return false;
        }
        mean_of(block.data(), count, n_channels, origin, mean.data());
        for (std::ptrdiff_t row = 0; row < count; row += kRows) {
            std::ptrdiff_t n = std::min(kRows, count - row);
            centre(block.data() + row * n_channels, n, n_channels, origin, mean.data(), length, rows.data());
            if (row + n == count) {
                // Merging with the blocks before is one more outer product, which costs least among the others.
                moments.move_mean(static_cast<double>(count), mean.data(), rows.data() + n * length);
                ++n;
            }
            detail::add_outer_products(rows.data(), length, n, 1.0, moments.products.data());
        }
    }
    return true;
}

// Tasks that run between two reports of progress: enough for the threads, few enough for their sums to stay small.
std::ptrdiff_t batch_of(std::ptrdiff_t bytes) {
    return std::max<std::ptrdiff_t>(2 * num_threads(), std::min<std::ptrdiff_t>(64, kPartialBytes / bytes));
}

// Moments of all pixels; false if one is not finite.
template <class T>
bool sum_up(const Reader<T>& reader, const double* origin, Moments& total, Monitor& monitor) {
    const std::ptrdiff_t n = reader.n_pixels();
    const std::ptrdiff_t n_chunks = (n + kChunk - 1) / kChunk;
    const std::ptrdiff_t batch =
        std::min(n_chunks, batch_of(static_cast<std::ptrdiff_t>(sizeof(double)) * total.length * total.length));
    std::vector<Moments> parts(at(batch), Moments(total.n_channels));
    std::atomic<bool> finite{true};
    for (std::ptrdiff_t first = 0; first < n_chunks; first += batch) {
        const std::ptrdiff_t count = std::min(batch, n_chunks - first);
        parallel_for(count, 1, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
            for (std::ptrdiff_t i = begin; i < end; ++i) {
                parts[at(i)].clear();
                const std::ptrdiff_t pixel = (first + i) * kChunk;
                if (!add_pixels(reader, pixel, std::min(n, pixel + kChunk), origin, parts[at(i)])) {
                    finite.store(false, std::memory_order_relaxed);
                }
            }
        });
        if (!finite.load()) {
            return false;
        }
        for (std::ptrdiff_t i = 0; i < count; ++i) {
            total.merge(parts[at(i)]);
        }
        monitor.report(static_cast<double>(first + count) / static_cast<double>(n_chunks));
    }
    return true;
}

struct Extents {
    std::vector<double> low;
    std::vector<double> high;

    Extents& operator+=(const Extents& other) {
        if (low.empty()) {
            return *this = other;
        }
        for (std::size_t k = 0; k < low.size(); ++k) {
            low[k] = std::min(low[k], other.low[k]);
            high[k] = std::max(high[k], other.high[k]);
        }
        return *this;
    }
};

// Scores of pixels begin..end. weights is (C, width): minus the basis, padded with zeros.
template <class T>
Extents project(const Reader<T>& reader, std::ptrdiff_t begin, std::ptrdiff_t end, const double* origin,
                const double* mean, const std::vector<double>& weights, std::ptrdiff_t width, std::ptrdiff_t n,
                std::ptrdiff_t rank, T* scores) {
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    const std::ptrdiff_t n_channels = reader.n_channels();
    Extents extents{std::vector<double>(at(n), kInfinity), std::vector<double>(at(n), -kInfinity)};
    std::vector<T> block(at(kRows * n_channels));
    std::vector<double> rows(at(kRows * n_channels));
    std::vector<double> products(at(kRows * width));
    for (std::ptrdiff_t first = begin; first < end; first += kRows) {
        const std::ptrdiff_t count = std::min(kRows, end - first);
        reader.read(first, first + count, block.data());
        centre(block.data(), count, n_channels, origin, mean, n_channels, rows.data());
        std::fill(products.begin(), products.end(), 0.0);
        detail::subtract_narrow_product(products.data(), rows.data(), n_channels, std::ptrdiff_t{1}, weights.data(),
                                        count, n_channels, width);
        for (std::ptrdiff_t i = 0; i < count; ++i) {
            T* const to = scores + (first + i) * n;
            for (std::ptrdiff_t k = 0; k < n; ++k) {
                to[k] = k < rank ? static_cast<T>(products[at(i * width + k)]) : T(0);
                const auto score = static_cast<double>(to[k]);
                extents.low[at(k)] = std::min(extents.low[at(k)], score);
                extents.high[at(k)] = std::max(extents.high[at(k)], score);
            }
        }
    }
    return extents;
}

// What detail::principal_components_loop calls.
template <class T>
class System {
public:
    System(const View<const T, 3>& values, std::ptrdiff_t n_components, double clip, T* scores)
        : reader_(values, clip), n_components_(n_components), scores_(scores), moments_(values.extent(2)) {}

    bool sum_up(std::vector<double>& mean, std::vector<double>& covariance, Monitor& monitor) {
        const std::ptrdiff_t n_channels = reader_.n_channels();
        std::vector<T> first_pixel(at(n_channels));
        const bool finite = reader_.read(0, 1, first_pixel.data());
        origin_.assign(first_pixel.begin(), first_pixel.end());
        if (!finite || !fastsoft::sum_up(reader_, origin_.data(), moments_, monitor)) {
            return false;
        }
        for (std::ptrdiff_t c = 0; c < n_channels; ++c) {
            mean[at(c)] = origin_[at(c)] + moments_.mean[at(c)];
        }
        for (std::ptrdiff_t i = 0; i < n_channels; ++i) {
            for (std::ptrdiff_t j = 0; j <= i; ++j) {
                const double value = moments_.products[at(i * moments_.length + j)] / moments_.count;
                covariance[at(i * n_channels + j)] = value;
                covariance[at(j * n_channels + i)] = value;
            }
        }
        return true;
    }

    void project(const detail::PrincipalAxes& axes, double* low, double* high, Monitor& monitor) const {
        const std::ptrdiff_t n = reader_.n_pixels();
        const std::ptrdiff_t lanes = detail::kLanes<double>;
        const std::ptrdiff_t width = (std::max<std::ptrdiff_t>(axes.rank, 1) + lanes - 1) / lanes * lanes;
        std::vector<double> weights(at(reader_.n_channels() * width));
        for (std::ptrdiff_t c = 0; c < reader_.n_channels(); ++c) {
            for (std::ptrdiff_t k = 0; k < axes.rank; ++k) {
                weights[at(c * width + k)] = -axes.basis[at(c * n_components_ + k)];
            }
        }
        Extents extents;
        const std::ptrdiff_t n_chunks = (n + kChunk - 1) / kChunk;
        const std::ptrdiff_t batch = batch_of(static_cast<std::ptrdiff_t>(sizeof(double)) * 2 * n_components_);
        for (std::ptrdiff_t first = 0; first < n_chunks; first += batch) {
            const std::ptrdiff_t count = std::min(batch, n_chunks - first);
            extents += parallel_sum<Extents>(count, 1, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
                return fastsoft::project(reader_, (first + begin) * kChunk, std::min(n, (first + end) * kChunk),
                                         origin_.data(), moments_.mean.data(), weights, width, n_components_, axes.rank,
                                         scores_);
            });
            monitor.report(static_cast<double>(first + count) / static_cast<double>(n_chunks));
        }
        std::copy(extents.low.begin(), extents.low.end(), low);
        std::copy(extents.high.begin(), extents.high.end(), high);
    }

    static void fill(double* to, const std::vector<double>& values) { std::copy(values.begin(), values.end(), to); }

private:
    Reader<T> reader_;
    std::ptrdiff_t n_components_;
    T* scores_;
    std::vector<double> origin_;
    Moments moments_;
};

}  // namespace

template <class T>
PrincipalComponentsInfo principal_components(const View<const T, 3>& values, std::ptrdiff_t n_components, double clip,
                                             const PrincipalComponents<T>& out, Monitor& monitor) {
    detail::check_principal_components(values, n_components, clip);
    System<T> system(values, n_components, clip, out.scores);
    return detail::principal_components_loop<T>(system, values.extent(2), n_components, out, monitor);
}

template PrincipalComponentsInfo principal_components<float>(const View<const float, 3>&, std::ptrdiff_t, double,
                                                             const PrincipalComponents<float>&, Monitor&);
template PrincipalComponentsInfo principal_components<double>(const View<const double, 3>&, std::ptrdiff_t, double,
                                                              const PrincipalComponents<double>&, Monitor&);

}  // namespace fastsoft
