// SPDX-License-Identifier: MIT
#include <pybind11/pybind11.h>

#include <exception>

#include "array_arg.hpp"
#include "bindings.hpp"
#include "fastsoft/core/error.hpp"
#include "fastsoft/cuda/context.hpp"
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
    module.def("value_range", &value_range, py::arg("values"));

    // One source, compiled for either module: bind_<operation>.cpp.
    using namespace fastsoft::bindings;
    bind_guided_filter(module);
    bind_image_gradient(module);
    bind_lanczos(module);
    bind_matting_laplacian(module);
    bind_symmetric_operator(module);
}
