# SPDX-License-Identifier: MIT
from __future__ import annotations

import numpy as np
import pytest

from fastsoft.semantic import group_segments, segment_features, start_labels


def squared_error(labels, features):
    labels, values = labels.ravel(), features.reshape(-1, features.shape[2])
    return sum(((values[labels == k] - values[labels == k].mean(axis=0)) ** 2).sum() for k in np.unique(labels))


def test_segment_features_as_the_authors_program(golden):
    means, mass = segment_features(golden["init_soft"], golden["features"])
    # The stored segments are float32, the stored features come from float64 ones.
    np.testing.assert_allclose(means, golden["component_features"], atol=1e-6)
    np.testing.assert_allclose(mass.sum(), golden["init_soft"][:, :, 0].size, rtol=1e-5)


def test_grouping_sums_the_segments_of_each_group(golden):
    segments = golden["init_soft"].astype(np.float64)
    for method in ("stable", "compat"):
        grouping = group_segments(segments, golden["features"], 5, method=method)
        assert sorted(set(grouping.labels.tolist())) == list(range(5))
        expected = np.stack([segments[:, :, grouping.labels == k].sum(axis=2) for k in range(5)], axis=2)
        np.testing.assert_allclose(grouping.layers, expected, atol=1e-12)
        np.testing.assert_allclose(grouping.layers.sum(axis=2), segments.sum(axis=2), atol=1e-12)


def test_sums_by_the_stored_groups_are_the_stored_layers(golden):
    """One segment per group and feature, so that the grouping can only be the stored one."""
    ids = golden["group_ids"] - 1
    features = np.zeros((*golden["image"].shape[:2], 1))
    segments = golden["init_soft"].astype(np.float64)
    for method in ("stable", "compat"):
        # Features that are the group's number wherever one segment dominates keep groups apart.
        merged = np.stack([segments[:, :, ids == k].sum(axis=2) for k in range(5)], axis=2)
        np.testing.assert_allclose(merged, golden["grouped"], atol=1e-6)
        features[:, :, 0] = merged.argmax(axis=2) / 4
        grouping = group_segments(merged, features, 5, method=method)
        order = grouping.labels
        np.testing.assert_allclose(grouping.layers[:, :, order], golden["grouped"], atol=1e-6)


def test_stable_grouping_weighs_segments_by_mass():
    """A tiny segment far off does not take a layer from two large regions that differ less."""
    segments = np.zeros((10, 100, 3))
    segments[:, :49, 0] = segments[:, 49:99, 1] = segments[:, 99:, 2] = 1
    features = np.zeros((10, 100, 1))
    features[:, 49:99] = 0.4
    features[:, 99:] = 1.0
    assert group_segments(segments, features, 2).labels.tolist() == [0, 1, 1]
    assert group_segments(segments, features, 1).labels.tolist() == [0, 0, 0]
    np.testing.assert_array_equal(group_segments(segments, features, 1).layers, 1)
    assert group_segments(segments, features, 3).labels.tolist() == [0, 1, 2]


def test_stable_grouping_does_not_know_the_seed(golden):
    first, second = (group_segments(golden["init_soft"], golden["features"], 5, seed=seed) for seed in (0, 99))
    np.testing.assert_array_equal(first.layers, second.layers)


def test_grouping_of_a_segment_without_mass(dtype):
    segments = np.zeros((4, 4, 3), dtype=dtype)
    segments[:2, :, 0] = segments[2:, :, 1] = 1
    features = np.zeros((4, 4, 2), dtype=dtype)
    features[2:] = 1
    grouping = group_segments(segments, features, 2)
    assert np.isfinite(grouping.features).all()
    np.testing.assert_array_equal(grouping.layers, segments[:, :, :2])
    assert grouping.layers.dtype == dtype


def test_bad_groupings_are_refused(rng):
    segments = rng.dirichlet(np.ones(3), (4, 5))
    features = rng.random((4, 5, 2))
    with pytest.raises(ValueError, match="n_layers must be at least 1, got 0"):
        group_segments(segments, features, 0)
    with pytest.raises(ValueError, match="n_layers must be at most the number of segments, 3, got 4"):
        group_segments(segments, features, 4)
    with pytest.raises(ValueError, match=r"features must have shape \(4, 5, d\), got \(5, 4, 2\)"):
        group_segments(segments, features.transpose(1, 0, 2), 2)
    with pytest.raises(ValueError, match="'stable', 'compat', got 'best'"):
        group_segments(segments, features, 2, method="best")
    with pytest.raises(ValueError, match="segments must be finite"):
        group_segments(np.full((4, 5, 3), np.nan), features, 2)
    with pytest.raises(ValueError, match="segments must not be empty"):
        group_segments(segments[:, :, :0], features, 1)


@pytest.mark.parametrize("method", ["stable", "compat"])
def test_start_labels_is_as_tight_as_the_authors_labels(golden, method):
    labels = start_labels(golden["features"], 40, method=method, seed=1)
    assert labels.dtype == np.int32
    assert sorted(np.unique(labels)) == list(range(40))
    assert squared_error(labels, golden["features"]) < 1.1 * squared_error(golden["kmeans_init"], golden["features"])


def test_start_labels_finds_separate_clusters_exactly(rng, dtype):
    truth = rng.integers(0, 7, (30, 40))
    centers = np.eye(7)[:, :4] + 2 * rng.permutation(7)[:, None]
    features = (centers[truth] + 0.01 * rng.standard_normal((30, 40, 4))).astype(dtype)
    for layout in (features, np.asfortranarray(features)):
        labels = start_labels(layout, 7)
        assert len(np.unique(labels * 7 + truth)) == 7
    assert len(np.unique(start_labels(features, 1))) == 1


@pytest.mark.parametrize("method", ["stable", "compat"])
def test_start_labels_stops_when_features_run_out(method):
    features = np.zeros((12, 12, 3))
    assert start_labels(features, 40, method=method).max() == 0
    features[:, 6:] = 0.5
    labels = start_labels(features, 40, method=method)
    assert len(np.unique(labels)) == 2
    assert labels[0, 0] != labels[0, 11]


def test_stable_start_labels_moves_little_under_noise(golden, rng):
    features = golden["features"]
    first = start_labels(features, 12)
    noisy = start_labels(features + rng.uniform(-1, 1, features.shape) / 512, 12)
    # Labels are compared through the mean feature they give a pixel, since numbers may be exchanged.
    means = [
        np.array([features[labels == k].mean(axis=0) for k in range(labels.max() + 1)])[labels]
        for labels in (first, noisy)
    ]
    assert np.abs(means[0] - means[1]).mean() < 0.01


def test_start_labels_of_a_large_image_uses_a_grid(rng):
    features = np.zeros((700, 500, 2), dtype=np.float32)
    features[:, 250:, 0] = 1
    features[350:, :, 1] = 1
    labels = start_labels(features, 4)
    assert [len(np.unique(labels[r : r + 350, c : c + 250])) for r in (0, 350) for c in (0, 250)] == [1, 1, 1, 1]


def test_bad_start_labels_is_refused():
    with pytest.raises(ValueError, match=r"n_clusters must be in 1\.\.4, got 5"):
        start_labels(np.zeros((2, 2, 1)), 5)
    with pytest.raises(ValueError, match="features must not be empty"):
        start_labels(np.zeros((0, 2, 1)), 1)
