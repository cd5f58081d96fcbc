// SPDX-License-Identifier: MIT
#include <pybind11/pybind11.h>

#include <exception>

#include "array_arg.hpp"
#include "bindings.hpp"
#include "fastsoft/core/error.hpp"
#include "fastsoft/cuda/context.hpp"
#include "fastsoft/cuda/pixel_planes.hpp"
#include "fastsoft/cuda/value_range.hpp"

namespace py = pybind11;

namespace {

py::dict installation() {
    const auto found = fastsoft::cuda::installation();
    py::list devices;
    for (const auto& device : found.devices) {
        py::dict entry;
        entry["name"] = device.name;
        entry["compute_capability"] = py::make_tuple(device.major, device.minor);
        entry["total_bytes"] = device.total_bytes;
        entry["free_bytes"] = device.free_bytes;
        devices.append(entry);
    }
    py::dict result;
    result["runtime"] = found.runtime;
    result["driver"] = found.driver;
    result["problem"] = found.problem;
    result["devices"] = devices;
    return result;
}

// (smallest finite value, largest one, number of values that are not finite); waits for the stream.
py::tuple value_range(const fastsoft::bindings::Array& values) {
    using namespace fastsoft::bindings;
    const auto range = dispatch_float(values, "values", [&](auto zero) {
        using T = decltype(zero);
        const auto input = view<const T, 3>(values, "values");
        return execute(values, [&](const auto& context) { return backend::value_range<T>(context, input); });
    });
    return py::make_tuple(range.low, range.high, range.n_bad);
}

template <class S, class T>
void planes(const fastsoft::bindings::Array& values, const std::int64_t* pixels, std::ptrdiff_t count,
            const fastsoft::bindings::Array& out) {
    using namespace fastsoft::bindings;
    const auto input = view<const S, 2>(values, "values");
    T* const output = contiguous<T>(out, input.extent(1) * count, "out");
    execute(values, [&](const auto& context) { backend::pixel_planes<S, T>(context, input, pixels, count, output); });
}

// out (n_planes, n) = values (N, n_planes) of the pixels, int64 on the host, or of all for None, in the dtype of out.
void pixel_planes(const fastsoft::bindings::Array& values, const py::object& pixels,
                  const fastsoft::bindings::Array& out) {
    using namespace fastsoft::bindings;
    const std::int64_t* chosen = nullptr;
    std::ptrdiff_t count = values.shape.empty() ? 0 : values.shape[0];
    py::array list;
    if (!pixels.is_none()) {
        list = pixels.cast<py::array>();
        count = list.size();
        chosen = contiguous<const std::int64_t>(list, count, "pixels");
    }
    if (values.dtype == "int32") {
        planes<std::int32_t, std::int32_t>(values, chosen, count, out);
        return;
    }
    dispatch_float(values, "values", [&](auto from) {
        dispatch_float(out, "out", [&](auto to) { planes<decltype(from), decltype(to)>(values, chosen, count, out); });
    });
}

// Sums of the rows (m, n), in double on the host; waits for the stream.
py::array_t<double> row_sums(const fastsoft::bindings::Array& rows) {
    using namespace fastsoft::bindings;
    return dispatch_float(rows, "rows", [&](auto zero) {
        using T = decltype(zero);
        const auto input = view<const T, 2>(rows, "rows");
        FASTSOFT_EXPECTS(input.is_contiguous() && input.size() > 0, "rows must be contiguous and not empty");
        py::array_t<double> sums(static_cast<py::ssize_t>(input.extent(0)));
        double* const output = sums.mutable_data();
        execute(rows, [&](const auto& context) {
            backend::row_sums<T>(context, input.data(), input.extent(0), input.extent(1), output);
        });
        return sums;
    });
}

}  // namespace

PYBIND11_MODULE(_cuda, module) {
    module.doc() = "Native operations of fastsoft on CUDA devices. Private: call them through the package.";
    module.attr("__version__") = FASTSOFT_VERSION;
    module.attr("architectures") = FASTSOFT_CUDA_ARCHITECTURES;

    // pybind11 maps std::invalid_argument to ValueError and std::bad_alloc to MemoryError by itself.
    py::register_local_exception_translator([](std::exception_ptr pointer) {
        try {
            if (pointer) {
                std::rethrow_exception(pointer);
            }
        } catch (const fastsoft::type_error& error) {
            py::set_error(PyExc_TypeError, error.what());
        } catch (const fastsoft::cuda::out_of_device_memory& error) {
            py::set_error(PyExc_MemoryError, error.what());
        } catch (const fastsoft::cuda::cuda_error& error) {
            const py::object type = py::module_::import("fastsoft.errors").attr("CudaError");
            py::set_error(type, error.what());
        }
    });

    module.def("problem", &fastsoft::cuda::problem);
    module.def("installation", &installation);
    module.def("pixel_planes", &pixel_planes, py::arg("values"), py::arg("pixels"), py::arg("out"));
    module.def("row_sums", &row_sums, py::arg("rows"));
    module.def("value_range", &value_range, py::arg("values"));

    // One source, compiled for either module: bind_<operation>.cpp.
    using namespace fastsoft::bindings;
    bind_distance_transform(module);
    bind_estimate_foreground(module);
    bind_graph_laplacian(module);
    bind_guided_filter(module);
    bind_image_gradient(module);
    bind_kmeans(module);
    bind_lanczos(module);
    bind_matting_errors(module);
    bind_matting_laplacian(module);
    bind_pcg(module);
    bind_principal_components(module);
    bind_project_colors(module);
    bind_refine_foreground(module);
    bind_relax(module);
    bind_slic(module);
    bind_sparsify(module);
    bind_superpixel_graph(module);
    bind_symmetric_operator(module);
    bind_unmixing(module);
}
