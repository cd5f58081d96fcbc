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


# Every operation of the backend, on arrays of the device; returns NumPy arrays.
CALLS = {
    "guided_filter": lambda b, image: [b.numpy(fastsoft.guided_filter(b.array(image), b.array(image), radius=3))],
    "image_gradient": lambda b, image: [b.numpy(fastsoft.image_gradient(b.array(image)))],
    "matting_laplacian": lambda b, image: [b.csr(fastsoft.matting_laplacian(b.array(image))).data],
    "smallest_eigenvectors": lambda b, image: [smallest_eigenvectors(b, image)],
}


def smallest_eigenvectors(b, image):
    operator = fastsoft.matting_laplacian(b.array(image), storage="stencil", epsilon=1e-3)
    return b.numpy(fastsoft.smallest_eigenvectors(operator, 5, tolerance=1e-3, allow_unconverged=True).eigenvectors)


@pytest.mark.parametrize("name", CALLS)
def test_results_do_not_depend_on_the_order_of_blocks_and_threads(host_backend, image, name):
    forward = CALLS[name](host_backend, image)
    with on_host.backward():
        backward = CALLS[name](host_backend, image)
    for a, b in zip(forward, backward, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", ["guided_filter", "matting_laplacian"])
def test_lack_of_memory_is_an_error_that_leaves_nothing_behind(host_backend, image, name):
    # The fixture makes sure of the latter.
    with on_host.capacity(20000), pytest.raises(MemoryError, match=r"CUDA device 0 has .* MB more are needed"):
        CALLS[name](host_backend, image)


def test_every_operation_of_the_module_is_called_here(host_backend):
    operations = {name for name in vars(on_host.module()) if not name.startswith("_")}
    operations -= {
        "architectures",
        "estimate_lambda_max",
        "installation",
        "matting_n_entries",
        "problem",
        "value_range",
    }
    missing = {name for name in operations if not any(name.startswith(call) for call in CALLS)}
    assert not missing
