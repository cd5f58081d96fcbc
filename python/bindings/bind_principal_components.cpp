// SPDX-License-Identifier: MIT
#include "array_arg.hpp"
#include "bindings.hpp"
#include "fastsoft/principal_components.hpp"

namespace fastsoft::bindings {

void bind_principal_components(py::module_& module) {
    module.def(
        "principal_components",
        [](const Array& values, double clip, const Array& scores, const Array& mean, const Array& basis,
           const Array& variances, const Array& low, const Array& high, const py::object& progress) {
            return dispatch_float(values, "values", [&](auto zero) {
                using T = decltype(zero);
                const auto input = view<const T, 3>(values, "values");
                const std::ptrdiff_t n_channels = input.extent(2);
                const std::ptrdiff_t n = view<double, 2>(basis, "basis").extent(1);
                PrincipalComponents<T> out;
                out.scores = contiguous<T>(scores, input.extent(0) * input.extent(1) * n, "scores");
                out.mean = contiguous<double>(mean, n_channels, "mean");
                out.basis = contiguous<double>(basis, n_channels * n, "basis");
                out.variances = contiguous<double>(variances, n, "variances");
                out.low = contiguous<double>(low, n, "low");
                out.high = contiguous<double>(high, n, "high");
                PyMonitor monitor(progress);
                const PrincipalComponentsInfo info = execute(values, [&](const auto&... context) {
                    return backend::principal_components<T>(context..., input, n, clip, out, monitor);
                });
                return py::make_tuple(info.finite, info.total_variance);
            });
        },
        py::arg("values"), py::arg("clip"), py::arg("scores"), py::arg("mean"), py::arg("basis"), py::arg("variances"),
        py::arg("low"), py::arg("high"), py::arg("progress"));
}

}  // namespace fastsoft::bindings
