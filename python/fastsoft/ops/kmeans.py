# SPDX-License-Identifier: MIT
"""k-means clustering."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastsoft._checks import as_float_array, check_choice, check_finite, check_int, check_shape
from fastsoft._dispatch import DeviceArray, Place, find_place
from fastsoft._native import cpu

__all__ = ["KMeansResult", "kmeans", "split_kmeans"]

_MAX_SEED = 2**64 - 1
_MAX_INT = 2**31 - 1


@dataclass(frozen=True)
class KMeansResult:
    """Clusters found by `kmeans` or `split_kmeans`.

    Attributes
    ----------
    labels : array, shape (N,), int32
        Number of the centre nearest to each point.
    centers : array, shape (K, d), dtype of the points
        Cluster centres.
    inertia : float
        Sum over the points of weight times squared distance to their centre.
    n_iterations : int
        Updates of the centres.
    converged : bool
        Whether the labels had stopped changing.
    """

    labels: Any
    centers: Any
    inertia: float
    n_iterations: int
    converged: bool


def kmeans(
    points: Any,
    n_clusters: int,
    *,
    weights: Any = None,
    seed: int = 0,
    n_init: int = 1,
    max_iterations: int = 100,
    init: Any = None,
    progress: Callable[[float], None] | None = None,
) -> KMeansResult:
    """Cluster points by Lloyd's k-means [1]_.

    Parameters
    ----------
    points : array, shape (N, d), float32 or float64
        Points to cluster. Of NumPy, torch or CuPy, on the CPU or a CUDA device.
    n_clusters : int
        Number of clusters, 1 to N.
    weights : array, shape (N,), optional
        On the device of `points`. Weights of the points, not negative, with a positive sum; 1 by default.
    seed : int, default 0
        Start of the random numbers, at least 0. The same seed gives the same bits on one machine, for any number of
        threads.
    n_init : int, default 1
        Number of random starts; the result with the least inertia is returned.
    max_iterations : int, default 100
        Most updates of the centres per start.
    init : "k-means++" or array, shape (n_clusters, d), optional
        The default, greedy k-means++ [2]_, or the centres to start from (once: `n_init` must be 1).
    progress : callable, optional
        Called with the fraction done; an exception it raises ends the operation.

    Returns
    -------
    KMeansResult
        Every point carries the number of the centre nearest to it. Labels and centres are arrays of the library of
        `points` on its device.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type, shape or range or is not finite, or arrays are not on one device.

    Notes
    -----
    Time per iteration is that of N * n_clusters distances, taken in the dtype of the points; sums over points are taken
    in float64. A cluster that runs empty takes the point farthest from its centre; only with fewer distinct points than
    clusters do clusters stay empty. Of more than 262144 points, k-means++ draws from that many, spread evenly.

    On a CUDA device the work is enqueued on the current stream of the library of `points`. The call waits to check the
    points, after seeding, and in every iteration for the sums per cluster, from which the host computes the centres.
    The same seed gives the same bits from run to run. Starts are drawn with the CPU's random numbers; sums are added
    in another order, so that a point half-way between two centres to within rounding may end in the other cluster.
    Memory beyond input and output is up to 64 MB of sums, 8 bytes per point (of at most 262144) for seeding, 4 bytes
    per point with several starts, and copies of points or weights that are not contiguous (weights: in float64).

    References
    ----------
    .. [1] S. P. Lloyd, "Least squares quantization in PCM", IEEE Transactions on Information Theory 28(2), 1982.
       :doi:`10.1109/TIT.1982.1056489`
    .. [2] D. Arthur, S. Vassilvitskii, "k-means++: the advantages of careful seeding", Proceedings of the 18th Annual
       ACM-SIAM Symposium on Discrete Algorithms, 2007. :doi:`10.5555/1283383.1283494`

    Examples
    --------
    >>> import numpy as np
    >>> import fastsoft
    >>> points = np.array([[0.0], [0.1], [5.0], [5.1], [5.2]])
    >>> result = fastsoft.kmeans(points, 2, init=np.array([[0.0], [1.0]]))
    >>> result.labels.tolist(), result.centers.round(3).tolist(), round(result.inertia, 3)
    ([0, 0, 1, 1, 1], [[0.05], [5.1]], 0.025)
    """
    given = init is not None and not isinstance(init, str)
    place = find_place(points=points, weights=weights, init=init if given else None)
    points, weights = _check_points(points, weights, place)
    n_clusters = check_int(n_clusters, "n_clusters", low=1, high=points.shape[0])
    seed = check_int(seed, "seed", low=0, high=_MAX_SEED)
    n_init = check_int(n_init, "n_init", low=1, high=_MAX_INT)
    max_iterations = check_int(max_iterations, "max_iterations", low=1, high=_MAX_INT - 1)
    centers = place.empty((n_clusters, points.shape[1]), points.dtype)
    if given:
        check_shape(as_float_array(init, "init", place), centers.shape, "init")
        given_centers = place.contiguous(init, points.dtype, "init")
        check_finite(given_centers, "init")
        if n_init != 1:
            raise ValueError(f"n_init must be 1 where init gives the centres, got {n_init}")
        place.assign(centers, given_centers)
    elif init is not None:
        check_choice(init, "init", ("k-means++",))
    labels = place.empty(points.shape[:1], np.int32)
    info = place.native.kmeans(points, weights, seed, n_init, max_iterations, given, labels, centers, progress)
    return KMeansResult(place.result(labels), place.result(centers), *info)


def split_kmeans(
    points: Any,
    n_clusters: int,
    *,
    n_start: int = 5,
    n_init: int = 7,
    refine_up_to: int = 12,
    max_samples: int = 65536,
    max_iterations: int = 100,
    seed: int = 0,
    weights: Any = None,
    progress: Callable[[float], None] | None = None,
) -> KMeansResult:
    """Cluster points by k-means into a few clusters and then by splitting these.

    The start of semantic soft segmentation in the authors' program [1]_: `n_start` clusters by k-means, then repeatedly
    a split of the cluster whose division in two lowers the error most. After each split all clusters are refined by
    k-means while there are at most `refine_up_to`.

    Parameters
    ----------
    points : ndarray, shape (N, d), float32 or float64
        Points to cluster, such as the features of an image's pixels.
    n_clusters : int
        Number of clusters, 1 to N.
    n_start : int, default 5
        Clusters to begin with, at least 1.
    n_init : int, default 7
        Starts by k-means++ that compete for them, at least 0, besides one that is itself found by splitting.
    refine_up_to : int, default 12
        Number of clusters up to which k-means follows each split.
    max_samples : int, default 65536
        Most points that take part, at least `n_clusters`; all are assigned to the nearest centre at the end. Of more
        points one is taken from each of `max_samples` equal stretches, at a fixed place in it.
    max_iterations : int, default 100
        Most iterations of each k-means.
    seed : int, default 0
        Start of the random numbers, at least 0.
    weights : ndarray, shape (N,), optional
        Weights of the points, not negative, with a positive sum; 1 by default.
    progress : callable, optional
        Called with the fraction done; an exception it raises ends the operation.

    Returns
    -------
    KMeansResult
        `n_iterations` is the total of all k-means within, `converged` whether they all did. There are fewer clusters
        than asked for where the rest cannot be split: clusters of at most 2 d (sampled) points or of one value are not.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type, shape or range or is not finite.

    Notes
    -----
    Only the first `n_start` clusters can depend on the seed, where some seeds find a better optimum than others do:
    divisions start along the principal axes of a cluster (the first three), not at random. The same seed gives the same
    bits on one machine, for any number of threads.

    References
    ----------
    .. [1] Y. Aksoy, T.-H. Oh, S. Paris, M. Pollefeys, W. Matusik, "Semantic soft segmentation", ACM Transactions on
       Graphics 37(4), 2018. :doi:`10.1145/3197517.3201275`

    Examples
    --------
    >>> import numpy as np
    >>> import fastsoft
    >>> points = np.repeat([0.0, 1.0, 4.0, 9.0], 10)[:, None]
    >>> result = fastsoft.split_kmeans(points, 3, n_start=2)
    >>> sorted(result.centers.ravel().tolist()), len(set(result.labels[:20].tolist()))
    ([0.5, 4.0, 9.0], 1)
    """
    points, weights = _check_points(points, weights, None)
    n_clusters = check_int(n_clusters, "n_clusters", low=1, high=len(points))
    n_start = check_int(n_start, "n_start", low=1)
    n_init = check_int(n_init, "n_init", low=0, high=_MAX_INT)
    refine_up_to = check_int(refine_up_to, "refine_up_to", low=0)
    max_samples = check_int(max_samples, "max_samples", low=n_clusters)
    max_iterations = check_int(max_iterations, "max_iterations", low=1, high=_MAX_INT - 1)
    seed = check_int(seed, "seed", low=0, high=_MAX_SEED)
    labels = np.empty(len(points), dtype=np.int32)
    centers = np.empty((n_clusters, points.shape[1]), dtype=points.dtype)
    # No count needs to exceed the number of points, which keeps them within native integers.
    counts = [min(count, len(points)) for count in (n_start, refine_up_to, max_samples)]
    found, inertia, n_iterations, converged = cpu.split_kmeans(
        points, weights, seed, counts[0], n_init, counts[1], counts[2], max_iterations, labels, centers, progress
    )
    return KMeansResult(labels, centers[:found], inertia, n_iterations, converged)


def _check_points(points: Any, weights: Any, place: Place | None) -> tuple[Any, Any]:
    """Return points and weights, contiguous and the latter in float64; without a place both must be on the CPU."""
    array = as_float_array(points, "points", place)
    check_shape(array, ("N", "d"), "points")
    if array.size == 0:
        raise ValueError(f"points must have shape (N, d) with both at least 1, got {array.shape}")
    points = _contiguous(points, array, array.dtype, "points", place)
    check_finite(points, "points")
    if weights is not None:
        array = as_float_array(weights, "weights", place)
        check_shape(array, points.shape[:1], "weights")
        weights = _contiguous(weights, array, np.dtype(np.float64), "weights", place)
        check_finite(weights, "weights")
        low, total = _least_and_sum(weights)
        if low < 0 or not total > 0:
            raise ValueError(
                f"weights must be at least 0 with a positive sum, got a least weight of {low:g} and a sum of {total:g}"
            )
    return points, weights


def _contiguous(value: Any, array: Any, dtype: np.dtype[Any], name: str, place: Place | None) -> Any:
    if place is None or not isinstance(array, DeviceArray):
        return np.ascontiguousarray(array, dtype=dtype)
    return place.contiguous(value, dtype, name)


def _least_and_sum(weights: Any) -> tuple[float, float]:
    if not isinstance(weights, DeviceArray):
        return float(weights.min()), float(weights.sum())
    low, high, _ = weights.value_range()
    # Whether weights that are not negative have a positive sum shows in the largest one.
    return low, high if low >= 0 else float(weights.owner.sum())
