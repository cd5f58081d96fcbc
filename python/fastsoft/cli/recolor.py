# SPDX-License-Identifier: MIT
"""``fastsoft recolor``: photographs with some of their colours replaced."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from fastsoft.cli._clips import is_clip, is_movie, recolor_clip
from fastsoft.cli._photos import at_least, fail, progress_of, run_photos, use_threads, warnings_as_lines, writing
from fastsoft.cli.colors import color, color_options, load

__all__ = ["add_parser"]


def add_parser(commands: Any) -> None:
    """Add the subcommand to the parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "recolor",
        help="give photographs or clips other colours",
        description="Replace colours of photographs or clips. The photo is decomposed into layers of homogeneous "
        "colour, one of them for each colour to replace; that layer's colours are moved to the new one, shading and "
        "texture with it. Writes NAME.png for every photo and NAME.mp4, with the audio, for every clip (needs PyAV, "
        "pip install 'fastsoft[video]').",
        allow_abbrev=False,
    )
    parser.add_argument("photos", nargs="+", metavar="PHOTO", help="image file or clip; any size, never scaled down")
    parser.add_argument(
        "-o",
        "--output",
        default="recolored",
        metavar="DIR",
        help="folder for the results, made if missing, or for one clip the .mp4, .mov or .mkv to write (default: "
        "%(default)s)",
    )
    parser.add_argument(
        "--from",
        dest="old",
        type=color,
        nargs="+",
        required=True,
        metavar="#rrggbb",
        help="colours to replace: each takes the place of the palette colour nearest to it",
    )
    parser.add_argument(
        "--to", dest="new", type=color, nargs="+", required=True, metavar="#rrggbb", help="as many new colours"
    )
    parser.add_argument(
        "--colors", type=at_least(2), metavar="N", help="colours of the palette, found by k-means (default: 7)"
    )
    color_options(parser)
    parser.set_defaults(run=_run, parser=parser)


def _run(arguments: argparse.Namespace) -> int:
    if len(arguments.old) != len(arguments.new):
        arguments.parser.error(
            f"argument --to: must be as many colours as --from, {len(arguments.old)}, got {len(arguments.new)}"
        )
    if len(set(arguments.old)) != len(arguments.old):
        arguments.parser.error("argument --from: must be different colours")
    arguments.movie = None
    if is_movie(arguments.output):
        if len(arguments.photos) > 1 or not is_clip(arguments.photos[0]):
            arguments.parser.error("argument -o/--output: must be a folder, except for one clip")
        arguments.movie = Path(arguments.output)
        arguments.output = arguments.movie.parent
    try:
        arguments.model = load(arguments.weights)
    except ValueError as error:
        return fail(str(error))
    use_threads(arguments.threads)
    return run_photos(arguments, _one)


def _one(photo: str, folder: Path, arguments: argparse.Namespace) -> None:
    (recolor_clip if is_clip(photo) else _recolor_one)(photo, folder, arguments)


def _recolor_one(photo: str, folder: Path, arguments: argparse.Namespace) -> None:
    from fastsoft.color.editing import recolor
    from fastsoft.color.palette import color_palette, replace_nearest
    from fastsoft.color.pipeline import N_COLORS, STAGES, decompose_colors
    from fastsoft.image import read_image, write_png

    started = time.perf_counter()
    image = read_image(photo, max_pixels=arguments.max_pixels)
    n_colors = max(arguments.colors or min(N_COLORS, arguments.model.n_colors[1]), len(arguments.old))
    palette, places = replace_nearest(color_palette(image, n_colors, seed=arguments.seed), arguments.old)
    with progress_of(photo, STAGES, arguments.quiet) as progress, warnings_as_lines(photo):
        layers = decompose_colors(
            image,
            palette,
            weights=arguments.model,
            exact=arguments.exact,
            smooth=arguments.smooth,
            smooth_epsilon=arguments.smooth_epsilon,
            device=arguments.device,
            precision=arguments.precision,
            progress=progress,
        )
    changed = recolor(layers, dict(zip(places, arguments.new, strict=True)))
    path = folder.with_name(f"{folder.name}.png")
    if path.exists() and path.samefile(photo):
        raise ValueError(f"{path} is the photo itself: choose another folder")
    with writing(path):
        write_png(path, changed.image)
    if not arguments.quiet:
        shares = ", ".join(f"{100 * float(layers.alphas[:, :, k].mean()):.1f} %" for k in places)
        print(f"{photo}: {path}, {shares} of it recoloured ({time.perf_counter() - started:.1f} s)", flush=True)
