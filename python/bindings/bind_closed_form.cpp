// SPDX-License-Identifier: MIT
#include <string>
#include <tuple>

#include "array_arg.hpp"
#include "bindings.hpp"
#include "fastsoft/closed_form.hpp"

namespace fastsoft::bindings {
namespace {

ClosedFormMethod method_named(const std::string& name) {
    FASTSOFT_EXPECTS(name == "auto" || name == "direct" || name == "multilevel",
                     "method must be 'auto', 'direct' or 'multilevel', got '", name, "'");
    return name == "auto"     ? ClosedFormMethod::automatic
           : name == "direct" ? ClosedFormMethod::direct
                              : ClosedFormMethod::multilevel;
}

}  // namespace

void bind_closed_form(py::module_& module) {
    module.def(
        "closed_form",
        [](const py::array& image, const py::array& regions, const py::array& alpha, double epsilon, double tolerance,
           int max_iterations, const std::string& method, double max_factor_bytes, const py::object& progress) {
            return dispatch_float(image, "image", [&](auto zero) {
                using T = decltype(zero);
                const auto input = view<const T, 3>(image, "image");
                const std::ptrdiff_t n = input.extent(0) * input.extent(1);
                const auto* const known = contiguous<const std::uint8_t>(regions, n, "regions");
                T* const output = contiguous<T>(alpha, n, "alpha");
                const ClosedFormParams params{epsilon, tolerance, max_iterations, method_named(method),
                                              max_factor_bytes};
                PyMonitor monitor(progress);
                ClosedFormResult result;
                {
                    const py::gil_scoped_release release;
                    result = closed_form<T>(input, known, output, params, monitor);
                }
                const bool direct = result.method == ClosedFormMethod::direct;
                return std::make_tuple(result.info.converged, result.info.iterations, result.info.residual,
                                       std::string(direct ? "direct" : "multilevel"));
            });
        },
        py::arg("image"), py::arg("regions"), py::arg("alpha"), py::arg("epsilon"), py::arg("tolerance"),
        py::arg("max_iterations"), py::arg("method"), py::arg("max_factor_bytes"), py::arg("progress"));
}

}  // namespace fastsoft::bindings
