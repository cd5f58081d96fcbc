# SPDX-License-Identifier: MIT
"""What the commands of colours do with clips."""

from __future__ import annotations

import contextlib
import math
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastsoft.cli._photos import warnings_as_lines, writing

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

__all__ = ["decompose_clip", "is_clip", "is_movie", "recolor_clip"]

# Seconds after which a line is printed where there is no terminal, and by how much it then grows.
_FIRST_LINE, _GROWTH = 10.0, 1.5


def is_clip(name: str) -> bool:
    """Tell whether a file is taken for a clip, by the ending of its name."""
    from fastsoft.color.video_files import CLIP_SUFFIXES

    return Path(name).suffix.lower() in CLIP_SUFFIXES


def is_movie(name: str) -> bool:
    """Tell whether a name is that of a clip to be written."""
    from fastsoft.color.video_files import MOVIE_FORMATS

    return Path(name).suffix.lower() in MOVIE_FORMATS


def decompose_clip(clip: str, folder: Path, arguments: argparse.Namespace) -> None:
    """Write the layers of a clip to a folder."""
    from fastsoft.color.video import decompose_video

    started = time.perf_counter()
    finished = 0
    with _frames_progress(clip, arguments.quiet) as progress, warnings_as_lines(clip), writing(folder):

        def report(stage: str, done: int, total: int | None) -> None:
            nonlocal finished
            finished = done if stage == "frames" else 0
            if progress is not None:
                progress(stage, done, total)

        try:
            result = decompose_video(
                clip,
                folder,
                arguments.colors if arguments.palette is None else arguments.palette,
                format=arguments.format,
                restart=arguments.restart,
                progress=report,
                **_options(arguments),
            )
        except (KeyboardInterrupt, SystemExit):
            if finished and arguments.format == "png":
                print(
                    f"fastsoft: {clip}: {finished} frames are in {folder}; the same command goes on behind them",
                    file=sys.stderr,
                    flush=True,
                )
            raise
    if not arguments.quiet:
        before = f", {result.n_resumed} of them from before" if result.n_resumed else ""
        print(f"{clip}: {len(result.palette)} layers of {result.n_frames} frames in {folder}{before}{_spent(started)}")
        _print_flicker(clip, result)


def recolor_clip(clip: str, folder: Path, arguments: argparse.Namespace) -> None:
    """Write a clip in other colours."""
    from fastsoft.color.palette import replace_nearest
    from fastsoft.color.video import recolor_video

    started = time.perf_counter()
    suffix = Path(clip).suffix.lower()
    path = arguments.movie or folder.with_name(f"{folder.name}{suffix if is_movie(clip) else '.mp4'}")
    with _frames_progress(clip, arguments.quiet) as progress, warnings_as_lines(clip), writing(path):
        result = recolor_video(
            clip,
            path,
            arguments.old,
            arguments.new,
            n_colors=arguments.colors,
            progress=progress,
            **_options(arguments),
        )
    if not arguments.quiet:
        # Colours that are in the palette are their own nearest ones.
        _, places = replace_nearest(result.palette, arguments.old)
        shares = ", ".join(f"{100 * result.shares[k]:.1f} %" for k in places)
        print(f"{clip}: {result.n_frames} frames in {path}, {shares} of it recoloured{_spent(started)}")
        _print_flicker(clip, result)


def _options(arguments: argparse.Namespace) -> dict[str, Any]:
    return {
        "weights": arguments.model,
        "exact": arguments.exact,
        "smooth": arguments.smooth,
        "smooth_epsilon": arguments.smooth_epsilon,
        "seed": arguments.seed,
        "device": arguments.device,
        "precision": arguments.precision,
        "max_pixels": arguments.max_pixels,
    }


def _spent(started: float) -> str:
    from fastsoft._environment import peak_memory

    return f" ({time.perf_counter() - started:.1f} s, {peak_memory() / 1e9:.2f} GB)"


def _print_flicker(clip: str, result: Any) -> None:
    """Print how much alphas change where the clip does not."""
    if result.flicker is None:
        print(f"{clip}: no flicker figure, as no pixel stands still", flush=True)
    else:
        layers = ", ".join(f"{value:.2f}" for value in result.flicker.layers)
        still = f"{100 * result.flicker.still:.1f} %"
        print(
            f"{clip}: flicker {result.flicker.mean:.2f} levels of 255 ({layers}), over the {still} of the pixels that "
            "stand still",
            flush=True,
        )


@contextlib.contextmanager
def _frames_progress(clip: str, quiet: bool) -> Iterator[Callable[[str, int, int | None], None] | None]:
    """Yield a callback that counts frames in a bar on a terminal, and in lines ever rarer elsewhere."""
    if quiet:
        yield None
    elif sys.stderr.isatty():
        from tqdm import tqdm

        with contextlib.ExitStack() as stack:
            bars: dict[str, Any] = {}

            def draw(stage: str, done: int, total: int | None) -> None:
                if stage not in bars:
                    stack.close()
                    name = f"{os.path.basename(clip)}: {stage}"
                    bar = tqdm(desc=name, initial=done, total=total, unit=" frames", leave=False, file=sys.stderr)
                    bars[stage] = stack.enter_context(bar)
                bars[stage].total = total
                bars[stage].update(done - bars[stage].n)

            yield draw
    else:
        started = time.perf_counter()
        due: dict[str, float] = {}

        def tell(stage: str, done: int, total: int | None) -> None:
            elapsed = time.perf_counter() - started
            if done != total and elapsed < due.setdefault(stage, elapsed + _FIRST_LINE):
                return
            if due.get(stage) != math.inf:
                due[stage] = math.inf if done == total else _GROWTH * elapsed
                of = "" if total is None else f" of {total}"
                print(f"{clip}: {stage} {done}{of}, {elapsed:.1f} s", file=sys.stderr, flush=True)

        yield tell
