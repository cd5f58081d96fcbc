// SPDX-License-Identifier: MIT
#include "array_arg.hpp"
#include "bindings.hpp"
#include "fastsoft/distance_transform.hpp"

namespace fastsoft::bindings {

void bind_distance_transform(py::module_& module) {
    module.def(
        "distance_transform",
        [](const Array& mask, const Array& out) {
            const auto set = view<const std::uint8_t, 2>(mask, "mask");
            double* const distance = contiguous<double>(out, set.size(), "out");
            execute(mask, [&](const auto&... context) { backend::distance_transform(context..., set, distance); });
        },
        py::arg("mask"), py::arg("out"));
}

}  // namespace fastsoft::bindings
