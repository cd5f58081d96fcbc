# SPDX-License-Identifier: MIT
"""Pictures to measure on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

# Name -> (height, width).
SIZES = {"640x480": (480, 640), "1920x1080": (1080, 1920), "3840x2160": (2160, 3840)}


def synthetic_photo(height: int, width: int, seed: int = 0) -> Any:
    """Make a picture with what matters to these operations: float64 (H, W, 3) in [0, 1].

    Twenty overlapping objects with edges of varying softness, each with its own colour and a 1/f texture as
    photographs have it, under uneven light, with sensor noise. The same bits for the same arguments.
    """
    rng = np.random.default_rng(seed)
    row, col = np.mgrid[:height, :width] / max(height, width)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None] * height, np.fft.rfftfreq(width)[None, :] * width)
    frequency[0, 0] = np.inf
    phases = np.exp(2j * np.pi * rng.random(frequency.shape))
    texture = np.fft.irfft2(phases / frequency, s=(height, width))
    texture /= texture.std()
    image = np.empty((height, width, 3))
    image[...] = rng.uniform(0.3, 0.7, 3)
    image += 0.03 * texture[..., None] * rng.uniform(0.5, 1.0, 3)
    for _ in range(20):
        centre, radius = rng.uniform(0.0, 1.0, 2) * (height, width) / max(height, width), rng.uniform(0.04, 0.25)
        angle, stretch = rng.uniform(0.0, np.pi), rng.uniform(0.5, 1.5)
        along = (row - centre[0]) * np.cos(angle) + (col - centre[1]) * np.sin(angle)
        across = (col - centre[1]) * np.cos(angle) - (row - centre[0]) * np.sin(angle)
        distance = np.hypot(along * stretch, across / stretch) - radius * (1.0 + 0.02 * texture)
        softness = rng.choice([0.001, 0.004, 0.03])
        alpha = 1.0 / (1.0 + np.exp(np.clip(distance / softness, -40.0, 40.0)))
        shifted = np.roll(texture, rng.integers(0, min(height, width), 2), axis=(0, 1))
        colour = rng.uniform(0.05, 0.95, 3) + 0.05 * shifted[..., None]
        image += alpha[..., None] * (colour - image)
    image *= (0.8 + 0.3 * row - 0.2 * col)[..., None]
    image += rng.normal(scale=0.008, size=image.shape)
    return np.clip(image, 0.0, 1.0)


def load_photo(path: Path | str) -> Any:
    """Read a photograph as float64 (H, W, 3) in [0, 1]."""
    from PIL import Image

    with Image.open(path) as file:
        return np.asarray(file.convert("RGB")) / 255.0


def soft_alpha(height: int, width: int) -> Any:
    """Make an alpha of an object: float64 (H, W) in [0, 1], a third opaque, with an edge that is soft and frayed."""
    row, col = np.mgrid[:height, :width] / min(height, width)
    centre_row, centre_col = 0.5 * height / min(height, width), 0.5 * width / min(height, width)
    angle = np.arctan2(row - centre_row, col - centre_col)
    radius = 0.4 + 0.02 * np.sin(60 * angle) + 0.02 * np.sin(23 * angle)
    return np.clip((radius - np.hypot(row - centre_row, col - centre_col)) / 0.05 + 0.5, 0.0, 1.0)
