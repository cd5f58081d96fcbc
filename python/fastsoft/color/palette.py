# SPDX-License-Identifier: MIT
"""Palettes: found in a photograph, written by hand, checked."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from fastsoft._checks import as_float_array, check_finite, check_image, check_int, check_shape
from fastsoft._device import on_device, tensor_of
from fastsoft._dispatch import find_place
from fastsoft.ops.kmeans import kmeans

__all__ = ["check_palette", "color_palette", "format_color", "parse_color", "replace_nearest"]

# A single colour leaves nothing to decompose.
MIN_COLORS = 2
# Pixels that the clusters are found on: more change the third digit of a colour, see `color_palette`.
MAX_SAMPLES = 1 << 16
# Starts of k-means, of which the best is taken.
N_INIT = 4


def color_palette(image: Any, n_colors: int, *, seed: int = 0) -> Any:
    """Find the colours that stand for a photograph best: the centres of k-means in RGB.

    Parameters
    ----------
    image : array, shape (H, W, 3), float32 or float64
        RGB in [0, 1]. Of NumPy, or of torch or CuPy on a CUDA device.
    n_colors : int
        At least 2.
    seed : int, default 0

    Returns
    -------
    ndarray, shape (n_colors, 3), float64
        The colour of the largest cluster first. The same seed gives the same bits.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type, shape or range, or the image has fewer distinct colours.

    Notes
    -----
    The clusters are found on at most 65536 pixels that are spread evenly over the photograph, on the CPU: of a
    photograph on a device these pixels are copied, 0.8 MB in float32, and the palette is the same.

    Examples
    --------
    >>> import numpy as np
    >>> from fastsoft.color import color_palette
    >>> image = np.zeros((4, 6, 3))
    >>> image[:, 4:] = [1.0, 0.5, 0.0]
    >>> color_palette(image, 2).tolist()
    [[0.0, 0.0, 0.0], [1.0, 0.5, 0.0]]
    """
    if on_device(image, "image"):
        check_image(image, place=find_place(image=image))
        # As few as there are, k-means on the CPU is as fast, and the palette is the same wherever the photograph is.
        pixels = sample_pixels(tensor_of(image), MAX_SAMPLES)
    else:
        image = check_image(image)
        pixels = sample_pixels(image, MAX_SAMPLES)
    n_colors = check_int(n_colors, "n_colors", low=MIN_COLORS)
    if len(pixels) < n_colors:
        raise ValueError(f"image must have at least {n_colors} pixels for as many colours, got {len(pixels)}")
    result = kmeans(pixels.astype(np.float64), n_colors, seed=seed, n_init=N_INIT)
    size = np.bincount(result.labels, minlength=n_colors)
    if (size == 0).any():
        raise ValueError(f"image must have at least {n_colors} different colours, got {int((size > 0).sum())}")
    return np.clip(result.centers[np.argsort(-size, kind="stable")], 0, 1)


def sample_pixels(image: Any, count: int) -> Any:
    """Return at most `count` pixels (N, 3) of an ndarray or tensor, evenly spread over it, as an ndarray."""
    height, width = image.shape[:2]
    step = 1
    while -(-height // step) * -(-width // step) > count:
        step += 1
    # From the middle of the blocks, so that no border counts twice.
    pixels = image[step // 2 :: step, step // 2 :: step].reshape(-1, 3)
    return np.ascontiguousarray(pixels if isinstance(pixels, np.ndarray) else pixels.cpu().numpy())


def check_palette(value: Any, n_colors: tuple[int, int] | None = None, name: str = "palette") -> Any:
    """Check a palette of different colours in [0, 1] and return it as float64 (n, 3).

    `n_colors` is the least and the largest number of colours that are allowed.
    """
    value = np.asarray(value)
    if value.size == 0:
        raise ValueError(f"{name} must hold at least {MIN_COLORS} colours, got none")
    if value.dtype.kind in "iu":
        raise TypeError(f"{name} must be floating point in [0, 1], got dtype {value.dtype} (divide 0..255 by 255)")
    palette = as_float_array(value, name).astype(np.float64)
    check_shape(palette, ("n", 3), name)
    check_finite(palette, name)
    if palette.min() < 0 or palette.max() > 1:
        raise ValueError(f"{name} must lie in [0, 1], got values in [{palette.min():g}, {palette.max():g}]")
    low, high = (MIN_COLORS, None) if n_colors is None else n_colors
    if len(palette) < low:
        raise ValueError(f"{name} must hold at least {low} colours, got {len(palette)}")
    if high is not None and len(palette) > high:
        raise ValueError(f"{name} must hold at most {high} colours for these weights, got {len(palette)}")
    distinct, first = np.unique(palette, axis=0, return_index=True)
    if len(distinct) < len(palette):
        twice = int(np.setdiff1d(np.arange(len(palette)), first)[0])
        raise ValueError(f"{name} must hold different colours, got {format_color(palette[twice])} more than once")
    return palette


def replace_nearest(palette: Any, colors: Any) -> tuple[Any, list[int]]:
    """Put colours into a palette, each in the place of the nearest one that is still there.

    Parameters
    ----------
    palette : ndarray, shape (n, 3)
    colors : sequence of colours, at most n

    Returns
    -------
    palette : ndarray, shape (n, 3)
    places : list of int
        Where the colours are now.
    """
    palette = np.array(palette, dtype=np.float64)
    colors = np.asarray(colors, dtype=np.float64)
    if len(colors) > len(palette):
        raise ValueError(f"colors must be at most {len(palette)}, as many as the palette's, got {len(colors)}")
    distance = ((colors[:, None] - palette) ** 2).sum(axis=2)
    places = [-1] * len(colors)
    # The closest pair first, so that no colour takes another's better place.
    for _ in range(len(colors)):
        k, place = np.unravel_index(int(distance.argmin()), distance.shape)
        places[int(k)] = int(place)
        distance[k], distance[:, place] = np.inf, np.inf
    palette[places] = colors
    return palette, places


def parse_color(text: str) -> tuple[float, float, float]:
    """Return the RGB values in [0, 1] of ``#rrggbb``, the ``#`` being optional.

    Raises
    ------
    ValueError
        If the text is something else.
    """
    if not re.fullmatch(r"#?[0-9a-fA-F]{6}", text):
        raise ValueError(f"a colour must be written #rrggbb, got {text!r}")
    digits = text[-6:]
    red, green, blue = (int(digits[k : k + 2], 16) / 255 for k in (0, 2, 4))
    return red, green, blue


def format_color(color: Any) -> str:
    """Return a colour in [0, 1] as ``#rrggbb``, rounded to 8 bits."""
    return "#" + "".join(f"{int(value * 255 + 0.5):02x}" for value in color)
