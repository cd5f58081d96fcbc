// SPDX-License-Identifier: MIT
#include "array_arg.hpp"
#include "bindings.hpp"
#include "fastsoft/core/symmetric_operator.hpp"

#if defined(FASTSOFT_CUDA_MODULE)
#include "fastsoft/cuda/symmetric_operator.hpp"
#endif

namespace fastsoft::bindings {

void bind_symmetric_operator(py::module_& module) {
    module.def(
        "operator_apply",
        [](const py::list& terms, const Array& x, const Array& y) {
            dispatch_float(x, "x", [&](auto zero) {
                using T = decltype(zero);
                const auto op = symmetric_operator<T>(terms);
                FASTSOFT_EXPECTS(op.n > 0 && x.size() % op.n == 0, "x must hold vectors of ", op.n, " elements");
                const T* const input = contiguous<const T>(x, x.size(), "x");
                T* const output = contiguous<T>(y, x.size(), "y");
                const std::ptrdiff_t n_vectors = static_cast<std::ptrdiff_t>(x.size()) / op.n;
                execute(x, [&](const auto&... context) {
                    backend::operator_apply<T>(context..., op, input, output, n_vectors);
                });
            });
        },
        py::arg("terms"), py::arg("x"), py::arg("y"));

    module.def(
        "operator_diagonal",
        [](const py::list& terms, const Array& out) {
            dispatch_float(out, "out", [&](auto zero) {
                using T = decltype(zero);
                const auto op = symmetric_operator<T>(terms);
                T* const output = contiguous<T>(out, op.n, "out");
                execute(out, [&](const auto&... context) { backend::operator_diagonal<T>(context..., op, output); });
            });
        },
        py::arg("terms"), py::arg("out"));
}

}  // namespace fastsoft::bindings
