# SPDX-License-Identifier: MIT
from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import fastsoft
from fastsoft.cli import main
from fastsoft.color import smooth_alphas, smooth_layers
from fastsoft.color.network_layers import LayerModel, LayerNetwork, save_network
from fastsoft.color.palette import replace_nearest
from fastsoft.layers import Layers, save_layers

RED, BLUE, WHITE = (0.8, 0.2, 0.15), (0.2, 0.3, 0.7), (0.9, 0.9, 0.88)


@pytest.fixture
def image(rng):
    """A red disc with a soft edge on blue, a white stripe, and light that varies."""
    row, col = np.mgrid[:64, :80]
    disc = 1 / (1 + np.exp((np.hypot(row - 32, col - 30) - 16) / 1.5))[:, :, None]
    image = disc * np.array(RED) + (1 - disc) * np.array(BLUE)
    image[:, 65:70] = WHITE
    return np.clip(image * rng.uniform(0.95, 1.05, (64, 80, 1)), 0, 1)


@pytest.fixture
def layers(image):
    """By an untrained network: distances to the palette."""
    palette = np.array([RED, BLUE, WHITE])
    return fastsoft.decompose_colors(image, palette, weights=LayerModel(LayerNetwork()))


def test_recolouring_moves_the_picture_by_alpha_times_the_change(layers, image):
    green = np.array([0.3, 0.6, 0.2])
    found = fastsoft.recolor(layers, {0: green})
    expected = image + layers.alphas[:, :, :1] * (green - RED)
    # Some colours meet 0 or 1 and stop there.
    inside = ((layers.colors[:, :, 0] + green - RED >= 0) & (layers.colors[:, :, 0] + green - RED <= 1)).all(axis=2)
    assert inside.mean() > 0.9
    np.testing.assert_allclose(found.image[inside], expected[inside], atol=1e-12)
    # Light varies by 5 %, which the other layers take.
    np.testing.assert_allclose(found.image[32, 30] - image[32, 30], green - RED, atol=0.05)
    np.testing.assert_allclose(found.image[32, 67], image[32, 67], atol=0.05)
    np.testing.assert_array_equal(found.alphas, layers.alphas)
    np.testing.assert_array_equal(found.palette, [green, BLUE, WHITE])
    np.testing.assert_allclose(found.recomposed(), found.image, atol=1e-12)
    np.testing.assert_array_equal(layers.palette[0], RED)


def test_old_colours_change_nothing(layers, image):
    found = fastsoft.recolor(layers, layers.palette)
    np.testing.assert_array_equal(found.colors, layers.colors)
    np.testing.assert_allclose(found.image, image, atol=1e-12)


def test_whole_palettes_and_single_colours(layers):
    new = np.array([[0.1, 0.1, 0.1], BLUE, [1.0, 1.0, 0.0]])
    one = fastsoft.recolor(layers, new)
    two = fastsoft.recolor(layers, {2: new[2], 0: new[0]})
    np.testing.assert_array_equal(one.colors, two.colors)
    assert one.colors.min() >= 0
    assert one.colors.max() <= 1
    assert one.settings["recolored"] == "#1a1a1a #334db3 #ffff00"


def test_recoloured_layers_on_disk_recompose_the_new_picture(layers, tmp_path):
    changed = fastsoft.recolor(layers, {1: (0.1, 0.6, 0.3)})
    folder = save_layers(changed, tmp_path / "out")
    total = 0
    for k in range(3):
        with Image.open(folder / f"layer_{k + 1:02d}.png") as picture:
            rgba = np.asarray(picture).astype(np.float64)
        total = total + rgba[:, :, :3] * rgba[:, :, 3:] / 255
    assert np.abs(total - changed.image * 255).max() <= 1


def test_smoothed_layers_still_recompose_the_photograph(layers, image):
    found = smooth_layers(layers, radius=2, epsilon=1e-2)
    np.testing.assert_array_equal(found.alphas, smooth_alphas(layers.alphas, image, radius=2, epsilon=1e-2))
    assert np.abs(found.alphas - layers.alphas).max() > 0.05
    np.testing.assert_allclose(found.recomposed(), image, atol=1e-12)
    assert found.settings["smooth"] == 2


def test_bad_palettes_are_refused(layers, image):
    with pytest.raises(ValueError, match="layers must have a palette and colours of their own"):
        fastsoft.recolor(Layers(layers.alphas, image), layers.palette)
    with pytest.raises(ValueError, match=r"palette must have shape \(3, 3\), got \(2, 3\)"):
        fastsoft.recolor(layers, layers.palette[:2])
    with pytest.raises(ValueError, match=r"palette must lie in \[0, 1\]"):
        fastsoft.recolor(layers, layers.palette + 0.5)
    with pytest.raises(ValueError, match=r"number of a layer must be in 0..2, got 3"):
        fastsoft.recolor(layers, {3: RED})
    with pytest.raises(ValueError, match=r"a colour must lie in \[0, 1\]"):
        fastsoft.recolor(layers, {0: (255, 0, 0)})
    with pytest.raises(ValueError, match=r"a colour must have shape \(3\), got \(2,\)"):
        fastsoft.recolor(layers, {0: (0.5, 0.5)})


def test_colours_take_the_places_of_the_nearest():
    palette = np.array([[0.0, 0, 0], [0.5, 0.5, 0.5], [1, 1, 1]])
    found, places = replace_nearest(palette, [(0.6, 0.6, 0.6), (0.45, 0.5, 0.5)])
    # Both are nearest to the grey one; the closer of the two gets it.
    assert places == [2, 1]
    np.testing.assert_array_equal(found, [[0, 0, 0], [0.45, 0.5, 0.5], [0.6, 0.6, 0.6]])
    with pytest.raises(ValueError, match="colors must be at most 3"):
        replace_nearest(palette, np.zeros((4, 3)))


def test_the_command_recolours(image, tmp_path, capsys, monkeypatch):
    photo, weights = tmp_path / "photo.png", tmp_path / "w.safetensors"
    fastsoft.write_png(photo, image)
    save_network(LayerNetwork(), weights)
    arguments = ["recolor", str(photo), "--weights", str(weights), "--colors", "3", "--threads", "1"]
    out = tmp_path / "out"
    assert main([*arguments, "-o", str(out), "--from", "#cc3326", "--to", "#20c040"]) == 0
    assert "% of it recoloured" in capsys.readouterr().out
    found = fastsoft.read_image(out / "photo.png")
    assert found.shape == image.shape
    disc = found[28:36, 26:34].mean(axis=(0, 1))
    np.testing.assert_allclose(disc, [0x20 / 255, 0xC0 / 255, 0x40 / 255], atol=0.03)
    np.testing.assert_allclose(found[:10, :10], image[:10, :10], atol=0.03)
    monkeypatch.chdir(tmp_path)
    assert main([*arguments, "--from", "#cc3326", "--to", "#20c040", "-q"]) == 0
    np.testing.assert_array_equal(fastsoft.read_image("recolored/photo.png"), found)
    # As many colours as are replaced, although fewer were asked for.
    pairs = ["--from", "#cc3326", "#334db3", "#e6e6e0", "#000000", "--to", "#000000", "#111111", "#222222", "#333333"]
    assert main([*arguments, "-o", str(out), *pairs, "-q"]) == 0


def test_the_command_reports_errors(image, tmp_path, capsys):
    photo, weights = tmp_path / "photo.png", tmp_path / "w.safetensors"
    fastsoft.write_png(photo, image)
    save_network(LayerNetwork(), weights)
    arguments = ["recolor", str(photo), "-o", str(tmp_path)]
    pair = ["--from", "#cc3326", "--to", "#20c040"]
    arguments += ["--weights", str(weights), "-q"]
    before = photo.read_bytes()
    assert main([*arguments, *pair]) == 1
    assert "is the photo itself: choose another folder" in capsys.readouterr().err
    assert photo.read_bytes() == before
    for wrong in (["--from", "#cc3326", "--to", "#20c040", "#000000"], ["--from", "red", "--to", "#20c040"], []):
        with pytest.raises(SystemExit) as stopped:
            main([*arguments, *wrong])
        assert stopped.value.code == 2
    with pytest.raises(SystemExit):
        main([*arguments, "--from", "#cc3326", "#cc3326", "--to", "#20c040", "#000000"])
    assert "argument --from: must be different colours" in capsys.readouterr().err
