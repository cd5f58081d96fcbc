# SPDX-License-Identifier: MIT
"""How near the stages of a segmentation come to what the machine can do; prints and writes a Markdown table.

Usage: python -m benchmarks.roofline [--sizes 640x480 1920x1080] [--threads N]

Ceilings are measured first: copying between arrays larger than the caches, and products of large matrices. For each
stage the least bytes that it must move and the operations that it must do are counted, those of the method as it is:
its floor is the longer of the two at the ceilings. The counts are explained in docs/performance.md.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import fastsoft
from benchmarks.images import SIZES, synthetic_photo
from benchmarks.report import RESULTS, head_of_results, write_results

COPY_BYTES = 2**28
MATRIX = 2048
N_EIGENVECTORS, N_SEGMENTS, N_LAYERS = 100, 20, 5
BLOCK = 16


@dataclass(frozen=True)
class Stage:
    """A measured stage: seconds, and the least bytes and operations (float32)."""

    name: str
    seconds: float
    n_bytes: float
    flops: float


def best(run: Callable[[], Any], rounds: int = 5) -> tuple[float, Any]:
    """Return the shortest of some runs and the last result."""
    shortest, result = float("inf"), None
    for _ in range(rounds):
        start = time.perf_counter()
        result = run()
        shortest = min(shortest, time.perf_counter() - start)
    return shortest, result


def copy_bandwidth(n_threads: int) -> float:
    """Return bytes per second, read and written, of copies in so many threads."""
    parts = [(np.zeros(COPY_BYTES // 8), np.ones(COPY_BYTES // 8)) for _ in range(n_threads)]
    with ThreadPoolExecutor(n_threads) as pool:
        seconds, _ = best(lambda: list(pool.map(lambda p: np.copyto(p[0], p[1]), parts)))
    return 2 * COPY_BYTES * n_threads / seconds


def product_speed(dtype: str) -> float:
    """Return operations per second of a product of large matrices, in all threads of NumPy's library."""
    a = np.random.default_rng(0).random((MATRIX, MATRIX)).astype(dtype)
    seconds, _ = best(lambda: a @ a)
    return 2 * MATRIX**3 / seconds


def stages(size: str) -> list[Stage]:
    """Run a segmentation stage by stage."""
    from fastsoft.ops import lanczos
    from fastsoft.semantic import build_laplacian, compute_affinities, compute_soft_segments
    from fastsoft.semantic.eigenvectors import Eigenvectors
    from fastsoft.semantic.pipeline import TOLERANCE

    image = synthetic_photo(*SIZES[size]).astype(np.float32)
    height, width = image.shape[:2]
    n = height * width
    found = []
    seconds, _ = best(lambda: fastsoft.matting_laplacian(image, storage="stencil"), 3)
    # A window has 45 different pairs of its 9 pixels, about 8 operations each, and a 3x3 covariance to invert.
    found.append(Stage("matting Laplacian", seconds, 4 * n * (3 + 13), n * (45 * 8 + 150)))
    seconds, gradient = best(lambda: fastsoft.image_gradient(image), 3)
    found.append(Stage("image gradient", seconds, 4 * n * (3 + 1), n * 3 * 2 * (13 + 13)))
    seconds, features = best(lambda: fastsoft.guided_filter(image, image, radius=10, epsilon=1e-2).clip(0, 1), 3)
    found.append(Stage("guided filter, 3 channels", seconds, 4 * n * (3 + 3 + 3), n * 3 * 60))
    seconds, affinities = best(lambda: compute_affinities(image, features, n_superpixels=2500), 1)
    # Ten rounds of SLIC read the image in Lab; each pixel is compared with about 9 centres.
    found.append(Stage("affinities, superpixels", seconds, 4 * n * (10 * 4 + 16), n * 10 * 9 * 10))
    laplacian = build_laplacian(affinities)
    start = time.perf_counter()
    eigen = lanczos.smallest_eigenvectors(
        laplacian.operator, N_EIGENVECTORS, grid_shape=(height, width), tolerance=TOLERANCE["stable"]
    )
    seconds = time.perf_counter() - start
    entries = eigen.factor_bytes / 4
    solves = eigen.info.iterations
    found.append(Stage("factorisation", eigen.factor_seconds, eigen.factor_bytes, eigen.factor_flops))
    found.append(Stage("solves", eigen.product_seconds, solves * 2 * eigen.factor_bytes, solves * 4 * BLOCK * entries))
    # Each block is projected and subtracted once, against two thirds of the basis in the mean.
    rows = lanczos.BASIS_SHARE * N_EIGENVECTORS * 2 / 3
    rest = seconds - eigen.factor_seconds - eigen.product_seconds
    found.append(Stage("orthogonalisation", rest, solves * 2 * rows * n * 4, solves * 4 * rows * BLOCK * n))
    pairs = Eigenvectors(eigen.eigenvalues, eigen.eigenvectors, eigen.residuals)
    start = time.perf_counter()
    soft = compute_soft_segments(features, pairs, n_segments=N_SEGMENTS, n_layers=N_LAYERS)
    # At the least, the segments are made of the eigenvectors once.
    found.append(
        Stage(
            "soft segments",
            time.perf_counter() - start,
            4 * n * (N_EIGENVECTORS + N_SEGMENTS),
            2 * n * N_EIGENVECTORS * N_SEGMENTS,
        )
    )
    start = time.perf_counter()
    relaxed = fastsoft.relax_segments(soft.grouping.layers, laplacian.operator, gradient)
    seconds = time.perf_counter() - start
    layers = soft.grouping.layers.shape[2]
    rounds = sum(info.iterations for info in relaxed.info)
    # Conjugate gradients read the stencil, and read or write ten numbers per pixel and layer.
    found.append(Stage("relaxation", seconds, rounds * 4 * n * (13 + 10 * layers), rounds * n * layers * (2 * 25 + 12)))
    return found


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=["640x480"])
    parser.add_argument("--threads", type=int, help="(default: all processors)")
    parser.add_argument("--output", type=Path, default=RESULTS / "roofline.md")
    options = parser.parse_args(arguments)
    if options.threads is not None:
        fastsoft.set_num_threads(options.threads)
    n_threads = fastsoft.num_threads()
    bandwidth = copy_bandwidth(n_threads)
    single, double = product_speed("float32"), product_speed("float64")
    lines = [
        *head_of_results("Stages of a segmentation beside what the machine can do", "benchmarks.roofline", arguments),
        f"Ceilings: copies {bandwidth / 1e9:.1f} GB/s read and written, products of matrices {single / 1e9:.0f} "
        f"(float32) and {double / 1e9:.0f} (float64) Gflop/s. Floor: the longer of bytes and operations at these. One "
        "run in float32, features given; the first three stages are the best of three.",
        "",
    ]
    for size in options.sizes:
        lines += [f"## {size}", "", "| stage | seconds | GB | Gflop | floor | bound by | share of the ceiling |"]
        lines.append("|" + " --- |" * 7)
        for stage in stages(size):
            move, work = stage.n_bytes / bandwidth, stage.flops / single
            floor = max(move, work)
            lines.append(
                f"| {stage.name} | {stage.seconds:.3f} | {stage.n_bytes / 1e9:.2f} | {stage.flops / 1e9:.1f} "
                f"| {floor:.3f} | {'bytes' if move > work else 'operations'} | {100 * floor / stage.seconds:.0f} % |"
            )
        lines.append("")
        print("\n".join(lines), flush=True)
    write_results(options.output, lines[:-1])
    return 0


if __name__ == "__main__":
    sys.exit(main())
