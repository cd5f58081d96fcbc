# SPDX-License-Identifier: MIT
"""Training data for matting: foregrounds of known alpha composed over photographs.

After R. Wang, J. Xie, J. Han, D. Qi, "Improving Deep Image Matting via Local Smoothness Assumption", ICME 2022,
arXiv:2112.13809, and the authors' program; what departs from them is said in docs/matting.md.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastsoft._checks import check_int, check_number
from fastsoft.image import read_image
from fastsoft.matting.augmentation import (
    add_noise,
    alpha_gamma,
    augment_color,
    blur,
    compose,
    compress,
    defocus,
    jitter,
    match_background,
    motion_blur,
    overlay,
    resample,
    synthesize_trimap,
)
from fastsoft.matting.procedural import KINDS, draw_foreground
from fastsoft.matting.trimap import UNKNOWN
from fastsoft.ops.estimate_foreground import estimate_foreground
from fastsoft.ops.refine_foreground import refine_foreground

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["CompositionData", "CompositionSettings", "Sample"]

_IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp")

# Alphas of 8 bits from programs stray around 0 and 255 where nothing is mixed.
STRAY = 4
# More than this share of a crop is not to be unknown, or nothing would tell what is foreground there.
MOST_UNKNOWN = 0.85
CENTER_TRIES = 5


@dataclass(frozen=True)
class CompositionSettings:
    """How training crops are made.

    Probabilities are of one crop each and independent; 0 switches something off.

    Attributes
    ----------
    crop : int
        Pixels along a side.
    zoom_low, zoom_high : float
        A pixel of the crop is so many pixels of the foreground's file wide.
    procedural : float
        Probability of a drawn foreground instead of one of the folder.
    combine : float
        Probability of two foregrounds, one over the other.
    estimate : bool
        Whether the folder's pictures are photographs, whose colours are mixed with their background's where alpha is
        below 1: the foreground's colours are then estimated first.
    refine : bool
        Whether colours are made smooth where alpha is small (RF, `fastsoft.refine_foreground`).
    center : float
        Probability that a crop's centre is a mixed pixel; otherwise it is any that is not transparent.
    rotate, flip : float
        Turn by any angle, mirror; of foreground and background independently.
    gamma : float
        Change alpha by a power.
    recolor : float
        Mix the foreground with a random colour (CA).
    recolor_channels : bool
        With a random weight for every channel, as the authors' program does, instead of one.
    negative, permute : float
        Invert the foreground's colours, permute its channels.
    jitter : float
        Change brightness, contrast and saturation of foreground and background.
    match : float
        Shift the background's colours towards the foreground's.
    blur, resample : float
        Blur foreground and background alike, or resize them and back; alpha stays.
    background_blur : float
        Blur the background alone, as behind a photographed subject.
    defocus, motion : float
        Blur the foreground and its alpha together.
    noise, jpeg : float
        Add noise to the composite, compress it.
    dilation : int
        Most pixels by which the unknown part of the trimap reaches beyond mixed pixels; both sides are drawn from 1 on.
    wide : float
        Probability of reaching up to twice as far.
    rough : float
        Probability that the reach varies over the image.
    hard_edges : bool
        Whether edges without a mixed pixel are unknown, too; in the authors' program they are not.
    """

    crop: int = 256
    zoom_low: float = 0.7
    zoom_high: float = 2.0
    procedural: float = 0.5
    combine: float = 0.2
    estimate: bool = True
    refine: bool = True
    center: float = 0.8
    rotate: float = 0.5
    flip: float = 0.5
    gamma: float = 0.3
    recolor: float = 0.3
    recolor_channels: bool = False
    negative: float = 0.1
    permute: float = 0.2
    jitter: float = 0.5
    match: float = 0.3
    blur: float = 0.2
    resample: float = 0.2
    background_blur: float = 0.5
    defocus: float = 0.15
    motion: float = 0.05
    noise: float = 0.4
    jpeg: float = 0.3
    dilation: int = 24
    wide: float = 0.3
    rough: float = 0.5
    hard_edges: bool = True

    def __post_init__(self) -> None:
        check_int(self.crop, "crop", low=32)
        if self.crop % 32:
            raise ValueError(f"crop must be a multiple of 32, got {self.crop}")
        check_int(self.dilation, "dilation", low=1)
        check_number(self.zoom_low, "zoom_low", low=0.1, high=16)
        check_number(self.zoom_high, "zoom_high", low=self.zoom_low, high=16)
        for name in PROBABILITIES:
            check_number(getattr(self, name), name, low=0, high=1)


# Settings that are probabilities.
PROBABILITIES = (
    "procedural",
    "combine",
    "center",
    "rotate",
    "flip",
    "gamma",
    "recolor",
    "negative",
    "permute",
    "jitter",
    "match",
    "blur",
    "resample",
    "background_blur",
    "defocus",
    "motion",
    "noise",
    "jpeg",
    "wide",
    "rough",
)


@dataclass(frozen=True)
class Sample:
    """A training crop.

    Attributes
    ----------
    image : ndarray, shape (S, S, 3), float32
        In [0, 1], of 8 bits.
    trimap : ndarray, shape (S, S), uint8
        0, 128 and 255.
    alpha : ndarray, shape (S, S), float32
        In [0, 1], of 8 bits.
    color, background : ndarray, shape (S, S, 3), float32
        What the image was composed of, before noise and compression.
    """

    image: Any
    trimap: Any
    alpha: Any
    color: Any
    background: Any


class CompositionData:
    """A folder of foregrounds and folders of backgrounds.

    Parameters
    ----------
    foregrounds : path
        Holds ``image/NAME.*`` and ``alpha/NAME.png`` of the same size; alpha is the first channel.
    backgrounds : sequence of path
        Each holds photographs, or a folder ``images`` or ``image`` of them.

    Raises
    ------
    ValueError
        If a folder lacks what it must hold, sizes differ, or an alpha is 0 everywhere.
    """

    def __init__(self, foregrounds: str | os.PathLike[str], backgrounds: Sequence[str | os.PathLike[str]]) -> None:
        folder = Path(foregrounds)
        for part in ("image", "alpha"):
            if not (folder / part).is_dir():
                raise ValueError(f"foregrounds must hold image/ and alpha/, got {folder} without {part}/")
        self.foregrounds: list[tuple[Path, Path]] = []
        for path in _pictures(folder / "image"):
            alpha = folder / "alpha" / f"{path.stem}.png"
            if not alpha.is_file():
                raise ValueError(f"foregrounds must have an alpha each, got {path.name} without alpha/{alpha.name}")
            self.foregrounds.append((path, alpha))
        if not self.foregrounds:
            raise ValueError(f"foregrounds must hold pictures in image/, got none in {folder}")
        self.backgrounds: list[Path] = []
        for given in backgrounds:
            place = Path(given)
            place = next((place / part for part in ("images", "image") if (place / part).is_dir()), place)
            found = _pictures(place) if place.is_dir() else []
            if not found:
                raise ValueError(f"backgrounds must be folders of photographs, got {given} without any")
            self.backgrounds += found
        if not self.backgrounds:
            raise ValueError("backgrounds must be folders of photographs, got none")
        self._kept: dict[tuple[int, bool, bool], _Levels] = {}

    def foreground(self, index: int, *, estimate: bool = True, refine: bool = True) -> _Levels:
        """Return a foreground in several sizes, prepared once and then kept in memory."""
        key = (index, estimate, refine)
        if key not in self._kept:
            self._kept[key] = _prepare(*self.foregrounds[index], estimate=estimate, refine=refine)
        return self._kept[key]

    def sample(self, settings: CompositionSettings, rng: np.random.Generator) -> Sample:
        """Make a training crop; everything random comes from `rng`."""
        chance = _Chance(rng)
        color, alpha = self._foreground_crop(settings, rng)
        if chance(settings.combine):
            color, alpha = overlay(*self._foreground_crop(settings, rng), color, alpha)
        background = self._background_crop(settings, rng)
        if chance(settings.gamma):
            alpha = alpha_gamma(alpha, rng)
        if chance(settings.recolor):
            color = augment_color(color, rng, per_channel=settings.recolor_channels)
        if chance(settings.negative):
            color = 1 - color
        if chance(settings.permute):
            color = color[:, :, rng.permutation(3)]
        if chance(settings.jitter):
            color, background = jitter(color, rng), jitter(background, rng)
        if chance(settings.match):
            background = match_background(background, color, alpha, rng)
        if chance(settings.defocus):
            color, alpha = defocus(color, alpha, float(np.exp(rng.uniform(np.log(0.5), np.log(4)))))
        if chance(settings.motion):
            color, alpha = motion_blur(color, alpha, float(rng.uniform(3, 20)), float(rng.uniform(0, np.pi)))
        if chance(settings.background_blur):
            background = blur(background, float(np.exp(rng.uniform(np.log(0.5), np.log(6)))))
        if chance(settings.blur):
            sigma = float(rng.uniform(0.4, 1.5))
            color, background = blur(color, sigma), blur(background, sigma)
        if chance(settings.resample):
            factors = rng.choice([0.5, 0.75, 1.5], 2)
            color, background = (resample(p, f) for p, f in zip((color, background), factors, strict=True))
        color, background = (np.asarray(p, dtype=np.float32).clip(0, 1) for p in (color, background))
        alpha = np.round(alpha.clip(0, 1) * 255).astype(np.float32) / np.float32(255)
        image = compose(color, background, alpha)
        if chance(settings.noise):
            image = add_noise(image, rng, float(rng.uniform(0.003, 0.03)))
        if chance(settings.jpeg):
            image = compress(image, int(rng.integers(50, 96)))
        image = np.round(image.clip(0, 1) * 255).astype(np.float32) / np.float32(255)
        trimap = self._trimap(settings, alpha, rng)
        return Sample(image.astype(np.float32), trimap, alpha, color, background)

    def _trimap(self, settings: CompositionSettings, alpha: Any, rng: np.random.Generator) -> Any:
        most = settings.dilation * (2 if rng.random() < settings.wide else 1)
        outer, inner = (float(v) for v in rng.integers(1, most + 1, size=2))
        rough = 0.5 if rng.random() < settings.rough else 0.0
        seed = int(rng.integers(2**62))
        while True:
            trimap = synthesize_trimap(
                alpha, outer, inner, hard_edges=settings.hard_edges, rough=rough, rng=np.random.default_rng(seed)
            )
            if max(outer, inner) < 2 or (trimap == UNKNOWN).mean() <= MOST_UNKNOWN:
                return trimap
            outer, inner = outer / 2, inner / 2

    def _foreground_crop(self, settings: CompositionSettings, rng: np.random.Generator) -> tuple[Any, Any]:
        if rng.random() < settings.procedural:
            kind = str(rng.choice(list(_SHARES), p=list(_SHARES.values())))
            texture = self._background_crop(settings, rng) if rng.random() < 0.7 else None
            drawn = draw_foreground(kind, settings.crop, rng, texture)
            return drawn.color, drawn.alpha
        levels = self.foreground(
            int(rng.integers(len(self.foregrounds))), estimate=settings.estimate, refine=settings.refine
        )
        zoom = float(np.exp(rng.uniform(np.log(settings.zoom_low), np.log(settings.zoom_high))))
        angle = float(rng.uniform(-np.pi, np.pi)) if rng.random() < settings.rotate else 0.0
        mirror = bool(rng.random() < settings.flip)
        best: tuple[Any, Any] | None = None
        for _ in range(CENTER_TRIES):
            places = levels.mixed if rng.random() < settings.center and len(levels.mixed) else levels.visible
            center = np.array(divmod(int(places[rng.integers(len(places))]), levels.shape[1]), dtype=np.float64)
            color, alpha = levels.cut(center, settings.crop, zoom, angle, mirror)
            best = color, alpha
            if ((alpha > 0) & (alpha < 1)).mean() >= 0.8 * levels.share:
                break
        assert best is not None
        return best

    def _background_crop(self, settings: CompositionSettings, rng: np.random.Generator) -> Any:
        from PIL import Image

        picture = read_image(self.backgrounds[int(rng.integers(len(self.backgrounds)))])
        height, width = picture.shape[:2]
        size = settings.crop
        # The window is as large as fits at most, at least a third of that: photographs of backgrounds are small.
        side = min(height, width) * float(rng.uniform(0.35, 1.0))
        angle = float(rng.uniform(-np.pi, np.pi)) if rng.random() < settings.rotate else 0.0
        reach = side / 2 * (abs(np.cos(angle)) + abs(np.sin(angle)))
        if reach > min(height, width) / 2:
            side *= min(height, width) / 2 / reach
            reach = min(height, width) / 2
        center = np.array([rng.uniform(reach, max(reach, extent - reach)) for extent in (height, width)])
        mirror = bool(rng.random() < settings.flip)
        source = Image.fromarray((picture * 255 + 0.5).astype(np.uint8))
        cut = _warp(source, center, size, side / size, angle, mirror, Image.Resampling.BILINEAR)
        return np.asarray(cut).astype(np.float32) / np.float32(255)


# How often the kinds of drawn foregrounds come.
_SHARES = {"hair": 0.2, "fur": 0.1, "leaves": 0.35, "net": 0.1, "smoke": 0.05, "glass": 0.05, "body": 0.15}
assert set(_SHARES) == set(KINDS)


class _Chance:
    """Draws whether something is done."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def __call__(self, probability: float) -> bool:
        return bool(self._rng.random() < probability)


@dataclass(frozen=True)
class _Levels:
    """A foreground at full size, half of it and so on, of 8 bits."""

    pictures: list[tuple[Any, Any]]
    shape: tuple[int, int]
    mixed: Any
    visible: Any
    share: float

    def cut(self, center: Any, size: int, zoom: float, angle: float, mirror: bool) -> tuple[Any, Any]:
        """Return colours and alpha of a square around a place of the full size, each `zoom` of its pixels a pixel."""
        from PIL import Image

        # Windows stay within the picture where they fit: its border would cut the foreground off.
        reach = size * zoom / 2 * (abs(np.cos(angle)) + abs(np.sin(angle)))
        center = np.array(
            [
                np.clip(c, reach, extent - reach) if 2 * reach < extent else extent / 2
                for c, extent in zip(center, self.shape, strict=True)
            ]
        )
        level = min(int(np.floor(np.log2(max(zoom, 1.0)) + 0.4)), len(self.pictures) - 1)
        color, alpha = self.pictures[level]
        places = center / 2**level
        step = zoom / 2**level
        cut = [_warp(p, places, size, step, angle, mirror, Image.Resampling.BICUBIC) for p in (color, alpha)]
        found = [np.asarray(p).astype(np.float32) / np.float32(255) for p in cut]
        return found[0], found[1]


def _warp(picture: Any, center: Any, size: int, step: float, angle: float, mirror: bool, how: Any) -> Any:
    """Cut a turned, scaled square around a centre (row, col); outside the picture is black."""
    from PIL import Image

    cos, sin = step * np.cos(angle), step * np.sin(angle)
    sign = -1.0 if mirror else 1.0
    a, b, d, e = sign * cos, -sin, sign * sin, cos
    half = size / 2
    data = (a, b, center[1] - a * half - b * half, d, e, center[0] - d * half - e * half)
    return picture.transform((size, size), Image.Transform.AFFINE, data, resample=how)


def _pictures(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in _IMAGE_SUFFIXES)


def _prepare(image_path: Path, alpha_path: Path, *, estimate: bool, refine: bool) -> _Levels:
    """Read a foreground, clean its colours and make its smaller sizes."""
    from PIL import Image

    image = read_image(image_path)
    with Image.open(alpha_path) as file:
        alpha = np.asarray(file.convert("L"))
    if alpha.shape != image.shape[:2]:
        raise ValueError(
            f"alpha/{alpha_path.name} must have the size of image/{image_path.name}, "
            f"{image.shape[0]}x{image.shape[1]}, got {alpha.shape[0]}x{alpha.shape[1]}"
        )
    # Not a threshold but a stretch, so that no step appears.
    scaled = ((alpha.astype(np.float32) - STRAY) / np.float32(255 - 2 * STRAY)).clip(0, 1)
    if not scaled.any():
        raise ValueError(f"alpha/{alpha_path.name} must have pixels above {STRAY}, got none")
    color = image
    if estimate:
        color = estimate_foreground(image, scaled)
    if refine and min(scaled.shape) >= 32:
        color = refine_foreground(np.ascontiguousarray(color, dtype=np.float32), scaled)
    picture = Image.fromarray((np.asarray(color).clip(0, 1) * 255 + 0.5).astype(np.uint8))
    cover = Image.fromarray((scaled * 255 + 0.5).astype(np.uint8))
    pictures = [(picture, cover)]
    while min(pictures[-1][0].size) >= 128 and len(pictures) < 5:
        pictures.append((pictures[-1][0].reduce(2), pictures[-1][1].reduce(2)))
    values = np.asarray(cover)
    mixed = (values > 0) & (values < 255)
    return _Levels(pictures, values.shape, np.flatnonzero(mixed), np.flatnonzero(values > 0), float(mixed.mean()))
