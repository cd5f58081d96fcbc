# SPDX-License-Identifier: MIT
"""Relaxed sparsification of five layers against the authors' iteration in SciPy.

pytest benchmarks/bench_relax.py --benchmark-columns=median,iqr --benchmark-group-by=group

The peer builds the matrix of Eq. 17 once and solves every round with SciPy's conjugate gradients without a
preconditioner, tolerance 1e-6, as the authors' program does. It runs at 640x480 only.
"""

from __future__ import annotations

import numpy as np
import pytest

import fastsoft
from benchmarks.timing import seconds


def problem(photo, dtype="float64"):
    """Layers by colour distance to five pixels, matting Laplacian, gradient."""
    image = photo.astype(dtype)
    height, width, _ = image.shape
    centres = image.reshape(-1, 3)[np.linspace(0, height * width - 1, 5).astype(int)]
    distance = np.stack([((image - centre) ** 2).sum(axis=2) for centre in centres], axis=-1)
    layers = np.exp(-(distance - distance.min(axis=2, keepdims=True)) / 0.02)
    layers /= layers.sum(axis=2, keepdims=True)
    laplacian = fastsoft.matting_laplacian(image, storage="stencil")
    return layers.astype(dtype), laplacian, fastsoft.image_gradient(image)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("storage", ["stencil", "csr"])
def test_fastsoft(benchmark, photo, dtype, storage):
    layers, laplacian, gradient = problem(photo, dtype)
    laplacian = laplacian if storage == "stencil" else laplacian.tocsr()
    benchmark.group = f"relax_segments {photo.shape[1]}x{photo.shape[0]}"
    result = benchmark.pedantic(fastsoft.relax_segments, (layers, laplacian, gradient), rounds=3, warmup_rounds=1)
    benchmark.extra_info["iterations"] = sum(info.iterations for info in result.info)
    benchmark.extra_info["Mpixel/s"] = gradient.size / benchmark.stats["median"] / 1e6


def authors(layers, laplacian, gradient):
    """Return the authors' iteration as a call, with the matrix that does not change made beforehand."""
    from scipy import sparse
    from scipy.sparse import linalg

    n = gradient.size
    target = np.where(layers < 0.1, 0, np.where(layers > 0.9, 1, layers))
    target = np.moveaxis(target / target.sum(axis=2, keepdims=True), 2, 0).ravel()
    exponent = np.tile(np.minimum(0.9 + gradient.ravel(), 1) - 2, 5)
    sum_matrix = sparse.hstack([sparse.eye_array(n)] * 5)
    fixed = sparse.block_diag([laplacian.tocsr()] * 5) + sparse.eye_array(5 * n)
    fixed = (fixed + 100 * (sum_matrix.T @ sum_matrix)).tocsr()

    def run():
        a = target
        for _ in range(20):
            u, v = (np.maximum(np.abs(distance), 1e-2) ** exponent for distance in (a, 1 - a))
            a, _ = linalg.cg(fixed + sparse.diags_array(u + v), v + target + 100, a, rtol=1e-6, maxiter=100)
        a = linalg.cg(fixed, a + 100, a, rtol=1e-6, maxiter=1000)[0]
        return np.moveaxis(a.reshape(5, *gradient.shape), 0, 2)

    return run


def test_in_turns(vga_photo, record_property):
    layers, laplacian, gradient = problem(vga_photo)
    in_scipy = authors(layers, laplacian, gradient)
    results = {}

    def ours():
        results["ours"] = fastsoft.relax_segments(layers, laplacian, gradient).segments

    def peer():
        results["peer"] = in_scipy()

    times = seconds(ours), seconds(peer), seconds(ours)
    ratio = times[1] / np.mean(times[::2])
    record_property("ratio", ratio)
    difference = np.abs(results["ours"] - results["peer"])
    print(
        f"\n{vga_photo.shape[1]}x{vga_photo.shape[0]}: {times[0]:.2f} and {times[2]:.2f} s, SciPy {times[1]:.1f} s, "
        f"ratio {ratio:.1f}; difference {difference.max():.1e} maximum, {difference.mean():.1e} mean"
    )
    assert difference.mean() <= 1e-4
