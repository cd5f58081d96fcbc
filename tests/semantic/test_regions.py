# SPDX-License-Identifier: MIT
from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from fastsoft import segment
from fastsoft.semantic import compute_features, label_features, mask_features
from fastsoft.semantic.regions import read_labels, region_points


@pytest.mark.parametrize("n", [1, 2, 8, 9, 40, 800])
def test_points_lie_in_the_cube_and_apart(n):
    points = region_points(n)
    assert points.shape == (n, 3)
    assert points.min() >= 0
    assert points.max() <= 1
    if 1 < n <= 40:
        distances = np.linalg.norm(points[:, None] - points, axis=2) + 9 * np.eye(n)
        # Far above the distance at which superpixels begin to repel each other, 0.15.
        assert distances.min() > 0.3


def test_labels_are_regions_whatever_their_numbers(rng):
    labels = rng.integers(0, 6, (9, 11))
    features = label_features(labels)
    assert features.shape == (9, 11, 3)
    assert len(np.unique(features.reshape(-1, 3), axis=0)) == len(np.unique(labels))
    for label in np.unique(labels):
        assert len(np.unique(features[labels == label], axis=0)) == 1
    renamed = np.array([70, -3, 12, 5, 900, 8])[labels]
    np.testing.assert_array_equal(label_features(renamed), features)


def test_masks_may_overlap_and_leave_holes():
    masks = np.zeros((2, 1, 4))
    masks[0, 0, :2] = 1
    masks[1, 0, 1:3] = [1, 0.5]
    features = mask_features(masks)[0]
    first, second, none = features[0], 2 * features[1] - features[0], features[3]
    np.testing.assert_allclose(features[2], 0.5 * (second + none), atol=1e-6)
    assert len({tuple(v) for v in (first, second, none)}) == 3
    np.testing.assert_array_equal(mask_features(masks.astype(bool))[0, 0], first)


@pytest.mark.parametrize(
    ("function", "value", "error", "message"),
    [
        (label_features, np.zeros((4, 4)), TypeError, "labels must hold integers, got float64"),
        (label_features, np.zeros((4, 4, 2), dtype=int), ValueError, r"labels must have shape \(H, W\), got"),
        (
            mask_features,
            np.zeros((2, 4, 4), dtype=int),
            TypeError,
            "masks must be boolean, float.* got int64",
        ),
        (mask_features, np.zeros((4, 4)), ValueError, r"masks must have shape \(N, H, W\), got \(4, 4\)"),
        (mask_features, np.full((1, 2, 2), 1.5), ValueError, r"masks must lie in \[0, 1\], got values in \[1.5, 1.5\]"),
        (mask_features, np.full((1, 2, 2), np.nan), ValueError, r"masks must lie in \[0, 1\]"),
    ],
)
def test_bad_regions_are_refused(function, value, error, message):
    with pytest.raises(error, match=message):
        function(value)


def test_maps_and_masks_are_features(rng):
    image = rng.random((6, 8, 3))
    labels = np.zeros((6, 8), dtype=np.uint8)
    labels[:, 4:] = 3
    np.testing.assert_array_equal(compute_features(image, labels).values, label_features(labels))
    masks = np.stack([labels == 0, labels == 3])
    np.testing.assert_array_equal(compute_features(image, masks).values, mask_features(masks))
    with pytest.raises(ValueError, match="image's height and width 6x8, got 5x8"):
        compute_features(image, labels[:5])
    with pytest.raises(ValueError, match="image's height and width 6x8, got 6x7"):
        compute_features(image, masks[:, :, :7])


def test_overlaps_and_holes_of_masks_reach_the_layers():
    """Two discs that overlap, and the ground that neither covers."""
    row, col = np.mgrid[:40, :60]
    masks = np.stack([(row - 20) ** 2 + (col - c) ** 2 < 14**2 for c in (20, 38)])
    image = np.where(masks[0][:, :, None], (0.8, 0.3, 0.2), (0.2, 0.5, 0.7)) * (1 - 0.4 * masks[1][:, :, None])
    layers = segment(image, features=masks, n_layers=4)
    hard = layers.alphas.argmax(axis=2)
    parts = masks[0] + 2 * masks[1]
    # Only the first, only the second, both, and none are four layers.
    table = np.zeros((4, 4))
    np.add.at(table, (hard.ravel(), parts.ravel()), 1)
    assert table.max(axis=0).sum() > 0.97 * hard.size
    assert len(set(table.argmax(axis=0))) == 4


def test_a_single_region_is_a_constant_feature():
    image = np.full((12, 15, 3), 0.5)
    image[:, 8:] = (0.9, 0.2, 0.1)
    for features in (np.full((12, 15), 7), np.ones((1, 12, 15), dtype=bool), np.zeros((3, 12, 15), dtype=bool)):
        values = compute_features(image, features).values
        assert len(np.unique(values.reshape(-1, 3), axis=0)) == 1
        with pytest.warns(RuntimeWarning, match="the image gave 1 segments, so there are 1 layers instead of 2"):
            layers = segment(image, features=features, n_layers=2)
        np.testing.assert_allclose(layers.alphas, 1, atol=1e-12)


def test_labels_are_read_as_they_are(tmp_path):
    labels = np.array([[0, 1, 200], [7, 7, 255]], dtype=np.uint8)
    Image.fromarray(labels).save(tmp_path / "grey.png")
    palette = Image.frombytes("P", (3, 2), labels.tobytes())
    palette.putpalette([value for k in range(256) for value in (255 - k, k, 3)])
    palette.save(tmp_path / "palette.png")
    Image.fromarray(labels.astype(np.uint16) * 100).save(tmp_path / "wide.png")
    for name, factor in (("grey", 1), ("palette", 1), ("wide", 100)):
        found = read_labels(tmp_path / f"{name}.png")
        assert found.dtype == np.int64
        np.testing.assert_array_equal(found, labels.astype(np.int64) * factor)


def test_pictures_that_are_no_map_are_refused(tmp_path):
    Image.fromarray(np.zeros((2, 3, 3), dtype=np.uint8)).save(tmp_path / "rgb.png")
    with pytest.raises(ValueError, match=r"rgb\.png must be one channel of integers, got uint8 \(2, 3, 3\)"):
        read_labels(tmp_path / "rgb.png")
    Image.fromarray(np.zeros((2, 3), dtype=np.float32)).save(tmp_path / "float.tif")
    with pytest.raises(ValueError, match="must be one channel of integers, got float32"):
        read_labels(tmp_path / "float.tif")
    with pytest.raises(OSError, match="gone"):
        read_labels(tmp_path / "gone.png")
