// SPDX-License-Identifier: MIT
#include "fastsoft/image_gradient.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "fastsoft/core/error.hpp"
#include "fastsoft/core/parallel.hpp"
#include "fastsoft/detail/image_gradient_pixel.hpp"

namespace fastsoft {
namespace {

constexpr std::ptrdiff_t kRadius = detail::kGradientRadius;
// Rows per task: the packed copy of a strip with other strides has 12 rows more than the strip.
constexpr std::ptrdiff_t kRowGrain = 32;

// Rows first..last of the image as contiguous (W * C) lines: views where they are contiguous already, else a copy.
template <class T>
class Rows {
public:
    Rows(const View<const T, 3>& image, std::ptrdiff_t first, std::ptrdiff_t last) : image_(image), first_(first) {
        const std::ptrdiff_t n_cols = image.extent(1);
        const std::ptrdiff_t n_channels = image.extent(2);
        if ((image.stride(2) == 1 || n_channels == 1) && image.stride(1) == n_channels) {
            return;
        }
        copy_.resize(static_cast<std::size_t>((last - first + 1) * n_cols * n_channels));
        auto to = copy_.begin();
        for (std::ptrdiff_t row = first; row <= last; ++row) {
            for (std::ptrdiff_t col = 0; col < n_cols; ++col) {
                for (std::ptrdiff_t channel = 0; channel < n_channels; ++channel) {
                    *to++ = image(row, col, channel);
                }
            }
        }
    }

    const T* operator()(std::ptrdiff_t row) const {
        if (copy_.empty()) {
            return image_.data() + row * image_.stride(0);
        }
        return copy_.data() + (row - first_) * image_.extent(1) * image_.extent(2);
    }

private:
    View<const T, 3> image_;
    std::ptrdiff_t first_;
    std::vector<T> copy_;
};

// Repeats the first and the last pixel of a line of n_cols pixels that has room for 6 pixels on either side.
template <class T>
void replicate_edges(T* line, std::ptrdiff_t n_cols, std::ptrdiff_t n_channels) {
    for (std::ptrdiff_t i = 1; i <= kRadius; ++i) {
        std::copy_n(line, n_channels, line - i * n_channels);
        std::copy_n(line + (n_cols - 1) * n_channels, n_channels, line + (n_cols - 1 + i) * n_channels);
    }
}

}  // namespace

template <class T>
void image_gradient(const View<const T, 3>& image, T* out) {
    const std::ptrdiff_t n_rows = image.extent(0);
    const std::ptrdiff_t n_cols = image.extent(1);
    const std::ptrdiff_t n_channels = image.extent(2);
    FASTSOFT_EXPECTS(n_rows > 0 && n_cols > 0 && n_channels > 0, "image must not be empty");
    const std::ptrdiff_t width = n_cols * n_channels;
    const std::ptrdiff_t margin = kRadius * n_channels;

    parallel_for(n_rows, kRowGrain, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
        const Rows<T> rows(image, std::max<std::ptrdiff_t>(begin - kRadius, 0),
                           std::min(end - 1 + kRadius, n_rows - 1));
        std::vector<T> smooth_buffer(static_cast<std::size_t>(width + 2 * margin));
        std::vector<T> slope_buffer(smooth_buffer.size());
        std::vector<T> square_buffer(static_cast<std::size_t>(width));
        T* const smooth = smooth_buffer.data() + margin;
        T* const slope = slope_buffer.data() + margin;
        T* const square = square_buffer.data();
        for (std::ptrdiff_t row = begin; row < end; ++row) {
            const T* line[2 * kRadius + 1];
            for (std::ptrdiff_t k = -kRadius; k <= kRadius; ++k) {
                line[kRadius + k] = rows(std::clamp<std::ptrdiff_t>(row + k, 0, n_rows - 1));
            }
            // Over rows: prefilter for gx, derivative for gy. The edges are replicated afterwards, which is the same
            // as replicating those of the image.
#pragma GCC ivdep
            for (std::ptrdiff_t i = 0; i < width; ++i) {
                const auto at = [&](int k) { return line[kRadius + k][i]; };
                smooth[i] = detail::gradient_prefilter<T>(at);
                slope[i] = detail::gradient_derivative<T>(at);
            }
            replicate_edges(smooth, n_cols, n_channels);
            replicate_edges(slope, n_cols, n_channels);
            // Over columns: the other filter.
#pragma GCC ivdep
            for (std::ptrdiff_t i = 0; i < width; ++i) {
                const T gx = detail::gradient_derivative<T>([&](int k) { return smooth[i + k * n_channels]; });
                const T gy = detail::gradient_prefilter<T>([&](int k) { return slope[i + k * n_channels]; });
                square[i] = gx * gx + gy * gy;
            }
            T* const result = out + row * n_cols;
            for (std::ptrdiff_t col = 0; col < n_cols; ++col) {
                T sum = T(0);
                for (std::ptrdiff_t channel = 0; channel < n_channels; ++channel) {
                    sum += square[col * n_channels + channel];
                }
                result[col] = std::sqrt(sum);
            }
        }
    });
}

template void image_gradient<float>(const View<const float, 3>&, float*);
template void image_gradient<double>(const View<const double, 3>&, double*);

}  // namespace fastsoft
