# SPDX-License-Identifier: MIT
from __future__ import annotations

import dataclasses
import json
import shutil

import numpy as np
import pytest
import torch

import fastsoft
from fastsoft.cli import main
from fastsoft.errors import ImageReadError
from fastsoft.matting.composition import CompositionData, CompositionSettings
from fastsoft.matting.network import MattingNetwork, network_of
from fastsoft.matting.planes import closed_form_plane
from fastsoft.matting.training import MattingTraining, make_batch, matting_loss, train_matting
from fastsoft.weights import read_weights
from tests.reference.matting_loss import matting_loss as reference_loss

SMALL = MattingTraining(
    steps=4, batch=2, average=0.0, composition=CompositionSettings(crop=64, estimate=False, refine=False)
)


@pytest.fixture(scope="module")
def data(foregrounds, backgrounds):
    return CompositionData(foregrounds, [backgrounds])


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def alphas_and_predictions(rng, shape):
    alpha = np.clip(rng.normal(0.5, 1, shape), 0, 1)
    return alpha, alpha + rng.normal(0, 0.3, shape), (rng.random(shape) < 0.6).astype(np.float64)


@pytest.mark.parametrize("forgive", [True, False])
@pytest.mark.parametrize("fractional", [True, False])
@pytest.mark.parametrize("shape", [(2, 32, 48), (1, 21, 17), (3, 1, 9), (1, 6, 40)])
def test_loss_by_its_formula(rng, forgive, fractional, shape):
    alpha, prediction, unknown = alphas_and_predictions(rng, shape)
    expected = reference_loss(prediction, alpha, unknown, forgive=forgive, fractional=fractional)
    found = matting_loss(
        *(torch.from_numpy(x[:, None]) for x in (prediction, alpha, unknown)), forgive=forgive, fractional=fractional
    )
    assert float(found) == pytest.approx(expected, rel=1e-12)


def test_slopes_of_the_loss_are_those_of_differences(rng):
    alpha, prediction, unknown = (torch.from_numpy(x[:, None]) for x in alphas_and_predictions(rng, (1, 8, 9)))
    for options in ({}, {"forgive": False}, {"fractional": False}):
        torch.autograd.gradcheck(
            lambda p, o=options: matting_loss(p, alpha, unknown, **o), prediction.clone().requires_grad_(), atol=1e-5
        )


def test_known_pixels_cost_nothing_by_the_papers_words(rng):
    alpha, prediction, unknown = (torch.from_numpy(x[:, None]) for x in alphas_and_predictions(rng, (1, 32, 32)))
    changed = torch.where(unknown > 0, prediction, prediction + 1)
    for fractional in (True, False):
        one, two = (matting_loss(p, alpha, unknown, fractional=fractional) for p in (prediction, changed))
        assert (float(one) == pytest.approx(float(two), rel=1e-12)) is not fractional


def test_a_batch_without_unknown_pixels_has_a_finite_loss(rng):
    alpha, prediction, _ = (torch.from_numpy(x[:, None]) for x in alphas_and_predictions(rng, (1, 16, 16)))
    prediction.requires_grad_()
    for fractional in (True, False):
        loss = matting_loss(prediction, alpha, torch.zeros_like(alpha), fractional=fractional)
        loss.backward()
        assert float(loss.detach()) == 0
        assert prediction.grad.isfinite().all()


def test_batches_depend_on_seed_and_step_alone(data):
    one, two = make_batch(data, SMALL, 3), make_batch(data, SMALL, 3)
    other = make_batch(data, SMALL, 4)
    for name in ("image", "trimap", "alpha", "unknown"):
        assert torch.equal(getattr(one, name), getattr(two, name))
        assert getattr(one, name).dtype == torch.float32
    assert not torch.equal(one.image, other.image)
    assert not torch.equal(one.image, make_batch(data, dataclasses.replace(SMALL, seed=1), 3).image)
    assert one.image.shape == (2, 3, 64, 64)
    assert one.trimap.shape == one.alpha.shape == one.unknown.shape == (2, 1, 64, 64)
    assert not torch.equal(one.image[0], one.image[1])
    assert set(one.trimap.unique().tolist()) <= {0.0, np.float32(128 / 255), 1.0}
    assert torch.equal(one.unknown, ((one.trimap > 0) & (one.trimap < 1)).float())
    assert one.extra is None


def test_the_closed_form_channel_is_that_of_the_crop(data, tmp_path):
    settings = dataclasses.replace(SMALL, steps=1, closed_form=True, learning_rate=0.0, learning_rate_encoder=0.0)
    batch = make_batch(data, settings, 1)
    # Both sides are known in these two.
    assert all({0.0, 1.0} <= set(trimap.unique().tolist()) for trimap in batch.trimap)
    assert batch.extra.shape == (2, 1, 64, 64)
    for image, trimap, plane in zip(batch.image, batch.trimap, batch.extra, strict=True):
        expected = fastsoft.closed_form_matting(
            image.permute(1, 2, 0).contiguous().numpy(), np.round(trimap[0].numpy() * 255).astype(np.uint8)
        )
        np.testing.assert_allclose(plane[0], expected, atol=1e-6)
    # A network that is not trained returns it.
    network = train_matting(data, settings, tmp_path)
    assert network.extra_channels == ("closed_form",)
    with torch.inference_mode():
        np.testing.assert_allclose(network(batch.image, batch.trimap, batch.extra), batch.extra, atol=1e-6)


@pytest.mark.parametrize(("known", "value"), [((0,), 0.0), ((255,), 1.0), ((), 128 / 255)])
def test_the_closed_form_channel_of_one_sided_crops(rng, known, value):
    trimap = np.full((40, 40), 128, dtype=np.uint8)
    for k in known:
        trimap[:8] = k
    image = rng.random((40, 40, 3)).astype(np.float32)
    plane = closed_form_plane(image, trimap)
    assert (plane[trimap == 128] == np.float32(value)).all()
    with pytest.warns(RuntimeWarning):
        np.testing.assert_allclose(plane, fastsoft.closed_form_matting(image, trimap), atol=1e-6)


@pytest.mark.parametrize("average", [0.0, 0.9])
@pytest.mark.parametrize("ahead", [True, False])
def test_an_interrupted_run_ends_with_the_same_weights(data, tmp_path, average, ahead):
    settings = dataclasses.replace(SMALL, average=average)
    whole = train_matting(data, settings, tmp_path / "whole").state_dict()

    def interrupt(step, _):
        if step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_matting(data, settings, tmp_path / "parts", progress=interrupt, ahead=ahead)
    assert not (tmp_path / "parts" / "matting.safetensors").exists()
    resumed = train_matting(data, settings, tmp_path / "parts", ahead=ahead).state_dict()
    assert all(torch.equal(value, resumed[key]) for key, value in whole.items())


def test_training_lowers_the_loss(data, tmp_path):
    """Of crops that were not trained on, and more than a constant would."""
    settings = dataclasses.replace(SMALL, steps=40, batch=4, learning_rate=2e-3, learning_rate_encoder=2e-4)
    network = train_matting(data, settings, tmp_path)
    batches = [make_batch(data, settings, 1000 + k) for k in range(6)]

    def loss(predict):
        with torch.inference_mode():
            return np.mean([float(matting_loss(predict(b), b.alpha, b.unknown)) for b in batches])

    best_constant = min(loss(lambda b, v=v: torch.full_like(b.alpha, v)) for v in (0.2, 0.4, 0.5, 0.6, 0.8))
    assert loss(lambda b: network(b.image, b.trimap)) < 0.9 * best_constant
    record = json.loads((tmp_path / "training.json").read_text())
    assert len(record["losses"]) == 40
    assert record["settings"]["composition"]["crop"] == 64
    written = network_of(*read_weights(tmp_path / "matting.safetensors"), "x")
    with torch.inference_mode():
        np.testing.assert_allclose(
            written(batches[0].image, batches[0].trimap), network(batches[0].image, batches[0].trimap), atol=1e-5
        )


@pytest.mark.parametrize("name", ["forgive", "fractional", "bfloat16"])
def test_every_switch_reaches_the_weights(data, tmp_path, name):
    one = train_matting(data, dataclasses.replace(SMALL, steps=1), tmp_path / "one").state_dict()
    switched = dataclasses.replace(SMALL, steps=1, **{name: not getattr(SMALL, name)})
    two = train_matting(data, switched, tmp_path / "two").state_dict()
    assert not all(torch.equal(value, two[key]) for key, value in one.items())


def test_rates_and_decay_are_those_of_the_settings(data, tmp_path):
    """Without learning rates nothing moves but batch norm's statistics; decay of its weights is its own."""
    still = dataclasses.replace(SMALL, steps=1, learning_rate=0.0)
    network = MattingNetwork("mobilenet_v2")
    torch.manual_seed(SMALL.seed)
    start = MattingNetwork("mobilenet_v2").state_dict()
    end = train_matting(data, still, tmp_path / "a").state_dict()
    parameters = {name for name, _ in network.named_parameters()}
    moved = {name for name in parameters if not torch.equal(start[name], end[name])}
    assert moved
    assert all(name.startswith("backbone.") for name in moved)
    from fastsoft.matting.training import _groups

    settings = dataclasses.replace(SMALL, weight_decay=0.1, weight_decay_norm=0.01)
    groups = _groups(network, settings)
    assert sum(len(g["params"]) for g in groups) == len(parameters)
    names = {id(p): name for name, p in network.named_parameters()}
    for group in groups:
        for parameter in group["params"]:
            is_norm = ".norm1." in names[id(parameter)]
            assert group["weight_decay"] == (0.01 if is_norm else 0.1)


def test_a_run_can_start_from_an_encoder_or_a_whole_network(data, tmp_path):
    first = train_matting(data, dataclasses.replace(SMALL, steps=1), tmp_path / "first").state_dict()
    still = dataclasses.replace(SMALL, steps=1, learning_rate=0.0, learning_rate_encoder=0.0, seed=9)
    second = train_matting(
        data, still, tmp_path / "second", initial_weights=tmp_path / "first" / "matting.safetensors"
    ).state_dict()
    names = {name for name, _ in MattingNetwork("mobilenet_v2").named_parameters()}
    assert all(torch.equal(first[name], second[name]) for name in names)

    from safetensors.torch import save_file

    encoder = {
        name.removeprefix("backbone."): value.contiguous() for name, value in first.items() if "backbone." in name
    }
    encoder["features.0.0.weight"] = encoder["features.0.0.weight"][:, :3].contiguous()
    save_file(encoder, tmp_path / "encoder.safetensors")
    third = train_matting(data, still, tmp_path / "third", initial_weights=tmp_path / "encoder.safetensors")
    weight = third.state_dict()["backbone.features.0.0.weight"]
    assert torch.equal(weight[:, :3], first["backbone.features.0.0.weight"][:, :3])
    assert not weight[:, 3].any()
    save_file({"x": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match=r"weights .*other.safetensors"):
        train_matting(data, still, tmp_path / "fourth", initial_weights=tmp_path / "other.safetensors")


def test_weights_are_kept_on_the_way(data, tmp_path):
    train_matting(data, SMALL, tmp_path, keep_every=3)
    names = sorted(path.name for path in tmp_path.glob("*.safetensors"))
    assert names == ["matting.safetensors", "matting_000003.safetensors"]


def test_a_checkpoint_of_other_settings_is_refused(data, tmp_path):
    train_matting(data, dataclasses.replace(SMALL, steps=1), tmp_path)
    other = dataclasses.replace(SMALL, steps=1, composition=dataclasses.replace(SMALL.composition, noise=0.1))
    with pytest.raises(ValueError, match=r"output .* must be empty or hold a run of the same settings"):
        train_matting(data, other, tmp_path)


def test_an_error_in_the_data_ends_the_run(foregrounds, backgrounds, tmp_path):
    folder = tmp_path / "data"
    shutil.copytree(foregrounds, folder)
    for path in (folder / "image").iterdir():
        path.write_text("no picture")
    settings = dataclasses.replace(SMALL, composition=dataclasses.replace(SMALL.composition, procedural=0.0))
    with pytest.raises(ImageReadError, match="cannot read"):
        train_matting(CompositionData(folder, [backgrounds]), settings, tmp_path / "out")


def test_bad_settings_are_refused():
    for wrong, message in [
        ({"steps": 0}, "steps must be at least 1"),
        ({"batch": 0}, "batch must be at least 1"),
        ({"encoder": "vgg"}, "encoder must be one of"),
        ({"learning_rate": -1.0}, "learning_rate must be at least 0"),
        ({"average": 1.0}, "average must be at least 0 and at most 0.9999"),
    ]:
        with pytest.raises(ValueError, match=message):
            MattingTraining(**wrong)


def test_the_command_trains_and_reports_errors(foregrounds, backgrounds, tmp_path, capsys):
    arguments = ["train", "matting", str(foregrounds), str(backgrounds), "-o", str(tmp_path / "out"), "--steps", "1"]
    arguments += ["--crop", "64", "--batch", "1", "--threads", "1", "--no-estimate", "--no-refine"]
    assert main(arguments) == 0
    streams = capsys.readouterr()
    assert "loss" in streams.err
    assert f"weights in {tmp_path / 'out'}/matting.safetensors" in streams.out
    record = json.loads((tmp_path / "out" / "training.json").read_text())["settings"]
    # The command's defaults are those of the classes.
    expected = dataclasses.asdict(
        MattingTraining(steps=1, batch=1, composition=CompositionSettings(crop=64, estimate=False, refine=False))
    )
    assert record == expected
    assert main([*arguments, "--seed", "4", "-q"]) == 1
    assert "must be empty or hold a run of the same settings" in capsys.readouterr().err
    assert main(["train", "matting", str(tmp_path / "none"), str(backgrounds), "-o", str(tmp_path / "x"), "-q"]) == 1
    assert "foregrounds must hold image/ and alpha/" in capsys.readouterr().err
    assert main([*arguments, "--noise", "2", "-q"]) == 1
    assert "noise must be at least 0 and at most 1" in capsys.readouterr().err
