// SPDX-License-Identifier: MIT
#include <pybind11/stl.h>

#include <optional>
#include <tuple>
#include <vector>

#include "array_arg.hpp"
#include "bindings.hpp"
#include "fastsoft/estimate_foreground.hpp"

namespace fastsoft::bindings {
namespace {

template <class T>
View<T, 4> optional_view(const std::optional<Array>& array, const char* name) {
    return array ? view<T, 4>(*array, name) : View<T, 4>();
}

}  // namespace

void bind_estimate_foreground(py::module_& module) {
    module.def(
        "multilevel_foreground",
        [](const Array& image, const Array& alphas, const Array& foregrounds, const std::optional<Array>& backgrounds,
           double regularization, double gradient_weight, int small_size, int n_small_iterations,
           int n_large_iterations, bool sequential, py::object progress) {
            return dispatch_float(image, "image", [&](auto zero) {
                using T = decltype(zero);
                const auto image_view = view<const T, 3>(image, "image");
                const auto alphas_view = view<const T, 3>(alphas, "alphas");
                const auto foregrounds_view = view<T, 4>(foregrounds, "foregrounds");
                const auto backgrounds_view = optional_view<T>(backgrounds, "backgrounds");
                const MultilevelParams params{
                    regularization,     gradient_weight,
                    small_size,         n_small_iterations,
                    n_large_iterations, sequential ? ForegroundOrder::sequential : ForegroundOrder::red_black};
                PyMonitor monitor(std::move(progress));
                return execute(image, [&](const auto&... context) {
                    return static_cast<int>(backend::multilevel_foreground<T>(
                        context..., image_view, alphas_view, foregrounds_view, backgrounds_view, params, monitor));
                });
            });
        },
        py::arg("image"), py::arg("alphas"), py::arg("foregrounds"), py::arg("backgrounds"), py::arg("regularization"),
        py::arg("gradient_weight"), py::arg("small_size"), py::arg("n_small_iterations"), py::arg("n_large_iterations"),
        py::arg("sequential"), py::arg("progress"));
    module.def(
        "blur_fusion",
        [](const Array& image, const Array& alphas, const Array& foregrounds, const std::optional<Array>& backgrounds,
           std::ptrdiff_t first_size, std::ptrdiff_t second_size, py::object progress) {
            return dispatch_float(image, "image", [&](auto zero) {
                using T = decltype(zero);
                const auto image_view = view<const T, 3>(image, "image");
                const auto alphas_view = view<const T, 3>(alphas, "alphas");
                const auto foregrounds_view = view<T, 4>(foregrounds, "foregrounds");
                const auto backgrounds_view = optional_view<T>(backgrounds, "backgrounds");
                const BlurFusionParams params{first_size, second_size};
                PyMonitor monitor(std::move(progress));
                return execute(image, [&](const auto&... context) {
                    return static_cast<int>(backend::blur_fusion<T>(
                        context..., image_view, alphas_view, foregrounds_view, backgrounds_view, params, monitor));
                });
            });
        },
        py::arg("image"), py::arg("alphas"), py::arg("foregrounds"), py::arg("backgrounds"), py::arg("first_size"),
        py::arg("second_size"), py::arg("progress"));
#if !defined(FASTSOFT_CUDA_MODULE)
    module.def(
        "closed_form_foreground",
        [](const Array& image, const Array& alphas, const Array& foregrounds, const std::optional<Array>& backgrounds,
           double regularization, double tolerance, int max_iterations, py::object progress) {
            return dispatch_float(image, "image", [&](auto zero) {
                using T = decltype(zero);
                const auto image_view = view<const T, 3>(image, "image");
                const auto alphas_view = view<const T, 3>(alphas, "alphas");
                const auto foregrounds_view = view<T, 4>(foregrounds, "foregrounds");
                const auto backgrounds_view = optional_view<T>(backgrounds, "backgrounds");
                const ClosedFormForegroundParams params{regularization, tolerance, max_iterations};
                PyMonitor monitor(std::move(progress));
                std::vector<SolverInfo> info;
                {
                    const py::gil_scoped_release release;
                    info = closed_form_foreground<T>(image_view, alphas_view, foregrounds_view, backgrounds_view,
                                                     params, monitor);
                }
                std::vector<std::tuple<bool, int, double>> result;
                for (const SolverInfo& column : info) {
                    result.emplace_back(column.converged, column.iterations, column.residual);
                }
                return result;
            });
        },
        py::arg("image"), py::arg("alphas"), py::arg("foregrounds"), py::arg("backgrounds"), py::arg("regularization"),
        py::arg("tolerance"), py::arg("max_iterations"), py::arg("progress"));
#endif
}

}  // namespace fastsoft::bindings
