# SPDX-License-Identifier: MIT
"""Principal components by definition: singular vectors of the centred values, in float64."""

from __future__ import annotations

import numpy as np


def principal_components(values, n, clip=None):
    """Return scores, mean, basis (C, n) and variances of the rows of a matrix (N, C)."""
    values = np.asarray(values, dtype=np.float64)
    if clip is not None:
        values = np.where(values > clip, clip, np.where(values < -clip, -clip, values))
    mean = np.array([np.mean(column) for column in values.T])
    centred = values - mean
    # Rows of zeros add nothing but the directions that fewer points than channels leave open.
    padding = np.zeros((max(0, values.shape[1] - len(values)), values.shape[1]))
    _, singular, rows = np.linalg.svd(np.concatenate([centred, padding]), full_matrices=False)
    basis = np.empty((values.shape[1], n))
    for k in range(n):
        # The first of the loadings that are as large as the largest is positive.
        loadings = np.abs(rows[k])
        first = next(c for c in range(len(loadings)) if loadings[c] >= (1 - 1e-6) * loadings.max())
        basis[:, k] = rows[k] if rows[k, first] > 0 else -rows[k]
    return centred @ basis, mean, basis, (singular**2 / len(values))[:n]
