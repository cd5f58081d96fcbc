# SPDX-License-Identifier: MIT
"""Layers of colour on a device, beside those of the CPU."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

import fastsoft
from fastsoft.color import color_palette, device_memory, load_model, network_layers, normalize_alphas, smooth_alphas
from fastsoft.color.models import default_model
from fastsoft.color.pipeline import TILE_BYTES
from fastsoft.network_device import network_on
from tests.color.conftest import PALETTE
from tests.peak_memory import PeakMemory

# Of alphas, which the two steps of descent sharpen, from coefficients that convolutions leave in another order of sums.
ALPHA = 2e-4
# Of colours times alphas: that of a layer is free where its alpha is nearly 0.
COLOR = 1e-3


def both(image, device_backend, **options):
    """Layers of the CPU, and those of the device in NumPy arrays."""
    expected = fastsoft.decompose_colors(image, **options)
    moved = fastsoft.decompose_colors(device_backend.array(image), **options)
    for array in (moved.alphas, moved.colors, moved.image):
        device_backend.numpy(array)  # are of the library and where they should be
    return expected, moved.to_numpy()


def assert_alike(found, expected):
    np.testing.assert_array_equal(found.palette, expected.palette)
    assert found.alphas.dtype == expected.alphas.dtype
    assert found.colors.dtype == expected.colors.dtype
    np.testing.assert_allclose(found.alphas, expected.alphas, atol=ALPHA)
    seen = [layers.colors * layers.alphas[..., None] for layers in (found, expected)]
    np.testing.assert_allclose(*seen, atol=COLOR)


def test_layers_are_those_of_the_cpu(image, device_backend, dtype):
    image = image.astype(dtype)
    expected, found = both(image, device_backend, palette=PALETTE)
    assert_alike(found, expected)
    assert np.abs(found.recomposed() - image).max() < 20 * np.finfo(dtype).eps
    assert found.settings == expected.settings | {"device": "cuda:0"}


def test_a_palette_by_number_is_that_of_the_cpu(image, device_backend):
    moved = device_backend.array(image)
    np.testing.assert_array_equal(color_palette(moved, 4, seed=3), color_palette(image, 4, seed=3))
    expected, found = both(image, device_backend, palette=4, seed=3, exact=False)
    assert_alike(found, expected)


@pytest.mark.parametrize("n_colors", [2, 3])
def test_published_networks(image, weights, device_backend, n_colors):
    """Two colours are filled up to the three of the weights, and their layers are merged."""
    assert_alike(*reversed(both(image, device_backend, palette=PALETTE[:n_colors], weights=weights)))


def test_photographs_of_numpy_come_back(image, device_backend):
    moved = fastsoft.decompose_colors(device_backend.array(image), PALETTE).to_numpy()
    for device in ("cuda", "cuda:0", "auto"):
        found = fastsoft.decompose_colors(image, PALETTE, device=device)
        assert all(isinstance(array, np.ndarray) for array in (found.alphas, found.colors, found.image))
        np.testing.assert_array_equal(found.alphas, moved.alphas)
        np.testing.assert_array_equal(found.colors, moved.colors)


def test_tiles_do_not_show(image, device_backend, monkeypatch):
    options = {"palette": PALETTE, "device": "cuda"}
    whole = fastsoft.decompose_colors(image, **options)
    # Tiles of 16x16 pixels and their halo; odd extents end within a coefficient.
    monkeypatch.setattr(network_layers, "TILE_SIZE", 3 * (2 * network_layers.HALO + 16) ** 2)
    assert_alike(fastsoft.decompose_colors(image, **options), whole)


def test_nothing_leaves_the_device_between_the_stages(image, weights, device_backend, monkeypatch):
    moved = device_backend.array(image)

    def leave(*_):
        raise AssertionError("an array left the device")

    models = default_model(), load_model(weights)
    with monkeypatch.context() as patch:
        for name in ("cpu", "numpy", "__array__"):
            patch.setattr(torch.Tensor, name, leave)
        for model in models:
            for smooth in (0, 2):
                layers = fastsoft.decompose_colors(moved, PALETTE, weights=model, smooth=smooth)
    assert device_backend.numpy(layers.alphas).shape == (*image.shape[:2], 3)


def test_alphas_are_processed_where_they_are(image, device_backend):
    seen = []

    def process(alphas):
        seen.append(alphas)
        return alphas * 0.5 + 0.1

    options = {"palette": PALETTE, "smooth": 2, "process": process}
    expected, found = both(image, device_backend, **options)
    assert isinstance(seen[0], np.ndarray)
    np.testing.assert_allclose(device_backend.numpy(seen[1]), seen[0], atol=20 * ALPHA)
    # The filter of an epsilon of 1e-6 amplifies what alphas differ by.
    np.testing.assert_allclose(found.alphas, expected.alphas, atol=20 * ALPHA)
    fastsoft.decompose_colors(image, device="cuda", **options)
    assert isinstance(seen[2], np.ndarray)


def test_normalising_and_smoothing_are_those_of_the_cpu(image, device_backend, rng, dtype):
    alphas, image = rng.random((*image.shape[:2], 3)).astype(dtype), image.astype(dtype)
    moved = [device_backend.array(array) for array in (alphas, image)]
    eps = np.finfo(dtype).eps
    found = device_backend.numpy(normalize_alphas(moved[0]))
    np.testing.assert_allclose(found, normalize_alphas(alphas), rtol=4 * eps)
    found = device_backend.numpy(smooth_alphas(*moved, radius=2, epsilon=1e-3))
    np.testing.assert_allclose(found, smooth_alphas(alphas, image, radius=2, epsilon=1e-3), atol=200 * eps)


def test_a_lower_precision_changes_little(image, device_backend):
    exact = fastsoft.decompose_colors(image, PALETTE, device="cuda")
    for precision in ("bfloat16", "float16"):
        found = fastsoft.decompose_colors(image, PALETTE, device="cuda", precision=precision)
        difference = np.abs(found.alphas - exact.alphas)
        assert 0 < difference.mean() < 0.01
        assert found.settings["precision"] == precision
        assert np.abs(found.recomposed() - image).max() < 1e-5


def test_bfloat16_on_the_cpu(image, weights):
    for model in (default_model(), load_model(weights)):
        exact = fastsoft.decompose_colors(image, PALETTE, weights=model)
        found = fastsoft.decompose_colors(image, PALETTE, weights=model, precision="bfloat16")
        assert 0 < np.abs(found.alphas - exact.alphas).mean() < 0.01
    with pytest.raises(ValueError, match="precision must be 'float32' or 'bfloat16' on the CPU, got 'float16'"):
        fastsoft.decompose_colors(image, PALETTE, precision="float16")


def test_networks_are_moved_once(device_backend):
    model, where = default_model(), torch.device(device_backend.torch_device)
    moved = network_on(model._network, where)
    assert network_on(model._network, where) is moved
    assert all(value.device.type == where.type for value in moved.state_dict().values())
    with torch.no_grad():
        model._network.head.bias += 1
    again = network_on(model._network, where)
    assert again is not moved
    np.testing.assert_array_equal(device_backend.numpy(again.head.bias), model._network.head.bias.numpy())


def test_a_device_without_room_is_refused_before_the_start(image, device_backend, monkeypatch):
    need = device_memory(image.shape, 3)
    monkeypatch.setattr("fastsoft.network_device.free_bytes", lambda _: need - 1)
    message = (
        r"decompose_colors of 77x60 pixels into 3 layers needs about 0\.75 GB of memory on cuda:0, of which 0\.75 GB "
        r"are free: use fewer pixels, fewer colours or float32 images, or use device='cpu'"
    )
    with pytest.raises(MemoryError, match=message):
        fastsoft.decompose_colors(image, PALETTE, device="cuda")
    monkeypatch.setattr("fastsoft.network_device.free_bytes", lambda _: need)
    fastsoft.decompose_colors(image, PALETTE, device="cuda")


def test_estimates_of_memory_are_those_of_the_tensors(device_backend, rng, monkeypatch, dtype):
    """What the photograph's pixels cost; what does not depend on them is made small here, and measured below."""
    monkeypatch.setattr(network_layers, "TILE_SIZE", 4 * (2 * network_layers.HALO + 32) ** 2)
    monkeypatch.setattr("fastsoft.layers.simplex._TENSOR_CHUNK", 64)
    peaks, estimates = [], []
    for shape in ((32, 320, 3), (32, 640, 3)):
        image = device_backend.array(rng.random(shape).astype(dtype))
        with PeakMemory() as memory:
            fastsoft.decompose_colors(image, 4)
        peaks.append(memory.peak)
        estimates.append(device_memory(shape, 4, itemsize=dtype.itemsize))
    # The photograph itself was there before.
    measured = (peaks[1] - peaks[0]) / (32 * 320) + 3 * dtype.itemsize
    estimated = (estimates[1] - estimates[0]) / (32 * 320)
    # Of the smaller photograph it is still the tile that takes most.
    assert 0.4 * estimated < measured < 1.02 * estimated


@pytest.mark.parametrize("n_colors", [2, 7, 10])
def test_tiles_fit_the_memory_that_is_set_aside(n_colors):
    network = copy.deepcopy(default_model()._network).to("meta")
    tile = int((network_layers.TILE_SIZE / n_colors) ** 0.5) // 16 * 16
    image = torch.empty(1, 3, tile, tile, device="meta")
    with PeakMemory() as memory, torch.inference_mode():
        found = network.coefficients(image, torch.empty(1, n_colors, 3, device="meta"))
    assert found.device.type == "meta"
    assert TILE_BYTES / 4 < memory.peak < TILE_BYTES


def test_estimates_of_memory_grow_with_what_is_asked_for():
    shapes = [(480, 640), (1080, 1920), (2160, 3840), (4320, 7680)]
    found = [device_memory(shape, 7) for shape in shapes]
    assert found == sorted(found)
    # 8K within a card of 8 GB.
    assert found[-1] < 6e9
    assert device_memory(shapes[2], 10) > found[2]
    assert device_memory(shapes[2], 7, itemsize=8) > found[2]
    assert device_memory(shapes[2], 7, processed=True) > found[2]
