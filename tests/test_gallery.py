# SPDX-License-Identifier: MIT
"""The tool that makes the gallery's pictures: which layer it edits, how, and the file."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

import contact_sheet
import make_gallery


@pytest.fixture
def scene():
    """Sky above ground, a square object before both, a small one in the corner; the layers are exact."""
    labels = np.ones((40, 60), dtype=np.int64)
    labels[:15] = 0
    labels[10:30, 20:40] = 2
    labels[34:, :8] = 3
    return np.eye(4)[labels]


def slow_saliency(alphas, features):
    height, width, n = alphas.shape
    scores = []
    for k in range(n):
        mass = border = central = 0.0
        own, rest = np.zeros(3), np.zeros(3)
        for row in range(height):
            for col in range(width):
                alpha = alphas[row, col, k]
                mass += alpha
                border += alpha * (row in (0, height - 1) or col in (0, width - 1))
                # A third of the extent is one deviation.
                down, right = 3 * ((row + 0.5) / height - 0.5), 3 * ((col + 0.5) / width - 0.5)
                central += alpha * np.exp(-(down**2 + right**2) / 2)
                own += alpha * features[row, col]
                rest += (1 - alpha) * features[row, col]
        contrast = np.linalg.norm(own / mass - rest / (height * width - mass))
        scores.append(np.sqrt(mass) * np.exp(-(border**2) / mass / 2) * contrast * central / mass)
    return scores


@pytest.mark.parametrize("seed", range(3))
def test_saliency_is_that_of_the_double_loop(seed):
    rng = np.random.default_rng(seed)
    alphas = rng.dirichlet((0.2, 0.3, 0.4, 0.5), (9, 13))
    features = rng.random((9, 13, 3))
    assert make_gallery.saliency(alphas, features) == pytest.approx(slow_saliency(alphas, features), rel=1e-10)


def test_salient_layer_is_the_object(scene):
    assert make_gallery.saliency(scene, scene[:, :, :3]).argmax() == 2
    assert make_gallery.saliency(scene[:, :, [2, 0, 3, 1]], scene[:, :, :3]).argmax() == 0


def test_top_layer_is_that_of_the_upper_edge(scene):
    assert make_gallery.top_layer(scene) == 0
    assert make_gallery.top_layer(scene[::-1]) == 1


def test_accent_keeps_the_object_and_greys_the_rest(scene):
    image = np.random.default_rng(0).random((40, 60, 3))
    edited, layer = make_gallery.accent(image, scene, scene[:, :, :3])
    inside = scene[:, :, 2] == 1
    assert layer == 2
    np.testing.assert_array_equal(edited[inside], image[inside])
    assert np.ptp(edited[~inside], axis=1).max() < 1e-12
    half, _ = make_gallery.accent(image, 0.5 * scene + 0.5 * scene[:, :, [1, 0, 2, 3]], scene[:, :, :3])
    np.testing.assert_allclose(half, edited, atol=1e-12)  # the object's alphas are the same


def test_dusk_leaves_everything_but_the_sky(scene):
    image = np.random.default_rng(0).random((40, 60, 3))
    edited, layer = make_gallery.dusk(image, scene, scene[:, :, :3])
    sky = scene[:, :, 0] == 1
    assert layer == 0
    np.testing.assert_array_equal(edited[~sky], image[~sky])
    top, low = edited[0].mean(axis=0), edited[9, :20].mean(axis=0)
    assert top[2] > top[0]  # blue above
    assert low[0] > low[2]  # red below


def test_sheet_of_a_photograph_is_written(tmp_path):
    rng = np.random.default_rng(1)
    image = np.full((60, 90, 3), (60, 120, 200), dtype=np.float64)
    image[20:50, 30:60] = (220, 60, 40)
    image = np.clip(image + rng.normal(0, 5, image.shape), 0, 255).astype(np.uint8)
    Image.fromarray(image).save(tmp_path / "wide.png")
    Image.fromarray(np.ascontiguousarray(image.transpose(1, 0, 2))).save(tmp_path / "tall.png")
    photos = [str(tmp_path / "wide.png"), str(tmp_path / "tall.png")]
    options = ["--features", "lowlevel", "--layers", "3", "--longer-side", "72"]
    assert make_gallery.main([*photos, "-o", str(tmp_path / "out"), *options]) == 0
    gap = contact_sheet.GAP
    small = (900 - 4 * gap) // 5
    with Image.open(tmp_path / "out" / "wide.jpg") as picture:
        panel = (900 - gap) // 2
        assert picture.size == (2 * panel + gap, 2 * round(panel * 48 / 72) + round(small * 48 / 72) + 2 * gap)
    with Image.open(tmp_path / "out" / "tall.jpg") as picture:
        panel = (900 - 3 * gap) // 4
        assert picture.size == (4 * panel + 3 * gap, round(panel * 72 / 48) + round(small * 72 / 48) + gap)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["tall.jpg", "wide.jpg"]


def test_photographs_of_one_name_are_refused(tmp_path, capsys):
    with pytest.raises(SystemExit):
        make_gallery.main(["a/x.png", "b/x.jpg", "-o", str(tmp_path)])
    assert "names of their own, got x more than once" in capsys.readouterr().err


def test_jpeg_is_as_good_as_fits(tmp_path):
    picture = np.random.default_rng(2).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    best = contact_sheet.write_jpeg(tmp_path / "a.jpg", picture)
    size = (tmp_path / "a.jpg").stat().st_size
    worse = contact_sheet.write_jpeg(tmp_path / "a.jpg", picture, size // 2)
    assert best == 90
    assert 30 <= worse < 90
    assert (tmp_path / "a.jpg").stat().st_size <= size // 2
    with pytest.raises(ValueError, match="max_bytes must allow quality 30 of 64x64 pixels"):
        contact_sheet.write_jpeg(tmp_path / "b.jpg", picture, 100)
    assert [path.name for path in tmp_path.iterdir()] == ["a.jpg"]


def test_panels_lie_side_by_side_and_below_each_other():
    red, blue = np.zeros((4, 5, 3), dtype=np.uint8), np.zeros((6, 3, 3), dtype=np.uint8)
    red[..., 0], blue[..., 2] = 255, 255
    row = contact_sheet.row_of([red, blue])
    gap = contact_sheet.GAP
    assert row.shape == (6, 8 + gap, 3)
    np.testing.assert_array_equal(row[:4, :5], red)
    np.testing.assert_array_equal(row[:, 5 + gap :], blue)
    assert (row[4:, : 5 + gap] == 255).all()
    stack = contact_sheet.stack_of([red, blue])
    assert stack.shape == (10 + gap, 5, 3)
    np.testing.assert_array_equal(stack[4 + gap :, :3], blue)


def test_features_of_fewer_channels_are_shown():
    picture = contact_sheet.feature_picture(np.array([[[0.0, 1.0]]]))
    assert picture.tolist() == [[[0, 255, 0]]]
