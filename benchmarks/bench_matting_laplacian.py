# SPDX-License-Identifier: MIT
"""Matting Laplacian against PyMatting's `cf_laplacian`, both in float64 unless named otherwise.

pytest benchmarks/bench_matting_laplacian.py --benchmark-columns=median,iqr --benchmark-group-by=group

Least traffic of the stencil in float64: 24 bytes read and 104 written per pixel; of CSR 24 and 304.
"""

from __future__ import annotations

import pytest

import fastsoft
from benchmarks.timing import compare


@pytest.mark.parametrize("storage", ["csr", "stencil"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_fastsoft(benchmark, photo, storage, dtype):
    benchmark.group = f"matting_laplacian {photo.shape[1]}x{photo.shape[0]}"
    image = photo.astype(dtype)
    benchmark.pedantic(fastsoft.matting_laplacian, (image,), {"storage": storage}, rounds=7, warmup_rounds=1)
    benchmark.extra_info["Mpixel/s"] = photo.shape[0] * photo.shape[1] / benchmark.stats["median"] / 1e6


def test_pymatting(benchmark, photo):
    pymatting = pytest.importorskip("pymatting")
    benchmark.group = f"matting_laplacian {photo.shape[1]}x{photo.shape[0]}"
    # PyMatting's compiled function takes no read-only arrays.
    benchmark.pedantic(pymatting.cf_laplacian, (photo.copy(), 1e-7, 1), rounds=5, warmup_rounds=1)
    benchmark.extra_info["Mpixel/s"] = photo.shape[0] * photo.shape[1] / benchmark.stats["median"] / 1e6


@pytest.mark.parametrize("storage", ["csr", "stencil"])
def test_in_turns(photo, storage, record_property):
    pymatting = pytest.importorskip("pymatting")
    photo = photo.copy()
    result = compare(
        lambda: fastsoft.matting_laplacian(photo, storage=storage),
        lambda: pymatting.cf_laplacian(photo, epsilon=1e-7, radius=1),
    )
    record_property("ratio", result.ratio.median)
    print(
        f"\n{storage} {photo.shape[1]}x{photo.shape[0]}: {result.ours:.3f} s, PyMatting {result.peer:.3f} s, "
        f"ratio {result.ratio:.1f}"
    )
    expected = pymatting.cf_laplacian(photo, epsilon=1e-7, radius=1)
    got = fastsoft.matting_laplacian(photo)
    assert abs(got - expected).max() <= 1e-6 * abs(expected).max()
