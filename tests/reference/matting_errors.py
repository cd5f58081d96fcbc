# SPDX-License-Identifier: MIT
"""Gradient and connectivity error, pixel by pixel, from their definitions."""

from __future__ import annotations

import math
from collections import deque

import numpy as np


def gradient_magnitude(image, half_size, sigma=1.4):
    steps = np.arange(-half_size, half_size + 1)
    gauss = np.exp(-(steps**2) / (2 * sigma**2)) / (math.sqrt(2 * math.pi) * sigma)
    slope = -steps * gauss / sigma**2
    along_cols = np.outer(gauss, slope)
    along_cols /= np.sqrt((along_cols**2).sum())
    padded = np.pad(np.asarray(image, dtype=np.float64), half_size, mode="edge")
    out = np.empty(image.shape)
    for r in range(image.shape[0]):
        for c in range(image.shape[1]):
            window = padded[r : r + 2 * half_size + 1, c : c + 2 * half_size + 1]
            out[r, c] = math.hypot((window * along_cols).sum(), (window * along_cols.T).sum())
    return out


def gradient_error(alpha, truth, region, variant):
    epsilon, sigma = 0.01, 1.4
    extent = sigma * math.sqrt(-2 * math.log(math.sqrt(2 * math.pi) * sigma * epsilon))
    half_size = math.ceil(extent) if variant == "adobe" else int(extent)
    magnitudes = []
    for image in (alpha, truth):
        image = np.asarray(image, dtype=np.float64)
        if variant == "adobe" and image.max() > image.min():
            image = (image - image.min()) / (image.max() - image.min())
        magnitudes.append(gradient_magnitude(image, half_size))
    return float(((magnitudes[0] - magnitudes[1])[region] ** 2).sum()) / 1000


def components(mask):
    """4-connected components as lists of pixels, in the order in which rows meet them."""
    seen = np.zeros(mask.shape, dtype=bool)
    found = []
    for start in np.argwhere(mask):
        if seen[tuple(start)]:
            continue
        seen[tuple(start)] = True
        queue, pixels = deque([tuple(start)]), []
        while queue:
            r, c = queue.popleft()
            pixels.append((r, c))
            for at in ((r - 1, c), (r + 1, c), (r, c - 1), (r, c + 1)):
                inside = 0 <= at[0] < mask.shape[0] and 0 <= at[1] < mask.shape[1]
                if inside and mask[at] and not seen[at]:
                    seen[at] = True
                    queue.append(at)
        found.append(pixels)
    return found


def connectivity_error(alpha, truth, region, variant):
    connected = np.full(alpha.shape, -1.0)
    for k in range(1, 11):
        threshold = alpha.dtype.type(k) / alpha.dtype.type(10)
        largest = np.zeros(alpha.shape, dtype=bool)
        found = components((alpha >= threshold) & (truth >= threshold))
        if not found and variant == "lsa":
            continue
        if found:
            largest[tuple(np.array(max(found, key=len)).T)] = True
        connected[(connected == -1) & ~largest] = (k - 1) / 10
    connected[connected == -1] = 1
    phis = []
    for image in (alpha, truth):
        distance = image.astype(np.float64) - connected
        phis.append(1 - distance * (distance >= 0.15))
    return float(np.abs(phis[0] - phis[1])[region].sum()) / 1000
