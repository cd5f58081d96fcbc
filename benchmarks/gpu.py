# SPDX-License-Identifier: MIT
"""Times of operations and pipelines on a CUDA device, operations beside what a copy of the same bytes takes.

    python -m benchmarks.gpu [--output FILE]

Arrays are torch's and stay on the device. Each time is the median of several runs by CUDA events, with quartiles; the
second-level cache is overwritten before each. `kernels` is the native call alone, `call` the public function with its
checks, which read the image once more. Least bytes: inputs read once and outputs written once. The share is that of the
bandwidth of a copy on the same device, which is measured first.

Pipelines: photograph on the device to layers on the device, waiting for the device at both ends; the best of three runs
after one that is not counted. Features and palettes are given.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import fastsoft
from benchmarks.images import synthetic_photo
from benchmarks.timing import Band
from fastsoft._dispatch import find_place
from fastsoft.operators import operator_terms

SIZES = ((480, 640), (1080, 1920), (2160, 3840))
DTYPES = ("float32", "float64")
ROUNDS = 15
FLUSH_BYTES = 512 * 2**20


def milliseconds(torch: Any, run: Callable[[], Any]) -> Band:
    """Time calls one by one on an idle device with a cold cache."""
    flush = torch.empty(FLUSH_BYTES // 4, dtype=torch.float32, device="cuda")
    run()
    samples = []
    for _ in range(ROUNDS):
        flush.fill_(1.0)
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        begin.record()
        run()
        end.record()
        torch.cuda.synchronize()
        samples.append(begin.elapsed_time(end))
    return Band.of(samples)


def copy_bandwidth(torch: Any) -> float:
    """Return bytes per second, read and written, of a copy of 1 GiB."""
    source = torch.ones(2**28, dtype=torch.float32, device="cuda")
    target = torch.empty_like(source)
    return 2 * source.nbytes / (milliseconds(torch, lambda: target.copy_(source)).median * 1e-3)


def operations(image: Any) -> dict[str, tuple[int, Callable[[], Any], Callable[[], Any]]]:
    """Return name -> (numbers per pixel at least, native call, public call)."""
    place = find_place(image=image)
    array = place.read(image, "image")
    height, width, _ = image.shape
    plane = place.empty((height, width), array.dtype)
    planes = place.empty((height, width, 3), array.dtype)
    weights = place.empty((13, height, width), array.dtype)
    native = place.native
    laplacian = fastsoft.matting_laplacian(image, storage="stencil")
    terms = operator_terms(laplacian, array.dtype, place=place)
    vectors, products = (place.empty((8, height * width), array.dtype) for _ in range(2))
    place.assign(vectors, 1)
    return {
        "image_gradient": (
            4,
            lambda: native.image_gradient(array, plane),
            lambda: fastsoft.image_gradient(image),
        ),
        "guided_filter, 3 channels, radius 10": (
            9,
            lambda: native.guided_filter(array, array, planes, 10, 1e-2, math.inf, None),
            lambda: fastsoft.guided_filter(image, image, radius=10, epsilon=1e-2),
        ),
        "matting_laplacian, stencil": (
            16,
            lambda: native.matting_laplacian_stencil(array, False, 1e-7, weights),
            lambda: fastsoft.matting_laplacian(image, storage="stencil"),
        ),
        "StencilMatrix times 8 vectors": (
            29,
            lambda: native.operator_apply(terms, vectors, products),
            lambda: laplacian @ place.from_planar(vectors),
        ),
    }


def cosine_vectors(image: Any) -> tuple[Any, Any]:
    """Return 100 eigenvectors (N, 100) of the Laplacian of the pixel grid, in planes, and their eigenvalues."""
    torch = sys.modules["torch"]
    height, width, _ = image.shape
    planes = torch.empty((100, height, width), dtype=image.dtype, device=image.device)
    values = np.empty(100)
    for k in range(100):
        frequencies = (k // 10 / height, k % 10 / width)
        waves = [
            torch.cos(math.pi * frequency * (torch.arange(extent, dtype=image.dtype, device=image.device) + 0.5))
            for frequency, extent in zip(frequencies, (height, width), strict=True)
        ]
        planes[k] = torch.outer(*(wave / wave.norm() for wave in waves))
        values[k] = sum(2 - 2 * math.cos(math.pi * frequency) for frequency in frequencies)
    return planes.reshape(100, -1).T, values


def dense_sums(vectors: Any) -> Callable[[], Any]:
    """Return the native call that forms the sums of one iteration of "compat": n k (k + 1) operations per segment."""
    place = find_place(vectors=vectors)
    planes = place.read(vectors.T, "vectors")
    k, count = vectors.shape[1], 40
    matrices, right, last = np.empty((count, k * (k + 1) // 2)), np.empty((count, k)), np.empty(k)
    weighting = (False, 1e-3, -1.2, 0.38, 1500.0, 0.0)
    segments = (np.random.default_rng(0).random((count, k)), np.zeros(count))
    arguments = (planes, None, None, None, *weighting, *segments, matrices, right, last)
    return lambda: place.native.sparsify_sums(*arguments)


def public_calls(image: Any) -> dict[str, Callable[[], Any]]:
    """Return name -> call of operations whose least bytes say little."""
    torch = sys.modules["torch"]
    height, width, _ = image.shape
    rows = torch.linspace(0, 1, height, dtype=image.dtype, device=image.device)[:, None]
    alpha = rows.expand(height, width).contiguous()
    layers = torch.stack([alpha, 1 - alpha], dim=2)
    colors = torch.stack([image, 1 - image], dim=2)
    vectors, values = cosine_vectors(image)
    columns = torch.arange(width, device=image.device)[None, :] * 4 // width
    labels = torch.arange(height, device=image.device)[:, None] * 5 // height * 4 + columns
    sparsify = partial(fastsoft.sparsify_segments, vectors, values, labels, n_iterations=12)
    laplacian = fastsoft.matting_laplacian(image, epsilon=1e-2, storage="stencil")
    identity = torch.zeros((13, height, width), dtype=image.dtype, device=image.device)
    identity[0] = 1
    system = laplacian + fastsoft.StencilMatrix(identity)
    gradient = fastsoft.image_gradient(image)
    # 2500 superpixels, 50 by 50, or as many as there are pixels along a side.
    down = torch.arange(height, device=image.device)[:, None] * min(50, height) // height
    superpixels = (down * min(50, width) + torch.arange(width, device=image.device) * min(50, width) // width).int()
    graph = fastsoft.superpixel_graph(superpixels)
    means = fastsoft.region_means(image, superpixels, graph.n_superpixels)
    far = fastsoft.color_affinity(graph, means, threshold=0.3)
    return {
        "superpixel_graph, 2500 superpixels": lambda: fastsoft.superpixel_graph(superpixels),
        "region_means, 3 channels": lambda: fastsoft.region_means(image, superpixels, graph.n_superpixels),
        "color_affinity, 2500 superpixels": lambda: fastsoft.color_affinity(graph, means),
        "semantic_affinity, 2500 superpixels": lambda: fastsoft.semantic_affinity(graph, means),
        "graph_laplacian, stencil and two sparse": lambda: fastsoft.graph_laplacian(
            [laplacian, far, far], weights=[-1.0, 0.01, 0.01]
        ),
        "sparsify_segments, 100 vectors, 20 segments, 12 iterations, sampled": sparsify,
        "sparsify_segments, 100 vectors, 20 segments, 12 iterations, all pixels": partial(sparsify, exact=True),
        "sparsify_sums, 100 vectors, 40 segments, every pixel counts": dense_sums(vectors),
        "pcg, 3 right-hand sides": lambda: fastsoft.pcg(system, image.reshape(-1, 3), tolerance=1e-4),
        "relax_segments, 2 layers": lambda: fastsoft.relax_segments(layers, laplacian, gradient, n_iterations=5),
        "slic, 2500 superpixels": lambda: fastsoft.slic(image, min(2500, height * width // 41)),
        "estimate_foreground, multi-level": lambda: fastsoft.estimate_foreground(image, alpha),
        "project_colors, 2 layers": lambda: fastsoft.project_colors(layers, colors, image),
        "kmeans, 7 clusters, one start": lambda: fastsoft.kmeans(image.reshape(-1, 3), 7, n_init=1),
    }


def pipelines(image: Any) -> dict[str, Callable[[], Any]]:
    """Return name -> call that returns layers."""
    features = fastsoft.guided_filter(image, image, radius=10, epsilon=1e-2).clamp(0, 1)
    palette = np.array([[0, 0, 0], [1, 1, 1], [0.8, 0.1, 0.1], [0.1, 0.6, 0.1], [0.1, 0.1, 0.8], [0.9, 0.9, 0.2]])
    return {
        "segment, features given": lambda: fastsoft.segment(image, features=features),
        "decompose_colors, 6 colours": lambda: fastsoft.decompose_colors(image, palette),
    }


def pipeline_table(torch: Any) -> str:
    """Measure whole pipelines and return them as Markdown."""
    lines = ["| pipeline | size | seconds | slowest stages |", "| --- | --- | --- | --- |"]
    for height, width in SIZES:
        image = torch.from_numpy(synthetic_photo(height, width).astype(np.float32)).cuda()
        for name, run in pipelines(image).items():
            best, timings = math.inf, {}
            for turn in range(4):
                torch.cuda.synchronize()
                started = time.perf_counter()
                layers = run()
                torch.cuda.synchronize()
                seconds = time.perf_counter() - started
                if turn > 0 and seconds < best:
                    best, timings = seconds, layers.timings
                del layers
            slowest = sorted(timings.items(), key=lambda item: -item[1])[:4]
            stages = ", ".join(f"{stage} {spent:.3f} s" for stage, spent in slowest)
            lines.append(f"| {name} | {width}x{height} | {best:.3f} | {stages} |")
    return "\n".join(lines) + "\n"


def table(torch: Any) -> str:
    """Measure everything and return it as Markdown."""
    bandwidth = copy_bandwidth(torch)
    lines = [
        f"`python -m benchmarks.gpu` on {torch.cuda.get_device_name()}: a copy moves {bandwidth / 1e9:.0f} GB/s.",
        "",
        "| operation | size | dtype | kernels, ms | GB/s by least bytes | share of copy | call, ms |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for height, width in SIZES:
        for dtype in DTYPES:
            image = torch.rand(height, width, 3, dtype=getattr(torch, dtype), device="cuda")
            for name, (numbers, kernels, call) in operations(image).items():
                native, public = milliseconds(torch, kernels), milliseconds(torch, call)
                rate = numbers * height * width * image.element_size() / (native.median * 1e-3)
                lines.append(
                    f"| {name} | {width}x{height} | {dtype} | {native:.3f} | {rate / 1e9:.0f} | {rate / bandwidth:.0%} "
                    f"| {public:.3f} |"
                )
            for name, call in public_calls(image).items():
                public = milliseconds(torch, call)
                lines.append(f"| {name} | {width}x{height} | {dtype} | | | | {public:.3f} |")
    return "\n".join(lines) + "\n\n" + pipeline_table(torch)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, help="file to write the table to, too")
    arguments = parser.parse_args()
    import torch

    if not torch.cuda.is_available():
        print("benchmarks.gpu: torch sees no CUDA device", file=sys.stderr)
        return 1
    text = table(torch)
    print(text)
    if arguments.output is not None:
        arguments.output.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
