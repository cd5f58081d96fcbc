// SPDX-License-Identifier: MIT
#include "array_arg.hpp"
#include "bindings.hpp"
#include "fastsoft/lanczos.hpp"

namespace fastsoft::bindings {

void bind_lanczos(py::module_& module) {
    module.def(
        "smallest_eigenvectors",
        [](const py::list& terms, const Array& basis, const py::array& values, const py::array& residuals,
           const std::string& method, std::ptrdiff_t block_size, double tolerance, double shift,
           std::ptrdiff_t max_negative, double lambda_max, int max_restarts, std::uint64_t seed,
           std::ptrdiff_t n_grid_rows, std::ptrdiff_t n_grid_cols, const py::object& progress) {
            return dispatch_float(basis, "basis", [&](auto zero) {
                using T = decltype(zero);
                const auto matrix = symmetric_operator<T>(terms);
                LanczosParams params;
                params.n_eigenvectors = static_cast<std::ptrdiff_t>(values.size());
                params.block_size = block_size;
                params.tolerance = tolerance;
                params.shift = shift;
                params.lower_shift = max_negative >= 0;
                params.max_negative = max_negative;
                params.lambda_max = lambda_max;
                params.max_restarts = max_restarts;
                params.seed = seed;
                params.method = method == "lanczos"    ? EigenMethod::kDirect
                                : method == "filtered" ? EigenMethod::kFiltered
                                                       : EigenMethod::kShiftInvert;
                params.n_grid_rows = n_grid_rows;
                params.n_grid_cols = n_grid_cols;
                const auto rows = view<T, 2>(basis, "basis");
                FASTSOFT_EXPECTS(rows.extent(1) == matrix.n && rows.is_contiguous(),
                                 "basis must be C-contiguous with rows of ", matrix.n, " elements");
                FASTSOFT_EXPECTS(n_grid_rows * n_grid_cols == matrix.n || n_grid_rows == 0,
                                 "the grid must have as many pixels as the operator rows");
                params.n_basis = rows.extent(0) - block_size;
                auto* const value_data = contiguous<double>(values, values.size(), "values");
                auto* const residual_data = contiguous<double>(residuals, values.size(), "residuals");
                PyMonitor monitor(progress);
                const auto info = execute(basis, [&](const auto&... context) {
                    return backend::smallest_eigenvectors<T>(context..., matrix, params, rows.data(), value_data,
                                                             residual_data, monitor);
                });
                return py::make_tuple(info.solver.converged, info.solver.iterations, info.solver.residual, info.shift,
                                      info.n_below_shift, info.factor_bytes, info.factor_flops, info.factor_seconds,
                                      info.product_seconds, info.degree, info.n_products);
            });
        },
        py::arg("terms"), py::arg("basis"), py::arg("values"), py::arg("residuals"), py::arg("method"),
        py::arg("block_size"), py::arg("tolerance"), py::arg("shift"), py::arg("max_negative"), py::arg("lambda_max"),
        py::arg("max_restarts"), py::arg("seed"), py::arg("n_grid_rows"), py::arg("n_grid_cols"), py::arg("progress"));

    module.def(
        "estimate_lambda_max",
        [](const py::list& terms, const Array& like, std::uint64_t seed) {
            return dispatch_float(like, "like", [&](auto zero) {
                using T = decltype(zero);
                const auto matrix = symmetric_operator<T>(terms);
                return execute(like, [&](const auto&... context) {
                    return backend::estimate_lambda_max<T>(context..., matrix, seed);
                });
            });
        },
        py::arg("terms"), py::arg("like"), py::arg("seed"));
}

}  // namespace fastsoft::bindings
