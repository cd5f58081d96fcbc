# SPDX-License-Identifier: MIT
"""Pictures made of panels, for documents and for looking at results: used by make_gallery.py and by benchmarks."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from fastsoft._files import atomic_file

GAP = 6

# Tried from the best down until a file is small enough.
_QUALITIES = (90, 85, 80, 75, 70, 65, 60, 55, 50, 45, 40, 35, 30)


def eight_bit(values: Any) -> Any:
    """Return values of [0, 1] as uint8."""
    return (np.clip(values, 0, 1) * 255 + 0.5).astype(np.uint8)


def feature_picture(values: Any) -> Any:
    """Return features (H, W, d), d at most 3, as a picture (H, W, 3), uint8; missing channels are black."""
    picture = np.zeros((*values.shape[:2], 3), dtype=np.uint8)
    picture[:, :, : values.shape[2]] = eight_bit(values)
    return picture


def fit(picture: Any, width: int, height: int) -> Any:
    """Scale a picture (H, W, 3), uint8, to the largest size of its proportions that fits."""
    from PIL import Image

    factor = min(width / picture.shape[1], height / picture.shape[0])
    size = (max(1, round(picture.shape[1] * factor)), max(1, round(picture.shape[0] * factor)))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))


def framed(picture: Any) -> Any:
    """Draw a thin grey line along the border of a picture, whose ends are else lost on white."""
    out = picture.copy()
    out[[0, -1]] = 200
    out[:, [0, -1]] = 200
    return out


def row_of(panels: list[Any]) -> Any:
    """Put pictures side by side on white, their upper edges aligned."""
    height = max(panel.shape[0] for panel in panels)
    width = sum(panel.shape[1] for panel in panels) + GAP * (len(panels) - 1)
    out = np.full((height, width, 3), 255, dtype=np.uint8)
    left = 0
    for panel in panels:
        out[: panel.shape[0], left : left + panel.shape[1]] = panel
        left += panel.shape[1] + GAP
    return out


def stack_of(rows: list[Any]) -> Any:
    """Put pictures below each other on white, their left edges aligned."""
    return np.ascontiguousarray(row_of([row.transpose(1, 0, 2) for row in rows]).transpose(1, 0, 2))


def caption(text: str, width: int) -> Any:
    """Write one line of black text on white."""
    from PIL import Image, ImageDraw, ImageFont

    picture = Image.new("RGB", (width, 20), "white")
    ImageDraw.Draw(picture).text((0, 2), text, fill="black", font=ImageFont.load_default(14))
    return np.asarray(picture)


def write_jpeg(path: Path, picture: Any, max_bytes: int | None = None) -> int:
    """Write a JPEG file, complete or not at all, and return its quality.

    With `max_bytes` it is the best quality that keeps the file so small.

    Raises
    ------
    ValueError
        If even the worst quality makes a larger file.
    """
    from PIL import Image

    for quality in _QUALITIES:
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, "JPEG", quality=quality, optimize=True)
        if max_bytes is None or buffer.tell() <= max_bytes:
            with atomic_file(path) as file:
                file.write(buffer.getvalue())
            return quality
    raise ValueError(
        f"max_bytes must allow quality {_QUALITIES[-1]} of {picture.shape[1]}x{picture.shape[0]} pixels, "
        f"{buffer.tell()} bytes, got {max_bytes}"
    )
