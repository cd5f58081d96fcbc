// SPDX-License-Identifier: MIT
#include <pybind11/stl.h>

#include <vector>

#include "array_arg.hpp"
#include "bindings.hpp"
#include "fastsoft/sparsify.hpp"

namespace fastsoft::bindings {
namespace {

template <class Value, class Source>
py::array_t<Value> to_array(const std::vector<Source>& values, std::vector<py::ssize_t> shape) {
    py::array_t<Value> array(std::move(shape));
    std::copy(values.begin(), values.end(), array.mutable_data());
    return array;
}

// Pointer to an optional contiguous array; null for None.
template <class T>
const T* optional(const py::object& array, std::ptrdiff_t size, const char* name) {
    return array.is_none() ? nullptr : contiguous<const T>(array.cast<py::array>(), size, name);
}

}  // namespace

void bind_sparsify(py::module_& module) {
    // The number of segments left is not known beforehand, so the small outputs are allocated here: coefficients
    // (K, k), offsets (K), which of the starting segments were kept (K) and the counts (n_iterations).
    module.def(
        "sparsify_segments",
        [](const py::array& eigenvectors, const py::array& eigenvalues, const py::array& constant,
           const py::object& weights, const py::object& labels, const py::object& start, std::ptrdiff_t n_segments,
           bool compat, double gamma, int n_iterations, double clamp, double prune_threshold,
           const std::vector<int>& prune_after, const py::object& progress) {
            return dispatch_float(eigenvectors, "eigenvectors", [&](auto zero) {
                using T = decltype(zero);
                const auto vectors = view<const T, 2>(eigenvectors, "eigenvectors");
                FASTSOFT_EXPECTS(vectors.is_contiguous(), "eigenvectors must be contiguous (k, N)");
                SparsifyInput<T> input;
                input.n_eigenvectors = vectors.extent(0);
                input.n_pixels = vectors.extent(1);
                input.n_segments = n_segments;
                input.eigenvectors = vectors.data();
                input.eigenvalues = contiguous<const double>(eigenvalues, input.n_eigenvectors, "eigenvalues");
                input.constant = contiguous<const double>(constant, input.n_eigenvectors, "constant");
                input.weights = optional<T>(weights, input.n_pixels, "weights");
                input.labels = optional<std::int32_t>(labels, input.n_pixels, "labels");
                input.start = optional<T>(start, input.n_pixels * n_segments, "start");
                FASTSOFT_EXPECTS((input.labels == nullptr) != (input.start == nullptr),
                                 "either labels or start must be given");
                const SparsifyParams params{compat ? SparsifyMethod::compat : SparsifyMethod::stable,
                                            gamma,
                                            n_iterations,
                                            clamp,
                                            prune_threshold,
                                            prune_after};
                PyMonitor monitor(progress);
                SparsifyOutcome outcome;
                {
                    const py::gil_scoped_release release;
                    outcome = sparsify_segments<T>(input, params, monitor);
                }
                const auto count = static_cast<py::ssize_t>(outcome.n_segments);
                const auto k = static_cast<py::ssize_t>(input.n_eigenvectors);
                return py::make_tuple(to_array<double>(outcome.coefficients, {count, k}),
                                      to_array<double>(outcome.offsets, {count}),
                                      to_array<std::int64_t>(outcome.kept, {count}),
                                      to_array<std::int32_t>(outcome.counts, {n_iterations}));
            });
        },
        py::arg("eigenvectors"), py::arg("eigenvalues"), py::arg("constant"), py::arg("weights"), py::arg("labels"),
        py::arg("start"), py::arg("n_segments"), py::arg("compat"), py::arg("gamma"), py::arg("n_iterations"),
        py::arg("clamp"), py::arg("prune_threshold"), py::arg("prune_after"), py::arg("progress"));

    module.def(
        "combine_eigenvectors",
        [](const py::array& eigenvectors, const py::array& coefficients, const py::array& offsets, double gamma,
           const py::array& segments, const py::object& progress) {
            return dispatch_float(eigenvectors, "eigenvectors", [&](auto zero) {
                using T = decltype(zero);
                const auto vectors = view<const T, 2>(eigenvectors, "eigenvectors");
                const auto output = view<T, 2>(segments, "segments");
                const std::ptrdiff_t count = output.extent(1);
                const double* const weights =
                    contiguous<const double>(coefficients, count * vectors.extent(0), "coefficients");
                const double* const added = contiguous<const double>(offsets, count, "offsets");
                PyMonitor monitor(progress);
                const py::gil_scoped_release release;
                return combine_eigenvectors<T>(vectors, weights, added, gamma, output, monitor);
            });
        },
        py::arg("eigenvectors"), py::arg("coefficients"), py::arg("offsets"), py::arg("gamma"), py::arg("segments"),
        py::arg("progress"));
}

}  // namespace fastsoft::bindings
