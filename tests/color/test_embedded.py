# SPDX-License-Identifier: MIT
"""The network that comes with fastsoft, beside the published ones and on photographs that it was not trained on."""

from __future__ import annotations

import numpy as np
import pytest

import fastsoft
from fastsoft.color import color_palette, load_model


def sparsity(alphas):
    return float((alphas.sum(axis=2) / np.square(alphas).sum(axis=2) - 1).mean())


def color_variance(layers):
    """Variance of the layers' colours, each pixel counted by its alpha: sum over channels, mean over layers."""
    total = 0.0
    for k in range(layers.n_layers):
        weight = layers.alphas[:, :, k].astype(np.float64)
        if weight.sum() > 0:
            colors = layers.colors[:, :, k].reshape(-1, 3)
            mean = np.average(colors, axis=0, weights=weight.ravel())
            total += float(np.average(((colors - mean) ** 2).sum(axis=1), weights=weight.ravel()))
    return total / layers.n_layers


def psnr(layers):
    return float(-10 * np.log10(np.square(layers.recomposed() - layers.image).mean()))


def test_it_beats_the_published_networks_on_photographs_of_the_validation_set(shared, authors_weights):
    """Seven colours, layers as predicted; the exact figures are in the model card."""
    paths = sorted((shared / "data" / "segmentation" / "val" / "images").glob("*.jpg"))[::32]
    figures = []
    theirs = load_model(authors_weights)
    for path in paths:
        image = fastsoft.read_image(path)
        palette = color_palette(image, 7)
        both = [fastsoft.decompose_colors(image, palette, weights=weights, exact=False) for weights in (None, theirs)]
        figures.append([[psnr(layers), sparsity(layers.alphas), color_variance(layers)] for layers in both])
    own, published = np.mean(figures, axis=0)
    assert own[0] > published[0] + 2
    assert own[1] < published[1]
    assert own[2] < published[2]


@pytest.mark.parametrize("n_colors", [2, 3, 5, 10])
def test_any_number_of_colors(shared, n_colors):
    image = fastsoft.read_image(shared / "data" / "photos" / "parrots_640x480.png")[:300, :400]
    layers = fastsoft.decompose_colors(image, n_colors)
    assert layers.alphas.shape == (300, 400, n_colors)
    assert np.abs(layers.alphas.sum(axis=2) - 1).max() < 1e-6
    assert layers.alphas.min() >= 0
    assert psnr(layers) > 50
    assert layers.settings["weights"].startswith("embedded, SHA-256 ")


def test_another_order_of_the_palette_is_another_order_of_the_layers(shared):
    image = fastsoft.read_image(shared / "data" / "photos" / "parrots_640x480.png")[100:220, 200:330]
    palette = color_palette(image, 5)
    order = [3, 0, 4, 2, 1]
    layers = fastsoft.decompose_colors(image, palette)
    turned = fastsoft.decompose_colors(image, palette[order])
    np.testing.assert_allclose(turned.alphas, layers.alphas[:, :, order], atol=2e-4)
