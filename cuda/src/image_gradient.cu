// SPDX-License-Identifier: MIT
#include "fastsoft/image_gradient.hpp"

#include "fastsoft/core/error.hpp"
#include "fastsoft/cuda/launch.cuh"
#include "fastsoft/detail/image_gradient_block.hpp"

namespace fastsoft::cuda {
template <class T>
void image_gradient(const Context& context, const View<const T, 3>& image, T* out) {
    FASTSOFT_EXPECTS(image.size() > 0, "image must not be empty");
    launch<detail::ImageGradientBlock<T>>(context, "image_gradient", {image, out});
}

template void image_gradient<float>(const Context&, const View<const float, 3>&, float*);
template void image_gradient<double>(const Context&, const View<const double, 3>&, double*);

}  // namespace fastsoft::cuda
