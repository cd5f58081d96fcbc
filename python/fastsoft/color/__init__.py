# SPDX-License-Identifier: MIT
"""Fast soft colour segmentation: layers of homogeneous colour, and what can be done with them."""

from __future__ import annotations

from fastsoft.color.editing import recolor, smooth_layers
from fastsoft.color.models import convert_published_weights, load_model
from fastsoft.color.palette import check_palette, color_palette, format_color, parse_color
from fastsoft.color.pipeline import decompose_colors, device_memory
from fastsoft.color.processing import normalize_alphas, redistribute_alphas, smooth_alphas
from fastsoft.color.video import Flicker, VideoResult, decompose_video, recolor_video

__all__ = [
    "Flicker",
    "VideoResult",
    "check_palette",
    "color_palette",
    "convert_published_weights",
    "decompose_colors",
    "decompose_video",
    "device_memory",
    "format_color",
    "load_model",
    "normalize_alphas",
    "parse_color",
    "recolor",
    "recolor_video",
    "redistribute_alphas",
    "smooth_alphas",
    "smooth_layers",
]
