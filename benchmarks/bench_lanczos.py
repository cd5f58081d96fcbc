# SPDX-License-Identifier: MIT
"""Smallest 100 eigenpairs of the matrix of semantic soft segmentation, beside SciPy's ARPACK on sparse factors.

python -m pytest benchmarks/bench_lanczos.py
"""

from __future__ import annotations

import numpy as np
import pytest

import fastsoft
from benchmarks import cases


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_smallest_eigenvectors(benchmark, photo, dtype):
    operator = cases.semantic_laplacian(photo.astype(np.dtype(dtype)))
    benchmark.group = f"smallest_eigenvectors {photo.shape[1]}x{photo.shape[0]}"
    pairs = benchmark.pedantic(fastsoft.smallest_eigenvectors, args=(operator, cases.N_EIGENVECTORS), rounds=1)
    benchmark.extra_info["residual"] = pairs.info.residual
    benchmark.extra_info["factor_bytes"] = pairs.factor_bytes
    assert pairs.info.residual <= 1e-5


def test_scipy_arpack(benchmark, photo):
    benchmark.group = f"smallest_eigenvectors {photo.shape[1]}x{photo.shape[0]}"
    peers = cases.smallest_eigenvectors(photo).peers
    peer = next(run for name, run in peers.items() if name.startswith("ARPACK"))
    benchmark.pedantic(peer, rounds=1)
