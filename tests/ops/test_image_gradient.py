# SPDX-License-Identifier: MIT
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastsoft
from tests.reference import image_gradient as reference


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


def test_bad_input_is_refused():
    with pytest.raises(TypeError, match="image must have dtype float32 or float64, got uint8"):
        fastsoft.image_gradient(np.zeros((4, 4, 3), dtype=np.uint8))
    with pytest.raises(ValueError, match=r"image must have shape \(H, W\) or \(H, W, C\), got \(4,\)"):
        fastsoft.image_gradient(np.zeros(4))
    with pytest.raises(ValueError, match="image must not be empty"):
        fastsoft.image_gradient(np.zeros((0, 4, 3)))
    with pytest.raises(ValueError, match="image must be finite, got 1 values"):
        fastsoft.image_gradient(np.array([[0.0, np.nan]]))
