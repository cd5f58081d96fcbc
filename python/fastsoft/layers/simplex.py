# SPDX-License-Identifier: MIT
"""Makes alphas lie in [0, 1] and sum to 1, moving them as little as possible."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from fastsoft._arrays import as_array, namespace
from fastsoft._checks import as_float_array, check_finite, check_shape
from fastsoft._device import find_device
from fastsoft._dispatch import find_place

__all__ = ["largest_excess", "project_to_simplex"]

# Rows of alphas that are projected at a time, so that temporaries stay in the cache and small.
_CHUNK = 1 << 16
_ROWS = 64
_TENSOR_CHUNK = 1 << 21


def project_to_simplex(alphas: Any) -> tuple[Any, float]:
    """Move the alphas of every pixel to the nearest ones that are >= 0 and sum to 1.

    Parameters
    ----------
    alphas : array, shape (..., n), float32 or float64
        n alphas per pixel; any finite values. Of NumPy, or of torch or CuPy on a CUDA device.

    Returns
    -------
    projected : array, shape, library, device and dtype of `alphas`
        In [0, 1]. The sum over the last axis is 1 up to rounding. Pixels that fulfil both already keep their bits.
    largest_correction : float
        The largest absolute change of an alpha.

    Raises
    ------
    ValueError
        If `alphas` holds NaN or infinity, or n is 0.

    Notes
    -----
    Euclidean projection by sorting, O(n log n) per pixel, computed in float64 on the pixels that need it. All alphas
    above the result's zero level are lowered by the same amount, so a pixel (1.1, -0.1, 0) becomes (1, 0, 0) [1]_.

    References
    ----------
    .. [1] J. Duchi, S. Shalev-Shwartz, Y. Singer, T. Chandra, "Efficient projections onto the l1-ball for learning in
       high dimensions", ICML 2008. :doi:`10.1145/1390156.1390191`

    Examples
    --------
    >>> import numpy as np
    >>> from fastsoft.layers import project_to_simplex
    >>> alphas, correction = project_to_simplex(np.array([[1.25, -0.25, 0.0], [0.25, 0.25, 0.5]]))
    >>> alphas.tolist(), correction
    ([[1.0, 0.0, 0.0], [0.25, 0.25, 0.5]], 0.25)
    """
    device = find_device(None, alphas=alphas)
    given, alphas = alphas, as_float_array(alphas, "alphas", find_place(alphas=alphas))
    if alphas.ndim < 1 or alphas.shape[-1] == 0:
        raise ValueError(f"alphas must have shape (..., n) with n at least 1, got {alphas.shape}")
    check_finite(alphas, "alphas")
    n = alphas.shape[-1]
    if device is not None:
        on_device, largest = _project_tensor(device.tensor(given))
        return device.result(on_device), largest
    projected = np.array(alphas, order="C")
    rows = projected.reshape(-1, n)
    # Sums of n rounded numbers differ from 1 by about n roundings even where nothing is wrong.
    slack = n * float(np.finfo(alphas.dtype).eps)
    largest = 0.0
    for start in range(0, len(rows), _CHUNK):
        chunk = rows[start : start + _CHUNK]
        off = (chunk.min(axis=1) < 0) | (np.abs(chunk.sum(axis=1, dtype=np.float64) - 1) > slack)
        if not off.any():
            continue
        values = chunk[off].astype(np.float64)
        result = _project(values)
        largest = max(largest, float(np.abs(result - values).max()))
        chunk[off] = result
    return projected, largest


def _project(values: Any) -> Any:
    # A number added to all values of a row changes nothing. With the largest at 0 all that stay positive lie in
    # [-1, 0], and rounding is that of alphas whatever came in.
    values = values - values.max(axis=1, keepdims=True)
    descending = -np.sort(-values, axis=1)
    # Lowering by level[k] brings the sum of the k + 1 largest to 1; the right k is the last whose alpha stays positive.
    level = (np.cumsum(descending, axis=1) - 1) / np.arange(1, values.shape[1] + 1)
    last = np.count_nonzero(descending > level, axis=1) - 1
    return np.maximum(values - level[np.arange(len(values)), last][:, None], 0)


def _project_tensor(alphas: Any) -> tuple[Any, float]:
    """Do the same with a tensor; waits for the device once, at the end."""
    torch = sys.modules["torch"]
    n = alphas.shape[-1]
    projected = alphas.clone(memory_format=torch.contiguous_format)
    rows = projected.view(-1, n)
    slack = n * torch.finfo(alphas.dtype).eps
    largest = torch.zeros((), dtype=torch.float64, device=alphas.device)
    for start in range(0, len(rows), _TENSOR_CHUNK):
        chunk = rows[start : start + _TENSOR_CHUNK]
        values = chunk.double()
        off = (values.amin(dim=1) < 0) | ((values.sum(dim=1) - 1).abs() > slack)
        shifted = values - values.amax(dim=1, keepdim=True)
        descending = torch.sort(shifted, dim=1, descending=True).values
        # Not cumsum, whose order of summation may differ from run to run on a device.
        total = torch.full_like(descending[:, 0], -1.0)
        level = torch.empty_like(total)
        for k in range(n):
            total = total + descending[:, k]
            # The alphas that stay positive come first, so the last level that is taken is that of the last of them.
            level = torch.where(descending[:, k] > total / (k + 1), total / (k + 1), level)
        result = torch.where(off[:, None], (shifted - level[:, None]).clamp(min=0), values)
        largest = torch.maximum(largest, (result - values).abs().amax())
        chunk.copy_(result)
    return projected, float(largest)


def largest_excess(alphas: Any) -> float:
    """Return how far, at most, the sum of the alphas (H, W, n) of a pixel is from 1."""
    # Some rows at a time: sums of a large photograph are temporaries of hundreds of megabytes.
    blocks = range(0, len(alphas), _ROWS)
    xp = namespace(alphas)
    return max(float(xp.abs(alphas[k : k + _ROWS].sum(axis=2, dtype=xp.float64) - 1).max()) for k in blocks)


def check_alphas(value: Any, name: str = "alphas") -> Any:
    """Check soft layers: float array (H, W, n) in [0, 1] whose sums over the layers are 1; on a device, a tensor."""
    alphas = as_float_array(value, name, find_place(alphas=value))
    check_shape(alphas, ("H", "W", "n"), name)
    if 0 in alphas.shape:
        raise ValueError(f"{name} must not be empty, got shape {alphas.shape}")
    check_finite(alphas, name)
    alphas = as_array(alphas)
    low, high = float(alphas.min()), float(alphas.max())
    if low < 0 or high > 1 + 1e-6:
        raise ValueError(f"{name} must lie in [0, 1], got values in [{low:g}, {high:g}]")
    worst = largest_excess(alphas)
    if worst > 1e-4:
        raise ValueError(f"{name} must sum to 1 at every pixel, got a sum that is off by {worst:g}")
    return alphas
