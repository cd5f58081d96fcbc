// SPDX-License-Identifier: MIT
#include "fastsoft/refine_foreground.hpp"

#include "fastsoft/cuda/launcher.cuh"
#include "fastsoft/cuda/workspace.cuh"
#include "fastsoft/detail/refine_foreground_block.hpp"
#include "fastsoft/detail/refine_foreground_checks.hpp"

namespace fastsoft::cuda {
namespace {

template <class T, bool Jacobi>
void run(const Context& context, const View<const T, 3>& foreground, const View<const T, 2>& alpha,
         const View<T, 3>& out, const RefineForegroundParams& params, Monitor& monitor) {
    using Run = detail::RefineRun<T, Jacobi>;
    const auto n_pixels = static_cast<std::size_t>(alpha.size());
    const Workspace<T> level(context, Run::kLevelNumbers * n_pixels);
    const Workspace<T> first(context, Run::kColorNumbers * n_pixels);
    const Workspace<T> second(context, Run::kColorNumbers * n_pixels);
    Run{foreground, alpha, out, params}.run(level.data(), first.data(), second.data(),
                                            Launcher{context, "refine_foreground"},
                                            [&](double fraction) { monitor.report(fraction); });
    monitor.report(1.0);
}

}  // namespace

template <class T>
void refine_foreground(const Context& context, const View<const T, 3>& foreground, const View<const T, 2>& alpha,
                       const View<T, 3>& out, const RefineForegroundParams& params, Monitor& monitor) {
    detail::check_refine_foreground(foreground, alpha, out, params);
    if (params.order == RefineOrder::jacobi) {
        run<T, true>(context, foreground, alpha, out, params, monitor);
    } else {
        run<T, false>(context, foreground, alpha, out, params, monitor);
    }
}

template void refine_foreground(const Context&, const View<const float, 3>&, const View<const float, 2>&,
                                const View<float, 3>&, const RefineForegroundParams&, Monitor&);
template void refine_foreground(const Context&, const View<const double, 3>&, const View<const double, 2>&,
                                const View<double, 3>&, const RefineForegroundParams&, Monitor&);

}  // namespace fastsoft::cuda
