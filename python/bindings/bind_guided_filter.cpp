// SPDX-License-Identifier: MIT
#include "array_arg.hpp"
#include "bindings.hpp"
#include "fastsoft/guided_filter.hpp"

namespace fastsoft::bindings {

void bind_guided_filter(py::module_& module) {
    module.def(
        "guided_filter",
        [](const Array& guide, const Array& source, const Array& out, std::ptrdiff_t radius, double epsilon,
           double clip, py::object progress) {
            return dispatch_float(source, "source", [&](auto zero) {
                using T = decltype(zero);
                const auto guide_view = view<const T, 3>(guide, "guide");
                const auto source_view = view<const T, 3>(source, "source");
                const auto out_view = view<T, 3>(out, "out");
                PyMonitor monitor(std::move(progress));
                return execute(source, [&](const auto&... context) {
                    return backend::guided_filter<T>(context..., guide_view, source_view, out_view, radius, epsilon,
                                                     clip, monitor);
                });
            });
        },
        py::arg("guide"), py::arg("source"), py::arg("out"), py::arg("radius"), py::arg("epsilon"), py::arg("clip"),
        py::arg("progress"));
}

}  // namespace fastsoft::bindings
