# SPDX-License-Identifier: MIT
"""Closed-form matting of photographs with true mattes against PyMatting, in turns; and one large picture's memory.

Usage: python -m benchmarks.closed_form DATA [--trimaps trimap trimap_large] [--rounds 5] [--threads N]

DATA holds `matting/image/NAME.png`, `matting/alpha/NAME.png`, and trimaps in `matting/trimap` and
`matting/trimap_large`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import fastsoft
from benchmarks.report import RESULTS, head_of_results, run_worker, write_results
from benchmarks.timing import Band, compare


def load(path: Path, mode: str, size: tuple[int, int] | None = None) -> Any:
    """Read a picture as numbers in [0, 1], resized without smoothing of trimaps if a size is given."""
    from PIL import Image

    with Image.open(path) as file:
        picture = file.convert(mode)
    if size is not None:
        picture = picture.resize(size, Image.Resampling.NEAREST if mode == "L" else Image.Resampling.BICUBIC)
    return np.asarray(picture) / 255.0


def rows(folder: Path, kind: str, rounds: int) -> tuple[list[str], list[list[float]]]:
    """Compare on all pictures of one kind of trimap; return the lines and the numbers behind them."""
    from pymatting import estimate_alpha_cf

    lines, numbers = [], []
    for path in sorted((folder / kind).glob("*.png")):
        image, trimap = load(folder / "image" / path.name, "RGB"), load(path, "L")
        truth = load(folder / "alpha" / path.name, "L")
        ours, theirs = fastsoft.closed_form_matting(image, trimap), estimate_alpha_cf(image, trimap)
        difference = float(np.abs(ours - theirs).mean())
        sad = [fastsoft.matting_errors(a, truth, trimap, measures=["sad"]).sad for a in (ours, theirs)]
        result = compare(
            lambda i=image, t=trimap: fastsoft.closed_form_matting(i, t),
            lambda i=image, t=trimap: estimate_alpha_cf(i, t),
            rounds=rounds,
            warmup=0,
        )
        n_unknown = int(np.count_nonzero((trimap > 0.1) & (trimap < 0.9)))
        numbers.append([result.ratio.median, 1e3 * result.ours.median, 1e3 * result.peer.median, difference, *sad])
        lines.append(
            f"| {path.stem} | {n_unknown} | {1e3 * result.ours.median:.0f} | {1e3 * result.peer.median:.0f} "
            f"| {result.ratio:.1f} | {difference:.1e} | {sad[0]:.3f} | {sad[1]:.3f} |"
        )
        print(lines[-1], flush=True)
    return lines, numbers


def work(options: argparse.Namespace) -> None:
    """Make a large picture out of one of the photographs, find its alpha, and print what that took as JSON."""
    from fastsoft._environment import peak_memory

    folder = options.data / "matting"
    name = options.worker
    height, width = load(folder / "trimap_large" / name, "L").shape
    scale = (1e6 * options.megapixels / (height * width)) ** 0.5
    size = (round(width * scale), round(height * scale))
    image = load(folder / "image" / name, "RGB", size).astype(np.float32)
    trimap = load(folder / "trimap_large" / name, "L", size).astype(np.float32)
    before = peak_memory()
    start = time.perf_counter()
    alpha = fastsoft.closed_form_matting(image, trimap)
    seconds = time.perf_counter() - start
    unknown = (trimap > 0.1) & (trimap < 0.9)
    found = {"size": size, "unknown": int(np.count_nonzero(unknown)), "mean": float(alpha[unknown].mean())}
    print(json.dumps({**found, "seconds": seconds, "before": before, "peak": peak_memory()}))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, help="folder with matting")
    parser.add_argument("--trimaps", nargs="*", default=["trimap", "trimap_large"])
    parser.add_argument("--rounds", type=int, default=5, help="pairs of runs per picture")
    parser.add_argument("--threads", type=int, help="of fastsoft (default: all processors); PyMatting uses one")
    parser.add_argument("--megapixels", type=float, default=12.0, help="of the large picture")
    parser.add_argument("--large", nargs="*", default=["GT24.png", "GT26.png"], help="files that are enlarged")
    parser.add_argument("--output", type=Path, default=RESULTS / "closed_form.md")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.threads is not None:
        fastsoft.set_num_threads(options.threads)
    if options.worker:
        work(options)
        return 0
    lines = head_of_results("Closed-form matting against PyMatting", "benchmarks.closed_form", arguments)
    explanation = [
        "`closed_form_matting` and `estimate_alpha_cf`, each with its defaults, which ask for the same residual. "
        "Milliseconds are medians of runs in turns; the ratio is PyMatting / fastsoft within a pair of runs, its "
        "median and quartiles. Difference: mean over all pixels. SAD in thousands over unknown pixels.",
        "",
    ]
    if options.trimaps:
        lines += explanation
    print("\n".join(lines), flush=True)
    for kind in options.trimaps:
        head = [
            f"## {kind}",
            "",
            "| image | unknown pixels | fastsoft ms | PyMatting ms | ratio | difference | SAD | PyMatting's SAD |",
            "| --- | --- | --- | --- | --- | --- | --- | --- |",
        ]
        print("\n".join(head), flush=True)
        found, numbers = rows(options.data / "matting", kind, options.rounds)
        table = np.array(numbers)
        summary = (
            f"Median of the ratios {Band.of(list(table[:, 0])):.1f}; median times {np.median(table[:, 1]):.0f} and "
            f"{np.median(table[:, 2]):.0f} ms; largest difference {table[:, 3].max():.1e}; mean SAD "
            f"{table[:, 4].mean():.3f} and {table[:, 5].mean():.3f}."
        )
        print(summary, flush=True)
        lines += [*head, *found, "", summary, ""]
    if options.large:
        lines += [
            f"## Enlarged to {options.megapixels:g} megapixels",
            "",
            "In a process of its own, float32, wide trimap. In brackets the memory with the picture loaded, before.",
            "",
            "| image | size | unknown pixels | seconds | peak MB |",
            "| --- | --- | --- | --- | --- |",
        ]
    for name in options.large:
        run = run_worker("benchmarks.closed_form", arguments, name)
        lines.append(
            f"| {Path(name).stem} | {run['size'][0]}x{run['size'][1]} | {run['unknown']} | {run['seconds']:.1f} "
            f"| {run['peak'] / 1e6:.0f} ({run['before'] / 1e6:.0f}) |"
        )
        print(lines[-1], flush=True)
    write_results(options.output, lines)
    return 0


if __name__ == "__main__":
    sys.exit(main())
