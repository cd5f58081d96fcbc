# SPDX-License-Identifier: MIT
"""Photographs in tiles, with the surroundings that a network sees."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fastsoft._environment import release_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Stretch", "Window", "over_tiles", "windows"]


@dataclass(frozen=True)
class Stretch:
    """A tile along one axis: its place, what the networks are given around it, and where it lies in that."""

    place: slice
    given: slice
    core: slice
    padding: int


@dataclass(frozen=True)
class Window:
    """A tile of the photograph."""

    row: Stretch
    col: Stretch

    @property
    def place(self) -> tuple[slice, slice]:
        """Rows and columns of the photograph."""
        return self.row.place, self.col.place

    @property
    def core(self) -> tuple[slice, slice]:
        """The same rows and columns within what the networks are given."""
        return self.row.core, self.col.core

    def cut(self, array: Any) -> Tensor:
        """Return the tile of an array or tensor (H, W, C) with its surroundings as (1, C, h, w).

        The last row and column are repeated where it ends.
        """
        if isinstance(array, Tensor):
            part = array[self.row.given, self.col.given].permute(2, 0, 1)[None]
            return F.pad(part, (0, self.col.padding, 0, self.row.padding), mode="replicate").contiguous()
        planes = array[self.row.given, self.col.given].transpose(2, 0, 1)
        if self.row.padding or self.col.padding:
            planes = np.pad(planes, ((0, 0), (0, self.row.padding), (0, self.col.padding)), mode="edge")
        return torch.from_numpy(np.ascontiguousarray(planes))[None]


def windows(shape: tuple[int, ...], tile: int, stride: int, halo: int) -> Iterator[Window]:
    """Cut a photograph into tiles.

    Parameters
    ----------
    shape : tuple of int
        Height and width come first.
    tile : int
        Most pixels along a side, a multiple of `stride`.
    stride : int
        Networks need extents of multiples of this; photographs are extended to it.
    halo : int
        How many pixels around a tile the network sees, a multiple of `stride`.
    """
    for row in _stretches(shape[0], tile, stride, halo):
        for col in _stretches(shape[1], tile, stride, halo):
            yield Window(row, col)


def _stretches(extent: int, tile: int, stride: int, halo: int) -> Iterator[Stretch]:
    """Cut one axis into even stretches on the grid of the strides."""
    padded = -(-extent // stride) * stride
    count = -(-padded // tile)
    step = -(-padded // (count * stride)) * stride
    for first in range(0, padded, step):
        begin, end = max(first - halo, 0), min(first + step + halo, padded)
        inside = min(first + step, extent)
        yield Stretch(
            slice(first, inside),
            slice(begin, min(end, extent)),
            slice(first - begin, inside - begin),
            max(0, end - extent),
        )


def over_tiles(
    tiles: list[Window],
    work: Callable[[Window], None],
    progress: Callable[[float], None] | None = None,
    *,
    at_once: int | None = None,
) -> None:
    """Call ``work(tile)`` for all tiles, without gradients, as many at a time as torch may use threads, or `at_once`.

    Each runs in one thread. Threads within the convolutions would wait for each other after every layer, which on a
    processor that others use, too, took several times as long as one thread alone.
    """
    threads = torch.get_num_threads() if at_once is None else at_once

    def one(tile: Window) -> None:
        with torch.inference_mode():
            work(tile)

    if min(threads, len(tiles)) == 1:
        for done, tile in enumerate(tiles):
            one(tile)
            if progress is not None:
                progress((done + 1) / len(tiles))
        release_memory()
        return
    pool = ThreadPoolExecutor(min(threads, len(tiles)), "fastsoft", torch.set_num_threads, (1,))
    try:
        waiting = [pool.submit(one, tile) for tile in tiles]
        for done, future in enumerate(as_completed(waiting)):
            future.result()
            if progress is not None:
                progress((done + 1) / len(tiles))
    finally:
        pool.shutdown(cancel_futures=True)
        # The number is that of the process, and of threads that ask for it later.
        torch.set_num_threads(threads)
        release_memory()
