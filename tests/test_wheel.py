# SPDX-License-Identifier: MIT
"""What must hold for the package as it is installed."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest

import fastsoft
from fastsoft import _isa, _native
from fastsoft.weights import embedded_weights
from tests.subprocesses import run_python

PACKAGE = Path(fastsoft.__file__).parent
LEVELS = [
    level
    for level, needed in (("v1", 1), ("v3", 3), ("v4", 4), ("native", 1))
    if importlib.util.find_spec(f"fastsoft._cpu_{level}") and _isa.level() >= needed
]


def test_versions_agree():
    version = importlib.metadata.version("fastsoft")
    assert re.fullmatch(r"\d+\.\d+\.\d+", version)
    assert fastsoft.__version__ == version
    assert _native.cpu.__version__ == version


def test_importing_loads_nothing_heavy():
    code = "import sys, fastsoft; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    loaded = set(run_python(code).split())
    assert "fastsoft" in loaded
    assert not loaded & {"torch", "av", "cupy", "scipy", "PIL", "tqdm", "skimage", "cv2", "numba", "matplotlib"}


def test_using_operations_loads_neither_torch_nor_cupy():
    code = """
        import sys, fastsoft
        for name in fastsoft.__all__:
            getattr(fastsoft, name)
        print(*sorted({name.partition('.')[0] for name in sys.modules}))
    """
    loaded = set(run_python(code).split())
    assert "numpy" in loaded
    assert not loaded & {"torch", "av", "cupy", "skimage", "cv2", "numba", "matplotlib"}


def test_no_openmp_runtime_is_loaded():
    code = """
        import fastsoft._native
        libraries = {line.split()[-1] for line in open("/proc/self/maps") if ".so" in line}
        assert any("_cpu_" in library for library in libraries)
        print(*[library for library in libraries if "omp" in library.rpartition("/")[2]])
    """
    assert run_python(code) == ""


def test_every_public_name_exists_and_says_what_it_is():
    for name in fastsoft.__all__:
        value = getattr(fastsoft, name)
        if name != "__version__":
            assert value.__doc__, name
            assert value.__module__.startswith("fastsoft."), name
    assert set(fastsoft.__all__) <= set(dir(fastsoft))
    with pytest.raises(AttributeError, match="module 'fastsoft' has no attribute 'no_such_name'"):
        _ = fastsoft.no_such_name


def test_types_and_licences_are_installed():
    files = {str(file) for file in importlib.metadata.files("fastsoft") or []}
    licences = [file for file in files if "licenses/" in file]
    assert any(file.endswith("/LICENSE") for file in licences)
    assert any(file.endswith("/COPYING.MPL2") for file in licences)
    for name in ("py.typed", "_cpu.pyi", "_cuda.pyi", "_isa.pyi"):
        assert importlib.util.find_spec("fastsoft") is not None
        assert (PACKAGE / name).is_file(), name


def test_weights_are_installed_with_their_card_and_checksum():
    names = sorted(path.name for path in (PACKAGE / "weights").iterdir() if path.name not in ("__pycache__",))
    kinds = ("colors", "features", "matting")
    files = [f"{kind}.{suffix}" for kind in kinds for suffix in ("md", "safetensors")]
    assert names == ["__init__.py", "checksums.json", *files]
    for kind in kinds:
        path, _ = embedded_weights(kind, "")
        assert path.parent == PACKAGE / "weights"
        assert path.stat().st_size <= 12_000_000


@pytest.mark.parametrize("level", LEVELS)
def test_every_instruction_set_gives_the_same_product(level):
    code = """
        import numpy as np, fastsoft
        from fastsoft import _native
        rng = np.random.default_rng(3)
        weights = rng.standard_normal((13, 20, 30))
        weights[:, -2:] = weights[:, :, :2] = weights[:, :, -2:] = 0
        product = fastsoft.StencilMatrix(weights) @ np.ones(600)
        print(_native.cpu.isa_level, *map(float.hex, product.tolist()))
    """
    loaded, *values = run_python(code, FASTSOFT_ISA=level).split()
    assert loaded == level
    found = np.array([float.fromhex(value) for value in values])
    rng = np.random.default_rng(3)
    weights = rng.standard_normal((13, 20, 30))
    weights[:, -2:] = weights[:, :, :2] = weights[:, :, -2:] = 0
    expected = fastsoft.StencilMatrix(weights).tocsr().sum(axis=1)
    # 25 terms of order 1; levels differ in whether products and sums are fused.
    np.testing.assert_allclose(found, expected, atol=100 * np.finfo(np.float64).eps)


def test_unknown_instruction_set_is_an_error():
    code = """
        try:
            import fastsoft
            fastsoft.num_threads
        except ImportError as error:
            print(error)
    """
    assert "FASTSOFT_ISA must be one of native" in run_python(code, FASTSOFT_ISA="v9")
