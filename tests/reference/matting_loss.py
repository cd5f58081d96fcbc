# SPDX-License-Identifier: MIT
"""Multi-scale loss of matting, pixel by pixel in float64."""

from __future__ import annotations

import math


def pooled(plane, mean):
    """Mean or maximum of 2x2 windows of a list of rows; what does not fill a window is left out."""
    out = []
    for row in range(len(plane) // 2):
        line = []
        for col in range(len(plane[0]) // 2):
            window = [plane[2 * row + i][2 * col + j] for i in (0, 1) for j in (0, 1)]
            line.append(sum(window) / 4 if mean else max(window))
        out.append(line)
    return out


def matting_loss(prediction, alpha, unknown, *, forgive, fractional):
    """Loss of arrays (N, H, W)."""
    differences, weights = [], []
    for p, a, u in zip(prediction.tolist(), alpha.tolist(), unknown.tolist(), strict=True):
        rows = []
        for p_row, a_row, u_row in zip(p, a, u, strict=True):
            line = []
            for x, y, m in zip(p_row, a_row, u_row, strict=True):
                d = x - y
                if forgive and ((y > 0.999 and x > 1) or (y < 0.001 and x < 0)):
                    d = 0.0
                line.append(d if fractional or m else 0.0)
            rows.append(line)
        differences.append(rows)
        weights.append(u)
    total = 0.0
    for level in range(5):
        if level:
            differences = [pooled(d, True) for d in differences]
            weights = [pooled(w, fractional) for w in weights]
        above = below = 0.0
        for d, w in zip(differences, weights, strict=True):
            for d_row, w_row in zip(d, w, strict=True):
                for x, m in zip(d_row, w_row, strict=True):
                    above += math.sqrt(x * x + 1e-6) * m
                    below += m
        total += above / (below + 1 if fractional else max(below, 1)) / 2**level
    return total
