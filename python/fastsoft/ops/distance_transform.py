# SPDX-License-Identifier: MIT
"""Exact Euclidean distance transform."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from fastsoft._checks import MAX_PIXELS
from fastsoft._dispatch import DeviceArray, find_place

__all__ = ["distance_transform"]


def distance_transform(mask: Any) -> Any:
    """Euclidean distance of every pixel to the nearest pixel of a set, exact.

    Parameters
    ----------
    mask : array, shape (H, W), bool
        True at the pixels of the set. Of NumPy or torch on the CPU, or of CuPy or torch on a CUDA device; any strides.

    Returns
    -------
    array, shape (H, W), float64, library and device of `mask`
        Distance in pixels, 0 in the set; infinite everywhere if the set is empty. It is the correctly rounded root of
        an integer: comparing it with an integer radius is exact.

    Raises
    ------
    TypeError
        If `mask` is not boolean.
    ValueError
        If `mask` has another shape or is empty.

    Notes
    -----
    Linear in the number of pixels; 4 bytes per pixel of workspace. SciPy's ``distance_transform_edt`` of the inverted
    mask gives the same. The result has the same bits for any number of threads, and on a CUDA device.

    On a device the work is enqueued on the current stream of the library of `mask`; the call does not wait for it.
    Memory beyond input and output is 8 bytes per pixel, and 8 for each 32 of them.

    References
    ----------
    .. [1] A. Meijster, J. B. T. M. Roerdink, W. H. Hesselink, "A general algorithm for computing distance transforms in
       linear time", Mathematical Morphology and its Applications to Image and Signal Processing, Springer, 2000.
       :doi:`10.1007/0-306-47025-X_36`

    Examples
    --------
    >>> import numpy as np
    >>> import fastsoft
    >>> mask = np.zeros((3, 4), dtype=bool)
    >>> mask[0, 0] = True
    >>> fastsoft.distance_transform(mask).round(3).tolist()
    [[0.0, 1.0, 2.0, 3.0], [1.0, 1.414, 2.236, 3.162], [2.0, 2.236, 2.828, 3.606]]
    """
    place = find_place(mask=mask)
    mask = place.read(mask, "mask")
    if mask.dtype != np.bool_:
        raise TypeError(f"mask must have dtype bool, got {mask.dtype}")
    if mask.ndim != 2:
        raise ValueError(f"mask must have shape (H, W), got {mask.shape}")
    if not 0 < mask.size <= MAX_PIXELS:
        raise ValueError(f"mask must have 1 to {MAX_PIXELS} pixels, got shape {mask.shape}")
    out = place.empty(mask.shape, np.float64)
    set_: Any
    if isinstance(mask, DeviceArray):
        set_ = replace(mask, dtype=np.dtype(np.uint8))
    else:
        set_ = np.ascontiguousarray(mask).view(np.uint8)
    place.native.distance_transform(set_, out)
    return place.result(out)
