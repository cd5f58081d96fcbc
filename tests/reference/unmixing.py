# SPDX-License-Identifier: MIT
"""Alphas and colours from coefficients in float64, one pixel at a time."""

from __future__ import annotations

import numpy as np


def coefficient_at(coefficients, row, col):
    """Bilinear between the centres of the 2x2 areas; the nearest one beyond the first and last centre."""
    height, width = coefficients.shape[:2]
    y, x = np.clip((row + 0.5) / 2 - 0.5, 0, height - 1), np.clip((col + 0.5) / 2 - 0.5, 0, width - 1)
    i, j = min(int(y), height - 2) if height > 1 else 0, min(int(x), width - 2) if width > 1 else 0
    upper, left = y - i, x - j
    i1, j1 = min(i + 1, height - 1), min(j + 1, width - 1)
    top = (1 - left) * coefficients[i, j] + left * coefficients[i, j1]
    bottom = (1 - left) * coefficients[i1, j] + left * coefficients[i1, j1]
    return (1 - upper) * top + upper * bottom


def project(z):
    """Nearest point of the simplex, by trying every size of its support."""
    order = np.sort(z)[::-1]
    for k in range(len(z), 0, -1):
        threshold = (order[:k].sum() - 1) / k
        if order[k - 1] > threshold:
            return np.maximum(z - threshold, 0)
    raise AssertionError


def unmix_alphas(image, palette, coefficients, origin=(0, 0), steps=0):
    image, palette, coefficients = (np.asarray(x, dtype=np.float64) for x in (image, palette, coefficients))
    n = len(palette)
    apart = np.linalg.norm(palette[:, None] - palette, axis=2) + 9 * np.eye(n)
    scale = max((apart.min(axis=1) ** 2).mean(), 1e-3)
    stiffness = np.linalg.svd(palette - palette.mean(axis=0), compute_uv=False)[0] ** 2
    out = np.empty((*image.shape[:2], n))
    for row, col in np.ndindex(image.shape[:2]):
        c = image[row, col]
        k = coefficient_at(coefficients, row + origin[0], col + origin[1])
        alphas = project(k[:, :3] @ c + k[:, 3] - ((c - palette) ** 2).sum(axis=1) / scale)
        for _ in range(steps):
            alphas = project(alphas + palette @ (c - alphas @ palette) / stiffness)
        out[row, col] = alphas
    return out


def unmix_colors(image, palette, alphas, coefficients, origin=(0, 0)):
    image, palette, alphas = (np.asarray(x, dtype=np.float64) for x in (image, palette, alphas))
    out = np.empty((*alphas.shape, 3))
    for row, col in np.ndindex(image.shape[:2]):
        a = alphas[row, col][:, None]
        k = coefficient_at(np.asarray(coefficients, dtype=np.float64), row + origin[0], col + origin[1])
        base = palette + k[:, :3]
        missing = image[row, col] - (a * base).sum(axis=0)
        out[row, col] = np.clip(base + k[:, 3:] * a / (a**2).sum() * missing, 0, 1)
    return out
