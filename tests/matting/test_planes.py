# SPDX-License-Identifier: MIT
from __future__ import annotations

import warnings

import numpy as np
import pytest

import fastsoft
from fastsoft.matting.planes import CELLS, FLOOR, SIGMA, closed_form_plane, color_posterior, extra_planes


@pytest.fixture
def scene(rng):
    image = rng.random((24, 30, 3)) * 0.3
    image[:, :14] += [0.6, 0.1, 0.0]
    trimap = np.full((24, 30), 128, dtype=np.uint8)
    trimap[:, :8], trimap[:, 22:] = 255, 0
    return image, trimap


def test_posterior_by_its_formula(scene):
    """Every known pixel as a sum of Gaussians over cells, cut where scipy cuts them."""
    image, trimap = scene
    cells = np.minimum((image * CELLS).astype(int), CELLS - 1)
    reach = int(4 * SIGMA + 0.5)
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / SIGMA) ** 2)
    taps /= taps.sum()

    def share(cell, known):
        total = 0.0
        for other in cells[known]:
            distance = other - cell
            if np.abs(distance).max() <= reach:
                total += np.prod(taps[distance + reach])
        return total / known.sum()

    found = color_posterior(image, trimap)
    for row, col in [(0, 0), (5, 12), (9, 20), (23, 29), (12, 15)]:
        f, b = (share(cells[row, col], trimap == value) for value in (255, 0))
        assert found[row, col] == pytest.approx((f + FLOOR) / (f + b + 2 * FLOOR), rel=1e-5)
    assert found.dtype == np.float32
    assert found[:, :14].mean() > 0.95
    assert found[:, 14:].mean() < 0.05


def test_a_colour_that_neither_side_has_says_nothing(scene):
    image, trimap = scene
    image[12, 15] = [0.0, 0.0, 1.0]
    assert color_posterior(image, trimap)[12, 15] == 0.5
    assert (color_posterior(image, np.full_like(trimap, 128)) == 0.5).all()


def test_one_sided_trimaps_are_no_cause_for_warnings(scene):
    image, trimap = scene
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (closed_form_plane(image, np.where(trimap == 0, 128, trimap)) == 1).all()
        assert (closed_form_plane(image, np.where(trimap == 255, 128, trimap)) == 0).all()
        np.testing.assert_allclose(closed_form_plane(image, np.full_like(trimap, 128)), 128 / 255)
    np.testing.assert_allclose(closed_form_plane(image, trimap), fastsoft.closed_form_matting(image, trimap), atol=1e-6)


def test_planes_come_in_the_order_asked_for(scene):
    image, trimap = scene
    planes = extra_planes(("color_posterior", "closed_form"), image, trimap)
    np.testing.assert_array_equal(planes[:, :, 0], color_posterior(image, trimap))
    np.testing.assert_array_equal(planes[:, :, 1], closed_form_plane(image, trimap))
    assert extra_planes((), image, trimap) is None
    with pytest.raises(ValueError, match="extra channels must be of closed_form, color_posterior, got depth"):
        extra_planes(("depth",), image, trimap)
