# SPDX-License-Identifier: MIT
"""``fastsoft colors``: photographs in, folders of layers of homogeneous colour out."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from fastsoft.cli._clips import decompose_clip, is_clip
from fastsoft.cli._photos import (
    at_least,
    device_option,
    fail,
    precision_option,
    progress_of,
    run_photos,
    save,
    use_threads,
    warnings_as_lines,
)

__all__ = ["add_parser", "color", "color_options", "load"]


def color(text: str) -> tuple[float, float, float]:
    """Convert an argument ``#rrggbb``."""
    from fastsoft.color.palette import parse_color

    try:
        return parse_color(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def load(weights: str | None) -> Any:
    """Load the networks once for all photos; this loads torch."""
    from fastsoft.color.models import default_model, load_model

    return default_model() if weights is None else load_model(weights)


def color_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how photographs are decomposed by colour."""
    parser.add_argument(
        "--weights",
        metavar="FILE",
        help=".safetensors of 'fastsoft train colors', or of the authors' networks "
        "(fastsoft.color.convert_published_weights); default: those that come with fastsoft",
    )
    parser.add_argument(
        "--smooth",
        type=at_least(0),
        nargs="?",
        const=3,
        default=0,
        metavar="RADIUS",
        help="smooth the alphas by a guided filter of this radius (default: not; without a number: 3)",
    )
    parser.add_argument(
        "--smooth-epsilon", type=float, default=1e-6, metavar="E", help="epsilon of this filter (default: 1e-6)"
    )
    parser.add_argument("--no-exact", dest="exact", action="store_false", help="leave the colours as predicted")
    parser.add_argument("--seed", type=at_least(0), default=0, metavar="N", help="seed of k-means (default: 0)")
    device_option(parser)
    precision_option(parser)
    parser.add_argument("--threads", type=at_least(1), metavar="N", help="threads (default: all processors)")
    parser.add_argument(
        "--max-pixels",
        type=at_least(1),
        default=2**28,
        metavar="N",
        help="refuse larger photos (default: 2^28)",
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress, only errors")


def add_parser(commands: Any) -> None:
    """Add the subcommand to the parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "colors",
        help="decompose photographs or clips into layers of homogeneous colour",
        description="Decompose photographs or clips into layers of homogeneous colour. For each photo, a folder named "
        "after it receives layer_01.png and so on (RGBA, in the order of the palette; their sum is the photograph), "
        "overview.png, alphas.npz and settings.json. It appears when it is complete; a file that cannot be read does "
        "not stop the others. A clip (.mp4, .mov, .mkv and others; needs PyAV, pip install 'fastsoft[video]') gets one "
        "palette for all frames, and layer_01/frame_000001.png and so on, or layer_01.mov, with frames.csv, "
        "overview.png and settings.json; when PNG sequences are interrupted, the same command goes on with them.",
        allow_abbrev=False,
    )
    parser.add_argument("photos", nargs="+", metavar="PHOTO", help="image file or clip; any size, never scaled down")
    parser.add_argument("-o", "--output", required=True, metavar="DIR", help="folder for the results; made if missing")
    palette = parser.add_mutually_exclusive_group()
    palette.add_argument("--colors", type=at_least(2), metavar="N", help="colours, found by k-means (default: 7)")
    palette.add_argument(
        "--palette", type=color, nargs="+", metavar="#rrggbb", help="the colours, instead of those of k-means"
    )
    parser.add_argument(
        "--mask",
        nargs=3,
        action="append",
        default=[],
        metavar=("FILE", "A", "B"),
        help="grey picture of the photo's size: give what layers A and B share to A where it is white and to B where "
        "it is black, before colours are predicted; may be given several times",
    )
    parser.add_argument(
        "--format",
        choices=("png", "prores"),
        default="png",
        help="of the layers of clips: PNG sequences (default), or ProRes 4444 with alpha in .mov files",
    )
    parser.add_argument(
        "--restart", action="store_true", help="for clips: remove an earlier result instead of going on with it"
    )
    color_options(parser)
    parser.set_defaults(run=_run, parser=parser)


def _run(arguments: argparse.Namespace) -> int:
    if arguments.mask and any(map(is_clip, arguments.photos)):
        arguments.parser.error("argument --mask: not for clips")
    for _, *layers in arguments.mask:
        if not all(number.isdecimal() and int(number) >= 1 for number in layers):
            arguments.parser.error(f"argument --mask: layers must be numbers from 1, got {' and '.join(layers)}")
    try:
        arguments.model = load(arguments.weights)
    except ValueError as error:
        return fail(str(error))
    use_threads(arguments.threads)
    return run_photos(arguments, _one)


def _one(photo: str, folder: Path, arguments: argparse.Namespace) -> None:
    (decompose_clip if is_clip(photo) else _decompose_one)(photo, folder, arguments)


def _decompose_one(photo: str, folder: Path, arguments: argparse.Namespace) -> None:
    from fastsoft.color.pipeline import STAGES, decompose_colors
    from fastsoft.image import read_image

    started = time.perf_counter()
    image = read_image(photo, max_pixels=arguments.max_pixels)
    masks = [(_read_mask(file, image.shape[:2]), int(a) - 1, int(b) - 1) for file, a, b in arguments.mask]
    with progress_of(photo, STAGES, arguments.quiet) as progress, warnings_as_lines(photo):
        layers = decompose_colors(
            image,
            arguments.colors if arguments.palette is None else arguments.palette,
            weights=arguments.model,
            exact=arguments.exact,
            smooth=arguments.smooth,
            smooth_epsilon=arguments.smooth_epsilon,
            process=(lambda alphas: _redistribute(alphas, masks)) if masks else None,
            seed=arguments.seed,
            device=arguments.device,
            precision=arguments.precision,
            progress=progress,
        )
    save(layers, folder, photo, started, arguments.quiet)


def _read_mask(file: str, shape: tuple[int, ...]) -> Any:
    from fastsoft._checks import check_mask
    from fastsoft.image import read_image

    mask = read_image(file)
    if mask.shape[:2] != tuple(shape):
        raise ValueError(
            f"mask {file} must have the size of the photo, {shape[1]}x{shape[0]}, got {mask.shape[1]}x{mask.shape[0]}"
        )
    return check_mask(mask.mean(axis=2).clip(0, 1), shape)


def _redistribute(alphas: Any, masks: list[tuple[Any, int, int]]) -> Any:
    from fastsoft.color.processing import redistribute_alphas

    for mask, inside, outside in masks:
        n = alphas.shape[2]
        if max(inside, outside) >= n:
            raise ValueError(f"--mask must name layers of 1..{n}, got {max(inside, outside) + 1}")
        alphas = redistribute_alphas(alphas, mask, inside, outside)
    return alphas
