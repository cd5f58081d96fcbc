# SPDX-License-Identifier: MIT
"""Principal components of a picture's features against the same by BLAS, and against torch's randomised method.

    python -m pytest benchmarks/bench_principal_components.py

C channels need C^2 / 2 multiplications and additions per pixel in float64, and two reads of the features. Threads of
NumPy and torch follow OMP_NUM_THREADS.
"""

from __future__ import annotations

import numpy as np
import pytest

import fastsoft
from benchmarks.cases import features_of, numpy_pca_double, numpy_pca_single, torch_pca


@pytest.mark.parametrize(
    "function",
    [fastsoft.principal_components, numpy_pca_double, numpy_pca_single, torch_pca],
    ids=["fastsoft", "numpy-float64", "numpy-float32", "torch"],
)
@pytest.mark.parametrize("channels", [8, 128])
def test_float32(benchmark, photo, function, channels):
    values = features_of(photo, channels)
    benchmark.group = f"principal_components {photo.shape[1]}x{photo.shape[0]} float32 {channels} channels"
    benchmark.pedantic(function, args=(values, 3), rounds=3, warmup_rounds=1)


@pytest.mark.parametrize("function", [fastsoft.principal_components, numpy_pca_double], ids=["fastsoft", "numpy"])
def test_float64(benchmark, vga_photo, function):
    values = features_of(vga_photo, 128).astype(np.float64)
    benchmark.group = f"principal_components {vga_photo.shape[1]}x{vga_photo.shape[0]} float64 128 channels"
    benchmark.pedantic(function, args=(values, 3), rounds=3, warmup_rounds=1)
