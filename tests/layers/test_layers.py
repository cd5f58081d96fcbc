# SPDX-License-Identifier: MIT
from __future__ import annotations

import errno
import json
import os
from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image
from scipy import sparse

import fastsoft
from fastsoft.layers import Layers, layer_colors, overview_picture, save_layers
from fastsoft.layers.files import check_folder_writable, stage_arrays
from fastsoft.layers.result import order_by_mass


@pytest.fixture
def layers(rng):
    alphas = rng.dirichlet(np.ones(3), (10, 14)).astype(np.float32)
    image = rng.random((10, 14, 3)).astype(np.float32)
    return Layers(alphas, image, 0.01, {"features": 0.5, "relaxation": 1.25}, {"seed": 3, "method": "semantic"})


def test_result_describes_itself(layers):
    assert layers.n_layers == 3
    assert repr(layers) == "Layers(3 layers of 14x10 pixels, 1.8 s)"
    np.testing.assert_array_equal(layers.rgba(1)[:, :, :3], layers.image)
    np.testing.assert_array_equal(layers.rgba(1)[:, :, 3], layers.alphas[:, :, 1])
    with pytest.raises(AttributeError):
        layers.alphas = layers.image


def test_inconsistent_results_are_refused(layers):
    with pytest.raises(ValueError, match=r"alphas must have shape \(9, 14, n\), got \(10, 14, 3\)"):
        Layers(layers.alphas, layers.image[:9])
    with pytest.raises(ValueError, match="alphas must sum to 1 at every pixel"):
        Layers(layers.alphas * np.float32(0.9), layers.image)
    with pytest.raises(ValueError, match=r"alphas must lie in \[0, 1\]"):
        Layers(layers.alphas - 1, layers.image)
    with pytest.raises(ValueError, match="alphas must not be empty"):
        Layers(layers.alphas[:, :, :0], layers.image)


def test_foregrounds_are_what_was_mixed():
    """Three layers of one colour each, blended over 20 pixels: each shows its own colour where it can be seen."""
    x = np.linspace(0, 1, 96, dtype=np.float32)
    first, last = np.clip((0.45 - x) / 0.2, 0, 1), np.clip((x - 0.55) / 0.2, 0, 1)
    alphas = np.tile(np.stack([first, 1 - first - last, last], axis=1), (40, 1, 1))
    own = np.array([[0.8, 0.2, 0.1], [0.1, 0.7, 0.2], [0.2, 0.1, 0.9]], dtype=np.float32)
    image = alphas @ own
    calls = []
    plain = Layers(alphas, image, settings={"seed": 3}, timings={"relaxation": 1.0})
    found = plain.with_foregrounds(progress=lambda stage, fraction: calls.append((stage, fraction)))
    assert plain.colors is None
    assert found.colors.dtype == np.float32
    np.testing.assert_allclose(found.recomposed(), image, atol=1e-6)
    visible = alphas > 0.1
    assert np.abs(found.colors - own)[visible].max() < 0.08
    assert np.abs(image[:, :, None] - own)[visible].max() > 0.5  # what the photograph's colours would show
    assert found.settings == {"seed": 3, "exact": True}
    assert list(found.timings) == ["relaxation", "foregrounds"]
    assert calls[0] == ("foregrounds", 0.0)
    assert calls[-1] == ("foregrounds", 1.0)
    assert found.with_foregrounds() is found
    loose = plain.with_foregrounds(exact=False)
    assert np.abs(loose.recomposed() - image).max() > 1e-6


def test_order_by_mass():
    alphas = np.zeros((2, 5, 4))
    alphas[:, :1, 0] = alphas[:, 1:4, 1] = alphas[:, 4:, 3] = 1
    assert order_by_mass(alphas).tolist() == [1, 0, 3, 2]


def test_colours_are_told_apart():
    for n in (1, 5, 10, 40):
        colors = layer_colors(n)
        assert colors.shape == (n, 3)
        assert colors.min() >= 0
        assert colors.max() <= 1
        if n > 1:
            distance = np.linalg.norm(colors[:, None] - colors[None], axis=2)[~np.eye(n, dtype=bool)]
            assert distance.min() > (0.25 if n <= 10 else 0.03)
    np.testing.assert_array_equal(layer_colors(40)[:5], layer_colors(5))
    with pytest.raises(ValueError, match="n_layers must be at least 1, got 0"):
        layer_colors(0)


@pytest.mark.parametrize("n", [1, 2, 3, 5, 7])
@pytest.mark.parametrize("shape", [(20, 31), (31, 20), (3, 3)])
def test_overview_shows_photo_mix_and_single_layers(rng, n, shape):
    alphas = rng.dirichlet(np.ones(n), shape)
    image = rng.random((*shape, 3))
    picture = overview_picture(Layers(alphas, image))
    height, width = shape
    assert picture.dtype == np.uint8
    assert picture.shape[1] == 2 * width + 24
    np.testing.assert_allclose(picture[8 : 8 + height, 8 : 8 + width], image * 255, atol=0.51)
    mix = np.einsum("hwn,nc->hwc", alphas, layer_colors(n))
    np.testing.assert_allclose(picture[8 : 8 + height, width + 16 : 2 * width + 16], mix * 255, atol=0.51)
    # Reduced panels keep the mean: the first one is the first layer's colour over white.
    panel_width = min(width, max(1, (picture.shape[1] - 8 * (min(n, 5) + 1)) // min(n, 5)))
    panel_height = max(1, round(height * panel_width / width))
    panel = picture[height + 16 :, 8 : 8 + panel_width][:panel_height]
    mean = alphas[:, :, 0].mean()
    np.testing.assert_allclose(
        panel.mean(axis=(0, 1)), 255 * (mean * layer_colors(n)[0] + 1 - mean), atol=2
    )  # box filters of a fractional width keep the mean nearly


def test_saved_files_hold_the_layers(layers, tmp_path):
    folder = save_layers(layers, tmp_path / "deep" / "out", source="cat.jpg")
    assert sorted(os.listdir(folder)) == [
        "alphas.npz", "layer_01.png", "layer_02.png", "layer_03.png", "overview.png", "settings.json",
    ]  # fmt: skip
    assert os.listdir(folder.parent) == ["out"]
    for k in range(3):
        stored = np.asarray(Image.open(folder / f"layer_{k + 1:02d}.png"))
        np.testing.assert_allclose(stored, layers.rgba(k) * 255, atol=0.51)
    with np.load(folder / "alphas.npz", allow_pickle=False) as archive:
        np.testing.assert_array_equal(archive["alphas"], layers.alphas)
        assert archive["alphas"].dtype == np.float32
    np.testing.assert_array_equal(np.asarray(Image.open(folder / "overview.png")), overview_picture(layers))
    settings = json.loads((folder / "settings.json").read_text())
    assert settings["fastsoft"] == fastsoft.__version__
    assert settings["source"] == "cat.jpg"
    assert settings["device"] == "cpu"
    assert settings["threads"] == fastsoft.num_threads()
    assert settings["image"] == {"width": 14, "height": 10}
    assert settings["settings"] == {"seed": 3, "method": "semantic"}
    assert settings["seconds"] == {"features": 0.5, "relaxation": 1.25}
    assert settings["largest_correction"] == 0.01
    assert 10**6 < settings["peak_memory_bytes"] < 10**12


def test_saving_again_replaces_our_files_and_no_others(layers, tmp_path):
    folder = layers.save(tmp_path / "out")
    (folder / "notes.txt").write_text("mine")
    (folder / "layer_09.png").write_text("also mine")
    fewer = Layers(layers.alphas.sum(axis=2, keepdims=True), layers.image, stages={"features": np.zeros(3)})
    save_layers(fewer, folder)
    ours = ["alphas.npz", "layer_01.png", "overview.png", "settings.json"]
    assert sorted(os.listdir(folder)) == sorted([*ours, "layer_09.png", "notes.txt", "stages"])
    assert os.listdir(folder / "stages") == ["features.npz"]
    save_layers(layers, folder)
    assert "stages" not in os.listdir(folder)
    assert os.listdir(tmp_path) == ["out"]


def test_a_forged_list_of_files_removes_nothing_else(layers, tmp_path):
    (tmp_path / "precious.txt").write_text("keep")
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "own.txt").write_text("keep")
    forged = ["../precious.txt", "own.txt", "stages/../../precious.txt", "layer_/../../precious.txt", 3]
    (folder / "settings.json").write_text(json.dumps({"files": forged}))
    save_layers(layers, folder)
    assert (tmp_path / "precious.txt").exists()
    assert (folder / "own.txt").exists()


@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), KeyboardInterrupt()])
@pytest.mark.parametrize("after", [0, 2, 4])
def test_failure_half_way_leaves_what_was_there(layers, tmp_path, monkeypatch, failure, after):
    target = tmp_path / "out"
    layers.save(target)
    before = {name: (target / name).read_bytes() for name in os.listdir(target)}
    calls = 0
    real = os.fsync

    def fill_up(descriptor):
        nonlocal calls
        calls += 1
        if calls > 2 * after:
            raise failure
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fill_up)
    for folder in (target, tmp_path / "new"):
        calls = 0
        with pytest.raises(type(failure)):
            Layers(layers.alphas[:, :, ::-1], layers.image).save(folder)
    assert os.listdir(tmp_path) == ["out"]
    assert before == {name: (target / name).read_bytes() for name in os.listdir(target)}


def test_real_full_disk_leaves_nothing(layers, tmp_path):
    """Files that may not grow beyond a limit fail in the middle of a write, as on a full disk."""
    resource = pytest.importorskip("resource")
    import signal

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (700, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            layers.save(tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert os.listdir(tmp_path) == []


def test_stage_results_become_named_arrays(rng):
    @dataclass(frozen=True)
    class Inner:
        matrix: object
        count: int

    @dataclass(frozen=True)
    class Outer:
        labels: np.ndarray
        inner: Inner
        nothing: None = None

    matrix = sparse.random_array((4, 4), density=0.5, rng=rng).tocsr()
    stencil = fastsoft.StencilMatrix(np.zeros((13, 2, 2)))
    arrays = stage_arrays(Outer(np.arange(3), Inner(fastsoft.OperatorSum([matrix, stencil]), 5)))
    assert sorted(arrays) == [
        "inner.count", "inner.matrix.0.data", "inner.matrix.0.indices", "inner.matrix.0.indptr",
        "inner.matrix.1.weights", "labels",
    ]  # fmt: skip
    np.testing.assert_array_equal(arrays["inner.matrix.0.data"], matrix.data)
    assert arrays["inner.count"] == 5


def test_folder_that_cannot_be_written_is_found_out(tmp_path):
    check_folder_writable(tmp_path / "a" / "b")
    assert os.listdir(tmp_path / "a" / "b") == []
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        check_folder_writable(tmp_path / "file")
    with pytest.raises(OSError, match="file"):
        check_folder_writable(tmp_path / "file" / "below")
