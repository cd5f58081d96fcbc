# SPDX-License-Identifier: MIT
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

import fastsoft
from fastsoft.operators import STENCIL_OFFSETS
from tests import on_host
from tests.golden_matrix import golden_matrix
from tests.reference import graph_laplacian as reference
from tests.tolerances import parity


def random_stencil(rng, height, width, dtype=np.float64):
    weights = rng.random((13, height, width)).astype(dtype)
    row, col = np.mgrid[:height, :width]
    for plane, (dr, dc) in zip(weights, STENCIL_OFFSETS, strict=True):
        plane[(row + dr >= height) | (col + dc < 0) | (col + dc >= width)] = 0
    return fastsoft.StencilMatrix(weights)


def random_csr(rng, n, dtype=np.float64, density=0.1):
    half = sparse.random_array((n, n), density=density, rng=rng, dtype=np.float64)
    return (half + half.T).tocsr().astype(dtype)


def dense(operator):
    return operator.tocsr().toarray().astype(np.float64)


@pytest.mark.parametrize("shape", [(1, 1), (1, 8), (8, 1), (2, 3), (3, 2), (5, 7), (9, 30)])
@pytest.mark.parametrize("normalized", [False, True])
def test_equals_reference(rng, shape, dtype, normalized):
    n = shape[0] * shape[1]
    stencil, matrix = random_stencil(rng, *shape, dtype), random_csr(rng, n, dtype)
    # Up to 24 + n / 5 weights of order 1 per row, rounded once to the dtype.
    tolerance = (24 + n / 5) * np.finfo(dtype).eps + 1e-13
    for affinity, kind in [
        (matrix, sparse.csr_array),
        (stencil, fastsoft.StencilMatrix),
        (stencil + matrix, fastsoft.OperatorSum),
        ([matrix, stencil, matrix, stencil], fastsoft.OperatorSum),
    ]:
        laplacian = fastsoft.graph_laplacian(affinity, normalized=normalized)
        assert isinstance(laplacian, kind)
        assert laplacian.dtype == dtype
        whole = fastsoft.OperatorSum(affinity if isinstance(affinity, list) else [affinity])
        expected = reference.graph_laplacian(dense(whole), normalized=normalized)
        np.testing.assert_allclose(dense(laplacian), expected, atol=tolerance)
        if kind is not sparse.csr_array:
            for term in getattr(laplacian, "terms", [laplacian]):
                if isinstance(term, fastsoft.StencilMatrix):
                    fastsoft.StencilMatrix(term.weights)  # zeros outside the grid, no NaN


def test_hand_worked():
    affinity = sparse.csr_array(np.array([[0, 1, 0, 0], [1, 5, 3, 0], [0, 3, 0, 0], [0, 0, 0, 0.0]]))
    laplacian = fastsoft.graph_laplacian(affinity)
    np.testing.assert_array_equal(laplacian.toarray(), [[1, -1, 0, 0], [-1, 4, -3, 0], [0, -3, 3, 0], [0, 0, 0, 0]])
    # A diagonal where there are weights, none in the empty row.
    assert laplacian.indptr.tolist() == [0, 2, 5, 7, 7]
    assert laplacian.indices.tolist() == [0, 1, 0, 1, 2, 1, 2]
    laplacian.check_format(full_check=True)
    half = fastsoft.graph_laplacian(affinity, normalized=True).toarray()
    # Degrees 1, 9 (with the diagonal), 3 and 0.
    np.testing.assert_allclose(half[:2], [[1, -1 / 3, 0, 0], [-1 / 3, 4 / 9, -3 / 27**0.5, 0]], rtol=1e-15)
    assert not half[3].any()


def test_authors_laplacian(golden):
    image = golden["image"]
    non_local = [0.01 * golden_matrix(golden, "W_S"), 0.01 * golden_matrix(golden, "W_C")]
    expected = golden_matrix(golden, "L")
    bound = 1e-8 * abs(expected).max()
    for storage in ("csr", "stencil"):
        local = fastsoft.matting_affinity(image, storage=storage)
        laplacian = fastsoft.graph_laplacian([local, *non_local])
        assert abs(laplacian.tocsr() - expected).max() <= bound
    assert laplacian.grid_shape == image.shape[:2]
    if "W_L_data" in golden:
        # The stored W_L carries float32 rounding, 1e-7 of entries near 8 and of a sum of 24.
        stored = fastsoft.graph_laplacian([golden_matrix(golden, "W_L").astype(np.float64), *non_local])
        assert abs(stored - expected).max() <= 1e-7 * abs(expected).max()


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 2**32 - 1), st.floats(-2, 2))
def test_linear_in_the_affinity(height, width, seed, factor):
    rng = np.random.default_rng(seed)
    n = height * width
    first, second, local = random_csr(rng, n), random_csr(rng, n), random_stencil(rng, height, width)
    whole = dense(fastsoft.graph_laplacian([first, factor * second, local]))
    parts = [dense(fastsoft.graph_laplacian(term)) for term in (first, second, local)]
    np.testing.assert_allclose(whole, parts[0] + factor * parts[1] + parts[2], atol=1e-12)
    np.testing.assert_allclose(whole.sum(axis=1), 0, atol=1e-12)
    np.testing.assert_array_equal(whole, whole.T)


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 30), st.integers(0, 2**32 - 1))
def test_spectrum_of_the_normalised_laplacian(n, seed):
    rng = np.random.default_rng(seed)
    affinity = random_csr(rng, n, density=0.5) + sparse.eye_array(n)
    values, vectors = np.linalg.eigh(fastsoft.graph_laplacian(affinity, normalized=True).toarray())
    assert values[0] > -1e-12
    assert values[-1] < 2
    null = np.sqrt(affinity.sum(axis=1))
    null /= np.linalg.norm(null)
    assert np.linalg.norm(vectors[:, values < 1e-10].T @ null) > 1 - 1e-9


def test_same_as_matting_laplacian(rng, dtype):
    image = rng.random((12, 15, 3)).astype(dtype)
    for storage in ("csr", "stencil"):
        affinity = fastsoft.matting_affinity(image, storage=storage)
        laplacian = dense(fastsoft.graph_laplacian(affinity))
        expected = dense(fastsoft.matting_laplacian(image, storage=storage))
        np.testing.assert_allclose(laplacian, expected, rtol=4 * np.finfo(dtype).eps)


def test_unsorted_and_duplicate_entries(rng):
    affinity = sparse.csr_array(
        (np.array([2.0, 1.0, 1.0, 2.0, 4.0]), np.array([2, 1, 0, 0, 0]), np.array([0, 2, 3, 5])), shape=(3, 3)
    )
    before = affinity.indices.copy()
    laplacian = fastsoft.graph_laplacian(affinity + sparse.csr_array(([4.0], ([0], [2])), shape=(3, 3)))
    np.testing.assert_array_equal(laplacian.toarray(), [[7, -1, -6], [-1, 1, 0], [-6, 0, 6]])
    fastsoft.graph_laplacian(affinity)
    np.testing.assert_array_equal(affinity.indices, before)
    for other in (affinity.tocsc(), affinity.tocoo(), sparse.csr_matrix(affinity)):
        assert fastsoft.graph_laplacian(other).shape == (3, 3)


@pytest.mark.parametrize("normalized", [False, True])
def test_same_bits_for_any_number_of_threads(rng, threads, dtype, normalized):
    stencil, matrix = random_stencil(rng, 100, 150, dtype), random_csr(rng, 15000, dtype, density=0.0005)
    results = []
    for count in (1, 2, 5):
        threads(count)
        laplacian = fastsoft.graph_laplacian([stencil, matrix], normalized=normalized)
        results.append([laplacian.terms[0].weights, laplacian.terms[1].data])
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


def as_dense(backend, operator):
    """Return a result of any library as a dense matrix, after making sure that it is of the backend's."""
    if isinstance(operator, fastsoft.OperatorSum):
        # On the CPU a sum holds sparse terms as SciPy's.
        return sum(
            dense(term) if sparse.issparse(term) and not backend.on_device else as_dense(backend, term)
            for term in operator.terms
        )
    if isinstance(operator, fastsoft.StencilMatrix):
        return dense(fastsoft.StencilMatrix(np.array(backend.numpy(operator.weights))))
    return dense(backend.csr(operator))


@pytest.mark.parametrize("shape", [(1, 1), (1, 8), (8, 1), (2, 3), (5, 7), (9, 30)])
@pytest.mark.parametrize("normalized", [False, True])
def test_backends_agree(rng, backend, shape, dtype, normalized):
    n = shape[0] * shape[1]
    host = {"stencil": random_stencil(rng, *shape, dtype), "matrix": random_csr(rng, n, dtype)}
    other = random_csr(rng, n, dtype, density=0.05)
    stencil = fastsoft.StencilMatrix(backend.array(host["stencil"].weights))
    given = {"stencil": stencil, "matrix": backend.sparse(host["matrix"])}
    tolerance = (24 + n / 5) * np.finfo(dtype).eps + 1e-13
    for names, weights in [
        (["matrix"], None),
        (["stencil"], None),
        (["stencil", "matrix"], [0.5, 2.0]),
        (["matrix", "stencil", "other", "stencil"], [1.0, 0.25, 3.0, 1.0]),
        (["matrix", "other", "matrix"], None),
        (["matrix"], [0.125]),
    ]:
        host["other"], given["other"] = other, backend.sparse(other)
        terms = [given[name] for name in names]
        laplacian = fastsoft.graph_laplacian(terms, weights=weights, normalized=normalized)
        assert laplacian.dtype in (dtype, getattr(stencil.weights, "dtype", dtype))
        factors = weights or [1.0] * len(names)
        whole = sum(factor * dense(host[name]) for name, factor in zip(names, factors, strict=True))
        found = as_dense(backend, laplacian)
        expected = reference.graph_laplacian(whole, normalized=normalized)
        largest = max(1.0, abs(whole).max())
        np.testing.assert_allclose(found, expected, atol=largest * tolerance)
        own = fastsoft.graph_laplacian([host[name] for name in names], weights=weights, normalized=normalized)
        near = {"rtol": 0, "atol": largest * parity("graph_laplacian", dtype)}
        np.testing.assert_allclose(found, dense(own), **near)
        again = as_dense(backend, fastsoft.graph_laplacian(terms, weights=weights, normalized=normalized))
        np.testing.assert_array_equal(again, found)
        if all(name != "stencil" for name in names):
            matrix = backend.csr(laplacian)
            matrix.check_format(full_check=True)
            np.testing.assert_array_equal(matrix.indptr, own.indptr)
            np.testing.assert_array_equal(matrix.indices, own.indices)


def test_weights_are_factors_of_the_terms(rng, dtype):
    first, second = random_csr(rng, 60, dtype), random_csr(rng, 60, dtype)
    found = fastsoft.graph_laplacian([first, second], weights=[0.01, 0.3])
    expected = fastsoft.graph_laplacian(0.01 * first + 0.3 * second)
    for part in ("indptr", "indices", "data"):
        np.testing.assert_array_equal(getattr(found, part), getattr(expected, part))
    # What cancels leaves no entry.
    assert fastsoft.graph_laplacian([first, first], weights=[1, -1]).nnz == 0
    with pytest.raises(ValueError, match="weights must be one for each of 2 affinities, got 1"):
        fastsoft.graph_laplacian([first, second], weights=[1])
    with pytest.raises(ValueError, match="weights must be finite"):
        fastsoft.graph_laplacian([first, second], weights=[1, np.inf])


def test_backends_refuse_bad_input_with_the_same_words(rng, backend):
    matrix = random_csr(rng, 12)
    with pytest.raises(ValueError, match="one shape"):
        fastsoft.graph_laplacian([backend.sparse(matrix), backend.sparse(random_csr(rng, 13))])
    shapes = [fastsoft.StencilMatrix(backend.array(random_stencil(rng, *shape).weights)) for shape in ((3, 4), (4, 3))]
    with pytest.raises(ValueError, match="one grid shape"):
        fastsoft.graph_laplacian(shapes)
    broken = matrix.copy()
    broken.data[0] = np.nan
    with pytest.raises(ValueError, match="finite"):
        fastsoft.graph_laplacian(backend.sparse(broken))
    negative = sparse.csr_array(np.array([[0.0, 1.0, 0.0], [1.0, 0.0, -3.0], [0.0, -3.0, 4.0]]))
    with pytest.raises(
        ValueError, match="positive row sums for normalized=True, got 1 that are not, the first -2 in row 1"
    ):
        fastsoft.graph_laplacian(backend.sparse(negative), normalized=True)


def test_unsorted_columns_are_refused_on_a_device(device_backend):
    parts = (np.array([2.0, 1.0, 1.0, 2.0]), np.array([2, 1, 0, 0]), np.array([0, 2, 3, 4]))
    unsorted = sparse.csr_array(parts, shape=(3, 3))
    sorted_ = sparse.csr_array(np.eye(3))
    for terms in ([unsorted], [unsorted, sorted_], [sorted_, unsorted]):
        with pytest.raises(ValueError, match="sorted columns without duplicates"):
            fastsoft.graph_laplacian([device_backend.sparse(term) for term in terms])


def test_the_order_of_threads_leaves_no_trace(rng, host_backend):
    terms = [fastsoft.StencilMatrix(host_backend.array(random_stencil(rng, 20, 30).weights))]
    terms += [host_backend.sparse(random_csr(rng, 600, density=0.02)) for _ in range(2)]

    def run():
        laplacian = fastsoft.graph_laplacian(terms, weights=[1, 0.5, 2], normalized=True)
        return [host_backend.numpy(laplacian.terms[0].weights), host_backend.csr(laplacian.terms[1]).data]

    forward = run()
    with on_host.backward():
        for a, b in zip(forward, run(), strict=True):
            np.testing.assert_array_equal(a, b)


def test_bad_input_is_refused(rng):
    matrix = random_csr(rng, 12)
    with pytest.raises(TypeError, match="SciPy sparse matrix, got ndarray"):
        fastsoft.graph_laplacian(np.eye(3))
    with pytest.raises(ValueError, match="at least one"):
        fastsoft.graph_laplacian([])
    with pytest.raises(ValueError, match="one shape"):
        fastsoft.graph_laplacian([matrix, random_csr(rng, 13)])
    with pytest.raises(ValueError, match="one grid shape"):
        fastsoft.graph_laplacian([random_stencil(rng, 3, 4), random_stencil(rng, 4, 3)])
    with pytest.raises(TypeError, match="float32 or float64, got int"):
        fastsoft.graph_laplacian(matrix.astype(int))
    broken = matrix.copy()
    broken.data[0] = np.nan
    with pytest.raises(ValueError, match="finite"):
        fastsoft.graph_laplacian(broken)
    negative = sparse.csr_array(np.array([[0.0, 1.0, 0.0], [1.0, 0.0, -3.0], [0.0, -3.0, 4.0]]))
    assert fastsoft.graph_laplacian(negative)[1, 1] == -2
    with pytest.raises(
        ValueError, match="positive row sums for normalized=True, got 1 that are not, the first -2 in row 1"
    ):
        fastsoft.graph_laplacian(negative, normalized=True)
    # Weights that cancel are no empty row.
    with pytest.raises(ValueError, match="the first 0 in row 0"):
        fastsoft.graph_laplacian(sparse.csr_array(np.array([[1.0, -1.0], [-1.0, 5.0]])), normalized=True)
