# SPDX-License-Identifier: MIT
"""The CUDA module as it is built: importable without a driver, the same from Python as that of the CPU."""

from __future__ import annotations

import importlib.util
import re

import pytest

import fastsoft
from fastsoft import _native
from tests.subprocesses import run_python

BUILT = importlib.util.find_spec("fastsoft._cuda") is not None
built = pytest.mark.skipif(not BUILT, reason="fastsoft was built without CUDA")

# What only devices need: facts, what checks and conversions of arguments ask for, steps of iterations on the host.
INFRASTRUCTURE = {
    "installation",
    "pixel_planes",
    "problem",
    "row_sums",
    "sparsify_gram",
    "sparsify_peaks",
    "sparsify_sums",
    "value_range",
}


def functions(module):
    return {name: value for name, value in vars(module).items() if callable(value) and not name.startswith("_")}


@built
def test_operations_have_the_signatures_of_the_cpu_module():
    cuda = functions(_native._cuda_module())
    cpu = functions(_native.cpu)
    assert {"guided_filter", "image_gradient", "matting_laplacian_csr", "matting_laplacian_stencil"} <= cuda.keys()
    assert cuda.keys() - INFRASTRUCTURE <= cpu.keys()
    for name in cuda.keys() - INFRASTRUCTURE:
        assert cuda[name].__doc__.replace("fastsoft._dispatch.DeviceArray", "numpy.ndarray") == cpu[name].__doc__


@built
def test_versions_agree():
    assert _native._cuda_module().__version__ == fastsoft.__version__


@built
def test_arguments_are_checked_before_a_device_is_touched():
    cuda = _native._cuda_module()

    class Array:
        def __init__(self, *shape, dtype="float32", writable=True, strides=None):
            steps = tuple(strides or [1] * len(shape))
            self.descriptor = (64, shape, steps, dtype, writable, 0, 0)

    with pytest.raises(TypeError, match="incompatible function arguments"):
        cuda.image_gradient([1.0], Array(4, 5))
    with pytest.raises(TypeError, match="image must have dtype float32 or float64, got int32"):
        cuda.image_gradient(Array(4, 5, 3, dtype="int32"), Array(4, 5))
    with pytest.raises(ValueError, match="image must have 3 dimensions, got 2"):
        cuda.image_gradient(Array(4, 5), Array(4, 5))
    with pytest.raises(TypeError, match="out must have dtype float32, got float64"):
        cuda.image_gradient(Array(4, 5, 3), Array(4, 5, dtype="float64", strides=(5, 1)))
    with pytest.raises(ValueError, match="out must have 20 elements, got 24"):
        cuda.image_gradient(Array(4, 5, 3), Array(4, 6, strides=(6, 1)))
    with pytest.raises(ValueError, match="out must be C-contiguous"):
        cuda.image_gradient(Array(4, 5, 3), Array(4, 5, strides=(1, 4)))
    with pytest.raises(ValueError, match="out must be writable"):
        cuda.image_gradient(Array(4, 5, 3), Array(4, 5, strides=(5, 1), writable=False))


@built
def test_import_works_without_a_device_and_the_reason_is_told():
    code = """
        import fastsoft
        from fastsoft import _native
        module = _native._cuda_module()
        print(module.installation()["problem"])
        try:
            _native.cuda()
        except fastsoft.CudaError as error:
            print(error)
    """
    # Hides every device from the driver, if there is one.
    problem, error = run_python(code, CUDA_VISIBLE_DEVICES="").splitlines()
    assert problem
    assert error == f"CUDA cannot be used: {problem}"


@built
def test_errors_of_the_runtime_are_named():
    code = """
        import fastsoft
        from fastsoft import _native

        class Array:
            def __init__(self, *shape):
                self.descriptor = (64, shape, (5, 1, 1)[: len(shape)], "float32", True, 0, 0)

        try:
            _native._cuda_module().image_gradient(Array(4, 5, 1), Array(4, 5))
        except fastsoft.CudaError as error:
            print(error)
    """
    assert re.match(r"cuda\w+: cudaError\w+, .+", run_python(code, CUDA_VISIBLE_DEVICES=""))


@pytest.mark.skipif(BUILT, reason="fastsoft was built with CUDA")
def test_package_without_the_module_says_so():
    with pytest.raises(fastsoft.CudaError, match="fastsoft was built without CUDA"):
        _native.cuda()


def test_module_that_is_missing_or_broken_is_told(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert _native.cuda_facts() == {
        "cuda": "fastsoft was built without CUDA: no nvcc was found (FASTSOFT_CUDA=ON makes that an error)"
    }
    monkeypatch.undo()

    def broken(name):
        raise ImportError("undefined symbol")

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(_native.importlib, "import_module", broken)
    with pytest.raises(fastsoft.CudaError, match="cannot be loaded: undefined symbol"):
        _native._cuda_module()


def test_facts_name_versions_and_devices(monkeypatch):
    class Module:
        architectures = "80-real 90-virtual"

        @staticmethod
        def installation():
            device = {"name": "A card", "compute_capability": (8, 6), "free_bytes": 23.5e9, "total_bytes": 25.4e9}
            return {"runtime": 13000, "driver": 12080, "problem": "", "devices": [device]}

    monkeypatch.setattr(_native, "_cuda_module", lambda: Module)
    assert _native.cuda_facts() == {
        "cuda": "available",
        "cuda_runtime": "13.0, kernels for 80-real 90-virtual",
        "cuda_driver": "supports CUDA 12.8",
        "cuda_device_0": "A card, compute capability 8.6, 23.5 of 25.4 GB free",
    }
