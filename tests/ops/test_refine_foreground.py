# SPDX-License-Identifier: MIT
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastsoft
from tests.reference import refine_foreground as reference
from tests.tolerances import parity


def make(rng, shape, dtype=np.float64):
    """Random colours; alpha with opaque, transparent and mixed regions."""
    height, width = shape
    foreground = rng.random((height, width, 3))
    rows, cols = np.mgrid[:height, :width]
    alpha = np.clip((rows / max(1, height - 1) + cols / max(1, width - 1)) * 1.5 - 1, 0, 1)
    alpha[rng.random(shape) < 0.1] = rng.random()
    return foreground.astype(dtype), alpha.astype(dtype)


SHAPES = [(1, 1), (1, 2), (2, 1), (1, 40), (41, 1), (2, 3), (5, 7), (31, 33), (64, 64), (70, 97)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("order", ["jacobi", "red_black"])
def test_equals_the_paper(rng, shape, order):
    foreground, alpha = make(rng, shape)
    found = fastsoft.refine_foreground(foreground, alpha, order=order)
    expected = reference.refine_foreground(foreground, alpha, red_black=order == "red_black")
    # Every update is an average: 1260 of them (levels and their resizing included) add roundings at the most.
    np.testing.assert_allclose(found, expected, rtol=0, atol=1300 * np.finfo(np.float64).eps)


@pytest.mark.parametrize(
    "options", [{"kappa": 0.1}, {"kappa": 30.0}, {"n_scales": 1}, {"n_scales": 3, "iterations": 3}]
)
@pytest.mark.parametrize("order", ["jacobi", "red_black"])
def test_options_equal_the_paper(rng, options, order):
    foreground, alpha = make(rng, (45, 38))
    found = fastsoft.refine_foreground(foreground, alpha, order=order, **options)
    expected = reference.refine_foreground(foreground, alpha, red_black=order == "red_black", **options)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1300 * np.finfo(np.float64).eps)


@pytest.mark.parametrize("order", ["jacobi", "red_black"])
def test_float32_is_close_to_float64(rng, order):
    foreground, alpha = make(rng, (130, 161), np.float32)
    found = fastsoft.refine_foreground(foreground, alpha, order=order)
    assert found.dtype == np.float32
    expected = fastsoft.refine_foreground(foreground.astype(np.float64), alpha.astype(np.float64), order=order)
    # Roundings of averages spread like a diffusion: they add as the root of the number of updates, 36.
    np.testing.assert_allclose(found, expected, rtol=0, atol=40 * np.finfo(np.float32).eps)


@pytest.mark.parametrize("order", ["jacobi", "red_black"])
def test_opaque_pixels_among_opaque_ones_keep_their_colour(rng, dtype, order):
    foreground, _ = make(rng, (50, 150), dtype)
    opaque = np.ones((50, 150), dtype=dtype)
    found = fastsoft.refine_foreground(foreground, opaque, order=order, iterations=1)
    np.testing.assert_allclose(found, foreground, rtol=0, atol=2 * np.finfo(dtype).eps)
    alpha = opaque.copy()
    alpha[20:30, 60:75] = 0.25
    found = fastsoft.refine_foreground(foreground, alpha, order=order)
    away = np.ones((50, 150), dtype=bool)
    away[19:31, 59:76] = False
    np.testing.assert_allclose(found[away], foreground[away], rtol=0, atol=2 * np.finfo(dtype).eps)
    assert np.abs(found[20:30, 60:75] - foreground[20:30, 60:75]).max() > 0.1


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**31), st.sampled_from(["jacobi", "red_black"]))
def test_colours_stay_between_the_extremes(height, width, seed, order):
    rng = np.random.default_rng(seed)
    foreground, alpha = make(rng, (height, width))
    foreground = 0.2 + 0.5 * foreground
    found = fastsoft.refine_foreground(foreground, alpha, order=order, iterations=2)
    eps = 500 * np.finfo(np.float64).eps
    assert (found >= foreground.min(axis=(0, 1)) - eps).all()
    assert (found <= foreground.max(axis=(0, 1)) + eps).all()
    constant = np.broadcast_to(foreground[:1, :1], foreground.shape)
    np.testing.assert_allclose(fastsoft.refine_foreground(constant, alpha, order=order), constant, atol=eps)


def test_checkerboard_survives_jacobi_and_not_red_black():
    """A plain average of neighbours inverts a checkerboard, and an even number of updates brings it back."""
    board = (np.indices((8, 8)).sum(axis=0) % 2).astype(np.float64)
    foreground = np.repeat(board[:, :, None], 3, axis=2)
    alpha = np.zeros((8, 8))
    call = fastsoft.refine_foreground
    np.testing.assert_allclose(call(foreground, alpha, order="jacobi", n_scales=1, iterations=1), 1 - foreground)
    np.testing.assert_allclose(call(foreground, alpha, order="jacobi", n_scales=1, iterations=20), foreground)
    found = call(foreground, alpha, order="red_black", n_scales=1, iterations=1)
    assert np.ptp(found) < 1e-12


def test_transparent_side_takes_the_opaque_colour():
    foreground = np.zeros((40, 64, 3))
    foreground[:, :32] = [0.9, 0.5, 0.2]
    alpha = np.zeros((40, 64))
    alpha[:, :32] = 1
    found = fastsoft.refine_foreground(foreground, alpha, iterations=300)
    np.testing.assert_allclose(found, np.broadcast_to([0.9, 0.5, 0.2], found.shape), atol=1e-6)
    # Before convergence the opaque pixel at the edge is drawn to the other side: data and smoothness weigh the same.
    early = fastsoft.refine_foreground(foreground, alpha, n_scales=1, iterations=1, order="jacobi")
    np.testing.assert_allclose(early[:, 31], np.broadcast_to([0.45, 0.25, 0.1], early[:, 31].shape))


def test_converged_result_is_a_minimum(rng):
    """The gradient of the energy, away from the mirrored border, by finite differences."""
    foreground, alpha = make(rng, (12, 13))
    alpha = np.clip(alpha, 0.05, 1)
    found = fastsoft.refine_foreground(foreground, alpha, n_scales=1, iterations=4000)
    step = 1e-4
    for row, col in ((3, 4), (6, 6), (8, 2), (5, 10)):
        for channel in range(3):
            change = np.zeros_like(found)
            change[row, col, channel] = step
            up, down = (reference.energy(found + sign * change, foreground, alpha) for sign in (1, -1))
            assert abs(up - down) / (2 * step) < 1e-9


def test_red_black_is_closer_to_convergence(rng):
    foreground, alpha = make(rng, (90, 90))
    limit = fastsoft.refine_foreground(foreground, alpha, iterations=3000)
    errors = {
        order: np.abs(fastsoft.refine_foreground(foreground, alpha, order=order) - limit).mean()
        for order in ("red_black", "jacobi")
    }
    assert errors["red_black"] < errors["jacobi"]


@pytest.mark.parametrize("order", ["jacobi", "red_black"])
def test_same_bits_for_any_number_of_threads(rng, threads, dtype, order):
    foreground, alpha = make(rng, (301, 203), dtype)
    results = []
    for count in (1, 2, 5):
        threads(count)
        results.append(fastsoft.refine_foreground(foreground, alpha, order=order))
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


def test_strides_and_read_only_arguments(rng, dtype):
    foreground, alpha = make(rng, (45, 67), dtype)
    expected = fastsoft.refine_foreground(foreground, alpha)
    planar = np.ascontiguousarray(foreground.transpose(2, 0, 1)).transpose(1, 2, 0)
    fortran = np.asfortranarray(alpha)
    fortran.setflags(write=False)
    np.testing.assert_array_equal(fastsoft.refine_foreground(planar, fortran), expected)
    # Mirrored pictures give mirrored results up to the parity of the chequerboard: odd sizes keep it.
    flipped = fastsoft.refine_foreground(foreground[::-1, ::-1], alpha[::-1, ::-1], n_scales=1)
    straight = fastsoft.refine_foreground(foreground, alpha, n_scales=1)
    np.testing.assert_allclose(flipped[::-1, ::-1], straight, rtol=0, atol=40 * np.finfo(dtype).eps)


def test_progress_and_cancelling(rng):
    foreground, alpha = make(rng, (64, 64))
    seen = []
    fastsoft.refine_foreground(foreground, alpha, progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    assert len(seen) > 20

    def stop(_fraction):
        raise fastsoft.Cancelled

    with pytest.raises(fastsoft.Cancelled):
        fastsoft.refine_foreground(foreground, alpha, progress=stop)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (41, 1), (2, 3), (31, 33), (50, 70), (66, 131)])
@pytest.mark.parametrize("order", ["jacobi", "red_black"])
def test_backends_agree(rng, backend, dtype, shape, order):
    foreground, alpha = make(rng, shape, dtype)
    options = {"order": order, "n_scales": 3, "iterations": 11}
    found = fastsoft.refine_foreground(backend.array(foreground), backend.array(alpha), **options)
    found = backend.numpy(found)
    assert found.dtype == dtype
    expected = fastsoft.refine_foreground(foreground, alpha, **options)
    np.testing.assert_allclose(found, expected, rtol=0, atol=parity("refine_foreground", dtype))
    exact = reference.refine_foreground(
        foreground.astype(float), alpha.astype(float), red_black=order == "red_black", n_scales=3, iterations=11
    )
    np.testing.assert_allclose(found, exact, rtol=0, atol=200 * np.finfo(dtype).eps)
    again = fastsoft.refine_foreground(backend.array(foreground), backend.array(alpha), **options)
    np.testing.assert_array_equal(backend.numpy(again), found)


@pytest.mark.parametrize(
    "options",
    [{}, {"kappa": 0.1, "n_scales": 1}, {"kappa": 30.0, "order": "jacobi"}, {"n_scales": 16, "iterations": 1}],
)
def test_backends_agree_on_options(rng, backend, options):
    foreground, alpha = make(rng, (23, 60))
    found = fastsoft.refine_foreground(backend.array(foreground), backend.array(alpha), **options)
    expected = fastsoft.refine_foreground(foreground, alpha, **options)
    np.testing.assert_allclose(backend.numpy(found), expected, rtol=0, atol=1300 * np.finfo(np.float64).eps)


def test_backends_read_strided_and_offset_arrays(rng, backend, dtype):
    foreground, alpha = make(rng, (60, 75), dtype)
    options = {"n_scales": 2, "iterations": 5}
    atol = parity("refine_foreground", dtype)
    expected = fastsoft.refine_foreground(foreground[5:, ::2], alpha[5:, ::2], **options)
    found = fastsoft.refine_foreground(backend.array(foreground)[5:, ::2], backend.array(alpha)[5:, ::2], **options)
    np.testing.assert_allclose(backend.numpy(found), expected, rtol=0, atol=atol)
    planar = np.ascontiguousarray(foreground.transpose(2, 0, 1)).transpose(1, 2, 0)
    found = fastsoft.refine_foreground(backend.array(planar), backend.array(np.asfortranarray(alpha)), **options)
    expected = fastsoft.refine_foreground(foreground, alpha, **options)
    np.testing.assert_allclose(backend.numpy(found), expected, rtol=0, atol=atol)


def test_progress_and_cancelling_on_a_device(rng, device_backend):
    foreground, alpha = map(device_backend.array, make(rng, (50, 70)))
    options = {"n_scales": 2, "iterations": 9}
    seen = []
    fastsoft.refine_foreground(foreground, alpha, progress=seen.append, **options)
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (0.0, 1.0)
    assert len(seen) > 4

    def stop(fraction):
        if fraction > 0.4:
            raise fastsoft.Cancelled

    with pytest.raises(fastsoft.Cancelled):
        fastsoft.refine_foreground(foreground, alpha, progress=stop, **options)


def test_backends_refuse_bad_input_with_the_same_words(rng, backend):
    foreground, alpha = make(rng, (6, 7))

    def call(foreground, alpha, **options):
        return fastsoft.refine_foreground(backend.array(foreground), backend.array(alpha), **options)

    with pytest.raises(ValueError, match=r"alpha must have shape \(6, 7\) as foreground has, got \(7, 6\)"):
        call(foreground, alpha.T)
    with pytest.raises(TypeError, match="alpha must have the dtype of foreground, float64, got float32"):
        call(foreground, alpha.astype(np.float32))
    spoilt = alpha.copy()
    spoilt[2, 3] = np.nan
    with pytest.raises(ValueError, match="alpha must be finite, got 1 values that are NaN or infinite"):
        call(foreground, spoilt)
    spoilt[2, 3] = 1.5
    with pytest.raises(ValueError, match=r"alpha must lie in \[0, 1\], got values in \[.*, 1.5\]"):
        call(foreground, spoilt)
    with pytest.raises(ValueError, match=r"foreground must lie in \[0, 1\], got values in"):
        call(foreground * 255, alpha)
    with pytest.raises(ValueError, match="kappa must be"):
        call(foreground, alpha, kappa=0.0)


def test_arrays_on_several_devices_are_refused(rng, device_backend):
    foreground, alpha = make(rng, (6, 7))
    with pytest.raises(
        TypeError, match="arrays of a call must be on one device, got foreground on cuda:0, alpha on cpu"
    ):
        fastsoft.refine_foreground(device_backend.array(foreground), alpha)


def test_bad_input_is_refused(rng):
    foreground, alpha = make(rng, (6, 7))
    call = fastsoft.refine_foreground
    with pytest.raises(ValueError, match=r"alpha must have shape \(6, 7\) as foreground has, got \(7, 6\)"):
        call(foreground, alpha.T)
    with pytest.raises(ValueError, match=r"alpha must have shape \(6, 7\) as foreground has, got \(6, 7, 1\)"):
        call(foreground, alpha[:, :, None])
    with pytest.raises(ValueError, match=r"foreground must have shape \(H, W, 3\), got \(6, 7, 2\)"):
        call(foreground[:, :, :2], alpha)
    with pytest.raises(TypeError, match="alpha must have the dtype of foreground, float64, got float32"):
        call(foreground, alpha.astype(np.float32))
    with pytest.raises(TypeError, match="alpha must have dtype float32 or float64, got uint8"):
        call(foreground, np.zeros((6, 7), np.uint8))
    spoilt = alpha.copy()
    spoilt[2, 3] = np.nan
    with pytest.raises(ValueError, match="alpha must be finite, got 1 values that are NaN or infinite"):
        call(foreground, spoilt)
    spoilt[2, 3] = 1.5
    with pytest.raises(ValueError, match=r"alpha must lie in \[0, 1\], got values in \[.*, 1.5\]"):
        call(foreground, spoilt)
    with pytest.raises(ValueError, match=r"foreground must lie in \[0, 1\], got values in"):
        call(foreground * 255, alpha)
    with pytest.raises(ValueError, match="foreground must be at least 1x1 pixels, got 0x7"):
        call(foreground[:0], alpha[:0])
    with pytest.raises(ValueError, match="order must be one of 'red_black', 'jacobi', got 'lexical'"):
        call(foreground, alpha, order="lexical")
    for name, value in (("kappa", 0.0), ("n_scales", 0), ("iterations", 0)):
        with pytest.raises(ValueError, match=f"{name} must be"):
            call(foreground, alpha, **{name: value})
