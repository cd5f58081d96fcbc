# SPDX-License-Identifier: MIT
"""The CUDA backend on the host: what holds for all of its operations."""

from __future__ import annotations

import numpy as np
import pytest

import fastsoft
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


def reduce(backend, image):
    result = fastsoft.principal_components(backend.array(image), 2)
    return [backend.numpy(part) for part in (result.scores, result.basis, result.mean, result.low, result.high)]


# Every operation of the backend, on arrays of the device; returns NumPy arrays.
CALLS = {
    "guided_filter": lambda b, image: [b.numpy(fastsoft.guided_filter(b.array(image), b.array(image), radius=3))],
    "image_gradient": lambda b, image: [b.numpy(fastsoft.image_gradient(b.array(image)))],
    "kmeans": lambda b, image: cluster(b, image.reshape(-1, 3)),
    "matting_laplacian": lambda b, image: [b.csr(fastsoft.matting_laplacian(b.array(image))).data],
    "principal_components": lambda b, image: reduce(b, image),
    "slic": lambda b, image: [
        b.numpy(fastsoft.slic(b.array(image), 30, enforce_connectivity=connected)) for connected in (True, False)
    ],
    "split_kmeans": lambda b, image: split(b, image.reshape(-1, 3)),
    "superpixel_graph": lambda b, image: [b.numpy(superpixels(b).adjacent_pairs)],
    "region_means": lambda b, image: [b.numpy(fastsoft.region_means(b.array(image), superpixels(b).labels))],
    "color_affinity": lambda b, image: [b.csr(fastsoft.color_affinity(superpixels(b), means(b, image))).data],
    "semantic_affinity": lambda b, image: [b.csr(fastsoft.semantic_affinity(superpixels(b), means(b, image))).data],
}


@pytest.mark.parametrize("name", CALLS)
def test_results_do_not_depend_on_the_order_of_blocks_and_threads(host_backend, image, name):
    forward = CALLS[name](host_backend, image)
    with on_host.backward():
        backward = CALLS[name](host_backend, image)
    for a, b in zip(forward, backward, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", ["guided_filter", "matting_laplacian", "slic"])
def test_lack_of_memory_is_an_error_that_leaves_nothing_behind(host_backend, image, name):
    # The fixture makes sure of the latter.
    with on_host.capacity(20000), pytest.raises(MemoryError, match=r"CUDA device 0 has .* MB more are needed"):
        CALLS[name](host_backend, image)


def test_every_operation_of_the_module_is_called_here(host_backend):
    operations = {name for name in vars(on_host.module()) if not name.startswith("_")}
    operations -= {"architectures", "installation", "matting_n_entries", "problem", "value_range"}
    missing = {name for name in operations if not any(name.startswith(call) for call in CALLS)}
    assert not missing
