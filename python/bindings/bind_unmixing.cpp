// SPDX-License-Identifier: MIT
#include "array_arg.hpp"
#include "bindings.hpp"
#include "fastsoft/unmixing.hpp"

namespace fastsoft::bindings {

void bind_unmixing(py::module_& module) {
    module.def(
        "unmix_alphas",
        [](const Array& image, const Array& palette, const Array& coefficients, std::ptrdiff_t row, std::ptrdiff_t col,
           double scale, double stiffness, std::ptrdiff_t steps, const Array& alphas) {
            dispatch_float(image, "image", [&](auto zero) {
                using T = decltype(zero);
                const auto image_view = view<const T, 3>(image, "image");
                const auto palette_view = view<const T, 2>(palette, "palette");
                const auto coefficients_view = view<const T, 4>(coefficients, "coefficients");
                const auto alphas_view = view<T, 3>(alphas, "alphas");
                execute(image, [&](const auto&... context) {
                    backend::unmix_alphas<T>(context..., image_view, palette_view, coefficients_view, {row, col},
                                             {scale, stiffness, steps}, alphas_view);
                });
            });
        },
        py::arg("image"), py::arg("palette"), py::arg("coefficients"), py::arg("row"), py::arg("col"), py::arg("scale"),
        py::arg("stiffness"), py::arg("steps"), py::arg("alphas"));
    module.def(
        "unmix_colors",
        [](const Array& image, const Array& palette, const Array& alphas, const Array& coefficients, std::ptrdiff_t row,
           std::ptrdiff_t col, const Array& colors) {
            dispatch_float(image, "image", [&](auto zero) {
                using T = decltype(zero);
                const auto image_view = view<const T, 3>(image, "image");
                const auto palette_view = view<const T, 2>(palette, "palette");
                const auto alphas_view = view<const T, 3>(alphas, "alphas");
                const auto coefficients_view = view<const T, 4>(coefficients, "coefficients");
                const auto colors_view = view<T, 4>(colors, "colors");
                execute(image, [&](const auto&... context) {
                    backend::unmix_colors<T>(context..., image_view, palette_view, alphas_view, coefficients_view,
                                             {row, col}, colors_view);
                });
            });
        },
        py::arg("image"), py::arg("palette"), py::arg("alphas"), py::arg("coefficients"), py::arg("row"),
        py::arg("col"), py::arg("colors"));
}

}  // namespace fastsoft::bindings
