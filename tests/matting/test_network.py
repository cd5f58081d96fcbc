# SPDX-License-Identifier: MIT
from __future__ import annotations

import copy
import re

import numpy as np
import pytest
import torch

from fastsoft.matting.models import convert_published_weights, load_network
from fastsoft.matting.network import ENCODERS, UNKNOWN, GatedBlock, MattingNetwork, network_of, save_network
from fastsoft.networks import MobileNetV2
from fastsoft.weights import read_weights
from tests.reference import matting_network as reference


def lively(network):
    """Give batch norm statistics and scales of its own, so that no part of it is idle."""
    for name, value in network.state_dict().items():
        if re.search(r"(bn\d?|norm\d|downsample\.\d)\.(weight|running_var)", name) and value.ndim == 1:
            value.uniform_(0.5, 1.5)
        elif re.search(r"running_mean|bias", name):
            value.uniform_(-0.3, 0.3)
    return network.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def published():
    torch.manual_seed(4)
    return lively(MattingNetwork())


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(5)
    return lively(MattingNetwork("mobilenet_v2", extra_channels=("closed_form",)))


def double(network):
    return {name: value.numpy().astype(np.float64) for name, value in network.state_dict().items()}


def inputs(rng, height, width, extra=0):
    image, planes = rng.random((height, width, 3)), rng.random((height, width, extra))
    trimap = rng.choice([0, UNKNOWN, 1], size=(height, width))
    return image, trimap, planes


def tensors(image, trimap, planes):
    out = [torch.from_numpy(x.transpose(2, 0, 1)[None].astype(np.float32)) for x in (image, trimap[:, :, None], planes)]
    return out if planes.shape[2] else out[:2]


def test_number_of_parameters_is_the_published_one(published):
    assert sum(p.numel() for p in published.parameters()) == 38_067_809
    assert sum(p.numel() for p in published.backbone.parameters()) == 23_527_552
    assert sum(p.numel() for p in published.decoder.parameters()) == 14_540_257


def expected_names():
    """The names of a checkpoint of the authors' program, section 2.4 of the specification of their layout."""

    def norm(name):
        parts = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
        return {f"{name}.{part}" for part in parts}

    names = set()
    for k in range(3):
        names |= {f"backbone.stem.{k}.conv.weight"} | norm(f"backbone.stem.{k}.bn")
    for layer, count in ((1, 3), (2, 4), (3, 6), (4, 3)):
        for i in range(count):
            block = f"backbone.layer{layer}.{i}"
            for k in (1, 2, 3):
                names |= {f"{block}.conv{k}.weight"} | norm(f"{block}.bn{k}")
        first = 0 if layer == 1 else 1
        block = f"backbone.layer{layer}.0.downsample"
        names |= {f"{block}.{first}.weight"} | norm(f"{block}.{first + 1}")
    for k in range(1, 6):
        block = f"decoder.decoder_{k}"
        names |= {f"{block}.conv1.weight", f"{block}.fc.weight", f"{block}.fc.bias"} | norm(f"{block}.norm1")
    return names | {f"decoder.final_final.conv{k}.{part}" for k in (1, 2, 3) for part in ("weight", "bias")}


def test_names_and_shapes_are_the_authors(published):
    state = published.state_dict()
    assert set(state) == expected_names()
    shapes = {
        "backbone.stem.0.conv.weight": (32, 4, 3, 3),
        "backbone.stem.2.conv.weight": (64, 32, 3, 3),
        "backbone.layer1.0.downsample.0.weight": (256, 64, 1, 1),
        "backbone.layer4.0.downsample.1.weight": (2048, 1024, 1, 1),
        "backbone.layer4.0.conv2.weight": (512, 512, 3, 3),
        "decoder.decoder_5.conv1.weight": (512, 2048, 3, 3),
        "decoder.decoder_4.conv1.weight": (256, 1536, 3, 3),
        "decoder.decoder_3.conv1.weight": (128, 768, 3, 3),
        "decoder.decoder_2.conv1.weight": (64, 384, 3, 3),
        "decoder.decoder_1.conv1.weight": (64, 128, 3, 3),
        "decoder.decoder_3.fc.weight": (128, 128, 1, 1),
        "decoder.final_final.conv1.weight": (32, 68, 3, 3),
        "decoder.final_final.conv3.weight": (1, 32, 3, 3),
    }
    assert {name: tuple(state[name].shape) for name in shapes} == shapes


def test_levels_have_the_published_sizes(published, rng):
    with torch.no_grad():
        levels = published.encode(*tensors(*inputs(rng, 64, 128)))
    expected = [(4, 64, 128), (64, 32, 64), (256, 16, 32), (512, 8, 16), (1024, 4, 8), (2048, 2, 4)]
    assert [tuple(level.shape[1:]) for level in levels] == expected


@pytest.mark.parametrize("shape", [(64, 32), (45, 70), (1, 3)])
@pytest.mark.parametrize("name", ["published", "small"])
def test_forward_is_the_reference(request, rng, name, shape):
    network = request.getfixturevalue(name)
    image, trimap, planes = inputs(rng, *shape, len(network.extra_channels))
    expected = reference.matting_network(
        image, trimap, double(network), network.encoder_name, planes if planes.size else None
    )
    with torch.no_grad():
        single = network(*tensors(image, trimap, planes))[0, 0].numpy()
        precise = copy.deepcopy(network).double()(*(x.double() for x in tensors(image, trimap, planes)))[0, 0].numpy()
    assert single.shape == shape
    assert np.std(expected) > 0.01
    size = max(1.0, np.abs(expected).max())
    # What float64 leaves is that inputs and the colours' means were float32.
    np.testing.assert_allclose(precise, expected, atol=3e-6 * size)
    # About 70 layers of float32 sums of up to 18,432 products.
    np.testing.assert_allclose(single, expected, atol=2e-4 * size)


def test_gate_by_hand():
    """Means 1 and 3; the second logit, -3 - 1, closes its channel, the first, 1 + 1 - 1 = 1, opens it to 4/6."""
    block = GatedBlock(2, 2)
    with torch.no_grad():
        block.fc.weight.copy_(torch.tensor([[1.0, 1 / 3], [0.0, -1.0]])[:, :, None, None])
        block.fc.bias.copy_(torch.tensor([-1.0, -1.0]))
        x = torch.tensor([[0.0, 2.0], [3.0, 3.0]])[None, :, None]
        found = block.gate(x)[0, :, 0]
    torch.testing.assert_close(found, torch.tensor([[0.0, 8 / 6], [0.0, 0.0]]))


@pytest.mark.parametrize("name", ["published", "small"])
def test_folded_network_is_the_same(request, rng, name, tmp_path):
    network = request.getfixturevalue(name)
    x = tensors(*inputs(rng, 40, 56, len(network.extra_channels)))
    path = tmp_path / "w.safetensors"
    save_network(path, network, network.state_dict())
    folded = load_network(path)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in folded.modules())
    with torch.no_grad():
        expected = network(*x)
        # As for the float32 forward above: another order of roundings in every layer.
        torch.testing.assert_close(folded(*x), expected, rtol=0, atol=2e-4 * max(1.0, float(expected.abs().max())))
    with pytest.raises(ValueError, match="in evaluation mode only, got a network in training mode"):
        MattingNetwork("mobilenet_v2").train().fold()


@pytest.mark.parametrize("name", ["published", "small"])
def test_round_trip(request, name, tmp_path):
    network = request.getfixturevalue(name)
    path = tmp_path / "w.safetensors"
    save_network(path, network, network.state_dict())
    again = network_of(*read_weights(path), "w")
    assert again.metadata == network.metadata
    assert again.extra_channels == network.extra_channels
    assert not again.training
    for key, value in network.state_dict().items():
        assert torch.equal(again.state_dict()[key], value)


def test_default_small_network_fits_a_wheel():
    state = MattingNetwork("mobilenet_v2", extra_channels=("closed_form",), residual=True).state_dict()
    assert 2 * sum(value.numel() for value in state.values()) <= 12e6


def test_residual_network_starts_as_its_plane(rng):
    network = MattingNetwork("mobilenet_v2", extra_channels=("closed_form", "other"), residual=True).eval()
    image, trimap, planes = inputs(rng, 33, 20, 2)
    x = tensors(image, trimap, planes)
    with torch.no_grad():
        torch.testing.assert_close(network(*x), x[2][:, :1], rtol=0, atol=0)


def test_pretrained_encoder_ignores_further_channels(rng, tmp_path):
    torch.manual_seed(8)
    given = {key: value.numpy() for key, value in MobileNetV2().state_dict().items()}
    network = MattingNetwork("mobilenet_v2", extra_channels=("closed_form",)).eval()
    network.initialize_encoder({**given, "features.18.0.weight": np.zeros(3)}, "w")
    image, trimap, planes = inputs(rng, 32, 48, 1)
    with torch.no_grad():
        levels = [network.encode(*tensors(image, t, p))[1:] for t, p in ((trimap, planes), (1 - trimap, planes / 2))]
        for one, other in zip(*levels, strict=True):
            assert torch.equal(one, other)
    first = reference.mobilenet_v2(
        (image * 2 - 1).transpose(2, 0, 1),
        {f"backbone.{k}": v.astype(np.float64) for k, v in given.items()},
    )
    np.testing.assert_allclose(levels[0][0][0].numpy(), first[0], atol=1e-5)


def test_pretrained_resnet_with_its_classifier():
    network = MattingNetwork()
    given = {f"backbone.{key}": value.numpy().copy() for key, value in network.backbone.state_dict().items()}
    rgb = np.random.default_rng(1).random((32, 3, 3, 3)).astype(np.float32)
    network.initialize_encoder({**given, "backbone.stem.0.conv.weight": rgb, "head.fc.weight": np.zeros((2, 2))}, "w")
    first = network.backbone.stem[0].conv.weight.detach().numpy()
    np.testing.assert_array_equal(first[:, :3], rgb)
    assert not first[:, 3].any()
    with pytest.raises(ValueError, match=r"weights w must be those of ResNet50D, got no layer1.0.bn1.bias"):
        network.initialize_encoder({k: v for k, v in given.items() if "layer1.0.bn1.bias" not in k}, "w")
    with pytest.raises(ValueError, match=r"weights w must be those of ResNet50D, got an unknown features"):
        network.initialize_encoder({**given, "features.0.0.weight": rgb}, "w")


def checkpoint(path, state, **changes):
    torch.save({"epoch": 100, "state_dict": {f"module.{key}": value for key, value in state.items()}} | changes, path)


def test_converted_checkpoint_is_the_authors_bits(published, tmp_path, rng):
    checkpoint(tmp_path / "ckpt_e100.pth", published.state_dict())
    convert_published_weights(tmp_path / "ckpt_e100.pth", tmp_path / "w.safetensors")
    state, metadata = read_weights(tmp_path / "w.safetensors")
    assert metadata["encoder"] == "resnet50d"
    assert set(state) == expected_names()
    for key, value in published.state_dict().items():
        np.testing.assert_array_equal(state[key], value.numpy())


class _Harm:
    def __reduce__(self):
        return print, ("run",)


def test_what_cannot_be_converted_is_refused(published, small, tmp_path, capsys):
    path, out = tmp_path / "c.pth", tmp_path / "w.safetensors"
    with pytest.raises(ValueError, match=r"cannot read weights from .*c.pth: no such file"):
        convert_published_weights(path, out)
    path.write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"cannot read weights from .*c.pth"):
        convert_published_weights(path, out)
    torch.save({"state_dict": _Harm()}, path)
    with pytest.raises(ValueError, match=r"cannot read weights from .*c.pth"):
        convert_published_weights(path, out)
    assert "run" not in capsys.readouterr().out
    torch.save({"a": torch.zeros(2), "b": 1}, path)
    with pytest.raises(ValueError, match="must be a dictionary with a state_dict of tensors, got one with a, b"):
        convert_published_weights(path, out)
    torch.save([1], path)
    with pytest.raises(ValueError, match="got list"):
        convert_published_weights(path, out)
    checkpoint(path, small.state_dict())
    with pytest.raises(ValueError, match=r"must be those of MattingNetwork, got an unknown backbone.features"):
        convert_published_weights(path, out)
    state = dict(published.state_dict())
    del state["decoder.decoder_3.fc.bias"]
    checkpoint(path, state)
    with pytest.raises(ValueError, match=r"must be those of MattingNetwork, got no decoder.decoder_3.fc.bias"):
        convert_published_weights(path, out)
    state["decoder.decoder_3.fc.bias"] = torch.zeros(7)
    checkpoint(path, state)
    with pytest.raises(ValueError, match=r"decoder_3.fc.bias must have shape \(128,\), got \(7,\)"):
        convert_published_weights(path, out)
    assert not out.exists()


def test_other_weights_are_refused(small, tmp_path):
    from safetensors.numpy import save_file

    path = tmp_path / "w.safetensors"
    save_file({"a": np.zeros(2, dtype=np.float32)}, path)
    with pytest.raises(ValueError, match="must be of a matting network, got a file whose design is None"):
        load_network(path)
    save_file({"a": np.zeros(2, dtype=np.float32)}, path, {"design": "matting", "encoder": "resnet50d"})
    with pytest.raises(ValueError, match="must describe their network"):
        load_network(path)
    state = {key: value.numpy() for key, value in small.state_dict().items()}
    save_file(state, path, {**small.metadata, "extra_channels": ""})
    with pytest.raises(ValueError, match=r"weight must have shape \(\d+, \d+, 3, 3\), got \(\d+, \d+, 3, 3\)"):
        load_network(path)
    save_file(state, path, {**small.metadata, "encoder": "vgg"})
    with pytest.raises(ValueError, match="encoder must be one of 'resnet50d', 'mobilenet_v2', got 'vgg'"):
        load_network(path)
    with pytest.raises(ValueError, match=r"must be a .safetensors file, got .*x.pth: fastsoft.matting.models.convert"):
        load_network(tmp_path / "x.pth")


def test_arguments_are_checked(rng):
    with pytest.raises(ValueError, match="encoder must be one of"):
        MattingNetwork("resnet18")
    with pytest.raises(ValueError, match=r"decoder_channels must be 5 positive numbers, got \(1, 2\)"):
        MattingNetwork(decoder_channels=(1, 2))
    with pytest.raises(ValueError, match="final_channels must be 2 positive numbers"):
        MattingNetwork(final_channels=(0, 2))
    with pytest.raises(ValueError, match="extra_channels must name the plane that a residual network adds to"):
        MattingNetwork("mobilenet_v2", residual=True)
    network = MattingNetwork("mobilenet_v2", extra_channels=("closed_form",)).eval()
    with pytest.raises(ValueError, match=r"extra must hold the 1 channels \('closed_form',\), got 0"):
        network(*tensors(*inputs(rng, 8, 8)))


def test_both_encoders_say_what_they_need():
    assert set(ENCODERS) == {"resnet50d", "mobilenet_v2"}
    for kind in ENCODERS.values():
        assert kind.first in kind(4).state_dict()
