// SPDX-License-Identifier: MIT
#include "array_arg.hpp"
#include "bindings.hpp"
#include "fastsoft/refine_foreground.hpp"

namespace fastsoft::bindings {

void bind_refine_foreground(py::module_& module) {
    module.def(
        "refine_foreground",
        [](const Array& foreground, const Array& alpha, const Array& out, double kappa, int n_scales, int iterations,
           bool jacobi, py::object progress) {
            return dispatch_float(foreground, "foreground", [&](auto zero) {
                using T = decltype(zero);
                const auto foreground_view = view<const T, 3>(foreground, "foreground");
                const auto alpha_view = view<const T, 2>(alpha, "alpha");
                const auto out_view = view<T, 3>(out, "out");
                const RefineForegroundParams params{kappa, n_scales, iterations,
                                                    jacobi ? RefineOrder::jacobi : RefineOrder::red_black};
                PyMonitor monitor(std::move(progress));
                execute(foreground, [&](const auto&... context) {
                    backend::refine_foreground<T>(context..., foreground_view, alpha_view, out_view, params, monitor);
                });
            });
        },
        py::arg("foreground"), py::arg("alpha"), py::arg("out"), py::arg("kappa"), py::arg("n_scales"),
        py::arg("iterations"), py::arg("jacobi"), py::arg("progress"));
}

}  // namespace fastsoft::bindings
