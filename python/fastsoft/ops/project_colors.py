# SPDX-License-Identifier: MIT
"""The smallest change of layer colours after which the layers recompose the photograph exactly."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fastsoft._checks import as_float_array, check_finite, check_image, check_shape
from fastsoft._dispatch import DeviceArray, Place, find_place

__all__ = ["project_colors"]


def project_colors(alphas: Any, colors: Any, image: Any, *, out: Any = None) -> Any:
    """Change the colours of layers as little as possible so that the layers recompose the photograph exactly.

    At every pixel the sum over the layers of alpha times colour becomes the photograph's colour, with all colours in
    [0, 1]: the colour and the box constraint of [1]_. Of all colours that fulfil both, those with the least sum of
    squared changes are taken. They always exist: the photograph itself is one such choice.

    Parameters
    ----------
    alphas : array, shape (H, W, n), float32 or float64
        In [0, 1], summing to 1 at every pixel. Of NumPy, torch or CuPy, on the CPU or a CUDA device.
    colors : array, shape (H, W, n, 3), dtype of `alphas`
        In [0, 1], on the device of `alphas`.
    image : array, shape (H, W, 3), dtype of `alphas`
        In [0, 1], on the device of `alphas`.
    out : array, shape and dtype of `colors`, optional
        Receives the result; may be `colors`, which saves its memory. Of the library of `alphas`.

    Returns
    -------
    array, shape (H, W, n, 3), library, device and dtype of `alphas`
        In [0, 1]. The recomposition differs from the image by a few roundings, and by what the alphas lack to the sum
        of 1.

    Raises
    ------
    TypeError
        If an array has another dtype, or the arrays are not on one device.
    ValueError
        If shapes do not fit, or values are out of range or not finite.

    Notes
    -----
    In every channel the colours move in proportion to their alphas, and those that meet 0 or 1 stay there; the
    factor is found in at most n rounds. Time is that of reading and writing the arrays once or a little more; memory
    beyond them is a few kilobytes per thread. Same bits for any number of threads.

    On a CUDA device a thread works on each pixel, fastest where the pixels of a layer are beside each other. The work
    is enqueued on the current stream of the library of `alphas`; the call waits for it, to tell of values out of range.

    References
    ----------
    .. [1] Y. Aksoy, T. O. Aydın, A. Smolić, M. Pollefeys, "Unmixing-Based Soft Color Segmentation for Image
       Manipulation", ACM Transactions on Graphics 36(2), 2017. :doi:`10.1145/3002176`

    Examples
    --------
    >>> import numpy as np
    >>> import fastsoft
    >>> alphas = np.array([[[0.5, 0.5]]])
    >>> colors = np.array([[[[0.9, 0.2, 0.5], [0.7, 0.2, 0.5]]]])
    >>> image = np.array([[[0.9, 0.1, 0.5]]])
    >>> fastsoft.project_colors(alphas, colors, image).round(6).tolist()
    [[[[1.0, 0.1, 0.5], [0.8, 0.1, 0.5]]]]
    """
    place = find_place(alphas=alphas, colors=colors, image=image, out=out)
    alphas = as_float_array(alphas, "alphas", place)
    check_shape(alphas, ("H", "W", "n"), "alphas")
    if 0 in alphas.shape:
        raise ValueError(f"alphas must not be empty, got shape {alphas.shape}")
    height, width, n = alphas.shape
    colors, image = as_float_array(colors, "colors", place), as_float_array(image, "image", place)
    check_shape(colors, (height, width, n, 3), "colors")
    check_shape(image, (height, width, 3), "image")
    for array, name in ((colors, "colors"), (image, "image")):
        if array.dtype != alphas.dtype:
            raise TypeError(f"{name} must have the dtype of alphas, {alphas.dtype}, got {array.dtype}")
    if out is None:
        filled = place.empty_like(colors)
        out = place.result(filled)
    else:
        filled = place.read(out, "out") if hasattr(out, "dtype") else None
        if filled is None or filled.shape != colors.shape or filled.dtype != colors.dtype:
            raise ValueError("out must be an array with the shape and dtype of colors")
    # Native code notices what is out of range on its way; which message it deserves is found out afterwards.
    fault = place.native.project_colors(alphas, colors, image, filled)
    if fault:
        _explain(fault, alphas, colors, image, place)
    return out


def _explain(fault: int, alphas: Any, colors: Any, image: Any, place: Place) -> None:
    from fastsoft.layers.simplex import check_alphas

    if fault == 1:
        check_alphas(place.result(alphas))
    elif fault == 2:
        channels = [_channel(colors, k) for k in range(3)]
        for channel in channels:
            check_finite(channel, "colors")
        low, high = min(_range(channel)[0] for channel in channels), max(_range(channel)[1] for channel in channels)
        raise ValueError(f"colors must lie in [0, 1], got values in [{low:g}, {high:g}]")
    check_image(place.result(image), place=place)
    raise ValueError("alphas, colors and image must lie in [0, 1], got other values")


def _channel(colors: Any, k: int) -> Any:
    if isinstance(colors, DeviceArray):
        pointer = colors.pointer + k * colors.strides[3] * colors.dtype.itemsize
        return replace(colors, pointer=pointer, shape=colors.shape[:3], strides=colors.strides[:3])
    return colors[..., k]


def _range(values: Any) -> tuple[float, float]:
    if isinstance(values, DeviceArray):
        return values.value_range()[:2]
    return float(values.min()), float(values.max())
