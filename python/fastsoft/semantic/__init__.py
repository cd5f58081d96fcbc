# SPDX-License-Identifier: MIT
"""Semantic soft segmentation: a module per stage, and the pipeline that runs them in order."""

from __future__ import annotations

from fastsoft.semantic.affinities import Affinities, compute_affinities
from fastsoft.semantic.eigenvectors import Eigenvectors, compute_eigenvectors
from fastsoft.semantic.features import Features, compute_features, load_features, preprocess_features
from fastsoft.semantic.laplacian import Laplacian, build_laplacian
from fastsoft.semantic.lowlevel import lowlevel_features
from fastsoft.semantic.pipeline import segment, spectral_matting
from fastsoft.semantic.reduction import Cost, device_memory, estimate_cost
from fastsoft.semantic.regions import label_features, mask_features
from fastsoft.semantic.relaxation import Relaxation, relax_layers
from fastsoft.semantic.soft_segments import (
    Grouping,
    SoftSegments,
    compute_soft_segments,
    group_segments,
    segment_features,
    start_labels,
)

__all__ = [
    "Affinities",
    "Cost",
    "Eigenvectors",
    "Features",
    "Grouping",
    "Laplacian",
    "Relaxation",
    "SoftSegments",
    "build_laplacian",
    "compute_affinities",
    "compute_eigenvectors",
    "compute_features",
    "compute_soft_segments",
    "device_memory",
    "estimate_cost",
    "group_segments",
    "label_features",
    "load_features",
    "lowlevel_features",
    "mask_features",
    "preprocess_features",
    "relax_layers",
    "segment",
    "segment_features",
    "spectral_matting",
    "start_labels",
]
