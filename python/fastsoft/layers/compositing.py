# SPDX-License-Identifier: MIT
"""Layers put together again, in part or over something else, and split by a mask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fastsoft._checks import as_float_array, check_image, check_int, check_mask
from fastsoft._device import on_device

if TYPE_CHECKING:
    from fastsoft.layers.result import Layers

__all__ = ["composite", "on_the_cpu", "split_layer"]

_ROWS = 64


def on_the_cpu(layers: Layers) -> Layers:
    """Refuse layers on a CUDA device, for what has no version there."""
    if on_device(layers.alphas):
        raise TypeError("layers must be on the CPU, got layers on a CUDA device: pass layers.to_numpy()")
    return layers


def composite(layers: Layers, *, visible: Sequence[int] | None = None, background: Any = None) -> Any:
    """Add layers up: colours times alphas, and alphas.

    This is the alpha-add mode of compositing programs, in which layers that were split from one photograph show no
    seam: their order does not matter, and all of them together are the photograph.

    Parameters
    ----------
    layers : Layers
    visible : sequence of int, optional
        Which layers take part; all by default. One that is named twice counts once.
    background : ndarray, shape (3,) or (H, W, 3), optional
        A colour or a picture in [0, 1] that fills what the layers leave uncovered.

    Returns
    -------
    ndarray, shape (H, W, 3) with a background, else (H, W, 4)
        In [0, 1], of the photograph's dtype. Without a background the last channel is the sum of the alphas; colours
        are not premultiplied, and black where nothing is.

    Raises
    ------
    TypeError, ValueError
        If a layer does not exist, or the background has another size or range.

    Examples
    --------
    >>> import numpy as np
    >>> from fastsoft.layers import Layers, composite
    >>> layers = Layers(np.array([[[0.25, 0.75]]]), np.array([[[0.5, 0.5, 0.5]]]))
    >>> composite(layers, visible=[1]).tolist()
    [[[0.5, 0.5, 0.5, 0.75]]]
    >>> composite(layers, visible=[1], background=np.array([1.0, 0.0, 0.0])).tolist()
    [[[0.625, 0.375, 0.375]]]
    """
    height, width, n = on_the_cpu(layers).alphas.shape
    chosen = range(n) if visible is None else visible
    shown = sorted({check_int(k, "visible", low=0, high=n - 1) for k in chosen})
    if background is not None:
        background = as_float_array(background, "background")
        if background.ndim == 1:
            background = np.broadcast_to(background, (1, 1, background.size))
        background = check_image(background, "background")
        if background.shape[:2] not in ((1, 1), (height, width)):
            raise ValueError(
                f"background must be a colour or have the photograph's size, {height}x{width}, got "
                f"{background.shape[0]}x{background.shape[1]}"
            )
        background = np.broadcast_to(background, (height, width, 3))
    out = np.empty((height, width, 4 if background is None else 3), dtype=layers.image.dtype)
    for first in range(0, height, _ROWS):
        rows = slice(first, first + _ROWS)
        total, added = 0, 0
        for k in shown:
            alpha = layers.alphas[rows, :, k, None]
            total = total + alpha
            added = added + alpha * (layers.image[rows] if layers.colors is None else layers.colors[rows, :, k])
        if background is not None:
            out[rows] = np.clip(added + (1 - total) * background[rows], 0, 1)
        else:
            out[rows, :, :3] = np.clip(added / np.where(total > 0, total, 1), 0, 1) if shown else 0
            out[rows, :, 3:] = np.clip(total, 0, 1)
    return out


def split_layer(layers: Layers, layer: int, mask: Any) -> Layers:
    """Split a layer into the part inside a mask and the part outside.

    Parameters
    ----------
    layers : Layers
    layer : int
    mask : ndarray, shape (H, W), bool or floating point in [0, 1]
        Share of the layer's alpha that stays with it; the rest goes to a new layer behind it, with the same colours.

    Returns
    -------
    Layers
        One more than before. Alphas still sum to 1 and recompose what they did.

    Raises
    ------
    TypeError, ValueError
        If the layer does not exist, or the mask has another size or range.

    Examples
    --------
    >>> import numpy as np
    >>> from fastsoft.layers import Layers, split_layer
    >>> layers = Layers(np.array([[[0.25, 0.75], [0.5, 0.5]]]), np.zeros((1, 2, 3)))
    >>> split_layer(layers, 1, np.array([[True, False]])).alphas.tolist()
    [[[0.25, 0.75, 0.0], [0.5, 0.0, 0.5]]]
    """
    n = on_the_cpu(layers).alphas.shape[2]
    layer = check_int(layer, "layer", low=0, high=n - 1)
    mask = check_mask(mask, layers.alphas.shape[:2]).astype(layers.alphas.dtype)
    order = [*range(layer + 1), layer, *range(layer + 1, n)]
    alphas = layers.alphas[:, :, order]
    alphas[:, :, layer] *= mask
    # What is left, rather than the product with 1 - mask, keeps the sum.
    alphas[:, :, layer + 1] -= alphas[:, :, layer]
    return replace(
        layers,
        alphas=alphas,
        stages=None,
        colors=None if layers.colors is None else layers.colors[:, :, order],
        palette=None if layers.palette is None else np.asarray(layers.palette)[order],
    )
