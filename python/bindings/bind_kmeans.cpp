// SPDX-License-Identifier: MIT
#include "array_arg.hpp"
#include "bindings.hpp"
#include "fastsoft/kmeans.hpp"

namespace fastsoft::bindings {
namespace {

template <class T>
KmeansPoints<T> points_of(const Array& points, const py::object& weights) {
    const auto input = view<const T, 2>(points, "points");
    KmeansPoints<T> result;
    result.data = contiguous<const T>(points, input.size(), "points");
    result.n = input.extent(0);
    result.d = input.extent(1);
    if (!weights.is_none()) {
        result.weights = contiguous<const double>(weights.cast<Array>(), result.n, "weights");
    }
    return result;
}

}  // namespace

void bind_kmeans(py::module_& module) {
    module.def(
        "kmeans",
        [](const Array& points, const py::object& weights, std::uint64_t seed, int n_init, int max_iterations,
           bool given_centers, const Array& labels, const Array& centers, const py::object& progress) {
            return dispatch_float(points, "points", [&](auto zero) {
                using T = decltype(zero);
                const auto input = points_of<T>(points, weights);
                const std::ptrdiff_t n_clusters = view<T, 2>(centers, "centers").extent(0);
                auto* const out_labels = contiguous<std::int32_t>(labels, input.n, "labels");
                T* const out_centers = contiguous<T>(centers, n_clusters * input.d, "centers");
                PyMonitor monitor(progress);
                const KmeansInfo info = execute(points, [&](const auto&... context) {
                    return backend::kmeans<T>(context..., input, n_clusters,
                                              {seed, n_init, max_iterations, given_centers}, out_labels, out_centers,
                                              monitor);
                });
                return py::make_tuple(info.inertia, info.iterations, info.converged);
            });
        },
        py::arg("points"), py::arg("weights"), py::arg("seed"), py::arg("n_init"), py::arg("max_iterations"),
        py::arg("given_centers"), py::arg("labels"), py::arg("centers"), py::arg("progress"));

    module.def(
        "split_kmeans",
        [](const Array& points, const py::object& weights, std::uint64_t seed, std::ptrdiff_t n_start, int n_init,
           std::ptrdiff_t refine_up_to, std::ptrdiff_t max_samples, int max_iterations, const Array& labels,
           const Array& centers, const py::object& progress) {
            return dispatch_float(points, "points", [&](auto zero) {
                using T = decltype(zero);
                const auto input = points_of<T>(points, weights);
                const std::ptrdiff_t n_clusters = view<T, 2>(centers, "centers").extent(0);
                auto* const out_labels = contiguous<std::int32_t>(labels, input.n, "labels");
                T* const out_centers = contiguous<T>(centers, n_clusters * input.d, "centers");
                PyMonitor monitor(progress);
                const SplitKmeansInfo result = execute(points, [&](const auto&... context) {
                    return backend::split_kmeans<T>(context..., input, n_clusters,
                                                    {seed, n_start, n_init, refine_up_to, max_samples, max_iterations},
                                                    out_labels, out_centers, monitor);
                });
                return py::make_tuple(result.n_clusters, result.info.inertia, result.info.iterations,
                                      result.info.converged);
            });
        },
        py::arg("points"), py::arg("weights"), py::arg("seed"), py::arg("n_start"), py::arg("n_init"),
        py::arg("refine_up_to"), py::arg("max_samples"), py::arg("max_iterations"), py::arg("labels"),
        py::arg("centers"), py::arg("progress"));
}

}  // namespace fastsoft::bindings
