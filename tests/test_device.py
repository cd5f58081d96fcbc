# SPDX-License-Identifier: MIT
"""What ``device=`` means, with and without a device."""

from __future__ import annotations

import types

import numpy as np
import pytest
import torch

import fastsoft
from fastsoft import CudaError, _native, network_device
from fastsoft._device import Device, check_precision, find_device, on_device
from fastsoft.color.editing import smooth_layers
from fastsoft.matting import network_matting
from tests.subprocesses import run_python

IMAGE = np.zeros((6, 7, 3), dtype=np.float32)
TRIMAP = np.full((6, 7), 128, dtype=np.uint8)

CALLS = {
    "decompose_colors": lambda **options: fastsoft.decompose_colors(IMAGE, 2, **options),
    "matte": lambda **options: fastsoft.matte(IMAGE, TRIMAP, **options),
    "network_matting": lambda **options: network_matting(IMAGE, TRIMAP, **options),
}


def no_cuda():
    raise CudaError("CUDA cannot be used: no CUDA driver is installed")


@pytest.fixture
def without(monkeypatch):
    """A machine without a driver, whatever this one has."""
    monkeypatch.setattr(_native, "cuda", no_cuda)


@pytest.fixture
def two_devices(monkeypatch):
    """A machine that says it has two devices; nothing runs there."""
    module = types.SimpleNamespace(installation=lambda: {"devices": [{"name": "First"}, {"name": "Second"}]})
    monkeypatch.setattr(_native, "cuda", lambda: module)
    monkeypatch.setattr(network_device, "problem", lambda: "")


def test_arrays_of_the_cpu_stay_there_unless_told_otherwise(without):
    for image in (IMAGE, torch.from_numpy(IMAGE)):
        assert not on_device(image)
        for device in (None, "cpu", "auto"):
            assert find_device(device, image=image) is None


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("device", ["cuda", "cuda:0", "cuda:3"])
def test_a_device_that_is_not_there_is_an_error(without, name, device):
    message = f"device='{device}' cannot be used: no CUDA driver is installed"
    with pytest.raises(CudaError, match=message):
        CALLS[name](device=device)


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:-1", "cuda:x", 0, ""])
def test_other_words_are_refused(name, device):
    with pytest.raises(ValueError, match="device must be None, 'cpu', 'auto', 'cuda' or 'cuda:N', got"):
        CALLS[name](device=device)


@pytest.mark.parametrize("name", CALLS)
def test_other_precisions_are_refused(name):
    with pytest.raises(ValueError, match="precision must be one of 'float32', 'bfloat16', 'float16', got 'half'"):
        CALLS[name](precision="half")
    with pytest.raises(ValueError, match="precision must be 'float32' or 'bfloat16' on the CPU, got 'float16'"):
        CALLS[name](precision="float16")


def test_devices_are_counted(two_devices):
    for device, index in (("auto", 0), ("cuda", 0), ("cuda:0", 0), ("cuda:1", 1)):
        found = find_device(device, image=IMAGE)
        assert (found.index, found.name, found.library) == (index, f"cuda:{index}", "numpy")
        assert found.torch == torch.device("cuda", index)
        assert check_precision("float16", found) == "float16"
    message = r"device='cuda:2' cannot be used: found cuda:0 \(First\), cuda:1 \(Second\)"
    with pytest.raises(CudaError, match=message):
        find_device("cuda:2", image=IMAGE)


def test_torch_must_know_the_device(two_devices, monkeypatch):
    monkeypatch.setattr(network_device, "problem", lambda: "torch 9.9 was built without CUDA")
    with pytest.raises(CudaError, match=r"device='cuda' cannot be used: torch 9\.9 was built without CUDA"):
        find_device("cuda", image=IMAGE)
    assert find_device("auto", image=IMAGE) is None


def test_arrays_on_a_device_choose_it(device_backend):
    image = device_backend.array(IMAGE)
    assert on_device(image)
    for device in (None, "auto", "cuda", "cuda:0"):
        found = find_device(device, image=image)
        assert found.name == "cuda:0"
        assert found.library == device_backend.library.__name__
        back = found.result(found.tensor(image))
        np.testing.assert_array_equal(device_backend.numpy(back), IMAGE)
    for device in ("cpu", "cuda:1"):
        message = rf"device must be that of image, cuda:0, or None, got '{device}': arrays are not moved away silently"
        with pytest.raises(TypeError, match=message):
            find_device(device, image=image)


def test_arrays_go_there_and_come_back(device_backend, rng, dtype):
    image = rng.random((5, 6, 3)).astype(dtype)
    where = find_device("cuda", image=image)
    tensor = where.tensor(image[::2], np.float32)
    assert tensor.dtype == torch.float32
    assert tensor.device.type == device_backend.torch_device
    back = where.result(tensor)
    assert isinstance(back, np.ndarray)
    np.testing.assert_array_equal(back, image[::2].astype(np.float32))


def test_lack_of_memory_says_what_would_be_needed():
    where = Device(1, "numpy", torch.device("cpu"))
    where.require(1_000_000, "nothing", "none", free=1_000_000)
    message = r"matting needs about 2\.50 GB of memory on cuda:1, of which 1\.25 GB are free: wait, or use device='cpu'"
    with pytest.raises(MemoryError, match=message):
        where.require(2_500_000_000, "matting", "wait", free=1_250_000_000)


def test_layers_on_a_device_are_refused_where_there_is_no_version_for_it(device_backend, rng):
    alphas = rng.dirichlet([1, 1], (4, 5))
    layers = fastsoft.Layers(device_backend.array(alphas), device_backend.array(rng.random((4, 5, 3))))
    message = r"layers must be on the CPU, got layers on a CUDA device: pass layers\.to_numpy\(\)"
    for call in (
        lambda: fastsoft.composite(layers),
        lambda: fastsoft.split_layer(layers, 0, np.ones((4, 5))),
        lambda: fastsoft.recolor(layers, {0: (0, 0, 0)}),
        lambda: smooth_layers(layers),
    ):
        with pytest.raises(TypeError, match=message):
            call()


def test_nothing_of_this_loads_torch_for_work_on_the_cpu():
    run_python(
        "import sys, numpy as np, fastsoft\n"
        "trimap = np.full((8, 9), 128, dtype=np.uint8)\n"
        "trimap[:2], trimap[6:] = 0, 255\n"
        "fastsoft.matte(np.random.default_rng(0).random((8, 9, 3)), trimap, method='closed_form')\n"
        "assert 'torch' not in sys.modules"
    )


def test_settings_of_cudnn_come_back():
    """On a device float32 is float32, not TF32; for others nothing changes."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic
    with network_device.arithmetic(torch.device("cuda", 0)):
        assert not torch.backends.cudnn.allow_tf32
        assert torch.backends.cudnn.deterministic
    assert (torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic) == before
    with network_device.arithmetic(torch.device("cpu"), "bfloat16"):
        assert torch.get_autocast_dtype("cpu") == torch.bfloat16
        assert torch.mm(torch.ones(2, 2), torch.ones(2, 2)).dtype == torch.bfloat16
    assert torch.mm(torch.ones(2, 2), torch.ones(2, 2)).dtype == torch.float32
