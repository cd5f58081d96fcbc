# SPDX-License-Identifier: MIT
"""Alphas and colours of layers at full resolution, from the coefficients that the colour network leaves."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastsoft._checks import as_float_array, check_int, check_number, check_shape
from fastsoft._dispatch import Place, find_place

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
    image : array, shape (H, W, 3), float32 or float64
        The photograph, or a part of it. Of NumPy, torch or CuPy, on the CPU or a CUDA device.
    palette : ndarray or tensor on the CPU, shape (n, 3)
        At least two colours.
    coefficients : array, shape (h, w, n, 4), dtype of `image`
        A and b of every layer, one for 2x2 pixels, on the device of `image`.
    origin : (int, int)
        Row and column, both even, of the image's first pixel in the area that the coefficients cover.
    steps : int, default 0
        Steps of projected gradient descent on the squared difference of the photograph and what the alphas compose from
        the palette.
    out : array, shape (H, W, n), library, device and dtype of `image`, optional

    Returns
    -------
    array, shape (H, W, n), library, device and dtype of `image`
        In [0, 1], with sum 1 up to rounding.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type, shape or range. Values are not looked at.

    Notes
    -----
    The formulas are in ``cpp/include/fastsoft/unmixing.hpp``. Coefficients of 0 give alphas from the distances to the
    palette colours; mixtures of two colours are then found exactly. Same bits for any number of threads.

    On a CUDA device the work is enqueued on the current stream of the image's library, after the palette has been
    copied there, for which the call waits.

    Examples
    --------
    >>> import numpy as np
    >>> from fastsoft.ops.unmixing import unmix_alphas
    >>> palette = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    >>> image = np.array([[[0.75, 0.0, 0.25], [0.0, 0.0, 1.0]]])
    >>> unmix_alphas(image, palette, np.zeros((1, 1, 2, 4))).tolist()
    [[[0.75, 0.25], [0.0, 1.0]]]
    """
    place = find_place(image=image, coefficients=coefficients, out=out)
    image, palette, coefficients = _check(image, palette, coefficients, place)
    steps = check_int(steps, "steps", low=0)
    row, col = _check_origin(origin)
    filled = place.empty((*image.shape[:2], len(palette)), image.dtype) if out is None else place.read(out, "out")
    scale, stiffness = palette_scale(palette), palette_stiffness(palette)
    check_number(stiffness, "palette's stiffness", low=0, exclusive=True)
    colors = place.from_host(palette)
    place.native.unmix_alphas(image, colors, coefficients, row, col, scale, stiffness, steps, filled)
    return place.result(filled) if out is None else out


def unmix_colors(
    image: Any, palette: Any, alphas: Any, coefficients: Any, *, origin: tuple[int, int] = (0, 0), out: Any = None
) -> Any:
    """Return the colours of layers from their alphas and the coefficients o and g.

    Every layer has its palette colour plus the offset o; what their sum lacks to the photograph is given to the layers
    in proportion to their alphas, times the gain g.

    Parameters
    ----------
    image : array, shape (H, W, 3), float32 or float64
        Of NumPy, torch or CuPy, on the CPU or a CUDA device; `alphas`, `coefficients` and `out` are there, too.
    palette : ndarray or tensor on the CPU, shape (n, 3)
    alphas : array, shape (H, W, n), dtype of `image`
        In [0, 1], with sum 1.
    coefficients : array, shape (h, w, n, 4), dtype of `image`
        o and g of every layer, one for 2x2 pixels.
    origin : (int, int)
        As in `unmix_alphas`.
    out : array, shape (H, W, n, 3), library, device and dtype of `image`, optional

    Returns
    -------
    array, shape (H, W, n, 3), library, device and dtype of `image`
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
    place = find_place(image=image, alphas=alphas, coefficients=coefficients, out=out)
    image, palette, coefficients = _check(image, palette, coefficients, place)
    alphas = as_float_array(alphas, "alphas", place)
    check_shape(alphas, (*image.shape[:2], len(palette)), "alphas")
    if alphas.dtype != image.dtype:
        raise TypeError(f"alphas must have the dtype of image, {image.dtype}, got {alphas.dtype}")
    row, col = _check_origin(origin)
    filled = place.empty((*alphas.shape, 3), image.dtype) if out is None else place.read(out, "out")
    place.native.unmix_colors(image, place.from_host(palette), alphas, coefficients, row, col, filled)
    return place.result(filled) if out is None else out


def _check(image: Any, palette: Any, coefficients: Any, place: Place) -> tuple[Any, Any, Any]:
    image, coefficients = as_float_array(image, "image", place), as_float_array(coefficients, "coefficients", place)
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
