# SPDX-License-Identifier: MIT
"""What `benchmarks.gpu` would measure runs; how long it takes is for a device to say."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def image(rng, host_backend):
    return host_backend.array(rng.random((40, 50, 3)).astype("float32"))


@pytest.fixture
def gpu(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks import gpu

    yield gpu
    for name in [name for name in sys.modules if name.partition(".")[0] == "benchmarks"]:
        del sys.modules[name]


def test_operations_run(gpu, image):
    for numbers, kernels, call in gpu.operations(image).values():
        assert numbers > 0
        kernels()
        call()
    for call in gpu.public_calls(image).values():
        call()


def test_pipelines_run(gpu, image):
    for run in gpu.pipelines(image).values():
        assert run().timings
