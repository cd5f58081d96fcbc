# SPDX-License-Identifier: MIT
"""Principal component analysis of the pixels of a picture, or of any points."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastsoft._checks import as_float_array, check_finite, check_int, check_number
from fastsoft._native import cpu

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["PcaResult", "principal_components"]


@dataclass(frozen=True, eq=False)
class PcaResult:
    """Principal components found by `principal_components`.

    Attributes
    ----------
    scores : ndarray, shape (N, n) or (H, W, n), dtype of the values
        Coordinates in the basis, ``(values - mean) @ basis``.
    mean : ndarray, shape (C,), float64
        Mean of the values, after clipping.
    basis : ndarray, shape (C, n), float64
        Directions as orthonormal columns, by descending variance.
    variances : ndarray, shape (n,), float64
        Variances of the scores: the largest eigenvalues of the covariance, whose sums are divided by N.
    total_variance : float
        Sum over all C components.
    low, high : ndarray, shape (n,), float64
        Least and greatest score of each component.
    """

    scores: Any
    mean: NDArray[np.float64]
    basis: NDArray[np.float64]
    variances: NDArray[np.float64]
    total_variance: float
    low: NDArray[np.float64]
    high: NDArray[np.float64]


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
    values : ndarray, shape (N, C) or (H, W, C), float32 or float64
        A vector of C channels for every point or pixel.
    n_components : int, default 3
        Number of components n, 1 to C.
    clip : float, optional
        Cut the values to [-clip, clip] as they are read, above 0.
    progress : callable, optional
        Called with the fraction done; an exception it raises ends the operation.

    Returns
    -------
    PcaResult
        Scores, and what they come from.

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
    values = as_float_array(values, "values")
    if values.ndim not in (2, 3):
        raise ValueError(f"values must have shape (N, C) or (H, W, C), got {values.shape}")
    if values.size == 0:
        raise ValueError(f"values must not be empty, got shape {values.shape}")
    channels = values.shape[-1]
    n = check_int(n_components, "n_components", low=1, high=channels)
    limit = math.inf if clip is None else check_number(clip, "clip", low=0.0, exclusive=True)
    scores = np.empty((*values.shape[:-1], n), dtype=values.dtype)
    mean, basis = np.empty(channels), np.empty((channels, n))
    variances, low, high = np.empty(n), np.empty(n), np.empty(n)
    pixels = values if values.ndim == 3 else values[None]
    finite, total = cpu.principal_components(pixels, limit, scores, mean, basis, variances, low, high, progress)
    if not finite:
        check_finite(values, "values")
    if not math.isfinite(total):
        largest = max(abs(float(values.min())), abs(float(values.max())))
        raise ValueError(f"values must be so small that their squares can be summed, got magnitudes up to {largest:g}")
    return PcaResult(scores, mean, basis, variances, total, low, high)
