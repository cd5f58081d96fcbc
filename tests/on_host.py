# SPDX-License-Identifier: MIT
"""The CUDA backend run on the host: the module of cpp/tests/on_host, and tensors of the CPU that pass for a device's.

Built with ``FASTSOFT_BUILD_TESTS=ON``. Kernels run thread by thread, so keep pictures small.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib.machinery
import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from fastsoft import _dispatch, _native, network_device

ROOT = Path(__file__).resolve().parents[1]


def path() -> Path | None:
    """Return FASTSOFT_ON_HOST where that is set, else the module that was built last for this Python, or None."""
    given = os.environ.get("FASTSOFT_ON_HOST")
    if given:
        return Path(given)
    suffix = importlib.machinery.EXTENSION_SUFFIXES[0]
    found = ROOT.glob(f"build/*/on_host/_cuda{suffix}")
    return max(found, key=lambda file: file.stat().st_mtime, default=None)


@functools.cache
def module() -> ModuleType:
    file = path()
    assert file is not None
    spec = importlib.util.spec_from_file_location("fastsoft_on_host._cuda", file)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@functools.cache
def _control() -> ctypes.CDLL:
    file = path()
    assert file is not None
    library = ctypes.CDLL(str(file))
    for name in ("allocated", "peak", "faults", "launches", "waits"):
        getattr(library, f"fastsoft_on_host_{name}").restype = ctypes.c_size_t
    library.fastsoft_on_host_set_capacity.argtypes = [ctypes.c_size_t]
    return library


def count(name: str) -> int:
    """Return ``allocated`` or ``peak`` bytes, or the number of ``faults``, ``launches`` or ``waits`` so far."""
    return int(getattr(_control(), f"fastsoft_on_host_{name}")())


def reset_peak() -> None:
    _control().fastsoft_on_host_reset_peak()


@contextlib.contextmanager
def backward() -> Iterator[None]:
    """Run blocks and threads in the opposite order: no result may depend on it."""
    _control().fastsoft_on_host_set_backward(1)
    try:
        yield
    finally:
        _control().fastsoft_on_host_set_backward(0)


@contextlib.contextmanager
def capacity(n_bytes: int) -> Iterator[None]:
    """Limit what the operations can allocate."""
    _control().fastsoft_on_host_set_capacity(n_bytes)
    try:
        yield
    finally:
        _control().fastsoft_on_host_set_capacity(8 << 30)


class HostPlace(_dispatch._TorchCudaPlace):
    """The place of torch tensors on a device, in host memory."""

    def __init__(self, device: int) -> None:
        super().__init__(device)
        self.torch_device = "cpu"

    @property
    def stream(self) -> int:
        return 0


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let all torch tensors be on device 0, and the host be that device."""
    locate = _dispatch._torch_device

    def torch_device(tensor: Any, name: str, layout: str = "strided") -> str:
        assert locate(tensor, name, layout) == "cpu"
        return "cuda:0"

    monkeypatch.setattr(_native, "cuda", module)
    monkeypatch.setattr(network_device, "problem", lambda: "")
    monkeypatch.setattr(network_device, "free_bytes", lambda _: 8 << 30)
    monkeypatch.setattr(_dispatch, "_TorchCudaPlace", HostPlace)
    monkeypatch.setattr(_dispatch, "_torch_device", torch_device)
