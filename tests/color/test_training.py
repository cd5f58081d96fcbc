# SPDX-License-Identifier: MIT
from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from PIL import Image

import fastsoft
from fastsoft.cli import main
from fastsoft.color.models import load_model
from fastsoft.color.network_layers import LayerNetwork, Prediction
from fastsoft.color.training import (
    ColorTraining,
    PhotoFolders,
    augmented,
    color_losses,
    cut,
    make_batch,
    train_colors,
    training_palette,
)

SMALL = ColorTraining(steps=6, batch=2, crop=32, low=2, high=4, width=0.25, average=0.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Photographs of soft mixtures of a few colours, of different sizes, one smaller than what is cut."""
    path = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(3)
    for k, shape in enumerate([(48, 64), (40, 40), (70, 33), (20, 25)]):
        shares = fastsoft.guided_filter(np.zeros(shape), rng.random((*shape, 4)), radius=3, epsilon=1.0)
        shares = np.exp(25 * (shares - shares.mean()))
        image = (shares / shares.sum(axis=2, keepdims=True)) @ rng.random((4, 3))
        fastsoft.write_png(path / f"p{k}.png", image)
    (path / "notes.txt").write_text("no photograph")
    return path


def test_losses_by_their_formulas(rng):
    alphas = rng.dirichlet(np.ones(4), (2, 5, 6)).transpose(0, 3, 1, 2)
    colors, bases = rng.random((2, 2, 4, 3, 5, 6))
    image, palette = rng.random((2, 3, 5, 6)), rng.random((2, 4, 3))
    expected = dict.fromkeys(
        ("recomposition", "palette_recomposition", "distance", "offset_recomposition", "sparsity"), 0.0
    )
    for n, row, col in np.ndindex(2, 5, 6):
        a, u, b, c = alphas[n, :, row, col], colors[n, :, :, row, col], bases[n, :, :, row, col], image[n, :, row, col]
        expected["recomposition"] += np.abs(a @ u - c).sum() / 3
        expected["palette_recomposition"] += np.abs(a @ palette[n] - c).sum() / 3
        expected["offset_recomposition"] += np.abs(a @ b - c).sum() / 3
        expected["distance"] += a @ np.linalg.norm(u - palette[n], axis=1)
        expected["sparsity"] += a.sum() / (a**2).sum() - 1
    prediction = Prediction(*(torch.from_numpy(x) for x in (alphas, bases, colors)))
    found = color_losses(prediction, torch.from_numpy(image), torch.from_numpy(palette))
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert float(found[name]) == pytest.approx(value / 60, abs=1e-6), name


def test_losses_have_slopes_where_layers_are_opaque_and_of_palette_colour():
    alphas = torch.zeros(1, 2, 4, 4)
    alphas[:, 0] = 1
    palette = torch.tensor([[[0.2, 0.4, 0.6], [0.9, 0.9, 0.9]]])
    colors = palette[:, :, :, None, None].expand(1, 2, 3, 4, 4).clone().requires_grad_()
    losses = color_losses(Prediction(alphas, colors, colors), torch.full((1, 3, 4, 4), 0.5), palette)
    sum(losses.values()).backward()
    assert colors.grad.isfinite().all()


@pytest.mark.parametrize("name", ["recomposition", "palette_recomposition", "distance", "sparsity"])
def test_every_loss_can_be_left_out(folder, tmp_path, name):
    """A run without one loss ends with other weights: its weight reaches the gradient."""
    data = PhotoFolders([folder])
    with_all = train_colors(data, SMALL, tmp_path / "all").state_dict()
    without = train_colors(data, dataclasses.replace(SMALL, **{name: 0.0}), tmp_path / "without").state_dict()
    assert not all(torch.equal(value, without[key]) for key, value in with_all.items())


def test_training_lowers_the_losses_and_writes_weights(folder, tmp_path):
    settings = dataclasses.replace(SMALL, steps=120, low=4, high=4, learning_rate=3e-3, augment=False)
    data = PhotoFolders([folder])
    network = train_colors(data, settings, tmp_path)
    torch.manual_seed(settings.seed)
    untrained = LayerNetwork(settings.channels)

    def loss(which):
        totals = []
        for step in range(1000, 1010):
            image, palette = make_batch(data, settings, step)
            with torch.inference_mode():
                losses = color_losses(which(image, palette), image, palette)
            totals.append(sum(getattr(settings, name) * float(value) for name, value in losses.items()))
        return np.mean(totals)

    # Without training a network is a fair unmixer already, see tests of it; these few steps take off a twentieth.
    assert loss(network) < 0.97 * loss(untrained)
    record = json.loads((tmp_path / "training.json").read_text())
    assert len(record["losses"]) == 120
    assert record["settings"]["crop"] == 32
    model = load_model(tmp_path / "colors.safetensors")
    image, palette = make_batch(data, settings, 1)
    alphas, _ = model.alphas(image[0].permute(1, 2, 0).numpy(), palette[0].numpy())
    with torch.inference_mode():
        np.testing.assert_allclose(alphas, network(image, palette).alphas[0].permute(1, 2, 0), atol=1e-5)


@pytest.mark.parametrize("stop_at", [1, 4])
@pytest.mark.parametrize("average", [0.0, 0.9])
def test_an_interrupted_run_ends_with_the_same_weights(folder, tmp_path, stop_at, average):
    data, settings = PhotoFolders([folder]), dataclasses.replace(SMALL, average=average)
    whole = train_colors(data, settings, tmp_path / "whole").state_dict()

    def interrupt(step, _):
        if step == stop_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_colors(data, settings, tmp_path / "parts", progress=interrupt)
    assert not (tmp_path / "parts" / "colors.safetensors").exists()
    resumed = train_colors(data, settings, tmp_path / "parts").state_dict()
    assert all(torch.equal(value, resumed[key]) for key, value in whole.items())


def test_weights_are_kept_on_the_way(folder, tmp_path):
    train_colors(PhotoFolders([folder]), SMALL, tmp_path, keep_every=4)
    assert sorted(path.name for path in tmp_path.glob("*.safetensors")) == [
        "colors.safetensors",
        "colors_000004.safetensors",
    ]
    with pytest.raises(ValueError, match="keep_every must be at least 1"):
        train_colors(PhotoFolders([folder]), SMALL, tmp_path, keep_every=0)


def test_a_run_can_start_from_weights(folder, tmp_path):
    data = PhotoFolders([folder])
    first = train_colors(data, SMALL, tmp_path / "first")
    still = dataclasses.replace(SMALL, steps=1, learning_rate=0.0, seed=9)
    second = train_colors(data, still, tmp_path / "second", initial_weights=tmp_path / "first" / "colors.safetensors")
    assert all(torch.equal(value, second.state_dict()[key]) for key, value in first.state_dict().items())
    wide = dataclasses.replace(still, width=0.5)
    with pytest.raises(ValueError, match="must have shape"):
        train_colors(data, wide, tmp_path / "third", initial_weights=tmp_path / "first" / "colors.safetensors")


def test_a_checkpoint_of_other_settings_is_refused(folder, tmp_path):
    train_colors(PhotoFolders([folder]), dataclasses.replace(SMALL, steps=1), tmp_path)
    with pytest.raises(ValueError, match=r"output .* must be empty or hold a run of the same settings"):
        train_colors(PhotoFolders([folder]), SMALL, tmp_path)


def test_batches_depend_on_seed_and_step_alone(folder):
    data = PhotoFolders([folder])
    one, two = make_batch(data, SMALL, 3), make_batch(data, SMALL, 3)
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    assert not torch.equal(one[0], make_batch(data, SMALL, 4)[0])
    sizes = {make_batch(data, SMALL, step)[1].shape[1] for step in range(30)}
    assert sizes == {2, 3, 4}
    assert one[0].shape == (2, 3, 32, 32)
    assert one[0].dtype == one[1].dtype == torch.float32


def test_every_photograph_is_seen_once_per_epoch(folder, monkeypatch):
    data = PhotoFolders([folder])
    seen = []
    load = PhotoFolders.load
    monkeypatch.setattr(PhotoFolders, "load", lambda self, index: (seen.append(index), load(self, index))[1])
    for step in range(4):
        make_batch(data, SMALL, step)
    assert sorted(seen[:4]) == sorted(seen[4:]) == [0, 1, 2, 3]


def test_palettes_are_usable(rng):
    grey = np.full((30, 30, 3), 0.5, dtype=np.float32)
    photo = rng.random((30, 30, 3)).astype(np.float32)
    for image in (grey, photo, photo[:1, :3]):
        for _ in range(20):
            palette = training_palette(image, 10, rng)
            assert palette.shape == (10, 3)
            assert palette.min() >= 0
            assert palette.max() <= 1
            distance = np.linalg.norm(palette[:, None] - palette, axis=2) + np.eye(10)
            assert distance.min() > 0.02
    plain = training_palette(photo, 4, rng, varied=False)
    found = fastsoft.kmeans(photo.reshape(-1, 3).astype(np.float64), 4, init=plain).centers
    np.testing.assert_allclose(plain, found, atol=0.05)


def test_augmented_photographs_are_photographs(rng):
    image = rng.random((40, 60, 3)).astype(np.float32)
    shapes = set()
    for _ in range(60):
        changed = augmented(image, rng)
        shapes.add(changed.shape[0] > changed.shape[1])
        assert changed.dtype == np.float32
        assert changed.min() >= 0
        assert changed.max() <= 1
        assert cut(changed, 48, rng).shape == (48, 48, 3)
    assert shapes == {True, False}


def test_bad_settings_and_folders_are_refused(tmp_path):
    for wrong, message in [
        ({"crop": 30}, "crop must be a multiple of 16, got 30"),
        ({"low": 1}, r"low must be in 2..10, got 1"),
        ({"low": 5, "high": 4}, r"high must be in 5..10, got 4"),
        ({"distance": -1.0}, "distance must be at least 0"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"average": 1.0}, "average must be at least 0 and at most 0.9999"),
    ]:
        with pytest.raises(ValueError, match=message):
            ColorTraining(**wrong)
    with pytest.raises(ValueError, match=r"data must be folders of photographs, got .*none, which is none"):
        PhotoFolders([tmp_path / "none"])
    with pytest.raises(ValueError, match=r"data must be folders of photographs, got .* without any"):
        PhotoFolders([tmp_path])
    (tmp_path / "images").mkdir()
    Image.fromarray(np.zeros((8, 9, 3), dtype=np.uint8)).save(tmp_path / "images" / "a.png")
    assert len(PhotoFolders([tmp_path])) == 1


def test_the_command_trains_and_reports_errors(folder, tmp_path, capsys):
    arguments = ["train", "colors", str(folder), "-o", str(tmp_path / "out"), "--steps", "2", "--crop", "32"]
    arguments += ["--width", "0.25", "--batch", "1", "--high", "3", "--threads", "1"]
    assert main(arguments) == 0
    streams = capsys.readouterr()
    assert "loss" in streams.err
    assert f"weights in {tmp_path / 'out'}/colors.safetensors" in streams.out
    photo = str(folder / "p0.png")
    assert (
        main(
            [
                "colors",
                photo,
                "-o",
                str(tmp_path / "layers"),
                "--weights",
                str(tmp_path / "out/colors.safetensors"),
                "--colors",
                "3",
                "-q",
            ]
        )
        == 0
    )
    assert (tmp_path / "layers" / "p0" / "layer_03.png").is_file()
    assert main([*arguments, "--seed", "4", "-q"]) == 1
    assert "must be empty or hold a run of the same settings" in capsys.readouterr().err
    assert main(["train", "colors", str(tmp_path / "none"), "-o", str(tmp_path / "x"), "-q"]) == 1
    assert "data must be folders of photographs" in capsys.readouterr().err
    assert main(["train", "colors", str(folder), "-o", str(tmp_path / "x"), "--crop", "30", "-q"]) == 1
    assert "crop must be a multiple of 16" in capsys.readouterr().err
