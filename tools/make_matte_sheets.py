# SPDX-License-Identifier: MIT
"""Draws sheets of mattes for the documents: photograph, trimap, alphas of both methods, and the cut over a colour.

Usage: python tools/make_matte_sheets.py PHOTO:ALPHA[:x,y,side] ... [--band 20] [--output docs/images]

ALPHA, a picture, serves to make the trimap only: its mixed pixels and those within `band` of them are unknown. Below
the whole photograph the square of the given side at x, y is shown, enlarged. For every photograph writes
matte-NAME.jpg. Needs the package to be installed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
from contact_sheet import caption, eight_bit, fit, framed, row_of, stack_of, write_jpeg

import fastsoft

PANEL = 236
OVER = np.array([0.15, 0.45, 0.85])
STRAY = 0.1
MOST_BYTES = 130_000


def pictures_of(photo: str, alpha: str, band: float) -> list[tuple[str, Any]]:
    """Return what is shown of a photograph, each (H, W, 3) with its caption."""
    image = fastsoft.read_image(photo).astype(np.float32)
    # Computed alphas stray around 0 and 1 where nothing is mixed.
    given = ((fastsoft.read_image(alpha)[:, :, 0] - STRAY) / (1 - 2 * STRAY)).clip(0, 1)
    trimap = fastsoft.trimap_from_alpha(given, outer=band, inner=band)
    closed = fastsoft.closed_form_matting(image, trimap)
    layers = fastsoft.matte(image, trimap)
    found = layers.alphas[:, :, 0]
    raw = found[:, :, None] * image + (1 - found[:, :, None]) * OVER
    cut = fastsoft.composite(layers, visible=[0], background=OVER)
    gray = [("trimap", trimap / 255.0), ("closed form", closed), ("network", found)]
    return [
        ("photograph", image),
        *((text, np.repeat(plane[:, :, None], 3, axis=2)) for text, plane in gray),
        ("photograph's colours", raw),
        ("estimated colours", cut),
    ]


def sheet(photo: str, alpha: str, crop: tuple[int, int, int] | None, band: float) -> Any:
    """Return the sheet (H, W, 3), uint8, of a photograph."""
    pictures = pictures_of(photo, alpha, band)
    cells = []
    for text, picture in pictures:
        parts = [framed(fit(eight_bit(picture), PANEL, PANEL))]
        if crop is not None:
            x, y, side = crop
            parts.append(framed(fit(eight_bit(picture[y : y + side, x : x + side]), PANEL, PANEL)))
        cells.append(stack_of([*parts, caption(text, parts[0].shape[1])]))
    return row_of(cells)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("photos", nargs="+", metavar="PHOTO:ALPHA[:x,y,side]")
    parser.add_argument("--band", type=float, default=20.0, help="pixels (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=Path(__file__).resolve().parents[1] / "docs" / "images")
    options = parser.parse_args(arguments)
    for given in options.photos:
        photo, alpha, *rest = given.split(":")
        crop: tuple[int, int, int] | None = None
        if rest:
            x, y, side = (int(v) for v in rest[0].split(","))
            crop = x, y, side
        picture = sheet(photo, alpha, crop, options.band)
        path = options.output / f"matte-{Path(photo).stem}.jpg"
        write_jpeg(path, picture, MOST_BYTES)
        print(f"{path}: {picture.shape[1]}x{picture.shape[0]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
