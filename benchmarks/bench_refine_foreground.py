# SPDX-License-Identifier: MIT
"""Refinement of a foreground's colours, against the same updates in NumPy.

    python -m pytest benchmarks/bench_refine_foreground.py

20 updates of all pixels at full resolution and 19.4 more, in pixels of full resolution, on the coarser levels. The
NumPy side does the updates of the full resolution alone.
"""

from __future__ import annotations

import numpy as np
import pytest

import fastsoft
from benchmarks.images import soft_alpha


def red_black(foreground, alpha):
    return fastsoft.refine_foreground(foreground, alpha)


def jacobi(foreground, alpha):
    return fastsoft.refine_foreground(foreground, alpha, order="jacobi")


def numpy_full_resolution(foreground, alpha):
    q = np.pad((1 - alpha) ** 2, 1, mode="reflect")
    sides = [(slice(1, -1), slice(0, -2)), (slice(1, -1), slice(2, None))]
    sides += [(slice(0, -2), slice(1, -1)), (slice(2, None), slice(1, -1))]
    weights = [(q[1:-1, 1:-1] + q[side])[:, :, None] for side in sides]
    scale = 1 / ((alpha**2)[:, :, None] + sum(weights))
    data = (alpha**2)[:, :, None] * foreground
    colors = foreground
    for _ in range(20):
        padded = np.pad(colors, ((1, 1), (1, 1), (0, 0)), mode="reflect")
        colors = data + weights[0] * padded[sides[0]]
        for weight, side in zip(weights[1:], sides[1:], strict=True):
            colors += weight * padded[side]
        colors *= scale
    return colors


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("function", [red_black, jacobi, numpy_full_resolution])
def test_refine_foreground(benchmark, photo, dtype, function):
    height, width, _ = photo.shape
    foreground, alpha = photo.astype(dtype), soft_alpha(height, width).astype(dtype)
    benchmark.group = f"refine_foreground {width}x{height} {dtype}"
    result = benchmark.pedantic(function, args=(foreground, alpha), rounds=3, warmup_rounds=1)
    assert result.shape == foreground.shape
