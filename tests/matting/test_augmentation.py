# SPDX-License-Identifier: MIT
from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import convolve, distance_transform_edt

from fastsoft.matting.augmentation import (
    add_noise,
    alpha_gamma,
    augment_color,
    compose,
    compress,
    defocus,
    jitter,
    match_background,
    motion_blur,
    overlay,
    resample,
    synthesize_trimap,
)


@pytest.fixture
def layers(rng):
    """Colours, another's colours, and an alpha with opaque and transparent parts."""
    color, other = rng.random((2, 40, 50, 3), dtype=np.float32)
    return color, other, np.clip(rng.normal(0.5, 0.6, (40, 50)), 0, 1).astype(np.float32)


def test_compositions_by_their_formula(layers):
    color, other, alpha = layers
    shown = compose(color, other, alpha)
    for row, col in ((0, 0), (7, 9), (39, 49)):
        a = float(alpha[row, col])
        np.testing.assert_allclose(shown[row, col], a * color[row, col] + (1 - a) * other[row, col], atol=1e-6)
    np.testing.assert_array_equal(compose(color, other, np.zeros_like(alpha)), other)


def test_two_foregrounds_are_composed_as_if_one_after_the_other(layers, rng):
    color, other, alpha = layers
    below = rng.random(alpha.shape, dtype=np.float32)
    background = rng.random(color.shape, dtype=np.float32)
    mixed, total = overlay(color, alpha, other, below)
    step_by_step = compose(color, compose(other, background, below), alpha)
    np.testing.assert_allclose(compose(mixed, background, total), step_by_step, atol=2e-6)


@pytest.mark.parametrize("blurred", [lambda f, a: defocus(f, a, 1.7), lambda f, a: motion_blur(f, a, 9.0, 0.6)])
def test_blurred_foregrounds_let_through_what_a_lens_would(layers, blurred):
    """Blurring the light of foreground and alpha, a foreground of one colour keeps it, and no light is lost."""
    color, _, alpha = layers
    alpha = np.pad(alpha, 20)
    color = np.pad(color, ((20, 20), (20, 20), (0, 0)))
    found, soft = blurred(color, alpha)
    light = (found * soft[:, :, None]).sum(axis=(0, 1))
    np.testing.assert_allclose(light, (color * alpha[:, :, None]).sum(axis=(0, 1)), rtol=2e-3)
    assert soft.sum() == pytest.approx(alpha.sum(), rel=1e-4)
    plain = np.broadcast_to(np.array([0.2, 0.5, 0.8], dtype=np.float32), color.shape)
    np.testing.assert_allclose(blurred(plain, alpha)[0], plain, atol=1e-4)
    assert not np.allclose(soft, alpha, atol=0.05)


def test_a_motion_is_the_mean_of_places_on_a_line():
    alpha = np.zeros((21, 21), dtype=np.float32)
    alpha[10, 10] = 1
    _, soft = motion_blur(np.ones((21, 21, 3), dtype=np.float32), alpha, 5.0, 0.0)
    assert set(zip(*np.nonzero(soft), strict=True)) <= {(10, c) for c in range(7, 14)}
    assert soft.sum() == pytest.approx(1)


def test_recolouring_mixes_with_one_colour(rng):
    color = rng.random((9, 9, 3)).astype(np.float32)
    for per_channel in (False, True):
        weights = []
        for seed in range(20):
            mixed = augment_color(color, np.random.default_rng(seed), per_channel=per_channel)
            slope = [np.polyfit(color[:, :, c].ravel(), mixed[:, :, c].ravel(), 1) for c in range(3)]
            for c, (weight, offset) in enumerate(slope):
                np.testing.assert_allclose(mixed[:, :, c], weight * color[:, :, c] + offset, atol=1e-5)
                assert 0 <= offset / max(1 - weight, 1e-3) <= 1.01
            weights.append([weight for weight, _ in slope])
        assert np.allclose(np.ptp(weights, axis=1), 0, atol=1e-4) is not per_channel


def test_powers_of_alpha_keep_0_and_1(rng):
    alpha = np.linspace(0, 1, 11, dtype=np.float32)[None]
    seen = np.stack([alpha_gamma(alpha, np.random.default_rng(seed))[0] for seed in range(40)])
    assert (seen[:, 0] == 0).all()
    assert (seen[:, -1] == 1).all()
    assert (np.diff(seen, axis=1) > 0).all()
    assert seen[:, 5].min() < 0.4 < 0.6 < seen[:, 5].max()


def test_backgrounds_come_nearer_to_the_foreground(layers, rng):
    color, other, alpha = layers
    color, other = 0.3 + 0.1 * color, 0.5 + 0.2 * other
    mean = (color * alpha[:, :, None]).sum(axis=(0, 1)) / alpha.sum()
    for _ in range(5):
        matched = match_background(other, color, alpha, rng)
        assert np.linalg.norm(matched.mean(axis=(0, 1)) - mean) < np.linalg.norm(other.mean(axis=(0, 1)) - mean)
    assert match_background(other, color, np.zeros_like(alpha), rng) is other


def test_what_changes_photographs_keeps_size_and_range(layers, rng):
    color, _, _ = layers
    for changed in (
        jitter(color, rng),
        resample(color, 0.5),
        add_noise(color, rng, 0.05),
        compress(color, 50),
    ):
        assert changed.shape == color.shape
        assert changed.dtype == np.float32
        assert 0 <= changed.min() <= changed.max() <= 1
        assert abs(changed - color).max() > 0.01
    deviation = (add_noise(np.full((200, 200, 3), 1, np.float32) * 0.5, rng, 0.02) - 0.5).std()
    assert deviation == pytest.approx(0.02 * np.sqrt(0.625), rel=0.03)


@pytest.mark.parametrize("hard_edges", [False, True])
def test_trimaps_by_scipys_distances(rng, hard_edges):
    for _ in range(5):
        alpha = np.clip(convolve(rng.normal(0, 1, (48, 37)), np.ones((9, 9))) / 3 + 0.5, 0, 1).astype(np.float32)
        outer, inner = rng.integers(1, 4, 2)
        clear, opaque = alpha <= 0, alpha >= 1
        outside = distance_transform_edt(clear) if hard_edges else distance_transform_edt(clear | opaque)
        inside = distance_transform_edt(opaque) if hard_edges else outside
        expected = np.where(clear & (outside > outer), 0, np.where(opaque & (inside > inner), 255, 128))
        found = synthesize_trimap(alpha, float(outer), float(inner), hard_edges=hard_edges)
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, expected)
        assert {0, 128, 255} == set(np.unique(found))


def test_rough_trimaps_stay_right_and_within_their_bounds(rng):
    alpha = np.zeros((90, 90), dtype=np.float32)
    alpha[30:60, 30:60] = 1
    alpha[29, 30:60] = 0.5
    rough = synthesize_trimap(alpha, 9, 9, rough=0.5, rng=rng)
    narrow, wide = (synthesize_trimap(alpha, 9 * f, 9 * f) for f in np.exp([-0.5, 0.5]))
    assert (rough[narrow == 128] == 128).all()
    assert (wide[rough == 128] == 128).all()
    assert ((rough == 128) != (synthesize_trimap(alpha, 9, 9) == 128)).any()
    assert (alpha[rough == 0] == 0).all()
    assert (alpha[rough == 255] == 1).all()
    with pytest.raises(ValueError, match="rng must be a generator"):
        synthesize_trimap(alpha, 9, 9, rough=0.5)


def test_trimaps_of_one_sided_alphas():
    assert (synthesize_trimap(np.zeros((5, 6), np.float32), 3, 3) == 0).all()
    assert (synthesize_trimap(np.ones((5, 6), np.float32), 3, 3) == 255).all()
    assert (synthesize_trimap(np.full((5, 6), 0.5, np.float32), 3, 3) == 128).all()
