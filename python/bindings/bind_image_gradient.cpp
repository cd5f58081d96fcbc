// SPDX-License-Identifier: MIT
#include "array_arg.hpp"
#include "bindings.hpp"
#include "fastsoft/image_gradient.hpp"

namespace fastsoft::bindings {

void bind_image_gradient(py::module_& module) {
    module.def(
        "image_gradient",
        [](const Array& image, const Array& out) {
            dispatch_float(image, "image", [&](auto zero) {
                using T = decltype(zero);
                const auto input = view<const T, 3>(image, "image");
                T* const output = contiguous<T>(out, input.extent(0) * input.extent(1), "out");
                execute(image, [&](const auto&... context) { backend::image_gradient<T>(context..., input, output); });
            });
        },
        py::arg("image"), py::arg("out"));
}

}  // namespace fastsoft::bindings
