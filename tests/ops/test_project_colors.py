# SPDX-License-Identifier: MIT
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastsoft
from tests import on_host
from tests.reference import project_colors as reference
from tests.tolerances import parity


def make(rng, shape, n, dtype=np.float64, *, spread=0.4, concentration=0.3):
    alphas = rng.dirichlet(np.full(n, concentration), shape)
    image = rng.random((*shape, 3))
    colors = np.clip(image[:, :, None] + rng.normal(0, spread, (*shape, n, 3)), 0, 1)
    return alphas.astype(dtype), colors.astype(dtype), image.astype(dtype)


def recomposed(alphas, colors):
    return (alphas.astype(np.float64)[:, :, :, None] * colors).sum(axis=2)


@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_equals_a_general_solver_of_quadratic_programmes(rng, n):
    alphas, colors, image = make(rng, (5, 6), n, concentration=1.0)
    image[0] = rng.integers(0, 2, (6, 3))  # black and white need every layer at its bound
    found = fastsoft.project_colors(alphas, colors, image)
    for row, col, channel in np.ndindex(5, 6, 3):
        expected = reference.solve(alphas[row, col], colors[row, col, :, channel], image[row, col, channel])
        # The general solver stops at a relative change of 1e-14 of the sum of squares: about 1e-7 in the colours.
        np.testing.assert_allclose(found[row, col, :, channel], expected, atol=2e-6)


@pytest.mark.parametrize("shape", [(1, 1), (1, 129), (3, 130), (17, 9)])
@pytest.mark.parametrize("n", [1, 2, 5, 12])
def test_equals_the_optimality_condition(rng, shape, n, dtype):
    alphas, colors, image = make(rng, shape, n, dtype)
    found = fastsoft.project_colors(alphas, colors, image)
    assert found.dtype == dtype
    expected = reference.project_colors(alphas, colors, image)
    # An error of some roundings in the constraint moves the colours by it over the root of the sum of squares of the
    # free alphas, which may be small; weighted by the alphas they agree to roundings.
    error = np.abs(found - expected)
    eps = np.finfo(dtype).eps
    assert (error * alphas[:, :, :, None]).max() < 20 * n * eps
    assert np.median(error) < 4 * eps


def test_many_layers_meet_the_bound_one_after_the_other(dtype):
    """Each round takes one layer to the bound: as many rounds as layers."""
    n = 9
    alphas = np.full((1, 1, n), 1 / n, dtype=dtype)
    colors = np.zeros((1, 1, n, 3), dtype=dtype)
    colors[0, 0, :, :] = (1 - 0.5 ** np.arange(1, n + 1))[:, None]
    for value in (0.9, 0.99, 0.999, 1.0, 0.3, 0.05, 0.001, 0.0):
        image = np.full((1, 1, 3), value, dtype=dtype)
        found = fastsoft.project_colors(alphas, colors, image)
        expected = reference.project_colors(alphas, colors, image)
        np.testing.assert_allclose(found, expected, atol=200 * np.finfo(dtype).eps)


@given(st.integers(1, 10), st.integers(0, 2**31), st.sampled_from([np.float32, np.float64]), st.floats(0.02, 5))
def test_layers_recompose_the_photograph_inside_the_box(n, seed, dtype, concentration):
    rng = np.random.default_rng(seed)
    alphas, colors, image = make(rng, (3, 5), n, dtype, concentration=concentration)
    alphas[0, 0] = np.eye(n, dtype=dtype)[0]  # opaque
    image[0, 1], image[0, 2] = 0, 1
    colors[1, 0], colors[1, 1] = 0, 1
    found = fastsoft.project_colors(alphas, colors, image)
    assert found.min() >= 0
    assert found.max() <= 1
    # The sum of n rounded alphas is 1 to n roundings, and so is that of the products.
    np.testing.assert_allclose(recomposed(alphas, found), image, atol=(2 * n + 4) * np.finfo(dtype).eps)
    np.testing.assert_allclose(found[0, 0, 0], image[0, 0], atol=2 * np.finfo(dtype).eps)
    clear = alphas == 0
    np.testing.assert_array_equal(found[clear], colors[clear])


def test_what_recomposes_already_stays(rng):
    alphas, colors, _ = make(rng, (20, 30), 4)
    image = recomposed(alphas, colors).clip(0, 1)
    found = fastsoft.project_colors(alphas, colors, image)
    np.testing.assert_allclose(found, colors, atol=1e-14)


def test_strides_and_in_place(rng, dtype):
    alphas, colors, image = make(rng, (21, 150), 3, dtype)
    expected = fastsoft.project_colors(alphas, colors, image)
    planar = np.ascontiguousarray(alphas.transpose(2, 0, 1)).transpose(1, 2, 0)
    planes = np.ascontiguousarray(colors.transpose(2, 3, 0, 1)).transpose(2, 3, 0, 1)
    readonly = image.copy()
    readonly.setflags(write=False)
    found = fastsoft.project_colors(planar, planes, readonly)
    np.testing.assert_array_equal(found, expected)
    assert found.strides == planes.strides
    assert fastsoft.project_colors(alphas, planes, image, out=planes) is planes
    np.testing.assert_array_equal(planes, expected)
    flipped = fastsoft.project_colors(alphas[::-1, ::-1], colors[::-1, ::-1], image[::-1, ::-1])
    np.testing.assert_array_equal(flipped[::-1, ::-1], expected)


def test_same_bits_for_any_number_of_threads(rng, threads, dtype):
    arrays = make(rng, (111, 97), 5, dtype)
    results = []
    for count in (1, 2, 5):
        threads(count)
        results.append(fastsoft.project_colors(*arrays))
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


def test_alphas_that_hardly_count(dtype):
    """Squares of such alphas are 0 in the arithmetic: nothing may become infinite."""
    tiny = np.finfo(dtype).tiny
    alphas = np.array([[[1 - 1e-30, 1e-30, tiny]]], dtype=dtype)
    colors = np.full((1, 1, 3, 3), 0.5, dtype=dtype)
    for value in (0.0, 0.25, 1.0):
        found = fastsoft.project_colors(alphas, colors, np.full((1, 1, 3), value, dtype=dtype))
        np.testing.assert_allclose(found[0, 0, 0], value, atol=np.finfo(dtype).eps)
        assert np.isfinite(found).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 129), (17, 9), (31, 50)])
@pytest.mark.parametrize("n", [1, 2, 5, 12])
def test_backends_agree(rng, backend, shape, n, dtype):
    alphas, colors, image = make(rng, shape, n, dtype)
    image[0, 0] = rng.integers(0, 2, 3)
    result = fastsoft.project_colors(backend.array(alphas), backend.array(colors), backend.array(image))
    found = backend.numpy(result)
    assert found.dtype == dtype
    assert found.min() >= 0
    assert found.max() <= 1
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(recomposed(alphas, found), image, rtol=0, atol=(2 * n + 4) * eps)
    error = np.abs(found - reference.project_colors(alphas, colors, image)) * alphas[:, :, :, None]
    assert error.max() < 20 * n * eps
    error = np.abs(found - fastsoft.project_colors(alphas, colors, image)) * alphas[:, :, :, None]
    assert error.max() <= n * parity("project_colors", dtype)
    again = fastsoft.project_colors(backend.array(alphas), backend.array(colors), backend.array(image))
    np.testing.assert_array_equal(backend.numpy(again), found)


def test_backends_meet_one_bound_after_the_other(backend, dtype):
    n = 9
    alphas = np.full((1, 1, n), 1 / n, dtype=dtype)
    colors = np.zeros((1, 1, n, 3), dtype=dtype)
    colors[0, 0, :, :] = (1 - 0.5 ** np.arange(1, n + 1))[:, None]
    for value in (0.9, 0.99, 0.999, 1.0, 0.3, 0.05, 0.001, 0.0):
        image = np.full((1, 1, 3), value, dtype=dtype)
        found = fastsoft.project_colors(*map(backend.array, (alphas, colors, image)))
        expected = reference.project_colors(alphas, colors, image)
        np.testing.assert_allclose(backend.numpy(found), expected, atol=200 * np.finfo(dtype).eps)


def test_backends_work_in_place_on_any_strides(rng, backend, dtype):
    alphas, colors, image = make(rng, (21, 50), 3, dtype)
    expected = backend.numpy(fastsoft.project_colors(*map(backend.array, (alphas, colors, image))))
    planes = np.ascontiguousarray(colors.transpose(2, 3, 0, 1)).transpose(2, 3, 0, 1)
    planar = np.ascontiguousarray(alphas.transpose(2, 0, 1)).transpose(1, 2, 0)
    found = fastsoft.project_colors(*map(backend.array, (planar, planes, image)))
    np.testing.assert_array_equal(backend.numpy(found), expected)
    # In the layout of the colours.
    assert backend.numpy(found).strides == planes.strides
    own = backend.array(planes)
    assert fastsoft.project_colors(backend.array(alphas), own, backend.array(image), out=own) is own
    np.testing.assert_array_equal(backend.numpy(own), expected)
    part = fastsoft.project_colors(*(backend.array(array)[3::2, 1::3] for array in (alphas, colors, image)))
    np.testing.assert_array_equal(backend.numpy(part), expected[3::2, 1::3])


def test_backends_refuse_bad_input_with_the_same_words(rng, backend):
    given = dict(zip(("alphas", "colors", "image"), make(rng, (4, 5), 3), strict=True))

    def call(**changed):
        return fastsoft.project_colors(**{name: backend.array(array) for name, array in {**given, **changed}.items()})

    with pytest.raises(ValueError, match=r"colors must have shape \(4, 5, 3, 3\), got \(4, 5, 2, 3\)"):
        call(colors=given["colors"][:, :, :2])
    with pytest.raises(TypeError, match="colors must have the dtype of alphas, float64, got float32"):
        call(colors=given["colors"].astype(np.float32))
    with pytest.raises(ValueError, match="alphas must sum to 1 at every pixel"):
        call(alphas=given["alphas"] * 0.9)
    negative = given["alphas"].copy()
    negative[2, 3] = [-0.5, 1.0, 0.5]
    with pytest.raises(ValueError, match=r"alphas must lie in \[0, 1\], got values in \[-0.5, 1\]"):
        call(alphas=negative)
    for name, array in given.items():
        spoilt = array.copy()
        spoilt[2, 3, 1] = np.nan
        with pytest.raises(ValueError, match=f"{name} must be finite, got"):
            call(**{name: spoilt})
        if name != "alphas":
            spoilt[2, 3, 1] = 1.5
            with pytest.raises(ValueError, match=rf"{name} must lie in \[0, 1\], got values in \[.*, 1.5\]"):
                call(**{name: spoilt})
    with pytest.raises(ValueError, match="out must be an array with the shape and dtype of colors"):
        fastsoft.project_colors(*map(backend.array, given.values()), out=backend.array(np.empty((4, 5, 3, 2))))


def test_the_order_of_threads_leaves_no_trace(rng, host_backend):
    arrays = [host_backend.array(array) for array in make(rng, (30, 40), 6)]
    forward = host_backend.numpy(fastsoft.project_colors(*arrays))
    with on_host.backward():
        np.testing.assert_array_equal(host_backend.numpy(fastsoft.project_colors(*arrays)), forward)


def test_bad_input_is_refused(rng):
    alphas, colors, image = make(rng, (4, 5), 3)
    call = fastsoft.project_colors
    with pytest.raises(ValueError, match=r"colors must have shape \(4, 5, 3, 3\), got \(4, 5, 2, 3\)"):
        call(alphas, colors[:, :, :2], image)
    with pytest.raises(ValueError, match=r"image must have shape \(4, 5, 3\), got \(3, 5, 3\)"):
        call(alphas, colors, image[:3])
    with pytest.raises(TypeError, match="colors must have the dtype of alphas, float64, got float32"):
        call(alphas, colors.astype(np.float32), image)
    with pytest.raises(ValueError, match="alphas must sum to 1 at every pixel"):
        call(alphas * 0.9, colors, image)
    negative = alphas.copy()
    negative[2, 3] = [-0.5, 1.0, 0.5]
    with pytest.raises(ValueError, match=r"alphas must lie in \[0, 1\], got values in \[-0.5, 1\]"):
        call(negative, colors, image)
    for place, array in (("colors", colors), ("image", image), ("alphas", alphas)):
        spoilt = {"alphas": alphas, "colors": colors, "image": image}
        spoilt[place] = array.copy()
        spoilt[place][2, 3, 1] = np.nan
        with pytest.raises(ValueError, match=f"{place} must be finite, got"):
            call(**spoilt)
        if place != "alphas":
            spoilt[place][2, 3, 1] = 1.5
            with pytest.raises(ValueError, match=rf"{place} must lie in \[0, 1\], got values in \[.*, 1.5\]"):
                call(**spoilt)
    with pytest.raises(ValueError, match="out must be an array with the shape and dtype of colors"):
        call(alphas, colors, image, out=np.empty((4, 5, 3, 2)))
    with pytest.raises(ValueError, match="alphas must not be empty"):
        call(alphas[:0], colors[:0], image[:0])
