# SPDX-License-Identifier: MIT
"""``fastsoft matte``: cuts the foreground out of a photograph, with a trimap."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastsoft.cli._photos import (
    at_least,
    device_option,
    precision_option,
    progress_of,
    require_device,
    use_threads,
    warnings_as_lines,
)
from fastsoft.cli._pictures import backdrop_option, cover, one_result, read_backdrop, write

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["add_parser"]


def add_parser(commands: Any) -> None:
    """Add the subcommand to the parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "matte",
        help="cut the foreground out of a photograph",
        description="Find the alpha of a photograph's foreground where a trimap leaves it open, and the foreground's "
        "own colours, without what shines through from behind. For -o NAME.png writes NAME.png, the foreground as "
        "RGBA, NAME_alpha.png, and with --over NAME_over.png. Each file appears when it is complete.",
        allow_abbrev=False,
    )
    parser.add_argument("photo", metavar="PHOTO", help="image file; any size, never scaled down")
    parser.add_argument(
        "trimap",
        metavar="TRIMAP",
        help="picture of the same size: black for background, white for foreground, grey for what is to be found",
    )
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="PNG file for the foreground as RGBA")
    parser.add_argument(
        "--method",
        choices=("network", "closed-form"),
        default="network",
        help="how alphas are found (default: %(default)s)",
    )
    parser.add_argument(
        "--weights",
        metavar="FILE",
        help=".safetensors of 'fastsoft train matting', or of the published network "
        "(fastsoft.matting.convert_published_weights); default: those that come with fastsoft",
    )
    parser.add_argument(
        "--refine",
        nargs="?",
        const=True,
        default=False,
        choices=("compat", "paper"),
        help="adapt the network to the photograph by backpropagating refinement; 'compat' and 'paper' are the two "
        "published forms",
    )
    parser.add_argument(
        "--augment",
        action="store_true",
        help="mean over 24 turned, mirrored and resized photographs: 24 times the time",
    )
    backdrop_option(parser, "write NAME_over.png: the foreground over this colour or picture")
    device_option(parser)
    precision_option(parser)
    parser.add_argument("--threads", type=at_least(1), metavar="N", help="threads (default: all processors)")
    parser.add_argument(
        "--max-pixels", type=at_least(1), default=2**28, metavar="N", help="refuse larger photos (default: 2^28)"
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress, only errors")
    parser.set_defaults(run=one_result(_run), parser=parser)


def _run(arguments: argparse.Namespace) -> None:
    from fastsoft._environment import peak_memory
    from fastsoft.image import read_image
    from fastsoft.layers import composite
    from fastsoft.matting.models import load_network
    from fastsoft.matting.pipeline import STAGES, matte

    started = time.perf_counter()
    output = Path(arguments.output)
    method = arguments.method.replace("-", "_")
    # What cannot go well should not first take the time of the matting.
    require_device(arguments.device)
    image = read_image(arguments.photo, max_pixels=arguments.max_pixels)
    trimap = _read_trimap(arguments.trimap, image.shape)
    over = None if arguments.over is None else cover(read_backdrop(arguments.over), image.shape)
    weights = load_network(arguments.weights) if method == "network" else arguments.weights
    use_threads(arguments.threads)
    stages = STAGES if method == "network" else {key: STAGES[key] for key in STAGES if key != "network"}
    with progress_of(arguments.photo, stages, arguments.quiet) as progress, warnings_as_lines(arguments.photo):
        layers = matte(
            image,
            trimap,
            method=method,
            weights=weights,
            refine=arguments.refine,
            augment=arguments.augment,
            device=arguments.device,
            precision=arguments.precision,
            progress=progress,
        )
    names = [output, output.with_name(f"{output.stem}_alpha.png")]
    write(names[0], layers.rgba(0), arguments.photo, arguments.trimap)
    write(names[1], layers.alphas[:, :, 0], arguments.photo, arguments.trimap)
    if over is not None:
        names.append(output.with_name(f"{output.stem}_over.png"))
        write(names[2], composite(layers, visible=[0], background=over), arguments.photo, arguments.trimap)
    if not arguments.quiet:
        spent = f"{time.perf_counter() - started:.1f} s, {peak_memory() / 1e9:.2f} GB"
        spent += "" if layers.settings["device"] == "cpu" else f", on {layers.settings['device']}"
        print(f"{arguments.photo}: {', '.join(str(name) for name in names)} ({spent})", flush=True)


def _read_trimap(path: str, shape: tuple[int, ...]) -> NDArray[Any]:
    from fastsoft.image import read_image

    trimap = read_image(path)
    if trimap.shape[:2] != shape[:2]:
        raise ValueError(
            f"trimap {path} must have the size of the photo, {shape[1]}x{shape[0]}, got "
            f"{trimap.shape[1]}x{trimap.shape[0]}"
        )
    grey: NDArray[Any] = trimap.mean(axis=2).clip(0, 1)
    return grey
