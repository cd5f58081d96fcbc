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
from tests.reference import pcg as reference
from tests.tolerances import parity


def grid_operator(rng, height, width, dtype, *, shift=0.1):
    """Laplacian of random positive weights on the 5x5 neighbourhoods of a grid, plus `shift` times the identity."""
    weights = np.zeros((13, height, width))
    row, col = np.mgrid[:height, :width]
    for plane, (dr, dc) in zip(weights, STENCIL_OFFSETS, strict=True):
        inside = (row + dr < height) & (col + dc >= 0) & (col + dc < width)
        plane[inside] = -rng.random(inside.sum())
    weights[0] = 0
    degree = -(fastsoft.StencilMatrix(weights) @ np.ones(height * width))
    weights[0] = degree.reshape(height, width) + shift
    return fastsoft.StencilMatrix(weights.astype(dtype))


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (2, 3), (5, 7), (20, 31)])
@pytest.mark.parametrize("preconditioner", ["jacobi", None])
def test_solution_and_iterations_equal_the_textbook(rng, shape, preconditioner):
    a = grid_operator(rng, *shape, np.float64)
    dense = a.tocsr().toarray()
    b = rng.standard_normal((len(dense), 3))
    result = fastsoft.pcg(a, b, preconditioner=preconditioner, tolerance=1e-8)
    inverse_diagonal = 1 / np.diag(dense) if preconditioner else None
    for c in range(3):
        x, iterations = reference.pcg(dense, b[:, c], inverse_diagonal=inverse_diagonal, tolerance=1e-8)
        np.testing.assert_allclose(result.x[:, c], x, atol=1e-10 * np.abs(x).max())
        assert result.columns[c].iterations == iterations
        residual = np.linalg.norm(b[:, c] - dense @ result.x[:, c]) / np.linalg.norm(b[:, c])
        assert result.columns[c].residual == pytest.approx(residual, rel=1e-4)
        assert residual <= 1e-8
    # ||x - x*|| <= ||A^-1|| ||b - A x||, and the smallest eigenvalue is the shift 0.1.
    exact = np.linalg.solve(dense, b)
    assert (np.linalg.norm(result.x - exact, axis=0) <= 10 * 1e-8 * np.linalg.norm(b, axis=0)).all()


def test_every_storage_gives_the_same_solution(rng, dtype):
    stencil = grid_operator(rng, 13, 17, dtype)
    n = stencil.shape[0]
    edges = sparse.coo_array((np.ones(3), ([0, 5, 80], [200, 100, 150])), shape=(n, n))
    edges = edges + edges.T
    extra = (sparse.diags_array(edges.sum(axis=1)) - edges).tocsr().astype(dtype)
    b = rng.standard_normal(n).astype(dtype)
    exact = np.linalg.solve((stencil.tocsr() + extra).toarray().astype(np.float64), b)
    # The condition number is below 2 * 25 / 0.1.
    tolerance = 500 * max(1e-6, 4 * np.finfo(dtype).eps) * np.abs(exact).max()
    for operator in (stencil + extra, stencil.tocsr() + extra, sparse.csc_array(stencil.tocsr() + extra)):
        result = fastsoft.pcg(operator, b)
        assert result.x.dtype == dtype
        assert result.x.shape == (n,)
        np.testing.assert_allclose(result.x, exact, atol=tolerance)


def test_warm_start_and_zero_right_hand_side(rng, dtype):
    a = grid_operator(rng, 9, 11, dtype)
    b = np.zeros((99, 2), dtype=dtype)
    b[:, 1] = rng.standard_normal(99)
    cold = fastsoft.pcg(a, b, tolerance=1e-5)
    assert cold.columns[1].iterations > 3
    np.testing.assert_array_equal(cold.x[:, 0], 0)
    warm = fastsoft.pcg(a, b, x0=cold.x, tolerance=1.01e-5)
    assert warm.info.iterations == 0
    np.testing.assert_array_equal(warm.x, cold.x)
    start = np.ones_like(b)
    far = fastsoft.pcg(a, b, x0=start, tolerance=1e-5)
    np.testing.assert_array_equal(far.x[:, 0], 0)
    np.testing.assert_array_equal(start, 1)
    np.testing.assert_allclose(far.x[:, 1], cold.x[:, 1], atol=1e-3)


def test_callable_preconditioner(rng, dtype):
    a = grid_operator(rng, 12, 15, dtype, shift=0.01)
    b = rng.standard_normal((180, 2)).astype(dtype)
    seen = []

    def jacobi(residuals):
        seen.append(residuals.shape)
        assert not residuals.flags.writeable
        return residuals / a.diagonal()[:, None]

    called = fastsoft.pcg(a, b, preconditioner=jacobi, tolerance=1e-5)
    builtin = fastsoft.pcg(a, b, tolerance=1e-5)
    assert set(seen) == {(180, 2)}
    assert len(seen) >= builtin.info.iterations
    assert [c.iterations for c in called.columns] == [c.iterations for c in builtin.columns]
    np.testing.assert_allclose(called.x, builtin.x, atol=1e4 * np.finfo(dtype).eps * np.abs(builtin.x).max())
    # The inverse itself needs one iteration.
    inverse = np.linalg.inv(a.tocsr().toarray().astype(np.float64)).astype(dtype)
    assert fastsoft.pcg(a, b, preconditioner=lambda r: inverse @ r, tolerance=1e-3).info.iterations == 1
    with pytest.raises(ValueError, match=r"preconditioner must return shape \(180, 2\)"):
        fastsoft.pcg(a, b, preconditioner=lambda r: r[:, 0])
    with pytest.raises(ZeroDivisionError):
        fastsoft.pcg(a, b, preconditioner=lambda r: 1 / 0)


def test_too_few_iterations_raise_with_the_best_iterate(rng):
    a = grid_operator(rng, 20, 20, np.float64, shift=1e-4)
    b = rng.standard_normal(400)
    with pytest.raises(fastsoft.ConvergenceError, match=r"after 5 of 5 iterations .* tolerance 1\.00e-06") as caught:
        fastsoft.pcg(a, b, max_iterations=5)
    best = caught.value.result
    assert not best.info.converged
    assert best.info.iterations == 5
    # No iterate of the textbook is better: for so ill-conditioned a matrix the residual rises before it falls.
    dense = a.tocsr().toarray()
    inverse_diagonal = 1 / np.diag(dense)
    residuals = []
    for i in range(6):
        x, _ = reference.pcg(dense, b, inverse_diagonal=inverse_diagonal, max_iterations=i)
        residuals.append(np.linalg.norm(b - a @ x) / np.linalg.norm(b))
    assert best.info.residual == pytest.approx(min(residuals), rel=1e-9)
    allowed = fastsoft.pcg(a, b, max_iterations=5, allow_unconverged=True)
    np.testing.assert_array_equal(allowed.x, best.x)


def test_best_iterate_is_kept_when_the_residual_rises(rng):
    # The first step removes the large part, in the largest eigenvalue; the next ones raise the residual.
    a = sparse.diags_array([1.0, 1e-4, 1e-2, 0.1]).tocsr()
    b = np.array([30.0, 1.0, 0.3, 0.1])
    norms = []
    for i in range(5):
        x, _ = reference.pcg(a.toarray(), b, max_iterations=i, tolerance=1e-12)
        norms.append(np.linalg.norm(b - a @ x) / np.linalg.norm(b))
    assert norms[1] < norms[2] < norms[0]
    for last in (2, 3):
        result = fastsoft.pcg(a, b, preconditioner=None, max_iterations=last, allow_unconverged=True)
        assert result.info.residual == pytest.approx(min(norms[: last + 1]), rel=1e-9)
    assert fastsoft.pcg(a, b, preconditioner=None, max_iterations=6).info.converged


def test_indefinite_operator_is_reported(rng):
    a = sparse.diags_array(np.array([1.0, -1.0, 2.0, 3.0])).tocsr()
    with pytest.raises(fastsoft.ConvergenceError, match="not positive definite"):
        fastsoft.pcg(a, np.array([1.0, 3.0, 1.0, 1.0]), preconditioner=None)
    with pytest.raises(ValueError, match="positive diagonal for the Jacobi preconditioner, got 1 entries"):
        fastsoft.pcg(a, np.ones(4))


def test_tolerance_below_rounding_raises(rng):
    a = grid_operator(rng, 15, 15, np.float32, shift=1e-3)
    with pytest.raises(fastsoft.ConvergenceError):
        fastsoft.pcg(a, rng.standard_normal(225).astype(np.float32), tolerance=1e-12, max_iterations=300)


@settings(max_examples=25, deadline=None)
@given(height=st.integers(1, 9), width=st.integers(1, 9), k=st.integers(1, 4), seed=st.integers(0, 2**32 - 1))
def test_columns_do_not_influence_each_other(height, width, k, seed):
    rng = np.random.default_rng(seed)
    a = grid_operator(rng, height, width, np.float64)
    b = rng.standard_normal((height * width, k))
    together = fastsoft.pcg(a, b)
    for c in range(k):
        alone = fastsoft.pcg(a, b[:, c])
        assert alone.info.iterations == together.columns[c].iterations
        np.testing.assert_array_equal(alone.x, together.x[:, c])


def test_same_bits_for_any_number_of_threads_and_any_layout(rng, threads, dtype):
    a = grid_operator(rng, 130, 170, dtype)
    b = rng.standard_normal((130 * 170, 3)).astype(dtype)
    results = []
    for count in (1, 2, 5):
        threads(count)
        results.append(fastsoft.pcg(a, b, tolerance=1e-4).x)
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])
    padded = np.zeros((2 * b.shape[0], 4), dtype=dtype)[::-2, 1:]
    padded[:] = b
    padded.flags.writeable = False
    np.testing.assert_array_equal(fastsoft.pcg(a, padded, tolerance=1e-4).x, results[0])
    np.testing.assert_array_equal(fastsoft.pcg(a, np.asfortranarray(b), tolerance=1e-4).x, results[0])


def test_progress_rises_to_one_and_cancels(rng):
    a = grid_operator(rng, 20, 20, np.float64)
    b = rng.standard_normal(400)
    seen = []
    fastsoft.pcg(a, b, progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 1.0

    def cancel(fraction):
        raise fastsoft.Cancelled

    with pytest.raises(fastsoft.Cancelled):
        fastsoft.pcg(a, b, progress=cancel)


def test_bad_arguments_are_refused(rng):
    a = grid_operator(rng, 3, 4, np.float64)
    b = np.ones(12)
    cases = [
        ({"b": np.ones(11)}, ValueError, r"b must have 12 rows as the operator has, got shape \(11,\)"),
        ({"b": np.ones((12, 2, 1))}, ValueError, r"b must have shape \(N,\) or \(N, k\)"),
        ({"b": np.ones(12, dtype=int)}, TypeError, "b must have dtype float32 or float64, got int64"),
        ({"b": np.full(12, np.nan)}, ValueError, "b must be finite, got 12"),
        ({"x0": np.ones(11)}, ValueError, r"x0 must have shape \(12,\)"),
        ({"x0": np.full(12, np.inf)}, ValueError, "x0 must be finite"),
        ({"tolerance": 0}, ValueError, "tolerance must be above 0"),
        ({"max_iterations": -1}, ValueError, "max_iterations must be in 0"),
        ({"max_iterations": 1.5}, TypeError, "max_iterations must be an integer"),
        ({"preconditioner": "ilu"}, ValueError, "preconditioner must be 'jacobi', a callable or None, got 'ilu'"),
        ({"operator": np.eye(12)}, TypeError, "SciPy sparse matrix, got ndarray"),
    ]
    for change, error, message in cases:
        with pytest.raises(error, match=message):
            fastsoft.pcg(**{"operator": a, "b": b, **change})


def on(backend, stencil):
    return fastsoft.StencilMatrix(backend.array(stencil.weights))


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")
@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (20, 31), (17, 70)])
@pytest.mark.parametrize("preconditioner", ["jacobi", None])
def test_backends_solve_like_the_textbook(rng, backend, shape, preconditioner):
    a = grid_operator(rng, *shape, np.float64)
    dense = a.tocsr().toarray()
    b = rng.standard_normal((len(dense), 3))
    for operator in (on(backend, a), backend.sparse(a.tocsr())):
        result = fastsoft.pcg(operator, backend.array(b), preconditioner=preconditioner, tolerance=1e-8)
        inverse_diagonal = 1 / np.diag(dense) if preconditioner else None
        for c in range(3):
            x, iterations = reference.pcg(dense, b[:, c], inverse_diagonal=inverse_diagonal, tolerance=1e-8)
            np.testing.assert_allclose(backend.numpy(result.x)[:, c], x, atol=1e-10 * np.abs(x).max())
            assert result.columns[c].iterations == iterations
            assert result.columns[c].converged
            assert result.columns[c].residual <= 1e-8


def test_backends_agree(rng, backend, dtype):
    a = grid_operator(rng, 25, 41, dtype)
    wide = rng.standard_normal((1025, 6)).astype(dtype)
    bound = parity("pcg", dtype)
    for b in (wide[:, 0], wide[:, :1], wide, wide[:, ::2], np.asfortranarray(wide)):
        expected = fastsoft.pcg(a, b, tolerance=1e-4)
        result = fastsoft.pcg(on(backend, a), backend.array(b), tolerance=1e-4)
        assert result.x.dtype == backend.array(b).dtype
        assert [c.iterations for c in result.columns] == [c.iterations for c in expected.columns]
        np.testing.assert_allclose(backend.numpy(result.x), expected.x, atol=bound * np.abs(expected.x).max())
        again = fastsoft.pcg(on(backend, a), backend.array(b), tolerance=1e-4)
        np.testing.assert_array_equal(backend.numpy(again.x), backend.numpy(result.x))


def test_backends_start_where_they_are_told(rng, backend, dtype):
    a = on(backend, grid_operator(rng, 9, 11, dtype))
    b = np.zeros((99, 2), dtype=dtype)
    b[:, 1] = rng.standard_normal(99)
    cold = fastsoft.pcg(a, backend.array(b), tolerance=1e-5)
    warm = fastsoft.pcg(a, backend.array(b), x0=cold.x, tolerance=1.01e-5)
    assert warm.info.iterations == 0
    np.testing.assert_array_equal(backend.numpy(warm.x), backend.numpy(cold.x))
    start = backend.array(np.ones_like(b))
    far = fastsoft.pcg(a, backend.array(b), x0=start, tolerance=1e-5)
    np.testing.assert_array_equal(backend.numpy(far.x)[:, 0], 0)
    np.testing.assert_array_equal(backend.numpy(start), 1)
    np.testing.assert_allclose(backend.numpy(far.x)[:, 1], backend.numpy(cold.x)[:, 1], atol=1e-3)


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")
@pytest.mark.parametrize("k", [1, 2, 130])
def test_backends_keep_the_best_iterate(backend, k):
    # As in test_best_iterate_is_kept_when_the_residual_rises; 130 columns are more than a launch has factors for.
    a = sparse.diags_array([1.0, 1e-4, 1e-2, 0.1]).tocsr()
    one = np.array([30.0, 1.0, 0.3, 0.1])
    b = one[:, None] * np.where(np.arange(k) % 2, -2.0, 1.0)
    b[:, 1::3] = np.array([0.0, 0.0, 0.0, 1.0])[:, None]  # converge at once
    for last in (2, 3):
        expected = fastsoft.pcg(a, b, preconditioner=None, max_iterations=last, allow_unconverged=True)
        operator = fastsoft.OperatorSum([backend.sparse(a)])
        result = fastsoft.pcg(
            operator, backend.array(b), preconditioner=None, max_iterations=last, allow_unconverged=True
        )
        assert [c.converged for c in result.columns] == [c.converged for c in expected.columns]
        assert [c.iterations for c in result.columns] == [c.iterations for c in expected.columns]
        np.testing.assert_allclose(backend.numpy(result.x), expected.x, rtol=1e-9, atol=1e-9)


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")
def test_backends_report_what_cannot_be_solved(rng, backend):
    indefinite = fastsoft.OperatorSum([backend.sparse(sparse.diags_array([1.0, -1.0, 2.0, 3.0]).tocsr())])
    with pytest.raises(fastsoft.ConvergenceError, match="not positive definite"):
        fastsoft.pcg(indefinite, backend.array(np.array([1.0, 3.0, 1.0, 1.0])), preconditioner=None)
    with pytest.raises(ValueError, match="positive diagonal for the Jacobi preconditioner, got 1 entries"):
        fastsoft.pcg(indefinite, backend.array(np.ones(4)))
    a = on(backend, grid_operator(rng, 20, 20, np.float64, shift=1e-4))
    with pytest.raises(fastsoft.ConvergenceError, match=r"after 5 of 5 iterations .* tolerance 1\.00e-06") as caught:
        fastsoft.pcg(a, backend.array(rng.standard_normal(400)), max_iterations=5)
    assert np.isfinite(backend.numpy(caught.value.result.x)).all()
    b = backend.array(rng.standard_normal(400))
    seen = []
    fastsoft.pcg(a, b, progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 1.0

    def cancel(fraction):
        raise fastsoft.Cancelled

    with pytest.raises(fastsoft.Cancelled):
        fastsoft.pcg(a, b, progress=cancel)


def test_backends_take_a_callable_preconditioner(rng, backend, dtype):
    stencil = grid_operator(rng, 12, 15, dtype, shift=0.01)
    a = on(backend, stencil)
    for shape in ((180, 2), (180,)):
        b = rng.standard_normal(shape).astype(dtype)
        diagonal = backend.array(stencil.diagonal() if len(shape) == 1 else stencil.diagonal()[:, None])
        called = fastsoft.pcg(a, backend.array(b), preconditioner=lambda r, d=diagonal: r / d, tolerance=1e-5)
        builtin = fastsoft.pcg(stencil, b, tolerance=1e-5)
        assert [c.iterations for c in called.columns] == [c.iterations for c in builtin.columns]
        bound = parity("pcg", dtype) * np.abs(builtin.x).max()
        np.testing.assert_allclose(backend.numpy(called.x), builtin.x, atol=bound)
    b = backend.array(rng.standard_normal((180, 2)).astype(dtype))
    with pytest.raises(ValueError, match=r"preconditioner must return shape \(180, 2\) and dtype"):
        fastsoft.pcg(a, b, preconditioner=lambda r: r[:, 0])
    with pytest.raises(ZeroDivisionError):
        fastsoft.pcg(a, b, preconditioner=lambda r: 1 / 0)


def test_backends_refuse_the_same_arguments(rng, backend):
    a = on(backend, grid_operator(rng, 3, 4, np.float64))
    b = np.ones(12)
    cases = [
        ({"b": np.ones(11)}, ValueError, r"b must have 12 rows as the operator has, got shape \(11,\)"),
        ({"b": np.ones((12, 2, 1))}, ValueError, r"b must have shape \(N,\) or \(N, k\)"),
        ({"b": np.ones(12, dtype=int)}, TypeError, "b must have dtype float32 or float64, got int64"),
        ({"b": np.full(12, np.nan)}, ValueError, "b must be finite, got 12"),
        ({"x0": np.ones(11)}, ValueError, r"x0 must have shape \(12,\) and dtype float64, got \(11,\) and float64"),
        ({"x0": np.full(12, np.inf)}, ValueError, "x0 must be finite"),
        ({"operator": np.eye(12)}, TypeError, "SciPy sparse matrix, got"),
    ]
    for change, error, message in cases:
        arguments = {"b": b, **change}
        operator = arguments.pop("operator", None)
        arguments = {name: backend.array(value) for name, value in arguments.items()}
        with pytest.raises(error, match=message):
            fastsoft.pcg(a if operator is None else backend.array(operator), **arguments)


def test_an_iteration_waits_once_for_the_device(rng, host_backend):
    a = on(host_backend, grid_operator(rng, 20, 20, np.float64))
    b = host_backend.array(rng.standard_normal((400, 4)))
    counts = []
    for tolerance in (1e-2, 1e-8):
        before = on_host.count("waits"), on_host.count("launches")
        iterations = fastsoft.pcg(a, b, tolerance=tolerance).info.iterations
        counts.append((iterations, on_host.count("waits") - before[0], on_host.count("launches") - before[1]))
    (few, few_waits, few_launches), (many, many_waits, many_launches) = counts
    assert many > few
    assert many_waits - few_waits == many - few
    # Product, p.q and its sum, both updates and their sums, new direction; where a residual rises, a copy.
    assert 6 * (many - few) <= many_launches - few_launches <= 7 * (many - few)


def test_arrays_of_a_solve_are_on_one_device(rng, device_backend):
    host = grid_operator(rng, 3, 4, np.float64)
    there = on(device_backend, host)
    b = np.ones(12)
    for operator, right, message in (
        (there, b, "b on cpu, operator on cuda:0"),
        (host, device_backend.array(b), "b on cuda:0, operator on cpu"),
        (host.tocsr(), device_backend.array(b), "b on cuda:0, operator on cpu"),
    ):
        with pytest.raises(TypeError, match=f"arrays of a call must be on one device, got {message}"):
            fastsoft.pcg(operator, right)
    with device_backend.stream():
        result = fastsoft.pcg(there, device_backend.array(b))
        np.testing.assert_allclose(device_backend.numpy(result.x), fastsoft.pcg(host, b).x, rtol=1e-6)
