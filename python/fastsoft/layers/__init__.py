# SPDX-License-Identifier: MIT
"""What a segmentation returns: soft layers, pictures of them, and their files on disk."""

from __future__ import annotations

from fastsoft.layers.files import save_layers
from fastsoft.layers.overview import layer_colors, overview_picture
from fastsoft.layers.quantization import quantize_alphas, quantized_rgba
from fastsoft.layers.result import Layers
from fastsoft.layers.simplex import project_to_simplex

__all__ = [
    "Layers",
    "layer_colors",
    "overview_picture",
    "project_to_simplex",
    "quantize_alphas",
    "quantized_rgba",
    "save_layers",
]
