# SPDX-License-Identifier: MIT
from __future__ import annotations

import numpy as np
import pytest
from scipy.cluster.vq import vq

from fastsoft.color import check_palette, color_palette, format_color, parse_color
from fastsoft.color.palette import sample_pixels


def test_palette_of_a_photograph_of_known_colours(rng):
    colors = np.array([[0.9, 0.1, 0.1], [0.1, 0.2, 0.8], [0.95, 0.95, 0.9], [0.1, 0.1, 0.1]])
    label = rng.choice(4, size=(60, 80), p=[0.2, 0.4, 0.1, 0.3])
    image = np.clip(colors[label] + rng.normal(0, 0.01, (60, 80, 3)), 0, 1)
    found = color_palette(image, 4)
    # The largest cluster comes first; a mean of 480 samples or more is within 0.01 / sqrt(480) several times over.
    np.testing.assert_allclose(found, colors[[1, 3, 0, 2]], atol=0.003)
    assert color_palette(image.astype(np.float32), 4).dtype == np.float64


def test_same_seed_same_bits_for_any_threads(rng, threads):
    image = rng.random((300, 400, 3)).astype(np.float32)
    threads(1)
    one = color_palette(image, 7, seed=3)
    threads(2)
    np.testing.assert_array_equal(color_palette(image, 7, seed=3), one)


def test_centres_are_means_of_their_pixels(rng):
    image = rng.random((50, 60, 3)) ** 2
    palette = color_palette(image, 5)
    pixels = image.reshape(-1, 3)
    nearest, _ = vq(pixels, palette)
    size = np.bincount(nearest)
    assert (np.diff(size) <= 0).all()
    means = np.stack([pixels[nearest == k].mean(axis=0) for k in range(5)])
    np.testing.assert_allclose(palette, means, atol=2e-3)


def test_samples_are_spread_over_the_photograph():
    image = np.arange(40 * 50).reshape(40, 50, 1).repeat(3, axis=2) / 2000.0
    assert len(sample_pixels(image, 2000)) == 2000
    few = sample_pixels(image, 100)[:, 0] * 2000
    assert 60 <= len(few) <= 100
    assert few.mean() == pytest.approx(1000, abs=30)


def test_colours_by_hand():
    assert parse_color("#ff8000") == (1.0, 128 / 255, 0.0)
    assert parse_color("A03020") == (160 / 255, 48 / 255, 32 / 255)
    assert format_color(parse_color("#a03020")) == "#a03020"
    for text in ("#ff80", "red", "#ff80000", "#gg0000", ""):
        with pytest.raises(ValueError, match="a colour must be written #rrggbb, got"):
            parse_color(text)


def test_bad_palettes_are_refused(rng):
    assert check_palette([[0.0, 0, 0], [1, 1, 1]]).dtype == np.float64
    for value, error, message in [
        ([], ValueError, "palette must hold at least 2 colours, got none"),
        ([[0.1, 0.2, 0.3]], ValueError, "palette must hold at least 2 colours, got 1"),
        ([[0.1, 0.2, 0.3], [0.5, 0.5, 0.5], [0.1, 0.2, 0.3]], ValueError, "different colours, got #1a334d more than"),
        ([[0.1, 0.2, 0.3], [0.5, 0.5, 1.5]], ValueError, r"palette must lie in \[0, 1\], got values in \[0.1, 1.5\]"),
        ([[0.1, 0.2], [0.5, 0.5]], ValueError, r"palette must have shape \(n, 3\), got \(2, 2\)"),
        ([[0, 0, 0], [255, 0, 0]], TypeError, "palette must be floating point in"),
        ([[0.0, 0, 0], [np.nan, 0, 0]], ValueError, "palette must be finite"),
    ]:
        with pytest.raises(error, match=message):
            check_palette(value)
    with pytest.raises(ValueError, match="at most 7 colours for these weights, got 8"):
        check_palette(rng.random((8, 3)), (2, 7))


def test_photographs_with_too_few_colours_are_refused():
    image = np.zeros((5, 5, 3))
    image[0, 0] = 1
    with pytest.raises(ValueError, match="image must have at least 3 different colours, got 2"):
        color_palette(image, 3)
    with pytest.raises(ValueError, match="image must have at least 3 pixels"):
        color_palette(np.zeros((1, 2, 3)), 3)
    with pytest.raises(ValueError, match="n_colors must be at least 2, got 1"):
        color_palette(image, 1)
