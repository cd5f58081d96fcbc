# SPDX-License-Identifier: MIT
"""Matting on a device, beside that of the CPU."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

import fastsoft
from fastsoft._dispatch import find_place
from fastsoft.matting import device_memory, network_matting
from fastsoft.matting.models import _TILE_BYTES
from fastsoft.matting.network import MattingNetwork
from fastsoft.matting.network_inference import pad_canvas, resize_planes
from fastsoft.matting.network_refinement import BackpropagatingRefinement, RefinementSettings
from tests.matting.test_network_inference import slow_canvas
from tests.matting.test_network_refinement import blob, small_network
from tests.peak_memory import PeakMemory

# Convolutions in another order of sums, in float32, of numbers about 1.
ALPHA = 2e-5


@pytest.fixture(scope="module")
def network():
    return small_network()


@pytest.fixture(scope="module")
def network_with_planes():
    return small_network(extra_channels=("closed_form", "color_posterior"))


def photo(rng, height, width):
    return rng.random((height, width, 3)).astype(np.float32)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (64, 63), (70, 20)])
def test_canvas_and_sizes_are_those_of_the_cpu(device_backend, rng, shape):
    planes = rng.random((*shape, 2)).astype(np.float32)
    moved = device_backend.array(planes)
    np.testing.assert_array_equal(device_backend.numpy(pad_canvas(torch.as_tensor(moved))), slow_canvas(planes))
    for mode in ("nearest", "bilinear", "bicubic"):
        found = device_backend.numpy(resize_planes(torch.as_tensor(moved), (13, 17), mode))
        np.testing.assert_allclose(found, resize_planes(planes, (13, 17), mode), atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 1), (33, 1), (20, 31), (90, 64)])
def test_alphas_are_those_of_the_cpu(network, device_backend, rng, dtype, shape):
    image, trimap = photo(rng, *shape).astype(dtype), rng.choice([0, 128, 255], size=shape).astype(np.uint8)
    trimap[0, 0] = 128
    expected = network_matting(image, trimap, weights=network)
    moved = device_backend.array(image)
    for given in (trimap, (trimap / 255).astype(np.float32), (trimap / 255)):
        found = network_matting(moved, device_backend.array(given), weights=network)
        assert device_backend.numpy(found).dtype == np.float32
        np.testing.assert_allclose(device_backend.numpy(found), expected, atol=ALPHA)
    # From host memory and back.
    found = network_matting(image, trimap, weights=network, device="cuda")
    np.testing.assert_allclose(found, expected, atol=ALPHA)


@pytest.mark.parametrize("large", ["tile", "resize"])
def test_large_photographs(network, device_backend, rng, large):
    image, trimap = photo(rng, 300, 420), blob(300, 420)
    options = {"weights": network, "large": large, "tile": 256}
    found = network_matting(device_backend.array(image), device_backend.array(trimap), **options)
    np.testing.assert_allclose(device_backend.numpy(found), network_matting(image, trimap, **options), atol=ALPHA)


@pytest.mark.parametrize("refine", [False, RefinementSettings(steps=3)])
def test_augmentation_refinement_and_planes(network_with_planes, device_backend, rng, refine):
    image, trimap = photo(rng, 47, 58), blob(47, 58)
    options = {"weights": network_with_planes, "augment": not refine, "refine": refine}
    expected = network_matting(image, trimap, **options)
    found = network_matting(device_backend.array(image), device_backend.array(trimap), **options)
    np.testing.assert_allclose(device_backend.numpy(found), expected, atol=20 * ALPHA)
    extra = rng.random((47, 58, 2)).astype(np.float32)
    expected = network_matting(image, trimap, extra=extra, **options)
    found = network_matting(image, trimap, extra=extra, device="cuda", **options)
    np.testing.assert_allclose(found, expected, atol=20 * ALPHA)


def test_nothing_leaves_the_device_on_the_way(network, device_backend, rng, monkeypatch):
    image, trimap = device_backend.array(photo(rng, 60, 80)), device_backend.array(blob(60, 80))

    def leave(*_):
        raise AssertionError("an array left the device")

    with monkeypatch.context() as patch:
        for name in ("cpu", "numpy", "__array__"):
            patch.setattr(torch.Tensor, name, leave)
        layers = fastsoft.matte(image, trimap, weights=network)
        network_matting(image, trimap, weights=network, augment=True)
    assert device_backend.numpy(layers.alphas).shape == (60, 80, 2)


@pytest.mark.parametrize("value", [0, 255])
def test_trimaps_without_unknown_pixels(network, device_backend, rng, value):
    image, trimap = photo(rng, 20, 30), np.full((20, 30), value, dtype=np.uint8)
    found = network_matting(device_backend.array(image), device_backend.array(trimap), weights=network)
    np.testing.assert_array_equal(device_backend.numpy(found), trimap / 255)


@pytest.mark.parametrize("method", ["network", "closed_form"])
def test_layers_are_those_of_the_cpu(network_with_planes, device_backend, rng, dtype, method):
    image, trimap = photo(rng, 40, 50).astype(dtype), blob(40, 50)
    options = {"method": method, "weights": network_with_planes if method == "network" else None}
    expected = fastsoft.matte(image, trimap, **options)
    found = fastsoft.matte(device_backend.array(image), device_backend.array(trimap), **options)
    for array in (found.alphas, found.colors, found.image):
        device_backend.numpy(array)
    assert found.settings == expected.settings | {"device": "cuda:0"}
    from_host = fastsoft.matte(image, trimap, device="cuda", **options)
    assert isinstance(from_host.colors, np.ndarray)
    for layers in (found.to_numpy(), from_host):
        assert layers.alphas.dtype == layers.colors.dtype == dtype
        np.testing.assert_allclose(layers.alphas, expected.alphas, atol=ALPHA)
        assert np.abs(layers.colors - expected.colors).mean() < 1e-4
        assert np.abs(layers.recomposed() - image).max() < 20 * np.finfo(dtype).eps


def test_bad_trimaps_are_refused_with_the_same_words(network, device_backend, rng):
    image = photo(rng, 20, 30)
    bad = [
        np.full((20, 30), 1.5, dtype=np.float32),
        np.full((20, 30), np.nan),
        np.zeros((20, 31), dtype=np.uint8),
        np.zeros((20, 30), dtype=np.int32),
    ]
    for trimap in bad:
        with pytest.raises((TypeError, ValueError)) as on_the_cpu:
            network_matting(image, trimap, weights=network)
        with pytest.raises(on_the_cpu.type, match="trimap must"):
            network_matting(device_backend.array(image), device_backend.array(trimap), weights=network)
    with pytest.raises(TypeError, match="arrays of a call must be on one device"):
        network_matting(device_backend.array(image), np.full((20, 30), 0.5), weights=network)


def test_a_lower_precision_changes_little(network, device_backend, rng):
    image, trimap = photo(rng, 60, 80), blob(60, 80)
    exact = network_matting(image, trimap, weights=network)
    for options in ({"precision": "bfloat16"}, {"precision": "bfloat16", "device": "cuda"}):
        found = network_matting(image, trimap, weights=network, **options)
        assert found.dtype == np.float32
        assert 0 < np.abs(found - exact).mean() < 0.02


def test_a_device_without_room_is_refused_before_the_start(network, device_backend, rng, monkeypatch):
    image, trimap = photo(rng, 60, 80), blob(60, 80)
    monkeypatch.setattr("fastsoft.network_device.free_bytes", lambda _: 400_000_000)
    for call in (network_matting, fastsoft.matte):
        with pytest.raises(MemoryError, match=r"matting of 80x60 pixels needs about 0\.5\d GB .* 0\.40 GB are free"):
            call(image, trimap, weights=network, device="cuda")


def test_estimates_of_memory_grow_with_what_is_asked_for():
    shapes = [(480, 640), (1080, 1920), (2160, 3840), (4320, 7680)]
    found = [device_memory(shape) for shape in shapes]
    assert found == sorted(found)
    # 4K within a card of 8 GB, 8K within one of 16, refined and augmented as well.
    assert device_memory(shapes[2], refine=True, augment=True) < 8e9
    assert device_memory(shapes[-1], refine=True, augment=True) < 16e9
    for more in ({"refine": True}, {"augment": True}, {"encoder": "resnet50d"}, {"itemsize": 8}, {"tile": 2048}):
        assert device_memory(shapes[1], **more) > found[1]
    with pytest.raises(ValueError, match="encoder must be one of 'mobilenet_v2', 'resnet50d', got 'vgg'"):
        device_memory(shapes[0], encoder="vgg")


def test_networks_stay_as_they_were(network, device_backend, rng):
    """The copy on the device is another one; gradients that the caller wants stay wanted."""
    network.requires_grad_(True)
    image, trimap = photo(rng, 20, 30), blob(20, 30)
    found = network_matting(device_backend.array(image), device_backend.array(trimap), weights=network)
    assert all(x.requires_grad for x in network.parameters())
    assert isinstance(find_place(alpha=found), type(find_place(image=device_backend.array(image))))
    network.requires_grad_(False)


@pytest.mark.parametrize("encoder", ["mobilenet_v2", "resnet50d"])
def test_tiles_fit_the_memory_that_is_estimated_for_them(encoder):
    extra = ("closed_form", "color_posterior")
    network = MattingNetwork(encoder, extra_channels=extra, residual=True).eval().requires_grad_(False).fold()
    plain, refined = _TILE_BYTES[encoder]
    size = 1088
    planes = [torch.empty(1, n, size, size, device="meta") for n in (3, 1, 2)]
    with PeakMemory() as memory, torch.inference_mode():
        out = copy.deepcopy(network).to("meta")(*planes)
    assert out.shape == (1, 1, size, size)
    assert 0.5 * plain < memory.peak / size**2 + 4 * 6 < plain
    # Refinement looks at numbers.
    size = 256
    planes = [torch.rand(1, n, size, size) for n in (3, 1, 2)]
    trimap = torch.full((size, size), 128 / 255)
    trimap[:8], trimap[-8:] = 0, 1
    with PeakMemory() as memory:
        levels = network.encode(*planes)
        BackpropagatingRefinement(network, RefinementSettings(steps=2))(levels, trimap)
    # Copies of the weights of ResNet-50-D are 150 MB, for which 500 MB are set aside.
    weights = sum(x.nbytes for x in network.parameters())
    assert 0.5 * refined < memory.peak / size**2 < refined + weights / size**2
