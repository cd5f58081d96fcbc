// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <cstddef>
#include <vector>

#include "fastsoft/core/error.hpp"
#include "fastsoft/core/monitor.hpp"
#include "fastsoft/core/view.hpp"
#include "fastsoft/detail/principal_axes.hpp"
#include "fastsoft/principal_components.hpp"

// The steps of principal components over a System that knows where pixels and scores live.
namespace fastsoft::detail {

// What either backend relies on.
template <class T>
void check_principal_components(const View<const T, 3>& values, std::ptrdiff_t n_components, double clip) {
    const std::ptrdiff_t n_channels = values.extent(2);
    FASTSOFT_EXPECTS(values.size() > 0, "values must not be empty");
    FASTSOFT_EXPECTS(n_components >= 1 && n_components <= n_channels, "n_components must be in 1..", n_channels,
                     ", got ", n_components);
    FASTSOFT_EXPECTS(clip > 0.0, "clip must be above 0, got ", clip);
}

// System has
//
//     sum_up(mean, covariance, monitor)      on the host; false if values are not finite
//     project(axes, low, high, monitor)      writes the scores, and the ends of their ranges where the output is
//     fill(to, values)                       copies numbers of the host to an output
template <class T, class System>
PrincipalComponentsInfo principal_components_loop(System& system, std::ptrdiff_t n_channels,
                                                  std::ptrdiff_t n_components, const PrincipalComponents<T>& out,
                                                  Monitor& monitor) {
    // What both passes and the eigenvectors take of the time with 128 channels.
    constexpr double kAfterSums = 0.7;
    constexpr double kAfterAxes = 0.8;
    PrincipalComponentsInfo info;
    monitor.report(0.0);
    SubMonitor sums(monitor, 0.0, kAfterSums);
    std::vector<double> mean(static_cast<std::size_t>(n_channels));
    std::vector<double> covariance(static_cast<std::size_t>(n_channels * n_channels));
    info.finite = system.sum_up(mean, covariance, sums);
    if (!info.finite) {
        return info;
    }
    system.fill(out.mean, mean);
    for (std::ptrdiff_t c = 0; c < n_channels; ++c) {
        info.total_variance += covariance[static_cast<std::size_t>(c * n_channels + c)];
    }
    if (!std::isfinite(info.total_variance)) {
        return info;
    }
    const PrincipalAxes axes = principal_axes(covariance, n_channels, n_components);
    monitor.report(kAfterAxes);
    system.fill(out.basis, axes.basis);
    system.fill(out.variances, axes.variances);
    SubMonitor projection(monitor, kAfterAxes, 1.0);
    system.project(axes, out.low, out.high, projection);
    return info;
}

}  // namespace fastsoft::detail
