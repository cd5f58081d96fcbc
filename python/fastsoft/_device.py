# SPDX-License-Identifier: MIT
"""Where a pipeline runs: what ``device=`` means, what is on a device already, and whether there is room.

| device | image of NumPy, or a tensor on the CPU | image on ``cuda:N`` |
| --- | --- | --- |
| None | CPU | ``cuda:N`` |
| "cpu" | CPU | TypeError |
| "auto" | the first CUDA device; the CPU, without a word, where there is none | ``cuda:N`` |
| "cuda" | the first CUDA device; CudaError where there is none | ``cuda:N`` |
| "cuda:M" | device M; CudaError where there is none | ``cuda:N`` if M is N, else TypeError |

Inside a pipeline, arrays on a device are torch tensors. What a pipeline returns is what its image was: NumPy arrays for
NumPy arrays, tensors for tensors on a device, CuPy arrays for CuPy arrays.
"""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastsoft import _dispatch, _native
from fastsoft._checks import check_choice
from fastsoft.errors import CudaError

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

__all__ = [
    "PRECISIONS",
    "Device",
    "cast",
    "check_precision",
    "find_device",
    "on_device",
    "tensor_of",
]

# Of the networks' convolutions; all else is float32, or of the image's dtype.
PRECISIONS = ("float32", "bfloat16", "float16")


@dataclass(frozen=True)
class Device:
    """A CUDA device that a pipeline runs on.

    Attributes
    ----------
    index : int
    library : str
        What results are made of: "numpy", "torch" or "cupy".
    torch : torch.device
    """

    index: int
    library: str
    torch: Any

    @property
    def name(self) -> str:
        """``cuda:N``."""
        return f"cuda:{self.index}"

    def tensor(self, value: Any, dtype: DTypeLike | None = None) -> Any:
        """Return an array, of the CPU or of this device, as a tensor here; copies what is on the CPU."""
        from fastsoft import network_device

        return network_device.as_tensor(value, self.torch, dtype)

    def result(self, tensor: Any) -> Any:
        """Return a tensor of this device as an array of the caller's library; waits where that is NumPy."""
        from fastsoft import network_device

        return network_device.as_array(tensor, self.library)

    def synchronize(self) -> None:
        """Wait for all work on the device."""
        from fastsoft import network_device

        network_device.synchronize(self.torch)

    def free_bytes(self) -> int:
        """Return how much memory can be allocated: what the driver has, and what torch keeps for itself."""
        from fastsoft import network_device

        return network_device.free_bytes(self.torch)

    def require(self, n_bytes: int, purpose: str, remedy: str, *, free: int | None = None) -> None:
        """Refuse work for which there is no room.

        Parameters
        ----------
        n_bytes : int
            What it needs.
        purpose, remedy : str
            What it is, and what takes less.
        free : int, optional
            Bytes to compare with. Default: those that are free now.

        Raises
        ------
        MemoryError
        """
        free = self.free_bytes() if free is None else free
        if n_bytes > free:
            raise MemoryError(
                f"{purpose} needs about {n_bytes / 1e9:.2f} GB of memory on {self.name}, of which {free / 1e9:.2f} GB "
                f"are free: {remedy}, or use device='cpu'"
            )


def check_precision(precision: Any, device: Device | None) -> str:
    """Check the precision of networks; on the CPU there is no float16."""
    check_choice(precision, "precision", PRECISIONS)
    if precision == "float16" and device is None:
        raise ValueError("precision must be 'float32' or 'bfloat16' on the CPU, got 'float16'")
    return str(precision)


def on_device(array: Any, name: str = "array") -> bool:
    """Tell an array on a CUDA device from one on the CPU."""
    return not isinstance(array, np.ndarray) and isinstance(_dispatch.find_place(**{name: array}), _dispatch._CudaPlace)


def tensor_of(array: Any) -> Any:
    """Return an array on a CUDA device as a tensor on the same memory."""
    from fastsoft import network_device

    return network_device.as_tensor(array, None)


def cast(array: Any, dtype: DTypeLike) -> Any:
    """Return an array in another floating-point type, and where that is its own the array itself; ndarray or tensor."""
    if isinstance(array, np.ndarray):
        return array.astype(dtype, copy=False)
    from fastsoft import network_device

    return network_device.cast(array, dtype)


def find_device(device: Any, **arrays: Any) -> Device | None:
    """Return the device that a pipeline runs on, None for the CPU.

    Parameters
    ----------
    device : str or None
        As in the table above.
    arrays
        The arguments that are arrays, by their names; the first one says what results are made of.

    Raises
    ------
    CudaError
        If a device is asked for that is not there; the message says what was found.
    TypeError
        If arrays are on several devices, or on another one than that which is asked for.
    ValueError
        If `device` is none of these words.
    """
    number = _parse(device)
    place = _dispatch.find_place(**arrays)
    if isinstance(place, _dispatch._CudaPlace):
        name, first = f"cuda:{place.device}", next(iter(arrays))
        if device == "cpu" or (number is not None and number != place.device):
            raise TypeError(
                f"device must be that of {first}, {name}, or None, got {device!r}: arrays are not moved away silently"
            )
        _require_torch(device or name)
        library = "cupy" if isinstance(place, _dispatch._CupyPlace) else "torch"
        return Device(place.device, library, _torch_device(place))
    if device is None or device == "cpu":
        return None
    try:
        found = _native.cuda().installation()["devices"]
        wanted = number or 0
        if wanted >= len(found):
            names = ", ".join(f"cuda:{k} ({entry['name']})" for k, entry in enumerate(found))
            raise CudaError(f"found {names or 'no CUDA device'}")
        _require_torch(device)
    except CudaError as error:
        if device == "auto":
            return None
        reason = str(error).removeprefix("CUDA cannot be used: ")
        raise CudaError(f"device={device!r} cannot be used: {reason}") from None
    return Device(wanted, "numpy", _torch_device(_dispatch._TorchCudaPlace(wanted)))


def _parse(device: Any) -> int | None:
    """Return the number in ``cuda:N``, None where there is no number."""
    if device is None or device in ("cpu", "auto", "cuda"):
        return None
    match = re.fullmatch(r"cuda:(\d{1,3})", device) if isinstance(device, str) else None
    if match is None:
        raise ValueError(f"device must be None, 'cpu', 'auto', 'cuda' or 'cuda:N', got {device!r}")
    return int(match[1])


def _require_torch(device: str) -> None:
    """Raise CudaError unless torch, which holds what pipelines have on a device, can use CUDA."""
    if importlib.util.find_spec("torch") is None:
        raise CudaError("torch is not installed, which the pipelines need on a device")
    from fastsoft import network_device

    problem = network_device.problem()
    if problem:
        raise CudaError(problem)


def _torch_device(place: Any) -> Any:
    from fastsoft import network_device

    return network_device.device(getattr(place, "torch_device", f"cuda:{place.device}"))
