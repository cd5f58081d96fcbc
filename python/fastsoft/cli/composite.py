# SPDX-License-Identifier: MIT
"""``fastsoft composite``: layers put together again, over a colour, a picture, or nothing."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from fastsoft.cli._pictures import backdrop_option, cover, one_result, read_backdrop, write

__all__ = ["add_parser"]

# Sums of alphas may exceed 1 by the rounding of as many layers to 8 bits.
_SLACK = 1 / 255


def add_parser(commands: Any) -> None:
    """Add the subcommand to the parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "composite",
        help="put layers together again",
        description="Put layers together, over a colour or a picture. Layers are RGBA pictures with straight alpha, "
        "all of one size.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "layers",
        nargs="+",
        metavar="LAYER",
        help="RGBA picture, or a folder that 'fastsoft segment' or 'fastsoft colors' wrote, for all layers in it",
    )
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="PNG file")
    parser.add_argument(
        "--mode",
        choices=("add", "over"),
        default="add",
        help="add: colours times alphas are summed, for layers of one photograph, whose order does not matter; over: "
        "each layer hides those named before it (default: %(default)s)",
    )
    backdrop_option(parser, "what is seen where the layers leave room; without it the result is RGBA")
    parser.set_defaults(run=one_result(_run), parser=parser)


def _run(arguments: argparse.Namespace) -> None:
    import numpy as np

    from fastsoft.image import read_image

    files = [file for name in arguments.layers for file in _files(Path(name))]
    backdrop = None if arguments.over is None else read_backdrop(arguments.over)
    total = added = None
    for file in files:
        layer = read_image(file, alpha=True)
        alpha, colors = layer[:, :, 3:], layer[:, :, :3]
        if added is None or total is None:
            total, added = np.zeros_like(alpha), np.zeros_like(colors)
        elif alpha.shape != total.shape:
            raise ValueError(
                f"layers must be of one size, {total.shape[1]}x{total.shape[0]}, got {file} of "
                f"{alpha.shape[1]}x{alpha.shape[0]}"
            )
        if arguments.mode == "over":
            added *= 1 - alpha
            total *= 1 - alpha
        added += colors * alpha
        total += alpha
    assert total is not None
    assert added is not None
    most = float(total.max())
    if most > 1 + len(files) * _SLACK:
        raise ValueError(
            f"layers must have alphas that sum to at most 1 for --mode add, got a sum of {most:g}: "
            "--mode over takes any"
        )
    if backdrop is None:
        picture = np.concatenate([added / np.where(total > 0, total, 1), total], axis=2)
    else:
        picture = added + (1 - total.clip(0, 1)) * cover(backdrop, total.shape)
    write(Path(arguments.output), picture.clip(0, 1), *map(str, files))


def _files(path: Path) -> list[Path]:
    """Return the pictures of the layers in a folder, or the picture itself."""
    if not path.is_dir():
        return [path]
    try:
        names = json.loads((path / "settings.json").read_text(encoding="utf-8"))["files"]
        found = [path / name for name in names if str(name).startswith("layer_")]
    except (OSError, ValueError, KeyError, TypeError):
        raise ValueError(f"{path} must be a folder of layers with a settings.json, got one without") from None
    if not found:
        raise ValueError(f"{path} must hold layers, got none")
    return found
