# SPDX-License-Identifier: MIT
"""What a segmentation needs on a device: the estimate beside what tensors and workspaces take on small pictures."""

from __future__ import annotations

import numpy as np
import pytest

import fastsoft
from fastsoft import network_device
from fastsoft.semantic import device_memory
from fastsoft.semantic.reduction import DEVICE_CONTEXT_BYTES
from tests import on_host
from tests.peak_memory import PeakMemory

SHAPE = (96, 128)
SCALE = 100


def picture(shape):
    y, x = np.mgrid[: shape[0], : shape[1]]
    image = np.stack([x / shape[1], y / shape[0], (x // 20 + y // 20) % 2], axis=2)
    return np.clip(image + np.random.default_rng(5).normal(0, 0.02, image.shape), 0, 1)


@pytest.mark.parametrize(
    ("settings", "dtype"),
    [
        ({"n_eigenvectors": 60}, np.float32),
        ({"n_eigenvectors": 24}, np.float64),
        ({"n_eigenvectors": 24, "spectral_pixels": 3000, "n_layers": 9, "n_segments": 12}, np.float32),
        ({"n_eigenvectors": 24, "spectral_pixels": 3000, "features": "lowlevel"}, np.float32),
    ],
)
def test_estimates_are_a_little_above_what_is_taken(host_backend, settings, dtype):
    image = host_backend.array(picture(SHAPE).astype(dtype))
    taken = 0

    def progress(_stage, fraction):
        nonlocal taken
        # Tensors and workspaces peak at different times; of one stage, their sum is not far from the truth.
        if fraction == 1.0:
            taken = max(taken, tensors.peak + on_host.count("peak"))
            on_host.reset_peak()
            tensors.peak = 0

    on_host.reset_peak()
    with PeakMemory() as tensors:
        # Few superpixels: of a real photograph, they weigh little beside its pixels.
        fastsoft.segment(image, **{"features": image, "n_superpixels": 40, "progress": progress} | settings)
    # A picture so much larger that what does not grow with it does not count.
    options = {key: value for key, value in settings.items() if key not in ("n_segments", "features")}
    options["spectral_pixels"] = settings.get("spectral_pixels", 10**6) * SCALE**2
    shape = tuple(SCALE * extent for extent in SHAPE)
    grown = device_memory(shape, itemsize=np.dtype(dtype).itemsize, **options) - DEVICE_CONTEXT_BYTES
    assert 0.6 * grown / SCALE**2 <= taken <= grown / SCALE**2


def test_a_device_without_room_is_refused_before_the_start(host_backend, monkeypatch):
    stages = []
    monkeypatch.setattr(network_device, "free_bytes", lambda _: 10**9)
    with pytest.raises(MemoryError, match=r"a segmentation of 128x96 pixels needs about 1\.00 GB of memory on cuda:0"):
        fastsoft.segment(host_backend.array(picture(SHAPE)), progress=lambda stage, _: stages.append(stage))
    assert stages == []


def test_estimates_rise_with_what_is_asked_for():
    base = device_memory((2160, 3840))
    assert device_memory((2160, 3840), n_layers=8) > base
    assert device_memory((4320, 7680)) > base
    assert device_memory((2160, 3840), spectral_pixels=8_000_000) > base
    assert device_memory((2160, 3840), itemsize=8) > 1.9 * base - DEVICE_CONTEXT_BYTES
    # A common card holds it whole, a small one reduced as by default.
    assert device_memory((2160, 3840), spectral_pixels=10**9) < 24e9
    assert base < 8e9
