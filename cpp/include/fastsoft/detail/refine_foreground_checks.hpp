// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>

#include "fastsoft/core/error.hpp"
#include "fastsoft/core/view.hpp"
#include "fastsoft/refine_foreground.hpp"

// What either backend does before it begins.
namespace fastsoft::detail {

template <class T>
void check_refine_foreground(const View<const T, 3>& foreground, const View<const T, 2>& alpha, const View<T, 3>& out,
                             const RefineForegroundParams& params) {
    FASTSOFT_EXPECTS(alpha.size() > 0, "alpha must not be empty");
    for (const auto& shape : {foreground.shape(), out.shape()}) {
        FASTSOFT_EXPECTS(shape[0] == alpha.extent(0) && shape[1] == alpha.extent(1) && shape[2] == 3,
                         "foreground and out must have shape (H, W, 3) with the size of alpha");
    }
    FASTSOFT_EXPECTS(params.n_scales >= 1 && params.n_scales <= 16 && params.iterations >= 1 && params.kappa > 0.0,
                     "n_scales must be in 1..16, iterations at least 1 and kappa positive");
}

// Pixels of an axis on level s.
inline std::ptrdiff_t refine_extent(std::ptrdiff_t full, int s) {
    return std::max<std::ptrdiff_t>(1, full >> s);
}

// The part of the work that level s is: 2^s iterations of a 4^s-th of the pixels for each of full resolution.
inline double refine_share(const RefineForegroundParams& params, int s) {
    double total = 0.0;
    for (int i = 0; i < params.n_scales; ++i) {
        total += 1.0 / static_cast<double>(std::ptrdiff_t{1} << i);
    }
    return 1.0 / static_cast<double>(std::ptrdiff_t{1} << s) / total;
}

}  // namespace fastsoft::detail
