// SPDX-License-Identifier: MIT
#include "array_arg.hpp"
#include "bindings.hpp"
#include "fastsoft/superpixel_graph.hpp"

namespace fastsoft::bindings {
namespace {

template <class T>
SuperpixelValues<T> superpixel_values(const Array& centroids, const Array& values, const char* name,
                                      std::ptrdiff_t height, std::ptrdiff_t width) {
    const auto shape = view<const T, 2>(values, name);
    const auto n = shape.extent(0);
    return {n,
            contiguous<const std::int32_t>(centroids, 2 * n, "centroids"),
            contiguous<const T>(values, shape.size(), name),
            shape.extent(1),
            height,
            width};
}

}  // namespace

void bind_superpixel_graph(py::module_& module) {
    module.def(
        "superpixel_graph",
        [](const Array& labels, const py::object& empty) {
            const auto input = view<const std::int32_t, 2>(labels, "labels");
            py::object counts;
            py::object centroids;
            py::object centroid_indices;
            py::object adjacent_pairs;
            const SuperpixelGraphOutput out{
                allocator<std::int64_t>(empty, counts), allocator<std::int32_t>(empty, centroids, 2),
                allocator<std::int32_t>(empty, centroid_indices), allocator<std::int32_t>(empty, adjacent_pairs, 2)};
            execute(labels, [&](const auto&... context) { backend::superpixel_graph(context..., input, out); });
            return py::make_tuple(counts, centroids, centroid_indices, adjacent_pairs);
        },
        py::arg("labels"), py::arg("empty"));

    module.def(
        "region_means",
        [](const Array& values, const Array& labels, const Array& means) {
            dispatch_float(values, "values", [&](auto zero) {
                using T = decltype(zero);
                const auto input = view<const T, 3>(values, "values");
                const auto regions = view<const std::int32_t, 2>(labels, "labels");
                const auto n = view<T, 2>(means, "means").extent(0);
                T* const output = contiguous<T>(means, n * input.extent(2), "means");
                execute(values, [&](const auto&... context) {
                    backend::region_means<T>(context..., input, regions, n, output);
                });
            });
        },
        py::arg("values"), py::arg("labels"), py::arg("means"));

    module.def(
        "color_affinity",
        [](const Array& centroids, const Array& colors, std::ptrdiff_t height, std::ptrdiff_t width, double steepness,
           double threshold, double max_distance, const Array& indptr, const py::object& empty) {
            return dispatch_float(colors, "colors", [&](auto zero) {
                using T = decltype(zero);
                const auto input = superpixel_values<T>(centroids, colors, "colors", height, width);
                CsrResult<T> matrix(empty, indptr, height * width);
                const auto out = matrix.output();
                execute(colors, [&](const auto&... context) {
                    backend::color_affinity<T>(context..., input, steepness, threshold, max_distance, out);
                });
                return matrix.arrays();
            });
        },
        py::arg("centroids"), py::arg("colors"), py::arg("height"), py::arg("width"), py::arg("steepness"),
        py::arg("threshold"), py::arg("max_distance"), py::arg("indptr"), py::arg("empty"));

    module.def(
        "semantic_affinity",
        [](const Array& centroids, const Array& adjacent_pairs, const Array& features, std::ptrdiff_t height,
           std::ptrdiff_t width, double steepness, double threshold, const Array& indptr, const py::object& empty) {
            return dispatch_float(features, "features", [&](auto zero) {
                using T = decltype(zero);
                const auto input = superpixel_values<T>(centroids, features, "features", height, width);
                const auto n_pairs = view<const std::int32_t, 2>(adjacent_pairs, "adjacent_pairs").extent(0);
                const auto* const pairs = contiguous<const std::int32_t>(adjacent_pairs, 2 * n_pairs, "adjacent_pairs");
                CsrResult<T> matrix(empty, indptr, height * width);
                const auto out = matrix.output();
                execute(features, [&](const auto&... context) {
                    backend::semantic_affinity<T>(context..., input, pairs, n_pairs, steepness, threshold, out);
                });
                return matrix.arrays();
            });
        },
        py::arg("centroids"), py::arg("adjacent_pairs"), py::arg("features"), py::arg("height"), py::arg("width"),
        py::arg("steepness"), py::arg("threshold"), py::arg("indptr"), py::arg("empty"));
}

}  // namespace fastsoft::bindings
