// SPDX-License-Identifier: MIT
#include <pybind11/stl.h>

#include <vector>

#include "array_arg.hpp"
#include "bindings.hpp"
#include "fastsoft/sparsify.hpp"

namespace fastsoft::bindings {
namespace {

// Pointer to an optional contiguous array; null for None.
template <class T, class AnyArray>
const T* optional(const py::object& array, std::ptrdiff_t size, const char* name) {
    return array.is_none() ? nullptr : contiguous<const T>(array.cast<AnyArray>(), size, name);
}

#if defined(FASTSOFT_CUDA_MODULE)
// Sums over pixels on a device, which the iteration in the CPU module asks for (python/fastsoft/ops/sparsify.py).
// Coefficients, offsets and results are NumPy's.
template <class T>
SparsifyPixels<T> pixels_of(const Array& eigenvectors, const py::object& weights, const py::object& labels,
                            const py::object& start, std::ptrdiff_t n_segments) {
    const auto vectors = view<const T, 2>(eigenvectors, "eigenvectors");
    FASTSOFT_EXPECTS(vectors.is_contiguous(), "eigenvectors must be contiguous (k, N)");
    SparsifyPixels<T> pixels;
    pixels.n_eigenvectors = vectors.extent(0);
    pixels.n_pixels = vectors.extent(1);
    pixels.eigenvectors = vectors.data();
    pixels.weights = optional<T, Array>(weights, pixels.n_pixels, "weights");
    pixels.labels = optional<std::int32_t, Array>(labels, pixels.n_pixels, "labels");
    pixels.start = optional<T, Array>(start, pixels.n_pixels * n_segments, "start");
    return pixels;
}

SegmentCoefficients segments_of(const py::object& coefficients, const py::object& offsets, std::ptrdiff_t n_segments,
                                std::ptrdiff_t k) {
    return {n_segments, optional<double, py::array>(coefficients, n_segments * k, "coefficients"),
            optional<double, py::array>(offsets, n_segments, "offsets")};
}

void bind_sums(py::module_& module) {
    module.def(
        "sparsify_gram",
        [](const Array& eigenvectors, const py::object& weights, const py::array& sum) {
            dispatch_float(eigenvectors, "eigenvectors", [&](auto zero) {
                using T = decltype(zero);
                const auto pixels = pixels_of<T>(eigenvectors, weights, py::none(), py::none(), 1);
                const std::ptrdiff_t k = pixels.n_eigenvectors;
                double* const output = contiguous<double>(sum, k * (k + 1) / 2, "sum");
                execute(eigenvectors, [&](const auto& context) { backend::sparsify_gram<T>(context, pixels, output); });
            });
        },
        py::arg("eigenvectors"), py::arg("weights"), py::arg("sum"));

    module.def(
        "sparsify_sums",
        [](const Array& eigenvectors, const py::object& weights, const py::object& labels, const py::object& start,
           bool flat, double clamp, double exponent, double factor, double peak, double offset,
           const py::object& coefficients, const py::object& offsets, const py::array& matrices, const py::array& right,
           const py::object& last) {
            dispatch_float(eigenvectors, "eigenvectors", [&](auto zero) {
                using T = decltype(zero);
                FASTSOFT_EXPECTS(matrices.ndim() == 2, "matrices must have 2 dimensions, got ", matrices.ndim());
                const std::ptrdiff_t n_segments = matrices.shape(0);
                const auto pixels = pixels_of<T>(eigenvectors, weights, labels, start, n_segments);
                const std::ptrdiff_t k = pixels.n_eigenvectors;
                const SparsityWeighting<T> weighting{
                    flat,
                    static_cast<T>(clamp),
                    static_cast<T>(exponent),
                    static_cast<T>(factor),
                    static_cast<T>(peak),
                    static_cast<T>(offset),
                };
                const auto segments = segments_of(coefficients, offsets, n_segments, k);
                double* const sums = contiguous<double>(matrices, n_segments * (k * (k + 1) / 2), "matrices");
                double* const sides = contiguous<double>(right, n_segments * k, "right");
                double* const last_side = flat ? nullptr : contiguous<double>(last.cast<py::array>(), k, "last");
                execute(eigenvectors, [&](const auto& context) {
                    backend::sparsify_sums<T>(context, pixels, weighting, segments, sums, sides, last_side);
                });
            });
        },
        py::arg("eigenvectors"), py::arg("weights"), py::arg("labels"), py::arg("start"), py::arg("flat"),
        py::arg("clamp"), py::arg("exponent"), py::arg("factor"), py::arg("peak"), py::arg("offset"),
        py::arg("coefficients"), py::arg("offsets"), py::arg("matrices"), py::arg("right"), py::arg("last"));

    module.def(
        "sparsify_peaks",
        [](const Array& eigenvectors, const py::array& coefficients, const py::array& offsets,
           const py::array& largest) {
            dispatch_float(eigenvectors, "eigenvectors", [&](auto zero) {
                using T = decltype(zero);
                const std::ptrdiff_t n_segments = largest.size();
                const auto pixels = pixels_of<T>(eigenvectors, py::none(), py::none(), py::none(), n_segments);
                const auto segments = segments_of(coefficients, offsets, n_segments, pixels.n_eigenvectors);
                double* const output = contiguous<double>(largest, n_segments, "largest");
                execute(eigenvectors,
                        [&](const auto& context) { backend::sparsify_peaks<T>(context, pixels, segments, output); });
            });
        },
        py::arg("eigenvectors"), py::arg("coefficients"), py::arg("offsets"), py::arg("largest"));
}
#else
template <class Value, class Source>
py::array_t<Value> to_array(const std::vector<Source>& values, std::vector<py::ssize_t> shape) {
    py::array_t<Value> array(std::move(shape));
    std::copy(values.begin(), values.end(), array.mutable_data());
    return array;
}

// Coefficients (K, k), offsets (K), which of the starting segments were kept (K) and the counts (n_iterations). The
// number of segments left is not known beforehand, so these small outputs are allocated here.
py::tuple to_tuple(const SparsifyOutcome& outcome, std::ptrdiff_t n_eigenvectors) {
    const auto count = static_cast<py::ssize_t>(outcome.n_segments);
    return py::make_tuple(to_array<double>(outcome.coefficients, {count, static_cast<py::ssize_t>(n_eigenvectors)}),
                          to_array<double>(outcome.offsets, {count}), to_array<std::int64_t>(outcome.kept, {count}),
                          to_array<std::int32_t>(outcome.counts, {static_cast<py::ssize_t>(outcome.counts.size())}));
}

// Sums that an object in Python forms on a device. The iteration runs without the GIL and takes it for each call.
template <class T>
class RemoteSums final : public SparsifySums<T> {
public:
    RemoteSums(py::object sums, std::ptrdiff_t n_eigenvectors) : sums_(std::move(sums)), k_(n_eigenvectors) {}

    void gram(double* sum, Monitor& monitor) override {
        std::vector<double> packed(packed_size());
        {
            const py::gil_scoped_acquire gil;
            sums_.attr("gram")(window(packed.data(), {packed_size()}));
        }
        std::fill(sum, sum + k_ * k_, 0.0);
        unpack(packed.data(), sum);
        monitor.report(1.0);
    }

    void form(const SparsityWeighting<T>& by, const SegmentCoefficients& segments, Monitor& monitor) override {
        const auto count = static_cast<std::size_t>(segments.n_segments);
        const auto k = static_cast<std::size_t>(k_);
        matrices_.resize(count * packed_size());
        right_.resize(count * k);
        last_.resize(k);
        {
            const py::gil_scoped_acquire gil;
            py::object last = py::none();
            if (!by.flat) {
                last = window(last_.data(), {k});
            }
            sums_.attr("form")(by.flat, static_cast<double>(by.clamp), static_cast<double>(by.exponent),
                               static_cast<double>(by.factor), static_cast<double>(by.peak),
                               static_cast<double>(by.offset), coefficients_of(segments), offsets_of(segments),
                               window(matrices_.data(), {count, packed_size()}), window(right_.data(), {count, k}),
                               last);
        }
        monitor.report(1.0);
    }

    void add_matrix(std::ptrdiff_t segment, double* sum) const override {
        unpack(matrices_.data() + static_cast<std::size_t>(segment) * packed_size(), sum);
    }

    void add_right(double* sum) const override {
        for (std::size_t i = 0; i < right_.size(); ++i) {
            sum[i] += right_[i];
        }
    }

    void add_last(double* sum) const override {
        for (std::size_t i = 0; i < last_.size(); ++i) {
            sum[i] += last_[i];
        }
    }

    void peaks(const SegmentCoefficients& segments, double* largest, Monitor& monitor) override {
        {
            const py::gil_scoped_acquire gil;
            sums_.attr("peaks")(coefficients_of(segments), offsets_of(segments),
                                window(largest, {static_cast<std::size_t>(segments.n_segments)}));
        }
        monitor.report(1.0);
    }

private:
    std::size_t packed_size() const { return static_cast<std::size_t>(k_ * (k_ + 1) / 2); }

    // An array on memory of this side, for the time of a call.
    static py::array_t<double> window(double* data, std::vector<std::size_t> shape) {
        return py::array_t<double>(std::vector<py::ssize_t>(shape.begin(), shape.end()), data, py::none());
    }

    py::object coefficients_of(const SegmentCoefficients& segments) const {
        if (segments.coefficients == nullptr) {
            return py::none();
        }
        return window(const_cast<double*>(segments.coefficients),
                      {static_cast<std::size_t>(segments.n_segments), static_cast<std::size_t>(k_)});
    }

    static py::object offsets_of(const SegmentCoefficients& segments) {
        if (segments.offsets == nullptr) {
            return py::none();
        }
        return window(const_cast<double*>(segments.offsets), {static_cast<std::size_t>(segments.n_segments)});
    }

    void unpack(const double* packed, double* sum) const {
        for (std::ptrdiff_t i = 0; i < k_; ++i) {
            for (std::ptrdiff_t j = 0; j <= i; ++j) {
                sum[j * k_ + i] += *packed++;
            }
        }
    }

    py::object sums_;
    std::ptrdiff_t k_;
    std::vector<double> matrices_;
    std::vector<double> right_;
    std::vector<double> last_;
};

SparsifyParams params_of(bool compat, double gamma, int n_iterations, double clamp, double prune_threshold,
                         const std::vector<int>& prune_after) {
    return {compat ? SparsifyMethod::compat : SparsifyMethod::stable,
            gamma,
            n_iterations,
            clamp,
            prune_threshold,
            prune_after};
}

void bind_iteration(py::module_& module) {
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
                input.weights = optional<T, py::array>(weights, input.n_pixels, "weights");
                input.labels = optional<std::int32_t, py::array>(labels, input.n_pixels, "labels");
                input.start = optional<T, py::array>(start, input.n_pixels * n_segments, "start");
                FASTSOFT_EXPECTS((input.labels == nullptr) != (input.start == nullptr),
                                 "either labels or start must be given");
                const auto params = params_of(compat, gamma, n_iterations, clamp, prune_threshold, prune_after);
                PyMonitor monitor(progress);
                SparsifyOutcome outcome;
                {
                    const py::gil_scoped_release release;
                    outcome = sparsify_segments<T>(input, params, monitor);
                }
                return to_tuple(outcome, input.n_eigenvectors);
            });
        },
        py::arg("eigenvectors"), py::arg("eigenvalues"), py::arg("constant"), py::arg("weights"), py::arg("labels"),
        py::arg("start"), py::arg("n_segments"), py::arg("compat"), py::arg("gamma"), py::arg("n_iterations"),
        py::arg("clamp"), py::arg("prune_threshold"), py::arg("prune_after"), py::arg("progress"));

    // The same iteration where the pixels are on a device. sums: the methods of SparsifySums in Python, for pixels in
    // float32 if `single`, else float64.
    module.def(
        "sparsify_segments_elsewhere",
        [](const py::object& sums, bool single, const py::array& eigenvalues, const py::array& constant,
           std::ptrdiff_t n_segments, bool compat, double gamma, int n_iterations, double clamp, double prune_threshold,
           const std::vector<int>& prune_after, const py::object& progress) {
            const auto run = [&](auto zero) {
                using T = decltype(zero);
                const std::ptrdiff_t k = eigenvalues.size();
                const double* const values = contiguous<const double>(eigenvalues, k, "eigenvalues");
                const double* const ones = contiguous<const double>(constant, k, "constant");
                const auto params = params_of(compat, gamma, n_iterations, clamp, prune_threshold, prune_after);
                RemoteSums<T> remote(sums, k);
                PyMonitor monitor(progress);
                SparsifyOutcome outcome;
                {
                    const py::gil_scoped_release release;
                    outcome = sparsify_segments<T>(remote, k, n_segments, values, ones, params, monitor);
                }
                return to_tuple(outcome, k);
            };
            return single ? run(float{}) : run(double{});
        },
        py::arg("sums"), py::arg("single"), py::arg("eigenvalues"), py::arg("constant"), py::arg("n_segments"),
        py::arg("compat"), py::arg("gamma"), py::arg("n_iterations"), py::arg("clamp"), py::arg("prune_threshold"),
        py::arg("prune_after"), py::arg("progress"));
}
#endif

}  // namespace

void bind_sparsify(py::module_& module) {
#if defined(FASTSOFT_CUDA_MODULE)
    bind_sums(module);
#else
    bind_iteration(module);
#endif

    module.def(
        "combine_eigenvectors",
        [](const Array& eigenvectors, const py::array& coefficients, const py::array& offsets, double gamma,
           const Array& segments, const py::object& progress) {
            return dispatch_float(eigenvectors, "eigenvectors", [&](auto zero) {
                using T = decltype(zero);
                const auto vectors = view<const T, 2>(eigenvectors, "eigenvectors");
                const auto output = view<T, 2>(segments, "segments");
                const std::ptrdiff_t count = output.extent(1);
                const double* const weights =
                    contiguous<const double>(coefficients, count * vectors.extent(0), "coefficients");
                const double* const added = contiguous<const double>(offsets, count, "offsets");
                PyMonitor monitor(progress);
                return execute(eigenvectors, [&](const auto&... context) {
                    return backend::combine_eigenvectors<T>(context..., vectors, weights, added, gamma, output,
                                                            monitor);
                });
            });
        },
        py::arg("eigenvectors"), py::arg("coefficients"), py::arg("offsets"), py::arg("gamma"), py::arg("segments"),
        py::arg("progress"));
}

}  // namespace fastsoft::bindings
