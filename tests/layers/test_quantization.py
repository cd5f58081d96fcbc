# SPDX-License-Identifier: MIT
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import fastsoft
from fastsoft.layers import Layers, overview_picture, quantize_alphas, quantized_rgba, save_layers


def make(rng, n, shape=(70, 33), *, exact=True, dtype=np.float32):
    """A photograph of 256 levels and layers that recompose it."""
    image = (rng.integers(0, 256, (*shape, 3)) / 255).astype(dtype)
    alphas = rng.dirichlet(np.full(n, 0.3), shape).astype(dtype)
    colors = np.clip(image[:, :, None] + rng.normal(0, 0.2, (*shape, n, 3)), 0, 1).astype(dtype)
    if exact:
        colors = fastsoft.project_colors(alphas, colors, image)
    palette = rng.random((n, 3))
    return Layers(alphas, image, settings={"exact": exact}, colors=colors, palette=palette)


@given(st.integers(1, 12), st.integers(0, 2**31), st.floats(0.02, 10))
def test_rounded_alphas_sum_to_255_and_stay_close(n, seed, concentration):
    rng = np.random.default_rng(seed)
    alphas = rng.dirichlet(np.full(n, concentration), (6, 7)).astype(np.float32)
    alphas[0, 0] = 0
    alphas[0, 0, n // 2] = 1
    levels = quantize_alphas(alphas)
    assert levels.dtype == np.uint8
    assert (levels.sum(axis=2, dtype=int) == 255).all()
    assert (np.abs(levels - 255.0 * alphas) < 1.0001).all()
    assert (levels[alphas == 0] == 0).all()
    assert levels[0, 0, n // 2] == 255


@pytest.mark.parametrize("n", [1, 2, 7, 10])
def test_written_files_recompose_the_photograph_within_one_level(rng, tmp_path, n):
    layers = make(rng, n)
    folder = save_layers(layers, tmp_path / "out")
    total = np.zeros((70, 33, 3))
    alpha_sum = np.zeros((70, 33))
    for k in range(n):
        with Image.open(folder / f"layer_{k + 1:02d}.png") as picture:
            assert picture.mode == "RGBA"
            rgba = np.asarray(picture).astype(np.float64)
        total += rgba[:, :, :3] * rgba[:, :, 3:] / 255
        alpha_sum += rgba[:, :, 3]
    assert (alpha_sum == 255).all()
    photo = np.round(layers.image.astype(np.float64) * 255)
    # Rounding of the colours alone: half a level.
    assert np.abs(total - photo).max() < 0.51
    assert np.abs(np.round(total) - photo).max() <= 1


def test_without_exactness_colours_are_only_rounded(rng):
    layers = make(rng, 3, exact=False)
    pictures = quantized_rgba(layers)
    np.testing.assert_array_equal(
        pictures[1, :, :, :3], np.floor(layers.colors[:, :, 1] * np.float32(255) + np.float32(0.5))
    )


def test_layers_with_colours_describe_themselves(rng, tmp_path):
    layers = make(rng, 3)
    np.testing.assert_array_equal(layers.rgba(2)[:, :, :3], layers.colors[:, :, 2])
    np.testing.assert_array_equal(layers.rgba(2)[:, :, 3], layers.alphas[:, :, 2])
    np.testing.assert_allclose(layers.recomposed(), layers.image, atol=1e-6)
    plain = Layers(layers.alphas, layers.image)
    np.testing.assert_array_equal(plain.recomposed(), layers.image)
    picture = overview_picture(layers)
    assert picture.shape == overview_picture(plain).shape
    # At the right of the photograph the palette weighted by alpha.
    expected = np.clip(layers.alphas[0, 0] @ layers.palette, 0, 1) * 255
    np.testing.assert_allclose(picture[8, 33 + 16], expected, atol=0.51)


def test_overview_panels_show_own_colours_over_a_chequerboard():
    image = np.zeros((40, 40, 3))
    alphas = np.zeros((40, 40, 2))
    alphas[:20, :, 0], alphas[20:, :, 1] = 1, 1
    colors = np.zeros((40, 40, 2, 3))
    colors[:, :, 0] = [1, 0, 0]
    layers = Layers(alphas, image, colors=colors, palette=np.array([[0, 1.0, 0], [0, 0, 1]]))
    picture = overview_picture(layers)
    panel = picture[40 + 16 :][:40, 8:48]
    assert (panel[2:18, 2:38] == [255, 0, 0]).all()
    assert set(np.unique(panel[22:38, 2:38])) == {153, 204}


def test_colours_that_do_not_fit_are_refused(rng):
    layers = make(rng, 3, (5, 6))
    with pytest.raises(ValueError, match=r"colors must have shape \(5, 6, 3, 3\), got \(5, 6, 2, 3\)"):
        Layers(layers.alphas, layers.image, colors=layers.colors[:, :, :2])
    with pytest.raises(ValueError, match=r"colors must lie in \[0, 1\], got values in \[0, "):
        Layers(layers.alphas, layers.image, colors=np.where(layers.colors > 0.9, 1.5, 0.0))
    with pytest.raises(ValueError, match=r"colors must lie in \[0, 1\], got values in \[nan, nan\]"):
        Layers(layers.alphas, layers.image, colors=layers.colors * np.nan)
    with pytest.raises(ValueError, match=r"palette must have shape \(3, 3\), got \(2, 3\)"):
        Layers(layers.alphas, layers.image, palette=layers.palette[:2])
