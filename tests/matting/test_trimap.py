# SPDX-License-Identifier: MIT
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

import fastsoft


def test_check_trimap_brings_all_forms_into_one():
    levels = np.array([[0, 25, 26, 128, 229, 230, 255]], dtype=np.uint8)
    expected = [[0, 0, 128, 128, 128, 255, 255]]
    found = fastsoft.check_trimap(levels)
    assert found.dtype == np.uint8
    assert found.tolist() == expected
    assert fastsoft.check_trimap(levels / 255.0).tolist() == expected
    assert fastsoft.check_trimap((levels / 255.0).astype(np.float32)).tolist() == expected
    assert fastsoft.check_trimap(found).tolist() == expected
    assert fastsoft.check_trimap(np.array([[0.1, 0.9]], dtype=np.float32)).tolist() == [[0, 255]]
    assert not np.shares_memory(fastsoft.check_trimap(levels), levels)


def test_check_trimap_says_what_is_wrong():
    good = np.zeros((3, 4))
    with pytest.raises(ValueError, match="trimap must have the size of the image, 4x3, got 3x4"):
        fastsoft.check_trimap(good, (4, 3, 3))
    with pytest.raises(ValueError, match=r"trimap must have shape \(H, W\), got \(3, 4, 3\)"):
        fastsoft.check_trimap(np.zeros((3, 4, 3)))
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\] \(or be uint8, 0..255\), got values in \[0, 255\]"):
        fastsoft.check_trimap(np.array([[0.0, 255.0]]))
    with pytest.raises(ValueError, match="trimap must be finite, got 1 values"):
        fastsoft.check_trimap(np.array([[0.0, np.nan]]))
    with pytest.raises(ValueError, match=r"trimap must not be empty, got shape \(0, 4\)"):
        fastsoft.check_trimap(good[:0])
    with pytest.raises(TypeError, match="trimap must have dtype uint8, float32 or float64, got int64"):
        fastsoft.check_trimap(np.zeros((3, 4), dtype=np.int64))
    with pytest.raises(TypeError, match=r"got bool \(trimap_from_mask makes one\)"):
        fastsoft.check_trimap(good > 0)


@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 6), st.integers(0, 6), st.integers(0, 2**31))
def test_trimap_from_alpha_follows_the_published_rule(height, width, outer, inner, seed):
    # LSA matting: distances to the nearest pixel strictly between 0 and 1.
    rng = np.random.default_rng(seed)
    alpha = np.clip(rng.normal(0.5, 0.02, (height, width)) + rng.choice([-3.0, 0.0, 3.0], (height, width)), 0, 1)
    alpha = np.where(rng.random((height, width)) < 0.8, np.round(alpha), alpha)
    mixed = (alpha > 0) & (alpha < 1)
    distance = ndimage.distance_transform_edt(~mixed) if mixed.any() else np.full(alpha.shape, np.inf)
    expected = np.where(alpha >= 1, 255, np.where(alpha <= 0, 0, 128))
    expected[(alpha < 1) & (distance <= outer)] = 128
    expected[(alpha >= 1) & (distance <= inner)] = 128
    found = fastsoft.trimap_from_alpha(alpha, outer=outer, inner=inner, hard_edges=False)
    np.testing.assert_array_equal(found, expected)
    # With hard edges the band can only grow.
    wider = fastsoft.trimap_from_alpha(alpha, outer=outer, inner=inner)
    np.testing.assert_array_equal(wider[found == 128], 128)
    known = wider != 128
    np.testing.assert_array_equal(wider[known], np.where(alpha >= 1, 255, 0)[known])


@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 6), st.integers(1, 6), st.integers(0, 2**31))
def test_trimap_from_mask_has_bands_of_the_given_widths(height, width, outer, inner, seed):
    rng = np.random.default_rng(seed)
    mask = ndimage.gaussian_filter(rng.normal(size=(height, width)), 2) > 0
    expected = np.where(mask, 255, 0)
    if mask.any() and not mask.all():
        expected[~mask & (ndimage.distance_transform_edt(~mask) <= outer)] = 128
        expected[mask & (ndimage.distance_transform_edt(mask) <= inner)] = 128
    found = fastsoft.trimap_from_mask(mask, outer=outer, inner=inner)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, expected)
    soft = np.where(mask, 0.5, 0.499)
    np.testing.assert_array_equal(fastsoft.trimap_from_mask(soft, outer=outer, inner=inner), expected)


def test_bands_of_width_0_leave_only_what_is_mixed():
    alpha = np.array([[0.0, 0.3, 1.0]])
    assert fastsoft.trimap_from_alpha(alpha, outer=0, inner=0).tolist() == [[0, 128, 255]]


def test_trimap_from_alpha_refuses_bad_input():
    with pytest.raises(ValueError, match=r"alpha must lie in \[0, 1\]"):
        fastsoft.trimap_from_alpha(np.array([[0.0, 2.0]]))
    with pytest.raises(ValueError, match="alpha must be finite"):
        fastsoft.trimap_from_alpha(np.array([[0.0, np.nan]]))
    with pytest.raises(ValueError, match="outer must be at least 0, got -1"):
        fastsoft.trimap_from_alpha(np.zeros((2, 2)), outer=-1)
    with pytest.raises(ValueError, match=r"mask must have shape \(H, W\), got \(2,\)"):
        fastsoft.trimap_from_mask(np.zeros(2, dtype=bool))
    with pytest.raises(ValueError, match=r"mask must not be empty"):
        fastsoft.trimap_from_mask(np.zeros((0, 2), dtype=bool))


def test_scribbles_in_a_painted_picture(rng):
    image = rng.uniform(0.2, 0.8, (20, 30, 3))
    painted = image + rng.uniform(-0.05, 0.05, image.shape)  # a lossy copy
    painted[3:5, 4:20] = 1.0
    painted[12:14, 2:9] = 0.02
    painted[16, 16] = (1.0, 0.0, 0.0)  # red is neither
    foreground, background = fastsoft.scribble_masks(image, painted)
    expected = np.full((20, 30), 128)
    expected[3:5, 4:20] = 255
    expected[12:14, 2:9] = 0
    np.testing.assert_array_equal(fastsoft.trimap_from_scribbles(foreground, background), expected)


def test_scribbles_refuse_bad_input():
    mask = np.zeros((2, 3), dtype=bool)
    mask[0, 0] = True
    with pytest.raises(ValueError, match="foreground and background must not overlap, got 1 pixels in both"):
        fastsoft.trimap_from_scribbles(mask, mask)
    with pytest.raises(ValueError, match=r"background must have shape \(2, 3\), got \(3, 2\)"):
        fastsoft.trimap_from_scribbles(mask, mask.T)
    with pytest.raises(TypeError, match="foreground must have dtype bool, got float64"):
        fastsoft.trimap_from_scribbles(mask * 1.0, mask)
    image = np.zeros((2, 3, 3))
    with pytest.raises(ValueError, match=r"painted must have shape \(2, 3, 3\), got \(3, 2, 3\)"):
        fastsoft.scribble_masks(image, image.transpose(1, 0, 2))


def test_empty_scribbles_leave_all_unknown():
    nothing = np.zeros((2, 3), dtype=bool)
    assert (fastsoft.trimap_from_scribbles(nothing, nothing) == 128).all()
