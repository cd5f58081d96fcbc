# SPDX-License-Identifier: MIT
"""Principal component analysis of the pixels of a picture, or of any points."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fastsoft._checks import as_float_array, check_finite, check_int, check_number
from fastsoft._dispatch import DeviceArray, find_place

__all__ = ["PcaResult", "principal_components"]


@dataclass(frozen=True, eq=False)
class PcaResult:
    """Principal components found by `principal_components`.

    Attributes
    ----------
    scores : array, shape (N, n) or (H, W, n), dtype of the values
        Coordinates in the basis, ``(values - mean) @ basis``.
    mean : array, shape (C,), float64
        Mean of the values, after clipping.
    basis : array, shape (C, n), float64
        Directions as orthonormal columns, by descending variance.
    variances : array, shape (n,), float64
        Variances of the scores: the largest eigenvalues of the covariance, whose sums are divided by N.
    total_variance : float
        Sum over all C components.
    low, high : array, shape (n,), float64
        Least and greatest score of each component.
    """

    scores: Any
    mean: Any
    basis: Any
    variances: Any
    total_variance: float
    low: Any
    high: Any


def principal_components(
    values: Any,
    n_components: int = 3,
    *,
    clip: float | None = None,
    progress: Callable[[float], None] | None = None,
) -> PcaResult:
    """Reduce pixels or points to their principal components [1]_.

    Parameters
    ----------
    values : array, shape (N, C) or (H, W, C), float32 or float64
        A vector of C channels for every point or pixel. Of NumPy, torch or CuPy, on the CPU or a CUDA device.
    n_components : int, default 3
        Number of components n, 1 to C.
    clip : float, optional
        Cut the values to [-clip, clip] as they are read, above 0.
    progress : callable, optional
        Called with the fraction done; an exception it raises ends the operation.

    Returns
    -------
    PcaResult
        Scores, and what they come from, as arrays of the library of `values` on its device.

    Raises
    ------
    TypeError
        If an argument has another type or dtype.
    ValueError
        If `values` has another shape, is empty, holds NaN or infinity or numbers whose squares overflow float64, or if
        `n_components` or `clip` is out of range.

    Notes
    -----
    In each direction the loading of largest magnitude is positive; of several within one millionth of each other the
    first. Components whose variance is at most ``C * 2.2e-16`` of the largest cannot be told from rounding: they get
    variance 0 and scores 0, and as direction the unit vector of the channel that lies farthest from the directions
    before it, made orthogonal to them. A constant input so has the first n unit vectors. The directions of a variance
    that occurs several times are an arbitrary basis of the space that they span.

    Means, covariance and scores are computed in float64 for both dtypes, about the mean, which may therefore be
    far from zero. Time is O(N C^2 + C^3); the values are read twice where they lie, whatever their strides, and memory
    beyond the result is a few megabytes for up to 300 channels, above it ``16 * C**2`` bytes per thread. The result has
    the same bits for any number of threads.

    On a CUDA device the work is enqueued on the current stream of the library of `values`. The call waits once, for the
    covariance, whose eigenvectors are computed on the host; scores and ranges may still be on their way when it returns.
    The values are read three times. Memory beyond the result is about 20 MB for up to 1500 channels, above it
    ``16 * C**2`` bytes. Results have the same bits from run to run, and differ from the CPU's by rounding.

    References
    ----------
    .. [1] H. Hotelling, "Analysis of a complex of statistical variables into principal components", Journal of
       Educational Psychology 24(6), 1933. :doi:`10.1037/h0071325`
    .. [2] T. F. Chan, G. H. Golub, R. J. LeVeque, "Algorithms for computing the sample variance: analysis and
       recommendations", The American Statistician 37(3), 1983. :doi:`10.1080/00031305.1983.10483115`

    Examples
    --------
    >>> import numpy as np
    >>> import fastsoft
    >>> line = np.array([[1.0, 2.0], [2.0, 4.0], [4.0, 8.0], [5.0, 10.0]])
    >>> result = fastsoft.principal_components(line, 1)
    >>> (result.basis.ravel() * 5**0.5).round(6).tolist(), result.mean.tolist()
    ([1.0, 2.0], [3.0, 6.0])
    >>> (result.scores.ravel() / 5**0.5).round(6).tolist()
    [-2.0, -1.0, 1.0, 2.0]
    """
    place = find_place(values=values)
    values = as_float_array(values, "values", place)
    if values.ndim not in (2, 3):
        raise ValueError(f"values must have shape (N, C) or (H, W, C), got {values.shape}")
    if values.size == 0:
        raise ValueError(f"values must not be empty, got shape {values.shape}")
    channels = values.shape[-1]
    n = check_int(n_components, "n_components", low=1, high=channels)
    limit = math.inf if clip is None else check_number(clip, "clip", low=0.0, exclusive=True)
    scores = place.empty((*values.shape[:-1], n), values.dtype)
    mean, basis, variances, low, high = (
        place.empty(shape, np.float64) for shape in ((channels,), (channels, n), (n,), (n,), (n,))
    )
    finite, total = place.native.principal_components(
        _one_row(values), limit, scores, mean, basis, variances, low, high, progress
    )
    if not finite:
        check_finite(values, "values")
    if not math.isfinite(total):
        largest = max(map(abs, _ends(values)))
        raise ValueError(f"values must be so small that their squares can be summed, got magnitudes up to {largest:g}")
    scores, mean, basis, variances, low, high = map(place.result, (scores, mean, basis, variances, low, high))
    return PcaResult(scores, mean, basis, variances, total, low, high)


def _one_row(values: Any) -> Any:
    """Return values (N, C) as a picture of one row."""
    if values.ndim == 3:
        return values
    if isinstance(values, DeviceArray):
        return replace(values, shape=(1, *values.shape), strides=(0, *values.strides))
    return values[None]


def _ends(values: Any) -> tuple[float, float]:
    if isinstance(values, DeviceArray):
        low, high, _ = values.value_range()
        return low, high
    return float(values.min()), float(values.max())
