# SPDX-License-Identifier: MIT
"""Guided filter in float64, window by window, from the paper's equations."""

from __future__ import annotations

import numpy as np


def guided_filter(guide, source, radius, epsilon):
    guide = np.asarray(guide, dtype=np.float64)
    source = np.asarray(source, dtype=np.float64)
    shape = source.shape
    height, width = shape[:2]
    guide = guide.reshape(height, width, -1)
    source = source.reshape(height, width, -1)
    n_guide, n_source = guide.shape[2], source.shape[2]

    def window(r, c):
        return slice(max(r - radius, 0), r + radius + 1), slice(max(c - radius, 0), c + radius + 1)

    a = np.empty((height, width, n_guide, n_source))
    b = np.empty((height, width, n_source))
    for r in range(height):
        for c in range(width):
            colors = guide[window(r, c)].reshape(-1, n_guide)
            values = source[window(r, c)].reshape(-1, n_source)
            centered = colors - colors.mean(axis=0)
            covariance = centered.T @ centered / len(colors) + epsilon * np.eye(n_guide)
            cross = centered.T @ (values - values.mean(axis=0)) / len(colors)
            a[r, c] = np.linalg.solve(covariance, cross)
            b[r, c] = values.mean(axis=0) - colors.mean(axis=0) @ a[r, c]
    out = np.empty((height, width, n_source))
    for r in range(height):
        for c in range(width):
            mean_a = a[window(r, c)].reshape(-1, n_guide, n_source).mean(axis=0)
            mean_b = b[window(r, c)].reshape(-1, n_source).mean(axis=0)
            out[r, c] = guide[r, c] @ mean_a + mean_b
    return out.reshape(shape)
