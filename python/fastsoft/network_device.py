# SPDX-License-Identifier: MIT
"""What pipelines do with torch on a CUDA device: tensors of arrays, networks there, and the arithmetic they use."""

from __future__ import annotations

import contextlib
import copy
import importlib
import weakref
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import DTypeLike

__all__ = [
    "arithmetic",
    "as_array",
    "as_tensor",
    "autocast",
    "box_mean",
    "cast",
    "device",
    "free_bytes",
    "network_on",
    "normalize",
    "problem",
    "synchronize",
    "weighted_sum",
]

# Against a division by zero where all alphas are 0, as fastsoft.color.processing has it.
TINY = 1e-8

Network = TypeVar("Network", bound=nn.Module)

# Of networks that were used on a device: the weights, how often each had been written to, and the copy there.
_Held = tuple[list[Tensor], list[int], nn.Module]
_copies: weakref.WeakKeyDictionary[nn.Module, dict[torch.device, _Held]] = weakref.WeakKeyDictionary()


def problem() -> str:
    """Return why torch cannot use CUDA, or an empty text."""
    if torch.version.cuda is None:
        return f"torch {torch.__version__} was built without CUDA"
    return "" if torch.cuda.is_available() else "torch finds no CUDA device"


def device(name: str) -> torch.device:
    """Return a device of torch."""
    return torch.device(name)


def free_bytes(where: torch.device) -> int:
    """Return what can be allocated: what the driver has, and blocks that torch keeps and does not use."""
    free, _ = torch.cuda.mem_get_info(where)
    return int(free + torch.cuda.memory_reserved(where) - torch.cuda.memory_allocated(where))


def synchronize(where: torch.device) -> None:
    """Wait for all work on a device."""
    if where.type == "cuda":
        torch.cuda.synchronize(where)


def as_tensor(value: Any, where: torch.device | None, dtype: DTypeLike | None = None) -> Tensor:
    """Return an array as a tensor on a device; an array that is there is viewed in place.

    Arrays of other libraries come by DLPack, which orders their stream before torch's.
    """
    if isinstance(value, np.ndarray):
        value = np.ascontiguousarray(value if dtype is None else value.astype(dtype, copy=False))
        # torch warns of memory that must not be written to.
        return torch.from_numpy(value if value.flags.writeable else value.copy()).to(where)
    tensor = value if isinstance(value, Tensor) else torch.utils.dlpack.from_dlpack(value)
    return tensor if dtype is None else cast(tensor, dtype)


def cast(array: Any, dtype: Any) -> Any:
    """Return a tensor, or an array of CuPy, in another floating-point type."""
    if not isinstance(array, Tensor):
        return array.astype(dtype, copy=False)
    return array.to(dtype if isinstance(dtype, torch.dtype) else getattr(torch, np.dtype(dtype).name))


def as_array(tensor: Tensor, library: str) -> Any:
    """Return a tensor on a device as an array of "numpy", "torch" or "cupy"."""
    if library == "torch":
        return tensor
    if library == "cupy":
        return importlib.import_module("cupy").from_dlpack(tensor)
    return tensor.cpu().numpy()


def network_on(network: Network, where: torch.device) -> Network:
    """Return a network with its weights on a device, channels last; kept as long as the network is and does not change.

    Parameters
    ----------
    network : Module
        In evaluation mode. Itself is left alone.
    where : device
    """
    values = [*network.parameters(), *network.buffers()]
    # Inference tensors do not count their changes, but cannot be trained either.
    versions = [0 if x.is_inference() else x._version for x in values]
    held = _copies.setdefault(network, {})
    if where in held:
        before, counted, found = held[where]
        same = len(before) == len(values) and all(a is b for a, b in zip(before, values, strict=True))
        if same and counted == versions:
            return found  # type: ignore[return-value]
    moved: Any = copy.deepcopy(network).eval().requires_grad_(False).to(where)
    moved = moved.to(memory_format=torch.channels_last)
    held[where] = values, versions, moved
    return moved  # type: ignore[no-any-return]


@contextlib.contextmanager
def arithmetic(where: torch.device, precision: str = "float32") -> Iterator[None]:
    """Run convolutions in "float32", "bfloat16" or "float16", the same way every time.

    "float32" is that: cuDNN would by default round the factors of convolutions to the 10 bits of TF32. Settings of
    cuDNN are those of the process; they come back afterwards.
    """
    with contextlib.ExitStack() as stack:
        if where.type == "cuda":
            stack.enter_context(
                torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
            )
        if precision != "float32":
            stack.enter_context(autocast(where, precision))
        yield


def autocast(where: torch.device, precision: str) -> torch.autocast:
    """Return the context in which torch computes convolutions in "bfloat16" or "float16"."""
    return torch.autocast(where.type, dtype=getattr(torch, precision))


def normalize(alphas: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Do what `fastsoft.color.normalize_alphas` does."""
    total = alphas.sum(dim=2, keepdim=True).add_(TINY)
    return alphas / total if out is None else torch.div(alphas, total, out=out)


def box_mean(values: Tensor, size: int) -> Tensor:
    """Return means of windows of an odd size around the pixels (H, W), the border's pixels continuing beyond it."""
    radius = size // 2
    planes = values[None]
    for window, border in (((size, 1), (0, 0, radius, radius)), ((1, size), (radius, radius, 0, 0))):
        planes = nn.functional.avg_pool2d(nn.functional.pad(planes, border, mode="replicate"), window, stride=1)
    return planes[0]


def weighted_sum(image: Tensor, weights: tuple[float, ...]) -> Tensor:
    """Return the sum of the channels of an image (H, W, C), each times its weight: (H, W)."""
    total = image[:, :, 0] * weights[0]
    for channel in range(1, len(weights)):
        total += image[:, :, channel] * weights[channel]
    return total
