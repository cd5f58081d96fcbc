# SPDX-License-Identifier: MIT
"""Layers whose arrays are on a device behave like those of NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from fastsoft import Layers
from fastsoft.layers.result import order_by_mass


@pytest.fixture(params=[False, True], ids=["plain", "with colours"])
def host(request, rng, dtype):
    alphas = rng.dirichlet(np.ones(3), (9, 7)).astype(dtype)
    colors = rng.random((9, 7, 3, 3)).astype(dtype) if request.param else None
    return Layers(alphas, rng.random((9, 7, 3)).astype(dtype), colors=colors)


@pytest.fixture
def moved(host, device_backend):
    colors = None if host.colors is None else device_backend.array(host.colors)
    return Layers(device_backend.array(host.alphas), device_backend.array(host.image), colors=colors)


def test_methods_return_arrays_of_the_device(host, moved, device_backend):
    assert moved.n_layers == 3
    assert repr(moved) == repr(host)
    np.testing.assert_array_equal(device_backend.numpy(moved.rgba(1)), host.rgba(1))
    eps = np.finfo(host.alphas.dtype).eps  # three products and their sum
    np.testing.assert_allclose(device_backend.numpy(moved.recomposed()), host.recomposed(), rtol=0, atol=4 * eps)
    np.testing.assert_array_equal(order_by_mass(moved.alphas), order_by_mass(host.alphas))


def test_layers_come_back_to_the_host(host, moved):
    assert host.to_numpy() is host
    back = moved.to_numpy()
    np.testing.assert_array_equal(back.alphas, host.alphas)
    np.testing.assert_array_equal(back.image, host.image)
    assert isinstance(back.alphas, np.ndarray)
    assert (back.colors is None) == (host.colors is None)


def test_layers_are_saved_from_a_device(host, moved, tmp_path, monkeypatch):
    # Of the process, which may grow in between.
    monkeypatch.setattr("fastsoft.layers.files.peak_memory", lambda: 123)
    for layers, name in ((host, "host"), (moved, "moved")):
        layers.save(tmp_path / name)
    names = sorted(path.name for path in (tmp_path / "host").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "moved").iterdir())
    for name in names:
        assert (tmp_path / "host" / name).read_bytes() == (tmp_path / "moved" / name).read_bytes()


def test_layers_on_a_device_are_checked(host, device_backend):
    image = device_backend.array(host.image)
    with pytest.raises(ValueError, match="alphas must sum to 1 at every pixel"):
        Layers(device_backend.array(host.alphas / 2), image)
    with pytest.raises(ValueError, match=r"alphas must lie in \[0, 1\]"):
        Layers(device_backend.array(host.alphas - 1), image)
    with pytest.raises(ValueError, match=r"image must lie in \[0, 1\]"):
        Layers(device_backend.array(host.alphas), device_backend.array(host.image + 1))
    with pytest.raises(TypeError, match="arrays of a call must be on one device"):
        Layers(device_backend.array(host.alphas), host.image)
