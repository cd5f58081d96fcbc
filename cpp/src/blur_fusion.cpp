// SPDX-License-Identifier: MIT
#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <vector>

#include "fastsoft/core/parallel.hpp"
#include "fastsoft/detail/estimate_foreground_checks.hpp"
#include "fastsoft/detail/estimate_foreground_pixel.hpp"
#include "fastsoft/detail/mirrored_position.hpp"
#include "fastsoft/estimate_foreground.hpp"

namespace fastsoft {
namespace {

using std::ptrdiff_t;

// What is summed over windows: F alpha and B (1 - alpha) of three channels, and alpha.
constexpr std::size_t kSums = 7;
constexpr std::size_t kAlpha = 6;
// Rows of a band, at the least: each begins by summing the rows of its first windows anew.
constexpr ptrdiff_t kBandRows = 64;

// Colours of a picture: a strided view of (H, W, 3).
template <class T>
struct Source {
    View<const T, 3> foreground;
    View<const T, 3> background;
    View<const T, 2> alpha;
};

template <class T>
void read_row(const Source<T>& source, ptrdiff_t row, std::array<std::vector<T>, kSums>& to) {
    const ptrdiff_t width = source.alpha.extent(1);
    const ptrdiff_t alpha_step = source.alpha.stride(1);
    const T* const alpha = &source.alpha(row, 0);
    T* const to_alpha = to[kAlpha].data();
    for (ptrdiff_t col = 0; col < width; ++col) {
        to_alpha[col] = alpha[col * alpha_step];
    }
    for (ptrdiff_t channel = 0; channel < 3; ++channel) {
        const T* const f = &source.foreground(row, 0, channel);
        const T* const b = &source.background(row, 0, channel);
        const ptrdiff_t f_step = source.foreground.stride(1);
        const ptrdiff_t b_step = source.background.stride(1);
        T* const to_f = to[static_cast<std::size_t>(channel)].data();
        T* const to_b = to[static_cast<std::size_t>(3 + channel)].data();
        for (ptrdiff_t col = 0; col < width; ++col) {
            to_f[col] = f[col * f_step] * to_alpha[col];
            to_b[col] = b[col * b_step] * (T(1) - to_alpha[col]);
        }
    }
}

// Writes F and B of rows [begin, end) for windows of `size` pixels. F and B written may not be those read.
template <class T>
void fuse_band(const View<const T, 3>& image, const Source<T>& source, ptrdiff_t size, ptrdiff_t begin, ptrdiff_t end,
               const View<T, 3>& foreground, const View<T, 3>& background) {
    const ptrdiff_t height = source.alpha.extent(0);
    const ptrdiff_t width = source.alpha.extent(1);
    const ptrdiff_t before = size / 2;
    const ptrdiff_t after = size - 1 - before;
    const double scale = 1.0 / (static_cast<double>(size) * static_cast<double>(size));
    std::array<std::vector<T>, kSums> values;
    std::array<std::vector<double>, kSums> columns;
    for (std::size_t i = 0; i < kSums; ++i) {
        values[i].resize(static_cast<std::size_t>(width));
        columns[i].assign(static_cast<std::size_t>(width), 0.0);
    }
    const auto add = [&](ptrdiff_t row, double sign) {
        read_row(source, detail::mirrored_position(row, height), values);
        for (std::size_t i = 0; i < kSums; ++i) {
            const T* const from = values[i].data();
            double* const to = columns[i].data();
            for (ptrdiff_t col = 0; col < width; ++col) {
                to[col] += sign * static_cast<double>(from[col]);
            }
        }
    };
    // Columns that enter and leave the window on its way along a row.
    std::vector<ptrdiff_t> folded(static_cast<std::size_t>(width + size));
    for (ptrdiff_t i = 0; i < width + size; ++i) {
        folded[static_cast<std::size_t>(i)] = detail::mirrored_position(i - before, width);
    }
    const double* column[kSums];
    for (std::size_t i = 0; i < kSums; ++i) {
        column[i] = columns[i].data();
    }
    for (ptrdiff_t row = begin - before; row < begin + after; ++row) {
        add(row, 1.0);
    }
    for (ptrdiff_t row = begin; row < end; ++row) {
        add(row + after, 1.0);
        std::array<double, kSums> sums{};
        for (ptrdiff_t i = 0; i < size; ++i) {
            for (std::size_t k = 0; k < kSums; ++k) {
                sums[k] += column[k][folded[static_cast<std::size_t>(i)]];
            }
        }
        for (ptrdiff_t col = 0; col < width; ++col) {
            const T a = source.alpha(row, col);
            const double mean_alpha = sums[kAlpha] * scale;
            const double f_scale = detail::fused_scale(mean_alpha, scale);
            const double b_scale = detail::fused_scale(1.0 - mean_alpha, scale);
            for (std::size_t i = 0; i < 3; ++i) {
                const auto channel = static_cast<ptrdiff_t>(i);
                // Sums that should be 0 may be off by a rounding to either side.
                const T mean_f = static_cast<T>(detail::unit_clamp(sums[i] * f_scale));
                const T mean_b = static_cast<T>(detail::unit_clamp(sums[3 + i] * b_scale));
                foreground(row, col, channel) = detail::fused_foreground(image(row, col, channel), a, mean_f, mean_b);
                if (background.data() != nullptr) {
                    background(row, col, channel) = mean_b;
                }
            }
            const ptrdiff_t leaves = folded[static_cast<std::size_t>(col)];
            const ptrdiff_t enters = folded[static_cast<std::size_t>(col + size)];
            for (std::size_t k = 0; k < kSums; ++k) {
                sums[k] += column[k][enters] - column[k][leaves];
            }
        }
        add(row - before, -1.0);
    }
}

template <class T>
void fuse(const View<const T, 3>& image, const Source<T>& source, ptrdiff_t size, const View<T, 3>& foreground,
          const View<T, 3>& background) {
    const ptrdiff_t height = source.alpha.extent(0);
    parallel_for(height, std::max(kBandRows, 2 * size), [&](ptrdiff_t begin, ptrdiff_t end) {
        fuse_band(image, source, size, begin, end, foreground, background);
    });
}

template <class T, int N>
bool inside(const View<const T, N>& array) {
    std::atomic<bool> good{true};
    parallel_for(array.extent(0), 32, [&](ptrdiff_t begin, ptrdiff_t end) {
        int bad = 0;
        for (ptrdiff_t row = begin; row < end; ++row) {
            for (ptrdiff_t col = 0; col < array.extent(1); ++col) {
                const T* const values = &array(row, col, 0);
                for (ptrdiff_t i = 0; i < array.extent(2); ++i) {
                    const T value = values[i * array.stride(2)];
                    bad |= detail::outside_unit(value);
                }
            }
        }
        if (bad != 0) {
            good = false;
        }
    });
    return good;
}

}  // namespace

template <class T>
ForegroundFault blur_fusion(const View<const T, 3>& image, const View<const T, 3>& alphas,
                            const View<T, 4>& foregrounds, const View<T, 4>& backgrounds,
                            const BlurFusionParams& params, Monitor& monitor) {
    detail::check_foreground(image, alphas, foregrounds, backgrounds);
    detail::check_blur_fusion(params);
    const ptrdiff_t height = alphas.extent(0);
    const ptrdiff_t width = alphas.extent(1);
    const ptrdiff_t n = alphas.extent(2);
    if (!inside(alphas)) {
        return ForegroundFault::alpha;
    }
    if (!inside(image)) {
        return ForegroundFault::image;
    }
    std::vector<T> first(static_cast<std::size_t>(6 * height * width));
    const auto planes = [&](ptrdiff_t begin) {
        return View<T, 3>(first.data() + begin * height * width, {height, width, 3}, {width, 1, height * width});
    };
    for (ptrdiff_t i = 0; i < n; ++i) {
        const View<const T, 2> alpha = detail::layer_of(alphas, i);
        monitor.report(static_cast<double>(i) / static_cast<double>(n));
        fuse<T>(image, {image, image, alpha}, params.first_size, planes(0), planes(3));
        fuse<T>(image, {planes(0), planes(3), alpha}, params.second_size, detail::layer_of(foregrounds, i),
                detail::layer_of(backgrounds, i));
    }
    monitor.report(1.0);
    return ForegroundFault::none;
}

template ForegroundFault blur_fusion<float>(const View<const float, 3>&, const View<const float, 3>&,
                                            const View<float, 4>&, const View<float, 4>&, const BlurFusionParams&,
                                            Monitor&);
template ForegroundFault blur_fusion<double>(const View<const double, 3>&, const View<const double, 3>&,
                                             const View<double, 4>&, const View<double, 4>&, const BlurFusionParams&,
                                             Monitor&);

}  // namespace fastsoft
