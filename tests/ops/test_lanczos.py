# SPDX-License-Identifier: MIT
from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy import sparse

import fastsoft
from fastsoft.ops.lanczos import SHIFT_PIXELS, SHIFT_SHARE
from tests.reference import lanczos as reference


def grid_laplacian(height, width, dtype=np.float64):
    """4-neighbour graph Laplacian as a stencil."""
    weights = np.zeros((13, height, width), dtype=dtype)
    weights[1, :, :-1] = -1
    weights[5, :-1, :] = -1
    weights[0, :, :-1] += 1
    weights[0, :, 1:] += 1
    weights[0, :-1, :] += 1
    weights[0, 1:, :] += 1
    return fastsoft.StencilMatrix(weights)


def random_edges(rng, n, count, dtype=np.float64, low=-1.0):
    """Laplacian of random long edges with weights in [low, 1]: indefinite where low < 0."""
    a, b = rng.integers(0, n, count), rng.integers(0, n, count)
    keep = a != b
    weight = rng.uniform(low, 1.0, count)[keep]
    affinity = sparse.coo_array((weight, (a[keep], b[keep])), shape=(n, n)).tocsr()
    affinity = affinity + affinity.T
    return (sparse.diags_array(np.asarray(affinity.sum(axis=1)).ravel()) - affinity).tocsr().astype(dtype)


def check_pairs(operator, pairs, bound):
    v = pairs.eigenvectors.astype(np.float64)
    k = v.shape[1]
    eps = np.finfo(pairs.eigenvectors.dtype).eps
    np.testing.assert_allclose(v.T @ v, np.eye(k), atol=100 * eps)
    residual = np.linalg.norm(operator.tocsr().astype(np.float64) @ v - v * pairs.eigenvalues, axis=0)
    assert residual.max() <= bound * pairs.lambda_max
    # Reported residuals are computed in the operator's own dtype.
    np.testing.assert_allclose(pairs.residuals, residual, atol=30 * eps * pairs.lambda_max)
    assert np.all(np.diff(pairs.eigenvalues) >= -1e-12)


@pytest.mark.parametrize("shape", [(128, 192), (7, 900), (901, 5)])
def test_grid_spectrum_in_closed_form(shape):
    operator = grid_laplacian(*shape)
    pairs = fastsoft.smallest_eigenvectors(operator, 24, tolerance=1e-11)
    expected = reference.grid_laplacian_eigenvalues(*shape, 24)
    # Second order in the residual: errors are far below the tolerance on vectors.
    np.testing.assert_allclose(pairs.eigenvalues, expected, atol=1e-12)
    check_pairs(operator, pairs, 1e-11)


def test_float32_grid_spectrum():
    operator = grid_laplacian(90, 70, np.float32)
    pairs = fastsoft.smallest_eigenvectors(operator, 20)
    np.testing.assert_allclose(pairs.eigenvalues, reference.grid_laplacian_eigenvalues(90, 70, 20), atol=3e-6)
    check_pairs(operator, pairs, 1e-5)
    assert pairs.eigenvectors.dtype == np.float32


@pytest.mark.parametrize("shape", [(12, 9), (28, 25)])
@pytest.mark.parametrize("form", ["stencil", "csr with grid", "csr"])
def test_indefinite_sum_equals_dense_solver(rng, shape, form):
    n = shape[0] * shape[1]
    operator = grid_laplacian(*shape) + random_edges(rng, n, 40)
    expected, vectors = reference.smallest_eigenvectors(operator.tocsr(), 12)
    assert expected[0] < -0.01
    given = operator if form == "stencil" else operator.tocsr()
    pairs = fastsoft.smallest_eigenvectors(
        given, 12, tolerance=1e-11, grid_shape=shape if form == "csr with grid" else None
    )
    np.testing.assert_allclose(pairs.eigenvalues, expected, atol=1e-11)
    assert reference.largest_principal_sine(vectors, pairs.eigenvectors) < 1e-7
    largest = np.abs(pairs.eigenvectors).argmax(axis=0)
    assert np.all(pairs.eigenvectors[largest, np.arange(12)] > 0)


def test_matrix_without_any_grid(rng):
    operator = random_edges(rng, 600, 1500, low=-0.1)
    expected, _ = reference.smallest_eigenvectors(operator, 10)
    pairs = fastsoft.smallest_eigenvectors(operator, 10, tolerance=1e-10)
    np.testing.assert_allclose(pairs.eigenvalues, expected, atol=1e-10)


def test_every_copy_of_a_repeated_eigenvalue_is_found():
    # 24 blocks without a common edge: eigenvalue 0 has more copies than a block has vectors.
    weights = grid_laplacian(8, 10).weights
    tiled = fastsoft.StencilMatrix(np.tile(weights, (1, 6, 4)))
    pairs = fastsoft.smallest_eigenvectors(tiled, 30, tolerance=1e-10)
    np.testing.assert_allclose(pairs.eigenvalues[:24], 0.0, atol=1e-12)
    np.testing.assert_allclose(pairs.eigenvalues[24:], reference.grid_laplacian_eigenvalues(8, 10, 2)[1], atol=1e-12)


def test_inertia_counts_the_eigenvalues_below_the_shift():
    expected = reference.grid_laplacian_eigenvalues(60, 41, 40)
    shift = 0.5 * (expected[10] + expected[11])
    pairs = fastsoft.smallest_eigenvectors(grid_laplacian(60, 41), 20, shift=shift, tolerance=1e-10)
    assert pairs.n_below_shift == 11
    np.testing.assert_allclose(pairs.eigenvalues, expected[:20], atol=1e-10)


@pytest.mark.parametrize("method", ["lanczos", "filtered"])
def test_products_only_methods(rng, method):
    diagonal = np.concatenate([np.arange(12.0), np.linspace(40.0, 60.0, 988)])
    operator = sparse.diags_array(diagonal).tocsr() + random_edges(rng, 1000, 300) * 0.1
    pairs = fastsoft.smallest_eigenvectors(operator, 12, method=method, tolerance=1e-9)
    np.testing.assert_allclose(pairs.eigenvalues, reference.smallest_eigenvectors(operator, 12)[0], atol=1e-8)
    assert pairs.shift is None


def test_too_few_restarts_raise_with_the_best_result():
    operator = grid_laplacian(64, 64)
    arguments = {"method": "lanczos", "tolerance": 1e-10, "max_restarts": 0}
    with pytest.raises(fastsoft.ConvergenceError, match="did not converge") as caught:
        fastsoft.smallest_eigenvectors(operator, 10, **arguments)
    result = caught.value.result
    assert result.eigenvectors.shape == (4096, 10)
    assert not result.info.converged
    assert result.info.residual > 1e-10
    kept = fastsoft.smallest_eigenvectors(operator, 10, allow_unconverged=True, **arguments)
    np.testing.assert_array_equal(kept.eigenvalues, result.eigenvalues)


def test_same_bits_for_any_number_of_threads_and_run(rng, threads, dtype):
    operator = grid_laplacian(60, 70, dtype) + random_edges(rng, 4200, 60, dtype)
    results = []
    for count in (1, 2, 2):
        threads(count)
        results.append(fastsoft.smallest_eigenvectors(operator, 15, seed=3))
    for other in results[1:]:
        np.testing.assert_array_equal(results[0].eigenvalues, other.eigenvalues)
        np.testing.assert_array_equal(results[0].eigenvectors, other.eigenvectors)
    assert results[0].eigenvectors.flags.f_contiguous


def test_progress_rises_and_cancels():
    seen = []
    operator = grid_laplacian(64, 48)
    fastsoft.smallest_eigenvectors(operator, 10, progress=seen.append)
    assert seen[-1] == 1.0
    assert min(seen) >= 0.0

    def stop(fraction):
        raise fastsoft.Cancelled

    with pytest.raises(fastsoft.Cancelled):
        fastsoft.smallest_eigenvectors(operator, 10, progress=stop)


def check_progress(seen):
    assert np.all(np.diff(seen) >= 0.0)
    assert 0.0 <= seen[0] < 0.1
    assert seen[-1] == 1.0
    # Whatever was repeated, there is only one end.
    assert seen.count(1.0) == 1


@pytest.mark.parametrize("method", ["shift-invert", "lanczos"])
def test_progress_never_falls(rng, method):
    """Negative edges put many eigenvalues below the first shift, and the factorisation is repeated."""
    operator = grid_laplacian(60, 70, np.float32) + random_edges(rng, 4200, 40, np.float32)
    seen = []
    pairs = fastsoft.smallest_eigenvectors(
        operator, 20, method=method, allow_unconverged=True, max_restarts=4, progress=seen.append
    )
    check_progress(seen)
    if method == "shift-invert":
        assert pairs.shift < -2.0 * SHIFT_SHARE * pairs.lambda_max * np.sqrt(SHIFT_PIXELS / 4200)


def test_bad_arguments_are_refused():
    operator = grid_laplacian(30, 30)
    with pytest.raises(ValueError, match=r"n_eigenvectors must be in 1\.\.900, got 901"):
        fastsoft.smallest_eigenvectors(operator, 901)
    with pytest.raises(ValueError, match="tolerance must be above 0, got 0"):
        fastsoft.smallest_eigenvectors(operator, 5, tolerance=0)
    with pytest.raises(ValueError, match="grid_shape must have the operator's 900 pixels, got 30x31"):
        fastsoft.smallest_eigenvectors(operator, 5, grid_shape=(30, 31))
    with pytest.raises(ValueError, match="shift must not be an eigenvalue"):
        fastsoft.smallest_eigenvectors(sparse.eye_array(900, format="csr"), 5, shift=1.0)
    with pytest.raises(TypeError, match="SciPy sparse"):
        fastsoft.smallest_eigenvectors(np.eye(5), 2)


def test_golden_eigenpairs(golden):
    n = golden["L_indptr"].size - 1
    laplacian = sparse.csr_array((golden["L_data"], golden["L_indices"], golden["L_indptr"]), shape=(n, n))
    pairs = fastsoft.smallest_eigenvectors(laplacian, 100, grid_shape=golden["image"].shape[:2], tolerance=1e-11)
    # The program asks for the smallest magnitude; here those are the smallest.
    expected = np.sort(golden["eigenvalues"])
    np.testing.assert_allclose(pairs.eigenvalues, expected, atol=1e-8 * pairs.lambda_max)
    np.testing.assert_allclose(pairs.eigenvalues, expected, atol=1e-10)
    assert pairs.info.residual <= 1e-11
    if "eigenvectors" in golden:
        # The stored vectors are float32.
        assert reference.largest_principal_sine(pairs.eigenvectors, golden["eigenvectors"]) < 1e-6


def test_float32_is_repeated_in_float64_where_it_does_not_suffice(rng):
    """Strong negative edges put a few eigenvalues far below the others, and with them the shift."""
    image = np.clip(rng.random((48, 64, 3)).cumsum(axis=0).cumsum(axis=1) / 3000 + 0.02 * rng.random((48, 64, 3)), 0, 1)
    chosen = rng.choice(48 * 64, (2, 300), replace=False)
    edges = sparse.coo_array((np.full(300, -0.3), chosen), shape=(48 * 64, 48 * 64))
    extra = fastsoft.graph_laplacian((edges + edges.T).tocsr())
    operator = fastsoft.matting_laplacian(image, storage="stencil") + extra
    single = fastsoft.OperatorSum([operator.astype(np.float32)])
    options = {"tolerance": 1e-7, "max_restarts": 12}
    poor = fastsoft.smallest_eigenvectors(single, 100, allow_unconverged=True, **options)
    assert poor.info.residual > 3e-7
    seen = []
    found = fastsoft.smallest_eigenvectors(single, 100, progress=seen.append, **options)
    check_progress(seen)
    assert found.eigenvectors.dtype == np.float32
    # Rounded to float32, the vectors are no longer as good as they were found.
    assert found.info.residual <= 2e-7
    expected = np.linalg.eigvalsh(operator.tocsr().toarray())[:100]
    np.testing.assert_allclose(found.eigenvalues, expected, atol=1e-5 * found.lambda_max)
    np.testing.assert_allclose(found.eigenvectors.T @ found.eigenvectors, np.eye(100), atol=1e-5)


@pytest.mark.parametrize("shape", [(96, 64), (7, 500)])
def test_filtered_method_on_a_spectrum_in_closed_form(shape):
    operator = grid_laplacian(*shape)
    pairs = fastsoft.smallest_eigenvectors(operator, 24, method="filtered", tolerance=1e-11)
    np.testing.assert_allclose(
        pairs.eigenvalues, reference.grid_laplacian_eigenvalues(*shape, 24), atol=1e-12 * pairs.lambda_max
    )
    check_pairs(operator, pairs, 1e-11)
    assert pairs.degree % 2 == 1
    assert pairs.n_products > pairs.degree * 16 * pairs.info.iterations
    assert pairs.factor_bytes == 0
    assert pairs.shift is None


@pytest.mark.parametrize("depth", [0.05, 0.5, 3.0])
def test_filtered_method_with_eigenvalues_far_below_the_others(rng, depth):
    """The count of the spectrum begins at 0 and has to be widened."""
    operator = (grid_laplacian(30, 40).tocsr() - depth * sparse.diags_array((np.arange(1200) < 5) * 1.0)).tocsr()
    expected, vectors = reference.smallest_eigenvectors(operator, 20)
    assert expected[0] < -0.005 * depth
    pairs = fastsoft.smallest_eigenvectors(operator, 20, method="filtered", tolerance=1e-10)
    # lambda_max is that of the positive end, which the deepest are far beyond.
    scale = max(pairs.lambda_max, depth)
    np.testing.assert_allclose(pairs.eigenvalues, expected, atol=1e-10 * scale)
    assert reference.largest_principal_sine(vectors, pairs.eigenvectors) < 1e-7


def test_filtered_float32(rng, dtype):
    operator = grid_laplacian(40, 25, dtype) + random_edges(rng, 1000, 30, dtype, low=0.0)
    expected, vectors = reference.smallest_eigenvectors(operator.tocsr().astype(np.float64), 20)
    pairs = fastsoft.smallest_eigenvectors(operator, 20, method="filtered")
    assert pairs.eigenvectors.dtype == dtype
    np.testing.assert_allclose(pairs.eigenvalues, expected, atol=1e-5)
    assert reference.largest_principal_sine(vectors, pairs.eigenvectors.astype(np.float64)) < 2e-3


def moved(backend, term):
    if isinstance(term, fastsoft.StencilMatrix):
        return fastsoft.StencilMatrix(backend.array(term.weights))
    return backend.sparse(term)


def on_device(backend, operator):
    """Move stencils and sparse matrices to a device."""
    terms = operator.terms if isinstance(operator, fastsoft.OperatorSum) else [operator]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        return fastsoft.OperatorSum([moved(backend, term) for term in terms])


@pytest.mark.parametrize("form", ["stencil", "sum", "csr"])
def test_device_pairs_equal_dense_solver(rng, device_backend, form):
    operator = grid_laplacian(27, 34)
    if form == "sum":
        operator = operator + random_edges(rng, 918, 60)
    elif form == "csr":
        operator = fastsoft.OperatorSum([random_edges(rng, 918, 3000)])
    expected, vectors = reference.smallest_eigenvectors(operator.tocsr(), 20)
    pairs = fastsoft.smallest_eigenvectors(on_device(device_backend, operator), 20, tolerance=1e-11)
    np.testing.assert_allclose(pairs.eigenvalues, expected, atol=1e-10 * pairs.lambda_max)
    found = device_backend.numpy(pairs.eigenvectors)
    assert found.shape == (918, 20)
    assert pairs.degree > 0
    largest = np.abs(found).argmax(axis=0)
    assert np.all(found[largest, np.arange(20)] > 0)
    # As near as residuals of 1e-11 allow across the gap to the next eigenvalue.
    assert reference.largest_principal_sine(vectors, found) < 1e-7
    on_cpu = fastsoft.smallest_eigenvectors(operator, 20, tolerance=1e-11)
    np.testing.assert_allclose(pairs.lambda_max, on_cpu.lambda_max, rtol=1e-10)
    residual = np.linalg.norm(operator.tocsr() @ found - found * pairs.eigenvalues, axis=0)
    np.testing.assert_allclose(pairs.residuals, residual, atol=1e-13 * pairs.lambda_max)
    np.testing.assert_allclose(pairs.info.residual, residual.max() / pairs.lambda_max, rtol=1e-2)


def test_device_float32_and_largest_block(rng, device_backend):
    """More pairs than two blocks; the last block of the final steps is not full."""
    operator = grid_laplacian(30, 31, np.float32)
    pairs = fastsoft.smallest_eigenvectors(on_device(device_backend, operator), 37)
    np.testing.assert_allclose(pairs.eigenvalues, reference.grid_laplacian_eigenvalues(30, 31, 37), atol=1e-5)
    found = device_backend.numpy(pairs.eigenvectors)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.T @ found, np.eye(37), atol=1e-5)


def test_device_products_only_method(device_backend):
    diagonal = np.concatenate([np.arange(12.0), np.linspace(40.0, 60.0, 588)])
    matrix = on_device(device_backend, fastsoft.OperatorSum([sparse.diags_array(diagonal).tocsr()]))
    pairs = fastsoft.smallest_eigenvectors(matrix, 12, method="lanczos", tolerance=1e-9)
    np.testing.assert_allclose(pairs.eigenvalues, np.arange(12.0), atol=1e-9)
    found = device_backend.numpy(pairs.eigenvectors)
    np.testing.assert_allclose(found[:12], np.eye(12), atol=1e-7)


def test_device_small_matrix_is_solved_densely(device_backend):
    operator = grid_laplacian(7, 9)
    expected = fastsoft.smallest_eigenvectors(operator, 10)
    pairs = fastsoft.smallest_eigenvectors(on_device(device_backend, operator), 10)
    np.testing.assert_allclose(pairs.eigenvalues, expected.eigenvalues, atol=1e-13)
    # A square of pixels has no repeated eigenvalue, one of 7 by 9 neither.
    np.testing.assert_allclose(device_backend.numpy(pairs.eigenvectors), expected.eigenvectors, atol=1e-10)


def test_device_repeats_float32_in_float64(rng, device_backend):
    """As on the CPU: what float32 cannot reach is computed in float64, and the result rounded."""
    operator = grid_laplacian(24, 25, np.float32)
    pairs = fastsoft.smallest_eigenvectors(
        on_device(device_backend, operator), 12, tolerance=3e-8, n_basis=64, max_restarts=10
    )
    found = device_backend.numpy(pairs.eigenvectors)
    assert found.dtype == np.float32
    np.testing.assert_allclose(
        pairs.eigenvalues, reference.grid_laplacian_eigenvalues(24, 25, 12), atol=1e-9 * pairs.lambda_max
    )
    residual = np.linalg.norm(operator.tocsr() @ found - found * pairs.eigenvalues.astype(np.float32), axis=0)
    np.testing.assert_allclose(pairs.residuals, residual, atol=1e-6)


def test_device_has_the_same_bits_from_run_to_run(rng, device_backend):
    operator = on_device(device_backend, grid_laplacian(25, 20, np.float32) + random_edges(rng, 500, 40, np.float32))
    first, second = (fastsoft.smallest_eigenvectors(operator, 10, seed=3) for _ in range(2))
    np.testing.assert_array_equal(first.eigenvalues, second.eigenvalues)
    np.testing.assert_array_equal(device_backend.numpy(first.eigenvectors), device_backend.numpy(second.eigenvectors))


def test_kernels_do_not_depend_on_the_order_of_threads(rng, host_backend):
    from tests import on_host

    operator = on_device(host_backend, grid_laplacian(25, 20) + random_edges(rng, 500, 40))
    forward = fastsoft.smallest_eigenvectors(operator, 10)
    with on_host.backward():
        backward = fastsoft.smallest_eigenvectors(operator, 10)
    np.testing.assert_array_equal(forward.eigenvalues, backward.eigenvalues)
    np.testing.assert_array_equal(host_backend.numpy(forward.eigenvectors), host_backend.numpy(backward.eigenvectors))


def test_device_progress_and_errors(device_backend):
    operator = on_device(device_backend, grid_laplacian(30, 24))
    seen = []
    fastsoft.smallest_eigenvectors(operator, 10, progress=seen.append)
    check_progress(seen)

    def stop(fraction):
        raise fastsoft.Cancelled

    with pytest.raises(fastsoft.Cancelled):
        fastsoft.smallest_eigenvectors(operator, 10, progress=stop)
    with pytest.raises(ValueError, match='method must be "filtered" or "lanczos" on a CUDA device'):
        fastsoft.smallest_eigenvectors(operator, 10, method="shift-invert")
    with pytest.raises(ValueError, match=r"n_eigenvectors must be in 1\.\.720, got 721"):
        fastsoft.smallest_eigenvectors(operator, 721)
    with pytest.raises(fastsoft.ConvergenceError, match="did not converge") as caught:
        fastsoft.smallest_eigenvectors(operator, 10, method="lanczos", tolerance=1e-12, max_restarts=0)
    assert device_backend.numpy(caught.value.result.eigenvectors).shape == (720, 10)
