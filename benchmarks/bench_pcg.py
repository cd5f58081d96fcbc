# SPDX-License-Identifier: MIT
"""Conjugate gradients against SciPy's, with the same operator, Jacobi preconditioner, tolerance and right-hand sides.

pytest benchmarks/bench_pcg.py --benchmark-columns=median,iqr --benchmark-group-by=group
"""

from __future__ import annotations

import numpy as np
import pytest

import fastsoft
from benchmarks.timing import compare

TOLERANCE = 1e-5


def problem(photo, dtype):
    """Matting Laplacian of the photo plus 0.01 times the identity, random right-hand sides."""
    laplacian = fastsoft.matting_laplacian(photo, storage="stencil")
    weights = laplacian.weights.copy()
    weights[0] += 0.01
    b = np.random.default_rng(0).standard_normal((weights[0].size, 5))
    return fastsoft.StencilMatrix(weights.astype(dtype)), b.astype(dtype)


def scipy_cg(matrix, b):
    linalg = pytest.importorskip("scipy.sparse.linalg")
    inverse = 1 / matrix.diagonal()
    jacobi = linalg.LinearOperator(matrix.shape, matvec=lambda r: inverse * r, dtype=matrix.dtype)
    x = np.empty_like(b)
    for c in range(b.shape[1]):
        x[:, c], failed = linalg.cg(matrix, b[:, c], rtol=TOLERANCE, atol=0.0, M=jacobi)
        assert not failed
    return x


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("storage", ["stencil", "csr"])
def test_fastsoft(benchmark, photo, dtype, storage):
    operator, b = problem(photo, dtype)
    operator = operator if storage == "stencil" else operator.tocsr()
    benchmark.group = f"pcg {photo.shape[1]}x{photo.shape[0]}"
    result = benchmark.pedantic(fastsoft.pcg, (operator, b), {"tolerance": TOLERANCE}, warmup_rounds=1, rounds=3)
    benchmark.extra_info["iterations"] = result.info.iterations


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_in_turns(vga_photo, dtype, record_property):
    operator, b = problem(vga_photo, dtype)
    matrix = operator.tocsr()
    result = compare(
        lambda: fastsoft.pcg(operator, b, tolerance=TOLERANCE), lambda: scipy_cg(matrix, b), rounds=3, warmup=0
    )
    record_property("ratio", result.ratio.median)
    print(
        f"\n{dtype} {vga_photo.shape[1]}x{vga_photo.shape[0]}: {result.ours:.2f} s, SciPy {result.peer:.2f} s, "
        f"ratio {result.ratio:.1f}"
    )
