# SPDX-License-Identifier: MIT
"""Layers in 8 bits whose sum is still the photograph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastsoft.ops.project_colors import project_colors

if TYPE_CHECKING:
    from fastsoft.layers.result import Layers

__all__ = ["quantize_alphas", "quantized_rgba"]

# Rows that are worked on at a time.
_ROWS = 64


def quantize_alphas(alphas: Any) -> Any:
    """Round alphas to multiples of 1/255 that still sum to 1 at every pixel.

    Parameters
    ----------
    alphas : ndarray, shape (..., n), float32 or float64
        In [0, 1], with sum 1.

    Returns
    -------
    ndarray, shape (..., n), uint8
        With sum 255; less than one level away from the exact values. Zeros stay zeros.

    Examples
    --------
    >>> import numpy as np
    >>> from fastsoft.layers import quantize_alphas
    >>> quantize_alphas(np.array([[1 / 3, 1 / 3, 1 / 3], [0.5, 0.5, 0.0]])).tolist()
    [[85, 85, 85], [128, 127, 0]]
    """
    alphas = np.asarray(alphas)
    # Sums over the first layers are rounded, and the alphas are their differences: what one layer gains the next
    # one lacks. Rounded separately, n layers could be off by n / 2 levels in sum.
    sums = np.cumsum(alphas, axis=-1, dtype=np.float64)
    levels = np.floor(sums * 255 + 0.5)
    levels[..., -1] = 255
    levels[..., 1:] -= levels[..., :-1].copy()
    return levels.astype(np.uint8)


def quantized_rgba(layers: Layers) -> Any:
    """Return the layers as 8-bit pictures.

    Parameters
    ----------
    layers : Layers
        With colours.

    Returns
    -------
    ndarray, shape (n, H, W, 4), uint8
        RGB and alpha, not premultiplied. Alphas sum to 255. If the layers recompose the photograph exactly, as
        ``settings["exact"]`` says, so do the pictures, but for the rounding of the colours to 8 bits.
    """
    height, width, n = layers.alphas.shape
    pictures = np.empty((n, height, width, 4), dtype=np.uint8)
    exact = bool(layers.settings.get("exact"))
    for first in range(0, height, _ROWS):
        rows = slice(first, first + _ROWS)
        levels = quantize_alphas(layers.alphas[rows])
        colors = layers.colors[rows]
        if exact:
            dtype = colors.dtype.type
            colors = project_colors(levels.astype(dtype) / dtype(255), colors, layers.image[rows].astype(dtype))
        pictures[:, rows, :, :3] = (colors * 255 + 0.5).astype(np.uint8).transpose(2, 0, 1, 3)
        pictures[:, rows, :, 3] = levels.transpose(2, 0, 1)
    return pictures
