# SPDX-License-Identifier: MIT
"""Matting: the alpha of a foreground from a photograph and a trimap, and how good it is."""

from __future__ import annotations

from fastsoft.matting.closed_form import closed_form_matting
from fastsoft.matting.metrics import MattingErrors, matting_errors
from fastsoft.matting.models import convert_published_weights, device_memory, load_network, network_matting
from fastsoft.matting.pipeline import matte
from fastsoft.matting.trimap import (
    check_trimap,
    scribble_masks,
    trimap_from_alpha,
    trimap_from_mask,
    trimap_from_scribbles,
)

__all__ = [
    "MattingErrors",
    "check_trimap",
    "closed_form_matting",
    "convert_published_weights",
    "device_memory",
    "load_network",
    "matte",
    "matting_errors",
    "network_matting",
    "scribble_masks",
    "trimap_from_alpha",
    "trimap_from_mask",
    "trimap_from_scribbles",
]
