# SPDX-License-Identifier: MIT
"""Time and peak memory of a whole segmentation, each run in a process of its own; prints a Markdown table.

Usage: python -m benchmarks.pipeline [--sizes 640x480 ...] [--image FILE] [--method spectral] [--features lowlevel]
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import fastsoft
from benchmarks.images import SIZES, load_photo, synthetic_photo
from benchmarks.peers import RESULTS, head_of_results, run_worker, write_results
from benchmarks.timing import Band


def work(options: argparse.Namespace) -> None:
    """Segment once and print what it took, as JSON."""
    from fastsoft._environment import peak_memory

    image = load_photo(options.image) if options.image else synthetic_photo(*SIZES[options.worker])
    image = image.astype(options.dtype)
    before = peak_memory()
    if options.method == "spectral":
        layers = fastsoft.spectral_matting(image)
    else:
        # Given features are three channels of the picture's size, as a feature network's output is after reduction.
        features: Any = options.features
        if options.features == "given":
            features = fastsoft.guided_filter(image, image, radius=10, epsilon=1e-2).clip(0.0, 1.0)
        layers = fastsoft.segment(image, features=features)
    print(json.dumps({"timings": dict(layers.timings), "before": before, "peak": peak_memory()}))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=["640x480"])
    parser.add_argument("--image", help="a photograph to use instead of generated pictures")
    parser.add_argument("--method", choices=("semantic", "spectral"), default="semantic")
    parser.add_argument("--features", choices=("given", "lowlevel", "embedded"), default="given")
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32", help="(default: the command's)")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--output", type=Path, default=RESULTS / "pipeline.md")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.worker:
        work(options)
        return 0
    lines = [
        *head_of_results("A whole segmentation", "benchmarks.pipeline", arguments),
        "Seconds: median and quartiles over runs. Peak memory is that of the process; in brackets what the interpreter "
        "with the picture takes before.",
        "",
        "| picture | seconds | peak MB | slowest stages |",
        "| --- | --- | --- | --- |",
    ]
    print("\n".join(lines), flush=True)
    for size in [Path(options.image).name] if options.image else options.sizes:
        runs = [run_worker("benchmarks.pipeline", arguments, size) for _ in range(options.runs)]
        total = Band.of([sum(run["timings"].values()) for run in runs])
        stages = {name: Band.of([run["timings"][name] for run in runs]).median for name in runs[0]["timings"]}
        slowest = sorted(stages.items(), key=lambda item: -item[1])[:3]
        peak, before = (max(run[key] for run in runs) / 1e6 for key in ("peak", "before"))
        lines.append(
            f"| {size} | {total:.1f} | {peak:.0f} ({before:.0f}) "
            f"| {', '.join(f'{name} {seconds:.1f} s' for name, seconds in slowest)} |"
        )
        print(lines[-1], flush=True)
    write_results(options.output, lines)
    return 0


if __name__ == "__main__":
    sys.exit(main())
