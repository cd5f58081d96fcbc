# SPDX-License-Identifier: MIT
from __future__ import annotations

import numpy as np
import pytest

import fastsoft
from fastsoft.layers import Layers, composite, split_layer


@pytest.fixture
def layers(rng, dtype):
    """Layers whose sum is the photograph."""
    image = rng.random((70, 9, 3)).astype(dtype)
    alphas = rng.dirichlet(np.full(4, 0.4), (70, 9)).astype(dtype)
    alphas[3, 4] = [0, 1, 0, 0]
    colors = np.clip(image[:, :, None] + rng.normal(0, 0.1, (70, 9, 4, 3)), 0, 1).astype(dtype)
    colors = fastsoft.project_colors(alphas, colors, image)
    return Layers(alphas, image, settings={"exact": True}, colors=colors, palette=rng.random((4, 3)))


def test_all_layers_are_the_photograph(layers, dtype):
    found = composite(layers)
    assert found.dtype == dtype
    np.testing.assert_allclose(found[:, :, 3], 1, atol=4 * np.finfo(dtype).eps)
    np.testing.assert_allclose(found[:, :, :3], layers.image, atol=20 * np.finfo(dtype).eps)
    over = composite(layers, background=np.array([1.0, 0, 1]))
    np.testing.assert_allclose(over, layers.image, atol=20 * np.finfo(dtype).eps)


def test_some_layers_over_a_picture_by_the_formula(layers, rng, dtype):
    background = rng.random((70, 9, 3))
    a, u = layers.alphas.astype(np.float64), layers.colors.astype(np.float64)
    added = a[:, :, [1]] * u[:, :, 1] + a[:, :, [3]] * u[:, :, 3]
    total = a[:, :, [1]] + a[:, :, [3]]
    eps = 10 * np.finfo(dtype).eps
    found = composite(layers, visible=[3, 1, 3], background=background)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, added + (1 - total) * background, atol=eps)
    alone = composite(layers, visible=[1, 3])
    np.testing.assert_allclose(alone[:, :, 3:], total, atol=eps)
    np.testing.assert_allclose(alone[:, :, :3] * alone[:, :, 3:], added, atol=eps)
    np.testing.assert_array_equal(composite(layers, visible=[0, 2])[3, 4], 0)


def test_no_layer_leaves_the_background(layers):
    assert (composite(layers, visible=[]) == 0).all()
    np.testing.assert_allclose(
        composite(layers, visible=[], background=np.array([0.25, 0.5, 1.0]))[7, 2], [0.25, 0.5, 1]
    )


def test_layers_of_the_photographs_colours(layers):
    plain = Layers(layers.alphas, layers.image)
    found = composite(plain, visible=[2])
    shown = layers.alphas[:, :, 2] > 1e-3
    np.testing.assert_allclose(found[shown][:, :3], layers.image[shown], atol=1e-5)


def test_split_layers_are_the_layer(layers, rng):
    mask = rng.random((70, 9))
    found = split_layer(layers, 2, mask)
    assert found.n_layers == 5
    np.testing.assert_allclose(found.alphas[:, :, 2], layers.alphas[:, :, 2] * mask, atol=1e-7)
    np.testing.assert_array_equal(found.alphas[:, :, [0, 1, 4]], layers.alphas[:, :, [0, 1, 3]])
    np.testing.assert_array_equal(found.colors[:, :, 3], layers.colors[:, :, 2])
    np.testing.assert_array_equal(found.palette, layers.palette[[0, 1, 2, 2, 3]])
    np.testing.assert_allclose(found.recomposed(), layers.image, atol=2e-6)
    hard = split_layer(layers, 0, mask > 0.5)
    assert (hard.alphas[:, :, 0][mask <= 0.5] == 0).all()
    assert (hard.alphas[:, :, 1][mask > 0.5] == 0).all()
    assert split_layer(Layers(layers.alphas, layers.image), 3, mask).colors is None


def test_bad_arguments_are_refused(layers):
    with pytest.raises(ValueError, match=r"visible must be in 0..3, got 4"):
        composite(layers, visible=[4])
    with pytest.raises(ValueError, match=r"background must be a colour or have the photograph's size, 70x9, got 9x70"):
        composite(layers, background=np.zeros((9, 70, 3)))
    with pytest.raises(ValueError, match=r"background must lie in \[0, 1\]"):
        composite(layers, background=np.array([0.0, 2.0, 0.0]))
    with pytest.raises(ValueError, match=r"layer must be in 0..3, got -1"):
        split_layer(layers, -1, np.zeros((70, 9)))
    with pytest.raises(ValueError, match=r"mask must have the size of the photograph, 70x9, got shape \(9, 70\)"):
        split_layer(layers, 0, np.zeros((9, 70)))
