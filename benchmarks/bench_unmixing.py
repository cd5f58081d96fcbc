# SPDX-License-Identifier: MIT
"""Alphas and colours of seven layers from a network's coefficients, against the same formulas in torch.

    python -m pytest benchmarks/bench_unmixing.py

The least traffic in float32: 96 bytes per pixel for the alphas, 208 for the colours. Arrays are planar.
"""

from __future__ import annotations

import numpy as np
import pytest

import fastsoft
from fastsoft.ops.unmixing import unmix_alphas, unmix_colors

N_LAYERS = 7
STEPS = 2


def in_torch(image, palette, coefficients):
    torch = pytest.importorskip("torch")
    from fastsoft.color.network_layers import LayerNetwork

    torch.set_num_threads(fastsoft.num_threads())
    network = LayerNetwork(steps=STEPS)
    picture = torch.from_numpy(image.transpose(2, 0, 1)).contiguous()[None]
    planes = torch.from_numpy(coefficients.transpose(2, 3, 0, 1))[None]
    with torch.inference_mode():
        return network.alphas(picture, torch.from_numpy(palette)[None], planes)[0].permute(1, 2, 0).numpy()


def native(image, palette, coefficients):
    out = np.empty((N_LAYERS, *image.shape[:2]), dtype=image.dtype).transpose(1, 2, 0)
    return unmix_alphas(image, palette, coefficients, steps=STEPS, out=out)


def make(photo):
    rng = np.random.default_rng(0)
    image = photo.astype(np.float32)
    height, width, _ = image.shape
    coefficients = rng.normal(0, 0.5, (N_LAYERS, 4, height // 2, width // 2)).astype(np.float32)
    return image, rng.random((N_LAYERS, 3)).astype(np.float32), coefficients.transpose(2, 3, 0, 1)


@pytest.mark.parametrize("function", [native, in_torch], ids=["fastsoft", "torch"])
def test_alphas(benchmark, photo, function):
    image, palette, coefficients = make(photo)
    benchmark.group = f"unmix_alphas {image.shape[1]}x{image.shape[0]}"
    result = benchmark.pedantic(function, args=(image, palette, coefficients), rounds=5, warmup_rounds=1)
    np.testing.assert_allclose(result, native(image, palette, coefficients), rtol=0, atol=1e-4)


def test_colors(benchmark, photo):
    image, palette, coefficients = make(photo)
    alphas = native(image, palette, coefficients)
    out = np.empty((N_LAYERS, 3, *image.shape[:2]), dtype=image.dtype).transpose(2, 3, 0, 1)
    benchmark.group = f"unmix_colors {image.shape[1]}x{image.shape[0]}"
    run = lambda: unmix_colors(image, palette, alphas, coefficients, out=out)  # noqa: E731
    benchmark.pedantic(run, rounds=9, warmup_rounds=1)
