# SPDX-License-Identifier: MIT
"""Constrained sparsification, 40 segments of 100 eigenvectors, against the same iteration in NumPy.

pytest benchmarks/bench_sparsify.py --benchmark-columns=median,iqr --benchmark-group-by=group

Full sums cost 2 * N * k^2 / 2 operations per segment and iteration. The peer runs two iterations over all pixels on
BLAS with its own threads.
"""

from __future__ import annotations

import numpy as np
import pytest

import fastsoft
from benchmarks.timing import compare

N_EIGENVECTORS = 100
N_SEGMENTS = 40


def problem(photo, dtype="float64"):
    """Smooth orthonormal vectors, the constant first, and labels by colour and position."""
    height, width, _ = photo.shape
    row, col = np.mgrid[:height, :width]
    order = sorted((i * i + j * j, i, j) for i in range(40) for j in range(40))[:N_EIGENVECTORS]
    vectors = np.empty((N_EIGENVECTORS, height * width), dtype=dtype)
    for number, (_, i, j) in enumerate(order):
        wave = np.cos(np.pi * i * (row + 0.5) / height) * np.cos(np.pi * j * (col + 0.5) / width)
        vectors[number] = (wave / np.linalg.norm(wave)).ravel()
    values = np.array([squares * 1e-6 for squares, _, _ in order], dtype=dtype)
    features = np.dstack([photo, row / height, col / width]).reshape(-1, 5)
    centres = features[np.linspace(0, len(features) - 1, N_SEGMENTS).astype(int)]
    distance = (features**2).sum(axis=1)[:, None] - 2 * features @ centres.T + (centres**2).sum(axis=1)
    return vectors.T, values, distance.argmin(axis=1).reshape(height, width)


def numpy_iterations(vectors, values, labels, n_iterations):
    """The authors' iteration; see tests/reference/sparsify.py for the derivation of the small system."""
    alpha = np.eye(labels.max() + 1, dtype=vectors.dtype)[labels.ravel()]
    k = vectors.shape[1]
    constant = vectors.sum(axis=0)
    for _ in range(n_iterations):
        e0, e1 = (0.3**0.8 * np.maximum(np.abs(distance), 1e-10) ** -1.2 for distance in (alpha, alpha - 1))
        matrices = [vectors.T @ ((a + b)[:, None] * vectors) + np.diag(values) for a, b in zip(e0.T, e1.T, strict=True)]
        inverses = [np.linalg.inv(matrix) for matrix in matrices[:-1]]
        right = [vectors.T @ column + vectors.T @ e0[:, -1] + values * constant for column in e1.T[:-1]]
        wanted = sum(inverse @ b for inverse, b in zip(inverses, right, strict=True))
        total = np.linalg.solve(np.eye(k) + sum(inverses) @ matrices[-1], wanted)
        coefficients = [inverse @ (b - matrices[-1] @ total) for inverse, b in zip(inverses, right, strict=True)]
        alpha = vectors @ np.array(coefficients).T
        alpha = np.column_stack([alpha, 1 - alpha.sum(axis=1)])
    return alpha


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_default(benchmark, photo, dtype):
    vectors, values, labels = problem(photo, dtype)
    benchmark.group = f"sparsify_segments {photo.shape[1]}x{photo.shape[0]}"
    result = benchmark.pedantic(fastsoft.sparsify_segments, (vectors, values, labels), rounds=3, warmup_rounds=1)
    benchmark.extra_info["samples"] = result.n_samples
    benchmark.extra_info["segments"] = result.segments.shape[1]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_exact(benchmark, vga_photo, dtype, record_property):
    vectors, values, labels = problem(vga_photo, dtype)
    benchmark.group = f"sparsify_segments {vga_photo.shape[1]}x{vga_photo.shape[0]}"
    result = benchmark.pedantic(fastsoft.sparsify_segments, (vectors, values, labels), {"exact": True}, rounds=1)
    sampled = fastsoft.sparsify_segments(vectors, values, labels)
    both = np.intersect1d(result.kept, sampled.kept)
    one, other = (r.segments[:, np.searchsorted(r.kept, both)] for r in (result, sampled))
    difference = float(np.abs(one - other).mean())
    record_property("sample_difference", difference)
    print(
        f"\nsample of {sampled.n_samples}: mean difference {difference:.1e} in {len(both)} common segments of "
        f"{len(result.kept)} and {len(sampled.kept)}; energy {sampled.energy / result.energy - 1:+.1e}"
    )


def test_in_turns(vga_photo, record_property):
    vectors, values, labels = problem(vga_photo)
    iterations = 2
    result = compare(
        lambda: fastsoft.sparsify_segments(
            vectors, values, labels, method="compat", n_iterations=iterations, prune_threshold=0
        ),
        lambda: numpy_iterations(vectors, values, labels, iterations),
        rounds=3,
        warmup=0,
        budget=20,
    )
    record_property("ratio", result.ratio.median)
    rate = iterations * N_SEGMENTS * vectors.size * N_EIGENVECTORS / result.ours.median / 1e9
    print(
        f"\ncompat {vga_photo.shape[1]}x{vga_photo.shape[0]}, {iterations} iterations: {result.ours:.2f} s ({rate:.0f} "
        f"GFLOP/s), NumPy {result.peer:.2f} s, ratio {result.ratio:.1f}"
    )
    ours = fastsoft.sparsify_segments(vectors, values, labels, method="compat", n_iterations=2, prune_threshold=0)
    np.testing.assert_allclose(ours.segments, numpy_iterations(vectors, values, labels, 2), atol=1e-6)
