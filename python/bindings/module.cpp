// SPDX-License-Identifier: MIT
#include <pybind11/pybind11.h>

#include <exception>

#include "bindings.hpp"
#include "fastsoft/core/error.hpp"

namespace py = pybind11;

PYBIND11_MODULE(FASTSOFT_MODULE_NAME, module) {
    module.doc() = "Native operations of fastsoft on the CPU. Private: call them through the package.";
    module.attr("__version__") = FASTSOFT_VERSION;
    module.attr("isa_level") = FASTSOFT_ISA_LEVEL;
    module.attr("compiler") = FASTSOFT_COMPILER;
    module.attr("build_type") = FASTSOFT_BUILD_TYPE;

    // pybind11 maps std::invalid_argument to ValueError and std::bad_alloc to MemoryError by itself.
    py::register_local_exception_translator([](std::exception_ptr pointer) {
        try {
            if (pointer) {
                std::rethrow_exception(pointer);
            }
        } catch (const fastsoft::type_error& error) {
            py::set_error(PyExc_TypeError, error.what());
        }
    });

    using namespace fastsoft::bindings;
    bind_closed_form(module);
    bind_distance_transform(module);
    bind_estimate_foreground(module);
    bind_graph_laplacian(module);
    bind_guided_filter(module);
    bind_image_gradient(module);
    bind_kmeans(module);
    bind_lanczos(module);
    bind_matting_errors(module);
    bind_matting_laplacian(module);
    bind_parallel(module);
    bind_pcg(module);
    bind_principal_components(module);
    bind_project_colors(module);
    bind_refine_foreground(module);
    bind_relax(module);
    bind_slic(module);
    bind_superpixel_graph(module);
    bind_sparsify(module);
    bind_symmetric_operator(module);
    bind_unmixing(module);
}
