# SPDX-License-Identifier: MIT
"""Guided filter with a colour guide against OpenCV-contrib.

    python -m pytest benchmarks/bench_guided_filter.py

The least traffic is one read of the source and one write of the output: 1 KiB per pixel with 128 float32
channels. Values are not compared: OpenCV reflects the picture at its border, fastsoft cuts the windows.
"""

from __future__ import annotations

import numpy as np
import pytest

import fastsoft


def opencv(guide, source):
    ximgproc = pytest.importorskip("cv2.ximgproc")
    cv2 = pytest.importorskip("cv2")
    cv2.setNumThreads(fastsoft.num_threads())
    return ximgproc.guidedFilter(guide, source, 5, 1e-2)


@pytest.mark.parametrize("channels", [1, 3, 128])
@pytest.mark.parametrize("function", [fastsoft.guided_filter, opencv], ids=["fastsoft", "opencv"])
def test_float32(benchmark, photo, function, channels):
    measure(benchmark, photo.astype(np.float32), function, channels)


@pytest.mark.parametrize("channels", [1, 3, 128])
def test_float64(benchmark, photo, channels):
    # OpenCV's guided filter works in float32 only.
    measure(benchmark, photo, fastsoft.guided_filter, channels)


def measure(benchmark, guide, function, channels):
    height, width, _ = guide.shape
    benchmark.group = f"guided_filter {width}x{height} {guide.dtype} {channels} channels"
    source = np.random.default_rng(0).random((height, width, channels), dtype=guide.dtype)
    slow = channels > 3
    benchmark.pedantic(function, args=(guide, source), rounds=3 if slow else 9, warmup_rounds=0 if slow else 1)
