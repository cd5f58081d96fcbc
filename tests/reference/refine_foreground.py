# SPDX-License-Identifier: MIT
"""Multi-scale refinement of a foreground, Algorithm 2 of Wang et al. (ICME 2022), in float64."""

from __future__ import annotations

import numpy as np


def resize(array, height, width):
    """Bilinear, half-pixel centres, clamped at the border, no antialiasing."""

    def taps(n_from, n_to):
        position = np.clip((np.arange(n_to) + 0.5) * n_from / n_to - 0.5, 0, n_from - 1)
        first = np.minimum(np.floor(position).astype(int), n_from - 1)
        return first, np.minimum(first + 1, n_from - 1), position - first

    first, second, weight = taps(array.shape[0], height)
    weight = weight.reshape(-1, *[1] * (array.ndim - 1))
    array = array[first] * (1 - weight) + array[second] * weight
    first, second, weight = taps(array.shape[1], width)
    weight = weight.reshape(1, -1, *[1] * (array.ndim - 2))
    return array[:, first] * (1 - weight) + array[:, second] * weight


def neighbours(array):
    """The four shifted copies, mirrored at the border without repeating it."""
    pads = [(1, 1), (1, 1)] + [(0, 0)] * (array.ndim - 2)
    padded = np.pad(array, pads, mode="reflect")
    return [padded[1:-1, :-2], padded[1:-1, 2:], padded[:-2, 1:-1], padded[2:, 1:-1]]


def update(colors, premultiplied, alpha, kappa=1.0):
    """Algorithm 2, line 6: all pixels from the state before."""
    q = (1 - alpha) ** 2
    numerator = alpha[:, :, None] * premultiplied
    # The denominator as the paper writes it.
    denominator = alpha**2 + 4 * kappa * q
    for shifted_q, shifted in zip(neighbours(q), neighbours(colors), strict=True):
        numerator = numerator + kappa * (q + shifted_q)[:, :, None] * shifted
        denominator = denominator + kappa * shifted_q
    return numerator / denominator[:, :, None]


def refine_foreground(foreground, alpha, *, kappa=1.0, n_scales=6, iterations=20, red_black=False):
    foreground, alpha = np.asarray(foreground, np.float64), np.asarray(alpha, np.float64)
    height, width = alpha.shape
    colors = foreground
    for scale in reversed(range(n_scales)):
        size = max(1, height // 2**scale), max(1, width // 2**scale)
        a = resize(alpha, *size)
        premultiplied = resize(alpha[:, :, None] * foreground, *size)
        colors = resize(colors, *size)
        board = np.indices(size).sum(axis=0)[:, :, None] % 2
        for _ in range(iterations * 2**scale):
            if red_black:
                for parity in (0, 1):
                    colors = np.where(board == parity, update(colors, premultiplied, a, kappa), colors)
            else:
                colors = update(colors, premultiplied, a, kappa)
    return np.clip(colors, 0, 1)


def energy(colors, foreground, alpha, kappa=1.0):
    """What the updates decrease, inside the picture only: differences to mirrored neighbours are left out."""
    q = (1 - alpha) ** 2
    total = (alpha[:, :, None] ** 2 * (colors - foreground) ** 2).sum()
    for axis in (0, 1):
        difference = (np.diff(colors, axis=axis) ** 2).sum(axis=2)
        n = q.shape[axis]
        weights = np.take(q, range(n - 1), axis) + np.take(q, range(1, n), axis)
        total += kappa * (weights * difference).sum()
    return 0.5 * total
