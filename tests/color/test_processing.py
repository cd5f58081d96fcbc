# SPDX-License-Identifier: MIT
from __future__ import annotations

import numpy as np
import pytest

from fastsoft.color import normalize_alphas, redistribute_alphas, smooth_alphas
from tests.reference import guided_filter as reference


def test_normalising_divides_by_the_sum(rng, dtype):
    alphas = rng.random((70, 9, 4)).astype(dtype)
    alphas[3, 4] = 0
    found = normalize_alphas(alphas)
    assert found.dtype == dtype
    expected = alphas.astype(np.float64) / (alphas.sum(axis=2, dtype=np.float64, keepdims=True) + 1e-8)
    np.testing.assert_allclose(found, expected, rtol=8 * np.finfo(dtype).eps)
    assert (found[3, 4] == 0).all()
    np.testing.assert_array_equal(normalize_alphas(alphas, out=alphas), found)


def test_smoothing_is_the_guided_filter_of_the_grey_photograph(rng, dtype):
    image, alphas = rng.random((20, 25, 3)).astype(dtype), rng.dirichlet(np.ones(4), (20, 25)).astype(dtype)
    grey = image.astype(np.float64) @ [0.299, 0.587, 0.114]
    expected = reference.guided_filter(grey, alphas.astype(np.float64), 2, 1e-3)
    expected /= expected.sum(axis=2, keepdims=True) + 1e-8
    found = smooth_alphas(alphas, image, radius=2, epsilon=1e-3, project=False)
    assert found.dtype == dtype
    # Covariances lose what division by sqrt(epsilon) then amplifies, as in tests/ops/test_guided_filter.py.
    np.testing.assert_allclose(found, expected, atol=100 * np.finfo(dtype).eps * (1 + 0.1 / np.sqrt(1e-3)))


def test_smoothed_alphas_are_alphas(rng):
    """Along an edge the filter overshoots; what comes back must not."""
    image = np.zeros((12, 30, 3))
    image[:, 15:] = 1
    image += 0.2 * rng.random(image.shape)
    image /= image.max()
    alphas = np.zeros((12, 30, 2))
    alphas[:, :15, 0], alphas[:, 15:, 1] = 1, 1
    alphas[:, 12:17] = rng.dirichlet([1, 1], (12, 5))
    raw = smooth_alphas(alphas, image, project=False)
    assert raw.min() < -1e-3
    found = smooth_alphas(alphas, image)
    assert found.min() >= 0
    np.testing.assert_allclose(found.sum(axis=2), 1, atol=1e-12)


def test_a_mask_moves_alphas_between_two_layers_only(rng, dtype):
    alphas = rng.dirichlet(np.ones(4), (5, 6)).astype(dtype)
    mask = rng.random((5, 6))
    found = redistribute_alphas(alphas, mask, 1, 3)
    both = alphas[:, :, 1].astype(np.float64) + alphas[:, :, 3]
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(found[:, :, 1], both * mask, atol=2 * eps)
    np.testing.assert_allclose(found[:, :, 3], both * (1 - mask), atol=2 * eps)
    np.testing.assert_array_equal(found[:, :, [0, 2]], alphas[:, :, [0, 2]])
    assert found.min() >= 0
    assert found.dtype == dtype


def test_bad_masks_and_layers_are_refused(rng):
    alphas = rng.dirichlet(np.ones(3), (5, 6))
    with pytest.raises(ValueError, match=r"mask must have the size of the photograph, 5x6, got shape \(6, 5\)"):
        redistribute_alphas(alphas, np.zeros((6, 5)), 0, 1)
    with pytest.raises(ValueError, match=r"mask must lie in \[0, 1\], got values in \[0, 2\]"):
        redistribute_alphas(alphas, np.linspace(0, 2, 30).reshape(5, 6), 0, 1)
    with pytest.raises(TypeError, match="mask must have dtype float32 or float64, got uint8"):
        redistribute_alphas(alphas, np.zeros((5, 6), dtype=np.uint8), 0, 1)
    with pytest.raises(ValueError, match="mask must be finite"):
        redistribute_alphas(alphas, np.full((5, 6), np.nan), 0, 1)
    with pytest.raises(ValueError, match=r"inside must be in 0..2, got 3"):
        redistribute_alphas(alphas, np.zeros((5, 6)), 3, 1)
    with pytest.raises(ValueError, match="outside must be another layer than inside, got 1 twice"):
        redistribute_alphas(alphas, np.zeros((5, 6)), 1, 1)
    with pytest.raises(ValueError, match=r"alphas must have shape \(5, 7, n\)"):
        smooth_alphas(alphas, np.zeros((5, 7, 3)))
    with pytest.raises(ValueError, match="epsilon must be above 0"):
        smooth_alphas(alphas, np.zeros((5, 6, 3)), epsilon=0)
