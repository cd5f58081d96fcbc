# SPDX-License-Identifier: MIT
"""Every native operation on a picture of 96x64 pixels: what `benchmarks.instructions` counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

import fastsoft
from benchmarks.images import soft_alpha, synthetic_photo
from fastsoft.ops.closed_form import BACKGROUND, FOREGROUND, UNKNOWN, closed_form
from fastsoft.ops.unmixing import unmix_alphas, unmix_colors

SHAPE = (64, 96)
N_LAYERS = 4
DTYPES = ("float32", "float64")

Run = Callable[[], Any]


def small_calls() -> dict[str, Run]:
    """Return the calls by name: the operation's name in fastsoft, the variant, the dtype.

    Iterations run as often as their tolerance asks for: more rounds are more instructions, too.
    """
    # Grey levels of 8 bits, as photographs have them: NumPy's last bits do not reach what is counted.
    photo = np.round(synthetic_photo(*SHAPE) * 255) / 255
    found = dict(_calls_without_dtype())
    for name in DTYPES:
        image = photo.astype(name)
        for calls in (_stencils, _filters, _regions, _solvers, _mattes, _layers):
            found |= {f"{call}, {name}": run for call, run in calls(image)}
    return found


def _labels() -> Any:
    """Return 96 square superpixels."""
    row, col = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return (row // 8 * 12 + col // 8).astype(np.int32)


def _smooth_vectors(dtype: Any) -> Any:
    """Return sixteen orthonormal vectors (H W, 16), the constant first."""
    height, width = SHAPE
    row, col = np.mgrid[:height, :width]
    vectors = np.empty((16, height * width), dtype=dtype)
    for k in range(16):
        wave = np.cos(np.pi * (k // 4) * (row + 0.5) / height) * np.cos(np.pi * (k % 4) * (col + 0.5) / width)
        vectors[k] = (wave / np.linalg.norm(wave)).ravel()
    return vectors.T


def _calls_without_dtype() -> Iterator[tuple[str, Run]]:
    labels = _labels()
    yield "superpixel_graph", partial(fastsoft.superpixel_graph, labels)
    yield "distance_transform", partial(fastsoft.distance_transform, labels % 12 == labels // 12)


def _stencils(image: Any) -> Iterator[tuple[str, Run]]:
    for storage in ("csr", "stencil"):
        yield f"matting_laplacian {storage}", partial(fastsoft.matting_laplacian, image, storage=storage)
        affinity = fastsoft.matting_affinity(image, storage=storage)
        yield f"matting_affinity {storage}", partial(fastsoft.matting_affinity, image, storage=storage)
        yield f"graph_laplacian {storage}", partial(fastsoft.graph_laplacian, affinity)
        yield (
            f"graph_laplacian {storage} normalized",
            partial(fastsoft.graph_laplacian, affinity, normalized=True),
        )
    two = [fastsoft.matting_affinity(image, storage="csr", epsilon=epsilon) for epsilon in (1e-7, 1e-2)]
    yield "graph_laplacian of two csr", partial(fastsoft.graph_laplacian, two, weights=[1.0, 0.5])
    matrix = fastsoft.matting_laplacian(image, storage="stencil") + fastsoft.matting_laplacian(image, radius=2)
    vectors = _smooth_vectors(image.dtype)
    yield "OperatorSum product", partial(matrix.__matmul__, vectors)
    yield "OperatorSum diagonal", matrix.diagonal


def _filters(image: Any) -> Iterator[tuple[str, Run]]:
    many = np.concatenate([image**power for power in (1, 2, 3, 4)], axis=2)
    yield "guided_filter 1 channel", partial(fastsoft.guided_filter, image, many[:, :, :1], radius=5, epsilon=1e-2)
    yield "guided_filter 12 channels", partial(fastsoft.guided_filter, image, many, radius=5, epsilon=1e-2)
    yield "image_gradient", partial(fastsoft.image_gradient, image)
    yield "principal_components", partial(fastsoft.principal_components, many, 3)
    points = image.reshape(-1, 3)
    yield "kmeans", partial(fastsoft.kmeans, points, 5, init=points[:: len(points) // 5][:5], max_iterations=10)
    yield "split_kmeans", partial(fastsoft.split_kmeans, points, 8)


def _regions(image: Any) -> Iterator[tuple[str, Run]]:
    for method in ("slic0", "slic"):
        yield f"slic {method}", partial(fastsoft.slic, image, 96, method=method)
    labels = _labels()
    graph = fastsoft.superpixel_graph(labels)
    colors = fastsoft.region_means(image, labels)
    yield "region_means", partial(fastsoft.region_means, image, labels)
    yield "color_affinity", partial(fastsoft.color_affinity, graph, colors)
    yield "semantic_affinity", partial(fastsoft.semantic_affinity, graph, colors)


def _solvers(image: Any) -> Iterator[tuple[str, Run]]:
    laplacian = fastsoft.matting_laplacian(image, storage="stencil")
    small = fastsoft.matting_laplacian(image[:32, :32], storage="stencil")
    for method, tolerance in (("shift-invert", 1e-5), ("lanczos", 1e-2)):
        yield (
            f"smallest_eigenvectors {method}",
            partial(fastsoft.smallest_eigenvectors, small, 16, method=method, tolerance=tolerance),
        )
    weights = laplacian.weights.copy()
    weights[0] += 0.1
    shifted = fastsoft.StencilMatrix(weights)
    right = image.reshape(-1, 3)
    for storage, operator in (("stencil", shifted), ("csr", shifted.tocsr())):
        yield f"pcg {storage}", partial(fastsoft.pcg, operator, right, tolerance=1e-4)

    vectors = _smooth_vectors(image.dtype)
    values = np.arange(16, dtype=image.dtype) * 1e-6
    labels = _labels() % 12 // 3
    for method, exact in (("stable", False), ("stable", True), ("compat", True)):
        options = {"method": method, "exact": exact, "n_iterations": 5, "n_samples": None if exact else 2000}
        yield (
            f"sparsify_segments {method} {'exact' if exact else 'sampled'}",
            partial(fastsoft.sparsify_segments, vectors, values, labels, **options),
        )
    centres = right[:: len(right) // N_LAYERS][:N_LAYERS]
    distance = ((image[:, :, None] - centres) ** 2).sum(axis=3)
    segments = np.exp(-(distance - distance.min(axis=2, keepdims=True)) / 0.02)
    segments /= segments.sum(axis=2, keepdims=True)
    gradient = fastsoft.image_gradient(image)
    yield (
        "relax_segments",
        partial(fastsoft.relax_segments, segments, laplacian, gradient, n_iterations=3),
    )


def _mattes(image: Any) -> Iterator[tuple[str, Run]]:
    alpha = soft_alpha(*SHAPE).astype(image.dtype)
    regions = np.select([alpha == 0, alpha == 1], [BACKGROUND, FOREGROUND], UNKNOWN).astype(np.uint8)
    for method in ("direct", "multilevel"):
        yield f"closed_form {method}", partial(closed_form, image, regions, method=method)
    for method, options in (
        ("ml", {}),
        ("ml", {"order": "sequential"}),
        ("blur_fusion", {"window_sizes": (30, 6)}),
        ("closed_form", {}),
    ):
        yield (
            " ".join(["estimate_foreground", method, *map(str, options.get("order", "").split())]),
            partial(fastsoft.estimate_foreground, image, alpha, method=method, **options),
        )
    for order in ("red_black", "jacobi"):
        yield f"refine_foreground {order}", partial(fastsoft.refine_foreground, image, alpha, order=order)
    other = alpha**2
    yield "gradient_error", partial(fastsoft.gradient_error, other, alpha)
    yield "connectivity_error", partial(fastsoft.connectivity_error, other, alpha)


def _layers(image: Any) -> Iterator[tuple[str, Run]]:
    height, width = SHAPE
    rng = np.random.default_rng(0)
    palette = np.array([[0.1, 0.1, 0.2], [0.9, 0.8, 0.7], [0.8, 0.2, 0.1], [0.2, 0.6, 0.3]], dtype=image.dtype)
    coefficients = rng.integers(-8, 9, (N_LAYERS, 4, height // 2, width // 2)).astype(image.dtype) / 16
    coefficients = coefficients.transpose(2, 3, 0, 1)
    alphas = unmix_alphas(image, palette, coefficients, steps=2)
    colors = unmix_colors(image, palette, alphas, coefficients)
    yield "unmix_alphas", partial(unmix_alphas, image, palette, coefficients, steps=2)
    yield "unmix_colors", partial(unmix_colors, image, palette, alphas, coefficients)
    yield "project_colors", partial(fastsoft.project_colors, alphas, colors, image)
