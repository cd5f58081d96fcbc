// SPDX-License-Identifier: MIT
#include "array_arg.hpp"
#include "bindings.hpp"
#include "fastsoft/core/symmetric_operator.hpp"

namespace fastsoft::bindings {

void bind_symmetric_operator(py::module_& module) {
    module.def(
        "operator_apply",
        [](const py::list& terms, const py::array& x, const py::array& y) {
            dispatch_float(x, "x", [&](auto zero) {
                using T = decltype(zero);
                const auto op = symmetric_operator<T>(terms);
                FASTSOFT_EXPECTS(op.n > 0 && x.size() % op.n == 0, "x must hold vectors of ", op.n, " elements");
                const T* const input = contiguous<const T>(x, x.size(), "x");
                T* const output = contiguous<T>(y, x.size(), "y");
                const py::gil_scoped_release release;
                op.apply(input, output, static_cast<std::ptrdiff_t>(x.size()) / op.n);
            });
        },
        py::arg("terms"), py::arg("x"), py::arg("y"));

    module.def(
        "operator_diagonal",
        [](const py::list& terms, const py::array& out) {
            dispatch_float(out, "out", [&](auto zero) {
                using T = decltype(zero);
                const auto op = symmetric_operator<T>(terms);
                T* const output = contiguous<T>(out, op.n, "out");
                const py::gil_scoped_release release;
                op.diagonal(output);
            });
        },
        py::arg("terms"), py::arg("out"));
}

}  // namespace fastsoft::bindings
