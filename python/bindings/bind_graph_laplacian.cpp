// SPDX-License-Identifier: MIT
#include "array_arg.hpp"
#include "bindings.hpp"
#include "fastsoft/graph_laplacian.hpp"

namespace fastsoft::bindings {
namespace {

const double* scale_of(const py::object& scale, std::ptrdiff_t n) {
    return scale.is_none() ? nullptr : contiguous<const double>(scale.cast<py::array>(), n, "scale");
}

}  // namespace

void bind_graph_laplacian(py::module_& module) {
    module.def(
        "affinity_degrees",
        [](const py::list& terms, const py::array& like, const py::array& sums, const py::array& magnitudes) {
            dispatch_float(like, "like", [&](auto zero) {
                using T = decltype(zero);
                const auto op = symmetric_operator<T>(terms);
                auto* const out_sums = contiguous<double>(sums, op.n, "sums");
                auto* const out_magnitudes = contiguous<double>(magnitudes, op.n, "magnitudes");
                const py::gil_scoped_release release;
                affinity_degrees<T>(op, out_sums, out_magnitudes);
            });
        },
        py::arg("terms"), py::arg("like"), py::arg("sums"), py::arg("magnitudes"));

    module.def(
        "graph_laplacian_n_entries",
        [](const py::array& indptr, const py::array& indices, const py::array& data) {
            return dispatch_float(data, "data", [&](auto zero) {
                const auto csr = csr_view<decltype(zero)>(indptr, indices, data);
                const py::gil_scoped_release release;
                return graph_laplacian_n_entries(csr);
            });
        },
        py::arg("indptr"), py::arg("indices"), py::arg("data"));

    module.def(
        "graph_laplacian_csr",
        [](const py::array& indptr, const py::array& indices, const py::array& data, const py::object& scale,
           const py::array& out_indptr, const py::array& out_indices, const py::array& out_data) {
            dispatch_float(data, "data", [&](auto zero) {
                using T = decltype(zero);
                const auto csr = csr_view<T>(indptr, indices, data);
                const double* const factors = scale_of(scale, csr.n_rows);
                const std::int64_t n_entries = graph_laplacian_n_entries(csr);
                auto* const starts = contiguous<std::int64_t>(out_indptr, csr.n_rows + 1, "out_indptr");
                auto* const columns = contiguous<std::int32_t>(out_indices, n_entries, "out_indices");
                T* const values = contiguous<T>(out_data, n_entries, "out_data");
                const py::gil_scoped_release release;
                graph_laplacian_csr<T>(csr, factors, starts, columns, values);
            });
        },
        py::arg("indptr"), py::arg("indices"), py::arg("data"), py::arg("scale"), py::arg("out_indptr"),
        py::arg("out_indices"), py::arg("out_data"));

    module.def(
        "graph_laplacian_stencil",
        [](const py::array& affinity, const py::object& scale, const py::array& weights) {
            dispatch_float(affinity, "affinity", [&](auto zero) {
                using T = decltype(zero);
                const auto planes = view<const T, 3>(affinity, "affinity");
                FASTSOFT_EXPECTS(planes.extent(0) == kStencilSize && planes.is_contiguous(),
                                 "affinity must be a C-contiguous array of shape (13, H, W)");
                const StencilView<T> stencil{planes.data(), planes.extent(1), planes.extent(2)};
                const double* const factors = scale_of(scale, stencil.size());
                T* const output = contiguous<T>(weights, planes.size(), "weights");
                const py::gil_scoped_release release;
                graph_laplacian_stencil<T>(stencil, factors, output);
            });
        },
        py::arg("affinity"), py::arg("scale"), py::arg("weights"));
}

}  // namespace fastsoft::bindings
