# SPDX-License-Identifier: MIT
"""Foreground and background colours, in float64 and pixel by pixel, from the papers' formulas."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import spsolve


def level_sizes(height, width):
    n = int(np.ceil(np.log2(max(height, width))))
    if n == 0:
        return [(1, 1)]
    return [(round(height ** (level / n)), round(width ** (level / n))) for level in range(n + 1)]


def nearest(array, height, width):
    rows = np.arange(height) * array.shape[0] // height
    cols = np.arange(width) * array.shape[1] // width
    return array[rows][:, cols]


def update(position, image, alpha, foreground, background, regularization, gradient_weight):
    """Solve the 2x2 system of one pixel, for all channels; neighbours beyond the border are the pixel itself."""
    row, col = position
    height, width = alpha.shape
    a = alpha[position]
    matrix = np.array([[a * a, a * (1 - a)], [a * (1 - a), (1 - a) ** 2]])
    right = np.array([a * image[position], (1 - a) * image[position]])
    for row_step, col_step in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        other = min(max(row + row_step, 0), height - 1), min(max(col + col_step, 0), width - 1)
        weight = regularization + gradient_weight * abs(a - alpha[other])
        matrix += weight * np.eye(2)
        right += weight * np.array([foreground[other], background[other]])
    return np.clip(np.linalg.solve(matrix, right), 0, 1)


def multilevel(
    image,
    alpha,
    *,
    red_black,
    regularization=1e-5,
    gradient_weight=1.0,
    small_size=32,
    n_small_iterations=10,
    n_large_iterations=2,
):
    image, alpha = np.asarray(image, np.float64), np.asarray(alpha, np.float64)

    def mean(mask):
        return image[mask].sum(axis=0) / (mask.sum() + 1e-5)

    foreground, background = mean(alpha > 0.9)[None, None], mean(alpha < 0.1)[None, None]
    for height, width in level_sizes(*alpha.shape):
        level_image, level_alpha = nearest(image, height, width), nearest(alpha, height, width)
        foreground, background = nearest(foreground, height, width), nearest(background, height, width)
        small = height <= small_size and width <= small_size
        raster = list(np.ndindex(height, width))
        order = sorted(raster, key=lambda position: sum(position) % 2) if red_black else raster
        for _ in range(n_small_iterations if small else n_large_iterations):
            for position in order:
                foreground[position], background[position] = update(
                    position, level_image, level_alpha, foreground, background, regularization, gradient_weight
                )
    return foreground, background


def window_means(array, size):
    """Mean over size x size pixels, the first at -(size // 2), mirrored without repeating the border."""
    before, after = size // 2, size - 1 - size // 2
    padded = np.pad(array, [(before, after), (before, after)] + [(0, 0)] * (array.ndim - 2), mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(0, 1))
    return windows.mean(axis=(-2, -1))


def blur_fusion(image, alpha, sizes=(90, 6)):
    alpha = alpha[:, :, None]
    foreground = background = image
    for size in sizes:
        coverage = window_means(alpha, size)
        mean_foreground = window_means(foreground * alpha, size) / (coverage + 1e-5)
        background = window_means(background * (1 - alpha), size) / (1 - coverage + 1e-5)
        rest = image - alpha * mean_foreground - (1 - alpha) * background
        foreground = np.clip(mean_foreground + alpha * rest, 0, 1)
    return foreground, background


def closed_form_system(alpha, regularization=1e-5):
    """The matrix of the normal equations of F and B, and what maps the image to their right-hand side."""
    height, width = alpha.shape
    n = height * width
    index = np.arange(n).reshape(height, width)
    edges = np.concatenate(
        [
            np.stack([index[:, :-1].ravel(), index[:, 1:].ravel()]),
            np.stack([index[:-1].ravel(), index[1:].ravel()]),
        ],
        axis=1,
    )
    count = edges.shape[1]
    rows = np.tile(np.arange(count), 2)
    signs = np.repeat([1.0, -1.0], count)
    difference = sparse.csr_array((signs, (rows, edges.ravel())), shape=(count, n))
    weights = regularization + np.abs(difference @ alpha.ravel())
    smoothness = 2 * difference.T @ sparse.diags_array(weights) @ difference
    mixing = sparse.hstack([sparse.diags_array(alpha.ravel()), sparse.diags_array(1 - alpha.ravel())])
    return (mixing.T @ mixing + sparse.block_diag([smoothness, smoothness])).tocsc(), mixing.T


def closed_form(image, alpha, regularization=1e-5):
    matrix, mixing = closed_form_system(alpha, regularization)
    both = spsolve(matrix, mixing @ image.reshape(-1, 3)).reshape(2, *image.shape)
    return np.clip(both[0], 0, 1), np.clip(both[1], 0, 1)
