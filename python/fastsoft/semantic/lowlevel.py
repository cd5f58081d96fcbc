# SPDX-License-Identifier: MIT
"""Features without a network: what can be seen around a pixel."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastsoft._arrays import as_array, like, namespace
from fastsoft._checks import check_image
from fastsoft._device import cast
from fastsoft._dispatch import find_place

__all__ = ["lowlevel_features"]

# Pixels that are converted to CIELAB at a time: what is in between stays in the CPU's cache, and small on a device.
_PORTION = {"numpy": 1 << 16, "torch": 1 << 20}

# Linear RGB to XYZ relative to the white point D65, IEC 61966-2-1 primaries.
_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
_XYZ /= _XYZ.sum(axis=1, keepdims=True)


def lowlevel_features(image: Any) -> Any:
    """Describe every pixel by its colour, the texture around it and its position.

    Parameters
    ----------
    image : array, shape (H, W, 3), float32 or float64
        RGB in [0, 1], sRGB. Of NumPy, or of torch or CuPy on a CUDA device, where the features are computed, too.

    Returns
    -------
    array, shape (H, W, 8), float32
        Three channels of colour (CIELAB, D65), three of texture (square root of the local contrast of lightness at
        three scales), two of position (row and column). Every group has mean 0 and a total standard deviation
        of 1 (colour), 0.15 (texture) and 0.2 (position); faint differences are not blown up beyond that of one
        CIELAB unit. Of the library of `image`.

    Raises
    ------
    TypeError, ValueError
        If `image` is not as above.

    Notes
    -----
    No learned knowledge: what shares colour and texture is taken for one object. The scales of texture follow the
    image, the finest being 1/400 of its shorter side, so that a photograph has the same features at any size.

    References
    ----------
    .. [1] CIE 015:2018, "Colorimetry", 4th edition. :doi:`10.25039/TR.015.2018`

    Examples
    --------
    >>> import numpy as np
    >>> from fastsoft.semantic import lowlevel_features
    >>> lowlevel_features(np.zeros((6, 8, 3))).shape
    (6, 8, 8)
    """
    pixels = as_array(check_image(image, place=find_place(image=image)))
    height, width, _ = pixels.shape
    xp = namespace(pixels)
    lab = _cielab(pixels)
    scale = max(1.0, min(height, width) / 400)
    texture = xp.stack([xp.sqrt(_local_contrast(lab[:, :, 0], 2.0**k * scale)) for k in range(3)], 2)
    groups = _standardise(lab, 1.0, 1.0), _standardise(texture, 0.15, 1.0), _position(lab)
    return like(xp.concatenate([cast(group, np.float32) for group in groups], 2), image)


def _standardise(values: Any, weight: float, least: float) -> Any:
    """Bring a group of channels to mean 0 and total standard deviation `weight`, as if it were `least` at least."""
    centred = values - values.mean(axis=(0, 1))
    # One channel at a time, as squares of all take memory.
    variance = sum(float((centred[:, :, k] ** 2).mean()) for k in range(centred.shape[2]))
    centred *= weight / max(math.sqrt(variance), least)
    return centred


def _position(like_this: Any) -> Any:
    """Return rows and columns of the pixels of an array (H, W, C)."""
    xp = namespace(like_this)
    height, width, _ = like_this.shape
    out = xp.empty_like(like_this[:, :, :2])
    row, col = (0.2 * math.sqrt(6) * ((np.arange(extent) + 0.5) / extent - 0.5) for extent in (height, width))
    out[:, :, 0] = _beside(row, like_this)[:, None]
    out[:, :, 1] = _beside(col, like_this)
    return out


def _cielab(image: Any) -> Any:
    """Convert sRGB in [0, 1] to CIELAB (D65), float64."""
    xp = namespace(image)
    matrix = _beside(_XYZ, image)
    lab = xp.empty_like(image, dtype=xp.float64)
    rows = max(1, _PORTION[xp.__name__] // image.shape[1])
    for row in range(0, image.shape[0], rows):
        rgb = cast(image[row : row + rows], np.float64)
        linear = xp.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        xyz = xp.einsum("hwc,kc->hwk", linear, matrix)
        root = np.cbrt(xyz) if xp is np else xyz ** (1 / 3)
        f = xp.where(xyz > (6 / 29) ** 3, root, xyz * (29 / 6) ** 2 / 3 + 4 / 29)
        lab[row : row + rows, :, 0] = 116 * f[:, :, 1] - 16
        lab[row : row + rows, :, 1] = 500 * (f[:, :, 0] - f[:, :, 1])
        lab[row : row + rows, :, 2] = 200 * (f[:, :, 1] - f[:, :, 2])
    return lab


def _local_contrast(lightness: Any, sigma: float) -> Any:
    """Return the standard deviation of lightness around a pixel, of what is coarser than sigma / 2."""
    smooth = _blur(lightness, sigma / 2)
    mean = _blur(smooth, 2 * sigma)
    # Means of squares are not negative, but for what the CPU's running sums round.
    return _blur((smooth - mean) ** 2, 2 * sigma).clip(min=0) ** 0.5


def _blur(values: Any, sigma: float) -> Any:
    """Smooth by three box filters, whose variances add up to sigma squared; pixels of the border continue beyond it."""
    size = 2 * round((math.sqrt(4 * sigma**2 + 1) - 1) / 2) + 1
    for _ in range(3):
        values = _box_mean(values, size)
    return values


def _box_mean(values: Any, size: int) -> Any:
    if isinstance(values, np.ndarray):
        from scipy import ndimage

        return ndimage.uniform_filter(values, size, mode="nearest")
    from fastsoft import network_device

    return network_device.box_mean(values, size)


def _beside(values: Any, array: Any) -> Any:
    """Return a NumPy array where another array is."""
    xp = namespace(array)
    return values if xp is np else xp.asarray(values, device=array.device)
