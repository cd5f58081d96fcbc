# SPDX-License-Identifier: MIT
"""What the commands that write single pictures share: backdrops, and one result for one command."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastsoft.cli._photos import WriteError, fail, not_enough, terminate_like_interrupt

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["backdrop_option", "cover", "one_result", "read_backdrop", "write"]


def backdrop_option(parser: argparse.ArgumentParser, help_text: str) -> None:
    """Add ``--over``, a colour or a picture."""
    parser.add_argument(
        "--over",
        metavar="#rrggbb|FILE",
        help=f"{help_text}; a picture is scaled to cover it and cut on both sides alike",
    )


def read_backdrop(value: str) -> Any:
    """Return a colour (1, 1, 3) or a picture (H, W, 3), float32."""
    import numpy as np

    from fastsoft.color.palette import parse_color
    from fastsoft.image import read_image

    if value.startswith("#") and not os.path.exists(value):
        return np.asarray(parse_color(value), dtype=np.float32)[None, None]
    return read_image(value)


def cover(backdrop: Any, shape: tuple[int, ...]) -> Any:
    """Scale a picture, keeping its proportions, until it covers a height and width, and cut what stands out."""
    import numpy as np
    from PIL import Image

    height, width = shape[:2]
    if backdrop.shape[:2] == (1, 1):
        return backdrop[0, 0]
    if backdrop.shape[:2] == (height, width):
        return backdrop
    have_height, have_width = backdrop.shape[:2]
    scale = max(height / have_height, width / have_width)
    # The part of the backdrop that will be seen.
    seen_height, seen_width = height / scale, width / scale
    top, left = (have_height - seen_height) / 2, (have_width - seen_width) / 2
    box = (left, top, left + seen_width, top + seen_height)
    planes = [
        Image.fromarray(np.ascontiguousarray(backdrop[:, :, c])).resize((width, height), Image.Resampling.LANCZOS, box)
        for c in range(3)
    ]
    return np.stack([np.asarray(plane) for plane in planes], axis=2).clip(0, 1)


def one_result(run: Callable[[argparse.Namespace], None]) -> Callable[[argparse.Namespace], int]:
    """Return a command that does one thing: errors that users can mend are one line and status 1."""

    def command(arguments: argparse.Namespace) -> int:
        try:
            with terminate_like_interrupt():
                run(arguments)
        except (ValueError, TypeError, RuntimeError, OSError, WriteError) as error:
            return fail(str(error))
        except MemoryError as error:
            return fail(not_enough(error))
        return 0

    return command


def write(path: Path, picture: Any, *sources: str) -> None:
    """Write a PNG file, unless it would replace what the command was given."""
    from fastsoft.image import write_png

    for source in sources:
        if path.exists() and os.path.exists(source) and path.samefile(source):
            raise ValueError(f"{path} is what is to be read: choose another name")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_png(path, picture)
    except OSError as error:
        raise WriteError(f"cannot write {path}: {error.strerror or error}") from error
