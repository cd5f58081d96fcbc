# SPDX-License-Identifier: MIT
"""The most memory that tensors take at once, on any device of torch, "meta" included."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

__all__ = ["PeakMemory"]


class PeakMemory(TorchDispatchMode):
    """Counts the bytes of the tensors that were made within this context and still live.

    Attributes
    ----------
    peak : int
        What they were at most. Working memory within an operation is not seen.
    """

    def __init__(self) -> None:
        super().__init__()
        self.peak = 0
        self._given: set[int] = set()
        self._live: dict[int, tuple[StorageWeakRef, int]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        before = {
            x.untyped_storage()._cdata
            for x in tree_leaves((args, kwargs))
            if isinstance(x, Tensor) and x.layout == torch.strided
        }
        out = func(*args, **kwargs)
        self._live = {key: held for key, held in self._live.items() if not held[0].expired()}
        for x in tree_leaves(out):
            if isinstance(x, Tensor) and x.layout == torch.strided:
                storage = x.untyped_storage()
                if storage._cdata not in before and storage._cdata not in self._live:
                    self._live[storage._cdata] = StorageWeakRef(storage), storage.nbytes()
        self.peak = max(self.peak, sum(n_bytes for _, n_bytes in self._live.values()))
        return out
