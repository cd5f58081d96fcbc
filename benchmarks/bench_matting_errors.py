# SPDX-License-Identifier: MIT
"""Gradient and connectivity error against the same sums by SciPy.

    python -m pytest benchmarks/bench_matting_errors.py

SciPy filters and labels in one thread; its functions are what programs for evaluation are commonly written with.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

import fastsoft


def alphas(photo):
    truth = np.clip(1.6 * photo[..., 0] - 0.3, 0, 1)
    return np.clip(truth + 0.1 * (photo[..., 1] - 0.5), 0, 1), truth


def scipy_gradient_error(alpha, truth):
    steps = np.arange(-4, 5)
    gauss = np.exp(-(steps**2) / (2 * 1.4**2))
    slope = -steps * gauss
    gauss, slope = gauss / np.linalg.norm(gauss), slope / np.linalg.norm(slope)
    magnitudes = []
    for image in (alpha, truth):
        image = (image - image.min()) / (image.max() - image.min())
        x = ndimage.correlate1d(ndimage.correlate1d(image, slope, 1, mode="nearest"), gauss, 0, mode="nearest")
        y = ndimage.correlate1d(ndimage.correlate1d(image, slope, 0, mode="nearest"), gauss, 1, mode="nearest")
        magnitudes.append(np.hypot(x, y))
    return np.square(magnitudes[0] - magnitudes[1]).sum() / 1000


def scipy_connectivity_error(alpha, truth):
    connected = np.full(alpha.shape, -1.0)
    for k in range(1, 11):
        labels, n = ndimage.label((alpha >= k / 10) & (truth >= k / 10))
        largest = labels == np.argmax(np.bincount(labels.ravel())[1:]) + 1 if n else np.zeros(alpha.shape, dtype=bool)
        connected[(connected == -1) & ~largest] = (k - 1) / 10
    connected[connected == -1] = 1
    a, b = alpha - connected, truth - connected
    return np.abs(a * (a >= 0.15) - b * (b >= 0.15)).sum() / 1000


@pytest.mark.parametrize("library", ["fastsoft", "scipy"])
@pytest.mark.parametrize("measure", ["gradient", "connectivity"])
def test_matting_errors(benchmark, photo, library, measure):
    alpha, truth = alphas(photo)
    ours = {"gradient": fastsoft.gradient_error, "connectivity": fastsoft.connectivity_error}[measure]
    theirs = {"gradient": scipy_gradient_error, "connectivity": scipy_connectivity_error}[measure]
    benchmark.group = f"{measure} error {photo.shape[1]}x{photo.shape[0]}"
    result = benchmark.pedantic(ours if library == "fastsoft" else theirs, (alpha, truth), rounds=5, warmup_rounds=1)
    assert result == pytest.approx(ours(alpha, truth), rel=1e-9)
