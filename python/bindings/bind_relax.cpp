// SPDX-License-Identifier: MIT
#include <pybind11/stl.h>

#include <tuple>
#include <vector>

#include "array_arg.hpp"
#include "bindings.hpp"
#include "fastsoft/relax.hpp"

namespace fastsoft::bindings {

void bind_relax(py::module_& module) {
    module.def(
        "relax_segments",
        [](const Array& segments, const py::list& laplacian, const Array& gradient, const Array& before_final_solve,
           const Array& result, int n_iterations, double gamma, double sum_weight, double clamp, double threshold,
           double tolerance, int max_cg_iterations, int max_final_iterations, bool final_solve,
           const py::object& progress) {
            return dispatch_float(segments, "segments", [&](auto zero) {
                using T = decltype(zero);
                const auto input = view<const T, 3>(segments, "segments");
                const auto op = symmetric_operator<T>(laplacian);
                const auto magnitude = view<const T, 2>(gradient, "gradient");
                const auto before = view<T, 3>(before_final_solve, "before_final_solve");
                const auto output = view<T, 3>(result, "result");
                FASTSOFT_EXPECTS(before.shape() == input.shape(), "before_final_solve must have the shape of segments");
                RelaxParams params;
                params.n_iterations = n_iterations;
                params.gamma = gamma;
                params.sum_weight = sum_weight;
                params.clamp = clamp;
                params.threshold = threshold;
                params.tolerance = tolerance;
                params.max_cg_iterations = max_cg_iterations;
                params.max_final_iterations = max_final_iterations;
                params.final_solve = final_solve;
                PyMonitor monitor(progress);
                const std::vector<SolverInfo> info = execute(segments, [&](const auto&... context) {
                    return backend::relax_segments<T>(context..., input, op, magnitude, params, before, output,
                                                      monitor);
                });
                std::vector<std::tuple<bool, int, double>> solves;
                for (const SolverInfo& solve : info) {
                    solves.emplace_back(solve.converged, solve.iterations, solve.residual);
                }
                return solves;
            });
        },
        py::arg("segments"), py::arg("laplacian"), py::arg("gradient"), py::arg("before_final_solve"),
        py::arg("result"), py::arg("n_iterations"), py::arg("gamma"), py::arg("sum_weight"), py::arg("clamp"),
        py::arg("threshold"), py::arg("tolerance"), py::arg("max_cg_iterations"), py::arg("max_final_iterations"),
        py::arg("final_solve"), py::arg("progress"));
}

}  // namespace fastsoft::bindings
