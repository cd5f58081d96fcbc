# SPDX-License-Identifier: MIT
"""Exact recomposition of seven layers, against the same rounds in NumPy.

    python -m pytest benchmarks/bench_project_colors.py

The least traffic is one read of alphas, colours and photograph and one write of the colours: 208 bytes per pixel with
seven layers in float32. Arrays are planar, as the networks leave them.
"""

from __future__ import annotations

import numpy as np
import pytest

import fastsoft

N_LAYERS = 7
ROWS = 4


def in_numpy(alphas, colors, image):
    out = np.empty_like(colors)
    # Strips of a few rows, whose temporaries stay in the cache, are the fastest.
    for first in range(0, len(alphas), ROWS):
        rows = slice(first, first + ROWS)
        a, total = alphas[rows], alphas[rows].sum(axis=2)
        for channel in range(3):
            u, c = colors[rows, :, :, channel], image[rows, :, channel]
            bound = (c > (a * u).sum(axis=2)).astype(u.dtype)
            held = np.zeros(u.shape, dtype=bool)
            size = np.zeros_like(total)
            for _ in range(N_LAYERS + 1):
                square = np.where(held, 0, a * a).sum(axis=2)
                missing = c - (a * np.where(held, bound[:, :, None], u)).sum(axis=2)
                found = np.where(square > 1e-30, missing / np.maximum(square, 1e-30), size)
                size = np.where(bound > 0, np.maximum(found, size), np.minimum(found, size))
                value = u + size[:, :, None] * a
                more = held | (value > 1) | (value < 0)
                if (more == held).all():
                    break
                held = more
            out[rows, :, :, channel] = value.clip(0, 1)
    return out


def problem(image):
    """Alphas, slightly wrong colours and the photograph."""
    rng = np.random.default_rng(0)
    height, width, _ = image.shape
    alphas = rng.dirichlet(np.full(N_LAYERS, 0.2), (height, width)).astype(image.dtype)
    alphas = np.ascontiguousarray(alphas.transpose(2, 0, 1)).transpose(1, 2, 0)
    noise = rng.normal(0, 0.05, (N_LAYERS, 3, height, width)).astype(image.dtype)
    return alphas, np.clip(noise.transpose(2, 3, 0, 1) + image[:, :, None], 0, 1), image


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("function", [fastsoft.project_colors, in_numpy], ids=["fastsoft", "numpy"])
def test_project_colors(benchmark, photo, dtype, function):
    alphas, colors, image = problem(photo.astype(dtype))
    benchmark.group = f"project_colors {image.shape[1]}x{image.shape[0]} {dtype}"
    result = benchmark.pedantic(function, args=(alphas, colors, image), rounds=9, warmup_rounds=1)
    np.testing.assert_allclose((alphas[:, :, :, None] * result).sum(axis=2), image, rtol=0, atol=1e-5)
