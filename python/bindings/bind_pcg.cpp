// SPDX-License-Identifier: MIT
#include <pybind11/stl.h>

#include <tuple>
#include <vector>

#include "array_arg.hpp"
#include "bindings.hpp"
#include "fastsoft/pcg.hpp"

namespace fastsoft::bindings {
namespace {

#if defined(FASTSOFT_CUDA_MODULE)
// function: a tuple of a Python function without arguments and of the arrays where it finds the residuals and puts what
// it makes of them.
template <class T>
void set_function(Preconditioner<T>& preconditioner, const py::object& function, std::ptrdiff_t, std::ptrdiff_t size) {
    const auto parts = function.cast<py::tuple>();
    const auto residuals = parts[1].cast<Array>();
    const auto preconditioned = parts[2].cast<Array>();
    preconditioner.residuals = contiguous<T>(residuals, size, "residuals");
    preconditioner.preconditioned = contiguous<T>(preconditioned, size, "preconditioned");
    preconditioner.function = [&function](const T*, T*, std::ptrdiff_t) {
        const py::gil_scoped_acquire gil;
        py::object(function.cast<py::tuple>()[0])();
    };
}
#else
// Hands the residuals to Python as a read-only (n_vectors, n) view and copies back what it returns.
template <class T>
void set_function(Preconditioner<T>& preconditioner, const py::object& function, std::ptrdiff_t n, std::ptrdiff_t) {
    preconditioner.function = [&function, n](const T* r, T* z, std::ptrdiff_t n_vectors) {
        const py::gil_scoped_acquire gil;
        py::array_t<T> residuals({n_vectors, n}, r, py::none());
        residuals.attr("setflags")(py::arg("write") = false);
        const py::array out = function(residuals);
        const T* const values = contiguous<const T>(out, n * n_vectors, "preconditioner's result");
        std::copy(values, values + n * n_vectors, z);
    };
}
#endif

}  // namespace

void bind_pcg(py::module_& module) {
    module.def(
        "pcg",
        [](const py::list& terms, const Array& b, const Array& x, const py::object& inverse_diagonal,
           const py::object& function, double tolerance, int max_iterations, const py::object& progress) {
            return dispatch_float(b, "b", [&](auto zero) {
                using T = decltype(zero);
                const auto op = symmetric_operator<T>(terms);
                FASTSOFT_EXPECTS(op.n > 0 && b.size() % op.n == 0, "b must hold vectors of ", op.n, " elements");
                const std::ptrdiff_t n_vectors = static_cast<std::ptrdiff_t>(b.size()) / op.n;
                const T* const right = contiguous<const T>(b, b.size(), "b");
                T* const solution = contiguous<T>(x, b.size(), "x");
                Preconditioner<T> preconditioner;
                if (!inverse_diagonal.is_none()) {
                    preconditioner.inverse_diagonal =
                        contiguous<const T>(inverse_diagonal.cast<Array>(), op.n, "inverse_diagonal");
                }
                if (!function.is_none()) {
                    set_function<T>(preconditioner, function, op.n, op.n * n_vectors);
                }
                const PcgParams params{tolerance, max_iterations, true};
                PyMonitor monitor(progress);
                const std::vector<SolverInfo> info = execute(b, [&](const auto&... context) {
                    return backend::pcg<T>(context..., op, right, solution, n_vectors, preconditioner, params, monitor);
                });
                std::vector<std::tuple<bool, int, double>> result;
                for (const SolverInfo& column : info) {
                    result.emplace_back(column.converged, column.iterations, column.residual);
                }
                return result;
            });
        },
        py::arg("terms"), py::arg("b"), py::arg("x"), py::arg("inverse_diagonal"), py::arg("function"),
        py::arg("tolerance"), py::arg("max_iterations"), py::arg("progress"));
}

}  // namespace fastsoft::bindings
