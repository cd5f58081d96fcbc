# SPDX-License-Identifier: MIT
from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastsoft
from tests.reference import kmeans as reference
from tests.tolerances import KMEANS_LABELS


def blobs(rng, n, d, k, dtype=np.float64, spread=0.1):
    centers = rng.permutation(np.stack(np.meshgrid(*[np.arange(4.0)] * d), axis=-1).reshape(-1, d))[:k] * 3
    labels = rng.integers(0, k, n)
    return (centers[labels] + spread * rng.standard_normal((n, d))).astype(dtype), labels


def same_partition(a, b):
    return len(np.unique(np.stack([a, b], axis=1), axis=0)) == len(np.unique(a)) == len(np.unique(b))


@pytest.mark.parametrize("d", [1, 2, 3, 4, 5, 17, 128])
@pytest.mark.parametrize("weighted", [False, True])
def test_lloyd_equals_reference(rng, d, weighted, dtype):
    points = rng.random((700, d)).astype(dtype)
    init = points[:6].copy()
    weights = rng.integers(0, 4, 700).astype(np.float64) if weighted else None
    result = fastsoft.kmeans(points, 6, init=init, weights=weights, max_iterations=5)
    labels, centers, inertia, iterations = reference.lloyd(points, init, weights, 5)
    if dtype == np.float64:
        np.testing.assert_array_equal(result.labels, labels)
        np.testing.assert_allclose(result.centers, centers, rtol=1e-12)
    # In float32 a point on a border may fall to either side: one of 700 moves a centre by at most 1 / 100 or so.
    np.testing.assert_allclose(result.centers, centers, atol=2e-2)
    np.testing.assert_allclose(result.inertia, inertia, rtol=1e-12 if dtype == np.float64 else 1e-3)
    assert result.n_iterations == iterations
    assert result.centers.dtype == dtype
    assert result.labels.dtype == np.int32


def test_result_is_consistent(rng, dtype):
    points = rng.random((5000, 3)).astype(dtype)
    for iterations in (1, 7, 500):
        result = fastsoft.kmeans(points, 9, max_iterations=iterations)
        labels, distances = reference.assign(points, result.centers)
        assert (labels != result.labels).mean() < (1e-3 if dtype == np.float32 else 1e-12)
        np.testing.assert_allclose(result.inertia, distances.sum(), rtol=100 * np.finfo(dtype).eps)
        assert result.converged == (iterations == 500)
        if result.converged:
            means = np.array([points[result.labels == c].mean(axis=0, dtype=np.float64) for c in range(9)])
            np.testing.assert_allclose(result.centers, means, rtol=4 * np.finfo(dtype).eps)
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.inertia = 0.0


def test_weight_two_is_the_point_twice(rng):
    points = rng.random((300, 2))
    weights = rng.integers(1, 4, 300)
    once = fastsoft.kmeans(points, 4, init=points[:4], weights=weights.astype(float))
    often = fastsoft.kmeans(np.repeat(points, weights, axis=0), 4, init=points[:4])
    np.testing.assert_allclose(once.centers, often.centers, rtol=1e-12)
    np.testing.assert_array_equal(np.repeat(once.labels, weights), often.labels)
    np.testing.assert_allclose(once.inertia, often.inertia, rtol=1e-12)


def test_finds_separate_blobs(rng, dtype):
    points, truth = blobs(rng, 3000, 3, 8, dtype)
    for seed in range(5):
        assert same_partition(fastsoft.kmeans(points, 8, n_init=3, seed=seed).labels, truth)
        assert same_partition(fastsoft.split_kmeans(points, 8, seed=seed).labels, truth)


def test_more_starts_are_no_worse(rng):
    points = rng.random((2000, 2))
    inertias = [fastsoft.kmeans(points, 12, n_init=n, seed=3).inertia for n in (1, 2, 5, 10)]
    assert inertias == sorted(inertias, reverse=True)
    # No 12 cells of the unit square have less than hexagons of its area do; greedy k-means++ ends close to that.
    assert inertias[-1] < 2000 * 0.1604 / 12 * 1.05
    assert len({fastsoft.kmeans(points, 12, seed=s).inertia for s in range(6)}) > 1


def test_empty_clusters_take_the_farthest_point():
    points = np.array([[0.0], [1.0], [3.0], [10.0]])
    result = fastsoft.kmeans(points, 3, init=np.array([[1.0], [100.0], [200.0]]))
    labels, centers, inertia, _ = reference.lloyd(points, np.array([[1.0], [100.0], [200.0]]))
    np.testing.assert_array_equal(result.labels, labels)
    np.testing.assert_allclose(result.centers, centers)
    assert result.inertia == inertia == 0.5
    assert sorted(result.centers.ravel()) == [0.5, 3.0, 10.0]


def test_fewer_distinct_points_than_clusters():
    points = np.repeat([[0.25, 0.5], [0.75, 0.5]], 10, axis=0)
    for seed in range(4):
        result = fastsoft.kmeans(points, 5, seed=seed)
        assert result.inertia == 0
        assert result.converged
        assert len(set(result.labels[:10])) == len(set(result.labels[10:])) == 1
        assert result.labels[0] != result.labels[10]
    split = fastsoft.split_kmeans(points, 5)
    assert split.centers.tolist() == [[0.25, 0.5], [0.75, 0.5]]
    assert split.inertia == 0


@pytest.mark.parametrize("value", [0.3, 1e-5, 123.4, 0.0])
def test_constant_points(dtype, value):
    points = np.full((57, 3), value, dtype=dtype)
    split = fastsoft.split_kmeans(points, 10)
    assert len(split.centers) == 1
    assert not split.labels.any()
    plain = fastsoft.kmeans(points, 4)
    for result in (split, plain):
        assert result.converged
        assert result.n_iterations < 10
        # A mean of 57 numbers, each addition rounded.
        np.testing.assert_allclose(result.centers[result.labels], points, rtol=57 * np.finfo(dtype).eps)


@pytest.mark.parametrize("d", [1, 2, 3, 6])
@pytest.mark.parametrize("weighted", [False, True])
def test_splitting_equals_reference(rng, d, weighted):
    points = rng.random((600, d)) ** 2 * np.linspace(1, 2, d)
    weights = rng.random(600) + 0.1 if weighted else None
    result = fastsoft.split_kmeans(points, 15, n_start=3, n_init=0, refine_up_to=6, weights=weights)
    expected = reference.split_kmeans(points, 15, 3, 6, weights)
    np.testing.assert_allclose(result.centers, expected, rtol=1e-9)
    labels, distances = reference.assign(points, expected)
    np.testing.assert_array_equal(result.labels, labels)
    np.testing.assert_allclose(result.inertia, (distances * (1 if weights is None else weights)).sum(), rtol=1e-9)


def test_small_clusters_are_not_split():
    # Two far groups of 6 and 7 points in the plane... of three coordinates: only the second may be divided.
    points = np.concatenate([np.eye(3)[[0, 1, 2, 0, 1, 2]], 50 + 0.1 * np.arange(21).reshape(7, 3)])
    result = fastsoft.split_kmeans(points, 8, n_start=1, refine_up_to=0)
    assert len(result.centers) == 3
    assert len(set(result.labels[:6])) == 1


def test_seed_of_splitting_matters_little(rng):
    sizes = np.linspace(1, 2, 12)
    points = np.concatenate([rng.normal(rng.random(3), 0.1 / size, (int(900 * size), 3)) for size in sizes])
    results = [fastsoft.split_kmeans(points, 40, seed=seed) for seed in range(6)]
    plain = [fastsoft.kmeans(points, 40, seed=seed) for seed in range(6)]
    for other in results[1:]:
        np.testing.assert_array_equal(other.labels, results[0].labels)
    assert np.ptp([result.inertia for result in plain]) > 0


def test_a_sample_is_enough_to_split(rng):
    points = np.concatenate([rng.normal(m, 0.05, (20000, 3)) for m in rng.random((10, 3))])
    every = fastsoft.split_kmeans(points, 16, max_samples=10**9)
    some = fastsoft.split_kmeans(points, 16, max_samples=10000)
    assert len(some.labels) == len(points)
    assert some.inertia < 1.02 * every.inertia
    assert every.inertia < 1.02 * some.inertia
    labels, distances = reference.assign(points, some.centers)
    np.testing.assert_array_equal(some.labels, labels)
    np.testing.assert_allclose(some.inertia, distances.sum(), rtol=1e-12)


def test_very_many_points_seed_from_a_sample(rng):
    points, truth = blobs(rng, 300_000, 2, 5)
    assert same_partition(fastsoft.kmeans(points, 5, n_init=2).labels, truth)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 60), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_properties(n, d, seed):
    rng = np.random.default_rng(seed)
    points = rng.integers(0, 4, (n, d)) / 4
    k = int(rng.integers(1, n + 1))
    for result in (fastsoft.kmeans(points, k, seed=seed), fastsoft.split_kmeans(points, k, seed=seed)):
        assert len(result.centers) <= k
        assert result.labels.min() >= 0
        assert result.labels.max() < len(result.centers)
        _, distances = reference.assign(points, result.centers)
        np.testing.assert_allclose(result.inertia, distances.sum(), atol=1e-12)
        assert result.inertia <= ((points - points.mean(axis=0)) ** 2).sum() + 1e-12
    # Moving all points moves the centres.
    moved = fastsoft.kmeans(points + 2, k, seed=seed)
    np.testing.assert_array_equal(moved.labels, fastsoft.kmeans(points, k, seed=seed).labels)


def test_same_bits_for_any_number_of_threads(rng, threads, dtype):
    points = rng.random((30000, 3)).astype(dtype)
    weights = rng.random(30000)
    results = []
    for count in (1, 2, 5):
        threads(count)
        results.append(
            [
                fastsoft.kmeans(points, 7, seed=5, n_init=2, max_iterations=20),
                fastsoft.split_kmeans(points, 20, weights=weights, max_samples=20000),
            ]
        )
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a.labels, b.labels)
            np.testing.assert_array_equal(a.centers, b.centers)
            assert a.inertia == b.inertia


def test_any_layout(rng, dtype):
    points = rng.random((500, 6)).astype(dtype)
    expected = fastsoft.kmeans(points[:, ::2].copy(), 4).labels
    read_only = points[:, ::2].copy()
    read_only.setflags(write=False)
    for layout in (points[:, ::2], np.asfortranarray(points[:, ::2]), read_only):
        np.testing.assert_array_equal(fastsoft.kmeans(layout, 4).labels, expected)
    init = points[:4, ::2].copy()
    before = init.copy()
    fastsoft.kmeans(points[:, ::2], 4, init=init)
    np.testing.assert_array_equal(init, before)


@pytest.mark.parametrize("function", [fastsoft.kmeans, fastsoft.split_kmeans])
def test_progress_and_cancelling(rng, function):
    points = rng.random((20000, 3))
    fractions = []
    function(points, 12, progress=fractions.append)
    assert len(fractions) > 5
    assert fractions == sorted(fractions)
    assert fractions[0] >= 0
    assert fractions[-1] == 1

    def stop(fraction):
        raise fastsoft.Cancelled

    with pytest.raises(fastsoft.Cancelled):
        function(points, 12, progress=stop)


# The kernels take 16 coordinates and 16 centres at a time.
@pytest.mark.parametrize(("d", "k"), [(1, 2), (3, 6), (17, 20), (40, 3)])
@pytest.mark.parametrize("weighted", [False, True])
def test_backends_agree(rng, backend, d, k, weighted, dtype):
    points = rng.random((1500, d)).astype(dtype)
    weights = rng.random(1500) if weighted else None
    given = None if weights is None else backend.array(weights)
    result = fastsoft.kmeans(backend.array(points), k, init=backend.array(points[:k]), weights=given, max_iterations=5)
    labels, centers, inertia, iterations = reference.lloyd(points, points[:k], weights, 5)
    found = backend.numpy(result.labels)
    assert found.dtype == np.int32
    assert result.n_iterations == iterations
    if dtype == np.float64:
        np.testing.assert_array_equal(found, labels)
        np.testing.assert_allclose(backend.numpy(result.centers), centers, rtol=1e-12)
    np.testing.assert_allclose(backend.numpy(result.centers), centers, atol=2e-2)
    np.testing.assert_allclose(result.inertia, inertia, rtol=1e-12 if dtype == np.float64 else 1e-3)
    assert backend.numpy(result.centers).dtype == dtype

    # The same random numbers: the same start.
    options = {"seed": 3, "n_init": 3, "max_iterations": 4}
    seeded = fastsoft.kmeans(backend.array(points), k, weights=given, **options)
    expected = fastsoft.kmeans(points, k, weights=weights, **options)
    assert seeded.n_iterations == expected.n_iterations
    np.testing.assert_allclose(seeded.inertia, expected.inertia, rtol=1e-12 if dtype == np.float64 else 1e-4)
    # In float32 a point between two centres may fall to either, and moves both.
    differing = np.mean(backend.numpy(seeded.labels) != expected.labels)
    assert differing <= (0 if dtype == np.float64 else KMEANS_LABELS)
    again = fastsoft.kmeans(backend.array(points), k, weights=given, **options)
    np.testing.assert_array_equal(backend.numpy(again.labels), backend.numpy(seeded.labels))
    np.testing.assert_array_equal(backend.numpy(again.centers), backend.numpy(seeded.centers))
    assert again.inertia == seeded.inertia


@pytest.mark.parametrize("d", [1, 3, 17])
@pytest.mark.parametrize("weighted", [False, True])
def test_splitting_agrees_on_every_backend(rng, backend, d, weighted):
    points = rng.random((900, d)) ** 2 * np.linspace(1, 2, d)
    weights = rng.random(900) + 0.1 if weighted else None
    given = None if weights is None else backend.array(weights)
    for options in (
        {"n_start": 3, "n_init": 0, "refine_up_to": 6},
        {"n_start": 1, "n_init": 0, "refine_up_to": 3},
        {"n_start": 4, "n_init": 2, "refine_up_to": 8, "seed": 5, "max_samples": 600},
    ):
        result = fastsoft.split_kmeans(backend.array(points), 10, weights=given, **options)
        expected = fastsoft.split_kmeans(points, 10, weights=weights, **options)
        np.testing.assert_allclose(backend.numpy(result.centers), expected.centers, rtol=1e-9)
        np.testing.assert_array_equal(backend.numpy(result.labels), expected.labels)
        np.testing.assert_allclose(result.inertia, expected.inertia, rtol=1e-9)
        assert (result.n_iterations, result.converged) == (expected.n_iterations, expected.converged)
    centers = reference.split_kmeans(points, 10, 3, 6, weights)
    found = fastsoft.split_kmeans(backend.array(points), 10, n_start=3, n_init=0, refine_up_to=6, weights=given)
    np.testing.assert_allclose(backend.numpy(found.centers), centers, rtol=1e-9)


def test_splitting_stops_where_nothing_is_left_to_split_on_every_backend(backend, dtype):
    points = np.repeat([[0.25, 0.5], [0.75, 0.5]], 10, axis=0).astype(dtype)
    split = fastsoft.split_kmeans(backend.array(points), 5)
    assert backend.numpy(split.centers).tolist() == [[0.25, 0.5], [0.75, 0.5]]
    assert split.inertia == 0
    constant = fastsoft.split_kmeans(backend.array(np.full((57, 3), 123.4, dtype=dtype)), 10)
    assert backend.numpy(constant.centers).shape == (1, 3)
    assert not backend.numpy(constant.labels).any()


def test_backends_fill_empty_clusters(backend):
    points = np.array([[0.0], [1.0], [3.0], [10.0]])
    init = np.array([[1.0], [100.0], [200.0]])
    result = fastsoft.kmeans(backend.array(points), 3, init=backend.array(init))
    labels, centers, inertia, _ = reference.lloyd(points, init)
    np.testing.assert_array_equal(backend.numpy(result.labels), labels)
    np.testing.assert_allclose(backend.numpy(result.centers), centers)
    assert result.inertia == inertia == 0.5
    # Equally far points: the first one is taken, but none without a weight.
    points = np.array([[0.0], [4.0], [-4.0], [4.0], [9.0]])
    weights = np.array([1.0, 1.0, 1.0, 1.0, 0.0])
    for heaviness in (None, weights):
        options = {} if heaviness is None else {"weights": backend.array(heaviness)}
        init = np.array([[0.0], [50.0], [60.0]])
        result = fastsoft.kmeans(backend.array(points), 3, init=backend.array(init), max_iterations=1, **options)
        expected = fastsoft.kmeans(points, 3, init=init, max_iterations=1, weights=heaviness)
        np.testing.assert_array_equal(backend.numpy(result.labels), expected.labels)
        np.testing.assert_array_equal(backend.numpy(result.centers), expected.centers)


def test_backends_leave_clusters_empty_where_points_are_too_few(backend, dtype):
    points = np.repeat([[0.25, 0.5], [0.75, 0.5]], 10, axis=0).astype(dtype)
    for seed in range(4):
        result = fastsoft.kmeans(backend.array(points), 5, seed=seed)
        assert result.inertia == 0
        assert result.converged
        found = backend.numpy(result.labels)
        assert len(set(found[:10])) == len(set(found[10:])) == 1
        assert found[0] != found[10]


@pytest.mark.parametrize("weighted", [False, True])
def test_backends_seed_very_many_points_from_the_same_sample(rng, backend, weighted):
    points = rng.random((2**18 + 999, 1))
    weights = rng.random(len(points)) if weighted else None
    given = None if weights is None else backend.array(weights)
    found = fastsoft.kmeans(backend.array(points), 3, weights=given, max_iterations=1)
    expected = fastsoft.kmeans(points, 3, weights=weights, max_iterations=1)
    np.testing.assert_allclose(backend.numpy(found.centers), expected.centers, rtol=1e-11)


def test_backends_read_strided_and_offset_arrays(rng, backend, dtype):
    wide = rng.random((900, 9)).astype(dtype)
    weights = rng.random((900, 2)).astype(np.float32)
    points = np.ascontiguousarray(wide[100::2, 1:8:3])
    expected = fastsoft.kmeans(
        backend.array(points), 4, init=backend.array(points[:4]), weights=backend.array(weights[100::2, 1].copy())
    )
    found = fastsoft.kmeans(
        backend.array(wide)[100::2, 1:8:3], 4, init=backend.array(wide)[100:108:2, 1:8:3],
        weights=backend.array(weights)[100::2, 1],
    )  # fmt: skip
    np.testing.assert_array_equal(backend.numpy(found.labels), backend.numpy(expected.labels))
    np.testing.assert_array_equal(backend.numpy(found.centers), backend.numpy(expected.centers))


def test_backends_report_and_can_be_cancelled(rng, backend):
    points = backend.array(rng.random((2000, 3)))
    seen = []
    fastsoft.kmeans(points, 12, n_init=2, progress=seen.append)
    assert len(seen) > 5
    assert seen == sorted(seen)
    assert seen[-1] == 1

    def stop(fraction):
        raise fastsoft.Cancelled

    with pytest.raises(fastsoft.Cancelled):
        fastsoft.kmeans(points, 12, progress=stop)


def test_backends_refuse_bad_input_with_the_same_words(rng, backend):
    points = rng.random((20, 3))
    array = backend.array(points)
    with pytest.raises(ValueError, match=r"points must have shape \(N, d\), got \(20,\)"):
        fastsoft.kmeans(array[:, 0], 2)
    with pytest.raises(ValueError, match=r"both at least 1, got \(0, 3\)"):
        fastsoft.kmeans(array[:0], 2)
    with pytest.raises(ValueError, match="points must be finite, got 10 values"):
        fastsoft.kmeans(backend.array(np.full((5, 2), np.nan)), 2)
    with pytest.raises(TypeError, match="points must have dtype float32 or float64, got int64"):
        fastsoft.kmeans(backend.array(np.ones((5, 2), dtype=np.int64)), 2)
    with pytest.raises(ValueError, match=r"n_clusters must be in 1\.\.20, got 21"):
        fastsoft.kmeans(array, 21)
    with pytest.raises(ValueError, match=r"weights must have shape \(20\), got \(19,\)"):
        fastsoft.kmeans(array, 2, weights=backend.array(np.ones(19)))
    with pytest.raises(ValueError, match="a least weight of 0 and a sum of 0"):
        fastsoft.kmeans(array, 2, weights=backend.array(np.zeros(20)))
    with pytest.raises(ValueError, match="a least weight of -1 and a sum of -20"):
        fastsoft.kmeans(array, 2, weights=backend.array(-np.ones(20)))
    with pytest.raises(ValueError, match=r"init must have shape \(2, 3\), got \(3, 3\)"):
        fastsoft.kmeans(array, 2, init=array[:3])
    with pytest.raises(ValueError, match="init must be finite"):
        fastsoft.kmeans(array, 2, init=backend.array(np.full((2, 3), np.inf)))


def test_arrays_on_several_devices_are_refused(rng, device_backend):
    points = rng.random((20, 3))
    with pytest.raises(TypeError, match="must be on one device, got points on cuda:0, weights on cpu"):
        fastsoft.kmeans(device_backend.array(points), 2, weights=np.ones(20))
    with pytest.raises(TypeError, match="must be on one device, got points on cuda:0, init on cpu"):
        fastsoft.kmeans(device_backend.array(points), 2, init=points[:2])


def test_bad_input_is_refused(rng):
    points = rng.random((20, 3))
    for function in (fastsoft.kmeans, fastsoft.split_kmeans):
        with pytest.raises(ValueError, match=r"points must have shape \(N, d\), got \(20,\)"):
            function(points[:, 0], 2)
        with pytest.raises(ValueError, match=r"both at least 1, got \(0, 3\)"):
            function(points[:0], 2)
        with pytest.raises(ValueError, match="points must be finite"):
            function(np.full((5, 2), np.nan), 2)
        with pytest.raises(TypeError, match="points must have dtype float32 or float64, got int64"):
            function(np.ones((5, 2), dtype=np.int64), 2)
        with pytest.raises(ValueError, match=r"n_clusters must be in 1\.\.20, got 21"):
            function(points, 21)
        with pytest.raises(ValueError, match="n_clusters must be in"):
            function(points, 0)
        with pytest.raises(ValueError, match=r"weights must have shape \(20\), got \(19,\)"):
            function(points, 2, weights=np.ones(19))
        for weights in (np.zeros(20), -np.ones(20)):
            with pytest.raises(ValueError, match="weights must be at least 0 with a positive sum"):
                function(points, 2, weights=weights)
        with pytest.raises(ValueError, match="max_iterations must be"):
            function(points, 2, max_iterations=0)
        with pytest.raises(ValueError, match="seed must be"):
            function(points, 2, seed=-1)
    with pytest.raises(ValueError, match=r"init must have shape \(2, 3\), got \(3, 3\)"):
        fastsoft.kmeans(points, 2, init=points[:3])
    with pytest.raises(ValueError, match=r"init must be one of 'k-means\+\+', got 'random'"):
        fastsoft.kmeans(points, 2, init="random")
    with pytest.raises(ValueError, match="n_init must be 1 where init gives the centres, got 3"):
        fastsoft.kmeans(points, 2, init=points[:2], n_init=3)
    with pytest.raises(ValueError, match="max_samples must be at least 5, got 4"):
        fastsoft.split_kmeans(points, 5, max_samples=4)
