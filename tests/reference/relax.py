# SPDX-License-Identifier: MIT
"""Relaxed sparsification, Aksoy et al. 2018, Eqs. 15-17, with direct solves of the whole system in float64."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import spsolve


def relax_segments(
    segments,
    laplacian,
    gradient,
    *,
    n_iterations=20,
    gamma=0.9,
    sum_weight=100.0,
    clamp=1e-2,
    threshold=0.1,
    final_solve=True,
):
    """Return the layers after and before the final solve, each (H, W, n)."""
    n_layers = segments.shape[2]
    target = np.array(segments, dtype=np.float64)
    target[target < threshold] = 0
    target[target > 1 - threshold] = 1
    target /= target.sum(axis=2, keepdims=True)

    # Layers one after another: a holds alpha_1, then alpha_2, ...
    target = np.moveaxis(target, 2, 0).ravel()
    exponent = np.tile(np.minimum(gamma + gradient.ravel().astype(np.float64), 1) - 2, n_layers)
    n = gradient.size
    sum_matrix = sparse.hstack([sparse.eye_array(n)] * n_layers)  # C
    fixed = sparse.block_diag([laplacian] * n_layers) + sparse.eye_array(n * n_layers)
    fixed = (fixed + sum_weight * (sum_matrix.T @ sum_matrix)).tocsc()

    a = target
    for _ in range(n_iterations):
        u = np.maximum(np.abs(a), clamp) ** exponent
        v = np.maximum(np.abs(1 - a), clamp) ** exponent
        a = spsolve((fixed + sparse.diags_array(u + v)).tocsc(), v + target + sum_weight)
    before = a
    if final_solve:
        a = spsolve(fixed, a + sum_weight)

    def image(vector):
        return np.moveaxis(vector.reshape(n_layers, *gradient.shape), 0, 2)

    return image(a), image(before)
