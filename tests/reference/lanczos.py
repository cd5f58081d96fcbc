# SPDX-License-Identifier: MIT
"""Smallest eigenpairs by a dense solver, and spectra known in closed form."""

from __future__ import annotations

import numpy as np


def smallest_eigenvectors(matrix, k):
    """Eigenvalues (k,) and vectors (N, k) of a dense or sparse symmetric matrix, float64."""
    dense = matrix.toarray() if hasattr(matrix, "toarray") else np.asarray(matrix)
    values, vectors = np.linalg.eigh(dense.astype(np.float64))
    return values[:k], vectors[:, :k]


def grid_laplacian_eigenvalues(height, width, k):
    """Spectrum of the 4-neighbour graph Laplacian of a grid: 4 sin^2(pi i / 2H) + 4 sin^2(pi j / 2W)."""
    rows = 4 * np.sin(np.pi * np.arange(height) / (2 * height)) ** 2
    cols = 4 * np.sin(np.pi * np.arange(width) / (2 * width)) ** 2
    return np.sort((rows[:, None] + cols[None, :]).ravel())[:k]


def largest_principal_sine(a, b):
    """Sine of the largest principal angle between the spans of two orthonormal bases of equal size."""
    a = np.asarray(a, dtype=np.float64)
    b = np.asarray(b, dtype=np.float64)
    a, _ = np.linalg.qr(a)
    b, _ = np.linalg.qr(b)
    # The sine itself, by what of b lies outside a: the cosine would lose half of the digits.
    return float(np.linalg.norm(b - a @ (a.T @ b), ord=2))
