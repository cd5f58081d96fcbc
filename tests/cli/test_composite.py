# SPDX-License-Identifier: MIT
from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import fastsoft
from fastsoft.cli import main
from fastsoft.layers import Layers


@pytest.fixture
def layers(rng, tmp_path):
    """A folder of layers, and the photograph."""
    image = rng.random((20, 30, 3))
    alphas = rng.dirichlet(np.ones(3), (20, 30))
    fastsoft.save_layers(Layers(alphas, image), tmp_path / "layers")
    return tmp_path / "layers", image


def read(path):
    return np.asarray(Image.open(path)).astype(float)


def test_the_layers_of_a_folder_are_the_photograph(layers, tmp_path):
    folder, image = layers
    out = tmp_path / "out.png"
    assert main(["composite", str(folder), "-o", str(out), "--over", "#000000"]) == 0
    # Three layers, whose alphas were rounded one by one.
    assert np.abs(read(out) - 255 * image).max() < 3
    assert main(["composite", str(folder), "-o", str(out)]) == 0
    assert read(out).shape == (20, 30, 4)
    assert read(out)[:, :, 3].min() >= 253


def test_some_layers_over_a_picture(layers, rng, tmp_path):
    folder, _ = layers
    behind = rng.random((20, 30, 3))
    fastsoft.write_png(tmp_path / "behind.png", behind)
    files = [str(folder / f"layer_0{k}.png") for k in (1, 3)]
    assert main(["composite", *files, "-o", str(tmp_path / "out.png"), "--over", str(tmp_path / "behind.png")]) == 0
    a, b = (read(file) / 255 for file in files)
    rest = 1 - a[:, :, 3:] - b[:, :, 3:]
    expected = a[:, :, :3] * a[:, :, 3:] + b[:, :, :3] * b[:, :, 3:] + rest * read(tmp_path / "behind.png") / 255
    np.testing.assert_allclose(read(tmp_path / "out.png"), 255 * expected.clip(0, 1), atol=0.51)


def test_one_over_the_other(rng, tmp_path):
    files = [str(tmp_path / f"{k}.png") for k in range(3)]
    pictures = [rng.integers(0, 256, (9, 8, 4), dtype=np.uint8) for _ in files]
    for file, picture in zip(files, pictures, strict=True):
        fastsoft.write_png(file, picture)
    out = tmp_path / "out.png"
    assert main(["composite", *files, "-o", str(out), "--mode", "over", "--over", "#ff8000"]) == 0
    expected = np.broadcast_to([1.0, 128 / 255, 0.0], (9, 8, 3))
    for picture in pictures:
        alpha = picture[:, :, 3:] / 255
        expected = alpha * picture[:, :, :3] / 255 + (1 - alpha) * expected
    np.testing.assert_allclose(read(out), 255 * expected, atol=0.51)
    # Without anything behind: over a colour afterwards is the same.
    assert main(["composite", *files, "-o", str(out), "--mode", "over"]) == 0
    found = read(out) / 255
    again = found[:, :, :3] * found[:, :, 3:] + (1 - found[:, :, 3:]) * [1.0, 128 / 255, 0.0]
    np.testing.assert_allclose(again, expected, atol=1.1 / 255)


def test_the_command_reports_errors(layers, tmp_path, capsys):
    folder, _ = layers
    opaque = [str(tmp_path / name) for name in ("a.png", "b.png")]
    for file in opaque:
        fastsoft.write_png(file, np.full((20, 30, 3), 0.5))
    out = ["-o", str(tmp_path / "out.png")]
    assert main(["composite", *opaque, *out]) == 1
    assert "sum to at most 1 for --mode add, got a sum of 2: --mode over takes any" in capsys.readouterr().err
    fastsoft.write_png(opaque[1], np.full((5, 6, 3), 0.5))
    assert main(["composite", *opaque, *out]) == 1
    assert "layers must be of one size, 30x20, got" in capsys.readouterr().err
    assert main(["composite", opaque[0], "-o", opaque[0]]) == 1
    assert "is what is to be read: choose another name" in capsys.readouterr().err
    assert main(["composite", str(tmp_path), *out]) == 1
    assert "must be a folder of layers with a settings.json, got one without" in capsys.readouterr().err
    assert main(["composite", str(tmp_path / "none.png"), *out]) == 1
    assert "no such file" in capsys.readouterr().err
    (folder / "settings.json").write_text('{"files": ["overview.png"]}')
    assert main(["composite", str(folder), *out]) == 1
    assert "must hold layers, got none" in capsys.readouterr().err
    assert not (tmp_path / "out.png").exists()
