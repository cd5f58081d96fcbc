# SPDX-License-Identifier: MIT
from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from tests import on_host
from tests.backends import BACKENDS, DEVICE_BACKENDS, Backend, missing

# Machines that are busy must not fail tests, nor must other examples fail one commit and pass the next.
settings.register_profile("fastsoft", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("fastsoft")

# Where golden arrays and photos lie; they are not part of the repository.
SHARED = Path(os.environ.get("FASTSOFT_SHARED", Path(__file__).resolve().parents[2] / "shared"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--require-cuda", action="store_true", help="fail where a test would be skipped for lack of CUDA")


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    """Each library whose arrays operations take. Those on devices are skipped without one, or fail if required.

    ``torch-on-host`` runs what the others run on a device, on the host.
    """
    yield from _backend(request, request.param)


@pytest.fixture(params=DEVICE_BACKENDS)
def device_backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    """Each library on a device, for what the CPU does not have, such as streams."""
    yield from _backend(request, request.param)


@pytest.fixture
def host_backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    """``torch-on-host`` alone, for what can be asked of it only."""
    yield from _backend(request, "torch-on-host")


def _backend(request: pytest.FixtureRequest, name: str) -> Iterator[Backend]:
    reason = missing(name)
    if reason is not None:
        if name == "torch-on-host":
            required = "FASTSOFT_REQUIRE_ON_HOST" if os.environ.get("FASTSOFT_REQUIRE_ON_HOST") else None
        else:
            required = "--require-cuda" if request.config.getoption("--require-cuda") else None
        if required:
            pytest.fail(f"{required} was given, but {reason}")
        pytest.skip(reason)
    if name != "torch-on-host":
        yield Backend(name)
        return
    with pytest.MonkeyPatch.context() as monkeypatch:
        on_host.install(monkeypatch)
        faults, allocated = on_host.count("faults"), on_host.count("allocated")
        yield Backend(name)
        assert on_host.count("faults") == faults, "a kernel wrote beside its memory"
        assert on_host.count("allocated") == allocated, "device memory was left behind"


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
