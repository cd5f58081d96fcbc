# SPDX-License-Identifier: MIT
"""What is done at random to foregrounds, backgrounds and photographs that train matting, and trimaps made from alphas.

Recolouring of the foreground is the paper's colour augmentation (R. Wang, J. Xie, J. Han, D. Qi, "Improving Deep Image
Matting via Local Smoothness Assumption", ICME 2022, arXiv:2112.13809); the others are in the authors' program or are
our own.
All arrays are float32, colours in [0, 1]; everything random comes from the generator given.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from fastsoft.matting.procedural import smooth_noise
from fastsoft.matting.trimap import BACKGROUND, FOREGROUND, UNKNOWN
from fastsoft.ops.distance_transform import distance_transform

__all__ = [
    "alpha_gamma",
    "augment_color",
    "compose",
    "defocus",
    "jitter",
    "match_background",
    "motion_blur",
    "overlay",
    "synthesize_trimap",
]


def compose(color: Any, background: Any, alpha: Any) -> Any:
    """Return ``alpha color + (1 - alpha) background``, all of one size, alpha (H, W)."""
    return background + alpha[:, :, None] * (color - background)


def overlay(color: Any, alpha: Any, below_color: Any, below_alpha: Any) -> tuple[Any, Any]:
    """Put one foreground over another; returns colours and alpha of both together."""
    share = (1 - alpha) * below_alpha
    total = alpha + share
    mixed = (alpha[:, :, None] * color + share[:, :, None] * below_color) / np.maximum(total, 1e-6)[:, :, None]
    return np.where(total[:, :, None] > 1e-6, mixed, color).astype(np.float32), total.astype(np.float32)


def augment_color(color: Any, rng: np.random.Generator, *, per_channel: bool = False) -> Any:
    """Mix a foreground with one random colour (CA): ``w color + (1 - w) u``.

    Parameters
    ----------
    color : ndarray, shape (H, W, 3), float32
    rng : numpy.random.Generator
    per_channel : bool, default False
        Draw w for every channel, as the authors' program does; the paper has one for all.
    """
    tint = rng.random(3, dtype=np.float32)
    weight = rng.random(3 if per_channel else 1, dtype=np.float32)
    return weight * color + (1 - weight) * tint


def alpha_gamma(alpha: Any, rng: np.random.Generator) -> Any:
    """Return alpha ** g or 1 - (1 - alpha) ** g, with g from 0.5 to 2."""
    gamma = np.float32(rng.uniform(0.5, 1) if rng.random() < 0.5 else rng.uniform(1, 2))
    return alpha**gamma if rng.random() < 0.5 else 1 - (1 - alpha) ** gamma


def jitter(image: Any, rng: np.random.Generator, amount: float = 0.2) -> Any:
    """Change brightness, contrast, saturation and gamma by up to about this share."""
    image = image * np.float32(np.exp(rng.normal(0, amount)))
    mean = image.mean(dtype=np.float64)
    image = np.float32(mean) + (image - np.float32(mean)) * np.float32(rng.uniform(1 - amount, 1 + amount))
    grey = image.mean(axis=2, keepdims=True)
    image = grey + (image - grey) * np.float32(rng.uniform(1 - amount, 1 + amount))
    return image.clip(0, 1) ** np.float32(np.exp(rng.normal(0, amount)))


def match_background(background: Any, color: Any, alpha: Any, rng: np.random.Generator) -> Any:
    """Bring the background's colours towards the foreground's, which makes the two hard to tell apart."""
    weight = float(alpha.sum(dtype=np.float64))
    if weight < 1:
        return background
    target = (color * alpha[:, :, None]).sum(axis=(0, 1), dtype=np.float64) / weight
    shift = (target - background.mean(axis=(0, 1), dtype=np.float64)) * rng.uniform(0.3, 1.0)
    return (background + shift.astype(np.float32)).clip(0, 1)


def blur(image: Any, sigma: float) -> Any:
    """Blur every channel by a Gaussian; borders are continued."""
    from scipy.ndimage import gaussian_filter

    sigmas = (sigma, sigma, 0) if image.ndim == 3 else (sigma, sigma)
    return gaussian_filter(image, sigmas, mode="nearest", truncate=3)


def resample(image: Any, factor: float) -> Any:
    """Resize an image by a factor and back, which takes its fine detail or none."""
    from PIL import Image

    height, width = image.shape[:2]
    picture = Image.fromarray((image * 255 + 0.5).astype(np.uint8))
    small = picture.resize((max(1, round(width * factor)), max(1, round(height * factor))), Image.Resampling.BICUBIC)
    return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC)).astype(np.float32) / np.float32(255)


def _premultiplied(color: Any, alpha: Any) -> Any:
    return np.concatenate([color * alpha[:, :, None], alpha[:, :, None]], axis=2)


def _divided(planes: Any, color: Any) -> tuple[Any, Any]:
    alpha = planes[:, :, 3]
    found = planes[:, :, :3] / np.maximum(alpha, 1e-4)[:, :, None]
    return np.where(alpha[:, :, None] > 1e-4, found, color).clip(0, 1), alpha.clip(0, 1)


def defocus(color: Any, alpha: Any, sigma: float) -> tuple[Any, Any]:
    """Blur a foreground as a lens would that is focused elsewhere: colours weighted by alpha, and alpha.

    The photograph is then that of the blurred light of the foreground and of the background that it lets through.
    """
    return _divided(blur(_premultiplied(color, alpha), sigma), color)


def motion_blur(color: Any, alpha: Any, length: float, angle: float) -> tuple[Any, Any]:
    """Blur a foreground along a line, as if it had moved so many pixels while it was photographed."""
    planes = _premultiplied(color, alpha)
    count = max(2, round(length))
    reach = int(np.ceil(length / 2))
    height, width = alpha.shape
    padded = np.pad(planes, ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    total = np.zeros_like(planes)
    for place in np.linspace(-0.5, 0.5, count):
        row = reach + round(float(place * length * np.sin(angle)))
        col = reach + round(float(place * length * np.cos(angle)))
        total += padded[row : row + height, col : col + width]
    return _divided(total / np.float32(count), color)


def add_noise(image: Any, rng: np.random.Generator, deviation: float) -> Any:
    """Add noise whose variance grows with brightness, as that of a sensor does."""
    noise = rng.standard_normal(image.shape, dtype=np.float32) * np.float32(deviation)
    return (image + noise * np.sqrt(0.25 + 0.75 * image)).clip(0, 1)


def compress(image: Any, quality: int) -> Any:
    """Write an image as JPEG and read it again."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray((image * 255 + 0.5).astype(np.uint8)).save(buffer, "JPEG", quality=quality)
    buffer.seek(0)
    with Image.open(buffer) as picture:
        return np.asarray(picture).astype(np.float32) / np.float32(255)


def synthesize_trimap(
    alpha: Any,
    outer: float,
    inner: float,
    *,
    hard_edges: bool = True,
    rough: float = 0.0,
    rng: np.random.Generator | None = None,
) -> Any:
    """Make a trimap from an alpha, as `fastsoft.trimap_from_alpha` does, if wanted of varying width.

    Parameters
    ----------
    alpha : ndarray, shape (H, W), float32
        In [0, 1].
    outer, inner : float
        Width of the unknown band in pixels, on the transparent and on the opaque side.
    hard_edges : bool, default True
        Whether edges without a pixel between 0 and 1 also get a band.
    rough : float, default 0
        Share by which the widths vary smoothly over the image, as where people draw trimaps.
    rng : numpy.random.Generator, optional
        Of the variation.

    Returns
    -------
    ndarray, shape (H, W), uint8
        0 background, 128 unknown, 255 foreground.
    """
    clear, opaque = alpha <= 0, alpha >= 1
    if hard_edges:
        outside, inside = distance_transform(~clear), distance_transform(~opaque)
    else:
        outside = inside = distance_transform(~(clear | opaque))
    if rough > 0:
        if rng is None:
            raise ValueError("rng must be a generator where rough is above 0, got None")
        size = max(alpha.shape)
        noise = smooth_noise(size, max(2, size // 32), rng)[: alpha.shape[0], : alpha.shape[1]]
        # Distance 0 stays 0: what is mixed is unknown anyhow.
        factor = np.exp(rough * (2.0 * noise - 1.0))
        outside, inside = outside * factor, inside * factor
    trimap = np.full(alpha.shape, UNKNOWN, dtype=np.uint8)
    trimap[clear & (outside > outer)] = BACKGROUND
    trimap[opaque & (inside > inner)] = FOREGROUND
    return trimap
