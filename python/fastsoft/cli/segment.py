# SPDX-License-Identifier: MIT
"""``fastsoft segment``: photographs in, folders of soft layers out."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from fastsoft.cli._photos import at_least, device_option, progress_of, run_photos, save, warnings_as_lines

__all__ = ["add_parser"]

# Seconds from which on a run is announced.
LONG = 20.0

_FEATURE_SUFFIXES = (".npy", ".npz", ".mat")


def add_parser(commands: Any) -> None:
    """Add the subcommand to the parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "segment",
        help="decompose photographs into soft layers",
        description="Decompose photographs into soft layers. For each one, a folder named after it receives "
        "layer_01.png and so on (RGBA), overview.png, alphas.npz and settings.json. It appears when it is complete; a "
        "file that cannot be read does not stop the others.",
        allow_abbrev=False,
    )
    parser.add_argument("photos", nargs="+", metavar="PHOTO", help="image file of any size, which its layers have, too")
    parser.add_argument("-o", "--output", required=True, metavar="DIR", help="folder for the results; made if missing")
    parser.add_argument("--layers", type=at_least(1), metavar="N", help="layers (default: 5; spectral: all)")
    parser.add_argument(
        "--method",
        choices=("semantic", "spectral"),
        default="semantic",
        help="semantic soft segmentation (default), or spectral matting, which looks at colours alone",
    )
    parser.add_argument(
        "--features",
        metavar="SOURCE",
        help="embedded, the network that comes with fastsoft (default); lowlevel, colour, texture and position "
        "(default of spectral); hypercolumn:FILE, weights of 'fastsoft train features'; transformers:MODEL, a vision "
        "transformer; or features (H, W, C) of the photo in a .npy, .npz or .mat file, or a folder of files named like "
        "the photos",
    )
    parser.add_argument(
        "--feature-size",
        type=at_least(32),
        metavar="N",
        help="longer side at which a network sees the photo, if it is larger (default: 640)",
    )
    parser.add_argument("--seed", type=at_least(0), default=0, metavar="N", help="seed (default: 0)")
    device_option(parser)
    parser.add_argument("--threads", type=at_least(1), metavar="N", help="threads (default: all processors)")
    parser.add_argument(
        "--memory",
        type=_gigabytes,
        metavar="GB",
        help="compute eigenvectors on a photo reduced as little as fits this memory: less makes large photos faster, "
        "more leaves them unreduced (default: at most 1920x1080 pixels, 5 GB; semantic)",
    )
    parser.add_argument("--superpixels", type=at_least(1), metavar="N", help="superpixels (default: 2500)")
    parser.add_argument("--eigenvectors", type=at_least(1), metavar="N", help="eigenvectors (default: 100 or 50)")
    parser.add_argument("--segments", type=at_least(1), metavar="N", help="segments to start with (default: 20)")
    parser.add_argument("--normalized", action="store_true", help="normalise the Laplacian by degrees (semantic)")
    parser.add_argument("--float64", action="store_true", help="compute in double precision: twice the memory and time")
    parser.add_argument(
        "--foregrounds",
        action="store_true",
        help="give each layer colours of its own, without what shows through from the others: for layers that are to "
        "be moved or put over something else",
    )
    parser.add_argument("--keep-stages", action="store_true", help="also write the output of every stage to stages/")
    parser.add_argument(
        "--max-pixels", type=at_least(1), default=2**28, metavar="N", help="refuse larger photos (default: 2^28)"
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress, only errors")
    parser.set_defaults(run=_run, parser=parser)


def _run(arguments: argparse.Namespace) -> int:
    if arguments.method == "spectral":
        for option in ("superpixels", "normalized", "memory"):
            if getattr(arguments, option):
                arguments.parser.error(f"argument --{option}: not used by --method spectral")
        if arguments.features and not arguments.layers:
            arguments.parser.error("argument --features: used by --method spectral only to group, so give --layers too")
    if arguments.feature_size:
        from fastsoft.semantic.features import is_network

        default = "lowlevel" if arguments.method == "spectral" else "embedded"
        if not is_network(arguments.features or default):
            arguments.parser.error("argument --feature-size: used by networks only (--features)")
    if arguments.features and len(arguments.photos) > 1:
        from fastsoft.semantic.features import is_source

        if not is_source(arguments.features) and not Path(arguments.features).is_dir():
            arguments.parser.error("argument --features: must be a folder if there are several photos")

    return run_photos(arguments, _segment_one)


def _gigabytes(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a number, got {text!r}") from None
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be above 0, got {value:g}")
    return value


def _announce(photo: str, shape: tuple[int, int], options: dict[str, Any], arguments: argparse.Namespace) -> None:
    """Choose the size that eigenvectors are computed at, and say what a long run will take."""
    from fastsoft.semantic.reduction import SPECTRAL_PIXELS, estimate_cost, pixels_within, spectral_size

    load: dict[str, Any] = {
        "n_eigenvectors": arguments.eigenvectors or 100,
        "itemsize": 8 if arguments.float64 else 4,
    }
    pixels = SPECTRAL_PIXELS if arguments.memory is None else pixels_within(1e9 * arguments.memory, shape, **load)
    options["spectral_pixels"] = pixels
    cost = estimate_cost(shape, spectral_pixels=pixels, **load)
    # What it says is the CPU's time and memory.
    if arguments.quiet or arguments.device != "cpu" or cost.seconds < LONG:
        return
    rows, cols = spectral_size(shape, pixels)
    reduced = f", eigenvectors at {cols}x{rows}" if (rows, cols) != shape else ""
    print(
        f"{photo}: {shape[1]}x{shape[0]} pixels will take about {cost.seconds:.0f} s and {cost.n_bytes / 1e9:.1f} GB"
        f"{reduced}",
        file=sys.stderr,
        flush=True,
    )


def _features_of(photo: str, features: str) -> Any:
    from fastsoft.semantic.features import is_source, load_features

    if is_source(features):
        return features
    path = Path(features)
    if not path.is_dir():
        return load_features(path)
    stem = Path(photo).stem
    for suffix in _FEATURE_SUFFIXES:
        candidate = path / f"{stem}{suffix}"
        if candidate.exists():
            return load_features(candidate)
    raise ValueError(f"{path} holds no features called {stem}.npy, {stem}.npz or {stem}.mat")


def _segment_one(photo: str, folder: Path, arguments: argparse.Namespace) -> None:
    from fastsoft.image import read_image
    from fastsoft.semantic.pipeline import SPECTRAL_STAGES, STAGES, segment, spectral_matting

    started = time.perf_counter()
    image = read_image(photo, max_pixels=arguments.max_pixels)
    options: dict[str, Any] = {
        "seed": arguments.seed,
        "n_eigenvectors": arguments.eigenvectors,
        "n_segments": arguments.segments,
        "keep_stages": arguments.keep_stages,
        "dtype": "float64" if arguments.float64 else "float32",
        "device": arguments.device,
    }
    if arguments.features:
        options["features"] = _features_of(photo, arguments.features)
    if arguments.feature_size:
        options["feature_size"] = arguments.feature_size
    spectral = arguments.method == "spectral"
    if not spectral:
        _announce(photo, image.shape[:2], options, arguments)
    shares = {**(SPECTRAL_STAGES if spectral else STAGES), **({"foregrounds": 0.05} if arguments.foregrounds else {})}
    with progress_of(photo, shares, arguments.quiet) as progress, warnings_as_lines(photo):
        if spectral:
            layers = spectral_matting(image, n_layers=arguments.layers, progress=progress, **options)
        else:
            layers = segment(
                image,
                n_layers=5 if arguments.layers is None else arguments.layers,
                n_superpixels=arguments.superpixels,
                normalized=arguments.normalized,
                progress=progress,
                **options,
            )
        if arguments.foregrounds:
            layers = layers.with_foregrounds(progress=progress)
    save(layers, folder, photo, started, arguments.quiet)
