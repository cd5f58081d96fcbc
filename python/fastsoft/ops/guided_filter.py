# SPDX-License-Identifier: MIT
"""Edge-preserving smoothing of any number of channels along the edges of a guide image."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from fastsoft._checks import check_finite, check_int, check_number, check_planes
from fastsoft._dispatch import find_place, with_channels

__all__ = ["guided_filter"]


def guided_filter(
    guide: Any,
    source: Any,
    *,
    radius: int = 5,
    epsilon: float = 1e-2,
    clip: float | None = None,
    progress: Callable[[float], None] | None = None,
) -> Any:
    """Filter channels so that their edges follow those of a guide image.

    In every window the output is an affine function of the guide's grey value or colour; each pixel averages the
    functions of the windows that contain it.

    Parameters
    ----------
    guide : array, shape (H, W) or (H, W, 3), float32 or float64
        Grey or colour guide, on the device of `source`.
    source : array, shape (H, W) or (H, W, C), dtype of `guide`
        What to filter, any number of channels. Of NumPy, torch or CuPy, on the CPU or a CUDA device.
    radius : int, default 5
        Windows have ``(2 * radius + 1) ** 2`` pixels and are cut at the border: means are over the pixels that
        exist. 0 leaves the source as it is.
    epsilon : float, default 1e-2
        Regularisation in squared units of the guide, above 0: variation of the guide well below
        ``sqrt(epsilon)`` is smoothed over, well above it is kept. The default is that of [2]_ for a guide in
        [0, 1].
    clip : float, optional
        Cut the source to [-clip, clip] as it is read, above 0: the same as filtering ``source.clip(-clip, clip)``, but
        without that copy.
    progress : callable, optional
        Called with the fraction done; an exception raised in it ends the operation.

    Returns
    -------
    array, shape, library, device and dtype of `source`

    Raises
    ------
    TypeError
        If an array has another dtype, the two differ, or they are not on one device.
    ValueError
        If the shapes do not fit, an array is empty or holds NaN or infinity, or a parameter is out of range.

    Notes
    -----
    Time is bounded whatever the radius: a large one costs at most four times as much as a small one. The guide's
    statistics are computed once, in float64, whatever the number of channels. Memory beyond input and output is a
    few megabytes per thread for radii up to 32, and about ``2000 * radius**2`` bytes per thread above.

    Window sums never subtract, so float32 results stay within a few float32 roundings of exact window sums
    however large the picture is. The result has the same bits for any number of threads.

    On a CUDA device the work is enqueued on the current stream of the library of `source`; the call waits for it, since
    it tells whether the source was finite. Memory beyond input and output, per pixel and with a colour guide: 184 bytes
    in float32 and 224 in float64 for the guide's statistics, most of which is free again before up to 256 MB (or what
    one channel takes, 32 or 64 bytes per pixel) hold channels on their way.

    References
    ----------
    .. [1] K. He, J. Sun, X. Tang, "Guided Image Filtering", IEEE Transactions on Pattern Analysis and Machine
       Intelligence 35(6), 2013. :doi:`10.1109/TPAMI.2012.213`
    .. [2] Y. Aksoy et al., "Semantic Soft Segmentation", ACM Transactions on Graphics 37(4), 2018.
       :doi:`10.1145/3197517.3201275`

    Examples
    --------
    The guide's step survives; the noise, which is not in the guide, does not.

    >>> import numpy as np
    >>> import fastsoft
    >>> guide = np.repeat([[0.0] * 20 + [1.0] * 20], 30, axis=0)
    >>> noisy = guide + 0.1 * np.random.default_rng(0).standard_normal(guide.shape)
    >>> smooth = fastsoft.guided_filter(guide, noisy, radius=4, epsilon=1e-3)
    >>> bool(abs(smooth - guide).max() < 0.06), bool(abs(noisy - guide).max() > 0.3)
    (True, True)
    """
    place = find_place(source=source, guide=guide)
    source = check_planes(source, "source", finite=False, place=place)
    guide = check_planes(guide, "guide", place=place)
    if guide.ndim == 3 and guide.shape[2] != 3:
        raise ValueError(f"guide must have shape (H, W) or (H, W, 3), got {guide.shape}")
    if guide.dtype != source.dtype:
        raise TypeError(f"guide must have the dtype of source, {source.dtype}, got {guide.dtype}")
    if guide.shape[:2] != source.shape[:2]:
        raise ValueError(f"guide must have the height and width of source, {source.shape[:2]}, got {guide.shape[:2]}")
    radius = check_int(radius, "radius", low=0)
    epsilon = check_number(epsilon, "epsilon", low=0.0, exclusive=True)
    clip = math.inf if clip is None else check_number(clip, "clip", low=0.0, exclusive=True)
    out = place.empty(source.shape, source.dtype)
    guide, channels, filled = map(with_channels, (guide, source, out))
    radius = min(radius, max(source.shape[:2]))
    # Native code notices values that are not finite on its way; looking for them first would read the source twice.
    if not place.native.guided_filter(guide, channels, filled, radius, epsilon, clip, progress):
        check_finite(source, "source")
    return place.result(out)
