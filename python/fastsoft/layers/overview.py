# SPDX-License-Identifier: MIT
"""One picture that shows all layers of a photograph."""

from __future__ import annotations

import colorsys
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastsoft._checks import check_int

if TYPE_CHECKING:
    from fastsoft.layers.result import Layers

__all__ = ["layer_colors", "overview_picture"]

# Told apart also with the common kinds of colour blindness: lightness differs as well as hue.
_COLORS = (
    (0.00, 0.45, 0.70),
    (0.96, 0.62, 0.04),
    (0.00, 0.62, 0.45),
    (0.80, 0.27, 0.24),
    (0.95, 0.90, 0.35),
    (0.55, 0.78, 0.95),
    (0.55, 0.30, 0.62),
    (0.20, 0.20, 0.24),
    (0.98, 0.72, 0.80),
    (0.50, 0.58, 0.20),
)
_GAP = 8
_PER_ROW = 5


def layer_colors(n_layers: int) -> Any:
    """Return a solid colour for every layer, the same ones each time.

    Parameters
    ----------
    n_layers : int
        At least 1.

    Returns
    -------
    ndarray, shape (n_layers, 3), float64
        RGB in [0, 1]. All differ; the first ten come from a table, the others from steps round the colour circle.
    """
    n_layers = check_int(n_layers, "n_layers", low=1)
    colors = list(_COLORS[:n_layers])
    for k in range(n_layers - len(colors)):
        # Steps of the golden ratio never come back to a hue; three lightnesses keep neighbours apart.
        colors.append(colorsys.hsv_to_rgb((0.05 + k * 0.6180339887498949) % 1, 0.75, (0.95, 0.7, 0.45)[k % 3]))
    return np.array(colors)


def overview_picture(layers: Layers) -> Any:
    """Draw the photograph, its layers in solid colours, and each layer alone.

    Parameters
    ----------
    layers : Layers

    Returns
    -------
    ndarray, shape (H', W', 3), uint8
        In the first row the photograph and, at its right, the sum of the layers' colours weighted by alpha, both in
        full size. Below, reduced to fit, every layer as its colour over white, five to a row. Panels are 8 pixels
        apart. Layers of a palette have its colours in the first row, and below the colours of their own over a grey
        chequerboard.

    Examples
    --------
    >>> import numpy as np
    >>> from fastsoft.layers import Layers, overview_picture
    >>> overview_picture(Layers(np.full((30, 40, 2), 0.5), np.zeros((30, 40, 3)))).shape
    (84, 104, 3)
    """
    height, width, n = layers.alphas.shape
    colors = layer_colors(n) if layers.palette is None else np.asarray(layers.palette)
    total = 2 * width + 3 * _GAP
    per_row = min(n, _PER_ROW)
    # At least one pixel, however narrow the photograph and many its layers.
    small_width = max(1, (total - (per_row + 1) * _GAP) // per_row)
    small_height = max(1, round(height * small_width / width))
    factor = min(1.0, small_width / width)
    if factor == 1.0:
        small_width, small_height = width, height
    n_rows = math.ceil(n / per_row)
    canvas = np.full((height + 2 * _GAP + n_rows * (small_height + _GAP), total, 3), 255, dtype=np.uint8)
    canvas[_GAP : _GAP + height, _GAP : _GAP + width] = _eight_bit(layers.image)
    # Row by row keeps the temporaries of a large photograph small.
    for row in range(height):
        canvas[_GAP + row, width + 2 * _GAP : 2 * width + 2 * _GAP] = _eight_bit(layers.alphas[row] @ colors)
    for k in range(n):
        alpha = _reduce(layers.alphas[:, :, k], small_width, small_height)[:, :, None]
        top = height + 2 * _GAP + (k // per_row) * (small_height + _GAP)
        left = _GAP + (k % per_row) * (small_width + _GAP)
        if layers.colors is None:
            panel = _eight_bit(alpha * colors[k] + (1 - alpha))
        else:
            # Premultiplied, so that colours that are not seen do not bleed into the reduced picture.
            seen = [layers.alphas[:, :, k] * layers.colors[:, :, k, c] for c in range(3)]
            own = np.stack([_reduce(plane, small_width, small_height) for plane in seen], axis=2)
            panel = _eight_bit(own + (1 - alpha) * _chequerboard(small_height, small_width))
        canvas[top : top + small_height, left : left + small_width] = panel
    return canvas


def _chequerboard(height: int, width: int) -> Any:
    """Return the usual backdrop of what is transparent, shape (height, width, 1): no palette colour hides on it."""
    row, col = np.ogrid[:height, :width]
    return np.where((row // _GAP + col // _GAP) % 2, 0.6, 0.8)[:, :, None]


def _eight_bit(values: Any) -> Any:
    return (np.clip(values, 0, 1) * 255 + 0.5).astype(np.uint8)


def _reduce(alpha: Any, width: int, height: int) -> Any:
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(alpha, dtype=np.float32))
    return np.asarray(picture.resize((width, height), Image.Resampling.BOX))
