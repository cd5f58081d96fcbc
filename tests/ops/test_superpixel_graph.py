# SPDX-License-Identifier: MIT
from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastsoft
from tests import on_host
from tests.golden_matrix import golden_matrix
from tests.reference import superpixel_graph as reference
from tests.tolerances import parity


def blocks(height, width, size):
    """Labels of a chessboard of square superpixels."""
    row, col = np.mgrid[:height, :width] // size
    return (row * (col.max() + 1) + col).astype(np.int32)


def scattered(rng, height, width, n):
    """Dense labels thrown at random: unconnected, with shared centroid pixels."""
    labels = rng.integers(0, n, (height, width))
    return np.unique(labels, return_inverse=True)[1].reshape(height, width).astype(np.int32)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 2), (5, 7), (16, 23)])
@pytest.mark.parametrize("n", [1, 2, 6, 40])
def test_equals_reference(rng, shape, n, dtype):
    labels = scattered(rng, *shape, n)
    graph = fastsoft.superpixel_graph(labels)
    np.testing.assert_array_equal(graph.labels, labels)
    np.testing.assert_array_equal(graph.counts, np.bincount(labels.ravel()))
    np.testing.assert_array_equal(graph.centroid_rc, reference.centroids(labels))
    np.testing.assert_array_equal(graph.centroid_index, graph.centroid_rc @ [shape[1], 1])
    np.testing.assert_array_equal(graph.adjacent_pairs, reference.adjacent_pairs(labels))
    assert graph.n_superpixels == labels.max() + 1

    values = rng.random((*shape, 4)).astype(dtype)
    means = fastsoft.region_means(values, labels)
    assert means.dtype == dtype
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(means, reference.region_means(values, labels), rtol=2 * eps + 1e-14)

    # Weights come from float64; float32 rounds them once, and so once more where edges add up.
    for ours, theirs, options in [
        (fastsoft.color_affinity, reference.color_affinity, {"steepness": 3.0, "threshold": 0.3, "max_distance": 0.4}),
        (fastsoft.semantic_affinity, reference.semantic_affinity, {"steepness": 2.0, "threshold": 0.4}),
    ]:
        affinity = ours(graph, means, **options)
        expected = theirs(labels, means.astype(np.float64), **options)
        assert affinity.dtype == dtype
        np.testing.assert_allclose(affinity.toarray(), expected, atol=2 * eps * max(1.0, abs(expected).max()) + 1e-14)
        assert affinity.nnz == np.count_nonzero(expected)
        assert abs(affinity - affinity.T).max() == 0
        affinity.check_format(full_check=True)
        indices = affinity.indices.copy()
        affinity.has_sorted_indices = False
        affinity.sort_indices()
        np.testing.assert_array_equal(affinity.indices, indices)


def test_defaults_are_those_of_the_method(rng):
    labels = blocks(30, 40, 5)
    graph = fastsoft.superpixel_graph(labels)
    values = rng.random((graph.n_superpixels, 3)) * 0.1
    np.testing.assert_allclose(
        fastsoft.color_affinity(graph, values).toarray(), reference.color_affinity(labels, values), atol=1e-13
    )
    np.testing.assert_allclose(
        fastsoft.semantic_affinity(graph, values).toarray(), reference.semantic_affinity(labels, values), atol=1e-13
    )


def test_authors_graph(golden):
    labels = golden["superpixels"] - 1
    graph = fastsoft.superpixel_graph(labels)
    np.testing.assert_array_equal(graph.centroid_rc, golden["centroid_rc"])
    np.testing.assert_array_equal(graph.centroid_index, golden["centroid_index"])
    np.testing.assert_array_equal(graph.adjacent_pairs, golden["adjacent_pairs"] - 1)
    for key, affinity in {
        "W_C": fastsoft.color_affinity(graph, fastsoft.region_means(golden["image"], labels)),
        "W_S": fastsoft.semantic_affinity(graph, fastsoft.region_means(golden["features"], labels)),
    }.items():
        expected = golden_matrix(golden, key)
        np.testing.assert_array_equal(affinity.indptr, expected.indptr)
        np.testing.assert_array_equal(affinity.indices, expected.indices)
        assert abs(affinity - expected).max() < 1e-9


@pytest.mark.parametrize(("height", "width"), [(160, 160), (96, 96), (80, 120), (50, 70)])
def test_distances_at_the_limit(height, width):
    """Centroids one fifth of the image apart, on a grid: divided, then subtracted, then compared."""
    rows = np.arange(0, height, height // 10)
    labels = np.zeros((height, width), dtype=np.int32)
    labels[rows, width // 2] = np.arange(1, len(rows) + 1)
    graph = fastsoft.superpixel_graph(labels)
    affinity = fastsoft.color_affinity(graph, np.zeros((graph.n_superpixels, 3)))
    places = graph.centroid_rc[1:, 0] + 1
    near = abs(np.subtract.outer(places / height, places / height)) <= 0.2
    index = graph.centroid_index[1:]
    np.testing.assert_array_equal(affinity.toarray()[np.ix_(index, index)] > 0, near & ~np.eye(len(rows), dtype=bool))


def test_edges_between_the_same_pixels_add_up():
    # Three rings around one pixel share it as centroid; the outermost touches superpixel 3 at the right.
    row, col = np.mgrid[:5, :5] - 2
    labels = np.hstack([np.maximum(abs(row), abs(col)), np.full((5, 1), 3)]).astype(np.int32)
    graph = fastsoft.superpixel_graph(labels)
    assert graph.centroid_rc.tolist() == [[2, 2], [2, 2], [2, 2], [2, 5]]
    features = np.array([[0.0], [0.1], [0.2], [0.3]])
    semantic = fastsoft.semantic_affinity(graph, features).toarray()
    np.testing.assert_allclose(semantic, reference.semantic_affinity(labels, features), atol=1e-15)
    assert np.count_nonzero(semantic) == 2
    color = fastsoft.color_affinity(graph, features, steepness=1.0, max_distance=2.0).toarray()
    np.testing.assert_allclose(color, reference.color_affinity(labels, features, 1.0, max_distance=2.0), rtol=1e-14)
    assert np.count_nonzero(color) == 2
    assert color.max() > 1


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_renaming_superpixels_changes_nothing(height, width, n, seed):
    rng = np.random.default_rng(seed)
    labels = scattered(rng, height, width, n)
    n = int(labels.max()) + 1
    order = rng.permutation(n)
    colors = rng.random((n, 3)) * 0.2
    plain = fastsoft.superpixel_graph(labels)
    renamed = fastsoft.superpixel_graph(np.argsort(order)[labels])
    np.testing.assert_array_equal(renamed.centroid_rc, plain.centroid_rc[order])
    for function in (fastsoft.color_affinity, fastsoft.semantic_affinity):
        difference = function(plain, colors) - function(renamed, colors[order])
        assert difference.nnz == 0 or abs(difference).max() < 1e-12


def test_many_bands_and_threads(rng, threads, dtype):
    labels = blocks(300, 200, 9)
    labels[rng.random(labels.shape) < 0.2] = 3
    labels = np.unique(labels, return_inverse=True)[1].reshape(labels.shape).astype(np.int32)
    values = rng.random((300, 200, 3)).astype(dtype)
    results = []
    for count in (1, 2, 5):
        threads(count)
        graph = fastsoft.superpixel_graph(labels)
        means = fastsoft.region_means(values, labels)
        color = fastsoft.color_affinity(graph, means, steepness=5.0)
        semantic = fastsoft.semantic_affinity(graph, means)
        results.append([graph.centroid_rc, graph.adjacent_pairs, means, color.data, color.indices, semantic.data])
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(results[0][0], reference.centroids(labels))
    np.testing.assert_array_equal(results[0][1], reference.adjacent_pairs(labels))
    np.testing.assert_allclose(results[0][2], reference.region_means(values, labels), rtol=1e-13 + np.finfo(dtype).eps)


def test_any_layout(rng, dtype):
    labels = scattered(rng, 20, 30, 12)
    values = rng.random((20, 30, 5)).astype(dtype)
    expected = fastsoft.region_means(values, labels)
    read_only = values.copy()
    read_only.setflags(write=False)
    for layout in (np.asfortranarray(values), values[::-1, :, ::-1].copy()[::-1, :, ::-1], read_only):
        np.testing.assert_array_equal(fastsoft.region_means(layout, np.asfortranarray(labels)), expected)
    for other in (
        np.asfortranarray(labels),
        labels.astype(np.int64),
        labels.astype(np.uint8),
        labels[::-1].copy()[::-1],
    ):
        graph = fastsoft.superpixel_graph(other)
        np.testing.assert_array_equal(graph.centroid_rc, reference.centroids(labels))
        np.testing.assert_array_equal(graph.adjacent_pairs, reference.adjacent_pairs(labels))
    np.testing.assert_array_equal(fastsoft.region_means(values[..., 2], labels), expected[:, 2])
    with pytest.raises(dataclasses.FrozenInstanceError):
        graph.n_superpixels = 3


GRAPH_ARRAYS = ("labels", "counts", "centroid_rc", "centroid_index", "adjacent_pairs")


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (5, 7), (16, 23), (33, 70)])
@pytest.mark.parametrize("n", [1, 2, 6, 40])
def test_backends_agree(rng, backend, shape, n, dtype):
    labels = scattered(rng, *shape, n)
    expected = fastsoft.superpixel_graph(labels)
    graph = fastsoft.superpixel_graph(backend.array(labels))
    assert graph.n_superpixels == expected.n_superpixels
    for name in GRAPH_ARRAYS:
        found = backend.numpy(getattr(graph, name))
        assert found.dtype == getattr(expected, name).dtype
        np.testing.assert_array_equal(found, getattr(expected, name))
    np.testing.assert_array_equal(backend.numpy(graph.adjacent_pairs).reshape(-1, 2), reference.adjacent_pairs(labels))

    values = rng.random((*shape, 5)).astype(dtype)
    means = fastsoft.region_means(backend.array(values), graph.labels)
    found = backend.numpy(means)
    assert found.dtype == dtype
    near = {"rtol": 0, "atol": parity("superpixel_graph", dtype)}
    np.testing.assert_allclose(found, reference.region_means(values, labels), **near)
    again = fastsoft.region_means(backend.array(values), graph.labels, graph.n_superpixels)
    np.testing.assert_array_equal(backend.numpy(again), found)
    grey = backend.numpy(fastsoft.region_means(backend.array(values[:, :, 2]), graph.labels))
    np.testing.assert_array_equal(grey, found[:, 2])

    colors = found.copy()
    for function, options in [
        (fastsoft.color_affinity, {"steepness": 3.0, "threshold": 0.3, "max_distance": 0.4}),
        (fastsoft.semantic_affinity, {"steepness": 2.0, "threshold": 0.4}),
    ]:
        affinity = function(graph, means, **options)
        matrix = backend.csr(affinity)
        assert matrix.dtype == dtype
        matrix.check_format(full_check=True)
        assert abs(matrix - matrix.T).max() == 0
        indices = matrix.indices.copy()
        matrix.has_sorted_indices = False
        matrix.sort_indices()
        np.testing.assert_array_equal(matrix.indices, indices)
        host = function(expected, colors, **options)
        largest = max(1.0, abs(host).max() if host.nnz else 0.0)
        np.testing.assert_allclose(matrix.toarray(), host.toarray(), rtol=0, atol=largest * near["atol"])
        # Weights that are exactly 0 depend on the error function; entries that are left out here do not.
        assert matrix.nnz == host.nnz
        np.testing.assert_array_equal(backend.csr(function(graph, means, **options)).data, matrix.data)


def test_backends_add_edges_between_the_same_pixels(backend):
    row, col = np.mgrid[:5, :5] - 2
    labels = np.hstack([np.maximum(abs(row), abs(col)), np.full((5, 1), 3)]).astype(np.int32)
    graph = fastsoft.superpixel_graph(backend.array(labels))
    features = np.array([[0.0], [0.1], [0.2], [0.3]])
    semantic = backend.csr(fastsoft.semantic_affinity(graph, backend.array(features)))
    np.testing.assert_allclose(semantic.toarray(), reference.semantic_affinity(labels, features), atol=1e-15)
    assert semantic.nnz == 2
    color = backend.csr(fastsoft.color_affinity(graph, backend.array(features), steepness=1.0, max_distance=2.0))
    expected = reference.color_affinity(labels, features, 1.0, max_distance=2.0)
    np.testing.assert_allclose(color.toarray(), expected, rtol=1e-14)
    assert color.nnz == 2
    # At the threshold weights are exactly 0, and no entries.
    nothing = fastsoft.semantic_affinity(graph, backend.array(features * 0), threshold=0.0)
    assert backend.csr(nothing).nnz == 0
    far = fastsoft.color_affinity(graph, backend.array(features), max_distance=0.01)
    assert backend.csr(far).nnz == 0


@pytest.mark.parametrize(("height", "width"), [(160, 160), (96, 96), (80, 120), (50, 70)])
def test_backends_decide_distances_at_the_limit_alike(backend, height, width):
    rows = np.arange(0, height, height // 10)
    labels = np.zeros((height, width), dtype=np.int32)
    labels[rows, width // 2] = np.arange(1, len(rows) + 1)
    colors = np.zeros((len(rows) + 1, 3))
    graph = fastsoft.superpixel_graph(backend.array(labels))
    found = backend.csr(fastsoft.color_affinity(graph, backend.array(colors)))
    expected = fastsoft.color_affinity(fastsoft.superpixel_graph(labels), colors)
    np.testing.assert_array_equal(found.indptr, expected.indptr)
    np.testing.assert_array_equal(found.indices, expected.indices)


def test_backends_read_strided_and_offset_arrays(rng, backend, dtype):
    labels = np.repeat(np.repeat(scattered(rng, 12, 15, 9), 2, axis=0), 2, axis=1)
    values = rng.random((24, 30, 10)).astype(dtype)
    expected = fastsoft.superpixel_graph(labels[::2, 1::2])
    graph = fastsoft.superpixel_graph(backend.array(labels)[::2, 1::2])
    np.testing.assert_array_equal(backend.numpy(graph.centroid_rc), expected.centroid_rc)
    np.testing.assert_array_equal(backend.numpy(graph.adjacent_pairs), expected.adjacent_pairs)
    means = fastsoft.region_means(values[::2, ::2, 1::2], expected.labels)
    found = fastsoft.region_means(backend.array(values)[::2, ::2, 1::2], graph.labels)
    near = {"rtol": 0, "atol": parity("superpixel_graph", dtype)}
    np.testing.assert_allclose(backend.numpy(found), means, **near)
    wide = np.repeat(means, 2, axis=1)
    matrix = backend.csr(fastsoft.color_affinity(graph, backend.array(wide)[:, ::2], steepness=5.0))
    np.testing.assert_allclose(
        matrix.toarray(), fastsoft.color_affinity(expected, means, steepness=5.0).toarray(), **near
    )
    for kind in (np.int64, np.int16, np.uint8):
        other = fastsoft.superpixel_graph(backend.array(labels.astype(kind)))
        np.testing.assert_array_equal(backend.numpy(other.labels), labels)


def test_backends_refuse_bad_input_with_the_same_words(rng, backend):
    labels = blocks(6, 6, 2)
    graph = fastsoft.superpixel_graph(backend.array(labels))
    for bad, kind, words in [
        (labels.astype(float), TypeError, "labels must be integers, got dtype float64"),
        (labels.ravel(), ValueError, r"labels must have shape \(H, W\), got \(36,\)"),
        (labels[:0], ValueError, r"labels must have 1 to \d+ pixels"),
        (labels - 1, ValueError, "labels must be at least 0, got -1"),
        (labels + 1, ValueError, r"labels must be dense 0\.\.9, but no pixel has label 0"),
        (np.where(labels == 4, 3, labels), ValueError, r"labels must be dense 0\.\.8, but no pixel has label 4"),
        (labels + 2147483632, ValueError, "labels must be dense, got label 2147483640"),
        (labels.astype(np.int64) + 2**31, ValueError, "must fit 32-bit integers"),
    ]:
        with pytest.raises(kind, match=words):
            fastsoft.superpixel_graph(backend.array(bad))
    values = backend.array(rng.random((6, 6, 3)))
    with pytest.raises(ValueError, match=r"values must have shape \(6, 6\) or \(6, 6, C\), got \(6, 5, 3\)"):
        fastsoft.region_means(values[:, :5], graph.labels)
    with pytest.raises(ValueError, match=r"labels must be in 0\.\.4, got"):
        fastsoft.region_means(values, graph.labels, 5)
    with pytest.raises(ValueError, match="no pixel has label 9"):
        fastsoft.region_means(values, graph.labels, 10)
    with pytest.raises(ValueError, match="values must be finite"):
        fastsoft.region_means(backend.array(np.full((6, 6), np.nan)), graph.labels)
    with pytest.raises(ValueError, match=r"colors must have shape \(9, C\), got \(8, 3\)"):
        fastsoft.color_affinity(graph, backend.array(rng.random((8, 3))))
    with pytest.raises(ValueError, match="features must be finite"):
        fastsoft.semantic_affinity(graph, backend.array(np.full((9, 3), np.inf)))
    broken = dataclasses.replace(graph, adjacent_pairs=backend.array(np.array([[0, 1], [2, 9]], dtype=np.int32)))
    with pytest.raises(ValueError, match=r"adjacent_pairs must be in 0\.\.8, got"):
        fastsoft.semantic_affinity(broken, backend.array(rng.random((9, 3))))


def test_centroids_outside_the_image_are_refused_on_a_device(rng, device_backend):
    graph = fastsoft.superpixel_graph(device_backend.array(blocks(6, 6, 2)))
    for place in ([6, 0], [0, 6], [-1, 0]):
        centroids = device_backend.numpy(graph.centroid_rc).copy()
        centroids[4] = place
        broken = dataclasses.replace(graph, centroid_rc=device_backend.array(centroids))
        for function in (fastsoft.color_affinity, fastsoft.semantic_affinity):
            with pytest.raises(ValueError, match="centroids must lie in the image of 6x6 pixels"):
                function(broken, device_backend.array(rng.random((9, 3))))


def test_arrays_on_several_devices_are_refused(rng, device_backend):
    labels = blocks(6, 6, 2)
    with pytest.raises(TypeError, match="must be on one device, got values on cpu, labels on cuda:0"):
        fastsoft.region_means(rng.random((6, 6, 3)), device_backend.array(labels))
    graph = fastsoft.superpixel_graph(device_backend.array(labels))
    with pytest.raises(TypeError, match="must be on one device, got colors on cpu, graph on cuda:0"):
        fastsoft.color_affinity(graph, rng.random((9, 3)))


def test_the_order_of_threads_leaves_no_trace(rng, host_backend):
    labels = scattered(rng, 40, 50, 30)
    labels[:20] = blocks(20, 50, 10)
    labels = np.unique(labels, return_inverse=True)[1].reshape(40, 50).astype(np.int32)
    values = rng.random((40, 50, 6))

    def run():
        graph = fastsoft.superpixel_graph(host_backend.array(labels))
        means = fastsoft.region_means(host_backend.array(values), graph.labels)
        color = host_backend.csr(fastsoft.color_affinity(graph, means, steepness=3.0, max_distance=0.5))
        semantic = host_backend.csr(fastsoft.semantic_affinity(graph, means))
        matrices = [part for matrix in (color, semantic) for part in (matrix.indptr, matrix.indices, matrix.data)]
        return [*(getattr(graph, name).numpy() for name in GRAPH_ARRAYS), means.numpy(), *matrices]

    forward = run()
    with on_host.backward():
        backward = run()
    for a, b in zip(forward, backward, strict=True):
        np.testing.assert_array_equal(a, b)


def test_bad_input_is_refused(rng):
    labels = blocks(6, 6, 2)
    graph = fastsoft.superpixel_graph(labels)
    with pytest.raises(TypeError, match="labels must be integers, got dtype float64"):
        fastsoft.superpixel_graph(labels.astype(float))
    with pytest.raises(ValueError, match=r"labels must have shape \(H, W\), got \(36,\)"):
        fastsoft.superpixel_graph(labels.ravel())
    with pytest.raises(ValueError, match=r"labels must have 1 to \d+ pixels"):
        fastsoft.superpixel_graph(labels[:0])
    with pytest.raises(ValueError, match="labels must be at least 0, got -1"):
        fastsoft.superpixel_graph(labels - 1)
    with pytest.raises(ValueError, match=r"labels must be dense 0\.\.9, but no pixel has label 0"):
        fastsoft.superpixel_graph(labels + 1)
    with pytest.raises(ValueError, match="labels must be dense, got label 2147483640"):
        fastsoft.superpixel_graph(labels + 2147483632)
    with pytest.raises(ValueError, match="must fit 32-bit integers"):
        fastsoft.superpixel_graph(labels.astype(np.int64) + 2**31)
    with pytest.raises(ValueError, match=r"values must have shape \(6, 6\) or \(6, 6, C\), got \(6, 5, 3\)"):
        fastsoft.region_means(rng.random((6, 5, 3)), labels)
    with pytest.raises(ValueError, match=r"labels must be in 0\.\.4, got"):
        fastsoft.region_means(rng.random((6, 6, 3)), labels, 5)
    with pytest.raises(ValueError, match="no pixel has label 9"):
        fastsoft.region_means(rng.random((6, 6, 3)), labels, 10)
    with pytest.raises(ValueError, match="values must be finite"):
        fastsoft.region_means(np.full((6, 6), np.nan), labels)
    with pytest.raises(ValueError, match=r"colors must have shape \(9, C\), got \(8, 3\)"):
        fastsoft.color_affinity(graph, rng.random((8, 3)))
    with pytest.raises(ValueError, match="features must be finite"):
        fastsoft.semantic_affinity(graph, np.full((9, 3), np.inf))
    with pytest.raises(TypeError, match="graph must be a SuperpixelGraph, got ndarray"):
        fastsoft.color_affinity(labels, rng.random((9, 3)))
    with pytest.raises(ValueError, match="steepness must be above 0"):
        fastsoft.semantic_affinity(graph, rng.random((9, 3)), steepness=0.0)
    with pytest.raises(ValueError, match="max_distance must be at least 0"):
        fastsoft.color_affinity(graph, rng.random((9, 3)), max_distance=-0.1)
