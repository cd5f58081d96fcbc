// SPDX-License-Identifier: MIT
#pragma once

#include <pybind11/pybind11.h>

// One function per operation, each in its own bind_<op>.cpp; module.cpp calls them all.
namespace fastsoft::bindings {

void bind_closed_form(pybind11::module_& module);
void bind_distance_transform(pybind11::module_& module);
void bind_estimate_foreground(pybind11::module_& module);
void bind_graph_laplacian(pybind11::module_& module);
void bind_guided_filter(pybind11::module_& module);
void bind_image_gradient(pybind11::module_& module);
void bind_kmeans(pybind11::module_& module);
void bind_lanczos(pybind11::module_& module);
void bind_matting_errors(pybind11::module_& module);
void bind_matting_laplacian(pybind11::module_& module);
void bind_parallel(pybind11::module_& module);
void bind_pcg(pybind11::module_& module);
void bind_principal_components(pybind11::module_& module);
void bind_project_colors(pybind11::module_& module);
void bind_refine_foreground(pybind11::module_& module);
void bind_relax(pybind11::module_& module);
void bind_slic(pybind11::module_& module);
void bind_superpixel_graph(pybind11::module_& module);
void bind_sparsify(pybind11::module_& module);
void bind_symmetric_operator(pybind11::module_& module);
void bind_unmixing(pybind11::module_& module);

}  // namespace fastsoft::bindings
