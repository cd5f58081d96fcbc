# SPDX-License-Identifier: MIT
"""Gradient magnitude against the same filters in OpenCV and SciPy.

    python -m pytest benchmarks/bench_image_gradient.py

The least traffic is one read of the image and one write of the magnitude: 16 bytes per pixel in float32.
"""

from __future__ import annotations

import numpy as np
import pytest

import fastsoft

PREFILTER = np.array([0, 7, 71, 374, 1126, 2119, 2605, 2119, 1126, 374, 71, 7, 0]) / 1e4
DERIVATIVE = np.array([-1, -19, -142, -509, -963, -878, 0, 878, 963, 509, 142, 19, 1]) / 1e4


def opencv(image):
    cv2 = pytest.importorskip("cv2")
    cv2.setNumThreads(fastsoft.num_threads())
    depth = cv2.CV_32F if image.dtype == np.float32 else cv2.CV_64F
    x = cv2.sepFilter2D(image, depth, DERIVATIVE, PREFILTER, borderType=cv2.BORDER_REPLICATE)
    y = cv2.sepFilter2D(image, depth, PREFILTER, DERIVATIVE, borderType=cv2.BORDER_REPLICATE)
    return np.sqrt((x * x + y * y).sum(axis=2))


def scipy(image):
    ndimage = pytest.importorskip("scipy.ndimage")

    def both(first, second):
        rows = ndimage.correlate1d(image, first, axis=0, mode="nearest")
        return ndimage.correlate1d(rows, second, axis=1, mode="nearest")

    x, y = both(PREFILTER, DERIVATIVE), both(DERIVATIVE, PREFILTER)
    return np.sqrt((x * x + y * y).sum(axis=2))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("function", [fastsoft.image_gradient, opencv, scipy], ids=["fastsoft", "opencv", "scipy"])
def test_image_gradient(benchmark, photo, dtype, function):
    image = photo.astype(dtype)
    benchmark.group = f"image_gradient {image.shape[1]}x{image.shape[0]} {dtype}"
    result = benchmark.pedantic(function, args=(image,), rounds=9, warmup_rounds=1)
    np.testing.assert_allclose(result, fastsoft.image_gradient(image), rtol=0, atol=1e-5)
