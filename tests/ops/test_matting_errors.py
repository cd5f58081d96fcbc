# SPDX-License-Identifier: MIT
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastsoft
from tests.reference import matting_errors as reference

VARIANTS = ["adobe", "lsa"]
FUNCTIONS = ["gradient_error", "connectivity_error"]


def blobs(rng, shape, dtype):
    """An alpha of plateaus and ramps with 8-bit values, so that many pixels lie exactly on a threshold."""
    coarse = rng.random(tuple(-(-n // 4) for n in shape))
    alpha = np.kron(coarse, np.ones((4, 4)))[: shape[0], : shape[1]] * 1.4 - 0.2
    alpha += rng.normal(scale=0.05, size=shape)
    return (np.round(np.clip(alpha, 0, 1) * 20) / 20).astype(dtype)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 13), (13, 1), (2, 3), (9, 14), (41, 37), (70, 21)])
def test_equals_the_definition(rng, function, variant, shape, dtype):
    alpha, truth = blobs(rng, shape, dtype), blobs(rng, shape, dtype)
    region = rng.random(shape) < 0.7
    found = getattr(fastsoft, function)(alpha, truth, region, variant=variant)
    expected = getattr(reference, function)(alpha, truth, region, variant)
    # Both sum in float64: differences of order 1 over some thousand pixels.
    assert found == pytest.approx(expected, rel=1e-12, abs=1e-15)
    everywhere = getattr(fastsoft, function)(alpha, truth, variant=variant)
    assert everywhere == pytest.approx(
        getattr(reference, function)(alpha, truth, np.ones(shape, dtype=bool), variant), rel=1e-12, abs=1e-15
    )


@given(st.integers(1, 24), st.integers(1, 24), st.sampled_from(VARIANTS), st.integers(0, 2**31))
def test_connectivity_of_noise_equals_the_definition(height, width, variant, seed):
    rng = np.random.default_rng(seed)
    alpha, truth = (np.round(rng.random((height, width)) ** 0.4, 1) for _ in range(2))
    region = np.ones((height, width), dtype=bool)
    found = fastsoft.connectivity_error(alpha, truth, variant=variant)
    assert found == pytest.approx(reference.connectivity_error(alpha, truth, region, variant), rel=1e-12, abs=1e-15)


def test_an_island_counts_with_its_whole_alpha():
    truth = np.zeros((6, 12))
    truth[:, :6] = 1
    alpha = truth.copy()
    alpha[3, 9] = 0.5
    # l = 0 at the island: it is in no component of any threshold, since the truth is 0 there.
    assert fastsoft.connectivity_error(alpha, truth) == pytest.approx(0.5e-3)
    # Below 0.15 a distance is no error.
    alpha[3, 9] = 0.14
    assert fastsoft.connectivity_error(alpha, truth) == 0
    alpha[3, 9] = 0.15
    assert fastsoft.connectivity_error(alpha, truth) == pytest.approx(0.15e-3)


def test_a_place_connected_up_to_a_level_counts_above_it():
    truth = np.ones((4, 8))
    alpha = np.ones((4, 8))
    alpha[2, 5] = 0.65
    # Connected up to 0.6: phi(alpha) = 1 (0.05 above), phi(truth) = 1 - 0.4.
    assert fastsoft.connectivity_error(alpha, truth) == pytest.approx(0.4e-3)


def test_diagonal_neighbours_are_not_connected():
    alpha = np.zeros((5, 5))
    alpha[:3, :3] = 1
    alpha[3, 3] = 1
    truth = alpha.copy()
    truth[3, 3] = 0.5
    # The diagonal pixel is in none of the largest components: l = 0 in both, phi differs by the alpha.
    assert fastsoft.connectivity_error(alpha, truth) == pytest.approx(0.5e-3)


def test_empty_thresholds_end_or_skip():
    alpha = np.full((3, 3), 0.55)
    truth = np.full((3, 3), 0.95)
    # No pixel passes 0.6. adobe: l = 0.5, phi = 1 (0.05 above) and 1 - 0.45. lsa: skipped, l = 1, both phi are 1.
    assert fastsoft.connectivity_error(alpha, truth, variant="adobe") == pytest.approx(9 * 0.45e-3)
    assert fastsoft.connectivity_error(alpha, truth, variant="lsa") == 0


def test_gradient_of_a_step_by_hand():
    # Rows are constant along the edge, so smoothing along it multiplies by the sum of the smoothing taps.
    truth = np.zeros((30, 40))
    alpha = truth.copy()
    alpha[:, 20:] = 1
    for variant, half in (("adobe", 4), ("lsa", 3)):
        steps = np.arange(-half, half + 1)
        gauss = np.exp(-(steps**2) / (2 * 1.4**2))
        slope = -steps * gauss
        gauss, slope = gauss / np.linalg.norm(gauss), slope / np.linalg.norm(slope)
        # At distance d from the edge the taps that reach over it add up.
        across = [slope[steps >= 20 - c].sum() if c < 20 else -slope[steps < 20 - c].sum() for c in range(40)]
        expected = 30 * (gauss.sum() ** 2 * np.square(across)).sum() / 1000
        assert fastsoft.gradient_error(alpha, truth, variant=variant) == pytest.approx(expected, rel=1e-12)


def test_adobe_stretches_alphas_and_lsa_does_not(rng):
    truth = rng.random((20, 20))
    truth[0, :2] = 0, 1
    alpha = 0.25 + 0.5 * truth
    assert fastsoft.gradient_error(alpha, truth, variant="adobe") == pytest.approx(0, abs=1e-15)
    assert fastsoft.gradient_error(alpha, truth, variant="lsa") > 1e-3


@pytest.mark.parametrize("function", FUNCTIONS)
def test_regions_add_up_and_an_empty_one_is_0(rng, function):
    alpha, truth = rng.random((33, 27)), rng.random((33, 27))
    region = rng.random((33, 27)) < 0.3
    call = getattr(fastsoft, function)
    assert call(alpha, truth, region) + call(alpha, truth, ~region) == pytest.approx(call(alpha, truth), rel=1e-12)
    assert call(alpha, truth, np.zeros_like(region)) == 0
    assert call(alpha, alpha) == 0


@pytest.mark.parametrize("function", FUNCTIONS)
def test_same_bits_for_any_number_of_threads_and_any_strides(rng, threads, function, dtype):
    alpha, truth = blobs(rng, (203, 171), dtype), blobs(rng, (203, 171), dtype)
    call = getattr(fastsoft, function)
    expected = call(alpha, truth)
    assert call(np.asfortranarray(alpha), truth[::-1].copy()[::-1]) == expected
    for count in (1, 2, 5):
        threads(count)
        assert call(alpha, truth) == expected


@pytest.mark.parametrize("function", FUNCTIONS)
def test_bad_input_is_refused(function):
    call = getattr(fastsoft, function)
    good = np.zeros((4, 5))
    with pytest.raises(TypeError, match="alpha must have dtype float32 or float64, got uint8"):
        call(good.astype(np.uint8), good)
    with pytest.raises(ValueError, match=r"alpha must have shape \(H, W\), got \(4, 5, 1\)"):
        call(good[..., None], good)
    with pytest.raises(ValueError, match=r"alpha must have 1 to \d+ pixels, got shape \(0, 5\)"):
        call(good[:0], good)
    with pytest.raises(ValueError, match=r"truth must have shape \(4, 5\), got \(5, 4\)"):
        call(good, good.T)
    with pytest.raises(ValueError, match=r"truth must lie in \[0, 1\], got values in \[1.5, 1.5\]"):
        call(good, good + 1.5)
    with pytest.raises(ValueError, match="alpha must be finite, got 1 values"):
        call(np.where(np.arange(20).reshape(4, 5) == 3, np.nan, good), good)
    with pytest.raises(TypeError, match="region must have dtype bool, got float64"):
        call(good, good, good)
    with pytest.raises(ValueError, match=r"region must have shape \(4, 5\), got \(5, 4\)"):
        call(good, good, good.T < 1)
    with pytest.raises(ValueError, match="variant must be one of 'adobe', 'lsa', got 'matlab'"):
        call(good, good, variant="matlab")


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (41, 1), (5, 7), (33, 64), (70, 35)])
def test_backends_agree_on_the_gradient_error(rng, backend, variant, shape, dtype):
    alpha, truth = blobs(rng, shape, dtype), blobs(rng, shape, dtype)
    region = rng.random(shape) < 0.7
    arrays = backend.array(alpha), backend.array(truth)
    found = fastsoft.gradient_error(*arrays, backend.array(region), variant=variant)
    assert isinstance(found, float)
    # Sums in float64, in another order.
    expected = reference.gradient_error(alpha, truth, region, variant)
    assert found == pytest.approx(expected, rel=1e-12, abs=1e-15)
    assert found == fastsoft.gradient_error(*arrays, backend.array(region), variant=variant)
    everywhere = fastsoft.gradient_error(*arrays, variant=variant)
    assert everywhere == pytest.approx(fastsoft.gradient_error(alpha, truth, variant=variant), rel=1e-12, abs=1e-15)


def test_backends_read_strided_and_offset_alphas(rng, backend):
    alpha, truth = blobs(rng, (60, 80), np.float64), blobs(rng, (60, 80), np.float64)
    region = rng.random((60, 80)) < 0.7
    found = fastsoft.gradient_error(*(backend.array(array)[5:, ::2] for array in (alpha, truth, region)))
    expected = fastsoft.gradient_error(*(array[5:, ::2] for array in (alpha, truth, region)))
    assert found == pytest.approx(expected, rel=1e-12)


def test_backends_refuse_bad_input_with_the_same_words(rng, backend):
    alpha = np.full((4, 5), 0.5)
    with pytest.raises(ValueError, match=r"truth must have shape \(4, 5\), got \(5, 4\)"):
        fastsoft.gradient_error(backend.array(alpha), backend.array(alpha.T))
    with pytest.raises(ValueError, match=r"truth must lie in \[0, 1\], got values in \[2, 2\]"):
        fastsoft.gradient_error(backend.array(alpha), backend.array(4 * alpha))
    with pytest.raises(TypeError, match="region must have dtype bool, got float64"):
        fastsoft.gradient_error(backend.array(alpha), backend.array(alpha), backend.array(alpha))


def test_alphas_of_two_dtypes_are_refused_on_a_device(device_backend):
    alpha = np.full((4, 5), 0.5)
    with pytest.raises(TypeError, match="truth must have the dtype of alpha on a CUDA device, float64, got float32"):
        fastsoft.gradient_error(device_backend.array(alpha), device_backend.array(alpha.astype(np.float32)))
