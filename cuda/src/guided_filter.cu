// SPDX-License-Identifier: MIT
#include "fastsoft/guided_filter.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "fastsoft/cuda/launcher.cuh"
#include "fastsoft/cuda/workspace.cuh"
#include "fastsoft/detail/guided_filter_block.hpp"
#include "fastsoft/detail/guided_filter_checks.hpp"

namespace fastsoft::cuda {
namespace {

// Of the channels that are filtered at a time. A bound on memory, large enough that the device is full.
constexpr std::ptrdiff_t kPortionBytes = std::ptrdiff_t{256} << 20;

template <class T, int G>
bool run(const Context& context, const View<const T, 3>& guide, const View<const T, 3>& source, const View<T, 3>& out,
         std::ptrdiff_t radius, double epsilon, double clip, Monitor& monitor) {
    using Run = detail::GuidedFilterRun<T, G>;
    const std::ptrdiff_t n_channels = source.extent(2);
    const std::ptrdiff_t n_pixels = source.extent(0) * source.extent(1);
    const auto per_pixel = static_cast<std::size_t>(n_pixels);
    const Launcher launcher{context, "guided_filter"};

    monitor.report(0.0);
    const Workspace<int> not_finite(context, 1);
    not_finite.clear(1);
    const Workspace<detail::GuideStatistics<T, G>> statistics(context, per_pixel);
    // A window that reaches beyond the picture on both sides is the same as the next larger one.
    const Run stages{{source.extent(0), source.extent(1), std::min(radius, source.extent(0) - 1),
                      std::min(radius, source.extent(1) - 1)},
                     guide,
                     source,
                     out,
                     epsilon,
                     std::isfinite(clip),
                     static_cast<T>(std::min(clip, static_cast<double>(std::numeric_limits<T>::max()))),
                     not_finite.data(),
                     statistics.data()};
    {
        const Workspace<double> first(context, Run::kGuideNumbers * per_pixel);
        const Workspace<double> second(context, Run::kGuideNumbers * per_pixel);
        stages.guide_stages(first.data(), second.data(), launcher);
    }
    const std::ptrdiff_t channel_bytes = 2 * Run::kChannelNumbers * n_pixels * static_cast<std::ptrdiff_t>(sizeof(T));
    const std::ptrdiff_t portion = std::clamp<std::ptrdiff_t>(kPortionBytes / channel_bytes, 1, n_channels);
    const auto n_numbers = static_cast<std::size_t>(portion * Run::kChannelNumbers) * per_pixel;
    const Workspace<T> first(context, n_numbers);
    const Workspace<T> second(context, n_numbers);
    for (std::ptrdiff_t channel = 0; channel < n_channels; channel += portion) {
        const std::ptrdiff_t count = std::min(portion, n_channels - channel);
        stages.channel_stages(channel, count, first.data(), second.data(), launcher);
        context.synchronize();
        monitor.report(static_cast<double>(channel + count) / static_cast<double>(n_channels));
    }
    return read_back(context, not_finite.data()) == 0;
}

}  // namespace

template <class T>
bool guided_filter(const Context& context, const View<const T, 3>& guide, const View<const T, 3>& source,
                   const View<T, 3>& out, std::ptrdiff_t radius, double epsilon, double clip, Monitor& monitor) {
    detail::check_guided_filter<T>(guide, source, out, radius, epsilon, clip);
    if (guide.extent(2) == 3) {
        return run<T, 3>(context, guide, source, out, radius, epsilon, clip, monitor);
    }
    return run<T, 1>(context, guide, source, out, radius, epsilon, clip, monitor);
}

template bool guided_filter<float>(const Context&, const View<const float, 3>&, const View<const float, 3>&,
                                   const View<float, 3>&, std::ptrdiff_t, double, double, Monitor&);
template bool guided_filter<double>(const Context&, const View<const double, 3>&, const View<const double, 3>&,
                                    const View<double, 3>&, std::ptrdiff_t, double, double, Monitor&);

}  // namespace fastsoft::cuda
