# SPDX-License-Identifier: MIT
"""Exact distance transform against SciPy's.

    python -m pytest benchmarks/bench_distance_transform.py

The least traffic is one read of the mask and one write of the distances: 9 bytes per pixel.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

import fastsoft


def scipy(mask):
    return ndimage.distance_transform_edt(~mask)


@pytest.mark.parametrize("function", [fastsoft.distance_transform, scipy], ids=["fastsoft", "scipy"])
def test_distance_transform(benchmark, photo, function):
    mask = photo[..., 0] < 0.25
    mask[0, 0] = True
    benchmark.group = f"distance_transform {mask.shape[1]}x{mask.shape[0]}"
    result = benchmark.pedantic(function, args=(mask,), rounds=7, warmup_rounds=1)
    np.testing.assert_array_equal(result, fastsoft.distance_transform(mask))
