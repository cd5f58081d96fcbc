// SPDX-License-Identifier: MIT
#include "array_arg.hpp"
#include "bindings.hpp"
#include "fastsoft/slic.hpp"

namespace fastsoft::bindings {

void bind_slic(py::module_& module) {
    module.def(
        "slic",
        [](const Array& image, const Array& labels, std::ptrdiff_t n_segments, bool adaptive, double compactness,
           std::ptrdiff_t max_iterations, bool enforce_connectivity, py::object progress) {
            return dispatch_float(image, "image", [&](auto zero) {
                using T = decltype(zero);
                const auto input = view<const T, 3>(image, "image");
                auto* const output = contiguous<std::int32_t>(labels, input.extent(0) * input.extent(1), "labels");
                SlicParams params;
                params.n_segments = n_segments;
                params.adaptive = adaptive;
                params.compactness = compactness;
                params.max_iterations = max_iterations;
                params.enforce_connectivity = enforce_connectivity;
                PyMonitor monitor(std::move(progress));
                return execute(image, [&](const auto&... context) {
                    return backend::slic<T>(context..., input, params, output, monitor);
                });
            });
        },
        py::arg("image"), py::arg("labels"), py::arg("n_segments"), py::arg("adaptive"), py::arg("compactness"),
        py::arg("max_iterations"), py::arg("enforce_connectivity"), py::arg("progress"));
}

}  // namespace fastsoft::bindings
