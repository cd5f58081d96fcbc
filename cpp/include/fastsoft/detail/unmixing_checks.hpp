// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>

#include "fastsoft/core/error.hpp"
#include "fastsoft/unmixing.hpp"

// What the loops of either backend rely on.
namespace fastsoft::detail {

// Coefficients of every layer.
constexpr std::ptrdiff_t kUnmixingChannels = 4;

template <class T>
void check_unmixing(const View<const T, 3>& image, const View<const T, 2>& palette,
                    const View<const T, 4>& coefficients, const std::array<std::ptrdiff_t, 2>& origin) {
    FASTSOFT_EXPECTS(image.size() > 0 && image.extent(2) == 3, "image must have shape (H, W, 3) and not be empty");
    FASTSOFT_EXPECTS(palette.extent(0) > 0 && palette.extent(1) == 3, "palette must have shape (n, 3)");
    FASTSOFT_EXPECTS(coefficients.extent(2) == palette.extent(0) && coefficients.extent(3) == kUnmixingChannels,
                     "coefficients must have shape (h, w, n, 4)");
    for (int axis = 0; axis < 2; ++axis) {
        const std::ptrdiff_t from = origin[static_cast<std::size_t>(axis)];
        FASTSOFT_EXPECTS(from >= 0 && from % 2 == 0, "origin must be even and at least 0, got ", from);
        FASTSOFT_EXPECTS(from + image.extent(axis) <= 2 * coefficients.extent(axis),
                         "coefficients must cover the image, got ", coefficients.extent(axis), " for pixels ", from,
                         " to ", from + image.extent(axis));
    }
}

template <class T>
void check_unmix_alphas(const View<const T, 3>& image, const View<const T, 2>& palette,
                        const View<const T, 4>& coefficients, const std::array<std::ptrdiff_t, 2>& origin,
                        const Unmixing& params, const View<T, 3>& alphas) {
    check_unmixing<T>(image, palette, coefficients, origin);
    FASTSOFT_EXPECTS(params.scale > 0 && params.stiffness > 0 && params.steps >= 0,
                     "scale and stiffness must be above 0, steps at least 0");
    FASTSOFT_EXPECTS(alphas.extent(0) == image.extent(0) && alphas.extent(1) == image.extent(1) &&
                         alphas.extent(2) == palette.extent(0),
                     "alphas must have shape (H, W, n)");
}

template <class T>
void check_unmix_colors(const View<const T, 3>& image, const View<const T, 2>& palette, const View<const T, 3>& alphas,
                        const View<const T, 4>& coefficients, const std::array<std::ptrdiff_t, 2>& origin,
                        const View<T, 4>& colors) {
    check_unmixing<T>(image, palette, coefficients, origin);
    FASTSOFT_EXPECTS(alphas.extent(0) == image.extent(0) && alphas.extent(1) == image.extent(1) &&
                         alphas.extent(2) == palette.extent(0),
                     "alphas must have shape (H, W, n)");
    FASTSOFT_EXPECTS(colors.extent(0) == image.extent(0) && colors.extent(1) == image.extent(1) &&
                         colors.extent(2) == palette.extent(0) && colors.extent(3) == 3,
                     "colors must have shape (H, W, n, 3)");
}

}  // namespace fastsoft::detail
