# SPDX-License-Identifier: MIT
"""Closed-form matting and the planes of networks on a device, beside those of the CPU."""

from __future__ import annotations

import numpy as np
import pytest

from fastsoft.matting import closed_form_matting
from fastsoft.matting.models import _CLOSED_FORM_BYTES
from fastsoft.matting.planes import closed_form_plane, color_posterior, extra_planes
from tests import on_host
from tests.peak_memory import PeakMemory


@pytest.fixture
def scene(rng):
    """A soft disc, colours that vary on either side, a trimap of known inside and outside."""
    y, x = np.mgrid[:40, :52]
    distance = np.hypot(y - 19, x - 25)
    alpha = np.clip((14 - distance) / 6 + 0.5, 0, 1)[:, :, None]
    front = np.stack([0.9 - y / 200, 0.6 + x / 300, 0.2 + y / 100], axis=2)
    image = alpha * front + (1 - alpha) * np.array([0.1, 0.2, 0.5])
    image = np.clip(image + rng.normal(0, 0.005, image.shape), 0, 1)
    trimap = np.where(distance < 9, 255, np.where(distance > 19, 0, 128)).astype(np.uint8)
    return image, trimap


# Both solve to a residual of 1e-7 of the right-hand side, which the system's condition then amplifies.
TOLERANCE = 1e-3


def test_alpha_is_that_of_the_cpu(scene, dtype, device_backend):
    image, trimap = scene[0].astype(dtype), scene[1]
    expected = closed_form_matting(image, trimap)
    found = device_backend.numpy(closed_form_matting(device_backend.array(image), device_backend.array(trimap)))
    assert found.dtype == dtype
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE)
    np.testing.assert_array_equal(found[trimap == 255], 1)
    np.testing.assert_array_equal(found[trimap == 0], 0)


def test_known_pixels_keep_the_value_of_the_trimap(scene, device_backend):
    image, trimap = scene
    values = trimap / 255.0
    values[trimap == 255] = 0.95
    found = device_backend.numpy(closed_form_matting(device_backend.array(image), device_backend.array(values)))
    np.testing.assert_array_equal(found[trimap == 255], 0.95)
    expected = closed_form_matting(image, values)
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("shape", [(1, 30), (2, 30), (30, 2), (2, 2)])
def test_small_pictures(scene, shape, device_backend):
    image = scene[0][5 : 5 + shape[0], 8 : 8 + shape[1]].copy()
    trimap = np.full(shape, 128, dtype=np.uint8)
    trimap[0, 0], trimap[-1, -1] = 0, 255
    # Two known pixels say little of the others: the residual has to be small for solutions to agree.
    expected = closed_form_matting(image, trimap, tolerance=1e-11)
    found = closed_form_matting(device_backend.array(image), device_backend.array(trimap), tolerance=1e-11)
    np.testing.assert_allclose(device_backend.numpy(found), expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize(("values", "filled"), [((0,), 0.0), ((255,), 1.0), ((), 128 / 255)])
def test_trimaps_that_know_one_side_or_none(scene, values, filled, device_backend):
    image = scene[0]
    trimap = np.full(image.shape[:2], 128, dtype=np.uint8)
    trimap[:3] = values or 128
    with pytest.warns(RuntimeWarning, match="trimap has no known"):
        found = closed_form_matting(device_backend.array(image), device_backend.array(trimap))
    np.testing.assert_allclose(device_backend.numpy(found)[5:], filled, rtol=0, atol=1e-15)


def test_planes_are_those_of_the_cpu(scene, device_backend):
    image, trimap = scene[0].astype(np.float32), scene[1]
    there = device_backend.array(image), device_backend.array(trimap)
    np.testing.assert_allclose(
        np.asarray(closed_form_plane(*there).cpu()), closed_form_plane(image, trimap), rtol=0, atol=TOLERANCE
    )
    # The same counts, smoothed and divided in float64.
    np.testing.assert_allclose(
        np.asarray(color_posterior(*there).cpu()), color_posterior(image, trimap), rtol=0, atol=1e-6
    )
    assert tuple(extra_planes(("closed_form", "color_posterior"), *there).shape) == (40, 52, 2)
    assert extra_planes((), *there) is None


def test_memory_is_within_the_estimate(scene, host_backend):
    image, trimap = (host_backend.array(np.tile(array, (3, 3) + (1,) * (array.ndim - 2))) for array in scene)
    on_host.reset_peak()
    with PeakMemory() as tensors:
        closed_form_matting(image.float(), trimap, max_iterations=40000)
    taken = (tensors.peak + on_host.count("peak")) / trimap.numel()
    assert 0.6 * _CLOSED_FORM_BYTES < taken < _CLOSED_FORM_BYTES


def test_what_a_device_lacks_is_refused(scene, device_backend):
    image, trimap = (device_backend.array(array) for array in scene)
    with pytest.raises(ValueError, match="method must be 'auto' on a CUDA device, got 'direct'"):
        closed_form_matting(image, trimap, method="direct")
    with pytest.warns(RuntimeWarning, match="closed_form_matting stopped after 2 of 2 iterations"):
        closed_form_matting(image, trimap, max_iterations=2)
    with pytest.raises(TypeError, match="arrays of a call must be on one device"):
        closed_form_matting(image, scene[1])
