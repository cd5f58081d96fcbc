// SPDX-License-Identifier: MIT
#include <vector>

#include "array_arg.hpp"
#include "bindings.hpp"
#include "fastsoft/superpixel_graph.hpp"

namespace fastsoft::bindings {
namespace {

// The sizes of these results are known only afterwards, so that they are made here and not in Python.
template <class T>
py::array to_array(const std::vector<T>& values, std::vector<py::ssize_t> shape) {
    return py::array_t<T>(std::move(shape), values.data());
}

template <class T>
py::tuple to_csr(const PixelEdges& edges, std::ptrdiff_t n) {
    py::array_t<std::int64_t> indptr(n + 1);
    py::array_t<std::int32_t> indices(static_cast<py::ssize_t>(2 * edges.weights.size()));
    py::array_t<T> data(indices.size());
    edges_to_csr<T>(edges, n, indptr.mutable_data(), indices.mutable_data(), data.mutable_data());
    return py::make_tuple(std::move(indptr), std::move(indices), std::move(data));
}

const std::int32_t* centroids_of(const py::array& centroids, std::ptrdiff_t n_superpixels) {
    return contiguous<const std::int32_t>(centroids, 2 * n_superpixels, "centroids");
}

}  // namespace

void bind_superpixel_graph(py::module_& module) {
    module.def(
        "superpixel_graph",
        [](const py::array& labels) {
            const auto input = view<const std::int32_t, 2>(labels, "labels");
            SuperpixelGraph graph;
            {
                const py::gil_scoped_release release;
                graph = superpixel_graph(input);
            }
            const auto n = static_cast<py::ssize_t>(graph.counts.size());
            const auto n_pairs = static_cast<py::ssize_t>(graph.adjacent_pairs.size() / 2);
            return py::make_tuple(to_array(graph.counts, {n}), to_array(graph.centroids, {n, 2}),
                                  to_array(graph.adjacent_pairs, {n_pairs, 2}));
        },
        py::arg("labels"));

    module.def(
        "region_means",
        [](const py::array& values, const py::array& labels, const py::array& means) {
            dispatch_float(values, "values", [&](auto zero) {
                using T = decltype(zero);
                const auto input = view<const T, 3>(values, "values");
                const auto regions = view<const std::int32_t, 2>(labels, "labels");
                const auto n = view<T, 2>(means, "means").extent(0);
                T* const output = contiguous<T>(means, n * input.extent(2), "means");
                const py::gil_scoped_release release;
                region_means<T>(input, regions, n, output);
            });
        },
        py::arg("values"), py::arg("labels"), py::arg("means"));

    module.def(
        "color_affinity",
        [](const py::array& centroids, const py::array& colors, std::ptrdiff_t height, std::ptrdiff_t width,
           double steepness, double threshold, double max_distance) {
            return dispatch_float(colors, "colors", [&](auto zero) {
                using T = decltype(zero);
                const auto input = view<const T, 2>(colors, "colors");
                const auto n = input.extent(0);
                const T* const values = contiguous<const T>(colors, input.size(), "colors");
                const std::int32_t* const places = centroids_of(centroids, n);
                PixelEdges edges;
                {
                    const py::gil_scoped_release release;
                    edges = color_affinity<T>(places, values, n, input.extent(1), height, width, steepness, threshold,
                                              max_distance);
                }
                return to_csr<T>(edges, height * width);
            });
        },
        py::arg("centroids"), py::arg("colors"), py::arg("height"), py::arg("width"), py::arg("steepness"),
        py::arg("threshold"), py::arg("max_distance"));

    module.def(
        "semantic_affinity",
        [](const py::array& centroids, const py::array& adjacent_pairs, const py::array& features,
           std::ptrdiff_t height, std::ptrdiff_t width, double steepness, double threshold) {
            return dispatch_float(features, "features", [&](auto zero) {
                using T = decltype(zero);
                const auto input = view<const T, 2>(features, "features");
                const auto n = input.extent(0);
                const T* const values = contiguous<const T>(features, input.size(), "features");
                const std::int32_t* const places = centroids_of(centroids, n);
                const auto n_pairs = view<const std::int32_t, 2>(adjacent_pairs, "adjacent_pairs").extent(0);
                const auto* const pairs = contiguous<const std::int32_t>(adjacent_pairs, 2 * n_pairs, "adjacent_pairs");
                PixelEdges edges;
                {
                    const py::gil_scoped_release release;
                    edges = semantic_affinity<T>(places, pairs, n_pairs, values, n, input.extent(1), width, steepness,
                                                 threshold);
                }
                return to_csr<T>(edges, height * width);
            });
        },
        py::arg("centroids"), py::arg("adjacent_pairs"), py::arg("features"), py::arg("height"), py::arg("width"),
        py::arg("steepness"), py::arg("threshold"));
}

}  // namespace fastsoft::bindings
