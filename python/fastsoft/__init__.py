# SPDX-License-Identifier: MIT
"""fastsoft: soft layers of a photograph, and the operations they are made of.

Public names are loaded when first used: importing the package loads neither SciPy nor torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

# Public name -> module that defines it. Kept sorted; tests/test_layout.py compares it with the stub below.
_LAZY = {
    "Cancelled": "errors",
    "ConvergenceError": "errors",
    "CudaError": "errors",
    "EigenResult": "ops.lanczos",
    "ImageReadError": "errors",
    "KMeansResult": "ops.kmeans",
    "Layers": "layers",
    "MattingErrors": "matting",
    "OperatorSum": "operators",
    "PcaResult": "ops.principal_components",
    "PcgResult": "ops.pcg",
    "RelaxResult": "ops.relax",
    "SolverInfo": "ops.solver_info",
    "SparsifyResult": "ops.sparsify",
    "StencilMatrix": "operators",
    "SuperpixelGraph": "ops.superpixel_graph",
    "VideoReadError": "errors",
    "check_trimap": "matting",
    "closed_form_matting": "matting",
    "color_affinity": "ops.superpixel_graph",
    "composite": "layers",
    "connectivity_error": "ops.matting_errors",
    "decompose_colors": "color",
    "decompose_video": "color",
    "distance_transform": "ops.distance_transform",
    "estimate_foreground": "ops.estimate_foreground",
    "gradient_error": "ops.matting_errors",
    "graph_laplacian": "ops.graph_laplacian",
    "group_segments": "semantic",
    "guided_filter": "ops.guided_filter",
    "image_gradient": "ops.image_gradient",
    "kmeans": "ops.kmeans",
    "matte": "matting",
    "matting_affinity": "ops.matting_laplacian",
    "matting_errors": "matting",
    "matting_laplacian": "ops.matting_laplacian",
    "network_matting": "matting",
    "num_threads": "threads",
    "pcg": "ops.pcg",
    "principal_components": "ops.principal_components",
    "project_colors": "ops.project_colors",
    "read_image": "image",
    "recolor": "color",
    "recolor_video": "color",
    "refine_foreground": "ops.refine_foreground",
    "region_means": "ops.superpixel_graph",
    "relax_segments": "ops.relax",
    "save_layers": "layers",
    "scribble_masks": "matting",
    "segment": "semantic",
    "semantic_affinity": "ops.superpixel_graph",
    "set_num_threads": "threads",
    "slic": "ops.slic",
    "smallest_eigenvectors": "ops.lanczos",
    "sparsify_segments": "ops.sparsify",
    "spectral_matting": "semantic",
    "split_kmeans": "ops.kmeans",
    "split_layer": "layers",
    "superpixel_graph": "ops.superpixel_graph",
    "to_float": "image",
    "trimap_from_alpha": "matting",
    "trimap_from_mask": "matting",
    "trimap_from_scribbles": "matting",
    "write_png": "image",
}

__all__ = ["__version__", *_LAZY]

if TYPE_CHECKING:
    from fastsoft.color import decompose_colors, decompose_video, recolor, recolor_video
    from fastsoft.errors import Cancelled, ConvergenceError, CudaError, ImageReadError, VideoReadError
    from fastsoft.image import read_image, to_float, write_png
    from fastsoft.layers import Layers, composite, save_layers, split_layer
    from fastsoft.matting import (
        MattingErrors,
        check_trimap,
        closed_form_matting,
        matte,
        matting_errors,
        network_matting,
        scribble_masks,
        trimap_from_alpha,
        trimap_from_mask,
        trimap_from_scribbles,
    )
    from fastsoft.operators import OperatorSum, StencilMatrix
    from fastsoft.ops.distance_transform import distance_transform
    from fastsoft.ops.estimate_foreground import estimate_foreground
    from fastsoft.ops.graph_laplacian import graph_laplacian
    from fastsoft.ops.guided_filter import guided_filter
    from fastsoft.ops.image_gradient import image_gradient
    from fastsoft.ops.kmeans import KMeansResult, kmeans, split_kmeans
    from fastsoft.ops.lanczos import EigenResult, smallest_eigenvectors
    from fastsoft.ops.matting_errors import connectivity_error, gradient_error
    from fastsoft.ops.matting_laplacian import matting_affinity, matting_laplacian
    from fastsoft.ops.pcg import PcgResult, pcg
    from fastsoft.ops.principal_components import PcaResult, principal_components
    from fastsoft.ops.project_colors import project_colors
    from fastsoft.ops.refine_foreground import refine_foreground
    from fastsoft.ops.relax import RelaxResult, relax_segments
    from fastsoft.ops.slic import slic
    from fastsoft.ops.solver_info import SolverInfo
    from fastsoft.ops.sparsify import SparsifyResult, sparsify_segments
    from fastsoft.ops.superpixel_graph import (
        SuperpixelGraph,
        color_affinity,
        region_means,
        semantic_affinity,
        superpixel_graph,
    )
    from fastsoft.semantic import group_segments, segment, spectral_matting
    from fastsoft.threads import num_threads, set_num_threads

    __version__: str


def __getattr__(name: str) -> object:
    if name == "__version__":
        from fastsoft._native import cpu

        value: object = cpu.__version__
    elif name in _LAZY:
        value = getattr(importlib.import_module(f"fastsoft.{_LAZY[name]}"), name)
    else:
        raise AttributeError(f"module 'fastsoft' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
