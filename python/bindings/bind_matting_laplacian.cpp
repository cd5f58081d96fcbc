// SPDX-License-Identifier: MIT
#include "array_arg.hpp"
#include "bindings.hpp"
#include "fastsoft/matting_laplacian.hpp"

namespace fastsoft::bindings {

void bind_matting_laplacian(py::module_& module) {
    const auto matrix_of = [](bool affinity) { return affinity ? MattingMatrix::affinity : MattingMatrix::laplacian; };

    module.def("matting_n_entries", &matting_n_entries, py::arg("n_rows"), py::arg("n_cols"), py::arg("radius"));

    module.def(
        "matting_laplacian_csr",
        [matrix_of](const Array& image, bool affinity, double epsilon, int radius, const Array& indptr,
                    const Array& indices, const Array& data) {
            dispatch_float(image, "image", [&](auto zero) {
                using T = decltype(zero);
                const auto input = view<const T, 3>(image, "image");
                const std::int64_t n_entries = matting_n_entries(input.extent(0), input.extent(1), radius);
                auto* const row_starts =
                    contiguous<std::int64_t>(indptr, input.extent(0) * input.extent(1) + 1, "indptr");
                auto* const columns = contiguous<std::int32_t>(indices, n_entries, "indices");
                T* const values = contiguous<T>(data, n_entries, "data");
                execute(image, [&](const auto&... context) {
                    backend::matting_laplacian_csr<T>(context..., input, matrix_of(affinity), epsilon, radius,
                                                      row_starts, columns, values);
                });
            });
        },
        py::arg("image"), py::arg("affinity"), py::arg("epsilon"), py::arg("radius"), py::arg("indptr"),
        py::arg("indices"), py::arg("data"));

    module.def(
        "matting_laplacian_stencil",
        [matrix_of](const Array& image, bool affinity, double epsilon, const Array& weights) {
            dispatch_float(image, "image", [&](auto zero) {
                using T = decltype(zero);
                const auto input = view<const T, 3>(image, "image");
                T* const output = contiguous<T>(weights, kStencilSize * input.extent(0) * input.extent(1), "weights");
                execute(image, [&](const auto&... context) {
                    backend::matting_laplacian_stencil<T>(context..., input, matrix_of(affinity), epsilon, output);
                });
            });
        },
        py::arg("image"), py::arg("affinity"), py::arg("epsilon"), py::arg("weights"));
}

}  // namespace fastsoft::bindings
