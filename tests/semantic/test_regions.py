# SPDX-License-Identifier: MIT
from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

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
