# SPDX-License-Identifier: MIT
from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

import fastsoft
from fastsoft.cli import main
from fastsoft.color import load_model, normalize_alphas, redistribute_alphas, smooth_alphas
from tests.color.conftest import AUTHORS_PALETTE, PALETTE


def test_layers_keep_what_they_promise(image, weights, dtype):
    image = image.astype(dtype)
    layers = fastsoft.decompose_colors(image, PALETTE, weights=weights)
    assert layers.alphas.dtype == layers.colors.dtype == dtype
    assert layers.alphas.min() >= 0
    assert layers.alphas.max() <= 1
    assert np.abs(layers.alphas.sum(axis=2, dtype=np.float64) - 1).max() < 1e-6
    assert layers.colors.min() >= 0
    assert layers.colors.max() <= 1
    assert np.abs(layers.recomposed() - image).max() < 20 * np.finfo(dtype).eps
    np.testing.assert_array_equal(layers.palette, PALETTE)
    assert list(layers.timings) == ["palette", "alphas", "processing", "colors", "recomposition"]
    assert layers.settings["palette"] == "#e61a1a #1a33cc #e6e633"


def test_without_exactness_colours_are_the_networks(image, weights):
    layers = fastsoft.decompose_colors(image, PALETTE, weights=weights, exact=False)
    model = load_model(weights)
    palette = PALETTE.astype(np.float32)
    alphas, state = model.alphas(image, palette)
    np.testing.assert_allclose(layers.alphas, alphas, atol=1e-6)
    np.testing.assert_array_equal(layers.colors, model.colors(image, palette, layers.alphas, state))
    assert np.abs(layers.recomposed() - image).max() > 0.01


def test_palette_by_number_is_that_of_k_means(image, weights):
    layers = fastsoft.decompose_colors(image, 3, weights=weights, seed=5)
    np.testing.assert_array_equal(layers.palette, fastsoft.color.color_palette(image, 3, seed=5))
    again = fastsoft.decompose_colors(image, weights=load_model(weights), seed=5)
    np.testing.assert_array_equal(again.colors, layers.colors)
    assert fastsoft.decompose_colors(image, 2, weights=weights).n_layers == 2


def test_alphas_are_processed_before_colours_are_predicted(image, weights):
    model, palette = load_model(weights), PALETTE.astype(np.float32)
    raw, state = model.alphas(image, palette)
    raw = normalize_alphas(raw)
    mask = np.zeros(image.shape[:2])
    mask[:, 40:] = 1
    seen = []

    def process(alphas):
        seen.append(alphas)
        return redistribute_alphas(alphas, mask, 0, 2)

    layers = fastsoft.decompose_colors(image, PALETTE, weights=model, smooth=2, process=process, exact=False)
    smooth = smooth_alphas(raw, image, radius=2, project=False)
    np.testing.assert_array_equal(seen[0], smooth)
    expected, _ = fastsoft.layers.project_to_simplex(redistribute_alphas(smooth, mask, 0, 2))
    np.testing.assert_array_equal(layers.alphas, expected)
    np.testing.assert_array_equal(layers.colors, model.colors(image, palette, expected, state))


def test_alphas_of_a_network_that_sees_none_of_the_colours_still_sum_to_one(image, weights):
    """Sigmoids of very negative numbers: the published normalisation gives a sum of about 0, or none at all."""
    for bias in (-18.0, -60.0, -200.0):
        model = load_model(weights)
        with torch.no_grad():
            model._alpha.conv5.bias += bias
        layers = fastsoft.decompose_colors(image, PALETTE, weights=model)
        assert np.abs(layers.alphas.sum(axis=2, dtype=np.float64) - 1).max() < 1e-6
        assert layers.alphas.min() >= 0
        np.testing.assert_allclose(layers.recomposed(), image, atol=2e-6)


def test_stages_are_reported_in_order(image, weights):
    seen = []
    fastsoft.decompose_colors(image, PALETTE, weights=weights, progress=lambda *call: seen.append(call))
    names = [name for name, _ in seen]
    assert list(dict.fromkeys(names)) == ["palette", "alphas", "processing", "colors", "recomposition"]
    assert all(0 <= fraction <= 1 for _, fraction in seen)

    def cancel(stage, fraction):
        if stage == "colors":
            raise fastsoft.Cancelled

    with pytest.raises(fastsoft.Cancelled):
        fastsoft.decompose_colors(image, PALETTE, weights=weights, progress=cancel)


def test_bad_arguments_are_refused(image, weights, rng):
    call = fastsoft.decompose_colors
    for palette, message in [
        ([], "palette must hold at least 2 colours, got none"),
        (PALETTE[:1], "palette must hold at least 2 colours, got 1"),
        (PALETTE[[0, 1, 0]], "palette must hold different colours, got #e61a1a more than once"),
        (PALETTE + 0.5, r"palette must lie in \[0, 1\]"),
        (rng.random((4, 3)), "palette must hold at most 3 colours for these weights, got 4"),
        (4, r"palette must be in 2..3, got 4"),
        (1, r"palette must be in 2..3, got 1"),
    ]:
        with pytest.raises(ValueError, match=message):
            call(image, palette, weights=weights)
    with pytest.raises(TypeError, match=r"palette must be an integer, got 2\.5"):
        call(image, 2.5, weights=weights)
    with pytest.raises(ValueError, match="smooth must be at least 0"):
        call(image, 3, weights=weights, smooth=-1)
    with pytest.raises(TypeError, match="exact must be True or False, got 1"):
        call(image, 3, weights=weights, exact=1)
    with pytest.raises(TypeError, match="process must be callable, got 3"):
        call(image, 3, weights=weights, process=3)
    with pytest.raises(ValueError, match=r"the alphas that process returned must have shape \(60, 77, 3\), got"):
        call(image, 3, weights=weights, process=lambda alphas: alphas[:, :, :2])
    with pytest.raises(ValueError, match="image must have at least 3 different colours, got 1"):
        call(np.zeros((5, 5, 3)), 3, weights=weights)
    with pytest.raises(ValueError, match=r"image must have shape \(H, W, 3\)"):
        call(image[:, :, 0], 3, weights=weights)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (9, 2)])
def test_narrow_photographs(rng, weights, shape):
    image = rng.random((*shape, 3)).astype(np.float32)
    layers = fastsoft.decompose_colors(image, PALETTE, weights=weights, smooth=3)
    np.testing.assert_allclose(layers.recomposed(), image, atol=1e-6)


def test_the_authors_networks_on_their_photograph(authors_model, authors_photo):
    layers = fastsoft.decompose_colors(authors_photo, AUTHORS_PALETTE, weights=authors_model, smooth=3)
    assert layers.alphas.min() >= 0
    assert np.abs(layers.recomposed() - authors_photo).max() < 1e-6
    # Most of the photograph is white paper.
    assert layers.alphas[:, :, 0].mean() == pytest.approx(167 / 255, abs=0.02)


@pytest.fixture
def photo(image, tmp_path):
    path = tmp_path / "photo.png"
    fastsoft.write_png(path, image)
    return path


def recomposed_from_files(folder, n):
    total = 0
    for k in range(n):
        with Image.open(folder / f"layer_{k + 1:02d}.png") as picture:
            rgba = np.asarray(picture).astype(np.float64)
        total = total + rgba[:, :, :3] * rgba[:, :, 3:] / 255
    return total


def test_the_command_writes_layers_that_recompose_the_photo(photo, weights, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = ["colors", str(photo), "-o", str(out), "--weights", str(weights), "--threads", "1"]
    assert main([*arguments, "--palette", "#e61a1a", "1a33cc", "#e6e633", "--smooth"]) == 0
    files = {path.name for path in (out / "photo").iterdir()}
    assert files == {*(f"layer_0{k}.png" for k in (1, 2, 3)), "overview.png", "alphas.npz", "settings.json"}
    with Image.open(photo) as picture:
        original = np.asarray(picture).astype(np.float64)
    assert np.abs(np.round(recomposed_from_files(out / "photo", 3)) - original).max() <= 1
    assert "3 layers in" in capsys.readouterr().out
    assert main([*arguments, "--colors", "2", "-q"]) == 0
    assert np.abs(np.round(recomposed_from_files(out / "photo", 2)) - original).max() <= 1
    assert not (out / "photo" / "layer_03.png").exists()


def test_the_command_takes_masks(photo, weights, tmp_path):
    mask = np.zeros((60, 77))
    mask[:30] = 1
    fastsoft.write_png(tmp_path / "mask.png", mask)
    out = tmp_path / "out"
    arguments = ["colors", str(photo), "-o", str(out), "--weights", str(weights), "-q"]
    assert main([*arguments, "--mask", str(tmp_path / "mask.png"), "3", "1"]) == 0
    with np.load(out / "photo" / "alphas.npz") as archive:
        alphas = archive["alphas"]
    assert (alphas[:30, :, 0] == 0).all()
    assert (alphas[30:, :, 2] == 0).all()


def test_the_command_reports_errors(photo, weights, tmp_path, capsys):
    arguments = ["colors", str(photo), "-o", str(tmp_path / "out")]
    assert main([*arguments, "--weights", str(tmp_path / "none.safetensors")]) == 1
    assert "cannot read weights from" in capsys.readouterr().err
    arguments += ["--weights", str(weights), "-q"]
    assert main([*arguments, "--colors", "4"]) == 1
    assert "palette must be in 2..3, got 4" in capsys.readouterr().err
    assert main([*arguments, "--palette", "#ff0000", "#00ff00", "#ff0000"]) == 1
    assert "different colours, got #ff0000 more than once" in capsys.readouterr().err
    assert main([*arguments, "--palette", "#ff0000"]) == 1
    assert "at least 2 colours, got 1" in capsys.readouterr().err
    fastsoft.write_png(tmp_path / "mask.png", np.zeros((5, 5)))
    assert main([*arguments, "--mask", str(tmp_path / "mask.png"), "1", "2"]) == 1
    assert "must have the size of the photo, 77x60, got 5x5" in capsys.readouterr().err
    fastsoft.write_png(tmp_path / "mask.png", np.zeros((60, 77)))
    assert main([*arguments, "--mask", str(tmp_path / "mask.png"), "1", "4"]) == 1
    assert "--mask must name layers of 1..3, got 4" in capsys.readouterr().err
    for wrong in (["--palette", "#ff00"], ["--colors", "1"], ["--colors", "2", "--palette", "#ff0000", "#00ff00"]):
        with pytest.raises(SystemExit) as stopped:
            main([*arguments, *wrong])
        assert stopped.value.code == 2
    with pytest.raises(SystemExit):
        main([*arguments, "--mask", "m.png", "0", "2"])
    assert "layers must be numbers from 1, got 0 and 2" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
