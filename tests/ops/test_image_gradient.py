# SPDX-License-Identifier: MIT
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastsoft
from tests.reference import image_gradient as reference
from tests.tolerances import parity


def tolerance(dtype, scale=1.0):
    # Two passes of at most 13 products each, all of order `scale`, and a norm: a few dozen roundings.
    return 30 * np.finfo(dtype).eps * scale


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 3), (5, 7), (13, 13), (14, 40), (70, 8)])
@pytest.mark.parametrize("channels", [None, 1, 3, 5])
def test_equals_the_definition(rng, shape, channels, dtype):
    image = rng.random(shape if channels is None else (*shape, channels)).astype(dtype)
    result = fastsoft.image_gradient(image)
    assert result.dtype == dtype
    np.testing.assert_allclose(result, reference.image_gradient(image), rtol=0, atol=tolerance(dtype))


def test_equals_the_authors_program(golden):
    # Stored as float32: half a unit in the last place below 0.5 is 1.5e-8.
    np.testing.assert_allclose(fastsoft.image_gradient(golden["image"]), golden["gradient"], rtol=0, atol=2e-8)


def test_strided_fortran_and_read_only_images(rng, dtype):
    image = rng.random((23, 31, 3)).astype(dtype)
    expected = fastsoft.image_gradient(image)
    readonly = image.copy()
    readonly.setflags(write=False)
    wide = np.zeros((46, 62, 6), dtype=dtype)
    wide[::2, ::2, ::2] = image
    flipped = image[::-1, ::-1].copy()[::-1, ::-1]
    big_endian = image.astype(image.dtype.newbyteorder(">"))
    for view in (np.asfortranarray(image), readonly, wide[::2, ::2, ::2], flipped, big_endian):
        np.testing.assert_array_equal(fastsoft.image_gradient(view), expected)


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 30), st.integers(1, 30), st.floats(-3, 3), st.integers(0, 2**31))
def test_properties(height, width, shift, seed):
    image = np.random.default_rng(seed).random((height, width, 3))
    gradient = fastsoft.image_gradient(image)
    near = {"rtol": 0, "atol": tolerance(np.float64, 4.0)}
    np.testing.assert_allclose(fastsoft.image_gradient(image + shift), gradient, **near)
    np.testing.assert_allclose(fastsoft.image_gradient(image * shift), gradient * abs(shift), **near)
    np.testing.assert_allclose(fastsoft.image_gradient(image.swapaxes(0, 1)), gradient.T, **near)
    np.testing.assert_allclose(fastsoft.image_gradient(image[:, ::-1]), gradient[:, ::-1], **near)
    np.testing.assert_allclose(fastsoft.image_gradient(np.full((height, width), shift)), 0.0, **near)


def test_same_bits_for_any_number_of_threads(rng, threads, dtype):
    image = rng.random((211, 97, 3)).astype(dtype)
    results = []
    for count in (1, 2, 5):
        threads(count)
        results.append(fastsoft.image_gradient(image))
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


# Tiles of the kernel are 32x32.
@pytest.mark.parametrize("shape", [(1, 1), (5, 7, 3), (32, 32), (33, 65, 2), (70, 31, 3)])
def test_backends_agree(rng, backend, dtype, shape):
    image = rng.random(shape).astype(dtype)
    result = fastsoft.image_gradient(backend.array(image))
    found = backend.numpy(result)
    assert found.dtype == dtype
    assert found.flags.c_contiguous
    np.testing.assert_allclose(found, reference.image_gradient(image), rtol=0, atol=tolerance(dtype))
    near = {"rtol": 0, "atol": parity("image_gradient", dtype)}
    np.testing.assert_allclose(found, fastsoft.image_gradient(image), **near)
    again = fastsoft.image_gradient(backend.array(image))
    np.testing.assert_array_equal(backend.numpy(again), found)


def test_backends_read_strided_and_offset_arrays(rng, backend, dtype):
    wide = rng.random((47, 60, 6)).astype(dtype)
    image = np.ascontiguousarray(wide[3::2, 1:50:3, 1::2])
    expected = fastsoft.image_gradient(image)
    near = {"rtol": 0, "atol": parity("image_gradient", dtype)}
    sliced = fastsoft.image_gradient(backend.array(wide)[3::2, 1:50:3, 1::2])
    np.testing.assert_allclose(backend.numpy(sliced), expected, **near)
    planar = backend.array(np.moveaxis(np.moveaxis(image, 2, 0).copy(), 0, 2))
    np.testing.assert_allclose(backend.numpy(fastsoft.image_gradient(planar)), expected, **near)


def test_work_is_enqueued_on_the_current_stream(rng, device_backend):
    image = rng.random((400, 300, 3))
    with device_backend.stream():
        array = device_backend.array(image)
        for _ in range(20):
            array = array * 0.5 + 0.25  # still running when the operation is called
        result = fastsoft.image_gradient(array) * 2.0**20
    expected = fastsoft.image_gradient(image)
    np.testing.assert_allclose(device_backend.numpy(result), expected, rtol=0, atol=tolerance(np.float64, 2.0**20))


def test_backends_refuse_bad_input_with_the_same_words(backend):
    with pytest.raises(TypeError, match="image must have dtype float32 or float64, got uint8"):
        fastsoft.image_gradient(backend.array(np.zeros((4, 4, 3), dtype=np.uint8)))
    with pytest.raises(ValueError, match=r"image must have shape \(H, W\) or \(H, W, C\), got \(4,\)"):
        fastsoft.image_gradient(backend.array(np.zeros(4)))
    with pytest.raises(ValueError, match="image must not be empty"):
        fastsoft.image_gradient(backend.array(np.zeros((0, 4, 3))))
    bad = np.zeros((200, 300, 3))
    bad[199, 299, 2], bad[0, 0, 0], bad[7, 8, 1] = np.nan, np.inf, -np.inf
    with pytest.raises(ValueError, match="image must be finite, got 3 values"):
        fastsoft.image_gradient(backend.array(bad))


def test_bad_input_is_refused():
    with pytest.raises(TypeError, match="image must have dtype float32 or float64, got uint8"):
        fastsoft.image_gradient(np.zeros((4, 4, 3), dtype=np.uint8))
    with pytest.raises(ValueError, match=r"image must have shape \(H, W\) or \(H, W, C\), got \(4,\)"):
        fastsoft.image_gradient(np.zeros(4))
    with pytest.raises(ValueError, match="image must not be empty"):
        fastsoft.image_gradient(np.zeros((0, 4, 3)))
    with pytest.raises(ValueError, match="image must be finite, got 1 values"):
        fastsoft.image_gradient(np.array([[0.0, np.nan]]))
