# SPDX-License-Identifier: MIT
from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

import fastsoft
from fastsoft.operators import STENCIL_OFFSETS, operator_terms
from tests.tolerances import parity


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


def random_csr(rng, n, dtype):
    """A symmetric matrix with rows of no entry, of few and of many."""
    rows = rng.integers(0, n, size=3 * n)
    cols = rng.integers(0, n, size=3 * n)
    cols[: n // 2] = 3
    matrix = sparse.coo_array((rng.standard_normal(3 * n).astype(dtype), (rows, cols)), shape=(n, n)).tocsr()
    matrix = (matrix + matrix.T).tocsr()
    keep = sparse.diags_array((np.arange(n) % 3 > 0).astype(dtype))
    return (keep @ matrix @ keep).tocsr()


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (17, 70)])
def test_backends_agree(rng, backend, shape, dtype):
    stencil = random_stencil(rng, *shape, dtype)
    n = shape[0] * shape[1]
    csr = random_csr(rng, n, dtype)
    there = fastsoft.StencilMatrix(backend.array(stencil.weights))
    assert backend.numpy(there.weights).dtype == there.dtype == dtype
    assert there.grid_shape == shape
    total = there + backend.sparse(csr)
    x = rng.standard_normal((n, 5)).astype(dtype)
    bound = parity("symmetric_operator", dtype) * float((abs(stencil.tocsr()) + abs(csr)).sum(axis=1).max())
    for operator, expected in (
        (there, stencil),
        (total, stencil + csr),
        (fastsoft.OperatorSum([total]), stencil + csr),
    ):
        for vectors in (x, x[:, 0], x[:, :1], x[:, 1:4:2], x.copy(order="F")):
            got = operator @ backend.array(vectors)
            assert got.dtype == backend.array(vectors).dtype
            np.testing.assert_allclose(backend.numpy(got), expected @ vectors, atol=bound)
        np.testing.assert_allclose(backend.numpy(operator.diagonal()), expected.diagonal(), atol=bound)
        # Its dtype is kept; vectors are converted.
        double = operator.astype(np.float64)
        np.testing.assert_allclose(backend.numpy(double @ backend.array(x)), expected @ x, atol=2 * bound)
        first = backend.numpy(operator @ backend.array(x))
        np.testing.assert_array_equal(first, backend.numpy(operator @ backend.array(x)))


def test_bad_operators_are_refused_with_the_same_words(rng, backend):
    with pytest.raises(ValueError, match=r"weights must have shape \(13, H, W\), got \(12, 3, 3\)"):
        fastsoft.StencilMatrix(backend.array(np.zeros((12, 3, 3))))
    with pytest.raises(TypeError, match="float32 or float64, got int"):
        fastsoft.StencilMatrix(backend.array(np.zeros((13, 3, 3), dtype=np.int64)))
    with pytest.raises(ValueError, match="weights must be finite, got 2 values"):
        fastsoft.StencilMatrix(backend.array(np.where(np.arange(117).reshape(13, 3, 3) < 2, np.nan, 0.0)))
    for k, (down, right) in enumerate(STENCIL_OFFSETS[1:], 1):
        row, col = np.mgrid[:4, :5]
        outside = (row + down >= 4) | (col + right < 0) | (col + right >= 5)
        for position in zip(*np.nonzero(outside), strict=True):
            weights = np.zeros((13, 4, 5))
            weights[(k, *position)] = 1e-30
            with pytest.raises(ValueError, match=rf"where the neighbour \({down}, {right}\) lies outside the grid"):
                fastsoft.StencilMatrix(backend.array(weights))
    stencil = fastsoft.StencilMatrix(backend.array(random_stencil(rng, 3, 4, np.float64).weights))
    with pytest.raises(ValueError, match=r"x must have shape \(12,\) or \(12, k\), got \(11,\)"):
        stencil @ backend.array(np.zeros(11))
    good = sparse.csr_array(np.eye(12))
    with pytest.raises(ValueError, match=r"terms must have one shape, got \(3, 3\), \(12, 12\)"):
        fastsoft.OperatorSum([stencil, backend.sparse(sparse.csr_array(np.eye(3)))])
    with pytest.raises(ValueError, match=r"terms must be square, got shape \(3, 4\)"):
        fastsoft.OperatorSum([backend.sparse(sparse.csr_array(np.ones((3, 4))))])
    with pytest.raises(ValueError, match="terms must be finite, got 1 value"):
        fastsoft.OperatorSum([backend.sparse(sparse.csr_array(np.diag([1.0, np.inf])))])
    columns = good.copy()
    columns.indices[4] = 12
    pointers = good.copy()
    pointers.indptr[5] = 3
    for bad, message in ((columns, r"column indices outside 0\.\.11"), (pointers, "row pointers that do not rise")):
        with pytest.raises(ValueError, match=message):
            fastsoft.OperatorSum([backend.sparse(bad)]) @ backend.array(np.zeros(12))


def test_operators_on_a_device_stay_there(rng, device_backend):
    host = random_stencil(rng, 3, 4, np.float64)
    there = fastsoft.StencilMatrix(device_backend.array(host.weights))
    csr = sparse.csr_array(np.eye(12))
    for operator in (there, there + device_backend.sparse(csr), fastsoft.OperatorSum([device_backend.sparse(csr)])):
        with pytest.raises(TypeError, match="arrays of a call must be on one device, got x on cpu, operator on cuda:0"):
            operator @ np.zeros(12)
        with pytest.raises(TypeError, match="in the memory of CUDA device 0, and this operation runs on the CPU"):
            operator_terms(operator, np.float64)
    with pytest.raises(TypeError, match="arrays of a call must be on one device, got x on cuda:0, operator on cpu"):
        host @ device_backend.array(np.zeros(12))
    message = r"arrays of a call must be on one device, got terms\[0\] on cuda:0, terms\[1\] on cpu"
    with pytest.raises(TypeError, match=message):
        there + csr
    with device_backend.stream():
        got = device_backend.numpy(there @ device_backend.array(np.arange(12.0)))
    np.testing.assert_allclose(got, host @ np.arange(12.0), atol=1e-13)
