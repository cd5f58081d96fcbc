// SPDX-License-Identifier: MIT
#include "array_arg.hpp"
#include "bindings.hpp"
#include "fastsoft/distance_transform.hpp"

namespace fastsoft::bindings {

void bind_distance_transform(py::module_& module) {
    module.def(
        "distance_transform",
        [](const py::array& mask, const py::array& out) {
            const auto set = view<const std::uint8_t, 2>(mask, "mask");
            FASTSOFT_EXPECTS(set.is_contiguous(), "mask must be C-contiguous");
            double* const distance = contiguous<double>(out, set.size(), "out");
            const py::gil_scoped_release release;
            distance_transform(set.data(), set.extent(0), set.extent(1), distance);
        },
        py::arg("mask"), py::arg("out"));
}

}  // namespace fastsoft::bindings
