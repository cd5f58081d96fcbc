# SPDX-License-Identifier: MIT
"""Conjugate gradients against SciPy's, same operator, same tolerance, five right-hand sides.

pytest benchmarks/bench_pcg.py --benchmark-columns=median,iqr --benchmark-group-by=group
"""

from __future__ import annotations

import numpy as np
import pytest

import fastsoft
from fastsoft.operators import STENCIL_OFFSETS

SIZES = {"640x480": (480, 640), "1920x1080": (1080, 1920)}
TOLERANCE = 1e-5


def problem(size, dtype):
    rng = np.random.default_rng(0)
    height, width = SIZES[size]
    weights = np.zeros((13, height, width))
    row, col = np.mgrid[:height, :width]
    for plane, (dr, dc) in zip(weights, STENCIL_OFFSETS, strict=True):
        inside = (row + dr < height) & (col + dc >= 0) & (col + dc < width)
        plane[inside] = -rng.random(inside.sum())
    weights[0] = 0
    degree = -(fastsoft.StencilMatrix(weights) @ np.ones(height * width))
    weights[0] = degree.reshape(height, width) + 0.1
    b = rng.standard_normal((height * width, 5))
    return fastsoft.StencilMatrix(weights.astype(dtype)), b.astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("storage", ["stencil", "csr"])
def test_fastsoft(benchmark, size, dtype, storage):
    operator, b = problem(size, dtype)
    operator = operator if storage == "stencil" else operator.tocsr()
    benchmark.group = f"pcg {size} {dtype}"
    result = benchmark.pedantic(
        fastsoft.pcg, (operator, b), {"tolerance": TOLERANCE}, warmup_rounds=1, rounds=3 if size == "640x480" else 1
    )
    benchmark.extra_info["iterations"] = result.info.iterations


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", SIZES)
def test_scipy(benchmark, size, dtype):
    linalg = pytest.importorskip("scipy.sparse.linalg")
    operator, b = problem(size, dtype)
    matrix = operator.tocsr()
    inverse = 1 / matrix.diagonal()
    jacobi = linalg.LinearOperator(matrix.shape, matvec=lambda r: inverse * r, dtype=matrix.dtype)
    benchmark.group = f"pcg {size} {dtype}"

    def solve():
        for c in range(b.shape[1]):
            _, failed = linalg.cg(matrix, b[:, c], rtol=TOLERANCE, atol=0.0, M=jacobi)
            assert not failed

    benchmark.pedantic(solve, warmup_rounds=0, rounds=3 if size == "640x480" else 1)
