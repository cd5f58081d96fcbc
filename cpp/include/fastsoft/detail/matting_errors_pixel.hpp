// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <cstdint>

#include "fastsoft/core/error.hpp"
#include "fastsoft/core/view.hpp"

namespace fastsoft::detail {

// Taps -half_size..half_size of a Gaussian and of its derivative, each of 2-norm 1: the norm of the outer product of
// two vectors is the product of theirs. The sign of the derivative does not matter to magnitudes.
struct GradientTaps {
    static constexpr int kMaxHalfSize = 4;

    int half_size;
    double smooth[2 * kMaxHalfSize + 1];
    double slope[2 * kMaxHalfSize + 1];
};

inline GradientTaps gradient_taps(double sigma, int half_size) {
    FASTSOFT_EXPECTS(sigma > 0.0, "sigma must be above 0, got ", sigma);
    FASTSOFT_EXPECTS(half_size >= 1 && half_size <= GradientTaps::kMaxHalfSize, "half_size must be in 1..",
                     GradientTaps::kMaxHalfSize, ", got ", half_size);
    GradientTaps taps{half_size, {}, {}};
    double norm_smooth = 0.0;
    double norm_slope = 0.0;
    for (int k = -half_size; k <= half_size; ++k) {
        const double gauss = std::exp(-0.5 * k * k / (sigma * sigma));
        taps.smooth[k + half_size] = gauss;
        taps.slope[k + half_size] = k * gauss;
        norm_smooth += gauss * gauss;
        norm_slope += k * gauss * k * gauss;
    }
    for (int i = 0; i <= 2 * half_size; ++i) {
        taps.smooth[i] /= std::sqrt(norm_smooth);
        taps.slope[i] /= std::sqrt(norm_slope);
    }
    return taps;
}

template <class T>
void check_gradient_error(const View<const T, 2>& alpha, const View<const T, 2>& truth,
                          const View<const std::uint8_t, 2>& region) {
    FASTSOFT_EXPECTS(alpha.size() > 0, "alpha must not be empty");
    FASTSOFT_EXPECTS(truth.shape() == alpha.shape() && (region.data() == nullptr || region.shape() == alpha.shape()),
                     "truth and region must have the shape of alpha");
}

}  // namespace fastsoft::detail
