# SPDX-License-Identifier: MIT
"""Timing of one callable, and of two against each other.

On a machine that others use, too, the time of one run says little and the minimum flatters. Two callables are
therefore run in turns, one pair per round, and what is reported is the ratio within the rounds: its median
and its quartiles. A band that touches 1.00 has resolved nothing.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

# Larger than any last-level cache of a desktop processor: writing it leaves nothing of the operands in the caches.
_FLUSH_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Band:
    """Median and quartiles of a sample."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, samples: list[float]) -> Band:
        low, median, high = np.percentile(samples, [25, 50, 75])
        return cls(float(median), float(low), float(high))

    def __iter__(self) -> Iterator[float]:
        return iter((self.median, self.low, self.high))

    def __format__(self, spec: str) -> str:
        return f"{self.median:{spec}} ({self.low:{spec}}..{self.high:{spec}})"


@dataclass(frozen=True)
class Comparison:
    """Seconds of both callables, and how many times faster the first one is."""

    ours: Band
    peer: Band
    ratio: Band
    rounds: int


def flush_caches() -> None:
    """Evict whatever an earlier run left in the processor's caches."""
    np.ones(_FLUSH_BYTES // 8).sum()


def seconds(run: Callable[[], Any]) -> float:
    """Time one call with cold caches and without the garbage collector."""
    flush_caches()
    enabled = gc.isenabled()
    gc.disable()
    try:
        start = time.perf_counter()
        run()
        return time.perf_counter() - start
    finally:
        if enabled:
            gc.enable()


def measure(run: Callable[[], Any], *, rounds: int = 9, warmup: int = 1) -> Band:
    """Time one callable: seconds per call."""
    for _ in range(warmup):
        run()
    return Band.of([seconds(run) for _ in range(rounds)])


def compare(
    ours: Callable[[], Any], peer: Callable[[], Any], *, rounds: int = 9, warmup: int = 1, budget: float = 60.0
) -> Comparison:
    """Time two callables in turns.

    Parameters
    ----------
    ours, peer : callable
        Take no arguments; whatever they return is dropped.
    rounds : int
        Pairs of runs. Which one goes first alternates.
    warmup : int
        Untimed runs of each before.
    budget : float
        Seconds after which no further round is begun; one round is always made.
    """
    for _ in range(warmup):
        ours()
        peer()
    times: tuple[list[float], list[float]] = ([], [])
    start = time.perf_counter()
    for index in range(rounds):
        pair = [(times[0], ours), (times[1], peer)]
        for sample, run in pair if index % 2 == 0 else reversed(pair):
            sample.append(seconds(run))
        if time.perf_counter() - start > budget:
            break
    ratios = [slow / fast for fast, slow in zip(*times, strict=True)]
    return Comparison(Band.of(times[0]), Band.of(times[1]), Band.of(ratios), len(ratios))
