# SPDX-License-Identifier: MIT
"""Loads the native modules: for the CPU the one built for the best instruction set that this processor runs.

The environment variable ``FASTSOFT_ISA`` (``v1``, ``v3`` or ``v4``) asks for a lower one, for tests and
for comparing. The CUDA module is loaded when it is asked for, which no operation on the CPU does.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
from types import ModuleType
from typing import TYPE_CHECKING

from fastsoft.errors import CudaError

__all__ = ["cpu", "cuda", "cuda_facts"]

if TYPE_CHECKING:
    from fastsoft import _cpu as cpu
else:
    import os

    from fastsoft import _isa

    def _load():
        names = ["native", *(f"v{level}" for level in (4, 3, 1) if level <= _isa.level())]
        wanted = os.environ.get("FASTSOFT_ISA")
        if wanted:
            if wanted not in names:
                raise ImportError(f"FASTSOFT_ISA must be one of {', '.join(names)} on this machine, got {wanted!r}")
            names = [wanted]
        for name in names:
            if importlib.util.find_spec(f"fastsoft._cpu_{name}") is not None:
                return importlib.import_module(f"fastsoft._cpu_{name}")
        raise ImportError(f"fastsoft has no native module among {', '.join(names)}: it was not built or not installed")

    cpu = _load()


def _cuda_module() -> ModuleType:
    """Import the CUDA module; whether a device is there does not matter yet."""
    if importlib.util.find_spec("fastsoft._cuda") is None:
        raise CudaError("fastsoft was built without CUDA: no nvcc was found (FASTSOFT_CUDA=ON makes that an error)")
    try:
        return importlib.import_module("fastsoft._cuda")
    except ImportError as error:
        raise CudaError(f"the CUDA module of fastsoft cannot be loaded: {error}") from error


@functools.cache
def cuda() -> ModuleType:
    """Return the CUDA module.

    Raises
    ------
    CudaError
        If fastsoft was built without it, there is no driver, or no device; the message says which.
    """
    module = _cuda_module()
    problem = module.problem()
    if problem:
        raise CudaError(f"CUDA cannot be used: {problem}")
    return module


def cuda_facts() -> dict[str, str]:
    """Return what `fastsoft info` says about CUDA: versions and devices, or why there are none."""
    try:
        module = _cuda_module()
    except CudaError as error:
        return {"cuda": str(error)}
    found = module.installation()
    facts = {
        "cuda": f"unavailable: {found['problem']}" if found["problem"] else "available",
        "cuda_runtime": f"{_version(found['runtime'])}, kernels for {module.architectures}",
        "cuda_driver": f"supports CUDA {_version(found['driver'])}" if found["driver"] else "none",
    }
    for number, device in enumerate(found["devices"]):
        major, minor = device["compute_capability"]
        memory = f"{device['free_bytes'] / 1e9:.1f} of {device['total_bytes'] / 1e9:.1f} GB free"
        facts[f"cuda_device_{number}"] = f"{device['name']}, compute capability {major}.{minor}, {memory}"
    return facts


def _version(number: int) -> str:
    """Return a version as CUDA counts them, 13010, the way people write it, 13.1."""
    return f"{number // 1000}.{number % 1000 // 10}"
