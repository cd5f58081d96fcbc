// SPDX-License-Identifier: MIT
#include "bindings.hpp"
#include "fastsoft/core/parallel.hpp"

namespace fastsoft::bindings {

void bind_parallel(pybind11::module_& module) {
    namespace py = pybind11;
    module.def("num_threads", &num_threads);
    module.def("set_num_threads", &set_num_threads, py::arg("count"));
}

}  // namespace fastsoft::bindings
