# SPDX-License-Identifier: MIT
"""Large photographs: the size at which eigenvectors are computed, and what time and memory that takes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastsoft._arrays import namespace
from fastsoft._checks import check_int

__all__ = ["SPECTRAL_PIXELS", "Cost", "device_memory", "estimate_cost", "pixels_within", "resized", "spectral_size"]

# Photographs of more pixels are reduced to so many for the eigenvectors. 1920x1080 is not reduced.
SPECTRAL_PIXELS = 2_100_000


def spectral_size(shape: tuple[int, int], most_pixels: int) -> tuple[int, int]:
    """Return height and width of a photograph reduced to so many pixels, or its own where it has no more."""
    height, width = shape
    if height * width <= most_pixels:
        return height, width
    factor = math.sqrt(most_pixels / (height * width))
    return max(3, math.floor(height * factor)), max(3, math.floor(width * factor))


def resized(values: Any, shape: tuple[int, int]) -> Any:
    """Scale values (H, W, C) of [0, 1] to a height and width, in their dtype: bilinear, averaging where it shrinks."""
    if values.shape[:2] == shape:
        return values
    from fastsoft.semantic.features import resize

    if namespace(values) is not np:
        return resize(values, shape).to(values.dtype).clamp_(0, 1)
    return np.asarray(resize(values, shape), dtype=values.dtype).clip(0, 1)


# Bytes and seconds per pixel of the size in float32 with 100 eigenvectors, with 2 threads of a server processor of 2024
# (benchmarks/results/pipeline.md): of the size that eigenvectors see, and of the photograph's own. The factor's share
# of the first grows with the logarithm of the pixels.
BYTES_SPECTRAL, BYTES_PER_VECTOR, BYTES_FACTOR = 400.0, 7.7, 900.0
BYTES_OWN = 330.0
SECONDS_SPECTRAL, SECONDS_OWN = 18e-6, 4e-6
REFERENCE = 640 * 480
REFERENCE_THREADS = 2


# The same for a CUDA device: what tensors and kernels' workspaces take at most, counted by running all of it on small
# pictures (tests/semantic/test_device_memory.py). Eigenvectors of a photograph that is not reduced; segments from them;
# the relaxation with its share for each layer; features, whose network sees a picture of limited size.
DEVICE_EIGENVECTORS, DEVICE_PER_VECTOR = 640, 12.8
DEVICE_SEGMENTS, DEVICE_SEGMENTS_PER_VECTOR = 1140, 5.2
DEVICE_OWN, DEVICE_PER_LAYER = 100, 97
DEVICE_FEATURES, DEVICE_NETWORK_BYTES = 330, 700_000_000
# The context of CUDA and what its libraries keep.
DEVICE_CONTEXT_BYTES = 300_000_000


@dataclass(frozen=True)
class Cost:
    """What a segmentation is expected to take.

    Attributes
    ----------
    seconds : float
        Without the network that makes features; on another processor perhaps half or twice as much.
    n_bytes : int
        Largest memory in use at a time, the photograph included.
    """

    seconds: float
    n_bytes: int


def estimate_cost(
    shape: tuple[int, int],
    *,
    spectral_pixels: int = SPECTRAL_PIXELS,
    n_eigenvectors: int = 100,
    itemsize: int = 4,
    n_threads: int | None = None,
) -> Cost:
    """Estimate time and memory of `fastsoft.segment` before it is run.

    Parameters
    ----------
    shape : (int, int)
        Height and width of the photograph.
    spectral_pixels : int, default 2,100,000
        As for `fastsoft.segment`.
    n_eigenvectors : int, default 100
    itemsize : int, default 4
        Bytes of a number: 4 for float32, 8 for float64.
    n_threads : int, optional
        Default: those that native operations use.

    Returns
    -------
    Cost
    """
    from fastsoft.threads import num_threads

    n_threads = num_threads() if n_threads is None else check_int(n_threads, "n_threads", low=1)
    own = shape[0] * shape[1]
    rows, cols = spectral_size(shape, spectral_pixels)
    seen = rows * cols
    growth = 1 + 0.09 * math.log2(max(seen / REFERENCE, 0.1))
    spectral = seen * (BYTES_SPECTRAL + BYTES_PER_VECTOR * n_eigenvectors + BYTES_FACTOR * growth)
    # The photograph and its features stay; the graph of full size comes after the eigenvectors are gone.
    n_bytes = itemsize / 4 * max(spectral + 30 * own, BYTES_OWN * own)
    # Part of the work does not run in threads.
    speed = min(n_threads, 16) ** 0.85 / REFERENCE_THREADS**0.85
    seconds = (SECONDS_SPECTRAL * seen * growth * (0.4 + 0.006 * n_eigenvectors) + SECONDS_OWN * own) / speed
    return Cost(itemsize / 4 * seconds, int(n_bytes))


def device_memory(
    shape: tuple[int, ...],
    *,
    spectral_pixels: int = SPECTRAL_PIXELS,
    n_eigenvectors: int = 100,
    n_layers: int = 5,
    itemsize: int = 4,
) -> int:
    """Estimate how much memory `fastsoft.segment` needs on a CUDA device, the photograph and the result included.

    Parameters
    ----------
    shape : tuple of int
        Height and width come first.
    spectral_pixels : int, default 2,100,000
        As for `fastsoft.segment`.
    n_eigenvectors : int, default 100
    n_layers : int, default 5
    itemsize : int, default 4
        Bytes of a number: 4 for float32, 8 for float64.

    Returns
    -------
    int
        Bytes, an upper estimate.

    Notes
    -----
    In float32 the largest of: 640 + 12.8 per eigenvector, or 1140 + 5.2 per eigenvector, for each pixel that
    eigenvectors see, besides 30 for each of the photograph's; 100 + 97 per layer for each of the photograph's; 700 MB
    and 330 for each of these for features. In float64 twice as much, but for features. To that come 300 MB for the
    context of CUDA.

    Examples
    --------
    >>> from fastsoft.semantic import device_memory
    >>> [round(device_memory(shape) / 1e9, 1) for shape in [(480, 640), (1080, 1920), (2160, 3840), (4320, 7680)]]
    [1.1, 4.3, 5.2, 19.7]
    >>> round(device_memory((2160, 3840), spectral_pixels=2160 * 3840) / 1e9, 1)
    16.5
    """
    own = shape[0] * shape[1]
    seen = math.prod(spectral_size((shape[0], shape[1]), spectral_pixels))
    vectors = seen * max(
        DEVICE_EIGENVECTORS + DEVICE_PER_VECTOR * n_eigenvectors,
        DEVICE_SEGMENTS + DEVICE_SEGMENTS_PER_VECTOR * n_eigenvectors,
    )
    layers = own * (DEVICE_OWN + DEVICE_PER_LAYER * n_layers)
    features = DEVICE_NETWORK_BYTES + own * DEVICE_FEATURES
    return int(max(itemsize / 4 * max(vectors + 30 * own, layers), features)) + DEVICE_CONTEXT_BYTES


def pixels_within(memory: float, shape: tuple[int, int], *, n_eigenvectors: int = 100, itemsize: int = 4) -> int:
    """Return the most `spectral_pixels`, up to the photograph's, with which `memory` bytes are expected to suffice.

    Raises
    ------
    ValueError
        If no size does.
    """
    low, high = 9, shape[0] * shape[1]

    def fits(pixels: int) -> bool:
        cost = estimate_cost(shape, spectral_pixels=pixels, n_eigenvectors=n_eigenvectors, itemsize=itemsize)
        return cost.n_bytes <= memory

    if not fits(low):
        least = estimate_cost(shape, spectral_pixels=low, n_eigenvectors=n_eigenvectors, itemsize=itemsize).n_bytes
        raise ValueError(
            f"memory must be at least {least / 1e9:.1f} GB for {shape[1]}x{shape[0]} pixels, got {memory / 1e9:.1f} GB"
        )
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low
