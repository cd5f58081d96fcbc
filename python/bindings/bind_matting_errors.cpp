// SPDX-License-Identifier: MIT
#include <pybind11/stl.h>

#include <optional>

#include "array_arg.hpp"
#include "bindings.hpp"
#include "fastsoft/matting_errors.hpp"

namespace fastsoft::bindings {

void bind_matting_errors(py::module_& module) {
    module.def(
        "gradient_error",
        [](const Array& alpha, const Array& truth, const std::optional<Array>& region, double sigma, int half_size,
           double alpha_scale, double truth_scale) {
            return dispatch_float(alpha, "alpha", [&](auto zero) {
                using T = decltype(zero);
                const auto image = view<const T, 2>(alpha, "alpha");
                const auto other = view<const T, 2>(truth, "truth");
                const auto counts =
                    region ? view<const std::uint8_t, 2>(*region, "region") : View<const std::uint8_t, 2>();
                return execute(alpha, [&](const auto&... context) {
                    return backend::gradient_error<T>(context..., image, other, counts, sigma, half_size, alpha_scale,
                                                      truth_scale);
                });
            });
        },
        py::arg("alpha"), py::arg("truth"), py::arg("region"), py::arg("sigma"), py::arg("half_size"),
        py::arg("alpha_scale"), py::arg("truth_scale"));
#if !defined(FASTSOFT_CUDA_MODULE)
    module.def(
        "connectivity_error",
        [](const py::array& alpha, const py::array& truth, const py::array& region, bool skip_empty) {
            return dispatch_float(alpha, "alpha", [&](auto zero) {
                using T = decltype(zero);
                const auto image = view<const T, 2>(alpha, "alpha");
                FASTSOFT_EXPECTS(image.is_contiguous(), "alpha must be C-contiguous");
                const T* const other = contiguous<const T>(truth, image.size(), "truth");
                const auto* const counts = contiguous<const std::uint8_t>(region, image.size(), "region");
                const py::gil_scoped_release release;
                return connectivity_error<T>(image.data(), other, counts, image.extent(0), image.extent(1), skip_empty);
            });
        },
        py::arg("alpha"), py::arg("truth"), py::arg("region"), py::arg("skip_empty"));
#endif
}

}  // namespace fastsoft::bindings
