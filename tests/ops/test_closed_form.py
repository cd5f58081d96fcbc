# SPDX-License-Identifier: MIT
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.sparse.linalg import spsolve

import fastsoft
from fastsoft.ops.closed_form import closed_form
from tests.reference import closed_form as reference

METHODS = ["direct", "multilevel"]


def regions_of(rng, shape, share_known):
    regions = np.where(rng.random(shape) < share_known, rng.choice([0, 2], shape), 1).astype(np.uint8)
    regions[0, 0], regions[-1, -1] = 2, 1
    return regions


def band(height, width, half_width):
    """Regions with an unknown band between a disc and what surrounds it, and an image of two textures mixed in it."""
    rng = np.random.default_rng(7)
    row, col = np.mgrid[:height, :width]
    distance = np.hypot(row - height / 2, (col - width / 2) * height / width) - height / 4
    regions = np.where(distance < -half_width, 2, np.where(distance > half_width, 0, 1)).astype(np.uint8)
    truth = np.clip(0.5 - distance / half_width, 0, 1)[..., None]
    noise = ndimage.gaussian_filter(rng.normal(size=(2, height, width, 3)), (0, 1, 1, 0))
    image = truth * (0.7 + 0.1 * noise[0]) + (1 - truth) * (0.3 + 0.1 * noise[1])
    return np.clip(image, 0, 1), regions


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", [(3, 3), (3, 10), (11, 3), (5, 7), (13, 17), (24, 31)])
@pytest.mark.parametrize("share_known", [0.02, 0.3, 0.9])
def test_equals_a_dense_solve(rng, method, shape, share_known):
    image = rng.random((*shape, 3))
    regions = regions_of(rng, shape, share_known)
    # Nearly all pixels unknown: the smallest eigenvalue is about epsilon, which amplifies rounding as much.
    epsilon = 1e-3
    result = closed_form(image, regions, epsilon=epsilon, tolerance=1e-12, method=method)
    assert result.info.converged
    np.testing.assert_allclose(result.alpha, reference.closed_form(image, regions, epsilon), rtol=0, atol=1e-7)
    assert result.method == method


@pytest.mark.parametrize("method", METHODS)
def test_equals_a_sparse_direct_solve_over_many_tiles(method):
    image, regions = band(150, 210, 14)
    result = closed_form(image, regions, tolerance=1e-10, method=method)
    laplacian = fastsoft.matting_laplacian(image).tocsc()
    unknown = np.flatnonzero(regions.ravel() == 1)
    known = np.flatnonzero(regions.ravel() != 1)
    right = -laplacian[:, known][unknown] @ (regions.ravel()[known] == 2).astype(float)
    expected = spsolve(laplacian[:, unknown][unknown].tocsc(), right)
    # Residuals of 1e-10 over eigenvalues of about 1e-4.
    np.testing.assert_allclose(result.alpha.ravel()[unknown], expected, rtol=0, atol=1e-5)
    np.testing.assert_array_equal(result.alpha.ravel()[known], regions.ravel()[known] == 2)


@pytest.mark.parametrize(("method", "most"), [("direct", 3), ("multilevel", 48)])
def test_needs_no_more_iterations_than_published(method, most):
    # PyMatting's tests allow 3 for its incomplete Cholesky factors and 48 for its V-cycle.
    image, regions = band(300, 400, 30)
    result = closed_form(image, regions, method=method)
    assert result.info.converged
    assert result.info.residual <= 1e-7
    assert 1 <= result.info.iterations <= most


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=40)
@given(st.integers(3, 40), st.integers(3, 40), st.integers(0, 5), st.floats(0, 1), st.integers(0, 2**31))
# One known pixel that hardly touches the others: the tolerance is below what rounding allows.
@example(12, 16, 2, 0.0, 174)
def test_odd_trimaps_and_images_converge(method, height, width, kind, share_known, seed):
    rng = np.random.default_rng(seed)
    color = rng.random(3)
    image = [
        lambda: rng.random((height, width, 3)),
        lambda: np.full((height, width, 3), color),
        lambda: np.round(rng.random((height, width, 3))),
        lambda: np.linspace(0, 1, width)[:, None] * color * np.ones((height, 1, 1)),
        lambda: np.kron(rng.random((height // 6 + 1, width // 6 + 1, 3)), np.ones((6, 6, 1)))[:height, :width],
        lambda: np.repeat(rng.random((height, width, 1)), 3, axis=2),
    ][kind]()
    regions = regions_of(rng, (height, width), share_known**4)
    result = closed_form(image, regions, method=method)
    assert result.info.converged
    assert np.isfinite(result.alpha).all()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("epsilon", [1e-9, 1e-12, 1e-15])
def test_hardly_regularised_systems_still_converge(method, epsilon):
    # In float32 the last two matrices are not positive definite: the factor needs a shift.
    image = np.random.default_rng(0).random((40, 50, 3))
    regions = np.ones((40, 50), dtype=np.uint8)
    regions[20, 25], regions[3, 4] = 0, 2
    fractions = []
    result = closed_form(image, regions, epsilon=epsilon, method=method, progress=fractions.append)
    assert result.info.converged
    assert result.method == method
    assert fractions == sorted(fractions)


@pytest.mark.parametrize("method", METHODS)
def test_foreground_and_background_may_change_places(method):
    image, regions = band(90, 120, 9)
    alpha = closed_form(image, regions, method=method, tolerance=1e-10).alpha
    other = closed_form(image, 2 - regions, method=method, tolerance=1e-10).alpha
    np.testing.assert_allclose(alpha, 1 - other, rtol=0, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_same_bits_for_any_number_of_threads(method, threads):
    image, regions = band(260, 330, 25)
    results = []
    for count in (1, 2, 5):
        threads(count)
        results.append(closed_form(image, regions, method=method).alpha)
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


@pytest.mark.parametrize("method", METHODS)
def test_strides_and_float32(method):
    image, regions = band(70, 90, 8)
    expected = closed_form(image, regions, method=method).alpha
    wide = np.zeros((140, 180, 6))
    wide[::2, ::2, ::2] = image
    read_only = image.copy()
    read_only.setflags(write=False)
    for view in (np.asfortranarray(image), wide[::2, ::2, ::2], read_only):
        found = closed_form(view, np.asfortranarray(regions), method=method).alpha
        np.testing.assert_array_equal(found, expected)
    single = closed_form(image.astype(np.float32), regions, method=method).alpha
    assert single.dtype == np.float32
    # The image is rounded to 24 bits; covariances of 1e-3 and more pass that on about thousandfold.
    np.testing.assert_allclose(single, expected, rtol=0, atol=1e-3)


def test_auto_takes_two_levels_where_the_factor_would_not_fit():
    image, regions = band(70, 90, 8)
    assert closed_form(image, regions).method == "direct"
    result = closed_form(image, regions, max_factor_bytes=1e4)
    assert result.method == "multilevel"
    np.testing.assert_allclose(result.alpha, closed_form(image, regions).alpha, rtol=0, atol=1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_too_few_iterations_return_what_there_is(method):
    image, regions = band(120, 150, 20)
    result = closed_form(image, regions, method=method, max_iterations=1, tolerance=1e-12)
    assert not result.info.converged
    assert result.info.iterations == 1
    assert np.isfinite(result.alpha).all()


@pytest.mark.parametrize("method", METHODS)
def test_progress_rises_to_1_and_can_cancel(method):
    image, regions = band(120, 150, 20)
    fractions = []
    closed_form(image, regions, method=method, progress=fractions.append)
    assert fractions[0] == 0
    assert fractions[-1] == 1
    assert fractions == sorted(fractions)

    def cancel(fraction):
        if fraction > 0.1:
            raise fastsoft.Cancelled

    with pytest.raises(fastsoft.Cancelled):
        closed_form(image, regions, method=method, progress=cancel)


def test_bad_input_is_refused():
    image = np.zeros((4, 5, 3))
    regions = np.array([[0, 1, 2, 1, 1]] * 4, dtype=np.uint8)
    with pytest.raises(ValueError, match="image must be at least 3x3 pixels, got 2x5"):
        closed_form(image[:2], regions[:2])
    with pytest.raises(ValueError, match=r"regions must have shape \(4, 5\), got \(5, 4\)"):
        closed_form(image, regions.T)
    with pytest.raises(TypeError, match="regions must have dtype uint8, got int64"):
        closed_form(image, regions.astype(np.int64))
    with pytest.raises(ValueError, match="regions must hold 0, 1 and 2, got 3"):
        closed_form(image, regions + np.uint8(1))
    with pytest.raises(ValueError, match="regions must have an unknown pixel, got none"):
        closed_form(image, regions * 0)
    with pytest.raises(ValueError, match="regions must have a known pixel, got none"):
        closed_form(image, np.ones_like(regions))
    with pytest.raises(ValueError, match="epsilon must be above 0"):
        closed_form(image, regions, epsilon=0)
    with pytest.raises(ValueError, match="method must be one of 'auto', 'direct', 'multilevel', got 'ichol'"):
        closed_form(image, regions, method="ichol")
    with pytest.raises(ValueError, match="image must be finite, got 60 values"):
        closed_form(image * np.nan, regions)
