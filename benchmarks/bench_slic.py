# SPDX-License-Identifier: MIT
"""SLIC0 and SLIC with 2500 segments and ten iterations against scikit-image and OpenCV-contrib.

    python -m pytest benchmarks/bench_slic.py

All convert to CIELAB and enforce connectivity within the time measured; OpenCV takes 8-bit images.
"""

from __future__ import annotations

import numpy as np
import pytest

import fastsoft

N_SEGMENTS = 2500


def run_fastsoft(image, method):
    return fastsoft.slic(image, N_SEGMENTS, method=method)


def run_skimage(image, method):
    segmentation = pytest.importorskip("skimage.segmentation")
    return segmentation.slic(image, N_SEGMENTS, compactness=10, max_num_iter=10, slic_zero=method == "slic0")


def run_opencv(image, method):
    ximgproc = pytest.importorskip("cv2.ximgproc")
    cv2 = pytest.importorskip("cv2")
    cv2.setNumThreads(fastsoft.num_threads())
    lab = cv2.cvtColor((image * 255).astype(np.uint8), cv2.COLOR_RGB2Lab)
    side = round((image.shape[0] * image.shape[1] / N_SEGMENTS) ** 0.5)
    algorithm = ximgproc.SLICO if method == "slic0" else ximgproc.SLIC
    superpixels = ximgproc.createSuperpixelSLIC(lab, algorithm, max(side, 2), 10.0)
    superpixels.iterate(10)
    superpixels.enforceLabelConnectivity()
    return superpixels.getLabels()


@pytest.mark.parametrize("method", ["slic0", "slic"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("function", [run_fastsoft, run_skimage, run_opencv], ids=["fastsoft", "skimage", "opencv"])
def test_slic(benchmark, photo, method, dtype, function):
    image = photo.astype(dtype)
    benchmark.group = f"{method} {image.shape[1]}x{image.shape[0]} {dtype}"
    labels = benchmark.pedantic(function, args=(image, method), rounds=5, warmup_rounds=1)
    assert 0.5 * N_SEGMENTS < labels.max() < 1.5 * N_SEGMENTS or image.size < 10 * N_SEGMENTS
