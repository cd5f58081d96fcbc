# SPDX-License-Identifier: MIT
"""Laplacian of a dense affinity, by definition."""

from __future__ import annotations

import numpy as np


def graph_laplacian(affinity: np.ndarray, *, normalized: bool = False) -> np.ndarray:
    """Return D - W, or D^-1/2 (D - W) D^-1/2 with D^-1/2 = 0 where a row is empty, in float64."""
    affinity = np.asarray(affinity, dtype=np.float64)
    degrees = affinity.sum(axis=1)
    laplacian = np.diag(degrees) - affinity
    if normalized:
        empty = ~affinity.any(axis=1)
        root = np.diag(np.where(empty, 0.0, 1 / np.sqrt(np.where(empty, 1.0, degrees))))
        laplacian = root @ laplacian @ root
    return laplacian
