# SPDX-License-Identifier: MIT
from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.linalg import eigsh

import fastsoft
from fastsoft.ops.sparsify import _stratified_sample
from tests import on_host
from tests.reference import sparsify as reference
from tests.tolerances import parity


def grid_eigenvectors(height, width, k, dtype=np.float64):
    """Lowest eigenpairs of the Laplacian of a grid in closed form: products of cosines."""
    row, col = np.arange(height), np.arange(width)
    pairs = []
    for i in range(height):
        for j in range(width):
            value = 4 - 2 * np.cos(np.pi * i / height) - 2 * np.cos(np.pi * j / width)
            pairs.append((value, i, j))
    pairs.sort()
    vectors = []
    for _, i, j in pairs[:k]:
        vector = np.outer(np.cos(np.pi * i * (row + 0.5) / height), np.cos(np.pi * j * (col + 0.5) / width)).ravel()
        vectors.append(vector / np.linalg.norm(vector))
    return np.array(vectors).T.astype(dtype), np.array([value for value, _, _ in pairs[:k]]).astype(dtype)


def blobs(rng, height, width, n_segments):
    """Labels of a Voronoi diagram of random points."""
    points = rng.uniform(0, [height, width], (n_segments, 2))
    row, col = np.mgrid[:height, :width]
    return np.hypot(row[..., None] - points[:, 0], col[..., None] - points[:, 1]).argmin(axis=2)


_eigenpairs = {}


def golden_eigenpairs(golden, k=100, laplacian=None):
    """The eigenpairs of smallest magnitude of the stored Laplacian, or of the matting Laplacian alone."""
    key = (id(golden), k)
    if key not in _eigenpairs:
        if laplacian is None:
            laplacian = sparse.csr_array((golden["L_data"], golden["L_indices"], golden["L_indptr"]))
        values, vectors = eigsh(laplacian.tocsc(), k, sigma=-1e-9, v0=np.ones(laplacian.shape[0]))
        order = np.argsort(np.abs(values))
        _eigenpairs[key] = np.asfortranarray(vectors[:, order]), values[order]
    return _eigenpairs[key]


@pytest.mark.parametrize(
    ("shape", "k", "n_segments"), [((1, 5), 2, 2), ((6, 7), 5, 3), ((15, 20), 12, 6), ((9, 8), 4, 1)]
)
@pytest.mark.parametrize("method", ["stable", "compat"])
def test_equals_one_dense_system_of_everything(rng, method, shape, k, n_segments):
    vectors, values = grid_eigenvectors(*shape, k)
    labels = blobs(rng, *shape, n_segments)
    clamp = 1e-2 if method == "stable" else 1e-4
    for n_iterations in (1, 2, 8):
        result = fastsoft.sparsify_segments(
            vectors, values, labels, n_iterations=n_iterations, method=method, clamp=clamp
        )
        expected = reference.sparsify_segments(
            vectors,
            values,
            reference.one_hot(labels),
            n_iterations=n_iterations,
            compat=method == "compat",
            clamp=clamp,
        )
        assert result.segments.shape == expected.shape
        # Weights of clamp^-1.2, 250 or 60000, amplify rounding in each of 8 iterations.
        np.testing.assert_allclose(result.segments, expected, atol=1e-9)
        np.testing.assert_allclose(vectors @ result.coefficients, expected, atol=1e-9)


def test_indefinite_laplacian_and_vectors_without_the_constant(rng):
    vectors, values = grid_eigenvectors(12, 10, 8)
    vectors, values = vectors[:, 1:], values[1:].copy()
    values[0] = -3e-3
    labels = blobs(rng, 12, 10, 4)
    result = fastsoft.sparsify_segments(vectors, values, labels, n_iterations=3)
    expected = reference.sparsify_segments(vectors, values, reference.one_hot(labels), n_iterations=3)
    np.testing.assert_allclose(result.segments, expected, atol=1e-11)
    np.testing.assert_allclose(result.segments.sum(axis=1), 1, atol=1e-12)


def test_soft_start_labels_and_dtype(rng, dtype):
    vectors, values = grid_eigenvectors(14, 11, 9, dtype)
    labels = blobs(rng, 14, 11, 4)
    soft = reference.one_hot(labels).astype(dtype)
    hard = fastsoft.sparsify_segments(vectors, values, labels)
    assert hard.segments.dtype == dtype
    assert hard.coefficients.dtype == np.float64
    for start in (
        soft,
        soft.reshape(14, 11, 4),
        soft.astype(np.float64),
        labels * 7 - 3,
        labels.astype(np.uint8).ravel(),
    ):
        again = fastsoft.sparsify_segments(vectors, values, start)
        np.testing.assert_array_equal(again.segments, hard.segments)
    exact = fastsoft.sparsify_segments(vectors.astype(float), values.astype(float), labels)
    # The sums over pixels are formed in the dtype, with weights up to 250.
    np.testing.assert_allclose(hard.segments, exact.segments, atol=2e-3 if dtype == np.float32 else 1e-12)


def test_energy_is_what_it_says_and_falls(rng):
    vectors, values = grid_eigenvectors(20, 24, 15)
    labels = blobs(rng, 20, 24, 6)
    energies = []
    for n_iterations in (1, 2, 4, 10, 25):
        result = fastsoft.sparsify_segments(vectors, values, labels, n_iterations=n_iterations, prune_threshold=0)
        expected = reference.energy(vectors, values, result.segments)
        np.testing.assert_allclose(
            (result.energy, result.sparsity, result.smoothness), expected, rtol=1e-12, atol=1e-12
        )
        energies.append(result.energy)
    assert energies == sorted(energies, reverse=True)


def test_pruning_marks_and_what_is_kept(rng):
    vectors, values = grid_eigenvectors(16, 16, 6)
    labels = blobs(rng, 16, 16, 5)
    labels[0, 0] = 9  # a segment of one pixel, out of reach of six smooth vectors
    for method in ("stable", "compat"):
        result = fastsoft.sparsify_segments(vectors, values, labels, n_iterations=20, method=method, clamp=1e-2)
        assert result.component_count[5] == 6
        assert result.component_count[6] < 6
        assert 5 not in result.kept
        assert result.segments.shape[1] == len(result.kept) == result.coefficients.shape[1]
        np.testing.assert_allclose(result.segments.sum(axis=1), 1, atol=1e-10)
        everything = fastsoft.sparsify_segments(
            vectors, values, labels, n_iterations=20, method=method, prune_threshold=0
        )
        assert (everything.component_count == 6).all()
        one = fastsoft.sparsify_segments(vectors, values, labels, n_iterations=20, method=method, prune_threshold=50)
        np.testing.assert_allclose(one.segments, 1, atol=1e-10)


def test_stable_does_not_depend_on_the_order_of_segments(rng):
    vectors, values = grid_eigenvectors(18, 15, 10)
    labels = blobs(rng, 18, 15, 5)
    soft = reference.one_hot(labels)
    order = rng.permutation(5)
    one = fastsoft.sparsify_segments(vectors, values, soft)
    other = fastsoft.sparsify_segments(vectors, values, soft[:, order])
    assert sorted(order[other.kept]) == sorted(one.kept)
    place = {segment: i for i, segment in enumerate(one.kept)}
    same = one.segments[:, [place[order[segment]] for segment in other.kept]]
    np.testing.assert_allclose(other.segments, same, atol=1e-9)


def test_sample_has_one_pixel_in_each_cell(rng):
    for shape, wanted in (((48, 64), 300), ((7, 200), 40), ((1, 900), 100), ((31, 3), 5), ((5, 5), 1)):
        pixels, weights = _stratified_sample(shape, wanted, 3)
        assert weights.sum() == shape[0] * shape[1]
        assert len(np.unique(pixels)) == len(pixels)
        assert 0.7 * wanted <= len(pixels) <= 1.4 * wanted
        assert pixels.min() >= 0
        assert pixels.max() < shape[0] * shape[1]
        assert weights.max() <= 4 * weights.min()
        again, _ = _stratified_sample(shape, wanted, 3)
        np.testing.assert_array_equal(again, pixels)
    assert (_stratified_sample((48, 64), 300, 4)[0] != _stratified_sample((48, 64), 300, 3)[0]).mean() > 0.8
    # Cells of 8x8: every position within a cell is hit.
    pixels, _ = _stratified_sample((480, 640), 4800, 0)
    assert len(np.unique(pixels // 640 % 8 * 8 + pixels % 640 % 8)) == 64


def test_sampled_sums_equal_the_reference_on_the_same_sample(rng):
    vectors, values = grid_eigenvectors(24, 30, 8)
    labels = blobs(rng, 24, 30, 4)
    result = fastsoft.sparsify_segments(vectors, values, labels, n_iterations=3, n_samples=200, seed=5)
    sample, weights = _stratified_sample((24, 30), 200, 5)
    assert result.n_samples == len(sample) < 300
    expected = reference.sparsify_segments(
        vectors, values, reference.one_hot(labels), n_iterations=3, sample=sample, sample_weights=weights
    )
    np.testing.assert_allclose(result.segments, expected, atol=1e-10)
    assert fastsoft.sparsify_segments(vectors, values, labels, n_samples=200, exact=True).n_samples == 720


def test_sample_and_all_pixels_agree(rng):
    vectors, values = grid_eigenvectors(120, 160, 30)
    labels = blobs(rng, 120, 160, 12)
    exact = fastsoft.sparsify_segments(vectors, values, labels, exact=True)
    sampled = fastsoft.sparsify_segments(vectors, values, labels, n_samples=4000)
    assert exact.segments.shape == sampled.segments.shape
    assert np.abs(exact.segments - sampled.segments).mean() <= 0.01
    assert sampled.energy == pytest.approx(exact.energy, rel=2e-3)


@pytest.fixture
def golden_with_vectors(golden):
    if "eigenvectors" not in golden:
        pytest.skip("this file stores no eigenvectors")
    return golden


def test_parity_with_the_authors_program(golden_with_vectors):
    golden = golden_with_vectors
    vectors, values = golden_eigenpairs(golden)
    stored = golden["eigenvectors"].astype(np.float64)
    for n_iterations, tolerance in ((1, 1e-6), (2, 1e-5), (5, 1e-3)):
        result = fastsoft.sparsify_segments(
            vectors, values, golden["kmeans_init"], n_iterations=n_iterations, method="compat", prune_threshold=0
        )
        # Stored eigenvectors are float32, so the stored segments carry 1e-7.
        np.testing.assert_allclose(result.segments, stored @ golden[f"coef_iter{n_iterations}"], rtol=0, atol=tolerance)
    final = fastsoft.sparsify_segments(vectors, values, golden["kmeans_init"], method="compat")
    official = golden["init_soft"].reshape(len(stored), -1).astype(np.float64)
    missing = official.shape[1] - final.segments.shape[1]
    assert abs(missing) <= 1
    # A dropped segment would have counted 1 per pixel.
    official_sum = reference.energy(stored, values, official)[1]
    assert final.sparsity + missing * len(stored) == pytest.approx(official_sum, rel=1e-3)
    # The first pruning, after eleven chaotic iterations: another instruction set keeps a segment more or less.
    np.testing.assert_array_equal(final.component_count[:11], golden["component_count"][:11])
    np.testing.assert_allclose(final.component_count[11], golden["component_count"][11], atol=1)


def test_stable_is_as_sparse_as_the_authors_program_and_not_chaotic(golden_with_vectors, rng):
    golden = golden_with_vectors
    vectors, values = golden_eigenpairs(golden)
    result = fastsoft.sparsify_segments(vectors, values, golden["kmeans_init"])
    noisy = np.linalg.qr(vectors + 1e-6 * vectors.std() * rng.standard_normal(vectors.shape))[0]
    noisy *= np.sign(np.sum(noisy * vectors, axis=0))
    again = fastsoft.sparsify_segments(noisy, values, golden["kmeans_init"])
    assert result.segments.shape == again.segments.shape
    assert np.abs(result.segments - again.segments).mean() <= 1e-5
    official = golden["init_soft"].reshape(len(vectors), -1).astype(np.float64)
    excess = result.sparsity / len(vectors) - result.segments.shape[1]
    official_excess = reference.energy(vectors, values, official)[1] / len(vectors) - official.shape[1]
    assert excess <= official_excess + 0.1


def test_spectral_matting_of_the_authors_program(golden):
    height, width, _ = golden["image"].shape
    matting = fastsoft.matting_laplacian(golden["image"])
    vectors, values = golden_eigenpairs(golden, 50, matting)
    np.testing.assert_allclose(values, golden["sm_eigenvalues"], atol=1e-8)
    result = fastsoft.sparsify_segments(vectors, values, golden["sm_kmeans_init"], n_iterations=20, method="compat")
    official = golden["sm_final"].reshape(height * width, -1).astype(np.float64)
    missing = official.shape[1] - result.segments.shape[1]
    assert abs(missing) <= 1
    official_sum = reference.energy(vectors, values, official)[1]
    assert result.sparsity + missing * height * width == pytest.approx(official_sum, rel=1e-3)


def test_same_bits_for_any_number_of_threads_and_any_layout(rng, threads, dtype):
    vectors, values = grid_eigenvectors(90, 110, 20, dtype)
    labels = blobs(rng, 90, 110, 7)
    results = []
    for count in (1, 2, 5):
        threads(count)
        results.append(fastsoft.sparsify_segments(vectors, values, labels, n_iterations=6).segments)
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])
    fortran = np.asfortranarray(vectors)
    fortran.flags.writeable = False
    again = fastsoft.sparsify_segments(fortran, values[::-1][::-1], np.asfortranarray(labels), n_iterations=6)
    np.testing.assert_array_equal(again.segments, results[0])


def test_progress_rises_to_one_and_cancels(rng):
    vectors, values = grid_eigenvectors(20, 24, 10)
    labels = blobs(rng, 20, 24, 4)
    seen = []
    fastsoft.sparsify_segments(vectors, values, labels, progress=seen.append)
    assert seen == sorted(seen)
    assert len(seen) >= 40
    assert seen[-1] == 1.0

    def cancel(fraction):
        if fraction > 0.3:
            raise fastsoft.Cancelled

    with pytest.raises(fastsoft.Cancelled):
        fastsoft.sparsify_segments(vectors, values, labels, progress=cancel)


@pytest.mark.parametrize(
    ("shape", "k", "n_segments"), [((1, 5), 2, 2), ((31, 29), 12, 9), ((24, 40), 103, 3), ((23, 18), 121, 4)]
)
@pytest.mark.parametrize("method", ["stable", "compat"])
def test_backends_agree(rng, backend, dtype, method, shape, k, n_segments):
    k = min(k, shape[0] * shape[1])
    vectors, values = grid_eigenvectors(*shape, k, dtype)
    labels = blobs(rng, *shape, n_segments)
    options = {"method": method, "clamp": 1e-2, "n_iterations": 4}
    result = fastsoft.sparsify_segments(backend.array(vectors), backend.array(values), backend.array(labels), **options)
    segments = backend.numpy(result.segments)
    assert segments.dtype == dtype
    for array in (result.coefficients, result.kept, result.component_count):
        assert isinstance(array, np.ndarray)
    if dtype == np.float64:
        expected = reference.sparsify_segments(
            vectors, values, reference.one_hot(labels), n_iterations=4, compat=method == "compat", clamp=1e-2
        )
        np.testing.assert_allclose(segments, expected, rtol=0, atol=1e-10)
    cpu = fastsoft.sparsify_segments(vectors, values, labels, **options)
    np.testing.assert_allclose(segments, cpu.segments, rtol=0, atol=parity("sparsify_segments", dtype))
    np.testing.assert_allclose(result.energy, cpu.energy, rtol=parity("sparsify_segments", dtype))
    # The segments themselves, from the coefficients that were found.
    combined = vectors.astype(np.float64) @ result.coefficients
    np.testing.assert_allclose(segments, combined, rtol=0, atol=max(parity("combine_eigenvectors", dtype), 1e-12))
    again = fastsoft.sparsify_segments(backend.array(vectors), values, backend.array(labels), **options)
    np.testing.assert_array_equal(backend.numpy(again.segments), segments)
    np.testing.assert_array_equal(again.coefficients, result.coefficients)


@pytest.mark.parametrize("n_samples", [150, 10_000])
def test_backends_agree_on_samples_and_pruning(rng, backend, dtype, n_samples):
    vectors, values = grid_eigenvectors(20, 31, 6, dtype)
    labels = blobs(rng, 20, 31, 5)
    labels[0, 0] = 9  # a segment of one pixel, out of reach of six smooth vectors
    options = {"n_samples": n_samples, "n_iterations": 8, "clamp": 0.05}
    found = fastsoft.sparsify_segments(backend.array(vectors), values, backend.array(labels), **options)
    expected = fastsoft.sparsify_segments(vectors, values, labels, **options)
    assert found.n_samples == expected.n_samples
    assert expected.component_count[-1] < 6
    np.testing.assert_array_equal(found.component_count, expected.component_count)
    np.testing.assert_array_equal(found.kept, expected.kept)
    atol = parity("sparsify_segments", dtype)
    np.testing.assert_allclose(backend.numpy(found.segments), expected.segments, rtol=0, atol=atol)


def test_more_pixels_than_fit_a_portion_of_a_device(rng, device_backend):
    vectors, values = grid_eigenvectors(450, 451, 2, np.float32)  # portions have 196608 pixels
    labels = blobs(rng, 450, 451, 2)
    options = {"exact": True, "n_iterations": 2, "prune_threshold": 0}
    found = fastsoft.sparsify_segments(device_backend.array(vectors), values, device_backend.array(labels), **options)
    expected = fastsoft.sparsify_segments(vectors, values, labels, **options)
    atol = parity("sparsify_segments", np.float32)
    np.testing.assert_allclose(device_backend.numpy(found.segments), expected.segments, rtol=0, atol=atol)


def test_backends_read_any_start_and_layout(rng, backend, dtype):
    vectors, values = grid_eigenvectors(14, 11, 9, dtype)
    labels = blobs(rng, 14, 11, 4)
    soft = reference.one_hot(labels)
    options = {"n_iterations": 3}
    expected = fastsoft.sparsify_segments(vectors, values, labels, **options).segments
    wide = np.zeros((308, 18), dtype=dtype)
    wide[::2, ::2] = vectors
    tall = np.zeros((28, 13), dtype=np.int64)
    tall[::2, 2:] = labels * 7 - 3
    cases = [
        (backend.array(np.asfortranarray(vectors)), backend.array(labels.astype(np.uint8).ravel())),
        (backend.array(wide)[::2, ::2], backend.array(tall)[::2, 2:]),
        (backend.array(vectors), backend.array(soft)),
        (backend.array(vectors), backend.array(soft.reshape(14, 11, 4).astype(np.float32))),
        (backend.array(vectors), backend.array(np.asfortranarray(soft.reshape(14, 11, 4)))),
    ]
    for eigenvectors, start in cases:
        found = fastsoft.sparsify_segments(eigenvectors, values, start, **options)
        atol = parity("sparsify_segments", dtype)
        np.testing.assert_allclose(backend.numpy(found.segments), expected, rtol=0, atol=atol)


def test_an_iteration_on_a_device_waits_once(rng, host_backend):
    vectors, values = grid_eigenvectors(20, 24, 10)
    labels = blobs(rng, 20, 24, 4)

    def waits(n_iterations):
        before = on_host.count("waits")
        fastsoft.sparsify_segments(
            host_backend.array(vectors),
            values,
            host_backend.array(labels),
            n_iterations=n_iterations,
            prune_threshold=0,
        )
        return on_host.count("waits") - before

    assert waits(8) - waits(5) == 3


def test_memory_on_a_device_is_as_documented(rng, host_backend):
    vectors, values = grid_eigenvectors(60, 70, 30)
    start = host_backend.array(blobs(rng, 60, 70, 7))
    eigenvectors = host_backend.array(np.asfortranarray(vectors))
    before = on_host.count("allocated")
    on_host.reset_peak()
    fastsoft.sparsify_segments(eigenvectors, values, start, n_iterations=2)
    # Sums and coefficients on their way to the host and back are small.
    small = 2 * 8 * 8 * 30 * 31
    assert on_host.count("peak") - before <= 64e6 * 1.05 + (2 * 7 + 1) * 8 * 60 * 70 + small


def test_progress_on_a_device_rises_to_one_and_cancels(rng, device_backend):
    vectors, values = (device_backend.array(array) for array in grid_eigenvectors(20, 24, 10))
    labels = device_backend.array(blobs(rng, 20, 24, 4))
    seen = []
    fastsoft.sparsify_segments(vectors, values, labels, progress=seen.append)
    assert seen == sorted(seen)
    assert len(seen) >= 40
    assert seen[-1] == 1.0

    def cancel(fraction):
        if fraction > 0.3:
            raise fastsoft.Cancelled

    with pytest.raises(fastsoft.Cancelled):
        fastsoft.sparsify_segments(vectors, values, labels, progress=cancel)


def test_backends_refuse_bad_input_with_the_same_words(rng, backend):
    vectors, values = grid_eigenvectors(6, 5, 4)
    labels = blobs(rng, 6, 5, 3)
    broken = vectors.copy()
    broken[7, 2] = np.nan
    cases = [
        ({"eigenvectors": broken}, ValueError, "eigenvectors must be finite, got 1 values"),
        ({"eigenvectors": vectors[:, 0]}, ValueError, r"eigenvectors must have shape \(N, k\), got \(30,\)"),
        ({"eigenvectors": vectors.astype(np.float16)}, TypeError, "eigenvectors must have dtype float32 or float64"),
        ({"eigenvalues": values[1:]}, ValueError, r"eigenvalues must have shape \(4\), got \(3,\)"),
        ({"eigenvalues": values + np.inf}, ValueError, "eigenvalues must be finite"),
        ({"start": labels[1:]}, ValueError, r"start must have shape \(N,\) or \(H, W\) with N = 30 .*, got \(5, 5\)"),
        ({"start": labels > 1}, TypeError, "start must hold integer labels, or float32 or float64 segments, got bool"),
        ({"start": np.full((30, 2), np.nan)}, ValueError, "start must be finite, got 60 values"),
    ]
    for change, error, message in cases:
        arguments = {"eigenvectors": vectors, "eigenvalues": values, "start": labels, **change}
        with pytest.raises(error, match=message):
            fastsoft.sparsify_segments(**{name: backend.array(array) for name, array in arguments.items()})


def test_arrays_on_several_devices_are_refused(rng, device_backend):
    vectors, values = grid_eigenvectors(6, 5, 4)
    with pytest.raises(TypeError, match="arrays of a call must be on one device, got eigenvectors on cuda:0, start on"):
        fastsoft.sparsify_segments(device_backend.array(vectors), values, blobs(rng, 6, 5, 3))


def test_bad_arguments_are_refused(rng):
    vectors, values = grid_eigenvectors(6, 5, 4)
    labels = blobs(rng, 6, 5, 3)
    cases = [
        ({"eigenvectors": vectors[:, 0]}, ValueError, r"eigenvectors must have shape \(N, k\), got \(30,\)"),
        ({"eigenvectors": vectors[:, :0]}, ValueError, "eigenvectors must not be empty"),
        ({"eigenvectors": vectors * np.inf}, ValueError, "eigenvectors must be finite"),
        ({"eigenvalues": values[1:]}, ValueError, r"eigenvalues must have shape \(4\), got \(3,\)"),
        ({"start": labels[1:]}, ValueError, r"start must have shape \(N,\) or \(H, W\) with N = 30 .*, got \(5, 5\)"),
        ({"start": np.ones((30, 0))}, ValueError, r"start must have shape \(N, K\) or \(H, W, K\)"),
        ({"start": labels > 1}, TypeError, "start must hold integer labels, or float32 or float64 segments, got bool"),
        ({"start": np.full((30, 2), np.nan)}, ValueError, "start must be finite"),
        ({"grid_shape": (5, 6)}, ValueError, r"grid_shape must be the shape of start \(6, 5\), got \(5, 6\)"),
        ({"start": labels.ravel(), "grid_shape": (5, 5)}, ValueError, "grid_shape must have 30 pixels"),
        ({"method": "exact"}, ValueError, "method must be one of 'stable', 'compat'"),
        ({"method": "compat", "n_samples": 9}, ValueError, "n_samples must be None for method 'compat'"),
        ({"gamma": 1.5}, ValueError, "gamma must be above 0 and at most 1"),
        ({"clamp": 0.0}, ValueError, "clamp must be at least 1e-12"),
        ({"n_iterations": 0}, ValueError, "n_iterations must be in 1"),
        ({"prune_threshold": -1}, ValueError, "prune_threshold must be at least 0"),
        ({"n_samples": 0}, ValueError, "n_samples must be at least 1"),
        ({"seed": -1}, ValueError, "seed must be in 0"),
    ]
    for change, error, message in cases:
        arguments = {"eigenvectors": vectors, "eigenvalues": values, "start": labels, **change}
        with pytest.raises(error, match=message):
            fastsoft.sparsify_segments(**arguments)
