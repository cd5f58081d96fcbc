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
from tests.reference import relax as reference
from tests.tolerances import parity


def problem(rng, height, width, n_layers, dtype=np.float64):
    """Random layers with values on both sides of the thresholds, a Laplacian of random weights, a gradient."""
    weights = np.zeros((13, height, width))
    row, col = np.mgrid[:height, :width]
    for plane, (dr, dc) in zip(weights, STENCIL_OFFSETS, strict=True):
        inside = (row + dr < height) & (col + dc >= 0) & (col + dc < width)
        plane[inside] = -rng.random(inside.sum())
    weights[0] = 0
    weights[0] = -(fastsoft.StencilMatrix(weights) @ np.ones(height * width)).reshape(height, width)
    segments = rng.dirichlet(np.full(n_layers, 0.3), (height, width))
    gradient = rng.uniform(0, 0.15, (height, width))
    return segments.astype(dtype), fastsoft.StencilMatrix(weights.astype(dtype)), gradient.astype(dtype)


def golden_laplacian(golden):
    return sparse.csr_array((golden["L_data"], golden["L_indices"], golden["L_indptr"]))


@pytest.mark.parametrize("n_layers", [1, 2, 5, 7])
@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (2, 3), (7, 5), (14, 15)])
def test_tight_solves_equal_direct_ones(rng, shape, n_layers):
    segments, laplacian, gradient = problem(rng, *shape, n_layers)
    segments[..., 0] = np.maximum(segments[..., 0], 0.3)  # something is left of every pixel
    result = fastsoft.relax_segments(segments, laplacian, gradient, tolerance=1e-13)
    expected, before = reference.relax_segments(segments, laplacian.tocsr(), gradient)
    # Relative residuals of 1e-13 and weights up to 1e-2^-1.1 = 160 in each of 20 rounds.
    np.testing.assert_allclose(result.before_final_solve, before, atol=1e-9)
    np.testing.assert_allclose(result.segments, expected, atol=1e-9)
    assert [info.converged for info in result.info] == [True] * 21


def test_parameters_reach_the_equations(rng):
    segments, laplacian, gradient = problem(rng, 6, 9, 3)
    parameters = {
        "n_iterations": 4,
        "gamma": 0.7,
        "sum_weight": 13.0,
        "clamp": 0.05,
        "threshold": 0.2,
        "final_solve": False,
    }
    result = fastsoft.relax_segments(segments, laplacian, gradient, tolerance=1e-13, **parameters)
    expected, _ = reference.relax_segments(segments, laplacian.tocsr(), gradient, **parameters)
    np.testing.assert_allclose(result.segments, expected, atol=1e-10)
    np.testing.assert_array_equal(result.segments, result.before_final_solve)
    assert len(result.info) == 4


def test_every_storage_and_dtype(rng, dtype):
    segments, stencil, gradient = problem(rng, 9, 11, 4, dtype)
    edges = sparse.coo_array((np.ones(2), ([0, 40], [70, 98])), shape=(99, 99))
    edges = edges + edges.T
    # A negative affinity makes the Laplacian indefinite, as semantic affinities do.
    extra = (sparse.diags_array(edges.sum(axis=1)) - edges).tocsr().astype(dtype) * dtype.type(-0.01)
    expected, _ = reference.relax_segments(segments, (stencil + extra).tocsr(), gradient)
    for laplacian in (stencil + extra, stencil.tocsr() + extra):
        result = fastsoft.relax_segments(segments, laplacian, gradient, tolerance=1e-6)
        assert result.segments.dtype == dtype
        assert result.segments.shape == (9, 11, 4)
        # ||b|| is about 100 sqrt(396), the smallest eigenvalue about 1: an error of up to 1e-6 * 2000 in the 2-norm.
        np.testing.assert_allclose(result.segments, expected, atol=2e-3)


def test_without_a_laplacian_the_preconditioner_is_the_inverse(rng):
    segments, _, gradient = problem(rng, 6, 7, 5)
    nothing = fastsoft.StencilMatrix(np.zeros((13, 6, 7)))
    result = fastsoft.relax_segments(segments, nothing, gradient, sum_weight=2.0, tolerance=1e-9)
    assert max(info.iterations for info in result.info) == 1


def test_parity_with_the_authors_program(golden):
    result = fastsoft.relax_segments(
        golden["grouped"].astype(np.float64), golden_laplacian(golden), golden["gradient"].astype(np.float64)
    )
    before = np.abs(result.before_final_solve - golden["before_final_solve"])
    final = np.abs(result.segments - golden["final"])
    assert before.max() <= 2e-3
    assert before.mean() <= 1e-5
    assert final.max() <= 2e-3
    assert final.mean() <= 5e-5
    # The authors' unpreconditioned iteration takes 15 to 31.
    assert max(info.iterations for info in result.info[:20]) <= 8
    assert np.abs(result.segments.sum(axis=2) - 1).max() <= 2e-5


def test_float32_equals_float64(golden):
    laplacian = golden_laplacian(golden)
    exact = fastsoft.relax_segments(golden["grouped"].astype(np.float64), laplacian, golden["gradient"])
    single = fastsoft.relax_segments(golden["grouped"], laplacian, golden["gradient"])
    assert single.segments.dtype == np.float32
    # Right-hand sides of order 100 carry 4e-6 of rounding; the smallest weights are of order 1.
    np.testing.assert_allclose(single.segments, exact.segments, atol=1e-4)


@settings(max_examples=25, deadline=None)
@given(height=st.integers(1, 8), width=st.integers(1, 8), n_layers=st.integers(1, 6), seed=st.integers(0, 2**32 - 1))
def test_properties(height, width, n_layers, seed):
    rng = np.random.default_rng(seed)
    segments, laplacian, gradient = problem(rng, height, width, n_layers)
    result = fastsoft.relax_segments(segments, laplacian, gradient, tolerance=1e-12)
    # The sum is held by a weight of 100 against terms of weight about 1 in each layer.
    assert np.abs(result.segments.sum(axis=2) - 1).max() <= 0.02
    # Layers are treated alike.
    order = rng.permutation(n_layers)
    permuted = fastsoft.relax_segments(segments[..., order], laplacian, gradient, tolerance=1e-12)
    np.testing.assert_allclose(permuted.segments, result.segments[..., order], atol=1e-8)


def test_a_single_layer_is_opaque(rng):
    _, laplacian, gradient = problem(rng, 5, 6, 1)
    result = fastsoft.relax_segments(rng.uniform(0, 1, (5, 6, 1)), laplacian, gradient)
    np.testing.assert_allclose(result.segments, 1, atol=1e-4)


def test_pixel_of_many_faint_layers_goes_to_its_largest(rng):
    _, laplacian, gradient = problem(rng, 4, 4, 1)
    segments = np.full((4, 4, 12), 1 / 12)
    segments[..., 7] += 0.01
    result = fastsoft.relax_segments(segments, laplacian, gradient)
    whole = np.zeros_like(segments)
    whole[..., 7] = 1
    np.testing.assert_array_equal(result.segments, fastsoft.relax_segments(whole, laplacian, gradient).segments)
    assert result.segments[..., 7].min() > 0.9


def test_same_bits_for_any_number_of_threads_and_any_layout(rng, threads, dtype):
    segments, laplacian, gradient = problem(rng, 120, 170, 5, dtype)
    results = []
    for count in (1, 2, 5):
        threads(count)
        results.append(fastsoft.relax_segments(segments, laplacian, gradient, n_iterations=3).segments)
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])
    flipped = np.asfortranarray(segments[::-1])[::-1]
    flipped.flags.writeable = False
    again = fastsoft.relax_segments(flipped, laplacian, np.asfortranarray(gradient), n_iterations=3)
    np.testing.assert_array_equal(again.segments, results[0])


def test_too_few_iterations_raise_with_the_layers(rng):
    segments, laplacian, gradient = problem(rng, 12, 12, 3)
    with pytest.raises(fastsoft.ConvergenceError, match="round 1 of 20 stopped after 1 iterations") as caught:
        fastsoft.relax_segments(segments, laplacian, gradient, max_cg_iterations=1)
    assert caught.value.result.segments.shape == (12, 12, 3)
    assert not caught.value.result.info[0].converged
    allowed = fastsoft.relax_segments(segments, laplacian, gradient, max_cg_iterations=1, allow_unconverged=True)
    np.testing.assert_array_equal(allowed.segments, caught.value.result.segments)
    with pytest.raises(fastsoft.ConvergenceError, match="round 1"):
        fastsoft.relax_segments(segments, -10 * laplacian.tocsr(), gradient)


def test_progress_rises_to_one_and_cancels(rng):
    segments, laplacian, gradient = problem(rng, 12, 12, 3)
    seen = []
    fastsoft.relax_segments(segments, laplacian, gradient, progress=seen.append)
    assert seen == sorted(seen)
    assert len(seen) > 40
    assert seen[-1] == 1.0

    def cancel(fraction):
        if fraction > 0.5:
            raise fastsoft.Cancelled

    with pytest.raises(fastsoft.Cancelled):
        fastsoft.relax_segments(segments, laplacian, gradient, progress=cancel)


def test_bad_arguments_are_refused(rng):
    segments, laplacian, gradient = problem(rng, 4, 5, 3)
    cases = [
        ({"segments": segments[..., 0]}, ValueError, r"segments must have shape \(H, W, n\), got \(4, 5\)"),
        ({"segments": segments[..., :0]}, ValueError, "segments must not be empty"),
        ({"segments": segments * np.nan}, ValueError, "segments must be finite, got 60"),
        ({"segments": np.ones((4, 5, 3), dtype=int)}, TypeError, "segments must have dtype float32 or float64"),
        ({"gradient": gradient.T}, ValueError, r"gradient must have shape \(4, 5\), got \(5, 4\)"),
        ({"gradient": gradient - 1}, ValueError, "gradient must not be negative"),
        ({"laplacian": sparse.eye_array(19, format="csr")}, ValueError, r"laplacian must have shape \(20, 20\)"),
        ({"laplacian": np.eye(20)}, TypeError, "laplacian must be a StencilMatrix"),
        ({"gamma": 0.0}, ValueError, "gamma must be above 0"),
        ({"clamp": 0.0}, ValueError, "clamp must be at least 1e-12"),
        ({"threshold": 0.6}, ValueError, "threshold must be at least 0 and at most 0.5"),
        ({"sum_weight": -1}, ValueError, "sum_weight must be at least 0"),
        ({"n_iterations": -1}, ValueError, "n_iterations must be in 0"),
    ]
    for change, error, message in cases:
        with pytest.raises(error, match=message):
            fastsoft.relax_segments(**{"segments": segments, "laplacian": laplacian, "gradient": gradient, **change})


def there(backend, segments, laplacian, gradient):
    """The arguments as arrays of a backend."""
    stencil = fastsoft.StencilMatrix(backend.array(laplacian.weights))
    return backend.array(segments), stencil, backend.array(gradient)


@pytest.mark.parametrize(("shape", "n_layers"), [((1, 1), 2), ((2, 3), 1), ((14, 15), 5), ((31, 37), 3)])
def test_backends_equal_the_reference(rng, backend, shape, n_layers):
    segments, laplacian, gradient = problem(rng, *shape, n_layers)
    segments[..., 0] = np.maximum(segments[..., 0], 0.3)  # something is left of every pixel
    parameters = {"n_iterations": 5, "gamma": 0.8, "sum_weight": 90.0, "clamp": 0.02, "threshold": 0.15}
    arguments = there(backend, segments, laplacian, gradient)
    result = fastsoft.relax_segments(*arguments, tolerance=1e-13, **parameters)
    expected, before = reference.relax_segments(segments, laplacian.tocsr(), gradient, **parameters)
    np.testing.assert_allclose(backend.numpy(result.before_final_solve), before, atol=1e-9)
    np.testing.assert_allclose(backend.numpy(result.segments), expected, atol=1e-9)
    assert [info.converged for info in result.info] == [True] * 6


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")
def test_backends_agree(rng, backend, dtype):
    segments, laplacian, gradient = problem(rng, 21, 53, 4, dtype)
    n = 21 * 53
    edges = sparse.coo_array((np.ones(3), ([0, 5, 80], [200, 100, 150])), shape=(n, n))
    extra = (sparse.diags_array((edges + edges.T).sum(axis=1)) - edges - edges.T).tocsr().astype(dtype)
    expected = fastsoft.relax_segments(segments, laplacian + extra, gradient, n_iterations=3)
    layers, stencil, slopes = there(backend, segments, laplacian, gradient)
    result = fastsoft.relax_segments(layers, stencil + backend.sparse(extra), slopes, n_iterations=3)
    assert result.segments.dtype == result.before_final_solve.dtype == layers.dtype
    assert [info.iterations for info in result.info] == [info.iterations for info in expected.info]
    bound = parity("relax", dtype)
    np.testing.assert_allclose(backend.numpy(result.segments), expected.segments, atol=bound)
    np.testing.assert_allclose(backend.numpy(result.before_final_solve), expected.before_final_solve, atol=bound)
    # The same bits again, and from any layout; another dtype of the gradient is converted.
    wide = np.zeros((42, 106, 8), dtype=dtype)
    wide[::2, ::2, ::2] = segments
    for array in (segments, wide[::2, ::2, ::2], np.asfortranarray(segments)):
        again = fastsoft.relax_segments(
            backend.array(array), stencil + backend.sparse(extra), backend.array(gradient.T.copy().T), n_iterations=3
        )
        np.testing.assert_array_equal(backend.numpy(again.segments), backend.numpy(result.segments))
    double = fastsoft.relax_segments(layers, stencil, backend.array(gradient.astype(np.float64)), n_iterations=1)
    assert double.segments.dtype == layers.dtype


def test_backends_report_alike(rng, backend):
    arguments = there(backend, *problem(rng, 20, 20, 3))
    with pytest.raises(fastsoft.ConvergenceError, match="round 1 of 20 stopped after 1 iterations") as caught:
        fastsoft.relax_segments(*arguments, max_cg_iterations=1)
    assert np.isfinite(backend.numpy(caught.value.result.segments)).all()
    seen = []
    fastsoft.relax_segments(*arguments, progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 1.0

    def cancel(fraction):
        raise fastsoft.Cancelled

    with pytest.raises(fastsoft.Cancelled):
        fastsoft.relax_segments(*arguments, progress=cancel)


def test_backends_refuse_the_same_arguments(rng, backend):
    segments, laplacian, gradient = problem(rng, 3, 4, 2)
    bad = segments.copy()
    bad[1, 2, 0] = np.nan
    steep = gradient.copy()
    steep[2, 1] = -0.5
    cases = [
        ({"segments": segments[0]}, ValueError, r"segments must have shape \(H, W, n\), got \(4, 2\)"),
        ({"segments": segments[:, :0]}, ValueError, r"segments must not be empty, got shape \(3, 0, 2\)"),
        ({"segments": bad}, ValueError, "segments must be finite, got 1 value"),
        ({"segments": segments.astype(int)}, TypeError, "segments must have dtype float32 or float64, got int64"),
        ({"segments": segments[:2]}, ValueError, r"gradient must have shape \(2, 4\), got \(3, 4\)"),
        ({"gradient": gradient[:, :3]}, ValueError, r"gradient must have shape \(3, 4\), got \(3, 3\)"),
        ({"gradient": steep}, ValueError, "gradient must not be negative, got -0.5"),
        ({"gradient": steep * np.nan}, ValueError, "gradient must be finite, got 12 values"),
        (
            {"segments": segments[:2], "gradient": gradient[:2]},
            ValueError,
            r"laplacian must have shape \(8, 8\) for 2x4 pixels, got \(12, 12\)",
        ),
    ]
    stencil = fastsoft.StencilMatrix(backend.array(laplacian.weights))
    for change, error, message in cases:
        arrays = {"segments": segments, "gradient": gradient, **change}
        with pytest.raises(error, match=message):
            fastsoft.relax_segments(laplacian=stencil, **{name: backend.array(array) for name, array in arrays.items()})


def test_an_iteration_waits_once_for_the_device(rng, host_backend):
    arguments = there(host_backend, *problem(rng, 12, 15, 3))
    counts = []
    for tolerance in (1e-3, 1e-9):
        before = on_host.count("waits"), on_host.count("launches")
        result = fastsoft.relax_segments(*arguments, tolerance=tolerance, n_iterations=4)
        iterations = sum(info.iterations for info in result.info)
        counts.append((iterations, on_host.count("waits") - before[0], on_host.count("launches") - before[1]))
    (few, few_waits, _), (many, many_waits, _) = counts
    assert many > few
    assert many_waits - few_waits == many - few


def test_arrays_of_a_call_are_on_one_device(rng, device_backend):
    segments, laplacian, gradient = problem(rng, 3, 4, 2)
    layers, stencil, slopes = there(device_backend, segments, laplacian, gradient)
    for arguments, places in (
        ((segments, stencil, slopes), "segments on cpu, laplacian on cuda:0, gradient on cuda:0"),
        ((layers, laplacian, slopes), "segments on cuda:0, laplacian on cpu, gradient on cuda:0"),
        ((layers, laplacian.tocsr(), gradient), "segments on cuda:0, laplacian on cpu, gradient on cpu"),
    ):
        with pytest.raises(TypeError, match=f"arrays of a call must be on one device, got {places}"):
            fastsoft.relax_segments(*arguments)
    with device_backend.stream():
        result = fastsoft.relax_segments(*there(device_backend, segments, laplacian, gradient))
        expected = fastsoft.relax_segments(segments, laplacian, gradient)
        np.testing.assert_allclose(device_backend.numpy(result.segments), expected.segments, atol=1e-5)
