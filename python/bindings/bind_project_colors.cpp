// SPDX-License-Identifier: MIT
#include "array_arg.hpp"
#include "bindings.hpp"
#include "fastsoft/project_colors.hpp"

namespace fastsoft::bindings {

void bind_project_colors(py::module_& module) {
    module.def(
        "project_colors",
        [](const Array& alphas, const Array& colors, const Array& image, const Array& out) {
            return dispatch_float(alphas, "alphas", [&](auto zero) {
                using T = decltype(zero);
                const auto alphas_view = view<const T, 3>(alphas, "alphas");
                const auto colors_view = view<const T, 4>(colors, "colors");
                const auto image_view = view<const T, 3>(image, "image");
                const auto out_view = view<T, 4>(out, "out");
                return static_cast<int>(execute(alphas, [&](const auto&... context) {
                    return backend::project_colors<T>(context..., alphas_view, colors_view, image_view, out_view);
                }));
            });
        },
        py::arg("alphas"), py::arg("colors"), py::arg("image"), py::arg("out"));
}

}  // namespace fastsoft::bindings
