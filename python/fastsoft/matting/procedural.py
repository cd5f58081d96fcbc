# SPDX-License-Identifier: MIT
"""Foregrounds drawn by formulas, with the alpha that follows from them: hair, fur, plants, nets, smoke, glass.

Training data for matting. Outlines are drawn several times finer than the picture and averaged over its pixels, so that
alpha is the share of a pixel that is covered, times the opacity of what covers it. Shapes are those on which matting is
hard: structures thinner than a pixel, holes between leaves, and things one sees through.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["KINDS", "Foreground", "draw_foreground", "smooth_noise"]

# Samples of a pixel along a side. Outlines lie within one of them of where they should.
FINE = 4


@dataclass(frozen=True)
class Foreground:
    """Colours and coverage of something to be put over a background.

    Attributes
    ----------
    color : ndarray, shape (H, W, 3), float32
        In [0, 1]; defined where alpha is 0, too.
    alpha : ndarray, shape (H, W), float32
        In [0, 1].
    """

    color: Any
    alpha: Any


def draw_foreground(kind: str, size: int, rng: np.random.Generator, texture: Any = None) -> Foreground:
    """Draw a foreground of one kind.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    size : int
        Height and width in pixels.
    rng : numpy.random.Generator
        Decides everything that is random.
    texture : ndarray, shape (size, size, 3), optional
        Colours in [0, 1], e.g. of a photograph, for surfaces; without, they come from smooth noise.

    Returns
    -------
    Foreground
    """
    if texture is None:
        texture = _texture(size, rng)
    drawn = KINDS[kind](size, rng, np.asarray(texture, dtype=np.float32))
    return Foreground(drawn.color.clip(0, 1).astype(np.float32), drawn.alpha.clip(0, 1).astype(np.float32))


def smooth_noise(size: int, cells: int, rng: np.random.Generator, channels: int | None = None) -> Any:
    """Return noise (size, size) or (size, size, channels) in [0, 1]: random numbers on a grid, interpolated."""
    from PIL import Image

    planes = [
        np.asarray(
            Image.fromarray(rng.random((cells + 1, cells + 1), dtype=np.float32)).resize(
                (size, size), Image.Resampling.BICUBIC
            )
        ).clip(0, 1)
        for _ in range(channels or 1)
    ]
    return planes[0] if channels is None else np.stack(planes, axis=2)


def fractal_noise(size: int, rng: np.random.Generator, cells: int = 3, octaves: int = 5, gain: float = 0.55) -> Any:
    """Return a sum of smooth noise of ever finer grids, from 0 to 1."""
    total = np.zeros((size, size), dtype=np.float32)
    for octave in range(octaves):
        if cells * 2**octave >= size:
            break
        total += np.float32(gain**octave) * smooth_noise(size, cells * 2**octave, rng)
    total -= total.min()
    return total / max(float(total.max()), 1e-6)


def _texture(size: int, rng: np.random.Generator) -> Any:
    """Return colours of a surface: two colours mixed by noise, and shading."""
    mix = fractal_noise(size, rng, int(rng.integers(2, 12)))[:, :, None]
    one, two = rng.random((2, 3), dtype=np.float32)
    two = one + (two - one) * np.float32(rng.uniform(0.1, 0.8))
    # Few things are of pure colours.
    one, two = (c + (c.mean() - c) * np.float32(rng.uniform(0.2, 0.9)) for c in (one, two))
    shade = np.float32(0.6) + np.float32(0.6) * smooth_noise(size, 2, rng)[:, :, None]
    return ((one * mix + two * (1 - mix)) * shade).clip(0, 1)


class _Canvas:
    """Coverage at `FINE` times the resolution, and colours at the resolution itself."""

    def __init__(self, size: int, color: Any) -> None:
        from PIL import Image, ImageDraw

        self.size = size
        self._cover = Image.new("L", (size * FINE, size * FINE))
        self._color = Image.fromarray((color.clip(0, 1) * 255 + 0.5).astype(np.uint8))
        self.cover = ImageDraw.Draw(self._cover)
        self.color = ImageDraw.Draw(self._color)

    def line(self, points: Any, width: float, opacity: float = 1.0, color: tuple[int, ...] | None = None) -> None:
        """Draw a line through points (n, 2), each (x, y) in pixels; its colour reaches a pixel beyond it."""
        self.cover.line((points * FINE).ravel().tolist(), fill=round(255 * opacity), width=max(1, round(width * FINE)))
        if color is not None:
            self.color.line(points.ravel().tolist(), fill=color, width=int(width) + 3)

    def polygon(self, points: Any, opacity: float = 1.0, color: tuple[int, ...] | None = None) -> None:
        """Fill a polygon of points (n, 2); its colour reaches a pixel beyond it."""
        # Pillow rounds corners to samples and fills those that an edge runs through: edges lie half a sample outside.
        self.cover.polygon((points * FINE).ravel().tolist(), fill=round(255 * opacity))
        if color is not None:
            flat = points.ravel().tolist()
            self.color.polygon(flat, fill=color)
            self.color.line([*flat, *flat[:2]], fill=color, width=3)

    def disc(self, center: Any, radius: float, opacity: float = 1.0) -> None:
        """Fill a disc."""
        low, high = np.rint((center - radius) * FINE), np.rint((center + radius) * FINE) - 1
        if (high >= low).all():
            self.cover.ellipse([*low.tolist(), *high.tolist()], fill=round(255 * opacity))

    def result(self) -> Foreground:
        """Average the samples of every pixel."""
        # Sums of 16 samples in float: Pillow's own reduction would round to 8 bits.
        rows = np.asarray(self._cover).reshape(self.size, FINE, self.size * FINE).sum(axis=1, dtype=np.uint16)
        cover = rows.reshape(self.size, self.size, FINE).sum(axis=2, dtype=np.uint16)
        alpha = cover.astype(np.float32) / np.float32(255 * FINE * FINE)
        return Foreground(np.asarray(self._color).astype(np.float32) / np.float32(255), alpha)


def _eight_bit(colors: Any) -> list[tuple[int, ...]]:
    """Return colours (n, 3) as Pillow takes them."""
    return [tuple(color) for color in (np.clip(colors, 0, 1) * 255 + 0.5).astype(np.uint8).tolist()]


def _outline(size: int, rng: np.random.Generator, points: int = 160, rough: float = 0.25) -> tuple[Any, Any]:
    """Return the outline (n, 2) of a roundish body, part of which lies in the picture, and its outward normals."""
    for _ in range(8):
        radius = size * rng.uniform(0.25, 0.8)
        center = size * rng.uniform(-0.1, 1.1, 2)
        angle = np.linspace(0, 2 * np.pi, points, endpoint=False)
        orders = np.arange(2, 9)
        waves = rng.normal(0, rough / orders, len(orders)) @ np.cos(
            orders[:, None] * angle + rng.uniform(0, 2 * np.pi, (len(orders), 1))
        )
        stretch = np.exp(rng.uniform(-0.4, 0.4))
        outline = center + (radius * (1 + waves))[:, None] * np.stack(
            [np.cos(angle) * stretch, np.sin(angle) / stretch], 1
        )
        inside = ((outline > 0) & (outline < size)).all(axis=1)
        if inside.mean() > 0.2:
            break
    tangent = np.roll(outline, -1, axis=0) - np.roll(outline, 1, axis=0)
    normal = np.stack([tangent[:, 1], -tangent[:, 0]], axis=1)
    return outline, normal / (np.linalg.norm(normal, axis=1, keepdims=True) + 1e-9)


def _strands(
    start: Any, angle: Any, length: Any, steps: int, curl: float, wave: float, rng: np.random.Generator
) -> Any:
    """Return lines (n, steps, 2) that start at points (n, 2) and bend on their way."""
    n = len(start)
    t = np.linspace(0, 1, steps)
    turned = angle[:, None] + rng.normal(0, curl, (n, 1)) * t
    turned = turned + rng.normal(0, wave, (n, 1)) * np.sin(
        rng.uniform(2, 12, (n, 1)) * t + rng.uniform(0, 2 * np.pi, (n, 1))
    )
    step = (length / (steps - 1))[:, None, None] * np.stack([np.cos(turned), np.sin(turned)], axis=2)
    return start[:, None] + np.concatenate([np.zeros((n, 1, 2)), np.cumsum(step[:, :-1], axis=1)], axis=1)


def _hairy(size: int, rng: np.random.Generator, texture: Any, *, long: bool) -> Foreground:
    """Draw a body with hair or fur at its outline."""
    base = _natural_color(rng, _HAIR) if rng.random() < 0.7 else texture.mean(axis=(0, 1))
    surface = (base * (0.6 + 0.8 * fractal_noise(size, rng, 6)[:, :, None])).clip(0, 1)
    if rng.random() < 0.3:
        surface = 0.5 * surface + 0.5 * texture
    canvas = _Canvas(size, surface)
    outline, normal = _outline(size, rng)
    canvas.polygon(outline)
    visible = np.flatnonzero(((outline > -10) & (outline < size + 10)).all(axis=1))
    if len(visible) == 0:
        visible = np.arange(len(outline))
    if long:
        n_locks = int(rng.integers(8, 160))
        per_lock = int(rng.integers(1, max(2, 700 // n_locks)))
        length = rng.lognormal(np.log(size * rng.uniform(0.1, 0.4)), 0.4, n_locks)
        curl, wave, spread, steps = rng.uniform(0.1, 2.5), rng.uniform(0, 0.8), rng.uniform(0.1, 0.8), 14
        width = np.exp(rng.uniform(np.log(0.3), np.log(1.3)))
    else:
        n_locks = int(rng.integers(150, 500))
        per_lock = int(rng.integers(1, 4))
        length = rng.lognormal(np.log(size * rng.uniform(0.02, 0.09)), 0.4, n_locks)
        curl, wave, spread, steps = rng.uniform(0.1, 1.0), 0.1, rng.uniform(0.1, 0.6), 5
        width = np.exp(rng.uniform(np.log(0.3), np.log(1.5)))
    root = rng.choice(visible, n_locks)
    start = outline[root] - normal[root] * rng.uniform(0, 6, (n_locks, 1)) + rng.normal(0, 1, (n_locks, 2))
    # Combed to one side: outward normals mixed with a common direction.
    comb = rng.uniform(0, 2 * np.pi)
    share = rng.uniform(0, 0.8)
    pull = (1 - share) * normal[root] + share * np.array([np.cos(comb), np.sin(comb)])
    angle = np.arctan2(pull[:, 1], pull[:, 0]) + rng.normal(0, spread, n_locks)
    locks = _strands(start, angle, length, steps, curl, wave, rng)
    # Strands of a lock start together and part on their way.
    part = np.linspace(0.3, 1, steps)[:, None] * rng.uniform(1, 0.12 * size if long else 4)
    lines = np.repeat(locks, per_lock, axis=0)
    n = len(lines)
    lines = lines + rng.normal(0, 0.5, (n, 1, 2)) * part + rng.normal(0, 1.5, (n, 1, 2))
    reach = rng.uniform(0.5, 1, n)
    tones = _eight_bit(base * np.exp(rng.normal(0, 0.25, (n, 1))) + rng.normal(0, 0.03, (n, 3)))
    opacities = rng.uniform(rng.uniform(0.3, 0.9), 1.0, n)
    widths = width * np.exp(rng.normal(0, 0.25, n))
    for line, tone, opacity, wide, stop in zip(lines, tones, opacities, widths, reach, strict=True):
        end = max(2, round(stop * steps))
        middle = max(2, end // 2 + 1)
        # Hair ends in a point; the thin part first, so that the thick one covers where they meet.
        canvas.line(line[middle - 1 : end], wide * 0.6, opacity, tone)
        canvas.line(line[:middle], wide, opacity, tone)
    # Lines drawn later replace what is below them; the body stays opaque.
    canvas.polygon(outline - normal * 2.0)
    return canvas.result()


def hair(size: int, rng: np.random.Generator, texture: Any) -> Foreground:
    """Draw long strands, in locks or single."""
    return _hairy(size, rng, texture, long=True)


def fur(size: int, rng: np.random.Generator, texture: Any) -> Foreground:
    """Draw many short strands."""
    return _hairy(size, rng, texture, long=False)


_HAIR = ((0.08, 0.05, 0.04), (0.35, 0.2, 0.1), (0.75, 0.5, 0.25), (0.9, 0.8, 0.6), (0.8, 0.3, 0.1), (0.6, 0.6, 0.6))
_LEAF = ((0.2, 0.35, 0.08), (0.12, 0.22, 0.08), (0.45, 0.5, 0.12), (0.7, 0.25, 0.08), (0.8, 0.6, 0.1), (0.35, 0.1, 0.2))


def _natural_color(rng: np.random.Generator, colors: tuple[tuple[float, ...], ...]) -> Any:
    one, two = np.array(colors)[rng.integers(len(colors), size=2)]
    color = one + (two - one) * rng.random() * 0.5
    return (color * np.exp(rng.normal(0, 0.2)) + rng.normal(0, 0.04, 3)).clip(0.02, 0.98)


def _leaves(base: Any, angle: Any, length: Any, aspect: Any, bend: Any) -> tuple[Any, Any]:
    """Return outlines (n, 18, 2) of leaves and the lines (n, 9, 2) along their middles."""
    t = np.linspace(0, 1, 9)
    turned = angle[:, None] + bend[:, None] * t
    step = (length / 8)[:, None, None] * np.stack([np.cos(turned), np.sin(turned)], axis=2)
    start = np.zeros((len(base), 1, 2))
    middle = base[:, None] + np.concatenate([start, np.cumsum(step[:, :-1], axis=1)], axis=1)
    half = ((length * aspect / 2)[:, None] * np.sin(np.pi * t**0.8))[:, :, None]
    side = half * np.stack([-np.sin(turned), np.cos(turned)], axis=2)
    return np.concatenate([middle + side, (middle - side)[:, ::-1]], axis=1), middle


def leaves(size: int, rng: np.random.Generator, texture: Any) -> Foreground:
    """Draw leaves, needles or petals on stems, with the background between them."""
    canvas = _Canvas(size, texture)
    length = size * np.exp(rng.uniform(np.log(0.035), np.log(0.35)))
    aspect = np.exp(rng.uniform(np.log(0.08), np.log(0.65)))
    density = np.exp(rng.uniform(np.log(0.15), np.log(1.5)))
    n = int(np.clip(density * size * size / (length * length * aspect * 0.6), 10, 450))
    palette = np.stack([_natural_color(rng, _LEAF) for _ in range(3)])
    if rng.random() < 0.3:
        palette = texture.reshape(-1, 3)[rng.integers(size * size, size=3)].astype(np.float64)
    # Stems from a common foot, in the picture or below it.
    foot = size * np.array([rng.uniform(0.1, 0.9), rng.uniform(0.5, 1.2)])
    n_stems = int(rng.integers(2, 16))
    stems = _strands(
        foot + rng.normal(0, 0.08 * size, (n_stems, 2)),
        rng.normal(-np.pi / 2, rng.uniform(0.3, 1.2), n_stems),
        size * rng.uniform(0.4, 1.2, n_stems),
        12,
        rng.uniform(0.1, 1.2),
        rng.uniform(0, 0.5),
        rng,
    )
    if rng.random() < 0.5:
        turn = rng.uniform(0, 2 * np.pi)
        turned = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        stems = (stems - size / 2) @ turned + size / 2
    thick = np.exp(rng.uniform(np.log(0.6), np.log(5)))
    bark = palette[0] * rng.uniform(0.3, 1.0)
    tones = _eight_bit(bark * rng.uniform(0.6, 1.4, (n_stems, 1)))
    bare = rng.random() < 0.15
    for stem, wide, tone in zip(stems, thick * rng.uniform(0.5, 1.2, n_stems), tones, strict=True):
        if not bare:
            canvas.line(stem, wide, 1.0, tone)
    stem, at = rng.integers(n_stems, size=n), rng.integers(2, 12, size=n)
    if rng.random() < 0.25:
        base = rng.uniform(-0.2, 1.2, (n, 2)) * size
    else:
        base = stems[stem, at] + rng.normal(0, size * rng.uniform(0.01, 0.12), (n, 2))
    along = stems[stem, at] - stems[stem, at - 1]
    along /= np.linalg.norm(along, axis=1, keepdims=True) + 1e-9
    ordered = rng.random()
    heading = ordered * (along + 0.3 * rng.normal(0, 1, 2)) + (1 - ordered) * rng.normal(0, 1.2, (n, 2))
    outlines, middles = _leaves(
        base,
        np.arctan2(heading[:, 1], heading[:, 0]) + rng.normal(0, 0.5, n),
        length * np.exp(rng.normal(0, 0.3, n)),
        aspect * np.exp(rng.normal(0, 0.3, n)),
        rng.normal(0, 0.6, n),
    )
    # Those drawn first lie in the shade of the others.
    depth = np.linspace(rng.uniform(0.25, 1), 1, n)[:, None]
    colors = palette[rng.integers(len(palette), size=n)] * depth * np.exp(rng.normal(0, rng.uniform(0.1, 0.4), (n, 1)))
    colors = colors + rng.normal(0, 0.02, (n, 3))
    lit = _eight_bit(colors * rng.uniform(0.7, 1.4, (n, 1)))
    split = length > 12 and rng.random() < 0.8
    for k, tone in enumerate(_eight_bit(colors)):
        canvas.polygon(outlines[k], 1.0, tone)
        if split:
            half = np.concatenate([outlines[k, :9], middles[k, ::-1]])
            canvas.color.polygon(half.ravel().tolist(), fill=lit[k])
    drawn = canvas.result()
    if rng.random() < 0.5:
        shade = np.float32(rng.uniform(0.4, 1)) * (0.6 + 0.8 * smooth_noise(size, 5, rng)[:, :, None])
        return Foreground(drawn.color * shade, drawn.alpha)
    return drawn


def net(size: int, rng: np.random.Generator, texture: Any) -> Foreground:
    """Draw nets, lace and webs: crossing bent lines, in part with closed meshes, within a border or without."""
    canvas = _Canvas(size, texture)
    spacing = np.exp(rng.uniform(np.log(5), np.log(40)))
    width = spacing * np.exp(rng.uniform(np.log(0.05), np.log(0.35)))
    opacity = rng.uniform(0.6, 1.0)
    t = np.linspace(-0.7, 1.7, 40) * size
    if rng.random() < 0.25:
        center = size * rng.uniform(0, 1, 2)
        n_spokes = int(rng.integers(7, 24))
        spokes = np.sort(rng.uniform(0, 2 * np.pi, n_spokes))
        ends = center + 1.5 * size * np.stack([np.cos(spokes), np.sin(spokes)], axis=1)
        lines = [np.stack([center, end]) for end in ends]
        radii = np.arange(spacing, 1.5 * size, spacing)
        for radius in radii:
            ring = center + radius * np.exp(rng.normal(0, 0.03, (n_spokes, 1))) * np.stack(
                [np.cos(spokes), np.sin(spokes)], axis=1
            )
            lines.append(np.concatenate([ring, ring[:1]]))
        width = min(width, rng.uniform(0.4, 2.0))
    else:
        turn, skew = rng.uniform(0, np.pi), rng.uniform(0.6, 1.0) * np.pi / 2
        phases = rng.uniform(0, 2 * np.pi, 4)
        bend = rng.uniform(0, 0.06) * size
        waves = rng.uniform(1, 4, 4) * 2 * np.pi / size
        lines = []
        for angle in (turn, turn + skew):
            along, across = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
            for offset in np.arange(-1.5 * size, 1.5 * size, spacing):
                points = size / 2 + (t - size / 2)[:, None] * along + offset * across
                if (points.max(axis=0) < 0).any() or (points.min(axis=0) > size).any():
                    continue
                # The same smooth field for all lines, so that neighbours bend alike.
                shift = bend * np.stack(
                    [
                        np.sin(waves[0] * points[:, 0] + phases[0]) + np.sin(waves[1] * points[:, 1] + phases[1]),
                        np.sin(waves[2] * points[:, 0] + phases[2]) + np.sin(waves[3] * points[:, 1] + phases[3]),
                    ],
                    axis=1,
                )
                lines.append(points + shift)
    for line in lines:
        canvas.line(line, width, opacity)
    if rng.random() < 0.5:
        # Lace: filled and open flowers on the meshes.
        for _ in range(int(rng.integers(3, 40))):
            center = rng.uniform(0, size, 2)
            radius = spacing * rng.uniform(0.3, 1.2)
            canvas.disc(center, radius, opacity)
            if rng.random() < 0.5:
                canvas.disc(center, radius * rng.uniform(0.3, 0.8), 0.0)
    plain = canvas.result()
    alpha = plain.alpha
    if rng.random() < 0.7:
        body = _Canvas(size, texture)
        outline, normal = _outline(size, rng)
        body.polygon(outline)
        inside = body.result().alpha
        inner = _Canvas(size, texture)
        inner.polygon(outline - normal * rng.uniform(3, 0.12 * size))
        rim = inside - np.minimum(inner.result().alpha, inside)
        # Inside the rim the net, on it cloth.
        alpha = alpha * (inside - rim) + rim * (opacity if rng.random() < 0.7 else alpha)
    tint = texture.mean(axis=(0, 1)) if rng.random() < 0.5 else np.float32(rng.uniform(0, 1)) + rng.normal(0, 0.05, 3)
    keep = np.float32(rng.uniform(0, 1))
    return Foreground(keep * texture + (1 - keep) * tint.astype(np.float32), alpha)


def smoke(size: int, rng: np.random.Generator, texture: Any) -> Foreground:
    """Draw smoke or cloud: fractal noise as opacity."""
    noise = fractal_noise(size, rng, int(rng.integers(2, 6)), gain=rng.uniform(0.4, 0.65))
    alpha = ((noise - rng.uniform(0.2, 0.5)) / rng.uniform(0.4, 0.8)).clip(0, 1)
    alpha = alpha * alpha * (3 - 2 * alpha) * rng.uniform(0.6, 1.2)
    tone = np.float32(rng.uniform(0.2, 1.0)) + rng.normal(0, 0.05, 3)
    if rng.random() < 0.3:
        tone = texture.mean(axis=(0, 1))
    lit = 0.8 + 0.4 * smooth_noise(size, 3, rng)
    return Foreground(tone * lit[:, :, None], alpha)


def glass(size: int, rng: np.random.Generator, texture: Any) -> Foreground:
    """Draw bodies that one sees through: faint inside, stronger towards the rim, with highlights."""
    from PIL import Image, ImageFilter

    outline, _ = _outline(size, rng, rough=0.1)
    canvas = _Canvas(size, texture)
    canvas.polygon(outline)
    inside = canvas.result().alpha
    soft = Image.fromarray((inside * 255).astype(np.uint8)).filter(
        ImageFilter.GaussianBlur(float(rng.uniform(3, 0.08 * size)))
    )
    # Half inside, half outside: at the outline a blurred step is 1/2.
    rim = (2 * (1 - np.asarray(soft).astype(np.float32) / 255)).clip(0, 1)
    alpha = rng.uniform(0.02, 0.5) + rng.uniform(0.2, 0.9) * rim ** rng.uniform(1, 3)
    alpha += rng.uniform(0, 0.2) * (fractal_noise(size, rng, 3) - 0.5)
    streaks = fractal_noise(size, rng, 4)
    light = ((streaks - rng.uniform(0.6, 0.8)) * 8).clip(0, 1)
    alpha = np.maximum(alpha.clip(0, 1), light * rng.uniform(0.5, 1.0)) * inside
    tone = np.float32(rng.uniform(0.3, 0.9)) + rng.normal(0, 0.08, 3)
    color = (0.7 * tone + 0.3 * texture) * (1 - light[:, :, None]) + light[:, :, None]
    return Foreground(color, alpha)


def body(size: int, rng: np.random.Generator, texture: Any) -> Foreground:
    """Draw things with sharp outlines: rounded or angular, with holes and rods."""
    canvas = _Canvas(size, texture)
    for _ in range(int(rng.integers(1, 3))):
        outline, _ = _outline(size, rng, rough=rng.uniform(0, 0.4))
        if rng.random() < 0.4:
            outline = outline[:: int(rng.integers(8, 40))]
        canvas.polygon(outline)
    for _ in range(int(rng.integers(0, 6))):
        line = _strands(
            rng.uniform(0, size, (1, 2)),
            rng.uniform(0, 2 * np.pi, 1),
            rng.uniform(0.2, 1.5, 1) * size,
            10,
            1.0,
            0.2,
            rng,
        )
        canvas.line(line[0], np.exp(rng.uniform(np.log(0.7), np.log(12))))
    for _ in range(int(rng.integers(0, 5))):
        canvas.disc(rng.uniform(0, size, 2), float(np.exp(rng.uniform(np.log(2), np.log(0.15 * size)))), 0.0)
    return canvas.result()


KINDS: dict[str, Callable[[int, np.random.Generator, Any], Foreground]] = {
    "hair": hair,
    "fur": fur,
    "leaves": leaves,
    "net": net,
    "smoke": smoke,
    "glass": glass,
    "body": body,
}
