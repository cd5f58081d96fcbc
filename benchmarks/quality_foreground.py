# SPDX-License-Identifier: MIT
"""Halos: composites of estimated foregrounds over a new background, against the true ones; prints a Markdown table.

Usage: python -m benchmarks.quality_foreground FOREGROUNDS BACKGROUNDS [--every 3] [--longer-side 720] [--output FILE]

FOREGROUNDS holds image/NAME.* and alpha/NAME.png, BACKGROUNDS pictures. Colours of a foreground are refined
(`fastsoft.refine_foreground`), so that the truth does not depend on what is not visible; it is composited over one
background, estimated from that composite and its alpha, and composited over another.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import fastsoft
from benchmarks.report import RESULTS, head_of_results, write_results

METHODS = {
    "colours of the photograph": None,
    "ml": {},
    "ml, 3 iterations": {"n_large_iterations": 3},
    "ml, sequential": {"order": "sequential"},
    "blur_fusion": {"method": "blur_fusion"},
    "closed_form": {"method": "closed_form"},
}
SUFFIXES = {".png", ".jpg", ".jpeg"}


def load(path: Path, size: tuple[int, int] | None, longer_side: int, mode: str) -> Any:
    """Read a picture as float32 at a size (width, height), or with a longer side."""
    from PIL import Image

    with Image.open(path) as file:
        picture = file.convert(mode)
    if size is None:
        factor = longer_side / max(picture.size)
        size = (max(1, round(picture.width * factor)), max(1, round(picture.height * factor)))
    return np.asarray(picture.resize(size, Image.Resampling.BICUBIC)).astype(np.float32) / np.float32(255)


def errors(foreground: Any, alpha: Any, old: Any, new: Any) -> dict[str, tuple[float, float]]:
    """Return for each method the mean error of its composite where alpha is mixed, in grey levels, and its seconds."""
    a = alpha[:, :, None]
    photograph, truth = a * foreground + (1 - a) * old, a * foreground + (1 - a) * new
    mixed = (alpha > 0.02) & (alpha < 0.98)
    found = {}
    for name, options in METHODS.items():
        start = time.process_time()
        estimate = photograph if options is None else fastsoft.estimate_foreground(photograph, alpha, **options)
        seconds = time.process_time() - start
        found[name] = (255 * float(np.abs(a * estimate + (1 - a) * new - truth)[mixed].mean()), seconds)
    return found


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("foregrounds", type=Path)
    parser.add_argument("backgrounds", type=Path)
    parser.add_argument("--every", type=int, default=1, help="take every n-th foreground")
    parser.add_argument("--longer-side", type=int, default=720)
    parser.add_argument("--output", type=Path, default=RESULTS / "quality_foreground.md")
    options = parser.parse_args(arguments)
    names = sorted(path for path in (options.foregrounds / "image").iterdir() if path.suffix.lower() in SUFFIXES)
    scenes = sorted(path for path in options.backgrounds.iterdir() if path.suffix.lower() in SUFFIXES)
    if not names or not scenes:
        parser.error("there are no pictures in FOREGROUNDS/image or in BACKGROUNDS")
    results = []
    for number, path in enumerate(names[:: options.every]):
        alpha = load(options.foregrounds / "alpha" / f"{path.stem}.png", None, options.longer_side, "L")
        size = (alpha.shape[1], alpha.shape[0])
        foreground = fastsoft.refine_foreground(load(path, size, 0, "RGB"), alpha)
        old, new = (load(scenes[(number + step) % len(scenes)], size, 0, "RGB") for step in (0, 1))
        results.append(errors(foreground, alpha, old, new))
        print(path.name, {name: round(error, 2) for name, (error, _) in results[-1].items()}, flush=True)
    lines = [
        *head_of_results("Halos of estimated foregrounds", "benchmarks.quality_foreground", arguments),
        f"Mean error, in grey levels of 255, of composites over a new background, where alpha is mixed; {len(results)} "
        "foregrounds. Seconds are processor time.",
        "",
        "| colours | mean | median | worst | seconds |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name in METHODS:
        error, seconds = np.array([result[name] for result in results]).T
        lines.append(
            f"| {name} | {error.mean():.2f} | {np.median(error):.2f} | {error.max():.2f} | {seconds.mean():.3f} |"
        )
    print("\n".join(lines))
    write_results(options.output, lines)
    return 0


if __name__ == "__main__":
    sys.exit(main())
