# SPDX-License-Identifier: MIT
"""Superpixel graph and its affinities by definition, after Aksoy et al. 2018, Eqs. 4 and 5."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np


def centroids(labels: np.ndarray) -> np.ndarray:
    """Return mean 1-based coordinates, rounded half up in exact arithmetic, 0-based; shape (S, 2)."""
    result = []
    for label in range(labels.max() + 1):
        pixels = np.argwhere(labels == label)
        means = [Fraction(int(axis.sum() + len(pixels)), len(pixels)) for axis in pixels.T]
        result.append([math.floor(mean + Fraction(1, 2)) - 1 for mean in means])
    return np.array(result)


def adjacent_pairs(labels: np.ndarray) -> np.ndarray:
    """Return sorted pairs i < j of labels that are 8-neighbours, shape (M, 2)."""
    height, width = labels.shape
    pairs = set()
    for row in range(height):
        for col in range(width):
            for dr, dc in ((0, 1), (1, -1), (1, 0), (1, 1)):
                if row + dr < height and 0 <= col + dc < width:
                    a, b = labels[row, col], labels[row + dr, col + dc]
                    if a != b:
                        pairs.add((min(a, b), max(a, b)))
    return np.array(sorted(pairs)).reshape(-1, 2)


def region_means(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the mean of each label, shape (S, C)."""
    return np.array([values[labels == label].astype(np.float64).mean(axis=0) for label in range(labels.max() + 1)])


def _symmetric(labels, edges):
    index = [row * labels.shape[1] + col for row, col in centroids(labels)]
    matrix = np.zeros((labels.size, labels.size))
    for i, j, weight in edges:
        if index[i] != index[j]:
            matrix[index[i], index[j]] += weight
            matrix[index[j], index[i]] += weight
    return matrix


def color_affinity(labels, colors, steepness=50.0, threshold=0.05, max_distance=0.2) -> np.ndarray:
    """Return the dense (N, N) colour affinity."""
    height, width = labels.shape
    places = centroids(labels)
    edges = []
    for i in range(len(places)):
        for j in range(i + 1, len(places)):
            down = (places[i, 0] + 1) / height - (places[j, 0] + 1) / height
            across = (places[i, 1] + 1) / width - (places[j, 1] + 1) / width
            if math.sqrt(down * down + across * across) <= max_distance:
                distance = math.dist(colors[i], colors[j])
                edges.append((i, j, (math.erf(steepness * (threshold - distance)) + 1) / 2))
    return _symmetric(labels, edges)


def semantic_affinity(labels, features, steepness=20.0, threshold=0.15) -> np.ndarray:
    """Return the dense (N, N) semantic affinity."""
    edges = [
        (i, j, math.erf(steepness * (threshold - math.dist(features[i], features[j]))))
        for i, j in adjacent_pairs(labels)
    ]
    return _symmetric(labels, edges)
