# SPDX-License-Identifier: MIT
"""Time and peak memory of a whole segmentation, each run in a process of its own; prints a Markdown table.

Usage: python -m benchmarks.pipeline [--sizes 640x480 ...] [--image FILE] [--method spectral] [--features lowlevel]

A process gets its memory from the system page by page when it is first written. Virtual machines that hand free memory
back to their host may give it out again at less than 1 GB/s, which is then a tenth to a quarter of the time of a run.
Every size is therefore measured twice: in a fresh process, and in one that has written as much memory before and kept
it, as a program that stays up has.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

import fastsoft
from benchmarks.images import SIZES, load_photo, synthetic_photo
from benchmarks.report import RESULTS, head_of_results, run_worker, write_results
from benchmarks.timing import Band

# Of glibc: memory that is freed stays with the process.
KEEP_MEMORY = {"GLIBC_TUNABLES": "glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=1000000000000"}
IN_HAND = 1.2  # times the peak of a run


def take_memory(n_bytes: int) -> None:
    """Write to every page of so much memory and free it."""
    np.empty(n_bytes, dtype=np.uint8)[::4096] = 1


def work(options: argparse.Namespace) -> None:
    """Segment once and print what it took, as JSON."""
    from fastsoft._environment import peak_memory

    take_memory(options.in_hand)
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
    parser.add_argument("--threads", nargs="+", type=int, default=[fastsoft.num_threads()])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--output", type=Path, default=RESULTS / "pipeline.md")
    parser.add_argument("--in-hand", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.worker:
        work(options)
        return 0
    given = sys.argv[1:] if arguments is None else arguments
    lines = [
        *head_of_results("A whole segmentation", "benchmarks.pipeline", arguments),
        "Seconds: median and quartiles over runs; of a fresh process, and of one that has its memory in hand. Peak "
        "memory is that of the fresh process; in brackets the interpreter with the picture before. Stages: the "
        "slowest, memory in hand.",
        "",
        "| picture | threads | seconds | memory in hand | peak MB | stages |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    print("\n".join(lines), flush=True)
    for size in [Path(options.image).name] if options.image else options.sizes:
        for threads in options.threads:
            environment = {"FASTSOFT_NUM_THREADS": str(threads)}
            runs = [run_worker("benchmarks.pipeline", given, size, environment) for _ in range(options.runs)]
            peak, before = (max(run[key] for run in runs) for key in ("peak", "before"))
            keeping = [*given, "--in-hand", str(round(IN_HAND * peak))]
            kept = [
                run_worker("benchmarks.pipeline", keeping, size, {**environment, **KEEP_MEMORY})
                for _ in range(options.runs)
            ]
            fresh, in_hand = (Band.of([sum(run["timings"].values()) for run in found]) for found in (runs, kept))
            stages = {name: Band.of([run["timings"][name] for run in kept]).median for name in kept[0]["timings"]}
            slowest = sorted(stages.items(), key=lambda item: -item[1])[:4]
            lines.append(
                f"| {size} | {threads} | {fresh:.2f} | {in_hand:.2f} | {peak / 1e6:.0f} ({before / 1e6:.0f}) "
                f"| {', '.join(f'{name} {seconds:.1f} s' for name, seconds in slowest)} |"
            )
            print(lines[-1], flush=True)
    write_results(options.output, lines)
    return 0


if __name__ == "__main__":
    sys.exit(main())
