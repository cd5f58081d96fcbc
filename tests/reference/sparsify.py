# SPDX-License-Identifier: MIT
"""Constrained sparsification in float64 with one dense system of all coefficients: Levin et al. 2008, section 4.2."""

from __future__ import annotations

import numpy as np


def weights(alpha, gamma, clamp):
    """Return e0 and e1, the weights of alpha^2 and (1 - alpha)^2."""
    w = 0.3**gamma
    return w * np.maximum(np.abs(alpha), clamp) ** (gamma - 2), w * np.maximum(np.abs(alpha - 1), clamp) ** (gamma - 2)


def flat_weights(alpha, gamma, clamp):
    """As `weights`, but those of exactly 0 or 1 within the clamp, and nowhere a larger sum than theirs."""
    w = 0.3**gamma
    e0, e1 = weights(alpha, gamma, clamp)
    top = w * clamp ** (gamma - 2)
    scale = np.minimum(1, (top + w) / (e0 + e1))
    near0, near1 = np.abs(alpha) < clamp, np.abs(alpha - 1) < clamp
    e0 = np.where(near0, top, np.where(near1, w, e0 * scale))
    e1 = np.where(near0, w, np.where(near1, top, e1 * scale))
    return e0, e1


def one_hot(labels):
    labels = np.unique(labels, return_inverse=True)[1].ravel()
    return np.eye(labels.max() + 1)[labels]


def compat_step(vectors, values, alpha, gamma, clamp):
    """Minimise over the coefficients of all segments but the last, which is 1 minus the others."""
    k = vectors.shape[1]
    e0, e1 = weights(alpha, gamma, clamp)
    matrices = [vectors.T @ ((a + b)[:, None] * vectors) + np.diag(values) for a, b in zip(e0.T, e1.T, strict=True)]
    free = alpha.shape[1] - 1
    system = np.kron(np.ones((free, free)), matrices[-1])
    right = np.tile(vectors.T @ e0[:, -1] + values * vectors.sum(axis=0), free)
    for i in range(free):
        block = slice(i * k, (i + 1) * k)
        system[block, block] += matrices[i]
        right[block] += vectors.T @ e1[:, i]
    coefficients = np.linalg.solve(system, right).reshape(free, k).T
    alpha = vectors @ coefficients
    return np.column_stack([alpha, 1 - alpha.sum(axis=1)])


def stable_step(vectors, values, alpha, gamma, clamp, sample=None, sample_weights=None):
    """Minimise over the coefficients c_k of all segments 1/K + E c_k under the constraint sum c_k = 0."""
    k, n_segments = vectors.shape[1], alpha.shape[1]
    sample = slice(None) if sample is None else sample
    e = vectors[sample]
    e0, e1 = flat_weights(alpha[sample], gamma, clamp)
    if sample_weights is not None:
        e0, e1 = e0 * sample_weights[:, None], e1 * sample_weights[:, None]
    size = k * n_segments
    system = np.zeros((size + k, size + k))
    right = np.zeros(size + k)
    for i in range(n_segments):
        block = slice(i * k, (i + 1) * k)
        total = e0[:, i] + e1[:, i]
        system[block, block] = e.T @ (total[:, None] * e) + np.diag(values)
        system[block, size:] = system[size:, block] = np.eye(k)
        right[block] = e.T @ (e1[:, i] - total / n_segments) - values * vectors.sum(axis=0) / n_segments
    coefficients = np.linalg.solve(system, right)[:size].reshape(n_segments, k).T
    return 1 / n_segments + vectors @ coefficients


def sparsify_segments(
    vectors, values, start, *, gamma=0.8, n_iterations=40, compat=False, clamp=1e-2, prune=0.1, **sample
):
    """Return the segments (N, K) left after all iterations, starting from soft segments (N, K)."""
    alpha = np.asarray(start, dtype=np.float64)
    quarter = n_iterations // 4
    for iteration in range(1, n_iterations + 1):
        step = compat_step if compat else stable_step
        alpha = step(vectors, values, alpha, gamma, clamp, **sample)
        if quarter and iteration in (quarter + 1, 2 * quarter + 1, 3 * quarter + 1):
            alpha = alpha[:, np.abs(alpha).max(axis=0) > prune]
    return alpha


def energy(vectors, values, alpha, gamma=0.8):
    """Return what the iteration minimises, the sparsity sum and the smoothness term."""
    sparsity = np.sum(np.abs(alpha) ** gamma + np.abs(1 - alpha) ** gamma)
    smoothness = np.sum((vectors.T @ alpha) ** 2 * values[:, None])
    return 2 * 0.3**gamma / gamma * sparsity + smoothness, sparsity, smoothness
