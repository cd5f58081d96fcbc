# SPDX-License-Identifier: MIT
"""Lloyd's k-means and the splitting start, by definition and in float64."""

from __future__ import annotations

import numpy as np


def assign(points, centers):
    """Return the nearest centre of each point and its squared distance."""
    distances = ((points[:, None].astype(np.float64) - centers[None]) ** 2).sum(axis=2)
    return distances.argmin(axis=1), distances.min(axis=1)


def lloyd(points, centers, weights=None, max_iterations=100):
    """Iterate from given centres; an empty cluster takes the point farthest from its centre."""
    points = points.astype(np.float64)
    centers = np.array(centers, dtype=np.float64)
    weights = np.ones(len(points)) if weights is None else weights
    labels = np.full(len(points), -1)
    for iteration in range(max_iterations + 1):
        new, distances = assign(points, centers)
        changed = (new != labels).any()
        labels, inertia = new, (weights * distances).sum()
        if iteration == max_iterations:
            return labels, centers, inertia, iteration
        for empty in range(len(centers)):
            if weights[labels == empty].sum() > 0:
                continue
            counts = np.bincount(labels, minlength=len(centers))
            distance = ((points - centers[labels]) ** 2).sum(axis=1) * (counts[labels] > 1) * (weights > 0)
            if distance.max() == 0:
                break
            farthest = distance.argmax()
            labels[farthest], centers[empty], changed = empty, points[farthest], True
        if not changed:
            return labels, centers, inertia, iteration
        for c in range(len(centers)):
            mass = weights[labels == c]
            if mass.sum() > 0:
                centers[c] = (mass[:, None] * points[labels == c]).sum(axis=0) / mass.sum()
    raise AssertionError


def divide(points, weights):
    """Return the gain and the centres of the best division in two, started along the principal axes."""
    mean = np.average(points, axis=0, weights=weights)
    error = (weights[:, None] * (points - mean) ** 2).sum()
    best = (0.0, None)
    if len(points) <= 2 * points.shape[1] or error == 0:
        return best
    values, vectors = np.linalg.eigh(np.cov(points.T, aweights=weights, bias=True).reshape([points.shape[1]] * 2))
    for k in range(points.shape[1])[::-1][:3]:
        if values[k] <= 0:
            break
        step = vectors[:, k] * np.sqrt(values[k])
        step *= np.sign(step[abs(step).argmax()])
        _, centers, inertia, _ = lloyd(points, [mean - step, mean + step], weights)
        if error - inertia > max(best[0], 1e-12 * error):
            best = (error - inertia, centers)
    return best


def split_kmeans(points, n_clusters, n_start, refine_up_to, weights=None):
    """Return centres found by splitting alone, without random starts."""
    points = points.astype(np.float64)
    weights = np.ones(len(points)) if weights is None else weights
    centers = np.average(points, axis=0, weights=weights)[None]
    labels = np.zeros(len(points), dtype=int)
    while len(centers) < n_clusters:
        divisions = [divide(points[labels == c], weights[labels == c]) for c in range(len(centers))]
        best = int(np.argmax([gain for gain, _ in divisions]))
        if divisions[best][0] == 0:
            break
        halves = divisions[best][1]
        second = (labels == best) & (assign(points, halves)[0] == 1)
        centers = np.concatenate([centers, halves[1:]])
        centers[best] = halves[0]
        labels[second] = len(centers) - 1
        if len(centers) <= max(n_start, refine_up_to):
            labels, centers, _, _ = lloyd(points, centers, weights)
        if len(centers) == n_start:
            labels, centers, _, _ = lloyd(points, centers[np.lexsort(centers.T[::-1])], weights)
    return centers
