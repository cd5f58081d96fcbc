# SPDX-License-Identifier: MIT
from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

import fastsoft
from fastsoft.operators import STENCIL_OFFSETS


def random_stencil(rng, height, width, dtype):
    weights = rng.standard_normal((13, height, width)).astype(dtype)
    row, col = np.mgrid[:height, :width]
    for plane, (dr, dc) in zip(weights, STENCIL_OFFSETS, strict=True):
        inside = (row + dr < height) & (col + dc >= 0) & (col + dc < width)
        plane[~inside] = 0
    return fastsoft.StencilMatrix(weights)


def dense_from_definition(matrix):
    height, width = matrix.grid_shape
    dense = np.zeros((height * width, height * width))
    for k, (dr, dc) in enumerate(STENCIL_OFFSETS):
        for r in range(height):
            for c in range(width):
                if 0 <= r + dr < height and 0 <= c + dc < width:
                    i, j = r * width + c, (r + dr) * width + c + dc
                    dense[i, j] = dense[j, i] = matrix.weights[k, r, c]
    return dense


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (2, 3), (3, 2), (5, 5), (4, 4), (6, 9), (9, 40)])
def test_stencil_product_equals_dense_definition(rng, shape, dtype):
    matrix = random_stencil(rng, *shape, dtype)
    dense = dense_from_definition(matrix)
    x = rng.standard_normal((dense.shape[0], 3)).astype(dtype)
    tolerance = 60 * np.finfo(dtype).eps  # 25 terms of order 1, each product and sum rounded once
    np.testing.assert_allclose(matrix @ x, dense @ x, atol=tolerance * 5)
    np.testing.assert_allclose(matrix @ x[:, 1], dense @ x[:, 1], atol=tolerance * 5)
    np.testing.assert_array_equal(matrix.tocsr().toarray(), dense.astype(dtype))
    np.testing.assert_array_equal(matrix.diagonal(), np.diag(dense).astype(dtype))


def test_sum_of_stencil_and_sparse(rng, dtype):
    stencil = random_stencil(rng, 6, 8, dtype)
    extra = sparse.random_array((48, 48), density=0.1, rng=rng, dtype=np.float64).astype(dtype)
    extra = (extra + extra.T).tocsr()
    for total in (stencil + extra, extra + stencil, fastsoft.OperatorSum([extra, stencil])):
        assert isinstance(total, fastsoft.OperatorSum)
        x = rng.standard_normal(48).astype(dtype)
        expected = dense_from_definition(stencil) @ x + extra.toarray() @ x
        np.testing.assert_allclose(total @ x, expected, atol=300 * np.finfo(dtype).eps)
        np.testing.assert_allclose(total.tocsr().toarray(), dense_from_definition(stencil) + extra.toarray(), rtol=1e-5)
        np.testing.assert_allclose(total.diagonal(), np.diag(total.tocsr().toarray()), rtol=1e-5)
        assert total.grid_shape == (6, 8)


def test_product_has_the_same_bits_for_any_number_of_threads(rng, threads, dtype):
    matrix = random_stencil(rng, 70, 130, dtype)
    x = rng.standard_normal((70 * 130, 5)).astype(dtype)
    results = []
    for count in (1, 2, 5):
        threads(count)
        results.append(matrix @ x)
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


def test_bad_operators_are_refused(rng):
    with pytest.raises(ValueError, match=r"weights must have shape \(13, H, W\), got \(12, 3, 3\)"):
        fastsoft.StencilMatrix(np.zeros((12, 3, 3)))
    with pytest.raises(ValueError, match="outside the grid"):
        fastsoft.StencilMatrix(np.ones((13, 3, 3)))
    with pytest.raises(TypeError, match="float32 or float64, got int"):
        fastsoft.StencilMatrix(np.zeros((13, 3, 3), dtype=int))
    with pytest.raises(TypeError, match="SciPy sparse matrix, got ndarray"):
        fastsoft.OperatorSum([np.eye(3)])
    with pytest.raises(ValueError, match="one shape"):
        fastsoft.OperatorSum([sparse.eye_array(3), sparse.eye_array(4)])
    with pytest.raises(ValueError, match="at least one"):
        fastsoft.OperatorSum([])
