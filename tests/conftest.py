# SPDX-License-Identifier: MIT
from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from tests.backends import BACKENDS, DEVICE_BACKENDS, Backend, missing

# Machines that are busy must not fail tests, nor must other examples fail one commit and pass the next.
settings.register_profile("fastsoft", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("fastsoft")

# Where golden arrays and photos lie; they are not part of the repository.
SHARED = Path(os.environ.get("FASTSOFT_SHARED", Path(__file__).resolve().parents[2] / "shared"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--require-cuda", action="store_true", help="fail where a test would be skipped for lack of CUDA")


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Backend:
    """Each library whose arrays operations take. Those on devices are skipped without one, or fail if required."""
    return _backend(request)


@pytest.fixture(params=DEVICE_BACKENDS)
def device_backend(request: pytest.FixtureRequest) -> Backend:
    """Each library on a device, for what the CPU does not have, such as streams."""
    return _backend(request)


def _backend(request: pytest.FixtureRequest) -> Backend:
    reason = missing(request.param)
    if reason is not None:
        if request.config.getoption("--require-cuda"):
            pytest.fail(f"--require-cuda was given, but {reason}")
        pytest.skip(reason)
    return Backend(request.param)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20181)


@pytest.fixture(params=["float32", "float64"])
def dtype(request: pytest.FixtureRequest) -> np.dtype:
    return np.dtype(request.param)


@pytest.fixture(scope="session")
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip(f"the shared test data are not at {SHARED} (set FASTSOFT_SHARED)")
    return SHARED


GOLDEN_NAMES = ("docia-96", "docia-160", "bsds-113044")
_golden_cache: dict[Path, dict[str, np.ndarray]] = {}


@pytest.fixture(params=GOLDEN_NAMES)
def golden(request: pytest.FixtureRequest, shared: Path) -> dict[str, np.ndarray]:
    """Stage outputs of the authors' program on one picture, as a dict of arrays."""
    path = shared / "golden" / f"{request.param}.npz"
    if path not in _golden_cache:
        with np.load(path) as archive:
            _golden_cache[path] = {key: archive[key] for key in archive.files}
    return _golden_cache[path]


@pytest.fixture
def threads():
    """A function that sets the number of threads; the default returns afterwards."""
    import fastsoft

    yield fastsoft.set_num_threads
    fastsoft.set_num_threads(0)
