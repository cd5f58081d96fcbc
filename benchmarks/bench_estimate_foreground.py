# SPDX-License-Identifier: MIT
"""Foreground colours by every method, against PyMatting and, for blur fusion, OpenCV.

    python -m pytest benchmarks/bench_estimate_foreground.py

The least traffic of the multi-level method is one read of photograph and alpha and one write of the foreground: 28
bytes per pixel in float32. Values are compared in tests/ops/test_estimate_foreground.py.
"""

from __future__ import annotations

import numpy as np
import pytest

import fastsoft
from benchmarks.images import soft_alpha

N_LAYERS = 5


def multilevel(image, alpha):
    return fastsoft.estimate_foreground(image, alpha)


def sequential(image, alpha):
    return fastsoft.estimate_foreground(image, alpha, order="sequential")


def blur_fusion(image, alpha):
    return fastsoft.estimate_foreground(image, alpha, method="blur_fusion")


def closed_form(image, alpha):
    return fastsoft.estimate_foreground(image, alpha, method="closed_form")


def pymatting_multilevel(image, alpha):
    return pytest.importorskip("pymatting").estimate_foreground_ml(image, alpha)


def pymatting_closed_form(image, alpha):
    return pytest.importorskip("pymatting").estimate_foreground_cf(image, alpha)


def opencv_blur_fusion(image, alpha):
    cv2 = pytest.importorskip("cv2")
    cv2.setNumThreads(fastsoft.num_threads())
    foreground = background = image
    alpha = alpha[:, :, None]
    for size in ((90, 90), (6, 6)):
        coverage = cv2.blur(alpha, size)[:, :, None]
        mean = cv2.blur(foreground * alpha, size) / (coverage + 1e-5)
        background = cv2.blur(background * (1 - alpha), size) / ((1 - coverage) + 1e-5)
        foreground = np.clip(mean + alpha * (image - alpha * mean - (1 - alpha) * background), 0, 1)
    return foreground


@pytest.mark.parametrize(
    "function",
    [multilevel, sequential, pymatting_multilevel, blur_fusion, opencv_blur_fusion],
    ids=lambda f: f.__name__,
)
def test_fast_methods(benchmark, photo, function):
    measure(benchmark, photo.astype(np.float32), function, rounds=9)


@pytest.mark.parametrize("function", [closed_form, pymatting_closed_form], ids=lambda f: f.__name__)
def test_closed_form(benchmark, vga_photo, function):
    measure(benchmark, vga_photo, function, rounds=1)


def test_many_layers(benchmark, photo):
    image = photo.astype(np.float32)
    height, width, _ = image.shape
    alphas = np.random.default_rng(0).dirichlet(np.full(N_LAYERS, 0.3), (height, width)).astype(np.float32)
    benchmark.group = f"estimate_foreground {width}x{height} {N_LAYERS} layers"
    result = benchmark.pedantic(multilevel, args=(image, alphas), rounds=3, warmup_rounds=1)
    assert result.shape == (height, width, N_LAYERS, 3)


def measure(benchmark, image, function, rounds):
    height, width, _ = image.shape
    alpha = soft_alpha(height, width).astype(image.dtype)
    benchmark.group = f"estimate_foreground {width}x{height}"
    result = benchmark.pedantic(function, args=(image, alpha), rounds=rounds, warmup_rounds=1)
    assert result.shape == image.shape
