# SPDX-License-Identifier: MIT
"""``fastsoft segment``: photographs in, folders of soft layers out."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fastsoft.layers import Layers

__all__ = ["add_parser"]

_FEATURE_SUFFIXES = (".npy", ".npz", ".mat")


def at_least(low: int) -> Callable[[str], int]:
    def integer(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"must be an integer, got {text!r}") from None
        if value < low:
            raise argparse.ArgumentTypeError(f"must be at least {low}, got {value}")
        return value

    return integer


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
    parser.add_argument("photos", nargs="+", metavar="PHOTO", help="image file; any size, never scaled down")
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
    parser.add_argument("--threads", type=at_least(1), metavar="N", help="threads (default: all processors)")
    parser.add_argument("--superpixels", type=at_least(1), metavar="N", help="superpixels (default: 2500)")
    parser.add_argument("--eigenvectors", type=at_least(1), metavar="N", help="eigenvectors (default: 100 or 50)")
    parser.add_argument("--segments", type=at_least(1), metavar="N", help="segments to start with (default: 20)")
    parser.add_argument("--normalized", action="store_true", help="normalise the Laplacian by degrees (semantic)")
    parser.add_argument("--float64", action="store_true", help="compute in double precision: twice the memory and time")
    parser.add_argument("--keep-stages", action="store_true", help="also write the output of every stage to stages/")
    parser.add_argument(
        "--max-pixels", type=at_least(1), default=2**28, metavar="N", help="refuse larger photos (default: 2^28)"
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress, only errors")
    parser.set_defaults(run=_run, parser=parser)


def _run(arguments: argparse.Namespace) -> int:
    if arguments.method == "spectral":
        for option in ("superpixels", "normalized"):
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

    from fastsoft.layers.files import check_folder_writable

    output = Path(arguments.output)
    existed = output.exists()
    try:
        check_folder_writable(output)
    except OSError as error:
        return _fail(f"cannot write to {output}: {error.strerror or error}")

    if arguments.threads:
        from fastsoft.threads import set_num_threads

        set_num_threads(arguments.threads)

    failed = 0
    try:
        with _terminate_like_interrupt():
            for photo, folder in zip(arguments.photos, _folders(arguments.photos, output), strict=True):
                try:
                    _segment_one(photo, folder, arguments)
                except _WriteError as error:
                    # The next photo would meet the same disk.
                    failed += 1
                    _fail(str(error))
                    break
                except (ValueError, TypeError, RuntimeError, OSError) as error:
                    failed += 1
                    message = str(error)
                    _fail(message if photo in message else f"{photo}: {message}")
                except MemoryError:
                    failed += 1
                    _fail(
                        f"{photo}: not enough memory"
                        + (" (without --float64 it needs half)" if arguments.float64 else "")
                    )
    finally:
        if not existed:
            with contextlib.suppress(OSError):
                output.rmdir()
    if failed and len(arguments.photos) > 1:
        _fail(f"{failed} of {len(arguments.photos)} photos failed")
    return 1 if failed else 0


class _WriteError(Exception):
    """A result could not be written."""


def _fail(message: str) -> int:
    print(f"fastsoft: {message}", file=sys.stderr, flush=True)
    return 1


@contextlib.contextmanager
def _terminate_like_interrupt() -> Iterator[None]:
    """Let SIGTERM unwind as Ctrl-C does, so that temporary files are removed."""

    def leave(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _folders(photos: list[str], output: Path) -> list[Path]:
    """Return a folder for each photo, named by its stem, with a number where stems collide."""
    taken: set[str] = set()
    folders = []
    for photo in photos:
        stem = Path(photo).stem or "photo"
        name, count = stem, 1
        while name.casefold() in taken:
            count += 1
            name = f"{stem}-{count}"
        taken.add(name.casefold())
        folders.append(output / name)
    return folders


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
    from fastsoft._environment import peak_memory
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
    }
    if arguments.features:
        options["features"] = _features_of(photo, arguments.features)
    if arguments.feature_size:
        options["feature_size"] = arguments.feature_size
    spectral = arguments.method == "spectral"
    shares = SPECTRAL_STAGES if spectral else STAGES
    with _progress(photo, shares, arguments.quiet) as progress, _warnings_as_lines(photo):
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
    _save(layers, folder, photo)
    if not arguments.quiet:
        seconds = time.perf_counter() - started
        print(
            f"{photo}: {layers.n_layers} layers in {folder} ({seconds:.1f} s, {peak_memory() / 1e9:.2f} GB)", flush=True
        )


def _save(layers: Layers, folder: Path, photo: str) -> None:
    try:
        layers.save(folder, source=photo)
    except OSError as error:
        raise _WriteError(f"cannot write {folder}: {error.strerror or error}") from error


@contextlib.contextmanager
def _warnings_as_lines(photo: str) -> Iterator[None]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", RuntimeWarning)
        yield
    for warning in caught:
        print(f"fastsoft: {photo}: {warning.message}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def _progress(photo: str, shares: dict[str, float], quiet: bool) -> Iterator[Callable[[str, float], None] | None]:
    """Yield a callback that draws a bar on a terminal and prints a line per stage elsewhere."""
    if quiet:
        yield None
    elif sys.stderr.isatty():
        from tqdm import tqdm

        done_before = {}
        total = 0.0
        for stage, share in shares.items():
            done_before[stage] = total
            total += share
        shape = "{desc} {percentage:3.0f}%|{bar}| {elapsed}"
        with tqdm(total=100, bar_format=shape, leave=False, file=sys.stderr) as bar:

            def draw(stage: str, fraction: float) -> None:
                bar.set_description_str(f"{os.path.basename(photo)}: {stage}", refresh=False)
                done = 100 * (done_before[stage] + shares[stage] * fraction) / total
                bar.update(max(0.0, done - bar.n))

            yield draw
    else:
        started: dict[str, float] = {}

        def tell(stage: str, fraction: float) -> None:
            now = time.perf_counter()
            begin = started.setdefault(stage, now)
            if fraction >= 1 and stage not in finished:
                finished.add(stage)
                print(f"{photo}: {stage} {now - begin:.1f} s", file=sys.stderr, flush=True)

        finished: set[str] = set()
        yield tell
