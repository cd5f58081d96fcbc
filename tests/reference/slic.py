# SPDX-License-Identifier: MIT
"""SLIC and SLIC0 in float64, pixel by pixel, from the paper; CIELAB from the CIE's formulas."""

from __future__ import annotations

import numpy as np


def srgb_to_lab(image):
    image = np.asarray(image, dtype=np.float64)
    linear = np.where(image <= 0.04045, image / 12.92, ((image + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array(
        [
            [0.4124564, 0.3575761, 0.1804375],
            [0.2126729, 0.7151522, 0.0721750],
            [0.0193339, 0.1191920, 0.9503041],
        ]
    )
    t = linear @ to_xyz.T / [0.95047, 1.0, 1.08883]
    f = np.where(t > 216 / 24389, np.cbrt(t), (24389 / 27 * t + 16) / 116)
    x, y, z = np.moveaxis(f, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def seed_positions(lab, n_segments):
    height, width, _ = lab.shape
    down = int(np.clip(np.rint(np.sqrt(n_segments * height / width)), 1, min(height, n_segments)))
    across = int(np.clip(np.floor(n_segments / down + 0.5), 1, width))
    cell = height / down, width / across
    padded = np.pad(lab, [(1, 1), (1, 1), (0, 0)], mode="edge")
    vertical, horizontal = padded[2:, 1:-1] - padded[:-2, 1:-1], padded[1:-1, 2:] - padded[1:-1, :-2]
    gradient = (vertical**2).sum(2) + (horizontal**2).sum(2)
    seeds = []
    for i in range(down):
        for j in range(across):
            best = int((i + 0.5) * cell[0]), int((j + 0.5) * cell[1])
            if min(cell) >= 3:
                r0, c0 = best
                for r in range(r0 - 1, r0 + 2):
                    for c in range(c0 - 1, c0 + 2):
                        if gradient[r, c] < gradient[best]:
                            best = r, c
            seeds.append(best)
    return seeds, cell


def clusters(image, n_segments, method, compactness, max_iterations):
    """Label of every pixel before connectivity is enforced, and the side lengths of the cells."""
    lab = srgb_to_lab(image)
    height, width, _ = lab.shape
    row, col = np.mgrid[:height, :width].astype(np.float64)
    seeds, cell = seed_positions(lab, n_segments)
    colors = np.array([lab[seed] for seed in seeds])
    positions = np.array(seeds, dtype=np.float64)
    area = cell[0] * cell[1]
    reach = np.ceil(cell)
    m2 = np.full(len(seeds), max(compactness, 1e-3) ** 2)
    largest = np.ones(len(seeds))
    labels = np.zeros((height, width), dtype=int)
    for _ in range(max_iterations):
        nearest = np.full((height, width), np.inf)
        windows = [(np.abs(row - r) <= reach[0]) & (np.abs(col - c) <= reach[1]) for r, c in positions]
        for k, window in enumerate(windows):
            color = ((lab - colors[k]) ** 2).sum(2)
            distance = color / m2[k] + ((row - positions[k][0]) ** 2 + (col - positions[k][1]) ** 2) / area
            claimed = window & (distance < nearest)
            nearest[claimed] = distance[claimed]
            labels[claimed] = k
        for k, window in enumerate(windows):
            own = window & (labels == k)
            if own.any():
                largest[k] = max(largest[k], ((lab[own] - colors[k]) ** 2).sum(1).max())
                colors[k] = lab[own].mean(axis=0)
                positions[k] = row[own].mean(), col[own].mean()
        if method == "slic0":
            m2 = largest.copy()
    return labels, cell


def number_densely(labels):
    order = {}
    return np.array([order.setdefault(label, len(order)) for label in labels.ravel()]).reshape(labels.shape)


def connect(labels, min_size):
    """Merge 4-connected pieces below min_size as cpp/include/fastsoft/slic.hpp says."""
    height, width = labels.shape
    out = np.full(labels.shape, -1)
    count, size_of_first = 0, 0
    for r in range(height):
        for c in range(width):
            if out[r, c] >= 0:
                continue
            piece, seen = [(r, c)], {(r, c)}
            for y, x in piece:
                for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                    inside = 0 <= v < height and 0 <= u < width
                    if inside and (v, u) not in seen and labels[v, u] == labels[r, c]:
                        seen.add((v, u))
                        piece.append((v, u))
            if count == 0 or (len(piece) >= min_size and not (count == 1 and size_of_first < min_size)):
                segment = count
                count += 1
            else:
                segment = out[r, c - 1] if c else out[r - 1, c]
            if segment == 0:
                size_of_first += len(piece)
            for pixel in piece:
                out[pixel] = segment
    return out


def slic(image, n_segments, *, method="slic0", compactness=10.0, max_iterations=10, enforce_connectivity=True):
    labels, cell = clusters(image, n_segments, method, compactness, max_iterations)
    return connect(labels, cell[0] * cell[1] / 4) if enforce_connectivity else number_densely(labels)
