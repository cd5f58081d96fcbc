# SPDX-License-Identifier: MIT
from __future__ import annotations

import time

import numpy as np
import pytest

from fastsoft.matting import procedural
from fastsoft.matting.procedural import FINE, KINDS, draw_foreground, smooth_noise


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [64, 96])
def test_drawn_foregrounds_are_deterministic_and_in_range(kind, size):
    for seed in range(12):
        one = draw_foreground(kind, size, np.random.default_rng(seed))
        two = draw_foreground(kind, size, np.random.default_rng(seed))
        np.testing.assert_array_equal(one.color, two.color)
        np.testing.assert_array_equal(one.alpha, two.alpha)
        assert one.color.shape == (size, size, 3)
        assert one.alpha.shape == (size, size)
        assert one.color.dtype == one.alpha.dtype == np.float32
        assert np.isfinite(one.color).all()
        assert min(one.color.min(), one.alpha.min()) >= 0
        assert max(one.color.max(), one.alpha.max()) <= 1
    other = draw_foreground(kind, size, np.random.default_rng(99))
    assert not np.array_equal(one.alpha, other.alpha)


@pytest.mark.parametrize("kind", KINDS)
def test_drawn_foregrounds_are_neither_empty_nor_full(kind):
    alphas = [draw_foreground(kind, 96, np.random.default_rng(seed)).alpha for seed in range(20)]
    assert np.mean([a.max() > 0.1 for a in alphas]) >= 0.9
    assert np.mean([a.min() < 0.1 for a in alphas]) >= 0.8
    # What matting is about: part of the pixels are mixed.
    assert np.mean([((a > 0) & (a < 1)).mean() for a in alphas]) > 0.01


def test_a_texture_gives_the_colours_of_bodies():
    texture = np.random.default_rng(1).random((64, 64, 3))
    drawn = draw_foreground("body", 64, np.random.default_rng(2), texture)
    np.testing.assert_allclose(drawn.color, texture, atol=0.51 / 255)


def covered(distance, size, samples=32):
    """Share of every pixel in which a function of (x, y) is not negative, by many more samples than are drawn with."""
    at = (np.arange(size * samples) + 0.5) / samples
    hit = distance(*np.meshgrid(at, at)) >= 0
    return hit.reshape(size, samples, size, samples).mean(axis=(1, 3))


def assert_within_a_sample(alpha, distance, size):
    """Alpha must be between those of the shape shrunk and grown by a sample, and on average near the shape's own."""
    exact = covered(distance, size)
    low = covered(lambda x, y: distance(x, y) - 1 / FINE, size)
    high = covered(lambda x, y: distance(x, y) + 1.5 / FINE, size)
    assert (alpha >= low - 1 / FINE**2).all()
    assert (alpha <= high + 1 / FINE**2).all()
    edge = ((exact > 0) & (exact < 1)).sum()
    assert -0.05 * edge <= (alpha - exact).sum() <= 0.25 * edge


def test_coverage_of_polygons(rng):
    for _ in range(20):
        while True:
            a, b, c = corners = rng.uniform(2, 22, (3, 2))
            area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
            if area > 20:
                break

        def distance(x, y, corners=corners):
            """To the nearest side's line, positive inside."""
            sides = []
            for p, q in zip(corners, np.roll(corners, -1, axis=0), strict=True):
                along = (q - p) / np.linalg.norm(q - p)
                sides.append(along[0] * (y - p[1]) - along[1] * (x - p[0]))
            return np.minimum.reduce(sides)

        canvas = procedural._Canvas(24, np.zeros((24, 24, 3)))
        canvas.polygon(corners)
        assert_within_a_sample(canvas.result().alpha, distance, 24)


def test_coverage_of_a_disc_and_of_a_hole_in_it():
    center = np.array([15.3, 16.1])

    def away(x, y):
        return np.hypot(x - center[0], y - center[1])

    canvas = procedural._Canvas(32, np.zeros((32, 32, 3)))
    canvas.disc(center, 11.0)
    assert_within_a_sample(canvas.result().alpha, lambda x, y: 11 - away(x, y), 32)
    canvas.disc(center, 4.0, 0.6)
    alpha = canvas.result().alpha
    assert alpha[16, 15] == pytest.approx(0.6)
    assert alpha[16, 24] == 1
    assert alpha[16, 28] == 0


@pytest.mark.parametrize("width", [0.5, 1.0, 3.0])
def test_a_thin_line_covers_its_width(width):
    canvas = procedural._Canvas(40, np.zeros((40, 40, 3)))
    canvas.line(np.array([[-5.0, 20.0], [45.0, 20.0]]), width, 0.6)
    columns = canvas.result().alpha.sum(axis=0)
    np.testing.assert_allclose(columns, 0.6 * width, atol=0.6 * 0.26)


def test_smooth_noise_passes_through_its_grid(rng):
    values = smooth_noise(64, 4, rng)
    assert values.shape == (64, 64)
    assert 0 <= values.min() <= values.max() <= 1
    assert smooth_noise(10, 2, rng, 3).shape == (10, 10, 3)
    # Smooth: neighbours differ by far less than random numbers would.
    assert abs(np.diff(values, axis=0)).max() < 0.25


def test_drawing_is_cheap():
    start = time.process_time()
    for seed in range(4):
        for kind in KINDS:
            draw_foreground(kind, 256, np.random.default_rng(seed))
    assert (time.process_time() - start) / (4 * len(KINDS)) < 0.15
