# SPDX-License-Identifier: MIT
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

import fastsoft
from tests.reference import distance_transform as reference


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 3), (13, 17), (33, 5)])
@pytest.mark.parametrize("density", [0.02, 0.2, 0.9])
def test_equals_the_definition(rng, shape, density):
    mask = rng.random(shape) < density
    np.testing.assert_array_equal(fastsoft.distance_transform(mask), reference.distance_transform(mask))


@given(st.integers(1, 40), st.integers(1, 40), st.floats(0, 1), st.integers(0, 2**31))
def test_equals_scipy(height, width, density, seed):
    mask = np.random.default_rng(seed).random((height, width)) < density
    mask[seed % height, seed % width] = True  # SciPy has no convention for the empty set
    np.testing.assert_array_equal(fastsoft.distance_transform(mask), ndimage.distance_transform_edt(~mask))


def test_large_picture_with_few_pixels_equals_scipy(rng):
    mask = rng.random((613, 1021)) < 1e-5
    mask[612, 3] = True
    np.testing.assert_array_equal(fastsoft.distance_transform(mask), ndimage.distance_transform_edt(~mask))


def test_empty_set_is_infinitely_far():
    assert np.all(fastsoft.distance_transform(np.zeros((3, 4), dtype=bool)) == np.inf)


def test_distances_of_a_long_row_compare_exactly_with_a_radius():
    # In float32 the root of 4000^2 + 1 would round to 4000.
    mask = np.zeros((2, 4001), dtype=bool)
    mask[0, 0] = True
    distance = fastsoft.distance_transform(mask)
    assert distance[0, 4000] == 4000
    assert distance[1, 4000] > 4000


def test_strided_masks_and_any_number_of_threads(rng, threads):
    mask = rng.random((301, 407)) < 0.01
    expected = fastsoft.distance_transform(mask)
    wide = np.zeros((602, 814), dtype=bool)
    wide[::2, ::2] = mask
    for view in (wide[::2, ::2], np.asfortranarray(mask), mask[::-1].copy()[::-1]):
        np.testing.assert_array_equal(fastsoft.distance_transform(view), expected)
    for count in (1, 2, 5):
        threads(count)
        np.testing.assert_array_equal(fastsoft.distance_transform(mask), expected)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (70, 1), (2, 3), (13, 17), (33, 300), (65, 64)])
@pytest.mark.parametrize("density", [0.002, 0.05, 0.9])
def test_backends_agree_in_every_bit(rng, backend, shape, density):
    mask = rng.random(shape) < density
    mask[shape[0] // 2, -1] = True
    found = backend.numpy(fastsoft.distance_transform(backend.array(mask)))
    np.testing.assert_array_equal(found, ndimage.distance_transform_edt(~mask))
    np.testing.assert_array_equal(found, fastsoft.distance_transform(mask))


def test_backends_know_the_empty_set(backend):
    found = fastsoft.distance_transform(backend.array(np.zeros((40, 5), dtype=bool)))
    assert np.all(backend.numpy(found) == np.inf)


def test_backends_read_strided_and_offset_masks(rng, backend):
    mask = rng.random((90, 101)) < 0.01
    found = fastsoft.distance_transform(backend.array(mask)[7:, ::2])
    np.testing.assert_array_equal(backend.numpy(found), fastsoft.distance_transform(mask[7:, ::2]))
    found = fastsoft.distance_transform(backend.array(np.asfortranarray(mask)))
    np.testing.assert_array_equal(backend.numpy(found), fastsoft.distance_transform(mask))


def test_backends_refuse_bad_input_with_the_same_words(backend):
    with pytest.raises(TypeError, match="mask must have dtype bool, got uint8"):
        fastsoft.distance_transform(backend.array(np.zeros((3, 4), np.uint8)))
    with pytest.raises(ValueError, match=r"mask must have shape \(H, W\), got \(3, 4, 1\)"):
        fastsoft.distance_transform(backend.array(np.zeros((3, 4, 1), bool)))
    with pytest.raises(ValueError, match="mask must have 1 to"):
        fastsoft.distance_transform(backend.array(np.zeros((0, 4), bool)))


def test_bad_input_is_refused():
    with pytest.raises(TypeError, match="mask must have dtype bool, got uint8"):
        fastsoft.distance_transform(np.zeros((3, 3), dtype=np.uint8))
    with pytest.raises(ValueError, match=r"mask must have shape \(H, W\), got \(3,\)"):
        fastsoft.distance_transform(np.zeros(3, dtype=bool))
    with pytest.raises(ValueError, match=r"mask must have 1 to \d+ pixels, got shape \(0, 3\)"):
        fastsoft.distance_transform(np.zeros((0, 3), dtype=bool))
