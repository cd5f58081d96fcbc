// SPDX-License-Identifier: MIT
#include "fastsoft/image_gradient.hpp"

#include "fastsoft/core/error.hpp"
#include "fastsoft/cuda/launch.cuh"
#include "fastsoft/detail/image_gradient_block.hpp"

namespace fastsoft::cuda {
namespace {

template <class T>
__global__ void __launch_bounds__(detail::ImageGradientBlock<T>::kThreads)
    image_gradient_kernel(typename detail::ImageGradientBlock<T>::Arguments arguments) {
    run_block<detail::ImageGradientBlock<T>>(arguments);
}

}  // namespace

template <class T>
void image_gradient(const Context& context, const View<const T, 3>& image, T* out) {
    FASTSOFT_EXPECTS(image.size() > 0, "image must not be empty");
    launch<detail::ImageGradientBlock<T>>(context, image_gradient_kernel<T>, "image_gradient_kernel", {image, out});
}

template void image_gradient<float>(const Context&, const View<const float, 3>&, float*);
template void image_gradient<double>(const Context&, const View<const double, 3>&, double*);

}  // namespace fastsoft::cuda
