# SPDX-License-Identifier: MIT
from __future__ import annotations

import numpy as np
import pytest

from fastsoft.layers import project_to_simplex
from fastsoft.ops.unmixing import unmix_alphas, unmix_colors
from tests import on_host
from tests.reference import unmixing as reference
from tests.tolerances import parity


def make(rng, shape, n, dtype, *, origin=(0, 0), spread=2.0):
    image = rng.random((*shape, 3)).astype(dtype)
    palette = rng.random((n, 3)).astype(dtype)
    size = [-(-(extent + start) // 2) for extent, start in zip(shape, origin, strict=True)]
    return image, palette, rng.normal(0, spread, (*size, n, 4)).astype(dtype)


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (2, 1), (5, 7), (9, 64), (6, 131)])
@pytest.mark.parametrize("n", [2, 3, 10])
@pytest.mark.parametrize("steps", [0, 2])
def test_alphas_equal_the_definition(rng, shape, n, steps, dtype):
    image, palette, coefficients = make(rng, shape, n, dtype)
    found = unmix_alphas(image, palette, coefficients, steps=steps)
    assert found.dtype == dtype
    assert found.min() >= 0
    np.testing.assert_allclose(found.sum(axis=2, dtype=np.float64), 1, atol=2 * n * np.finfo(dtype).eps)
    # Scores reach some tens (distances over a small scale), and alphas inherit their rounding; a step multiplies errors
    # by at most 2.
    expected = reference.unmix_alphas(image, palette, coefficients, steps=steps)
    np.testing.assert_allclose(found, expected, atol=1000 * np.finfo(dtype).eps)


@pytest.mark.parametrize("shape", [(1, 1), (5, 7), (6, 131)])
@pytest.mark.parametrize("n", [2, 7])
def test_colours_equal_the_definition(rng, shape, n, dtype):
    image, palette, coefficients = make(rng, shape, n, dtype, spread=0.5)
    alphas = rng.dirichlet(np.full(n, 0.3), shape).astype(dtype)
    found = unmix_colors(image, palette, alphas, coefficients)
    assert found.dtype == dtype
    expected = reference.unmix_colors(image, palette, alphas, coefficients)
    np.testing.assert_allclose(found, expected, atol=30 * n * np.finfo(dtype).eps)


def test_a_part_of_a_photograph_is_that_part_of_its_result(rng, dtype):
    image, palette, coefficients = make(rng, (40, 150), 4, dtype)
    whole = unmix_alphas(image, palette, coefficients, steps=1)
    colors = unmix_colors(image, palette, whole, coefficients)
    for rows, cols in [((0, 40), (2, 5)), ((6, 7), (10, 150)), ((20, 39), (64, 129))]:
        part = np.s_[slice(*rows), slice(*cols)]
        origin = (rows[0], cols[0])
        np.testing.assert_array_equal(
            unmix_alphas(image[part], palette, coefficients, steps=1, origin=origin), whole[part]
        )
        found = unmix_colors(image[part], palette, whole[part], coefficients, origin=origin)
        np.testing.assert_array_equal(found, colors[part])


def test_mixtures_of_two_colours_are_found_exactly(rng):
    palette = np.array([[0.9, 0.2, 0.1], [0.1, 0.3, 0.8]])
    share = rng.random((8, 9))
    image = share[:, :, None] * palette[0] + (1 - share[:, :, None]) * palette[1]
    found = unmix_alphas(image, palette, np.zeros((4, 5, 2, 4)))
    np.testing.assert_allclose(found[:, :, 0], share, atol=1e-12)


def test_steps_lead_to_the_nearest_mixture(rng):
    """Against a long projected gradient descent from elsewhere: the colour that is composed is the same."""
    image, palette, coefficients = make(rng, (6, 7), 6, np.float64)
    found = unmix_alphas(image, palette, coefficients, steps=5000) @ palette
    alphas = np.full((42, 6), 1 / 6)
    colors = image.reshape(-1, 3)
    for _ in range(20000):
        alphas = project_to_simplex(alphas + (colors - alphas @ palette) @ palette.T * 0.3)[0]
    np.testing.assert_allclose(found.reshape(-1, 3), alphas @ palette, atol=1e-5)
    errors = [np.abs(unmix_alphas(image, palette, coefficients, steps=k) @ palette - image).mean() for k in range(4)]
    assert errors == sorted(errors, reverse=True)


def test_gain_of_one_recomposes_the_photograph(rng):
    palette = rng.uniform(0.3, 0.7, (4, 3))
    alphas = rng.dirichlet(np.ones(4), (10, 11))
    image = alphas @ palette + rng.uniform(-0.05, 0.05, (10, 11, 3))
    coefficients = rng.normal(0, 0.02, (5, 6, 4, 4))
    coefficients[..., 3] = 1
    colors = unmix_colors(image, palette, alphas, coefficients)
    np.testing.assert_allclose((alphas[:, :, :, None] * colors).sum(axis=2), image, atol=1e-14)
    coefficients[..., 3] = 0
    np.testing.assert_allclose(
        unmix_colors(image, palette, alphas, coefficients),
        reference.unmix_colors(image, palette, alphas, coefficients),
        atol=1e-14,
    )


def test_strides_and_threads(rng, threads, dtype):
    image, palette, coefficients = make(rng, (33, 140), 5, dtype)
    expected = unmix_alphas(image, palette, coefficients, steps=1)
    colors = unmix_colors(image, palette, expected, coefficients)
    planes = np.ascontiguousarray(coefficients.transpose(2, 3, 0, 1)).transpose(2, 3, 0, 1)
    picture = np.ascontiguousarray(image.transpose(2, 0, 1)).transpose(1, 2, 0)
    for count in (1, 2, 5):
        threads(count)
        out = np.empty((5, 33, 140), dtype=dtype).transpose(1, 2, 0)
        assert unmix_alphas(picture, palette, planes, steps=1, out=out) is out
        np.testing.assert_array_equal(out, expected)
        own = np.empty((5, 3, 33, 140), dtype=dtype).transpose(2, 3, 0, 1)
        np.testing.assert_array_equal(unmix_colors(picture, palette, out, planes, out=own), colors)


def test_huge_scores_give_opaque_layers(dtype):
    coefficients = np.zeros((1, 1, 3, 4), dtype=dtype)
    coefficients[0, 0, :, 3] = [1e6, -1e6, 3]
    image = np.full((2, 2, 3), 0.5, dtype=dtype)
    palette = np.array([[0, 0, 0], [1, 1, 1], [0.5, 0.5, 0.5]], dtype=dtype)
    np.testing.assert_array_equal(unmix_alphas(image, palette, coefficients)[..., 0], 1)


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (2, 1), (5, 7), (9, 64)])
@pytest.mark.parametrize("n", [2, 3, 10])
@pytest.mark.parametrize("steps", [0, 2])
def test_backends_agree(rng, backend, shape, n, steps, dtype):
    image, palette, coefficients = make(rng, shape, n, dtype)
    given = backend.array(image), palette, backend.array(coefficients)
    result = unmix_alphas(*given, steps=steps)
    found = backend.numpy(result)
    assert found.dtype == dtype
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(
        found, reference.unmix_alphas(image, palette, coefficients, steps=steps), atol=1000 * eps
    )
    host = unmix_alphas(image, palette, coefficients, steps=steps)
    np.testing.assert_allclose(found, host, rtol=0, atol=parity("unmixing", dtype))
    np.testing.assert_array_equal(backend.numpy(unmix_alphas(*given, steps=steps)), found)
    image, palette, coefficients = make(rng, shape, n, dtype, spread=0.5)
    alphas = rng.dirichlet(np.full(n, 0.3), shape).astype(dtype)
    colors = unmix_colors(backend.array(image), palette, backend.array(alphas), backend.array(coefficients))
    expected = reference.unmix_colors(image, palette, alphas, coefficients)
    np.testing.assert_allclose(backend.numpy(colors), expected, atol=30 * n * eps)


def test_backends_take_parts_and_any_strides(rng, backend, dtype):
    image, palette, coefficients = make(rng, (20, 50), 4, dtype)
    picture, planes = (
        backend.array(image),
        np.ascontiguousarray(coefficients.transpose(2, 3, 0, 1)).transpose(2, 3, 0, 1),
    )
    whole = unmix_alphas(picture, palette, backend.array(coefficients), steps=1)
    colors = unmix_colors(picture, palette, whole, backend.array(coefficients))
    alphas = backend.array(np.empty((4, 20, 50), dtype=dtype).transpose(1, 2, 0))
    assert unmix_alphas(picture, palette, backend.array(planes), steps=1, out=alphas) is alphas
    np.testing.assert_array_equal(backend.numpy(alphas), backend.numpy(whole))
    own = backend.array(np.empty((4, 3, 20, 50), dtype=dtype).transpose(2, 3, 0, 1))
    assert unmix_colors(picture, palette, alphas, backend.array(planes), out=own) is own
    np.testing.assert_array_equal(backend.numpy(own), backend.numpy(colors))
    # A part of the photograph is that part of its result.
    rows, cols = slice(6, 17), slice(10, 41)
    options = {"origin": (6, 10)}
    found = unmix_alphas(picture[rows, cols], palette, backend.array(planes), steps=1, **options)
    np.testing.assert_array_equal(backend.numpy(found), backend.numpy(whole)[rows, cols])
    found = unmix_colors(picture[rows, cols], palette, whole[rows, cols], backend.array(planes), **options)
    np.testing.assert_array_equal(backend.numpy(found), backend.numpy(colors)[rows, cols])


def test_backends_refuse_bad_input_with_the_same_words(rng, backend):
    image, palette, coefficients = make(rng, (6, 8), 3, np.float64)
    picture, given = backend.array(image), backend.array(coefficients)
    with pytest.raises(ValueError, match=r"coefficients must have shape \(h, w, 3, 4\), got \(3, 4, 2, 4\)"):
        unmix_alphas(picture, palette, given[:, :, :2])
    with pytest.raises(TypeError, match="coefficients must have the dtype of image, float64, got float32"):
        unmix_alphas(picture, palette, backend.array(coefficients.astype(np.float32)))
    with pytest.raises(ValueError, match="coefficients must cover the image, got 3 for pixels 2 to 8"):
        unmix_alphas(picture, palette, given, origin=(2, 0))
    with pytest.raises(ValueError, match=r"alphas must have shape \(6, 8, 3\), got \(6, 8, 2\)"):
        unmix_colors(picture, palette, backend.array(np.zeros((6, 8, 2))), given)
    with pytest.raises(ValueError, match="alphas must have shape"):
        unmix_alphas(picture, palette, given, out=backend.array(np.zeros((6, 8, 2))))


def test_the_order_of_threads_leaves_no_trace(rng, host_backend):
    image, palette, coefficients = make(rng, (30, 40), 6, np.float64)
    given = host_backend.array(image), palette, host_backend.array(coefficients)

    def run():
        alphas = unmix_alphas(*given, steps=2)
        return [host_backend.numpy(alphas), host_backend.numpy(unmix_colors(*given[:2], alphas, given[2]))]

    forward = run()
    with on_host.backward():
        for a, b in zip(forward, run(), strict=True):
            np.testing.assert_array_equal(a, b)


def test_bad_input_is_refused(rng):
    image, palette, coefficients = make(rng, (6, 8), 3, np.float64)
    with pytest.raises(ValueError, match=r"image must have shape \(H, W, 3\), got \(6, 8\)"):
        unmix_alphas(image[:, :, 0], palette, coefficients)
    with pytest.raises(ValueError, match="palette must hold at least 2 colours, got 1"):
        unmix_alphas(image, palette[:1], coefficients)
    with pytest.raises(ValueError, match=r"coefficients must have shape \(h, w, 3, 4\), got \(3, 4, 2, 4\)"):
        unmix_alphas(image, palette, coefficients[:, :, :2])
    with pytest.raises(TypeError, match="coefficients must have the dtype of image, float64, got float32"):
        unmix_alphas(image, palette, coefficients.astype(np.float32))
    with pytest.raises(ValueError, match=r"origin must be even, got \(1, 0\)"):
        unmix_alphas(image, palette, coefficients, origin=(1, 0))
    with pytest.raises(ValueError, match="origin must be at least 0"):
        unmix_alphas(image, palette, coefficients, origin=(0, -2))
    with pytest.raises(ValueError, match="coefficients must cover the image, got 3 for pixels 2 to 8"):
        unmix_alphas(image, palette, coefficients, origin=(2, 0))
    with pytest.raises(ValueError, match=r"alphas must have shape \(6, 8, 3\), got \(6, 8, 2\)"):
        unmix_colors(image, palette, np.zeros((6, 8, 2)), coefficients)
    with pytest.raises(ValueError, match="alphas must have shape"):
        unmix_alphas(image, palette, coefficients, out=np.zeros((6, 8, 2)))
    with pytest.raises(ValueError, match="palette's stiffness must be above 0"):
        unmix_alphas(image, np.zeros((2, 3)), coefficients[:, :, :2])
