// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <vector>

namespace fastsoft::detail {

// Of a covariance of C channels: its n first principal components, with the signs and completions that
// principal_components.hpp states.
struct PrincipalAxes {
    std::vector<double> basis;      // (C, n)
    std::vector<double> variances;  // (n)
    std::ptrdiff_t rank = 0;        // components whose variance is not zero
};

// covariance is (C, C), symmetric.
PrincipalAxes principal_axes(const std::vector<double>& covariance, std::ptrdiff_t n_channels, std::ptrdiff_t n);

}  // namespace fastsoft::detail
