# SPDX-License-Identifier: MIT
"""Argument checks, in one message style: *argument must be this, got that*.

Everything a public function refuses is refused here, before native code runs, so that all backends say the
same words.
"""

from __future__ import annotations

import math
import operator
from typing import TYPE_CHECKING, Any

import numpy as np

from fastsoft._dispatch import DeviceArray, Place, find_place

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "FloatArray",
    "as_float_array",
    "as_labels",
    "check_alpha",
    "check_alpha_of",
    "check_choice",
    "check_image",
    "check_int",
    "check_mask",
    "check_not_negative",
    "check_number",
    "check_planes",
    "check_shape",
    "check_unit_range",
]

if TYPE_CHECKING:
    FloatArray = NDArray[np.float32] | NDArray[np.float64]
else:
    FloatArray = np.ndarray

# Pixel indices are int32 in sparse matrices.
MAX_PIXELS = 2**31 - 1


def as_float_array(value: Any, name: str, place: Place | None = None) -> Any:
    """Return `value` as a float32 or float64 array, viewing it in place where that is possible.

    That is an ndarray, or with a `place` on a CUDA device (of operations that run there) a DeviceArray. Integers,
    booleans and float16 are refused: their range is ambiguous (0..255 or 0..1?), and `fastsoft.to_float` converts
    images knowingly.
    """
    if place is None:
        _refuse_device(value, name)
        place = find_place(**{name: value})
    array = place.read(value, name)
    if array.dtype.type not in (np.float32, np.float64):
        raise TypeError(
            f"{name} must have dtype float32 or float64, got {array.dtype} (fastsoft.to_float converts images)"
        )
    if not array.dtype.isnative:
        if isinstance(array, DeviceArray):
            raise TypeError(f"{name} must be in the byte order of the machine, got dtype {array.dtype.str}")
        array = array.astype(array.dtype.newbyteorder("="))
    return array


def _refuse_device(value: Any, name: str) -> None:
    """Refuse arrays on devices, for operations that have the CPU only."""
    if type(value).__module__.partition(".")[0] == "torch":
        if value.device.type != "cpu":
            raise TypeError(f"{name} must be on the CPU, got a tensor on {value.device}")
    elif hasattr(value, "__cuda_array_interface__"):
        raise TypeError(f"{name} must be on the CPU, got an array on a CUDA device")


def as_labels(value: Any, name: str, place: Place | None = None) -> Any:
    """Return an array of labels as int32, viewing it in place where it is that already.

    With a `place` on a CUDA device that is a DeviceArray; other integers there are converted, which waits.
    """
    if place is None:
        _refuse_device(value, name)
        place = find_place(**{name: value})
    array = place.read(value, name)
    if array.dtype == np.int32 and array.dtype.isnative:
        return array
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name} must be integers, got dtype {array.dtype}")
    if array.size:
        values = array.owner if isinstance(array, DeviceArray) else array
        low, high = int(values.min()), int(values.max())
        if low < -(2**31) or high > MAX_PIXELS:
            raise ValueError(f"{name} must fit 32-bit integers, got values in [{low}, {high}]")
    return place.contiguous(value, np.int32, name)


def check_finite(array: Any, name: str) -> None:
    """Raise ValueError if the array holds NaN or infinity. For an array on a device: waits for its stream."""
    if isinstance(array, DeviceArray):
        _raise_unless_finite(array.value_range()[2], name)
        return
    # The sum of finite numbers is finite but for overflow, so this scans once without a temporary in the common case.
    with np.errstate(over="ignore", invalid="ignore"):
        total = array.sum(dtype=np.float64)
    if not math.isfinite(total):
        _raise_unless_finite(int(array.size - np.count_nonzero(np.isfinite(array))), name)


def check_not_negative(array: Any, name: str) -> None:
    """Raise ValueError unless the array is finite and at least 0. For an array on a device: waits for its stream."""
    if isinstance(array, DeviceArray):
        low, _, n_bad = array.value_range()
        _raise_unless_finite(n_bad, name)
    else:
        check_finite(array, name)
        low = float(array.min())
    if low < 0:
        raise ValueError(f"{name} must not be negative, got {low:g}")


def _raise_unless_finite(n_bad: int, name: str) -> None:
    if n_bad:
        raise ValueError(f"{name} must be finite, got {n_bad} values that are NaN or infinite")


def check_unit_range(array: Any, name: str) -> None:
    """Raise ValueError unless the array is finite and within [0, 1]."""
    if isinstance(array, DeviceArray):
        low, high, n_bad = array.value_range()
        _raise_unless_finite(n_bad, name)
    else:
        # NaN makes both ends NaN, so that a good array is scanned twice, not three times.
        low, high = float(array.min()), float(array.max())
        if not (low >= 0.0 and high <= 1.0):
            check_finite(array, name)
    if low < 0.0 or high > 1.0:
        raise ValueError(f"{name} must lie in [0, 1], got values in [{low:g}, {high:g}]")


def check_image(
    value: Any, name: str = "image", *, min_size: int = 1, values: bool = True, place: Place | None = None
) -> Any:
    """Check an RGB image: float array (H, W, 3) and, unless `values` is false, finite and within [0, 1]."""
    image = as_float_array(value, name, place)
    if image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"{name} must have shape (H, W, 3), got {image.shape}")
    height, width, _ = image.shape
    if height < min_size or width < min_size:
        raise ValueError(f"{name} must be at least {min_size}x{min_size} pixels, got {height}x{width}")
    if height * width > MAX_PIXELS:
        raise ValueError(f"{name} must have at most {MAX_PIXELS} pixels, got {height}x{width}")
    if values:
        check_unit_range(image, name)
    return image


def check_alpha(value: Any, name: str = "alpha", place: Place | None = None) -> Any:
    """Check an alpha: float array (H, W), not empty, finite, within [0, 1]."""
    alpha = as_float_array(value, name, place)
    if alpha.ndim != 2:
        raise ValueError(f"{name} must have shape (H, W), got {alpha.shape}")
    if not 0 < alpha.size <= MAX_PIXELS:
        raise ValueError(f"{name} must have 1 to {MAX_PIXELS} pixels, got shape {alpha.shape}")
    check_unit_range(alpha, name)
    return alpha


def check_alpha_of(
    image: Any, value: Any, of: str, *, layers: bool = False, values: bool = True, place: Place | None = None
) -> Any:
    """Check the alpha of an image: float array of its size and dtype, or with `layers` a stack (H, W, n) of them.

    `values` asks for a scan: finite, within [0, 1].
    """
    alpha = as_float_array(value, "alpha", place)
    height, width = image.shape[:2]
    if alpha.ndim not in ((2, 3) if layers else (2,)) or alpha.shape[:2] != (height, width) or 0 in alpha.shape:
        wanted = f"({height}, {width}){f' or ({height}, {width}, n)' if layers else ''}"
        raise ValueError(f"alpha must have shape {wanted} as {of} has, got {alpha.shape}")
    if alpha.dtype != image.dtype:
        raise TypeError(f"alpha must have the dtype of {of}, {image.dtype}, got {alpha.dtype}")
    if values:
        check_unit_range(alpha, "alpha")
    return alpha


def check_planes(value: Any, name: str, *, finite: bool = True, place: Place | None = None) -> Any:
    """Check a float array (H, W) or (H, W, C) of any values; `finite` asks for a scan for NaN and infinity."""
    array = as_float_array(value, name, place)
    if array.ndim not in (2, 3):
        raise ValueError(f"{name} must have shape (H, W) or (H, W, C), got {array.shape}")
    if 0 in array.shape:
        raise ValueError(f"{name} must not be empty, got shape {array.shape}")
    height, width = array.shape[:2]
    if height * width > MAX_PIXELS:
        raise ValueError(f"{name} must have at most {MAX_PIXELS} pixels, got {height}x{width}")
    if finite:
        check_finite(array, name)
    return array


def check_shape(array: Any, expected: tuple[int | str, ...], name: str) -> None:
    """Check a shape in which strings are free extents, named in the message."""
    fits = array.ndim == len(expected) and all(
        isinstance(want, str) or want == got for want, got in zip(expected, array.shape, strict=True)
    )
    if not fits:
        text = ", ".join(str(extent) for extent in expected)
        raise ValueError(f"{name} must have shape ({text}), got {array.shape}")


def check_int(value: Any, name: str, *, low: int | None = None, high: int | None = None) -> int:
    """Check an integer (Python's or NumPy's, not a boolean or a float) and its inclusive range."""
    try:
        if isinstance(value, (bool, np.bool_)):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {value!r}") from None
    if (low is not None and number < low) or (high is not None and number > high):
        if low is None:
            wanted = f"at most {high}"
        else:
            wanted = f"at least {low}" if high is None else f"in {low}..{high}"
        raise ValueError(f"{name} must be {wanted}, got {number}")
    return number


def check_number(
    value: Any, name: str, *, low: float | None = None, high: float | None = None, exclusive: bool = False
) -> float:
    """Check a finite real number and its range, inclusive unless `exclusive` (then the lower end is)."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number, got {value!r}") from None
    too_low = low is not None and (number < low or (exclusive and number == low))
    if not math.isfinite(number) or too_low or (high is not None and number > high):
        bounds = []
        if low is not None:
            bounds.append(f"above {low:g}" if exclusive else f"at least {low:g}")
        if high is not None:
            bounds.append(f"at most {high:g}")
        raise ValueError(f"{name} must be {' and '.join(bounds) or 'finite'}, got {number:g}")
    return number


def check_choice(value: Any, name: str, choices: tuple[str, ...]) -> str:
    """Check one of a few strings."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}")
    return str(value)


def check_mask(mask: Any, shape: tuple[int, ...]) -> Any:
    """Check a mask of the given height and width: booleans, or floating point in [0, 1]."""
    mask = np.asarray(mask)
    if mask.dtype == np.bool_:
        mask = mask.astype(np.float32)
    mask = as_float_array(mask, "mask")
    if mask.shape != tuple(shape):
        raise ValueError(f"mask must have the size of the photograph, {shape[0]}x{shape[1]}, got shape {mask.shape}")
    check_finite(mask, "mask")
    low, high = float(mask.min()), float(mask.max())
    if low < 0 or high > 1:
        raise ValueError(f"mask must lie in [0, 1], got values in [{low:g}, {high:g}]")
    return mask
