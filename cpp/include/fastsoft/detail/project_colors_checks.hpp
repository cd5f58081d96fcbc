// SPDX-License-Identifier: MIT
#pragma once

#include "fastsoft/core/error.hpp"
#include "fastsoft/project_colors.hpp"

namespace fastsoft::detail {

// How far the sum of a pixel's alphas may be from 1, as in fastsoft.layers.
constexpr double kAlphaSumSlack = 1e-4;

// What the loops of either backend rely on.
template <class T>
void check_project_colors(const View<const T, 3>& alphas, const View<const T, 4>& colors, const View<const T, 3>& image,
                          const View<T, 4>& out) {
    const std::ptrdiff_t height = alphas.extent(0);
    const std::ptrdiff_t width = alphas.extent(1);
    FASTSOFT_EXPECTS(height > 0 && width > 0 && alphas.extent(2) > 0, "alphas must not be empty");
    FASTSOFT_EXPECTS(image.extent(0) == height && image.extent(1) == width && image.extent(2) == 3,
                     "image must have shape (H, W, 3) with the size of alphas");
    for (const auto& shape : {colors.shape(), out.shape()}) {
        FASTSOFT_EXPECTS(shape[0] == height && shape[1] == width && shape[2] == alphas.extent(2) && shape[3] == 3,
                         "colors and out must have shape (H, W, n, 3) with the sizes of alphas");
    }
}

}  // namespace fastsoft::detail
