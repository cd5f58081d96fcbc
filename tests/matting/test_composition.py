# SPDX-License-Identifier: MIT
from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from PIL import Image

from fastsoft.errors import ImageReadError
from fastsoft.matting import composition
from fastsoft.matting.composition import CompositionData, CompositionSettings

# Nothing random but the places.
PLAIN = CompositionSettings(crop=64, estimate=False, refine=False, **dict.fromkeys(composition.PROBABILITIES, 0.0))


@pytest.fixture(scope="module")
def data(foregrounds, backgrounds):
    return CompositionData(foregrounds, [backgrounds])


def crops(data, settings, count=12, seed=0):
    return [data.sample(settings, np.random.default_rng([seed, k])) for k in range(count)]


@pytest.mark.parametrize("settings", [PLAIN, CompositionSettings(crop=64, refine=False, estimate=False)])
def test_crops_are_composed_of_their_parts(data, settings):
    settings = dataclasses.replace(settings, noise=0.0, jpeg=0.0)
    for sample in crops(data, settings):
        alpha = sample.alpha.astype(np.float64)[:, :, None]
        exact = alpha * sample.color + (1 - alpha) * sample.background
        # What is given to the network is rounded to 8 bits.
        assert abs(sample.image - exact).max() <= 0.501 / 255
        for values in (sample.image, sample.alpha):
            np.testing.assert_allclose(values * 255, np.round(values * 255), atol=1e-3)
            assert 0 <= values.min() <= values.max() <= 1
        assert sample.image.dtype == sample.alpha.dtype == np.float32
        assert (sample.alpha[sample.trimap == 0] == 0).all()
        assert (sample.alpha[sample.trimap == 255] == 1).all()
        assert set(np.unique(sample.trimap)) <= {0, 128, 255}
        assert (sample.trimap == 128).mean() <= composition.MOST_UNKNOWN or not (sample.trimap != 128).any()


def test_crops_are_cut_where_the_foreground_is(data):
    """At a zoom of 1, unturned, a crop is a part of the file's alpha, and centred on a mixed pixel if wished."""
    settings = dataclasses.replace(PLAIN, zoom_low=1.0, zoom_high=1.0, center=1.0)
    files = [np.asarray(Image.open(path)).astype(int) for _, path in data.foregrounds]
    for sample in crops(data, settings):
        crop = np.round(sample.alpha * 255).astype(int)
        fits = []
        for alpha in files:
            windows = np.lib.stride_tricks.sliding_window_view(alpha, (64, 64))
            # A stretch of the 8 bits is taken from the alpha before, see STRAY.
            stretched = np.round((windows[::1, ::1] - 4.0) / 247 * 255).clip(0, 255)
            fits.append(abs(stretched - crop).max(axis=(2, 3)).min())
        assert min(fits) <= 1


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("angle", [0.0, np.pi / 2, 0.7])
def test_windows_are_turned_and_mirrored_about_their_centre(mirror, angle):
    rows, cols = np.mgrid[:80, :90].astype(np.float64)
    planes = [Image.fromarray(p.astype(np.float32)) for p in (rows + 0.5, cols + 0.5)]
    center = np.array([41.0, 37.0])
    found = [
        np.asarray(composition._warp(p, center, 16, 1.5, angle, mirror, Image.Resampling.BILINEAR)) for p in planes
    ]
    offset_row, offset_col = np.mgrid[:16, :16] - 7.5
    if mirror:
        offset_col = -offset_col
    expected_row = center[0] + 1.5 * (np.sin(angle) * offset_col + np.cos(angle) * offset_row)
    expected_col = center[1] + 1.5 * (np.cos(angle) * offset_col - np.sin(angle) * offset_row)
    np.testing.assert_allclose(found[0], expected_row, atol=1e-3)
    np.testing.assert_allclose(found[1], expected_col, atol=1e-3)


def test_smaller_levels_are_the_same_picture(data):
    levels = data.foreground(0, estimate=False, refine=False)
    assert len(levels.pictures) == 2
    center = np.array([70.0, 90.0])
    color, alpha = levels.cut(center, 32, 2.0, 0.0, False)
    fine_color, fine_alpha = levels.cut(center, 64, 1.0, 0.0, False)
    np.testing.assert_allclose(alpha, fine_alpha.reshape(32, 2, 32, 2).mean(axis=(1, 3)), atol=2 / 255)
    np.testing.assert_allclose(color, fine_color.reshape(32, 2, 32, 2, 3).mean(axis=(1, 3)), atol=2 / 255)


def test_alphas_that_stray_are_stretched(data):
    alpha = np.asarray(data.foreground(2, estimate=False, refine=False).pictures[0][1])
    assert set(np.unique(alpha)) == {0, 255}


@pytest.mark.parametrize("name", composition.PROBABILITIES)
def test_every_augmentation_can_be_switched_on_alone(data, name):
    settings = dataclasses.replace(PLAIN, crop=96)
    changed = dataclasses.replace(settings, **{name: 1.0})
    plain, other = (crops(data, s, count=8) for s in (settings, changed))
    assert any(
        not np.array_equal(a.image, b.image) or not np.array_equal(a.trimap, b.trimap)
        for a, b in zip(plain, other, strict=True)
    )


@pytest.mark.parametrize("name", ["recolor_channels", "hard_edges", "refine"])
def test_every_switch_changes_something(data, name):
    settings = dataclasses.replace(PLAIN, crop=96, recolor=1.0, zoom_low=1.0, zoom_high=1.0)
    changed = dataclasses.replace(settings, **{name: not getattr(settings, name)})
    plain, other = (crops(data, s, count=8) for s in (settings, changed))
    assert any(
        not np.array_equal(a.image, b.image) or not np.array_equal(a.trimap, b.trimap)
        for a, b in zip(plain, other, strict=True)
    )


def test_crops_depend_on_the_generator_alone(foregrounds, backgrounds, data):
    settings = CompositionSettings(crop=64, estimate=False)
    for k in range(6):
        one = data.sample(settings, np.random.default_rng(k))
        two = CompositionData(foregrounds, [backgrounds]).sample(settings, np.random.default_rng(k))
        for part in dataclasses.fields(one):
            np.testing.assert_array_equal(getattr(one, part.name), getattr(two, part.name))


def test_refinement_takes_the_old_background_out_of_soft_colours(tmp_path, backgrounds):
    """A photograph of a red disc on blue: the blue that mixes in at its soft edge goes away."""
    for name in ("image", "alpha"):
        (tmp_path / name).mkdir()
    rows, cols = np.mgrid[:96, :96]
    alpha = np.clip((34 - np.hypot(rows - 48, cols - 48)) / 16, 0, 1)[:, :, None]
    photo = alpha * [0.9, 0.1, 0.1] + (1 - alpha) * [0.1, 0.1, 0.9]
    Image.fromarray((photo * 255).astype(np.uint8)).save(tmp_path / "image" / "a.png")
    Image.fromarray((alpha[:, :, 0] * 255).astype(np.uint8)).save(tmp_path / "alpha" / "a.png")
    data = CompositionData(tmp_path, [backgrounds])
    soft = (alpha[:, :, 0] > 0.2) & (alpha[:, :, 0] < 0.8)

    def blue(**options):
        return np.asarray(data.foreground(0, **options).pictures[0][0])[soft][:, 2].mean()

    as_found = blue(estimate=False, refine=False)
    assert blue(estimate=False, refine=True) < 0.9 * as_found
    assert blue(estimate=True, refine=False) < 0.4 * as_found
    assert blue(estimate=True, refine=True) < 0.4 * as_found


def test_bad_folders_are_refused(tmp_path, foregrounds, backgrounds):
    with pytest.raises(ValueError, match=r"foregrounds must hold image/ and alpha/, got .* without image/"):
        CompositionData(tmp_path / "none", [backgrounds])
    (tmp_path / "image").mkdir()
    with pytest.raises(ValueError, match="without alpha/"):
        CompositionData(tmp_path, [backgrounds])
    (tmp_path / "alpha").mkdir()
    with pytest.raises(ValueError, match="must hold pictures in image/, got none"):
        CompositionData(tmp_path, [backgrounds])
    Image.fromarray(np.zeros((40, 50, 3), np.uint8)).save(tmp_path / "image" / "a.png")
    with pytest.raises(ValueError, match=r"an alpha each, got a.png without alpha/a.png"):
        CompositionData(tmp_path, [backgrounds])
    Image.fromarray(np.zeros((40, 51), np.uint8)).save(tmp_path / "alpha" / "a.png")
    with pytest.raises(ValueError, match=r"alpha/a.png must have the size of image/a.png, 40x50, got 40x51"):
        CompositionData(tmp_path, [backgrounds]).foreground(0)
    Image.fromarray(np.full((40, 50), 3, np.uint8)).save(tmp_path / "alpha" / "a.png")
    with pytest.raises(ValueError, match=r"alpha/a.png must have pixels above 4, got none"):
        CompositionData(tmp_path, [backgrounds]).foreground(0)
    with pytest.raises(ValueError, match="backgrounds must be folders of photographs, got none"):
        CompositionData(foregrounds, [])
    (tmp_path / "alpha" / "a.png").unlink()
    with pytest.raises(ValueError, match=r"backgrounds must be folders of photographs, got .*alpha without any"):
        CompositionData(foregrounds, [tmp_path / "alpha"])
    (tmp_path / "image" / "a.png").write_text("no picture")
    with pytest.raises(ImageReadError, match=r"cannot read .*a.png"):
        crops(CompositionData(foregrounds, [tmp_path]), PLAIN)


def test_bad_settings_are_refused():
    for wrong, message in [
        ({"crop": 100}, "crop must be a multiple of 32, got 100"),
        ({"crop": 0}, "crop must be at least 32"),
        ({"noise": 1.5}, "noise must be at least 0 and at most 1"),
        ({"zoom_low": 3.0}, "zoom_high must be at least 3"),
        ({"dilation": 0}, "dilation must be at least 1"),
    ]:
        with pytest.raises(ValueError, match=message):
            CompositionSettings(**wrong)
