# SPDX-License-Identifier: MIT
"""The loop of every training, with a network small enough to follow by hand."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from fastsoft.training import run_training


@dataclass(frozen=True)
class Settings:
    steps: int = 7
    average: float = 0.0
    learning_rate: float = 0.25


def train(output, settings=None, *, accumulate=1, **options):
    """Fit a line to random points; return its weights and the learning rates of the updates."""
    settings = Settings() if settings is None else settings
    torch.manual_seed(0)
    network = torch.nn.Linear(2, 1).double()
    optimizer = torch.optim.SGD(network.parameters(), lr=settings.learning_rate, momentum=0.9)

    def backward(step, share):
        points = torch.from_numpy(np.random.default_rng(step).random((5, 2)))
        loss = (network(points)[:, 0] - points.sum(dim=1)).square().mean()
        (share * loss).backward()
        return float(loss.detach())

    run_training(
        network,
        optimizer,
        settings,
        output,
        name="line",
        backward=backward,
        write=lambda path, state: save_file({key: value.clone() for key, value in state.items()}, path),
        accumulate=accumulate,
        **options,
    )
    return network


def by_hand(settings, accumulate=1):
    """Return the weights after every update of the same run, from its formulas, in NumPy."""
    torch.manual_seed(0)
    start = torch.nn.Linear(2, 1).double()
    weights = np.append(start.weight.detach().numpy()[0], start.bias.detach().numpy())
    velocity, step, found = np.zeros(3), 0, [weights]
    while step < settings.steps:
        count = min(accumulate, settings.steps - step)
        gradient = np.zeros(3)
        for k in range(step, step + count):
            points = np.append(np.random.default_rng(k).random((5, 2)), np.ones((5, 1)), axis=1)
            gradient += 2 * points.T @ (points @ weights - points[:, :2].sum(axis=1)) / 5 / count
        velocity = 0.9 * velocity + gradient
        weights = weights - settings.learning_rate * (1 - step / settings.steps) ** 0.9 * velocity
        found.append(weights)
        step += count
    return found


def flat(network):
    return np.append(network.weight.detach().numpy()[0], network.bias.detach().numpy())


@pytest.mark.parametrize("accumulate", [1, 3])
def test_updates_by_their_formulas(tmp_path, accumulate):
    found = flat(train(tmp_path, accumulate=accumulate))
    np.testing.assert_allclose(found, by_hand(Settings(), accumulate)[-1], atol=1e-12)
    record = json.loads((tmp_path / "training.json").read_text())
    assert record["settings"] == asdict(Settings())
    assert len(record["losses"]) == 7


@pytest.mark.parametrize("accumulate", [1, 3])
def test_the_written_weights_are_the_running_mean(tmp_path, accumulate):
    settings = Settings(average=0.5)
    found = flat(train(tmp_path, settings, accumulate=accumulate))
    weights = by_hand(settings, accumulate)
    expected = weights[0]
    for k, new in enumerate(weights[1:]):
        keep = min(0.5, (1 + k) / (10 + k))
        expected = keep * expected + (1 - keep) * new
    np.testing.assert_allclose(found, expected, atol=1e-12)
    np.testing.assert_array_equal(load_file(tmp_path / "line.safetensors")["bias"], found[2:])


@pytest.mark.parametrize("stop_at", [1, 3, 6])
@pytest.mark.parametrize(("accumulate", "average"), [(1, 0.0), (1, 0.9), (3, 0.9)])
def test_an_interrupted_run_ends_with_the_same_weights(tmp_path, stop_at, accumulate, average):
    settings = Settings(average=average)
    whole = train(tmp_path / "whole", settings, accumulate=accumulate)

    def interrupt(step, _):
        if step >= stop_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "parts", settings, accumulate=accumulate, progress=interrupt)
    assert not (tmp_path / "parts" / "line.safetensors").exists()
    resumed = train(tmp_path / "parts", settings, accumulate=accumulate)
    np.testing.assert_array_equal(flat(resumed), flat(whole))


def test_an_update_cut_in_two_is_not_kept(tmp_path, monkeypatch):
    whole = train(tmp_path / "whole")
    step = torch.optim.SGD.step
    calls = []

    def cut(optimizer, *arguments):
        step(optimizer, *arguments)
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(torch.optim.SGD, "step", cut)
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / "parts", save_every=2)
    assert torch.load(tmp_path / "parts" / "checkpoint.pt", weights_only=True)["step"] == 2
    np.testing.assert_array_equal(flat(train(tmp_path / "parts")), flat(whole))


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(tmp_path, monkeypatch):
    save = torch.save
    calls = []

    def full(state, file):
        calls.append(1)
        if len(calls) > 1:
            file.write(b"half")
            raise OSError("no space left on device")
        save(state, file)

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", full)
        with pytest.raises(OSError, match="no space left"):
            train(tmp_path, save_every=2)
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["step"] == 2
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_weights_are_kept_on_the_way(tmp_path):
    train(tmp_path, keep_every=2, accumulate=3)
    # Updates end at 3, 6 and 7: each is the first at or beyond a multiple of 2.
    names = ["line.safetensors", "line_000003.safetensors", "line_000006.safetensors"]
    assert sorted(path.name for path in tmp_path.glob("*.safetensors")) == names
    with pytest.raises(ValueError, match="keep_every must be at least 1"):
        train(tmp_path, keep_every=0)


def test_a_checkpoint_of_other_settings_is_refused(tmp_path):
    train(tmp_path)
    with pytest.raises(ValueError, match=r"output .* must be empty or hold a run of the same settings"):
        train(tmp_path, replace(Settings(), steps=8))
