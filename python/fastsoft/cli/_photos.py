# SPDX-License-Identifier: MIT
"""What the commands that turn photographs into folders of layers share."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import signal
import sys
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fastsoft.layers import Layers

__all__ = [
    "WriteError",
    "at_least",
    "device_option",
    "fail",
    "not_enough",
    "precision_option",
    "progress_of",
    "require_device",
    "run_photos",
    "save",
    "terminate_like_interrupt",
    "use_threads",
    "warnings_as_lines",
    "writing",
]


def at_least(low: int) -> Callable[[str], int]:
    """Return a converter of arguments to integers that are not below a limit."""

    def integer(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"must be an integer, got {text!r}") from None
        if value < low:
            raise argparse.ArgumentTypeError(f"must be at least {low}, got {value}")
        return value

    return integer


def device_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--device``."""
    parser.add_argument(
        "--device",
        type=_device,
        default="cpu",
        metavar="DEVICE",
        help="cpu (default), cuda, cuda:N, or auto: the first CUDA device, and where there is none the CPU",
    )


def precision_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--precision``."""
    parser.add_argument(
        "--precision",
        choices=("float32", "bfloat16", "float16"),
        default="float32",
        help="of the convolutions of networks; float16 not on the CPU (default: %(default)s)",
    )


def _device(text: str) -> str:
    if not re.fullmatch(r"cpu|auto|cuda(:\d{1,3})?", text):
        raise argparse.ArgumentTypeError(f"must be cpu, cuda, cuda:N or auto, got {text!r}")
    return text


def require_device(device: str) -> None:
    """Raise CudaError if a device is asked for that is not there, before other work."""
    if device != "cpu":
        from fastsoft._device import find_device

        find_device(device)


def use_threads(count: int | None) -> None:
    """Have native operations, and networks where torch is loaded, use as many threads; None: all processors."""
    from fastsoft.threads import num_threads, set_num_threads

    if count:
        set_num_threads(count)
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(num_threads())


def run_photos(arguments: argparse.Namespace, one: Callable[[str, Path, argparse.Namespace], None]) -> int:
    """Call ``one(photo, folder, arguments)`` for every photo, and return the exit status.

    A photo that fails is told about and does not stop the others; a disk that cannot be written to does.
    """
    from fastsoft.errors import CudaError
    from fastsoft.layers.files import check_folder_writable

    output = Path(arguments.output)
    existed = output.exists()
    try:
        require_device(arguments.device)
        check_folder_writable(output)
    except CudaError as error:
        return fail(str(error))
    except OSError as error:
        return fail(f"cannot write to {output}: {error.strerror or error}")

    use_threads(arguments.threads)
    failed = 0
    try:
        with terminate_like_interrupt():
            for photo, folder in zip(arguments.photos, _folders(arguments.photos, output), strict=True):
                try:
                    one(photo, folder, arguments)
                except WriteError as error:
                    # The next photo would meet the same disk.
                    failed += 1
                    fail(str(error))
                    break
                except (ValueError, TypeError, RuntimeError, OSError, ImportError) as error:
                    failed += 1
                    message = str(error)
                    fail(message if photo in message else f"{photo}: {message}")
                except MemoryError as error:
                    failed += 1
                    hint = " (without --float64 it needs half)" if getattr(arguments, "float64", False) else ""
                    fail(f"{photo}: {not_enough(error)}{hint}")
    finally:
        if not existed:
            with contextlib.suppress(OSError):
                output.rmdir()
    if failed and len(arguments.photos) > 1:
        fail(f"{failed} of {len(arguments.photos)} photos failed")
    return 1 if failed else 0


def not_enough(error: MemoryError) -> str:
    """Return what is told of a lack of memory: on a device, what would be needed."""
    return str(error) if "device" in str(error) else "not enough memory"


class WriteError(Exception):
    """A result could not be written."""


def fail(message: str) -> int:
    """Print an error as one line and return the exit status that goes with it."""
    print(f"fastsoft: {message}", file=sys.stderr, flush=True)
    return 1


@contextlib.contextmanager
def terminate_like_interrupt() -> Iterator[None]:
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


def save(layers: Layers, folder: Path, photo: str, started: float, quiet: bool) -> None:
    """Write the layers of a photo and say so; if it fails, `run_photos` stops."""
    from fastsoft._environment import peak_memory

    with writing(folder):
        layers.save(folder, source=photo)
    if not quiet:
        device = layers.settings.get("device", "cpu")
        spent = f"{time.perf_counter() - started:.1f} s, {peak_memory() / 1e9:.2f} GB"
        spent += "" if device == "cpu" else f", on {device}"
        print(f"{photo}: {layers.n_layers} layers in {folder} ({spent})", flush=True)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Take errors of the system for errors of writing, at which `run_photos` stops."""
    try:
        yield
    except OSError as error:
        raise WriteError(f"cannot write {path}: {error.strerror or error}") from error


@contextlib.contextmanager
def warnings_as_lines(photo: str) -> Iterator[None]:
    """Print warnings as lines that name the photo."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", RuntimeWarning)
        yield
    for warning in caught:
        print(f"fastsoft: {photo}: {warning.message}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def progress_of(photo: str, shares: dict[str, float], quiet: bool) -> Iterator[Callable[[str, float], None] | None]:
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
