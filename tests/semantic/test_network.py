# SPDX-License-Identifier: MIT
from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from fastsoft.image import read_image
from fastsoft.semantic import compute_features
from fastsoft.semantic.network import BACKBONES, HypercolumnNetwork, MobileNetV2DeepLab, SameConv2d
from fastsoft.semantic.network_features import hypercolumn_features, load_network
from fastsoft.semantic.training import load_initial, save_network
from fastsoft.weights import read_weights


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(1)
    return HypercolumnNetwork().eval().requires_grad_(False)


@pytest.fixture
def weights(network, tmp_path):
    path = tmp_path / "w.safetensors"
    save_network(network, path)
    return path


@pytest.mark.parametrize(("size", "stride", "dilation"), [(8, 1, 1), (8, 2, 1), (7, 2, 1), (9, 1, 2), (1, 2, 1)])
def test_same_padding_by_its_definition(rng, size, stride, dilation):
    layer = SameConv2d(1, 1, 3, stride=stride, dilation=dilation, relu=False)
    with torch.no_grad():
        layer.bias.zero_()
    weight = layer.weight.detach().numpy()[0, 0]
    x = rng.normal(size=(size, size)).astype(np.float32)
    n_out = -(-size // stride)
    before = max((n_out - 1) * stride + 2 * dilation + 1 - size, 0) // 2
    expected = np.zeros((n_out, n_out))
    for i, j, a, b in np.ndindex(n_out, n_out, 3, 3):
        row, col = i * stride + a * dilation - before, j * stride + b * dilation - before
        if 0 <= row < size and 0 <= col < size:
            expected[i, j] += weight[a, b] * x[row, col]
    found = layer(torch.from_numpy(x)[None, None]).detach().numpy()[0, 0]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_features_equal_whole_upsampled_hypercolumns(network):
    """Levels evaluated at points, and 1x1 layers in strips, are the plain definition."""
    image = torch.rand(3, 32, 48, generator=torch.Generator().manual_seed(2))
    taps = network.base(image[None])
    maps = [
        F.interpolate(F.relu(layer(tap)), size=(32, 48), mode="bilinear", align_corners=False)
        for layer, tap in zip(network.compress, taps, strict=True)
    ]
    hyper = torch.cat(maps, dim=1)[0].permute(1, 2, 0)
    assert hyper.shape == (32, 48, 1024)
    expected = network.feature(F.relu(network.hidden(hyper))).permute(2, 0, 1)
    torch.testing.assert_close(network(image), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("shape", [(1, 1), (17, 33), (40, 31)])
def test_any_size_and_step(network, shape):
    image = torch.rand(3, *shape, generator=torch.Generator().manual_seed(3))
    for step in (1, 4):
        found = network(image, step)
        assert found.shape == (128, -(-shape[0] // step), -(-shape[1] // step))
        levels = network.levels(network.taps(image))
        row = min((step - 1) / 2, shape[0] - 1)
        col = min((step - 1) / 2, shape[1] - 1)
        point = network.at(levels, torch.tensor([row]), torch.tensor([col]))
        torch.testing.assert_close(found[:, 0, 0], point[0], atol=1e-5, rtol=1e-4)


def test_the_papers_backbone_has_its_levels():
    torch.manual_seed(0)
    base = BACKBONES["resnet101-deeplab"]().eval()
    # He et al. 2016 count 44.5 M with the classifier of 2.05 M.
    assert sum(p.numel() for p in base.parameters()) == 42_500_160
    with torch.inference_mode():
        levels = base(torch.rand(1, 3, 40, 56))
    assert [tuple(level.shape[1:]) for level in levels] == [
        (3, 40, 56), (320, 10, 14), (512, 5, 7), (1024, 5, 7), (2048, 5, 7)
    ]  # fmt: skip


@pytest.mark.parametrize(("photo", "label"), [("parrots_640x480.png", 3), ("woman_480x640.png", 15)])
def test_the_compact_backbone_is_the_pretrained_one(shared, photo, label):
    """With its own classifier on top, it sees a bird (class 3 of Pascal VOC) and a person (class 15)."""
    from safetensors.torch import load_file

    data = shared / "data"
    state = load_file(data / "backbones" / "deeplabv3_mobilenet_v2_voc.safetensors")
    base = MobileNetV2DeepLab().eval()
    base.load_state_dict({key: value for key, value in state.items() if not key.startswith("head")})
    image = read_image(data / "photos" / photo).astype(np.float32)
    with torch.inference_mode():
        context = base(torch.from_numpy(image.transpose(2, 0, 1).copy())[None])[-1][:, 320:] * base._SCALES[-1]
        classes = F.conv2d(context, state["head.weight"], state["head.bias"])[0].argmax(dim=0)
    shares = torch.bincount(classes.ravel(), minlength=21) / classes.numel()
    assert shares[label] > 0.35
    assert shares[label] + shares[0] > 0.98


def test_weights_survive_the_file(network, weights):
    loaded = load_network(*read_weights(weights))
    assert loaded.backbone_name == "mobilenetv2-deeplab"
    for key, value in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], value)


def test_a_backbone_alone_starts_training(network, tmp_path):
    from safetensors.torch import save_file

    save_file(network.base.state_dict(), tmp_path / "base.safetensors")
    torch.manual_seed(9)
    other = HypercolumnNetwork()
    hidden = other.hidden.weight.detach().clone()
    load_initial(other, tmp_path / "base.safetensors")
    assert torch.equal(other.base.features[4].conv[2].weight, network.base.features[4].conv[2].weight)
    assert torch.equal(other.hidden.weight, hidden)
    save_file({"features.0.0.weight": torch.zeros(2)}, tmp_path / "part.safetensors")
    with pytest.raises(ValueError, match="must hold the mobilenetv2-deeplab backbone, got none of"):
        load_initial(other, tmp_path / "part.safetensors")


def test_damaged_weights_are_refused(network, weights, tmp_path):
    import hashlib

    content = weights.read_bytes()
    checksum = hashlib.sha256(content).hexdigest()
    assert read_weights(weights, checksum=checksum)[1]["n_features"] == "128"
    altered = tmp_path / "altered.safetensors"
    altered.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ValueError, match=f"must have the SHA-256 checksum {checksum}, got .* damaged"):
        read_weights(altered, checksum=checksum)
    for damaged in (content[: len(content) // 2], b"", b"not weights at all"):
        altered.write_bytes(damaged)
        with pytest.raises(ValueError, match="cannot read weights from"):
            read_weights(altered)
    with pytest.raises(ValueError, match=r"cannot read weights from .*No such file"):
        read_weights(tmp_path / "missing.safetensors")
    with pytest.raises(ValueError, match="must be of 'fastsoft train features', got a file that does not name"):
        load_network({}, {})
    with pytest.raises(ValueError, match=r"backbone must be one of .*, got 'other'"):
        load_network({}, {"backbone": "other"})
    for n in ("0", "-4", "many"):
        with pytest.raises(ValueError, match=f"must state a positive number n_features, got '{n}'"):
            load_network({}, {"backbone": "mobilenetv2-deeplab", "n_features": n})
    state, metadata = read_weights(weights)
    with pytest.raises(ValueError, match="must be those of a mobilenetv2-deeplab network"):
        load_network({k: v for k, v in state.items() if k != "hidden.bias"}, metadata)
    with pytest.raises(ValueError, match=r"hidden.bias must have shape \(512,\), got \(3,\)"):
        load_network({**state, "hidden.bias": np.zeros(3, np.float32)}, metadata)


def test_features_of_a_file_of_weights(rng, weights):
    image = rng.random((50, 70, 3), dtype=np.float32)
    raw = hypercolumn_features(image, load_network(*read_weights(weights)))
    assert raw.shape == (13, 18, 128)
    first = compute_features(image, f"hypercolumn:{weights}", dtype=np.float32).values
    assert first.shape == (50, 70, 3)
    assert first.min() >= 0
    assert first.max() <= 1
    np.testing.assert_array_equal(compute_features(image, f"hypercolumn:{weights}", dtype=np.float32).values, first)
    # A large photograph goes through a smaller copy and comes back to its size.
    small = compute_features(image, f"hypercolumn:{weights}", size=35).values
    assert small.shape == (50, 70, 3)
    assert small.min() >= 0
    assert small.max() <= 1


def test_a_file_of_other_numbers_is_told_from_weights(rng, tmp_path):
    from safetensors.numpy import save_file

    save_file({"x": np.zeros(3, np.float32)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="must be of 'fastsoft train features', got a file that does not name"):
        compute_features(rng.random((8, 9, 3)), f"hypercolumn:{tmp_path / 'other.safetensors'}")


def test_a_transformer_from_a_folder(rng, tmp_path, capsys):
    import transformers

    config = transformers.Dinov2Config(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=56, patch_size=14
    )
    torch.manual_seed(0)
    transformers.Dinov2Model(config).save_pretrained(tmp_path)
    (tmp_path / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    image = rng.random((60, 90, 3), dtype=np.float32)
    name = f"transformers:{tmp_path}"
    first = compute_features(image, name)
    assert first.values.shape == (60, 90, 3)
    assert "licence of the model: apache-2.0" in capsys.readouterr().out
    assert first.provider == name
    again = compute_features(image, name)
    np.testing.assert_array_equal(again.values, first.values)
    assert again.weights == first.weights
    assert capsys.readouterr().out == ""
    # Another weight, another checksum.
    torch.manual_seed(1)
    transformers.Dinov2Model(config).save_pretrained(tmp_path)
    assert compute_features(image, name).weights != first.weights
    with pytest.raises(ValueError, match="cannot load the model"):
        compute_features(image, f"transformers:{tmp_path / 'none'}")


@pytest.mark.parametrize("name", ["best", "hypercolumn:", "transformers:", "lowlevel:x"])
def test_unknown_sources_are_refused(rng, name):
    with pytest.raises(ValueError, match=r"features must be .*'hypercolumn:FILE'"):
        compute_features(rng.random((8, 9, 3)), name)


@pytest.mark.parametrize("shape", [(32, 48), (37, 30), (1, 5)])
def test_features_of_a_photograph_are_the_mean_of_two_sizes(network, rng, shape):
    image = rng.random((*shape, 3), dtype=np.float32)
    whole = network(torch.from_numpy(image.transpose(2, 0, 1).copy()), 4)
    size = tuple(-(-n // 2) for n in shape)
    # Pillow's filter of twice the width, where two pixels become one; torch has the same.
    half = F.interpolate(
        torch.from_numpy(image.transpose(2, 0, 1).copy())[None], size=size, mode="bilinear", antialias=True
    )[0]
    expected = (whole + network(half, 2)) / 2
    found = hypercolumn_features(image, network)
    assert found.shape == (-(-shape[0] // 4), -(-shape[1] // 4), 128)
    np.testing.assert_allclose(found, expected.permute(1, 2, 0).numpy(), atol=1e-4, rtol=1e-4)
