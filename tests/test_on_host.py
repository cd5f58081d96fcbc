# SPDX-License-Identifier: MIT
"""The CUDA backend on the host: what holds for all of its operations."""

from __future__ import annotations

import numpy as np
import pytest

import fastsoft
from fastsoft.ops.unmixing import unmix_alphas, unmix_colors
from tests import on_host

SHAPE = (37, 45)


@pytest.fixture
def image(rng):
    return rng.random((*SHAPE, 3))


def cluster(backend, points):
    result = fastsoft.kmeans(backend.array(points), 9, n_init=2, max_iterations=5)
    return [backend.numpy(result.labels), backend.numpy(result.centers)]


def superpixels(backend):
    row, col = np.mgrid[: SHAPE[0], : SHAPE[1]] // 9
    return fastsoft.superpixel_graph(backend.array(row * 5 + col))


def means(backend, image):
    return fastsoft.region_means(backend.array(image), superpixels(backend).labels)


def split(backend, points):
    result = fastsoft.split_kmeans(backend.array(points), 9)
    return [backend.numpy(result.labels), backend.numpy(result.centers)]


def laplacian(backend, image):
    stencil = fastsoft.matting_affinity(backend.array(image), epsilon=1e-2, storage="stencil")
    color = fastsoft.color_affinity(superpixels(backend), means(backend, image))
    return fastsoft.graph_laplacian([stencil, color, color], weights=[1, 0.5, 0.25], normalized=True)


def layers(backend, image):
    alphas = np.repeat([[[0.25, 0.75]]], SHAPE[0], axis=0).repeat(SHAPE[1], axis=1)
    return backend.array(alphas), backend.array(np.stack([image[::-1], image[:, ::-1]], axis=2))


def unmixed(backend, image):
    palette = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.5, 1.0, 0.5]])
    coefficients = backend.array(np.random.default_rng(3).normal(size=(19, 23, 3, 4)))
    alphas = unmix_alphas(backend.array(image), palette, coefficients, steps=1)
    return alphas, unmix_colors(backend.array(image), palette, alphas, coefficients)


def reduce(backend, image):
    result = fastsoft.principal_components(backend.array(image), 2)
    return [backend.numpy(part) for part in (result.scores, result.basis, result.mean, result.low, result.high)]


def _relax(backend, image):
    laplacian = fastsoft.matting_laplacian(backend.array(image), storage="stencil")
    gradient = fastsoft.image_gradient(backend.array(image))
    return fastsoft.relax_segments(backend.array(image), laplacian, gradient, n_iterations=2, tolerance=1e-4).segments


def _solve(backend, image):
    identity = np.zeros((13, *SHAPE))
    identity[0] = 1
    operator = fastsoft.matting_laplacian(backend.array(image), storage="stencil")
    operator = operator + fastsoft.StencilMatrix(backend.array(identity))
    return fastsoft.pcg(operator, backend.array(image.reshape(-1, 3)), tolerance=1e-2).x


def _products(backend, image):
    there = backend.array(image)
    operator = fastsoft.matting_laplacian(there, storage="stencil") + fastsoft.matting_laplacian(there)
    return [backend.numpy(operator @ backend.array(image.reshape(-1, 3))), backend.numpy(operator.diagonal())]


def _sparsify(backend, image):
    """Gram matrix, sums, peaks and combination, of a sample and with pruning."""
    vectors = np.linalg.qr(np.column_stack([image.reshape(-1, 3), image.reshape(-1, 3) ** 2]))[0]
    labels = np.arange(len(vectors)) // 500
    result = fastsoft.sparsify_segments(
        backend.array(vectors), np.linspace(0, 1, 6), backend.array(labels), n_iterations=8, n_samples=900
    )
    return [backend.numpy(result.segments), result.coefficients]


def _colors(backend, function, image, **options):
    """Of functions of a picture and its alpha."""
    return [backend.numpy(function(backend.array(image), backend.array(image[:, :, 0].copy()), **options))]


def _eigenvectors(backend, image):
    operator = fastsoft.matting_laplacian(backend.array(image), storage="stencil", epsilon=1e-3)
    result = fastsoft.smallest_eigenvectors(operator, 5, tolerance=1e-3, allow_unconverged=True)
    return [backend.numpy(result.eigenvectors), result.eigenvalues]


# Every operation of the backend, on arrays of the device; returns NumPy arrays.
CALLS = {
    "affinity_degrees": lambda b, image: [b.numpy(laplacian(b, image).terms[0].weights)],
    "blur_fusion": lambda b, image: _colors(b, fastsoft.estimate_foreground, image, method="blur_fusion"),
    "color_affinity": lambda b, image: [b.csr(fastsoft.color_affinity(superpixels(b), means(b, image))).data],
    "distance_transform": lambda b, image: [b.numpy(fastsoft.distance_transform(b.array(image[:, :, 0] < 0.01)))],
    "gradient_error": lambda b, image: [
        fastsoft.gradient_error(*(b.array(image[:, :, channel].copy()) for channel in (0, 1)))
    ],
    "graph_laplacian": lambda b, image: [b.csr(laplacian(b, image).terms[1]).data],
    "guided_filter": lambda b, image: [b.numpy(fastsoft.guided_filter(b.array(image), b.array(image), radius=3))],
    "image_gradient": lambda b, image: [b.numpy(fastsoft.image_gradient(b.array(image)))],
    "kmeans": lambda b, image: cluster(b, image.reshape(-1, 3)),
    "matting_laplacian": lambda b, image: [b.csr(fastsoft.matting_laplacian(b.array(image))).data],
    "multilevel_foreground": lambda b, image: _colors(b, fastsoft.estimate_foreground, image),
    "operator": lambda b, image: _products(b, image),
    "pcg": lambda b, image: [b.numpy(_solve(b, image))],
    "principal_components": lambda b, image: reduce(b, image),
    "project_colors": lambda b, image: [b.numpy(fastsoft.project_colors(*layers(b, image), b.array(image)))],
    "refine_foreground": lambda b, image: _colors(b, fastsoft.refine_foreground, image),
    "region_means": lambda b, image: [b.numpy(fastsoft.region_means(b.array(image), superpixels(b).labels))],
    "relax_segments": lambda b, image: [b.numpy(_relax(b, image))],
    "semantic_affinity": lambda b, image: [b.csr(fastsoft.semantic_affinity(superpixels(b), means(b, image))).data],
    "slic": lambda b, image: [
        b.numpy(fastsoft.slic(b.array(image), 30, enforce_connectivity=connected)) for connected in (True, False)
    ],
    "smallest_eigenvectors": lambda b, image: _eigenvectors(b, image),
    "sparsify": lambda b, image: _sparsify(b, image),
    "split_kmeans": lambda b, image: split(b, image.reshape(-1, 3)),
    "superpixel_graph": lambda b, image: [b.numpy(superpixels(b).adjacent_pairs)],
    "unmix": lambda b, image: [b.numpy(part) for part in unmixed(b, image)],
    "weighted_sum": lambda b, image: [b.csr(laplacian(b, image).terms[1]).indices],
}


@pytest.mark.parametrize("name", CALLS)
def test_results_do_not_depend_on_the_order_of_blocks_and_threads(host_backend, image, name):
    forward = CALLS[name](host_backend, image)
    with on_host.backward():
        backward = CALLS[name](host_backend, image)
    for a, b in zip(forward, backward, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "name", ["guided_filter", "kmeans", "matting_laplacian", "pcg", "relax_segments", "slic", "sparsify"]
)
def test_lack_of_memory_is_an_error_that_leaves_nothing_behind(host_backend, image, name):
    # The fixture makes sure of the latter.
    with on_host.capacity(20000), pytest.raises(MemoryError, match=r"CUDA device 0 has .* MB more are needed"):
        CALLS[name](host_backend, image)


def test_every_operation_of_the_module_is_called_here(host_backend):
    operations = {name for name in vars(on_host.module()) if not name.startswith("_")}
    operations -= {"architectures", "installation", "matting_n_entries", "problem", "value_range"}
    # What smallest_eigenvectors and sparsify_segments are made of, besides what bears their names.
    operations -= {"combine_eigenvectors", "estimate_lambda_max", "pixel_planes", "row_sums"}
    missing = {name for name in operations if not any(name.startswith(call) for call in CALLS)}
    assert not missing
