# SPDX-License-Identifier: MIT
"""Matting affinity and Laplacian assembled window by window, after Levin, Lischinski and Weiss 2008, Eq. 12."""

from __future__ import annotations

import numpy as np


def matting_affinity(image: np.ndarray, epsilon: float = 1e-7, radius: int = 1) -> np.ndarray:
    """Return the dense (N, N) affinity in float64."""
    image = np.asarray(image, dtype=np.float64)
    height, width, _ = image.shape
    index = np.arange(height * width).reshape(height, width)
    n = (2 * radius + 1) ** 2
    affinity = np.zeros((height * width, height * width))
    for row in range(radius, height - radius):
        for col in range(radius, width - radius):
            window = (slice(row - radius, row + radius + 1), slice(col - radius, col + radius + 1))
            centred = image[window].reshape(n, 3)
            centred = centred - centred.mean(axis=0)
            inverse = np.linalg.inv(centred.T @ centred / n + epsilon / n * np.eye(3))
            pixels = index[window].ravel()
            affinity[np.ix_(pixels, pixels)] += (1 + centred @ inverse @ centred.T) / n
    return affinity


def matting_laplacian(image: np.ndarray, epsilon: float = 1e-7, radius: int = 1) -> np.ndarray:
    """Return the dense (N, N) Laplacian in float64."""
    affinity = matting_affinity(image, epsilon, radius)
    return np.diag(affinity.sum(axis=1)) - affinity


def n_windows(height: int, width: int, radius: int = 1) -> np.ndarray:
    """Return how many windows hold each pixel, shape (H, W)."""

    def along(extent: int) -> np.ndarray:
        centres = np.arange(radius, extent - radius)
        return (abs(np.arange(extent)[:, None] - centres) <= radius).sum(axis=1)

    return np.outer(along(height), along(width))
