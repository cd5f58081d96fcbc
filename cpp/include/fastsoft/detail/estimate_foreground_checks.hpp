// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "fastsoft/core/error.hpp"
#include "fastsoft/core/view.hpp"
#include "fastsoft/detail/estimate_foreground_pixel.hpp"
#include "fastsoft/estimate_foreground.hpp"

// What either backend does before it begins.
namespace fastsoft::detail {

template <class T>
void check_foreground(const View<const T, 3>& image, const View<const T, 3>& alphas, const View<T, 4>& foregrounds,
                      const View<T, 4>& backgrounds) {
    const std::ptrdiff_t height = alphas.extent(0);
    const std::ptrdiff_t width = alphas.extent(1);
    const std::ptrdiff_t n = alphas.extent(2);
    FASTSOFT_EXPECTS(height > 0 && width > 0 && n > 0, "alphas must not be empty");
    FASTSOFT_EXPECTS(image.extent(0) == height && image.extent(1) == width && image.extent(2) == 3,
                     "image must have shape (H, W, 3) with the size of alphas");
    for (const auto* const out : {&foregrounds, &backgrounds}) {
        FASTSOFT_EXPECTS(out->data() == nullptr || (out->extent(0) == height && out->extent(1) == width &&
                                                    out->extent(2) == n && out->extent(3) == 3),
                         "foregrounds and backgrounds must have shape (H, W, n, 3) with the sizes of alphas");
    }
    FASTSOFT_EXPECTS(foregrounds.data() != nullptr, "foregrounds must not be empty");
}

inline void check_multilevel(const MultilevelParams& params) {
    FASTSOFT_EXPECTS(params.regularization > 0.0 && params.gradient_weight >= 0.0 && params.n_small_iterations >= 0 &&
                         params.n_large_iterations >= 0,
                     "regularization must be positive, gradient_weight and iterations not negative");
}

inline void check_blur_fusion(const BlurFusionParams& params) {
    FASTSOFT_EXPECTS(params.first_size >= 1 && params.second_size >= 1, "window sizes must be at least 1");
}

// Sizes of all levels, the full one last.
inline std::vector<LevelSize> level_sizes(std::ptrdiff_t height, std::ptrdiff_t width) {
    const auto n = static_cast<int>(std::ceil(std::log2(static_cast<double>(std::max(height, width)))));
    if (n == 0) {
        return {{1, 1}};
    }
    std::vector<LevelSize> sizes;
    for (int l = 0; l <= n; ++l) {
        const double exponent = static_cast<double>(l) / static_cast<double>(n);
        // Rounds halves to even.
        const auto side = [&](std::ptrdiff_t full) {
            return static_cast<std::ptrdiff_t>(std::nearbyint(std::pow(static_cast<double>(full), exponent)));
        };
        sizes.push_back({side(height), side(width)});
    }
    return sizes;
}

inline int level_iterations(const MultilevelParams& params, const LevelSize& size) {
    const bool small = size.rows <= params.small_size && size.cols <= params.small_size;
    return small ? params.n_small_iterations : params.n_large_iterations;
}

// One layer of what all layers are written to.
template <class T>
View<T, 3> layer_of(const View<T, 4>& all, std::ptrdiff_t layer) {
    if (all.data() == nullptr) {
        return {};
    }
    return View<T, 3>(all.data() + layer * all.stride(2), {all.extent(0), all.extent(1), all.extent(3)},
                      {all.stride(0), all.stride(1), all.stride(3)});
}

template <class T>
View<const T, 2> layer_of(const View<const T, 3>& alphas, std::ptrdiff_t layer) {
    return View<const T, 2>(alphas.data() + layer * alphas.stride(2), {alphas.extent(0), alphas.extent(1)},
                            {alphas.stride(0), alphas.stride(1)});
}

}  // namespace fastsoft::detail
