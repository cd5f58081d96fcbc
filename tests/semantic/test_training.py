# SPDX-License-Identifier: MIT
from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from PIL import Image

from fastsoft.cli import main
from fastsoft.semantic import training
from fastsoft.semantic.network import HypercolumnNetwork
from fastsoft.semantic.training import (
    FeatureTraining,
    RegionFolder,
    augmented,
    n_pair_loss,
    sample_pixels,
    train_features,
)
from fastsoft.weights import read_weights
from tests.reference.n_pair import n_pair_loss as reference

SMALL = FeatureTraining(
    steps=6, n_regions=2, n_pixels=20, n_samplings=2, optimizer="adamw", learning_rate_new=1e-3, learning_rate_base=1e-4
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Photographs of a bright, textured disc on a dark ground, and maps of the two."""
    path = tmp_path_factory.mktemp("regions")
    rng = np.random.default_rng(3)
    for part in ("images", "labels", "labels_all"):
        (path / part).mkdir()
    row, col = np.mgrid[:48, :64]
    for k in range(4):
        disc = (row - rng.integers(15, 33)) ** 2 + (col - rng.integers(15, 48)) ** 2 < rng.integers(8, 14) ** 2
        image = np.where(disc[:, :, None], [200, 120, 60], [40, 60, 90]) + rng.normal(0, 12, (48, 64, 3))
        Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(path / "images" / f"p{k}.png")
        Image.fromarray((1 + disc).astype(np.uint8)).save(path / "labels" / f"p{k}.png")
        # A second annotator saw three regions.
        Image.fromarray(np.where(disc, 2, 1 + 2 * (row > 40)).astype(np.uint8)).save(
            path / "labels_all" / f"p{k}_a2.png"
        )
        Image.fromarray((1 + disc).astype(np.uint8)).save(path / "labels_all" / f"p{k}_a1.png")
    return path


def test_loss_equals_the_double_loop(rng):
    features, labels = rng.normal(0, 2, (17, 5)), rng.integers(1, 4, 17)
    found = n_pair_loss(torch.from_numpy(features), torch.from_numpy(labels))
    np.testing.assert_allclose(float(found), reference(features, labels), rtol=1e-12)


def test_balanced_loss_is_the_mean_of_both_kinds(rng):
    features, labels = rng.normal(0, 2, (9, 4)), np.array([1, 1, 1, 1, 1, 2, 2, 3, 4])
    pairs = [[reference(features[[p, q]], labels[[p, q]]) for q in range(9)] for p in range(9)]
    # Of the four pairs of two pixels two are a pixel with itself and cost nothing.
    loss = 2 * np.array(pairs)
    same = labels[:, None] == labels
    found = n_pair_loss(torch.from_numpy(features), torch.from_numpy(labels), balanced=True)
    np.testing.assert_allclose(float(found), (loss[same].mean() + loss[~same].mean()) / 2, rtol=1e-12)


def test_kept_levels_of_a_frozen_base_change_nothing_when_resumed(folder, tmp_path):
    data = RegionFolder(folder)
    settings = dataclasses.replace(SMALL, freeze_base=True, augment=False)
    whole = train_features(data, settings, tmp_path / "whole").state_dict()

    def interrupt(step, _):
        if step == 5:  # the second time round, when levels come from memory
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_features(data, settings, tmp_path / "parts", progress=interrupt)
    resumed = train_features(data, settings, tmp_path / "parts").state_dict()
    assert all(torch.equal(value, resumed[key]) for key, value in whole.items())


def test_a_photograph_whose_levels_are_kept_is_read_once(folder, tmp_path, monkeypatch):
    read = []
    original = training.read_image
    monkeypatch.setattr(training, "read_image", lambda path: read.append(path.name) or original(path))
    settings = dataclasses.replace(SMALL, steps=9, freeze_base=True, augment=False)
    train_features(RegionFolder(folder), settings, tmp_path / "out")
    assert sorted(read) == ["p0.png", "p1.png", "p2.png", "p3.png"]


def test_maps_of_another_size_are_refused_though_levels_are_kept(folder, tmp_path):
    data = RegionFolder(folder)
    with pytest.raises(ValueError, match=r"labels .* must have the size of p0.png, 48x60, got 48x64"):
        data.load_labels(0, (48, 60))
    assert data.load_labels(0, (48, 64)).dtype == np.int64


@pytest.mark.parametrize(
    ("values", "usable"), [((0, 0), False), ((5, 5), False), ((0, 9), False), ((1, 2), True), ((0, 7, 3), True)]
)
def test_only_photographs_of_two_regions_are_used(tmp_path, values, usable):
    for part in ("images", "labels"):
        (tmp_path / part).mkdir()
    for name in ("a", "b"):
        Image.fromarray(np.zeros((8, 9, 3), dtype=np.uint8)).save(tmp_path / "images" / f"{name}.png")
    Image.fromarray(np.resize(np.uint8([1, 2]), (8, 9))).save(tmp_path / "labels" / "a.png")
    Image.fromarray(np.resize(np.uint8(values), (8, 9))).save(tmp_path / "labels" / "b.png")
    data = RegionFolder(tmp_path)
    assert len(data) == 1 + usable
    assert data.skipped == ([] if usable else ["b.png: a single region"])


def test_pixels_drawn_by_area_follow_the_areas(rng):
    labels = np.ones((30, 40), dtype=np.int64)
    labels[:, 30:] = 2
    labels[0] = 0
    rows, cols, regions = sample_pixels(labels, 4, 1000, rng, by_area=True)
    assert len(rows) == 4000
    assert (labels[rows, cols] == regions).all()
    assert (regions != 0).all()
    # Five deviations of a share of a quarter.
    assert abs((regions == 2).mean() - 0.25) < 5 * np.sqrt(0.25 * 0.75 / 4000)


def test_pixels_drawn_by_area_are_of_two_regions_at_least(rng):
    labels = np.ones((200, 200), dtype=np.int64)
    labels[7, 9] = 2
    for _ in range(5):
        rows, cols, regions = sample_pixels(labels, 2, 5, rng, by_area=True)
        assert set(regions) == {1, 2}
        assert (labels[rows, cols] == regions).all()


def test_the_written_weights_are_the_running_mean(folder, tmp_path, monkeypatch):
    """Against the mean recomputed from the weights after every update, with the stated warm-up of its memory."""
    seen = []
    step = torch.optim.AdamW.step

    def recording(self, *arguments, **options):
        step(self, *arguments, **options)
        seen.append([p.detach().double().clone() for g in self.param_groups for p in g["params"]])

    monkeypatch.setattr(torch.optim.AdamW, "step", recording)
    torch.manual_seed(SMALL.seed)
    start = HypercolumnNetwork(SMALL.backbone, dropout=SMALL.dropout).named_parameters()
    new = {name: value.detach().double() for name, value in start if not name.startswith("base.")}
    names, expected = list(new), list(new.values())
    averaged = train_features(RegionFolder(folder), dataclasses.replace(SMALL, average=0.5), tmp_path / "mean")
    for k, weights in enumerate(seen):
        keep = min(0.5, (1 + k) / (10 + k))
        expected = [keep * old + (1 - keep) * new for old, new in zip(expected, weights, strict=False)]
    found = dict(averaged.named_parameters())
    for name, value in zip(names, expected, strict=True):
        np.testing.assert_allclose(found[name].detach().numpy(), value.numpy(), rtol=0, atol=1e-6)


def test_weights_kept_on_the_way_are_those_of_a_run_that_stopped_there(folder, tmp_path):
    data, settings = RegionFolder(folder), dataclasses.replace(SMALL, average=0.9, accumulate=2)
    train_features(data, settings, tmp_path / "run", keep_every=4)
    kept = sorted(path.name for path in (tmp_path / "run").glob("features_*.safetensors"))
    assert kept == ["features_000004.safetensors"]

    def interrupt(step, _):
        if step == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_features(data, settings, tmp_path / "stopped", progress=interrupt)
    mean = torch.load(tmp_path / "stopped" / "checkpoint.pt", weights_only=True)["mean"]
    state, _ = read_weights(tmp_path / "run" / kept[0])
    assert all(np.array_equal(value, mean[key].numpy()) for key, value in state.items())
    # The last weights are others: the run went on.
    last, _ = read_weights(tmp_path / "run" / "features.safetensors")
    assert not np.array_equal(last["feature.weight"], state["feature.weight"])


def test_a_run_with_a_running_mean_resumes_to_the_same_weights(folder, tmp_path):
    data, settings = RegionFolder(folder), dataclasses.replace(SMALL, average=0.9)
    whole = train_features(data, settings, tmp_path / "whole").state_dict()

    def interrupt(step, _):
        if step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_features(data, settings, tmp_path / "parts", progress=interrupt)
    resumed = train_features(data, settings, tmp_path / "parts").state_dict()
    assert all(torch.equal(value, resumed[key]) for key, value in whole.items())


def test_gradient_of_the_loss_equals_differences(rng):
    features, labels = rng.normal(0, 1, (6, 3)), np.array([1, 1, 2, 2, 2, 5])
    variable = torch.from_numpy(features).requires_grad_()
    n_pair_loss(variable, torch.from_numpy(labels)).backward()
    h = 1e-5
    expected = np.empty_like(features)
    for place in np.ndindex(features.shape):
        up, down = features.copy(), features.copy()
        up[place] += h
        down[place] -= h
        expected[place] = (reference(up, labels) - reference(down, labels)) / (2 * h)
    np.testing.assert_allclose(variable.grad.numpy(), expected, atol=1e-9)


def test_limits_of_the_loss():
    """Nothing for equal pixels of a region and far ones of two; pull and push of one strength at distance 0."""
    labels = torch.tensor([1, 2])
    far = n_pair_loss(torch.tensor([[0.0], [40.0]]), labels)
    assert float(far) == pytest.approx(0, abs=1e-12)
    together = n_pair_loss(torch.zeros(2, 1), labels)
    assert float(together) == pytest.approx(np.log(2) / 2)
    assert float(n_pair_loss(torch.ones(2, 1), torch.tensor([4, 4]))) == pytest.approx(0, abs=1e-7)
    # The slope by the distance D: +-1/2 at D = 0, over the two of four pairs that are no pixel with itself.
    h = 1e-3
    pull = n_pair_loss(torch.tensor([[0.0], [h**0.5]]).double(), torch.tensor([4, 4]))
    push = n_pair_loss(torch.tensor([[0.0], [h**0.5]]).double(), labels) - np.log(2) / 2
    assert float(pull) / h == pytest.approx(0.25, rel=1e-3)
    assert float(push) / h == pytest.approx(-0.25, rel=1e-3)


def test_sampling_is_balanced_and_leaves_zero_out(rng):
    labels = np.zeros((20, 30), dtype=np.int64)
    labels[:, 5:10], labels[3:5, 20:22], labels[:, 25:] = 4, 9, 6
    rows, cols, regions = sample_pixels(labels, 3, 50, rng)
    np.testing.assert_array_equal(labels[rows, cols], regions)
    values, counts = np.unique(regions, return_counts=True)
    assert values.tolist() == [4, 6, 9]
    assert counts.tolist() == [50, 50, 50]
    big = rows[regions == 4] * 30 + cols[regions == 4]
    assert len(np.unique(big)) == 50  # no pixel twice where there are enough
    drawn = {tuple(np.unique(sample_pixels(labels, 2, 1, rng)[2])) for _ in range(60)}
    assert drawn == {(4, 6), (4, 9), (6, 9)}
    with pytest.raises(ValueError, match="at least two regions besides 0, got 1"):
        sample_pixels((labels == 4).astype(int), 3, 5, rng)


def test_another_annotator_is_drawn(folder):
    data = RegionFolder(folder)
    assert len(data) == 4
    seen = {len(np.unique(data.load(0, np.random.default_rng(k))[1])) for k in range(20)}
    assert seen == {2, 3}


def test_augmentation_moves_photograph_and_map_together(rng):
    image = np.zeros((40, 60, 3), dtype=np.float32)
    labels = np.ones((40, 60), dtype=np.int64)
    image[:, 30:], labels[:, 30:] = 0.8, 2
    for _ in range(20):
        changed, regions = augmented(image, labels, rng)
        assert changed.shape[:2] == regions.shape
        assert changed.dtype == np.float32
        assert changed.min() >= 0
        assert changed.max() <= 1
        bright = changed.mean(axis=2) > 0.5 * changed.max()
        assert (bright == (regions == 2)).mean() > 0.95


def test_training_lowers_the_loss_and_writes_weights(folder, tmp_path):
    settings = dataclasses.replace(SMALL, steps=100, n_pixels=30, n_samplings=1, learning_rate_new=5e-3)
    data, losses = RegionFolder(folder), []
    data.items = [(image, [m for m in maps if "_a2" not in m.name]) for image, maps in data.items]
    network = train_features(data, settings, tmp_path, progress=lambda _, loss: losses.append(loss))
    assert np.mean(losses[-20:]) < 0.6 * np.mean(losses[:10])
    image, labels = RegionFolder(folder).load(0)
    with torch.inference_mode():
        features = network(torch.from_numpy(image.transpose(2, 0, 1).copy()), 1).permute(1, 2, 0).numpy()
    centres = [features[labels == k].mean(axis=0) for k in (1, 2)]
    nearest = np.stack([((features - c) ** 2).sum(axis=2) for c in centres]).argmin(axis=0) + 1
    assert (nearest == labels).mean() > 0.9
    record = json.loads((tmp_path / "training.json").read_text())
    assert len(record["losses"]) == 100
    assert (tmp_path / "features.safetensors").stat().st_size > 1e6


@pytest.mark.parametrize("stop_at", [1, 3, 5])
def test_an_interrupted_run_ends_with_the_same_weights(folder, tmp_path, stop_at):
    data = RegionFolder(folder)
    whole = train_features(data, SMALL, tmp_path / "whole").state_dict()

    def interrupt(step, _):
        if step == stop_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_features(data, SMALL, tmp_path / "parts", progress=interrupt)
    resumed = train_features(data, SMALL, tmp_path / "parts").state_dict()
    for key, value in whole.items():
        assert torch.equal(value, resumed[key]), key


def test_a_checkpoint_of_other_settings_is_refused(folder, tmp_path):
    train_features(RegionFolder(folder), dataclasses.replace(SMALL, steps=1), tmp_path)
    with pytest.raises(ValueError, match=r"output .* must be empty or hold a run of the same settings"):
        train_features(RegionFolder(folder), SMALL, tmp_path)


def test_a_frozen_base_does_not_move(folder, tmp_path):
    settings = dataclasses.replace(SMALL, steps=2, freeze_base=True)
    torch.manual_seed(settings.seed)
    before = {
        k: v.clone()
        for k, v in train_features(
            RegionFolder(folder), dataclasses.replace(settings, steps=1, learning_rate_new=0.0), tmp_path / "still"
        )
        .state_dict()
        .items()
    }
    after = train_features(RegionFolder(folder), settings, tmp_path / "moved").state_dict()
    assert all(torch.equal(after[k], v) for k, v in before.items() if k.startswith("base."))
    assert not all(torch.equal(after[k], v) for k, v in before.items() if k.startswith("hidden."))


def test_bad_folders_are_refused(folder, tmp_path):
    with pytest.raises(ValueError, match=r"must hold images/ and labels/, got .* without images/"):
        RegionFolder(tmp_path)
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    Image.fromarray(np.zeros((8, 9, 3), dtype=np.uint8)).save(tmp_path / "images" / "a.png")
    Image.fromarray(np.ones((8, 9), dtype=np.uint8)).save(tmp_path / "labels" / "a.png")
    with pytest.raises(ValueError, match="a photograph with a map of at least two regions, got none"):
        RegionFolder(tmp_path)
    Image.fromarray(np.arange(63, dtype=np.uint8).reshape(7, 9)).save(tmp_path / "labels" / "a.png")
    with pytest.raises(ValueError, match=r"must have the size of a.png, 8x9, got 7x9"):
        RegionFolder(tmp_path).load(0)
    Image.fromarray(np.zeros((8, 9, 3), dtype=np.uint8)).save(tmp_path / "labels" / "a.png")
    with pytest.raises(ValueError, match="must be one channel of integers"):
        RegionFolder(tmp_path)


def test_the_command_trains_and_reports_errors(folder, tmp_path, capsys):
    arguments = ["train", "features", str(folder), "-o", str(tmp_path / "out"), "--steps", "2", "--pixels", "10", "-q"]
    assert main([*arguments, "--samplings", "1"]) == 0
    assert (tmp_path / "out" / "features.safetensors").is_file()
    assert main(["train", "features", str(tmp_path), "-o", str(tmp_path / "x"), "-q"]) == 1
    assert "must hold images/ and labels/" in capsys.readouterr().err
    assert main([*arguments, "--samplings", "1", "--initial", str(tmp_path / "none.safetensors"), "--seed", "4"]) == 1
    assert "cannot read weights" in capsys.readouterr().err
