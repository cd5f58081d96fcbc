# SPDX-License-Identifier: MIT
"""Superpixels as a graph, and the affinities between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastsoft._checks import MAX_PIXELS, as_float_array, as_labels, check_finite, check_int, check_number, check_shape
from fastsoft._native import cpu

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["SuperpixelGraph", "color_affinity", "region_means", "semantic_affinity", "superpixel_graph"]


@dataclass(frozen=True)
class SuperpixelGraph:
    """Superpixels with their sizes, centroid pixels and neighbours; see `superpixel_graph`.

    Attributes
    ----------
    labels : ndarray, shape (H, W), int32
        Superpixel of every pixel, 0 to S - 1.
    n_superpixels : int
        S.
    counts : ndarray, shape (S,), int64
        Pixels of each superpixel.
    centroid_rc : ndarray, shape (S, 2), int32
        Row and column of each centroid pixel.
    centroid_index : ndarray, shape (S,), int32
        The same as pixel numbers ``row * W + col``.
    adjacent_pairs : ndarray, shape (M, 2), int32
        Pairs ``i < j`` of superpixels that touch, sideways or diagonally; sorted.
    """

    labels: NDArray[np.int32]
    n_superpixels: int
    counts: NDArray[np.int64]
    centroid_rc: NDArray[np.int32]
    centroid_index: NDArray[np.int32]
    adjacent_pairs: NDArray[np.int32]


def superpixel_graph(labels: Any) -> SuperpixelGraph:
    """Describe superpixels as a graph: sizes, centroid pixels and adjacent pairs.

    Parameters
    ----------
    labels : ndarray of integers, shape (H, W)
        Superpixel of every pixel. Each of 0 to S - 1 must occur, as in the result of `slic`. Superpixels need not be
        connected.

    Returns
    -------
    SuperpixelGraph
        Centroid pixels are mean coordinates rounded to the nearest pixel, halves up and to the right; they need not
        belong to their superpixel.

    Raises
    ------
    TypeError
        If the labels are not integers.
    ValueError
        If they have another shape, are negative, or leave a number out.

    Notes
    -----
    One pass over the pixels. Exact integer arithmetic: the result does not depend on the number of threads.

    Examples
    --------
    >>> import numpy as np
    >>> import fastsoft
    >>> graph = fastsoft.superpixel_graph(np.array([[0, 0, 1, 1], [0, 0, 2, 2]]))
    >>> graph.counts.tolist(), graph.centroid_rc.tolist()
    ([4, 2, 2], [[1, 1], [0, 3], [1, 3]])
    >>> graph.adjacent_pairs.tolist()
    [[0, 1], [0, 2], [1, 2]]
    """
    labels = as_labels(labels, "labels")
    check_shape(labels, ("H", "W"), "labels")
    if not 1 <= labels.size <= MAX_PIXELS:
        raise ValueError(f"labels must have 1 to {MAX_PIXELS} pixels, got shape {labels.shape}")
    counts, centroid_rc, adjacent_pairs = cpu.superpixel_graph(labels)
    centroid_index = centroid_rc[:, 0] * np.int32(labels.shape[1]) + centroid_rc[:, 1]
    return SuperpixelGraph(labels, len(counts), counts, centroid_rc, centroid_index, adjacent_pairs)


def region_means(values: Any, labels: Any, n: int | None = None) -> Any:
    """Average values over each superpixel.

    Parameters
    ----------
    values : ndarray, shape (H, W, C) or (H, W), float32 or float64
        Colours or features of every pixel. Any strides.
    labels : ndarray of integers, shape (H, W)
        Superpixel of every pixel.
    n : int, optional
        Number of superpixels S; one more than the largest label by default. Each of 0 to S - 1 must occur.

    Returns
    -------
    ndarray, shape (S, C) or (S,), dtype of the values
        Plain means.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type or shape, is not finite, or a superpixel has no pixel.

    Notes
    -----
    One pass. Sums are taken in float64 over bands of rows that depend on the sizes alone, so that the result does not
    depend on the number of threads.

    Examples
    --------
    >>> import numpy as np
    >>> import fastsoft
    >>> fastsoft.region_means(np.array([[1.0, 2.0, 6.0]]), np.array([[0, 0, 1]]))
    array([1.5, 6. ])
    """
    values = as_float_array(values, "values")
    labels = as_labels(labels, "labels")
    check_shape(labels, ("H", "W"), "labels")
    if values.ndim not in (2, 3) or values.shape[:2] != labels.shape:
        height, width = labels.shape
        raise ValueError(f"values must have shape ({height}, {width}) or ({height}, {width}, C), got {values.shape}")
    if labels.size == 0:
        raise ValueError(f"labels must hold at least one pixel, got shape {labels.shape}")
    check_finite(values, "values")
    n = int(labels.max()) + 1 if n is None else check_int(n, "n", low=1)
    if n > labels.size:
        raise ValueError(f"n must be at most the {labels.size} pixels of labels, got {n}")
    planes = values if values.ndim == 3 else values[:, :, None]
    means = np.empty((n, planes.shape[2]), dtype=values.dtype)
    cpu.region_means(planes, labels, means)
    return means if values.ndim == 3 else means[:, 0]


def color_affinity(
    graph: SuperpixelGraph,
    colors: Any,
    *,
    steepness: float = 50.0,
    threshold: float = 0.05,
    max_distance: float = 0.2,
) -> Any:
    """Compute the non-local colour affinity of semantic soft segmentation.

    Every two superpixels whose centroid pixels are at most `max_distance` apart get an edge between these pixels. Its
    weight is ``(erf(steepness * (threshold - d)) + 1) / 2``, where ``d`` is the Euclidean distance of their colours
    (Eq. 4 of [1]_).

    Parameters
    ----------
    graph : SuperpixelGraph
        From `superpixel_graph`.
    colors : ndarray, shape (S, C), float32 or float64
        Mean colour of each superpixel, from `region_means`.
    steepness : float, default 50
        Slope of the error function, above 0; the paper's a_c.
    threshold : float, default 0.05
        Colour distance of affinity 1/2, at least 0; the paper's b_c.
    max_distance : float, default 0.2
        Largest distance of two centroid pixels, at least 0, where rows are divided by the image's height and columns
        by its width.

    Returns
    -------
    scipy.sparse.csr_array, shape (N, N), dtype of the colours
        Over all N pixels, symmetric, zero diagonal, weights in [0, 1]. Weights that are exactly 0 are not stored.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type, shape or range.

    Notes
    -----
    Time grows with S squared: 3 million pairs for 2500 superpixels. All arithmetic is float64. Pairs exactly at
    `max_distance` count as near; coordinates, counted from 1, are divided first and then subtracted, as in the authors'
    program, which decides such ties. Superpixels that share a centroid pixel get no edge, and weights of edges between
    the same two pixels are added. Results do not depend on the number of threads.

    References
    ----------
    .. [1] Y. Aksoy, T.-H. Oh, S. Paris, M. Pollefeys, W. Matusik, "Semantic soft segmentation", ACM Transactions on
       Graphics 37(4), 2018. :doi:`10.1145/3197517.3201275`

    Examples
    --------
    >>> import numpy as np
    >>> import fastsoft
    >>> graph = fastsoft.superpixel_graph(np.array([[0, 0, 1, 1, 2, 2]]))
    >>> colors = np.array([[0.5, 0.5, 0.5], [0.5, 0.5, 0.5], [0.5, 0.5, 0.55]])
    >>> affinity = fastsoft.color_affinity(graph, colors, max_distance=0.4)
    >>> affinity.shape, affinity.nnz, float(affinity[1, 3].round(6)), float(affinity[3, 5].round(6))
    ((6, 6), 4, 0.999797, 0.5)
    """
    colors = _check_regions(graph, colors, "colors")
    height, width = graph.labels.shape
    steepness = check_number(steepness, "steepness", low=0.0, exclusive=True)
    threshold = check_number(threshold, "threshold", low=0.0)
    max_distance = check_number(max_distance, "max_distance", low=0.0)
    triple = cpu.color_affinity(graph.centroid_rc, colors, height, width, steepness, threshold, max_distance)
    return _pixel_matrix(triple, height * width)


def semantic_affinity(
    graph: SuperpixelGraph, features: Any, *, steepness: float = 20.0, threshold: float = 0.15
) -> Any:
    """Compute the semantic affinity of semantic soft segmentation.

    Every two adjacent superpixels get an edge between their centroid pixels of weight
    ``erf(steepness * (threshold - d))``, where ``d`` is the Euclidean distance of their features (Eq. 5 of [1]_).

    Parameters
    ----------
    graph : SuperpixelGraph
        From `superpixel_graph`.
    features : ndarray, shape (S, C), float32 or float64
        Mean feature of each superpixel, from `region_means`.
    steepness : float, default 20
        Slope of the error function, above 0; the paper's a_s.
    threshold : float, default 0.15
        Feature distance of affinity 0, at least 0: the value in the authors' program. The paper prints b_s = 0.2.

    Returns
    -------
    scipy.sparse.csr_array, shape (N, N), dtype of the features
        Over all N pixels, symmetric, zero diagonal, weights in [-1, 1]. Weights that are exactly 0 are not stored.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type, shape or range.

    Notes
    -----
    Negative weights push superpixels apart and make the Laplacian indefinite. All arithmetic is float64. Superpixels
    that share a centroid pixel get no edge, and weights of edges between the same two pixels are added. Results do not
    depend on the number of threads.

    References
    ----------
    .. [1] Y. Aksoy, T.-H. Oh, S. Paris, M. Pollefeys, W. Matusik, "Semantic soft segmentation", ACM Transactions on
       Graphics 37(4), 2018. :doi:`10.1145/3197517.3201275`

    Examples
    --------
    >>> import numpy as np
    >>> import fastsoft
    >>> graph = fastsoft.superpixel_graph(np.array([[0, 0, 1, 1, 2, 2]]))
    >>> affinity = fastsoft.semantic_affinity(graph, np.array([[0.0], [0.0], [1.0]]))
    >>> float(affinity[1, 3].round(6)), float(affinity[3, 5].round(6))
    (0.999978, -1.0)
    """
    features = _check_regions(graph, features, "features")
    height, width = graph.labels.shape
    steepness = check_number(steepness, "steepness", low=0.0, exclusive=True)
    threshold = check_number(threshold, "threshold", low=0.0)
    triple = cpu.semantic_affinity(
        graph.centroid_rc, graph.adjacent_pairs, features, height, width, steepness, threshold
    )
    return _pixel_matrix(triple, height * width)


def _check_regions(graph: Any, values: Any, name: str) -> Any:
    if not isinstance(graph, SuperpixelGraph):
        raise TypeError(f"graph must be a SuperpixelGraph, got {type(graph).__name__}")
    values = np.ascontiguousarray(as_float_array(values, name))
    check_shape(values, (graph.n_superpixels, "C"), name)
    check_finite(values, name)
    return values


def _pixel_matrix(triple: Any, n: int) -> Any:
    from scipy import sparse

    indptr, indices, data = triple
    if data.size <= np.iinfo(np.int32).max:
        # SciPy wants both index arrays in one type.
        indptr = indptr.astype(np.int32)
    matrix = sparse.csr_array((data, indices, indptr), shape=(n, n))
    matrix.has_canonical_format = True
    return matrix
