# SPDX-License-Identifier: MIT
"""Alphas and colours of layers at full resolution, from the coefficients that the colour network leaves."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastsoft._checks import as_float_array, check_int, check_number, check_shape
from fastsoft._native import cpu

__all__ = ["unmix_alphas", "unmix_colors"]

# Palettes of nearly equal colours would make the distances' scale vanish.
LEAST_SCALE = 1e-3


def palette_scale(palette: Any) -> float:
    """Return the mean squared distance of palette colours (n, 3) from their nearest neighbours."""
    palette = np.asarray(palette, dtype=np.float64)
    distance = ((palette[:, None] - palette) ** 2).sum(axis=2)
    np.fill_diagonal(distance, np.inf)
    return max(float(distance.min(axis=1).mean()), LEAST_SCALE)


def palette_stiffness(palette: Any) -> float:
    """Return the largest eigenvalue of the sum of p p^T over the centred palette (n, 3)."""
    palette = np.asarray(palette, dtype=np.float64)
    return float(np.linalg.eigvalsh(np.cov(palette, rowvar=False, bias=True) * len(palette))[-1])


def unmix_alphas(
    image: Any, palette: Any, coefficients: Any, *, origin: tuple[int, int] = (0, 0), steps: int = 0, out: Any = None
) -> Any:
    """Return alphas from a palette and the coefficients A and b of an affine function of the colour.

    Parameters
    ----------
    image : ndarray, shape (H, W, 3), float32 or float64
        The photograph, or a part of it.
    palette : ndarray, shape (n, 3)
        At least two colours.
    coefficients : ndarray, shape (h, w, n, 4), dtype of `image`
        A and b of every layer, one for 2x2 pixels.
    origin : (int, int)
        Row and column, both even, of the image's first pixel in the area that the coefficients cover.
    steps : int, default 0
        Steps of projected gradient descent on the squared difference of the photograph and what the alphas compose from
        the palette.
    out : ndarray, shape (H, W, n), dtype of `image`, optional

    Returns
    -------
    ndarray, shape (H, W, n), dtype of `image`
        In [0, 1], with sum 1 up to rounding.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type, shape or range. Values are not looked at.

    Notes
    -----
    The formulas are in ``cpp/include/fastsoft/unmixing.hpp``. Coefficients of 0 give alphas from the distances to the
    palette colours; mixtures of two colours are then found exactly. Same bits for any number of threads.

    Examples
    --------
    >>> import numpy as np
    >>> from fastsoft.ops.unmixing import unmix_alphas
    >>> palette = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    >>> image = np.array([[[0.75, 0.0, 0.25], [0.0, 0.0, 1.0]]])
    >>> unmix_alphas(image, palette, np.zeros((1, 1, 2, 4))).tolist()
    [[[0.75, 0.25], [0.0, 1.0]]]
    """
    image, palette, coefficients = _check(image, palette, coefficients)
    steps = check_int(steps, "steps", low=0)
    row, col = _check_origin(origin)
    if out is None:
        out = np.empty((*image.shape[:2], len(palette)), dtype=image.dtype)
    scale, stiffness = palette_scale(palette), palette_stiffness(palette)
    check_number(stiffness, "palette's stiffness", low=0, exclusive=True)
    cpu.unmix_alphas(image, palette, coefficients, row, col, scale, stiffness, steps, out)
    return out


def unmix_colors(
    image: Any, palette: Any, alphas: Any, coefficients: Any, *, origin: tuple[int, int] = (0, 0), out: Any = None
) -> Any:
    """Return the colours of layers from their alphas and the coefficients o and g.

    Every layer has its palette colour plus the offset o; what their sum lacks to the photograph is given to the layers
    in proportion to their alphas, times the gain g.

    Parameters
    ----------
    image : ndarray, shape (H, W, 3), float32 or float64
    palette : ndarray, shape (n, 3)
    alphas : ndarray, shape (H, W, n), dtype of `image`
        In [0, 1], with sum 1.
    coefficients : ndarray, shape (h, w, n, 4), dtype of `image`
        o and g of every layer, one for 2x2 pixels.
    origin : (int, int)
        As in `unmix_alphas`.
    out : ndarray, shape (H, W, n, 3), dtype of `image`, optional

    Returns
    -------
    ndarray, shape (H, W, n, 3), dtype of `image`
        In [0, 1].

    Raises
    ------
    TypeError, ValueError
        If an argument has another type, shape or range. Values are not looked at.

    Examples
    --------
    >>> import numpy as np
    >>> from fastsoft.ops.unmixing import unmix_colors
    >>> palette = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    >>> gains = np.zeros((1, 1, 2, 4))
    >>> gains[..., 3] = 1
    >>> image, alphas = np.array([[[0.5, 0.25, 0.5]]]), np.array([[[0.5, 0.5]]])
    >>> unmix_colors(image, palette, alphas, gains).tolist()
    [[[[1.0, 0.25, 0.0], [0.0, 0.25, 1.0]]]]
    """
    image, palette, coefficients = _check(image, palette, coefficients)
    alphas = as_float_array(alphas, "alphas")
    check_shape(alphas, (*image.shape[:2], len(palette)), "alphas")
    if alphas.dtype != image.dtype:
        raise TypeError(f"alphas must have the dtype of image, {image.dtype}, got {alphas.dtype}")
    row, col = _check_origin(origin)
    if out is None:
        out = np.empty((*alphas.shape, 3), dtype=image.dtype)
    cpu.unmix_colors(image, palette, alphas, coefficients, row, col, out)
    return out


def _check(image: Any, palette: Any, coefficients: Any) -> tuple[Any, Any, Any]:
    image, coefficients = as_float_array(image, "image"), as_float_array(coefficients, "coefficients")
    check_shape(image, ("H", "W", 3), "image")
    if 0 in image.shape:
        raise ValueError(f"image must not be empty, got shape {image.shape}")
    palette = np.ascontiguousarray(palette, dtype=image.dtype)
    check_shape(palette, ("n", 3), "palette")
    if len(palette) < 2:
        raise ValueError(f"palette must hold at least 2 colours, got {len(palette)}")
    check_shape(coefficients, ("h", "w", len(palette), 4), "coefficients")
    if coefficients.dtype != image.dtype:
        raise TypeError(f"coefficients must have the dtype of image, {image.dtype}, got {coefficients.dtype}")
    return image, palette, coefficients


def _check_origin(origin: tuple[int, int]) -> tuple[int, int]:
    row, col = (check_int(value, "origin", low=0) for value in origin)
    if row % 2 or col % 2:
        raise ValueError(f"origin must be even, got ({row}, {col})")
    return row, col
