# SPDX-License-Identifier: MIT
"""Draws sheets of colour layers for the documents: photograph, layers over grey, and the photograph recoloured.

Usage: python tools/make_color_sheets.py PHOTO[:NUMBER:#rrggbb] ... [--colors 7] [--output docs/images]

For every photograph writes colors-NAME.jpg. NUMBER is the layer, from 1, that gets another colour; without it none
does. Needs the package to be installed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
from contact_sheet import caption, eight_bit, fit, framed, row_of, stack_of, write_jpeg

import fastsoft
from fastsoft.color.palette import format_color, parse_color

PANEL = 236
PER_ROW = 4
GREY = np.array([0.5, 0.5, 0.5])
MOST_BYTES = 110_000


def sheet(photo: str, layer: int | None, color: str | None, n_colors: int) -> Any:
    """Return the sheet (H, W, 3), uint8, of a photograph."""
    layers = fastsoft.decompose_colors(fastsoft.read_image(photo), n_colors)
    pictures = [("photograph", layers.image)]
    pictures += [
        (f"{k + 1}: {format_color(layers.palette[k])}", fastsoft.composite(layers, visible=[k], background=GREY))
        for k in range(n_colors)
    ]
    if layer is not None and color is not None:
        changed = fastsoft.recolor(layers, {layer - 1: parse_color(color)})
        pictures.append((f"{layer} in {color}", changed.image))
    cells = []
    for text, picture in pictures:
        panel = framed(fit(eight_bit(picture), PANEL, PANEL))
        cells.append(stack_of([panel, caption(text, panel.shape[1])]))
    return stack_of([row_of(cells[k : k + PER_ROW]) for k in range(0, len(cells), PER_ROW)])


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("photos", nargs="+", metavar="PHOTO[:NUMBER:#rrggbb]")
    parser.add_argument("--colors", type=int, default=7)
    parser.add_argument("--output", type=Path, default=Path(__file__).resolve().parents[1] / "docs" / "images")
    options = parser.parse_args(arguments)
    for given in options.photos:
        photo, _, change = given.partition(":")
        number, _, color = change.partition(":")
        picture = sheet(photo, int(number) if number else None, color or None, options.colors)
        path = options.output / f"colors-{Path(photo).stem}.jpg"
        write_jpeg(path, picture, MOST_BYTES)
        print(f"{path}: {picture.shape[1]}x{picture.shape[0]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
