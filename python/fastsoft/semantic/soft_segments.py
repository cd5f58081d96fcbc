# SPDX-License-Identifier: MIT
"""Stage 5: start labels from the features, soft segments from the eigenvectors, groups of segments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastsoft._arrays import as_array, namespace, to_numpy, zeros_like
from fastsoft._checks import as_float_array, check_choice, check_finite, check_int, check_shape
from fastsoft._dispatch import find_place

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastsoft.semantic.eigenvectors import Eigenvectors

__all__ = [
    "N_ITERATIONS",
    "N_SEGMENTS",
    "Grouping",
    "SoftSegments",
    "compute_soft_segments",
    "group_segments",
    "segment_features",
    "start_labels",
]

# Pixels that are summed at a time, to keep temporaries small.
_CHUNK = 1 << 15
_TENSOR_CHUNK = 1 << 21

# Segments to start with and iterations of the sparsification, by method: the paper's for "compat". Each iteration
# amplifies what sets two photographs apart that differ in noise only, until an uncertain region goes wholly to one
# segment or another. Half the segments and a third of the iterations halve the change of the final layers
# (`python -m benchmarks.stability`), and the relaxation makes them as nearly opaque or clear in the end.
N_SEGMENTS = {"stable": 20, "compat": 40}
N_ITERATIONS = {"stable": 12, "compat": 40}

# Clusters up to which splits are followed by k-means with all centres in "stable".
_MAX_REFINED = 8


@dataclass(frozen=True, eq=False)
class Grouping:
    """Segments put together to layers.

    Attributes
    ----------
    labels : ndarray, shape (K,), int32
        The layer 0..n-1 that each segment went to.
    features : ndarray, shape (K, d), float64
        Mean feature of each segment, weighted by its alphas.
    layers : ndarray, shape (H, W, n)
        Sums of the segments of each layer.
    """

    labels: Any
    features: Any
    layers: Any


@dataclass(frozen=True, eq=False)
class SoftSegments:
    """Output of stage 5.

    Attributes
    ----------
    start_labels : ndarray, shape (H, W), int32
        Hard clusters of the features, 0..K0-1.
    segments : ndarray, shape (H, W, K)
        Soft segments within the space of the eigenvectors; they sum to 1.
    grouping : Grouping
        Their sums, one for each layer.
    """

    start_labels: Any
    segments: Any
    grouping: Grouping


def compute_soft_segments(
    features: Any,
    eigenvectors: Eigenvectors,
    *,
    n_segments: int,
    n_layers: int,
    labels: Any = None,
    n_iterations: int | None = None,
    method: str = "stable",
    exact: bool = False,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
) -> SoftSegments:
    """Run the constrained sparsification of the paper's section 3.4 and group its segments.

    Parameters
    ----------
    features : ndarray, shape (H, W, d)
        In [0, 1].
    eigenvectors : Eigenvectors
    n_segments : int
        Segments to start with; those that vanish are dropped.
    n_layers : int
        Groups. If fewer segments are left, every one becomes a layer.
    labels : ndarray, shape (H, W), int32, optional
        Hard labels 0..K0-1 to start from. Default: `start_labels` of the features.
    n_iterations : int, optional
        Default: `N_ITERATIONS` of the method.
    method : {"stable", "compat"}, default "stable"
        "compat" follows the authors' program in every part; small changes of the image or the seed then move its
        result visibly.
    exact : bool, default False
        Sum over all pixels instead of a sample of them.
    seed : int, default 0
        Of what is random, which is nothing in "stable".
    progress : callable, optional
        Called with the share that is done.

    Returns
    -------
    SoftSegments
    """
    from fastsoft.ops.sparsify import sparsify_segments

    check_choice(method, "method", ("stable", "compat"))
    height, width, _ = features.shape
    if labels is None:
        labels = start_labels(features, n_segments, method=method, seed=seed)
    share = None if progress is None else lambda fraction: progress(0.1 + 0.8 * fraction)
    if progress is not None:
        progress(0.1)
    result = sparsify_segments(
        eigenvectors.vectors,
        eigenvectors.values,
        labels,
        n_iterations=N_ITERATIONS[method] if n_iterations is None else n_iterations,
        method=method,
        exact=exact,
        grid_shape=(height, width),
        progress=share,
    )
    segments = result.segments.reshape(height, width, -1)
    grouping = group_segments(segments, features, min(n_layers, segments.shape[2]), method=method, seed=seed)
    if progress is not None:
        progress(1.0)
    return SoftSegments(labels, segments, grouping)


def start_labels(features: Any, n_clusters: int, *, method: str = "stable", seed: int = 0) -> Any:
    """Cluster the pixels by their features.

    Parameters
    ----------
    features : ndarray, shape (H, W, d), float32 or float64
    n_clusters : int
        At least 1. Fewer come out if there are fewer different features.
    method : {"stable", "compat"}, default "stable"
        "stable" starts from one cluster and splits where that lowers the error most; there is no chance in it, and a
        slight change of the features moves the centres slightly. "compat" follows the authors' program: k-means
        with five clusters, best of several random starts, then splits, at first with k-means after each.
    seed : int, default 0
        Of the random starts of "compat".

    Returns
    -------
    ndarray, shape (H, W), int32
        Labels 0..K-1, every one of them used.

    Examples
    --------
    >>> import numpy as np
    >>> from fastsoft.semantic import start_labels
    >>> features = np.zeros((20, 30, 1))
    >>> features[:, 20:] = 1
    >>> sorted(np.bincount(start_labels(features, 2).ravel()).tolist())
    [200, 400]
    """
    from fastsoft.ops.kmeans import split_kmeans

    features = _check_features(features)
    height, width, channels = features.shape
    n_clusters = check_int(n_clusters, "n_clusters", low=1, high=height * width)
    check_choice(method, "method", ("stable", "compat"))
    points = features.reshape(-1, channels)
    labels = (split_kmeans(points, n_clusters, seed=seed) if method == "compat" else _split(points, n_clusters)).labels
    xp = namespace(labels)
    used = xp.bincount(labels) > 0
    dense = xp.asarray(xp.cumsum(used, axis=0) - 1, dtype=xp.int32)
    return dense[labels].reshape(height, width)


def _split(points: Any, n_clusters: int) -> Any:
    """Cluster without chance. Many clusters by splits alone, which do not amplify a change of the points."""
    from fastsoft.ops.kmeans import split_kmeans

    # Where two splits are equally good, a slight change decides between quite different centres; of a few clusters,
    # k-means with all centres after each split then finds the same optimum either way.
    return split_kmeans(points, n_clusters, n_start=1, n_init=0, refine_up_to=_MAX_REFINED)


def _check_features(value: Any, shape: tuple[int | str, int | str] = ("H", "W")) -> Any:
    """Check features; arrays of devices come back as tensors."""
    features = as_float_array(value, "features", find_place(features=value))
    check_shape(features, (*shape, "d"), "features")
    if 0 in features.shape:
        raise ValueError(f"features must not be empty, got shape {features.shape}")
    check_finite(features, "features")
    return as_array(features)


def segment_features(segments: Any, features: Any) -> tuple[Any, Any]:
    """Return each segment's mean feature, weighted by its alphas, and its mass.

    Parameters
    ----------
    segments : ndarray, shape (H, W, K)
    features : ndarray, shape (H, W, d)

    Returns
    -------
    means : ndarray, shape (K, d), float64
        Of a segment without mass: the mean feature of the image.
    mass : ndarray, shape (K,), float64
        Sum of the alphas.
    """
    count = segments.shape[2]
    alphas = segments.reshape(-1, count)
    values = features.reshape(-1, features.shape[2])
    if namespace(alphas) is not np:
        return _tensor_means(alphas, values)
    sums = np.zeros((count, values.shape[1]))
    mass = np.zeros(count)
    for start in range(0, len(alphas), _CHUNK):
        chunk = alphas[start : start + _CHUNK].astype(np.float64)
        # Not a BLAS product, whose order of summation may follow its number of threads.
        sums += np.einsum("nk,nd->kd", chunk, values[start : start + _CHUNK].astype(np.float64))
        mass += chunk.sum(axis=0)
    return _means(sums, mass, values.mean(axis=0, dtype=np.float64), len(alphas)), mass


def _means(sums: Any, mass: Any, mean: Any, n_pixels: int) -> Any:
    empty = np.abs(mass) <= 1e-9 * n_pixels
    return np.where(empty[:, None], mean, sums / np.where(empty, 1, mass)[:, None])


def _tensor_means(alphas: Any, values: Any) -> tuple[Any, Any]:
    """Do the same with tensors on a device; the means, a few numbers, come back as NumPy's."""
    xp = namespace(alphas)
    # A column of ones beside the features: one product gives sums and masses, of a segment of ones the plain mean.
    sums = xp.zeros((alphas.shape[1] + 1, values.shape[1] + 1), dtype=xp.float64, device=alphas.device)
    for start in range(0, len(alphas), _TENSOR_CHUNK):
        chunk = slice(start, start + _TENSOR_CHUNK)
        ones = xp.ones((len(alphas[chunk]), 1), dtype=xp.float64, device=alphas.device)
        sums += xp.cat([alphas[chunk], ones], 1).T @ xp.cat([values[chunk], ones], 1)
    host = sums.cpu().numpy()
    mass = host[:-1, -1]
    return _means(host[:-1, :-1], mass, host[-1, :-1] / len(alphas), len(alphas)), mass


def group_segments(segments: Any, features: Any, n_layers: int, *, method: str = "stable", seed: int = 0) -> Grouping:
    """Put segments with like features together.

    Parameters
    ----------
    segments : ndarray, shape (H, W, K), float32 or float64
        Soft segments that sum to 1, e.g. of `sparsify_segments` or `spectral_matting`.
    features : ndarray, shape (H, W, d), float32 or float64
        In [0, 1].
    n_layers : int
        Layers wanted, 1..K.
    method : {"stable", "compat"}, default "stable"
        "stable" clusters the pixels by their features, as `start_labels` does, and gives every segment to the cluster
        whose centre is nearest to its mean feature. There is no chance in it, a large region counts more than a tiny
        one, and a slight change of the image moves the centres slightly. "compat" follows the authors' program:
        k-means on the mean features, in which a tiny segment counts as much as the sky.
    seed : int, default 0
        Of the start of "compat".

    Returns
    -------
    Grouping

    Raises
    ------
    ValueError
        If there are fewer segments than `n_layers`, or shapes do not agree.

    Examples
    --------
    >>> import numpy as np, fastsoft
    >>> segments = np.zeros((2, 3, 3))
    >>> segments[:, [0, 1, 2], [0, 1, 2]] = 1
    >>> features = np.zeros((2, 3, 1))
    >>> features[:, 2] = 0.9
    >>> fastsoft.group_segments(segments, features, 2).labels.tolist()
    [0, 0, 1]
    """
    find_place(segments=segments, features=features)
    segments = as_float_array(segments, "segments", find_place(segments=segments))
    check_shape(segments, ("H", "W", "K"), "segments")
    if 0 in segments.shape:
        raise ValueError(f"segments must not be empty, got shape {segments.shape}")
    check_finite(segments, "segments")
    segments = as_array(segments)
    features = _check_features(features, segments.shape[:2])
    count = segments.shape[2]
    n_layers = check_int(n_layers, "n_layers", low=1)
    if n_layers > count:
        raise ValueError(f"n_layers must be at most the number of segments, {count}, got {n_layers}")
    check_choice(method, "method", ("stable", "compat"))
    means, mass = segment_features(segments, features)
    if method == "stable":
        centers = to_numpy(_split(features.reshape(-1, features.shape[2]), n_layers).centers)
        labels = _nearest_groups(means, mass, centers.astype(np.float64), n_layers)
    else:
        from fastsoft.ops.kmeans import kmeans

        labels = kmeans(means, n_layers, seed=seed).labels
    layers = zeros_like(segments, (*segments.shape[:2], n_layers))
    for k, layer in enumerate(labels):
        layers[:, :, layer] += segments[:, :, k]
    return Grouping(labels.astype(np.int32), means, layers)


def _nearest_groups(means: Any, mass: Any, centers: Any, n_groups: int) -> Any:
    """Give every segment to the nearest centre, such that no group stays without a segment."""
    labels = ((means[:, None] - centers) ** 2).sum(axis=2).argmin(axis=1)
    # There are fewer centres than groups if there are fewer different features.
    centers = np.concatenate([centers, np.zeros((n_groups - len(centers), centers.shape[1]))])
    for group in range(n_groups):
        if (labels == group).any():
            continue
        # Of the segments that are not alone, the one that fits worst where it is gets a group of its own.
        misfit = np.maximum(mass, 0) * ((means - centers[labels]) ** 2).sum(axis=1)
        misfit[np.bincount(labels, minlength=n_groups)[labels] == 1] = -1
        worst = int(misfit.argmax())
        labels[worst] = group
        centers[group] = means[worst]
    return labels
