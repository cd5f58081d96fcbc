// SPDX-License-Identifier: MIT
#include <pybind11/stl.h>

#include <tuple>
#include <vector>

#include "array_arg.hpp"
#include "bindings.hpp"
#include "fastsoft/pcg.hpp"

namespace fastsoft::bindings {
namespace {

// Hands the residuals to Python as a read-only (n_vectors, n) view and copies back what it returns.
template <class T>
PreconditionerFunction<T> python_preconditioner(const py::function& function, std::ptrdiff_t n) {
    return [&function, n](const T* r, T* z, std::ptrdiff_t n_vectors) {
        const py::gil_scoped_acquire gil;
        py::array_t<T> residuals({n_vectors, n}, r, py::none());
        residuals.attr("setflags")(py::arg("write") = false);
        const py::array out = function(residuals);
        const T* const values = contiguous<const T>(out, n * n_vectors, "preconditioner's result");
        std::copy(values, values + n * n_vectors, z);
    };
}

}  // namespace

void bind_pcg(py::module_& module) {
    module.def(
        "pcg",
        [](const py::list& terms, const py::array& b, const py::array& x, const py::object& inverse_diagonal,
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
                        contiguous<const T>(inverse_diagonal.cast<py::array>(), op.n, "inverse_diagonal");
                }
                py::function callback;
                if (!function.is_none()) {
                    callback = function.cast<py::function>();
                    preconditioner.function = python_preconditioner<T>(callback, op.n);
                }
                const PcgParams params{tolerance, max_iterations, true};
                PyMonitor monitor(progress);
                std::vector<SolverInfo> info;
                {
                    const py::gil_scoped_release release;
                    info = pcg<T>(op, right, solution, n_vectors, preconditioner, params, monitor);
                }
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
