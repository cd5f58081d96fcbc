# SPDX-License-Identifier: MIT
"""Trimaps: what is known to be foreground, what background, and what is to be found out."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastsoft._checks import check_alpha, check_finite, check_image, check_number, check_shape
from fastsoft.ops.distance_transform import distance_transform

__all__ = [
    "BACKGROUND",
    "FOREGROUND",
    "UNKNOWN",
    "check_trimap",
    "scribble_masks",
    "trimap_from_alpha",
    "trimap_from_mask",
    "trimap_from_scribbles",
]

BACKGROUND, UNKNOWN, FOREGROUND = 0, 128, 255

# As in PyMatting, both ends inclusive: the values that JPEG files and resampling leave around 0 and 1 still count.
BACKGROUND_UP_TO = 0.1
FOREGROUND_FROM = 0.9


def trimap_values(trimap: Any, shape: tuple[int, ...] | None = None, name: str = "trimap") -> Any:
    """Check a trimap and return its values as floats in [0, 1], of its own dtype if that is a floating-point one."""
    array = np.asarray(trimap)
    if array.dtype == np.bool_:
        raise TypeError(f"{name} must have dtype uint8, float32 or float64, got bool (trimap_from_mask makes one)")
    if array.dtype != np.uint8 and array.dtype.type not in (np.float32, np.float64):
        raise TypeError(f"{name} must have dtype uint8, float32 or float64, got {array.dtype}")
    if array.ndim != 2:
        raise ValueError(f"{name} must have shape (H, W), got {array.shape}")
    if array.size == 0:
        raise ValueError(f"{name} must not be empty, got shape {array.shape}")
    if shape is not None and array.shape != tuple(shape[:2]):
        raise ValueError(
            f"{name} must have the size of the image, {shape[0]}x{shape[1]}, got {array.shape[0]}x{array.shape[1]}"
        )
    if array.dtype == np.uint8:
        return array / 255.0
    check_finite(array, name)
    low, high = float(array.min()), float(array.max())
    if low < 0 or high > 1:
        raise ValueError(f"{name} must lie in [0, 1] (or be uint8, 0..255), got values in [{low:g}, {high:g}]")
    return array


def check_trimap(trimap: Any, shape: tuple[int, ...] | None = None, name: str = "trimap") -> Any:
    """Check a trimap and bring it into the form 0, 128, 255.

    Parameters
    ----------
    trimap : ndarray, shape (H, W), uint8 or float32 or float64 in [0, 1]
        Values up to 0.1 (25 of 255) are known background, values from 0.9 (230 of 255) on known foreground, all others
        unknown: the thresholds of PyMatting, so that what compression or resampling has blurred can be used.
    shape : tuple of int, optional
        Shape that the trimap must have; of more than two numbers the first two count, so that the shape of an image can
        be given.
    name : str, default "trimap"
        How messages call the argument.

    Returns
    -------
    ndarray, shape (H, W), uint8
        0 background, 128 unknown, 255 foreground; a new array.

    Raises
    ------
    TypeError
        If the dtype is another one. A boolean array is a mask and says nothing about what is unknown.
    ValueError
        If the shape is another one, or values are not finite or outside [0, 1].

    Examples
    --------
    >>> import numpy as np
    >>> import fastsoft
    >>> fastsoft.check_trimap(np.array([[0.0, 0.1, 0.5, 0.89, 0.95, 1.0]])).tolist()
    [[0, 0, 128, 128, 255, 255]]
    """
    values = trimap_values(trimap, shape, name)
    out = np.full(values.shape, UNKNOWN, dtype=np.uint8)
    out[values <= BACKGROUND_UP_TO] = BACKGROUND
    out[values >= FOREGROUND_FROM] = FOREGROUND
    return out


def trimap_from_alpha(alpha: Any, *, outer: float = 10.0, inner: float = 10.0, hard_edges: bool = True) -> Any:
    """Make a trimap from an alpha: unknown is what is mixed, and a band around it.

    Parameters
    ----------
    alpha : ndarray, shape (H, W), float32 or float64, range [0, 1]
        Pixels of exactly 0 or 1 are known if they are far enough from others.
    outer, inner : float, default 10
        Width of the unknown band in pixels, on the transparent and on the opaque side. Distances are Euclidean and
        exact; a pixel at this distance still belongs to the band.
    hard_edges : bool, default True
        Whether a place where opaque and transparent pixels meet also gets a band. False: distances are those to the
        nearest pixel between 0 and 1 alone, as LSA matting [1]_ makes trimaps in training.

    Returns
    -------
    ndarray, shape (H, W), uint8
        0 background, 128 unknown, 255 foreground. Without a pixel between 0 and 1, and without an edge, nothing is
        unknown.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or range.

    References
    ----------
    .. [1] R. Wang, J. Xie, J. Han, D. Qi, "Improving deep image matting via local smoothness assumption", ICME 2022.
       :doi:`10.48550/arXiv.2112.13809`

    Examples
    --------
    >>> import numpy as np
    >>> import fastsoft
    >>> alpha = np.array([[0.0, 0.0, 0.0, 0.4, 1.0, 1.0, 1.0]])
    >>> fastsoft.trimap_from_alpha(alpha, outer=2, inner=1).tolist()
    [[0, 128, 128, 128, 128, 255, 255]]
    """
    alpha = check_alpha(alpha, "alpha")
    outer = check_number(outer, "outer", low=0.0)
    inner = check_number(inner, "inner", low=0.0)
    opaque = alpha >= 1
    transparent = alpha <= 0
    if hard_edges:
        to_other_outside = distance_transform(~transparent)
        to_other_inside = distance_transform(~opaque)
    else:
        to_other_outside = to_other_inside = distance_transform(~(opaque | transparent))
    out = np.full(alpha.shape, UNKNOWN, dtype=np.uint8)
    out[transparent & (to_other_outside > outer)] = BACKGROUND
    out[opaque & (to_other_inside > inner)] = FOREGROUND
    return out


def trimap_from_mask(mask: Any, *, outer: float = 10.0, inner: float = 10.0) -> Any:
    """Make a trimap from a mask: unknown is a band along its border.

    Parameters
    ----------
    mask : ndarray, shape (H, W), bool, or float32 or float64 in [0, 1]
        The foreground. Of a floating-point mask, the pixels from 0.5 on.
    outer, inner : float, default 10
        Width of the unknown band in pixels, outside and inside the mask: known are pixels whose distance to the nearest
        pixel of the other kind is larger.

    Returns
    -------
    ndarray, shape (H, W), uint8
        0 background, 128 unknown, 255 foreground. A mask that is all True or all False has no unknown pixels.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or range.

    Examples
    --------
    >>> import numpy as np
    >>> import fastsoft
    >>> mask = np.array([[False, False, False, True, True, True]])
    >>> fastsoft.trimap_from_mask(mask, outer=2, inner=1).tolist()
    [[0, 128, 128, 128, 255, 255]]
    """
    array = np.asarray(mask)
    if array.dtype != np.bool_:
        array = check_alpha(array, "mask") >= 0.5
    if array.ndim != 2:
        raise ValueError(f"mask must have shape (H, W), got {array.shape}")
    if array.size == 0:
        raise ValueError(f"mask must not be empty, got shape {array.shape}")
    return trimap_from_alpha(array.astype(np.float32), outer=outer, inner=inner)


def trimap_from_scribbles(foreground: Any, background: Any) -> Any:
    """Make a trimap from strokes: what is not under a stroke is unknown.

    Parameters
    ----------
    foreground, background : ndarray, shape (H, W), bool
        Pixels under the strokes of either kind; `scribble_masks` finds them in a painted picture.

    Returns
    -------
    ndarray, shape (H, W), uint8
        0 background, 128 unknown, 255 foreground.

    Raises
    ------
    TypeError
        If a mask is not boolean.
    ValueError
        If shapes differ, or a pixel is under strokes of both kinds.

    Examples
    --------
    >>> import numpy as np
    >>> import fastsoft
    >>> inside = np.array([[True, False, False, False]])
    >>> outside = np.array([[False, False, False, True]])
    >>> fastsoft.trimap_from_scribbles(inside, outside).tolist()
    [[255, 128, 128, 0]]
    """
    foreground, background = np.asarray(foreground), np.asarray(background)
    for name, mask in (("foreground", foreground), ("background", background)):
        if mask.dtype != np.bool_:
            raise TypeError(f"{name} must have dtype bool, got {mask.dtype}")
        if mask.ndim != 2 or mask.size == 0:
            raise ValueError(f"{name} must have shape (H, W) and not be empty, got {mask.shape}")
    check_shape(background, foreground.shape, "background")
    both = int(np.count_nonzero(foreground & background))
    if both:
        raise ValueError(f"foreground and background must not overlap, got {both} pixels in both")
    out = np.full(foreground.shape, UNKNOWN, dtype=np.uint8)
    out[background] = BACKGROUND
    out[foreground] = FOREGROUND
    return out


def scribble_masks(image: Any, painted: Any, *, threshold: float = 0.1) -> tuple[Any, Any]:
    """Find the white and black strokes that were painted on a copy of an image.

    Parameters
    ----------
    image, painted : ndarray, shape (H, W, 3), float32 or float64, range [0, 1]
        The image, and a copy with strokes: white on the foreground, black on the background, as Levin's program takes
        them [1]_.
    threshold : float, default 0.1
        A channel that differs by more is painted; below lies what lossy compression of the copy changes.

    Returns
    -------
    foreground, background : ndarray, shape (H, W), bool
        Painted pixels that are at least 0.9, or at most 0.1, in every channel. Painted pixels in between (the soft rim
        of a stroke) are in neither. A stroke does not show where the image already has its colour.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or range.

    References
    ----------
    .. [1] A. Levin, D. Lischinski, Y. Weiss, "A closed-form solution to natural image matting", IEEE Transactions on
       Pattern Analysis and Machine Intelligence 30(2), 2008. :doi:`10.1109/TPAMI.2007.1177`

    Examples
    --------
    >>> import numpy as np
    >>> import fastsoft
    >>> image = np.full((1, 3, 3), 0.5)
    >>> painted = image.copy()
    >>> painted[0, 0], painted[0, 2] = 1.0, 0.0
    >>> [mask.tolist() for mask in fastsoft.scribble_masks(image, painted)]
    [[[True, False, False]], [[False, False, True]]]
    """
    image = check_image(image)
    painted = check_image(painted, "painted")
    check_shape(painted, image.shape, "painted")
    threshold = check_number(threshold, "threshold", low=0.0, high=1.0)
    changed = np.abs(painted.astype(np.float64) - image).max(axis=2) > threshold
    return (
        changed & (painted >= FOREGROUND_FROM).all(axis=2),
        changed & (painted <= BACKGROUND_UP_TO).all(axis=2),
    )
