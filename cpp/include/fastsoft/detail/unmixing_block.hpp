// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>

#include "fastsoft/core/block.hpp"
#include "fastsoft/core/view.hpp"
#include "fastsoft/detail/each_block.hpp"
#include "fastsoft/detail/unmixing_pixel.hpp"

// A thread per pixel; everything but coefficients, which four pixels share, is read from the cache after the first
// time. Neighbours are beside each other in planes (n, H, W), as networks leave them.
namespace fastsoft::detail {

// Coefficients at one pixel, enlarged: rows first, then columns, as the CPU does it.
template <class T>
class EnlargedAtPixel {
public:
    FASTSOFT_HD EnlargedAtPixel(const View<const T, 4>& coefficients, const std::array<std::ptrdiff_t, 2>& origin,
                                std::ptrdiff_t row, std::ptrdiff_t col)
        : layer_step_(coefficients.stride(2)), channel_step_(coefficients.stride(3)) {
        const std::ptrdiff_t r = row + origin[0];
        const std::ptrdiff_t c = col + origin[1];
        odd_row_ = r % 2 != 0;
        odd_col_ = c % 2 != 0;
        for (int i = 0; i < 2; ++i) {
            for (int j = 0; j < 2; ++j) {
                const std::ptrdiff_t down = clamp_index(r / 2 - (odd_row_ ? 0 : 1) + i, coefficients.extent(0));
                const std::ptrdiff_t right = clamp_index(c / 2 - (odd_col_ ? 0 : 1) + j, coefficients.extent(1));
                corner_[i][j] = &coefficients(down, right, 0, 0);
            }
        }
    }

    // Channel k of layer i.
    FASTSOFT_HD T operator()(std::ptrdiff_t i, std::ptrdiff_t k) const {
        const std::ptrdiff_t at = i * layer_step_ + k * channel_step_;
        return between(odd_col_, between(odd_row_, corner_[0][0][at], corner_[1][0][at]),
                       between(odd_row_, corner_[0][1][at], corner_[1][1][at]));
    }

private:
    FASTSOFT_HD static T between(bool odd, T a, T b) { return odd ? enlarged_odd(a, b) : enlarged_even(a, b); }

    std::ptrdiff_t layer_step_;
    std::ptrdiff_t channel_step_;
    bool odd_row_;
    bool odd_col_;
    const T* corner_[2][2];
};

template <class T>
struct UnmixAlphas {
    struct Arguments {
        View<const T, 3> image;
        View<const T, 2> palette;
        View<const T, 4> coefficients;
        std::array<std::ptrdiff_t, 2> origin;
        T inverse_scale;
        T inverse_stiffness;
        std::ptrdiff_t steps;
        View<T, 3> alphas;  // a pixel's own hold its scores on the way
    };

    FASTSOFT_HD static std::ptrdiff_t size(const Arguments& a) { return a.image.extent(0) * a.image.extent(1); }

    FASTSOFT_HD static void run(const Arguments& a, std::ptrdiff_t pixel) {
        const std::ptrdiff_t row = pixel / a.image.extent(1);
        const std::ptrdiff_t col = pixel % a.image.extent(1);
        const std::ptrdiff_t n = a.palette.extent(0);
        const std::ptrdiff_t step = a.alphas.stride(2);
        T* const z = &a.alphas(row, col, 0);
        const T color[3] = {a.image(row, col, 0), a.image(row, col, 1), a.image(row, col, 2)};
        const EnlargedAtPixel<T> enlarged(a.coefficients, a.origin, row, col);
        for (std::ptrdiff_t i = 0; i < n; ++i) {
            const T slope[3] = {enlarged(i, 0), enlarged(i, 1), enlarged(i, 2)};
            const T own[3] = {a.palette(i, 0), a.palette(i, 1), a.palette(i, 2)};
            z[i * step] = unmixing_score(slope, enlarged(i, 3), color, own, a.inverse_scale);
        }
        project(z, n, step);
        for (std::ptrdiff_t turn = 0; turn < a.steps; ++turn) {
            descend(a, color, z, n, step);
            project(z, n, step);
        }
    }

private:
    // Replaces scores by the nearest alphas.
    FASTSOFT_HD static void project(T* z, std::ptrdiff_t n, std::ptrdiff_t step) {
        T highest = z[0];
        for (std::ptrdiff_t i = 1; i < n; ++i) {
            highest = z[i * step] > highest ? z[i * step] : highest;
        }
        // Relative to the highest score all that stay positive lie in (-1, 0], and so do thresholds: rounding is that
        // of alphas. The threshold starts at the least value that it can have.
        T threshold = T(-1);
        for (std::ptrdiff_t round = 0; round < n; ++round) {
            T sum = T(0);
            T count = T(0);
            for (std::ptrdiff_t i = 0; i < n; ++i) {
                add_above(z[i * step] - highest, threshold, sum, count);
            }
            const T found = (sum - T(1)) / count;
            if (!(found > threshold)) {
                break;
            }
            threshold = found;
        }
        for (std::ptrdiff_t i = 0; i < n; ++i) {
            z[i * step] = positive(z[i * step] - highest - threshold);
        }
    }

    // A step of gradient descent towards the photograph's colour.
    FASTSOFT_HD static void descend(const Arguments& a, const T (&color)[3], T* z, std::ptrdiff_t n,
                                    std::ptrdiff_t step) {
        T error[3] = {color[0], color[1], color[2]};
        for (std::ptrdiff_t i = 0; i < n; ++i) {
            const T alpha = z[i * step];
            FASTSOFT_UNROLL(3)
            for (int channel = 0; channel < 3; ++channel) {
                error[channel] -= alpha * a.palette(i, channel);
            }
        }
        for (std::ptrdiff_t i = 0; i < n; ++i) {
            z[i * step] += a.inverse_stiffness *
                           (a.palette(i, 0) * error[0] + a.palette(i, 1) * error[1] + a.palette(i, 2) * error[2]);
        }
    }
};

template <class T>
struct UnmixColors {
    struct Arguments {
        View<const T, 3> image;
        View<const T, 2> palette;
        View<const T, 3> alphas;
        View<const T, 4> coefficients;
        std::array<std::ptrdiff_t, 2> origin;
        View<T, 4> colors;
    };

    FASTSOFT_HD static std::ptrdiff_t size(const Arguments& a) { return a.image.extent(0) * a.image.extent(1); }

    FASTSOFT_HD static void run(const Arguments& a, std::ptrdiff_t pixel) {
        const std::ptrdiff_t row = pixel / a.image.extent(1);
        const std::ptrdiff_t col = pixel % a.image.extent(1);
        const std::ptrdiff_t n = a.palette.extent(0);
        const EnlargedAtPixel<T> enlarged(a.coefficients, a.origin, row, col);
        const T* const alpha = &a.alphas(row, col, 0);
        const std::ptrdiff_t step = a.alphas.stride(2);
        T square = T(0);
        T error[3] = {a.image(row, col, 0), a.image(row, col, 1), a.image(row, col, 2)};
        for (std::ptrdiff_t i = 0; i < n; ++i) {
            const T own = alpha[i * step];
            square += own * own;
            FASTSOFT_UNROLL(3)
            for (int channel = 0; channel < 3; ++channel) {
                error[channel] -= own * (a.palette(i, channel) + enlarged(i, channel));
            }
        }
        FASTSOFT_UNROLL(3)
        for (int channel = 0; channel < 3; ++channel) {
            error[channel] /= square;
        }
        for (std::ptrdiff_t i = 0; i < n; ++i) {
            const T given = enlarged(i, 3) * alpha[i * step];
            FASTSOFT_UNROLL(3)
            for (int channel = 0; channel < 3; ++channel) {
                a.colors(row, col, i, channel) =
                    clamp_unit(a.palette(i, channel) + enlarged(i, channel) + given * error[channel]);
            }
        }
    }
};

}  // namespace fastsoft::detail
