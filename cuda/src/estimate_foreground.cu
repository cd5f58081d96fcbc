// SPDX-License-Identifier: MIT
#include "fastsoft/estimate_foreground.hpp"

#include <algorithm>

#include "fastsoft/cuda/launcher.cuh"
#include "fastsoft/cuda/workspace.cuh"
#include "fastsoft/detail/estimate_foreground_block.hpp"
#include "fastsoft/detail/estimate_foreground_checks.hpp"

namespace fastsoft::cuda {
namespace {

// Of the layers that are estimated at a time. A bound on memory.
constexpr std::ptrdiff_t kPortionBytes = std::ptrdiff_t{256} << 20;

ForegroundFault first_fault(const detail::ForegroundFaults& faults) {
    if (faults.alpha != 0) {
        return ForegroundFault::alpha;
    }
    return faults.image != 0 ? ForegroundFault::image : ForegroundFault::none;
}

// Layers [begin, begin + count).
template <class T>
View<T, 4> some_layers(const View<T, 4>& all, std::ptrdiff_t begin, std::ptrdiff_t count) {
    if (all.data() == nullptr) {
        return {};
    }
    return View<T, 4>(all.data() + begin * all.stride(2), {all.extent(0), all.extent(1), count, all.extent(3)},
                      all.strides());
}

template <class T>
View<const T, 3> some_layers(const View<const T, 3>& all, std::ptrdiff_t begin, std::ptrdiff_t count) {
    return View<const T, 3>(all.data() + begin * all.stride(2), {all.extent(0), all.extent(1), count}, all.strides());
}

}  // namespace

template <class T>
ForegroundFault multilevel_foreground(const Context& context, const View<const T, 3>& image,
                                      const View<const T, 3>& alphas, const View<T, 4>& foregrounds,
                                      const View<T, 4>& backgrounds, const MultilevelParams& params, Monitor& monitor) {
    detail::check_foreground(image, alphas, foregrounds, backgrounds);
    detail::check_multilevel(params);
    FASTSOFT_EXPECTS(params.order == ForegroundOrder::red_black, "sequential order is the CPU's only");
    const Launcher launcher{context, "estimate_foreground"};
    const std::ptrdiff_t n_layers = alphas.extent(2);
    detail::MultilevelRun<T> portion{image, alphas, foregrounds, backgrounds, params};
    const std::ptrdiff_t n_numbers = portion.n_numbers();
    const std::ptrdiff_t layer_bytes = 2 * n_numbers * static_cast<std::ptrdiff_t>(sizeof(T));
    const std::ptrdiff_t at_once = std::clamp<std::ptrdiff_t>(kPortionBytes / layer_bytes, 1, n_layers);
    const Workspace<detail::ForegroundFaults> faults(context, 1);
    const Workspace<detail::ForegroundSums> sums(context, static_cast<std::size_t>(at_once * portion.n_sums()));
    const Workspace<T> first(context, static_cast<std::size_t>(at_once * n_numbers));
    const Workspace<T> second(context, static_cast<std::size_t>(at_once * n_numbers));
    faults.clear(1);
    detail::ForegroundFaults found{};
    for (std::ptrdiff_t layer = 0; layer < n_layers; layer += at_once) {
        const std::ptrdiff_t count = std::min(at_once, n_layers - layer);
        monitor.report(static_cast<double>(layer) / static_cast<double>(n_layers));
        portion.alphas = some_layers(alphas, layer, count);
        portion.foregrounds = some_layers(foregrounds, layer, count);
        portion.backgrounds = some_layers(backgrounds, layer, count);
        portion.run(sums.data(), faults.data(), first.data(), second.data(), launcher);
        found = read_back(context, faults.data());
        if (first_fault(found) != ForegroundFault::none) {
            break;
        }
    }
    monitor.report(1.0);
    return first_fault(found);
}

template <class T>
ForegroundFault blur_fusion(const Context& context, const View<const T, 3>& image, const View<const T, 3>& alphas,
                            const View<T, 4>& foregrounds, const View<T, 4>& backgrounds,
                            const BlurFusionParams& params, Monitor& monitor) {
    using Run = detail::FusionRun<T>;
    detail::check_foreground(image, alphas, foregrounds, backgrounds);
    detail::check_blur_fusion(params);
    const Launcher launcher{context, "estimate_foreground"};
    const std::ptrdiff_t n_layers = alphas.extent(2);
    const auto n_pixels = static_cast<std::size_t>(alphas.extent(0) * alphas.extent(1));
    const Workspace<detail::ForegroundFaults> faults(context, 1);
    const Workspace<T> colors(context, Run::kColorNumbers * n_pixels);
    const Workspace<T> columns(context, Run::kSumNumbers * n_pixels);
    const Workspace<T> sums(context, Run::kSumNumbers * n_pixels);
    faults.clear(1);
    detail::ForegroundFaults found{};
    for (std::ptrdiff_t layer = 0; layer < n_layers; ++layer) {
        monitor.report(static_cast<double>(layer) / static_cast<double>(n_layers));
        const Run fusion{image,
                         detail::layer_of(alphas, layer),
                         detail::layer_of(foregrounds, layer),
                         detail::layer_of(backgrounds, layer),
                         params,
                         faults.data()};
        fusion.run(colors.data(), columns.data(), sums.data(), launcher);
        found = read_back(context, faults.data());
        if (first_fault(found) != ForegroundFault::none) {
            break;
        }
    }
    monitor.report(1.0);
    return first_fault(found);
}

template ForegroundFault multilevel_foreground(const Context&, const View<const float, 3>&, const View<const float, 3>&,
                                               const View<float, 4>&, const View<float, 4>&, const MultilevelParams&,
                                               Monitor&);
template ForegroundFault multilevel_foreground(const Context&, const View<const double, 3>&,
                                               const View<const double, 3>&, const View<double, 4>&,
                                               const View<double, 4>&, const MultilevelParams&, Monitor&);
template ForegroundFault blur_fusion(const Context&, const View<const float, 3>&, const View<const float, 3>&,
                                     const View<float, 4>&, const View<float, 4>&, const BlurFusionParams&, Monitor&);
template ForegroundFault blur_fusion(const Context&, const View<const double, 3>&, const View<const double, 3>&,
                                     const View<double, 4>&, const View<double, 4>&, const BlurFusionParams&, Monitor&);

}  // namespace fastsoft::cuda
