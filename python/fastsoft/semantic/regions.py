# SPDX-License-Identifier: MIT
"""Regions that are known already, and features made of them: label maps and stacks of instance masks."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

__all__ = ["label_features", "mask_features", "read_labels"]


def read_labels(path: str | os.PathLike[str]) -> Any:
    """Read a map of regions from a picture file.

    Parameters
    ----------
    path : path
        One channel of integers, such as an 8-bit or 16-bit PNG or one with a palette, whose indices then count.

    Returns
    -------
    ndarray, shape (H, W), int64
        The file's numbers as they are.

    Raises
    ------
    ValueError
        If the file has several channels or holds floats.
    OSError
        If it cannot be read, or is no picture.
    """
    from PIL import Image

    with Image.open(path) as picture:
        labels = np.asarray(picture)
    if labels.ndim != 2 or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"labels {os.fspath(path)} must be one channel of integers, got {labels.dtype} {labels.shape}")
    return labels.astype(np.int64)


def region_points(n: int) -> Any:
    """Return n points of [0, 1]^3 as far apart as a simple rule puts them: (n, 3), float64.

    The corners of the cube come first; then, one by one, the point of a 9x9x9 grid that is farthest from those taken.
    """
    corners = np.array([(0, 0, 0), (1, 1, 1), (1, 0, 0), (0, 1, 1), (0, 1, 0), (1, 0, 1), (0, 0, 1), (1, 1, 0)], float)
    if n <= len(corners):
        return corners[:n]
    axis = np.linspace(0, 1, 9)
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    points = list(corners)
    nearest = ((grid[:, None] - corners) ** 2).sum(axis=2).min(axis=1)
    while len(points) < n:
        if nearest.max() <= 0:  # more regions than grid points: they share
            points.append(grid[len(points) % len(grid)])
            continue
        points.append(grid[nearest.argmax()])
        nearest = np.minimum(nearest, ((grid - points[-1]) ** 2).sum(axis=1))
    return np.array(points)


def label_features(labels: Any) -> Any:
    """Give every region of a label map features of its own.

    Parameters
    ----------
    labels : ndarray, shape (H, W), integer
        Any numbers; each is one region, 0 as well.

    Returns
    -------
    ndarray, shape (H, W, 3), float32
        In [0, 1], constant within a region, the same however the regions are numbered.

    Raises
    ------
    TypeError, ValueError
        If the map does not hold integers or has another shape.

    Examples
    --------
    >>> import numpy as np
    >>> from fastsoft.semantic import label_features
    >>> label_features(np.array([[7, 7, 9]])).tolist()
    [[[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]]
    """
    labels = np.asarray(labels)
    if not (np.issubdtype(labels.dtype, np.integer) or labels.dtype == bool):
        raise TypeError(f"labels must hold integers, got {labels.dtype}")
    if labels.ndim != 2 or labels.size == 0:
        raise ValueError(f"labels must have shape (H, W), got {labels.shape}")
    _, first, dense, counts = np.unique(labels, return_index=True, return_inverse=True, return_counts=True)
    # The largest region comes first, the earlier of equals: a permutation of the numbers changes nothing.
    order = np.lexsort((first, -counts))
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    points = region_points(len(order)).astype(np.float32)
    return points[rank[dense.reshape(labels.shape)]]


def mask_features(masks: Any) -> Any:
    """Give every instance of a stack of masks features of its own.

    Parameters
    ----------
    masks : ndarray, shape (N, H, W), bool or float in [0, 1]
        One mask per instance. Where several overlap, features are their mean, weighted by the masks; what no mask
        covers is a region of its own, in proportion to what is missing to a sum of 1.

    Returns
    -------
    ndarray, shape (H, W, 3), float32
        In [0, 1].

    Raises
    ------
    TypeError, ValueError
        If masks are not boolean or floats in [0, 1], or have another shape.

    Examples
    --------
    >>> import numpy as np
    >>> from fastsoft.semantic import mask_features
    >>> mask_features(np.array([[[True, True, False]], [[False, True, False]]]))[0].tolist()
    [[1.0, 1.0, 1.0], [1.0, 0.5, 0.5], [0.0, 0.0, 0.0]]
    """
    masks = np.asarray(masks)
    if masks.dtype != bool and masks.dtype not in (np.float32, np.float64):
        raise TypeError(f"masks must be boolean, float32 or float64, got {masks.dtype}")
    if masks.ndim != 3 or masks.size == 0:
        raise ValueError(f"masks must have shape (N, H, W), got {masks.shape}")
    weights = masks.astype(np.float32)
    low, high = float(weights.min()), float(weights.max())
    if not (low >= 0 and high <= 1):
        raise ValueError(f"masks must lie in [0, 1], got values in [{low:g}, {high:g}]")
    points = region_points(len(weights) + 1).astype(np.float32)
    total = weights.sum(axis=0)
    uncovered = np.maximum(1 - total, 0)
    # Not a BLAS product, whose order of summation may follow its number of threads.
    features = uncovered[:, :, None] * points[0]
    for weight, point in zip(weights, points[1:], strict=True):
        features += weight[:, :, None] * point
    return features / (total + uncovered)[:, :, None]
