// SPDX-License-Identifier: MIT
#include "fastsoft/unmixing.hpp"

#include "fastsoft/cuda/launch.cuh"
#include "fastsoft/detail/unmixing_block.hpp"
#include "fastsoft/detail/unmixing_checks.hpp"

namespace fastsoft::cuda {
namespace {

template <class Step>
void run_each(const Context& context, const typename Step::Arguments& arguments) {
    launch<detail::EachBlock<Step>>(context, "unmixing", arguments);
}

}  // namespace

template <class T>
void unmix_alphas(const Context& context, const View<const T, 3>& image, const View<const T, 2>& palette,
                  const View<const T, 4>& coefficients, const std::array<std::ptrdiff_t, 2>& origin,
                  const Unmixing& params, const View<T, 3>& alphas) {
    detail::check_unmix_alphas<T>(image, palette, coefficients, origin, params, alphas);
    run_each<detail::UnmixAlphas<T>>(context, {image, palette, coefficients, origin, static_cast<T>(1.0 / params.scale),
                                               static_cast<T>(1.0 / params.stiffness), params.steps, alphas});
}

template <class T>
void unmix_colors(const Context& context, const View<const T, 3>& image, const View<const T, 2>& palette,
                  const View<const T, 3>& alphas, const View<const T, 4>& coefficients,
                  const std::array<std::ptrdiff_t, 2>& origin, const View<T, 4>& colors) {
    detail::check_unmix_colors<T>(image, palette, alphas, coefficients, origin, colors);
    run_each<detail::UnmixColors<T>>(context, {image, palette, alphas, coefficients, origin, colors});
}

#define FASTSOFT_INSTANTIATE(T)                                                                                        \
    template void unmix_alphas(const Context&, const View<const T, 3>&, const View<const T, 2>&,                       \
                               const View<const T, 4>&, const std::array<std::ptrdiff_t, 2>&, const Unmixing&,         \
                               const View<T, 3>&);                                                                     \
    template void unmix_colors(const Context&, const View<const T, 3>&, const View<const T, 2>&,                       \
                               const View<const T, 3>&, const View<const T, 4>&, const std::array<std::ptrdiff_t, 2>&, \
                               const View<T, 4>&)

FASTSOFT_INSTANTIATE(float);
FASTSOFT_INSTANTIATE(double);

}  // namespace fastsoft::cuda
