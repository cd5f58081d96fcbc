# SPDX-License-Identifier: MIT
from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import fastsoft
from tests.reference import matting_errors as reference


@pytest.fixture
def case(rng):
    truth = np.clip(rng.normal(0.5, 0.6, (24, 31)), 0, 1)
    alpha = np.clip(truth + rng.normal(0, 0.1, truth.shape), 0, 1)
    trimap = rng.choice(np.array([0, 128, 255], dtype=np.uint8), truth.shape)
    return alpha, truth, trimap


@pytest.mark.parametrize("variant", ["adobe", "lsa"])
def test_all_errors_equal_their_definitions(case, variant):
    alpha, truth, trimap = case
    unknown = trimap == 128
    errors = fastsoft.matting_errors(alpha, truth, trimap, variant=variant)
    counted = unknown if variant == "adobe" else np.ones_like(unknown)
    assert errors.sad == pytest.approx(np.abs(alpha - truth)[counted].sum() / 1000)
    assert errors.mse == pytest.approx(((alpha - truth) ** 2)[counted].sum() / unknown.sum())
    assert errors.gradient == pytest.approx(reference.gradient_error(alpha, truth, unknown, variant))
    assert errors.connectivity == pytest.approx(reference.connectivity_error(alpha, truth, unknown, variant))


def test_variants_agree_on_sad_and_mse_where_the_known_pixels_are_right(case):
    alpha, truth, trimap = case
    alpha = np.where(trimap == 128, alpha, truth)
    adobe = fastsoft.matting_errors(alpha, truth, trimap, variant="adobe", measures=("sad", "mse"))
    lsa = fastsoft.matting_errors(alpha, truth, trimap, variant="lsa", measures=("sad", "mse"))
    assert (adobe.sad, adobe.mse) == pytest.approx((lsa.sad, lsa.mse))
    assert np.isnan([adobe.gradient, adobe.connectivity]).all()


def test_a_perfect_alpha_has_no_error(case):
    _, truth, trimap = case
    assert dataclasses.astuple(fastsoft.matting_errors(truth, truth, trimap)) == (0, 0, 0, 0)


def test_without_a_trimap_every_pixel_counts(case):
    alpha, truth, _ = case
    errors = fastsoft.matting_errors(alpha, truth)
    assert errors.sad == pytest.approx(np.abs(alpha - truth).sum() / 1000)
    assert errors.mse == pytest.approx(np.mean((alpha - truth) ** 2))


def test_float32_differences_are_summed_in_float64():
    truth = np.zeros((2000, 2000), dtype=np.float32)
    alpha = np.full_like(truth, 0.1)
    assert fastsoft.matting_errors(alpha, truth, measures=["sad"]).sad == pytest.approx(4000 * float(alpha[0, 0]))


def test_bad_input_is_refused(case):
    alpha, truth, trimap = case
    with pytest.raises(ValueError, match="trimap must have at least one unknown pixel, got none"):
        fastsoft.matting_errors(alpha, truth, np.full_like(trimap, 255))
    with pytest.raises(ValueError, match="trimap must have the size of the image, 24x31, got 31x24"):
        fastsoft.matting_errors(alpha, truth, trimap.T)
    with pytest.raises(ValueError, match=r"truth must have shape \(24, 31\), got \(31, 24\)"):
        fastsoft.matting_errors(alpha, truth.T, trimap)
    with pytest.raises(ValueError, match="variant must be one of 'adobe', 'lsa', got 'x'"):
        fastsoft.matting_errors(alpha, truth, trimap, variant="x")
    with pytest.raises(ValueError, match=r"measures must be one of 'sad', .* got 'grad'"):
        fastsoft.matting_errors(alpha, truth, trimap, measures=["grad"])
    with pytest.raises(ValueError, match="alpha must be finite"):
        fastsoft.matting_errors(alpha * np.nan, truth, trimap)
