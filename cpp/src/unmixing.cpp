// SPDX-License-Identifier: MIT
#include "fastsoft/unmixing.hpp"

#include <algorithm>
#include <cstddef>
#include <vector>

#include "fastsoft/core/parallel.hpp"
#include "fastsoft/detail/unmixing_checks.hpp"
#include "fastsoft/detail/unmixing_pixel.hpp"

namespace fastsoft {
namespace {

// Pixels of a row that are worked on at a time, even. With ten layers the workspace is about 20 kB in float.
constexpr std::ptrdiff_t kBlock = 64;
constexpr std::ptrdiff_t kRowGrain = 8;
constexpr std::ptrdiff_t kChannels = detail::kUnmixingChannels;

// Coefficients of one block of pixels, enlarged: kBlock values for each layer and channel.
template <class T>
class Enlarged {
public:
    Enlarged(const View<const T, 4>& coefficients, const std::array<std::ptrdiff_t, 2>& origin)
        : coefficients_(coefficients),
          origin_(origin),
          n_(coefficients.extent(2)),
          values_(static_cast<std::size_t>(n_ * kChannels * kBlock)) {}

    // Channel k of layer i of the pixels from (row, first) on.
    const T* operator()(std::ptrdiff_t i, std::ptrdiff_t k) const {
        return values_.data() + (i * kChannels + k) * kBlock;
    }

    void fill(std::ptrdiff_t row, std::ptrdiff_t first) {
        const std::ptrdiff_t last_row = coefficients_.extent(0) - 1;
        const std::ptrdiff_t last_col = coefficients_.extent(1) - 1;
        const std::ptrdiff_t own = (row + origin_[0]) / 2;
        const bool odd = (row + origin_[0]) % 2 != 0;
        const std::ptrdiff_t upper = std::clamp<std::ptrdiff_t>(odd ? own : own - 1, 0, last_row);
        const std::ptrdiff_t lower = std::clamp<std::ptrdiff_t>(odd ? own + 1 : own, 0, last_row);
        const std::ptrdiff_t begin = (first + origin_[1]) / 2 - 1;
        constexpr std::ptrdiff_t kHalf = kBlock / 2;
        // One coefficient more at either end, the border's repeated. Most blocks touch no border.
        const bool inside = begin >= 0 && begin + kHalf + 1 <= last_col;
        const std::ptrdiff_t step = coefficients_.stride(1);
        T line[kHalf + 2];
        for (std::ptrdiff_t i = 0; i < n_; ++i) {
            for (std::ptrdiff_t k = 0; k < kChannels; ++k) {
                const T* const above = &coefficients_(upper, 0, i, k);
                const T* const below = &coefficients_(lower, 0, i, k);
                const auto between = [&](T a, T b) {
                    return odd ? detail::enlarged_odd(a, b) : detail::enlarged_even(a, b);
                };
                if (inside && step == 1) {
#pragma GCC ivdep
                    for (std::ptrdiff_t j = 0; j < kHalf + 2; ++j) {
                        line[j] = between(above[begin + j], below[begin + j]);
                    }
                } else {
                    for (std::ptrdiff_t j = 0; j < kHalf + 2; ++j) {
                        const std::ptrdiff_t at = std::clamp<std::ptrdiff_t>(begin + j, 0, last_col) * step;
                        line[j] = between(above[at], below[at]);
                    }
                }
                T* const to = values_.data() + (i * kChannels + k) * kBlock;
#pragma GCC ivdep
                for (std::ptrdiff_t j = 0; j < kHalf; ++j) {
                    to[2 * j] = detail::enlarged_even(line[j], line[j + 1]);
                    to[2 * j + 1] = detail::enlarged_odd(line[j + 1], line[j + 2]);
                }
            }
        }
    }

private:
    View<const T, 4> coefficients_;
    std::array<std::ptrdiff_t, 2> origin_;
    std::ptrdiff_t n_;
    std::vector<T> values_;
};

// The colours of a block; pixels beyond the end of the row repeat the last one, so that loops have one length.
template <class T>
void load_colors(const View<const T, 3>& image, std::ptrdiff_t row, std::ptrdiff_t first, T (&color)[3][kBlock]) {
    const std::ptrdiff_t last = image.extent(1) - 1;
    for (std::ptrdiff_t channel = 0; channel < 3; ++channel) {
        const T* const from = &image(row, 0, channel);
        for (std::ptrdiff_t p = 0; p < kBlock; ++p) {
            color[channel][p] = from[std::min(first + p, last) * image.stride(1)];
        }
    }
}

template <class T>
void store(const T* from, std::ptrdiff_t count, T* to, std::ptrdiff_t step) {
    if (step == 1) {
        std::copy_n(from, count, to);
        return;
    }
    for (std::ptrdiff_t p = 0; p < count; ++p) {
        to[p * step] = from[p];
    }
}

template <class T>
class AlphaWorker {
public:
    AlphaWorker(const View<const T, 3>& image, const View<const T, 2>& palette, const View<const T, 4>& coefficients,
                const std::array<std::ptrdiff_t, 2>& origin, const Unmixing& params, const View<T, 3>& alphas)
        : image_(image),
          alphas_(alphas),
          enlarged_(coefficients, origin),
          n_(palette.extent(0)),
          inverse_scale_(static_cast<T>(1.0 / params.scale)),
          inverse_stiffness_(static_cast<T>(1.0 / params.stiffness)),
          steps_(params.steps),
          palette_(static_cast<std::size_t>(3 * n_)),
          z_(static_cast<std::size_t>(n_ * kBlock)) {
        for (std::ptrdiff_t i = 0; i < n_; ++i) {
            for (std::ptrdiff_t channel = 0; channel < 3; ++channel) {
                palette_[static_cast<std::size_t>(3 * i + channel)] = palette(i, channel);
            }
        }
    }

    void block(std::ptrdiff_t row, std::ptrdiff_t first) {
        T color[3][kBlock];
        load_colors(image_, row, first, color);
        enlarged_.fill(row, first);
        for (std::ptrdiff_t i = 0; i < n_; ++i) {
            const T* const p_i = palette_.data() + 3 * i;
            const T* const red = enlarged_(i, 0);
            const T* const green = enlarged_(i, 1);
            const T* const blue = enlarged_(i, 2);
            const T* const level = enlarged_(i, 3);
            T* const z = z_.data() + i * kBlock;
#pragma GCC ivdep
            for (std::ptrdiff_t p = 0; p < kBlock; ++p) {
                const T slope[3] = {red[p], green[p], blue[p]};
                const T c[3] = {color[0][p], color[1][p], color[2][p]};
                z[p] = detail::unmixing_score(slope, level[p], c, p_i, inverse_scale_);
            }
        }
        project();
        for (std::ptrdiff_t step = 0; step < steps_; ++step) {
            descend(color);
            project();
        }
        const std::ptrdiff_t count = std::min(kBlock, alphas_.extent(1) - first);
        for (std::ptrdiff_t i = 0; i < n_; ++i) {
            store(z_.data() + i * kBlock, count, &alphas_(row, first, i), alphas_.stride(1));
        }
    }

private:
    // Replaces scores by the nearest alphas.
    void project() {
        T highest[kBlock];
        std::copy_n(z_.data(), kBlock, highest);
        for (std::ptrdiff_t i = 1; i < n_; ++i) {
            const T* const z = z_.data() + i * kBlock;
#pragma GCC ivdep
            for (std::ptrdiff_t p = 0; p < kBlock; ++p) {
                highest[p] = z[p] > highest[p] ? z[p] : highest[p];
            }
        }
        // Relative to the highest score all that stay positive lie in (-1, 0], and so do thresholds: rounding is that
        // of alphas. The threshold starts at the least value that it can have.
        T threshold[kBlock];
        std::fill_n(threshold, kBlock, T(-1));
        for (std::ptrdiff_t i = 0; i < n_; ++i) {
            T* const z = z_.data() + i * kBlock;
#pragma GCC ivdep
            for (std::ptrdiff_t p = 0; p < kBlock; ++p) {
                z[p] -= highest[p];
            }
        }
        for (std::ptrdiff_t round = 0; round < n_; ++round) {
            T sum[kBlock] = {};
            T count[kBlock] = {};
            for (std::ptrdiff_t i = 0; i < n_; ++i) {
                const T* const z = z_.data() + i * kBlock;
#pragma GCC ivdep
                for (std::ptrdiff_t p = 0; p < kBlock; ++p) {
                    detail::add_above(z[p], threshold[p], sum[p], count[p]);
                }
            }
            T raised = T(0);
            for (std::ptrdiff_t p = 0; p < kBlock; ++p) {
                const T found = (sum[p] - T(1)) / count[p];
                raised = found - threshold[p] > raised ? found - threshold[p] : raised;
                threshold[p] = found > threshold[p] ? found : threshold[p];
            }
            if (!(raised > T(0))) {
                break;
            }
        }
        for (std::ptrdiff_t i = 0; i < n_; ++i) {
            T* const z = z_.data() + i * kBlock;
#pragma GCC ivdep
            for (std::ptrdiff_t p = 0; p < kBlock; ++p) {
                z[p] = detail::positive(z[p] - threshold[p]);
            }
        }
    }

    // A step of gradient descent towards the photograph's colour.
    void descend(const T (&color)[3][kBlock]) {
        T error[3][kBlock];
        std::copy_n(&color[0][0], 3 * kBlock, &error[0][0]);
        for (std::ptrdiff_t i = 0; i < n_; ++i) {
            const T* const p_i = palette_.data() + 3 * i;
            const T* const a = z_.data() + i * kBlock;
#pragma GCC ivdep
            for (std::ptrdiff_t p = 0; p < kBlock; ++p) {
                error[0][p] -= a[p] * p_i[0];
                error[1][p] -= a[p] * p_i[1];
                error[2][p] -= a[p] * p_i[2];
            }
        }
        for (std::ptrdiff_t i = 0; i < n_; ++i) {
            const T* const p_i = palette_.data() + 3 * i;
            T* const a = z_.data() + i * kBlock;
#pragma GCC ivdep
            for (std::ptrdiff_t p = 0; p < kBlock; ++p) {
                a[p] += inverse_stiffness_ * (p_i[0] * error[0][p] + p_i[1] * error[1][p] + p_i[2] * error[2][p]);
            }
        }
    }

    View<const T, 3> image_;
    View<T, 3> alphas_;
    Enlarged<T> enlarged_;
    std::ptrdiff_t n_;
    T inverse_scale_;
    T inverse_stiffness_;
    std::ptrdiff_t steps_;
    std::vector<T> palette_;
    std::vector<T> z_;  // scores or alphas of the block
};

template <class T>
class ColorWorker {
public:
    ColorWorker(const View<const T, 3>& image, const View<const T, 2>& palette, const View<const T, 3>& alphas,
                const View<const T, 4>& coefficients, const std::array<std::ptrdiff_t, 2>& origin,
                const View<T, 4>& colors)
        : image_(image),
          palette_(palette),
          alphas_(alphas),
          colors_(colors),
          enlarged_(coefficients, origin),
          n_(palette.extent(0)),
          a_(static_cast<std::size_t>(n_ * kBlock)) {}

    void block(std::ptrdiff_t row, std::ptrdiff_t first) {
        const std::ptrdiff_t count = std::min(kBlock, image_.extent(1) - first);
        T color[3][kBlock];
        load_colors(image_, row, first, color);
        enlarged_.fill(row, first);
        T square[kBlock] = {};
        for (std::ptrdiff_t i = 0; i < n_; ++i) {
            T* const a = a_.data() + i * kBlock;
            const T* const from = &alphas_(row, 0, i);
            for (std::ptrdiff_t p = 0; p < kBlock; ++p) {
                a[p] = from[(first + std::min(p, count - 1)) * alphas_.stride(1)];
                square[p] += a[p] * a[p];
            }
        }
        for (std::ptrdiff_t channel = 0; channel < 3; ++channel) {
            T error[kBlock];
            std::copy_n(color[channel], kBlock, error);
            for (std::ptrdiff_t i = 0; i < n_; ++i) {
                const T p_i = palette_(i, channel);
                const T* const a = a_.data() + i * kBlock;
                const T* const offset = enlarged_(i, channel);
#pragma GCC ivdep
                for (std::ptrdiff_t p = 0; p < kBlock; ++p) {
                    error[p] -= a[p] * (p_i + offset[p]);
                }
            }
#pragma GCC ivdep
            for (std::ptrdiff_t p = 0; p < kBlock; ++p) {
                error[p] /= square[p];
            }
            for (std::ptrdiff_t i = 0; i < n_; ++i) {
                const T p_i = palette_(i, channel);
                const T* const a = a_.data() + i * kBlock;
                const T* const offset = enlarged_(i, channel);
                const T* const gain = enlarged_(i, 3);
                T result[kBlock];
#pragma GCC ivdep
                for (std::ptrdiff_t p = 0; p < kBlock; ++p) {
                    result[p] = detail::clamp_unit(p_i + offset[p] + gain[p] * a[p] * error[p]);
                }
                store(result, count, &colors_(row, first, i, channel), colors_.stride(1));
            }
        }
    }

private:
    View<const T, 3> image_;
    View<const T, 2> palette_;
    View<const T, 3> alphas_;
    View<T, 4> colors_;
    Enlarged<T> enlarged_;
    std::ptrdiff_t n_;
    std::vector<T> a_;
};

template <class Make>
void over_blocks(std::ptrdiff_t height, std::ptrdiff_t width, const Make& make) {
    parallel_for(height, kRowGrain, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
        auto worker = make();
        for (std::ptrdiff_t row = begin; row < end; ++row) {
            for (std::ptrdiff_t first = 0; first < width; first += kBlock) {
                worker.block(row, first);
            }
        }
    });
}

}  // namespace

template <class T>
void unmix_alphas(const View<const T, 3>& image, const View<const T, 2>& palette, const View<const T, 4>& coefficients,
                  const std::array<std::ptrdiff_t, 2>& origin, const Unmixing& params, const View<T, 3>& alphas) {
    detail::check_unmix_alphas<T>(image, palette, coefficients, origin, params, alphas);
    over_blocks(image.extent(0), image.extent(1),
                [&] { return AlphaWorker<T>(image, palette, coefficients, origin, params, alphas); });
}

template <class T>
void unmix_colors(const View<const T, 3>& image, const View<const T, 2>& palette, const View<const T, 3>& alphas,
                  const View<const T, 4>& coefficients, const std::array<std::ptrdiff_t, 2>& origin,
                  const View<T, 4>& colors) {
    detail::check_unmix_colors<T>(image, palette, alphas, coefficients, origin, colors);
    over_blocks(image.extent(0), image.extent(1),
                [&] { return ColorWorker<T>(image, palette, alphas, coefficients, origin, colors); });
}

template void unmix_alphas<float>(const View<const float, 3>&, const View<const float, 2>&, const View<const float, 4>&,
                                  const std::array<std::ptrdiff_t, 2>&, const Unmixing&, const View<float, 3>&);
template void unmix_alphas<double>(const View<const double, 3>&, const View<const double, 2>&,
                                   const View<const double, 4>&, const std::array<std::ptrdiff_t, 2>&, const Unmixing&,
                                   const View<double, 3>&);
template void unmix_colors<float>(const View<const float, 3>&, const View<const float, 2>&, const View<const float, 3>&,
                                  const View<const float, 4>&, const std::array<std::ptrdiff_t, 2>&,
                                  const View<float, 4>&);
template void unmix_colors<double>(const View<const double, 3>&, const View<const double, 2>&,
                                   const View<const double, 3>&, const View<const double, 4>&,
                                   const std::array<std::ptrdiff_t, 2>&, const View<double, 4>&);

}  // namespace fastsoft
