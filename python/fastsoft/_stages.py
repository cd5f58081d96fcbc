# SPDX-License-Identifier: MIT
"""Stages of the pipelines, timed and announced."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, MutableMapping

__all__ = ["timed_stage"]


@contextmanager
def timed_stage(
    name: str, timings: MutableMapping[str, float], progress: Callable[[str, float], None] | None
) -> Iterator[Callable[[float], None] | None]:
    """Time a stage, announce its begin and end, and yield a function that announces the fraction done."""
    report = None if progress is None else lambda fraction: progress(name, min(max(fraction, 0.0), 1.0))
    if report is not None:
        report(0.0)
    started = time.perf_counter()
    yield report
    timings[name] = time.perf_counter() - started
    if report is not None:
        report(1.0)
