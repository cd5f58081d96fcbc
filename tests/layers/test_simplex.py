# SPDX-License-Identifier: MIT
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import optimize

from fastsoft.layers import project_to_simplex


def test_projection_is_the_nearest_point(rng, dtype):
    values = rng.normal(0.3, 0.5, (20, 4)).astype(dtype)
    projected, correction = project_to_simplex(values)
    assert projected.dtype == dtype
    for given_row, row in zip(values.astype(float), projected, strict=True):
        best = optimize.minimize(
            lambda x, target=given_row: ((x - target) ** 2).sum(),
            np.full(4, 0.25),
            jac=lambda x, target=given_row: 2 * (x - target),
            bounds=[(0, 1)] * 4,
            constraints={"type": "eq", "fun": lambda x: x.sum() - 1, "jac": np.ones_like},
            options={"ftol": 1e-15},
        )
        np.testing.assert_allclose(row, best.x, atol=2e-6)  # the accuracy of the general minimiser
    assert correction == pytest.approx(np.abs(projected.astype(float) - values).max(), rel=1e-6)


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(
        st.sampled_from([np.float32, np.float64]),
        hnp.array_shapes(min_dims=1, max_dims=3, max_side=7),
        elements=st.floats(-100, 100, width=32),
    )
)
def test_result_lies_on_the_simplex_and_stays_there(values):
    projected, _ = project_to_simplex(values)
    n = values.shape[-1]
    assert projected.min() >= 0
    assert projected.max() <= 1
    tolerance = 4 * n * np.finfo(values.dtype).eps
    np.testing.assert_allclose(projected.sum(axis=-1), 1, atol=max(tolerance, 100 * n * np.finfo(float).eps))
    again, correction = project_to_simplex(projected)
    assert correction <= tolerance
    np.testing.assert_allclose(again, projected, atol=tolerance)


def test_good_alphas_keep_their_bits(rng, dtype):
    alphas = rng.dirichlet(np.ones(5), (6, 7)).astype(dtype)
    projected, correction = project_to_simplex(np.asfortranarray(alphas))
    np.testing.assert_array_equal(projected, alphas)
    assert correction == 0
    assert projected.flags.c_contiguous


def test_many_pixels_are_projected_chunk_by_chunk(rng):
    values = rng.normal(0.3, 0.4, (70_000, 2))
    projected, _ = project_to_simplex(values)
    # For two layers the projection has a closed form.
    first = np.clip((1 + values[:, 0] - values[:, 1]) / 2, 0, 1)
    np.testing.assert_allclose(projected, np.stack([first, 1 - first], axis=1), atol=1e-14)


def test_bad_alphas_are_refused():
    with pytest.raises(ValueError, match=r"alphas must be finite, got 1 values"):
        project_to_simplex(np.array([0.5, np.nan]))
    with pytest.raises(ValueError, match=r"n at least 1, got \(3, 0\)"):
        project_to_simplex(np.zeros((3, 0)))
    with pytest.raises(TypeError, match="float32 or float64"):
        project_to_simplex(np.array([1, 0]))


def test_arrays_on_a_device_are_projected_there(rng, dtype, device_backend):
    values = rng.normal(0.3, 0.5, (31, 23, 5)).astype(dtype)
    values[:3] = np.where(np.arange(5) == 1, 1, 0)
    values[4, :, :2] = 0.5, 0.5  # equal ones
    expected, expected_correction = project_to_simplex(values)
    found, correction = project_to_simplex(device_backend.array(values[:, ::2]))
    found = device_backend.numpy(found)
    assert found.dtype == dtype
    # Sums of five numbers in another order, in float64.
    np.testing.assert_allclose(found, expected[:, ::2], rtol=0, atol=np.finfo(dtype).eps)
    assert correction <= expected_correction * (1 + 1e-12)
    np.testing.assert_array_equal(found[:3], values[:3, ::2])
    values[0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="alphas must be finite, got 1 values"):
        project_to_simplex(device_backend.array(values))
