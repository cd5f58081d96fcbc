# SPDX-License-Identifier: MIT
from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from benchmarks.images import SIZES, synthetic_photo

SMOKE_SHAPE = (48, 64)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--smoke", action="store_true", help="tiny pictures: only shows that every benchmark runs")


@cache
def _photo(shape: tuple[int, int]) -> Any:
    image = synthetic_photo(*shape)
    image.setflags(write=False)
    return image


@pytest.fixture(params=["640x480", "1920x1080"])
def photo(request: pytest.FixtureRequest) -> Any:
    """A photo-like float64 picture (H, W, 3) in [0, 1], once at each size; read-only."""
    return _photo(SMOKE_SHAPE if request.config.getoption("--smoke") else SIZES[request.param])


@pytest.fixture
def vga_photo(request: pytest.FixtureRequest) -> Any:
    """The same at 640x480 only, for slow operations."""
    return _photo(SMOKE_SHAPE if request.config.getoption("--smoke") else SIZES["640x480"])
