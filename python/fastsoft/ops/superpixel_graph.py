# SPDX-License-Identifier: MIT
"""Superpixels as a graph, and the affinities between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fastsoft._checks import MAX_PIXELS, as_float_array, as_labels, check_finite, check_int, check_number, check_shape
from fastsoft._dispatch import DeviceArray, find_place, with_channels

__all__ = ["SuperpixelGraph", "color_affinity", "region_means", "semantic_affinity", "superpixel_graph"]


@dataclass(frozen=True)
class SuperpixelGraph:
    """Superpixels with their sizes, centroid pixels and neighbours; see `superpixel_graph`.

    Arrays are of the library and on the device of the labels it was made from.

    Attributes
    ----------
    labels : array, shape (H, W), int32
        Superpixel of every pixel, 0 to S - 1.
    n_superpixels : int
        S.
    counts : array, shape (S,), int64
        Pixels of each superpixel.
    centroid_rc : array, shape (S, 2), int32
        Row and column of each centroid pixel.
    centroid_index : array, shape (S,), int32
        The same as pixel numbers ``row * W + col``.
    adjacent_pairs : array, shape (M, 2), int32
        Pairs ``i < j`` of superpixels that touch, sideways or diagonally; sorted.
    """

    labels: Any
    n_superpixels: int
    counts: Any
    centroid_rc: Any
    centroid_index: Any
    adjacent_pairs: Any


def superpixel_graph(labels: Any) -> SuperpixelGraph:
    """Describe superpixels as a graph: sizes, centroid pixels and adjacent pairs.

    Parameters
    ----------
    labels : array of integers, shape (H, W)
        Superpixel of every pixel. Each of 0 to S - 1 must occur, as in the result of `slic`. Superpixels need not be
        connected. Of NumPy, torch or CuPy, on the CPU or a CUDA device.

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

    On a CUDA device the work is enqueued on the current stream of the labels' library. The call waits for it three
    times, to know how many superpixels, pixels on borders and pairs there are; labels other than int32 are converted,
    and waited for once more. Memory beyond the result: 16 bytes per pixel, and up to 64 per pixel on a border.

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
    place = find_place(labels=labels)
    labels = as_labels(labels, "labels", place)
    check_shape(labels, ("H", "W"), "labels")
    if not 1 <= labels.size <= MAX_PIXELS:
        raise ValueError(f"labels must have 1 to {MAX_PIXELS} pixels, got shape {labels.shape}")
    arrays = place.native.superpixel_graph(labels, place.empty)
    return SuperpixelGraph(place.result(labels), arrays[0].shape[0], *map(place.result, arrays))


def region_means(values: Any, labels: Any, n: int | None = None) -> Any:
    """Average values over each superpixel.

    Parameters
    ----------
    values : array, shape (H, W, C) or (H, W), float32 or float64
        Colours or features of every pixel. Any strides. Of NumPy, torch or CuPy, on the CPU or a CUDA device.
    labels : array of integers, shape (H, W)
        Superpixel of every pixel, on the device of `values`.
    n : int, optional
        Number of superpixels S; one more than the largest label by default. Each of 0 to S - 1 must occur.

    Returns
    -------
    array, shape (S, C) or (S,), library, device and dtype of the values
        Plain means.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type or shape, is not finite, or a superpixel has no pixel; if the arrays are not on
        one device.

    Notes
    -----
    One pass. Sums are taken in float64 over bands of rows that depend on the sizes alone, so that the result does not
    depend on the number of threads.

    On a CUDA device pixels are sorted by label first, and added in an order that depends on the labels alone. The work
    is enqueued on the current stream of the values' library; checks of both arrays wait for it. Memory beyond the
    result: 16 bytes per pixel.

    Examples
    --------
    >>> import numpy as np
    >>> import fastsoft
    >>> fastsoft.region_means(np.array([[1.0, 2.0, 6.0]]), np.array([[0, 0, 1]]))
    array([1.5, 6. ])
    """
    place = find_place(values=values, labels=labels)
    values = as_float_array(values, "values", place)
    labels = as_labels(labels, "labels", place)
    check_shape(labels, ("H", "W"), "labels")
    if values.ndim not in (2, 3) or values.shape[:2] != labels.shape:
        height, width = labels.shape
        raise ValueError(f"values must have shape ({height}, {width}) or ({height}, {width}, C), got {values.shape}")
    if labels.size == 0:
        raise ValueError(f"labels must hold at least one pixel, got shape {labels.shape}")
    check_finite(values, "values")
    if n is None:
        n = int((labels.owner if isinstance(labels, DeviceArray) else labels).max()) + 1
    else:
        n = check_int(n, "n", low=1)
    if n > labels.size:
        raise ValueError(f"n must be at most the {labels.size} pixels of labels, got {n}")
    planes = with_channels(values)
    means = place.empty((n, planes.shape[2]), values.dtype)
    place.native.region_means(planes, labels, means)
    means = place.result(means)
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
    colors : array, shape (S, C), float32 or float64
        Mean colour of each superpixel, from `region_means`, on the device of `graph`.
    steepness : float, default 50
        Slope of the error function, above 0; the paper's a_c.
    threshold : float, default 0.05
        Colour distance of affinity 1/2, at least 0; the paper's b_c.
    max_distance : float, default 0.2
        Largest distance of two centroid pixels, at least 0, where rows are divided by the image's height and columns
        by its width.

    Returns
    -------
    sparse matrix, shape (N, N), dtype of the colours
        A ``scipy.sparse.csr_array`` for NumPy, a sparse CSR tensor for torch, a ``cupyx.scipy.sparse.csr_matrix`` for
        CuPy. Over all N pixels, symmetric, zero diagonal, weights in [0, 1]. Weights that are exactly 0 are not stored.

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

    On a CUDA device the work is enqueued on the current stream of the colours' library. The call waits for it to check
    the colours and to know the number of entries. Memory beyond the result: 4 bytes per pixel and 48 per superpixel.
    What is exactly 0 there and on the CPU may differ where a weight is below 1e-15.

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
    place, colors = _check_regions(graph, colors, "colors")
    height, width = graph.labels.shape
    steepness = check_number(steepness, "steepness", low=0.0, exclusive=True)
    threshold = check_number(threshold, "threshold", low=0.0)
    max_distance = check_number(max_distance, "max_distance", low=0.0)
    centroids = place.read(graph.centroid_rc, "graph")
    indptr = place.empty((height * width + 1,), np.int64)
    indices, data = place.native.color_affinity(
        centroids, colors, height, width, steepness, threshold, max_distance, indptr, place.empty
    )
    return place.csr(data, indices, indptr, (height * width, height * width))


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
    features : array, shape (S, C), float32 or float64
        Mean feature of each superpixel, from `region_means`, on the device of `graph`.
    steepness : float, default 20
        Slope of the error function, above 0; the paper's a_s.
    threshold : float, default 0.15
        Feature distance of affinity 0, at least 0: the value in the authors' program. The paper prints b_s = 0.2.

    Returns
    -------
    sparse matrix, shape (N, N), dtype of the features
        A ``scipy.sparse.csr_array`` for NumPy, a sparse CSR tensor for torch, a ``cupyx.scipy.sparse.csr_matrix`` for
        CuPy. Over all N pixels, symmetric, zero diagonal, weights in [-1, 1]. Weights that are exactly 0 are left out.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type, shape or range.

    Notes
    -----
    Negative weights push superpixels apart and make the Laplacian indefinite. All arithmetic is float64. Superpixels
    that share a centroid pixel get no edge, and weights of edges between the same two pixels are added. Results do not
    depend on the number of threads.

    On a CUDA device the work is enqueued on the current stream of the features' library. The call waits for it to check
    the features and to know the number of entries. Memory beyond the result: 4 bytes per pixel and 68 per pair.

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
    place, features = _check_regions(graph, features, "features")
    height, width = graph.labels.shape
    steepness = check_number(steepness, "steepness", low=0.0, exclusive=True)
    threshold = check_number(threshold, "threshold", low=0.0)
    centroids, pairs = place.read(graph.centroid_rc, "graph"), place.read(graph.adjacent_pairs, "graph")
    indptr = place.empty((height * width + 1,), np.int64)
    indices, data = place.native.semantic_affinity(
        centroids, pairs, features, height, width, steepness, threshold, indptr, place.empty
    )
    return place.csr(data, indices, indptr, (height * width, height * width))


def _check_regions(graph: Any, values: Any, name: str) -> tuple[Any, Any]:
    if not isinstance(graph, SuperpixelGraph):
        raise TypeError(f"graph must be a SuperpixelGraph, got {type(graph).__name__}")
    place = find_place(**{name: values, "graph": graph.centroid_rc})
    values = place.contiguous(values, as_float_array(values, name, place).dtype, name)
    check_shape(values, (graph.n_superpixels, "C"), name)
    check_finite(values, name)
    return place, values
