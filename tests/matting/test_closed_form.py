# SPDX-License-Identifier: MIT
from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

import fastsoft

# SAD in thousands over the unknown pixels of PyMatting 1.1.16's estimate_alpha_cf, narrow trimaps.
PYMATTING_SAD = {"GT01": 1.1314, "GT24": 3.6689}


@pytest.fixture
def composite(rng):
    """An image composed with a known alpha of soft blobs, its trimap, and the alpha."""
    field = ndimage.gaussian_filter(rng.normal(size=(88, 136)), 9)
    truth = np.clip(0.5 + field / field.std() * 1.5, 0, 1)
    foreground = np.array([0.8, 0.6, 0.2]) + 0.05 * ndimage.gaussian_filter(rng.normal(size=(88, 136, 3)), (8, 8, 0))
    background = np.array([0.2, 0.3, 0.7]) + 0.05 * ndimage.gaussian_filter(rng.normal(size=(88, 136, 3)), (8, 8, 0))
    image = truth[..., None] * foreground + (1 - truth[..., None]) * background
    return np.clip(image, 0, 1), fastsoft.trimap_from_alpha(truth, outer=2, inner=2), truth


def test_finds_the_alpha_of_a_composite(composite):
    image, trimap, truth = composite
    alpha = fastsoft.closed_form_matting(image, trimap)
    assert alpha.shape == truth.shape
    assert alpha.dtype == image.dtype
    # Foreground and background are nearly constant, which is what the method assumes.
    assert np.abs(alpha - truth).max() < 0.03
    # PyMatting allows 1.68 (2-norm) on a picture of 68x44 pixels, a quarter of this one.
    assert np.linalg.norm(alpha - truth) < 1.68


def test_known_pixels_keep_the_value_of_the_trimap(composite):
    image, trimap, _ = composite
    soft = np.where(trimap == 255, 0.95, np.where(trimap == 0, 0.04, 0.5))
    alpha = fastsoft.closed_form_matting(image, soft)
    known = trimap != 128
    np.testing.assert_array_equal(alpha[known], soft[known])
    # The system counts them as 0 and 1 all the same.
    np.testing.assert_array_equal(alpha[~known], fastsoft.closed_form_matting(image, trimap)[~known])
    assert alpha.min() >= 0
    assert alpha.max() <= 1


def test_trimaps_of_all_types_are_the_same(composite):
    image, trimap, _ = composite
    expected = fastsoft.closed_form_matting(image, trimap)
    for other in (trimap / 255.0, (trimap / 255.0).astype(np.float32), np.asfortranarray(trimap)):
        np.testing.assert_allclose(fastsoft.closed_form_matting(image, other), expected, rtol=0, atol=1e-7)
    single = fastsoft.closed_form_matting(image.astype(np.float32), trimap)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, expected, rtol=0, atol=1e-3)


def test_a_trimap_without_unknown_pixels_comes_back(composite):
    image, _, truth = composite
    trimap = np.where(truth > 0.5, 1.0, 0.05)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(fastsoft.closed_form_matting(image, trimap), trimap)


def test_one_sided_trimaps_have_the_solution_of_the_equations(composite):
    image, trimap, _ = composite
    for known, name, value in ((255, "background", 1.0), (0, "foreground", 0.0)):
        one_sided = np.where(trimap == known, trimap, 128).astype(np.uint8)
        with pytest.warns(RuntimeWarning, match=f"trimap has no known {name}: alpha is {value:g} wherever"):
            alpha = fastsoft.closed_form_matting(image, one_sided)
        assert (alpha == value).all()


def test_a_trimap_that_knows_nothing_comes_back(composite):
    image, _, truth = composite
    nothing = 0.3 + 0.4 * truth
    with pytest.warns(RuntimeWarning, match="trimap has no known pixel"):
        np.testing.assert_array_equal(fastsoft.closed_form_matting(image, nothing), nothing)


@pytest.mark.parametrize("shape", [(1, 2), (1, 40), (40, 1), (2, 2), (2, 30), (30, 2), (1, 3), (3, 3)])
def test_images_of_a_few_pixels(rng, shape):
    ramp = np.linspace(0, 1, max(shape)).reshape(-1, 1) if shape[0] >= shape[1] else np.linspace(0, 1, shape[1])[None]
    truth = np.broadcast_to(ramp, shape).copy()
    image = truth[..., None] * [0.9, 0.5, 0.1] + (1 - truth[..., None]) * [0.1, 0.2, 0.6]
    trimap = np.full(shape, 0.5)
    trimap[truth == 0], trimap[truth == 1] = 0, 1
    alpha = fastsoft.closed_form_matting(image, trimap)
    # The image is affine in alpha, which is what the method finds.
    np.testing.assert_allclose(alpha, truth, rtol=0, atol=0.02)


def test_a_single_pixel():
    with pytest.warns(RuntimeWarning, match="no known pixel"):
        assert fastsoft.closed_form_matting(np.zeros((1, 1, 3)), np.array([[0.5]])) == 0.5
    assert fastsoft.closed_form_matting(np.zeros((1, 1, 3)), np.array([[1.0]])) == 1


@settings(max_examples=60)
@given(st.integers(1, 24), st.integers(1, 24), st.floats(0, 1), st.sampled_from(["auto", "multilevel"]), st.integers())
def test_no_trimap_raises(height, width, share, method, seed):
    rng = np.random.default_rng(abs(seed))
    image = rng.random((height, width, 3)).astype(np.float32)
    trimap = np.where(rng.random((height, width)) < share, rng.choice([0.0, 0.05, 0.95, 1.0], (height, width)), 0.5)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="trimap has no known", category=RuntimeWarning)
        alpha = fastsoft.closed_form_matting(image, trimap, method=method)
    assert alpha.dtype == np.float32
    assert ((alpha >= 0) & (alpha <= 1)).all()


def test_says_so_when_it_stops_short(composite):
    image, trimap, _ = composite
    with pytest.warns(
        RuntimeWarning, match="closed_form_matting stopped after 1 of 1 iterations at a relative residual"
    ):
        fastsoft.closed_form_matting(image, trimap, method="multilevel", max_iterations=1)


def test_arguments_are_left_alone_and_bad_ones_refused(composite):
    image, trimap, _ = composite
    before = image.copy(), trimap.copy()
    fastsoft.closed_form_matting(image, trimap)
    np.testing.assert_array_equal(image, before[0])
    np.testing.assert_array_equal(trimap, before[1])
    with pytest.raises(ValueError, match="trimap must have the size of the image, 88x136, got 136x88"):
        fastsoft.closed_form_matting(image, trimap.T)
    with pytest.raises(TypeError, match="image must have dtype float32 or float64, got uint8"):
        fastsoft.closed_form_matting((image * 255).astype(np.uint8), trimap)
    broken = image.copy()
    broken[3, 4] = np.nan
    with pytest.raises(ValueError, match="image must be finite, got 3 values"):
        fastsoft.closed_form_matting(broken, trimap)
    with pytest.raises(ValueError, match=r"tolerance must be above 0"):
        fastsoft.closed_form_matting(image, trimap, tolerance=0)
    with pytest.raises(ValueError, match="method must be one of"):
        fastsoft.closed_form_matting(image, trimap, method="ichol")


def test_true_mattes(shared):
    """Errors on measured mattes are those of PyMatting's estimate_alpha_cf (python -m benchmarks.closed_form)."""
    folder = shared / "data" / "matting"
    if not folder.is_dir():
        pytest.skip("no true mattes there")
    for name, sad in PYMATTING_SAD.items():
        image, truth, trimap = (
            fastsoft.read_image(folder / kind / f"{name}.png").astype(np.float64)
            for kind in ("image", "alpha", "trimap")
        )
        alpha = fastsoft.closed_form_matting(image, trimap[..., 0])
        errors = fastsoft.matting_errors(alpha, truth[..., 0], trimap[..., 0], measures=["sad"])
        assert errors.sad == pytest.approx(sad, rel=1e-3)
        other = fastsoft.closed_form_matting(image, trimap[..., 0], method="multilevel")
        assert np.abs(alpha - other).mean() < 1e-5
