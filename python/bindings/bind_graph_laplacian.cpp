// SPDX-License-Identifier: MIT
#include "array_arg.hpp"
#include "bindings.hpp"
#include "fastsoft/graph_laplacian.hpp"

namespace fastsoft::bindings {
namespace {

const double* scale_of(const py::object& scale, std::ptrdiff_t n) {
    return scale.is_none() ? nullptr : contiguous<const double>(scale.cast<Array>(), n, "scale");
}

}  // namespace

void bind_graph_laplacian(py::module_& module) {
    module.def(
        "affinity_degrees",
        [](const py::list& terms, const Array& like, const Array& sums, const Array& magnitudes) {
            dispatch_float(like, "like", [&](auto zero) {
                using T = decltype(zero);
                const auto op = symmetric_operator<T>(terms);
                auto* const out_sums = contiguous<double>(sums, op.n, "sums");
                auto* const out_magnitudes = contiguous<double>(magnitudes, op.n, "magnitudes");
                execute(sums, [&](const auto&... context) {
                    backend::affinity_degrees<T>(context..., op, out_sums, out_magnitudes);
                });
            });
        },
        py::arg("terms"), py::arg("like"), py::arg("sums"), py::arg("magnitudes"));

    module.def(
        "weighted_sum",
        [](const Array& first_indptr, const Array& first_indices, const Array& first_data, double first_factor,
           const Array& second_indptr, const Array& second_indices, const Array& second_data, double second_factor,
           const Array& indptr, const py::object& empty) {
            return dispatch_float(first_data, "first_data", [&](auto zero) {
                using T = decltype(zero);
                const auto first = csr_view<T>(first_indptr, first_indices, first_data);
                const auto second = csr_view<T>(second_indptr, second_indices, second_data);
                CsrResult<T> matrix(empty, indptr, first.n_rows);
                const auto out = matrix.output();
                execute(first_data, [&](const auto&... context) {
                    backend::weighted_sum<T>(context..., first, first_factor, second, second_factor, out);
                });
                return matrix.arrays();
            });
        },
        py::arg("first_indptr"), py::arg("first_indices"), py::arg("first_data"), py::arg("first_factor"),
        py::arg("second_indptr"), py::arg("second_indices"), py::arg("second_data"), py::arg("second_factor"),
        py::arg("indptr"), py::arg("empty"));

    module.def(
        "graph_laplacian_csr",
        [](const Array& indptr, const Array& indices, const Array& data, const py::object& scale,
           const Array& out_indptr, const py::object& empty) {
            return dispatch_float(data, "data", [&](auto zero) {
                using T = decltype(zero);
                const auto csr = csr_view<T>(indptr, indices, data);
                const double* const factors = scale_of(scale, csr.n_rows);
                CsrResult<T> matrix(empty, out_indptr, csr.n_rows);
                const auto out = matrix.output();
                execute(data, [&](const auto&... context) {
                    backend::graph_laplacian_csr<T>(context..., csr, factors, out);
                });
                return matrix.arrays();
            });
        },
        py::arg("indptr"), py::arg("indices"), py::arg("data"), py::arg("scale"), py::arg("out_indptr"),
        py::arg("empty"));

    module.def(
        "graph_laplacian_stencil",
        [](const Array& affinity, const py::object& scale, const Array& weights) {
            dispatch_float(affinity, "affinity", [&](auto zero) {
                using T = decltype(zero);
                const auto planes = view<const T, 3>(affinity, "affinity");
                FASTSOFT_EXPECTS(planes.extent(0) == kStencilSize && planes.is_contiguous(),
                                 "affinity must be a C-contiguous array of shape (13, H, W)");
                const StencilView<T> stencil{planes.data(), planes.extent(1), planes.extent(2)};
                const double* const factors = scale_of(scale, stencil.size());
                T* const output = contiguous<T>(weights, planes.size(), "weights");
                execute(affinity, [&](const auto&... context) {
                    backend::graph_laplacian_stencil<T>(context..., stencil, factors, output);
                });
            });
        },
        py::arg("affinity"), py::arg("scale"), py::arg("weights"));
}

}  // namespace fastsoft::bindings
