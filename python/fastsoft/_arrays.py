# SPDX-License-Identifier: MIT
"""What the pipelines' glue needs to treat ndarrays and torch tensors alike, without importing torch."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from fastsoft._dispatch import DeviceArray

__all__ = ["as_array", "like", "namespace", "to_numpy", "workable", "zeros_like"]


def namespace(array: Any) -> Any:
    """Return the module, NumPy or torch, whose functions take an array; names and `axis` are the same in both."""
    return np if isinstance(array, np.ndarray) else sys.modules["torch"]


def as_array(checked: Any) -> Any:
    """Return what `fastsoft._checks` returned as an ndarray, or as a tensor if it is on a device."""
    if not isinstance(checked, DeviceArray):
        return checked
    from fastsoft._device import tensor_of

    return tensor_of(checked.owner)


def workable(array: Any) -> Any:
    """Return an array of any library as an ndarray, or as a tensor if it is on a device."""
    from fastsoft._device import on_device, tensor_of

    return tensor_of(array) if on_device(array) else np.asarray(array)


def like(result: Any, array: Any) -> Any:
    """Return an ndarray or a tensor as an array of the library of another one."""
    if isinstance(result, np.ndarray) or type(array) is type(result):
        return result
    from fastsoft._device import find_device

    device = find_device(None, array=array)
    return result if device is None else device.result(result)


def to_numpy(array: Any) -> Any:
    """Return an array as an ndarray, from a device by copying, after waiting for it."""
    array = workable(array)
    return array if isinstance(array, np.ndarray) else array.cpu().numpy()


def zeros_like(array: Any, shape: tuple[int, ...]) -> Any:
    """Return zeros of the array's library, dtype and device."""
    if isinstance(array, np.ndarray):
        return np.zeros(shape, dtype=array.dtype)
    return array.new_zeros(shape)
