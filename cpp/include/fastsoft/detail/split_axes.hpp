// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <vector>

namespace fastsoft::detail {

// Weight, mean and covariance of points.
struct KmeansMoments {
    double weight = 0.0;
    std::vector<double> mean;        // (d)
    std::vector<double> covariance;  // (d, d), the lower triangle counts
};

// The first principal axes of a covariance (d, d), at most three, each as long as one standard deviation and with its
// largest component pointing up; fewer where there is no variance left.
std::vector<std::vector<double>> split_axes(const std::vector<double>& covariance, std::ptrdiff_t d);

}  // namespace fastsoft::detail
