# SPDX-License-Identifier: MIT
"""Layers of homogeneous colour: fastsoft's network against the published ones in PyTorch; prints a Markdown table.

Usage: python -m benchmarks.color_layers [--sizes 1920x1080 ...] [--peer-sizes 1920x1080 ...] [--colors 7] [--rounds 5]

Ours is the whole of `fastsoft.decompose_colors` for a given palette, exact recomposition included. The peer is the two
published networks as their program runs them, the photograph in one piece, without the guided filter between them;
their weights are random, on which times do not depend. Both use all threads, in turns. Peak memory is that of a process
of its own, interpreter, photograph and result included; of the peer only where it is timed.
"""

from __future__ import annotations

import argparse
import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import fastsoft
from benchmarks.images import SIZES, synthetic_photo
from benchmarks.report import RESULTS, head_of_results, run_worker, write_results
from benchmarks.timing import Band, compare, measure
from fastsoft.color import color_palette


def ours(image: Any, palette: Any) -> Any:
    """Decompose as users do."""
    return fastsoft.decompose_colors(image, palette)


def published(image: Any, palette: Any) -> Any:
    """Return what both published networks make of the photograph in one piece."""
    import torch

    from fastsoft.color.network import AlphaPredictor, ResiduePredictor

    torch.manual_seed(0)
    networks = [kind(len(palette)).eval().requires_grad_(False) for kind in (AlphaPredictor, ResiduePredictor)]
    planes = torch.from_numpy(image.transpose(2, 0, 1).copy())[None]
    height, width = image.shape[:2]
    planes = torch.nn.functional.pad(planes, (0, -width % 8, 0, -height % 8), mode="replicate")
    given = torch.from_numpy(palette)[None]

    def run() -> Any:
        with torch.inference_mode():
            alphas = networks[0](planes, given)
            alphas = alphas / alphas.sum(dim=1, keepdim=True)
            return alphas, networks[1](planes, given, alphas)

    return run


def scene(size: str, n_colors: int) -> tuple[Any, Any]:
    """Return a photograph and a palette for it, float32."""
    image = synthetic_photo(*SIZES[size]).astype(np.float32)
    return image, color_palette(image, n_colors).astype(np.float32)


def work(options: argparse.Namespace) -> None:
    """Decompose once and print the peak memory, as JSON."""
    import torch

    from fastsoft._environment import peak_memory

    torch.set_num_threads(fastsoft.num_threads())
    system, size = options.worker.split(":")
    image, palette = scene(size, options.colors)
    result = ours(image, palette) if system == "ours" else published(image, palette)()
    assert result is not None
    print(json.dumps({"peak": peak_memory()}))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=["640x480", "1920x1080", "3840x2160"])
    parser.add_argument("--peer-sizes", nargs="*", choices=SIZES, default=["640x480", "1920x1080"])
    parser.add_argument("--colors", type=int, default=7)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=RESULTS / "color_layers.md")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.worker:
        work(options)
        return 0
    import torch

    torch.set_num_threads(fastsoft.num_threads())
    lines = [
        *head_of_results("Colour layers", "benchmarks.color_layers", arguments),
        f"{options.colors} colours. Seconds: median and quartiles over runs; ratio: within pairs of runs.",
        "",
        "| picture | fastsoft | published networks in PyTorch | ratio | peak MB | peak MB, published |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    print("\n".join(lines), flush=True)

    def peak(system: str, size: str) -> str:
        return f"{run_worker('benchmarks.color_layers', arguments, f'{system}:{size}')['peak'] / 1e6:.0f}"

    for size in options.sizes:
        image, palette = scene(size, options.colors)
        own = peak("ours", size)
        if size in options.peer_sizes:
            network = published(image, palette)
            found = compare(partial(ours, image, palette), network, rounds=options.rounds, budget=600)
            row = [f"{found.ours:.2f}", f"{found.peer:.2f}", f"{found.ratio:.2f}", own, peak("published", size)]
        else:
            band: Band = measure(partial(ours, image, palette), rounds=options.rounds)
            row = [f"{band:.2f}", "", "", own, ""]
        lines.append(f"| {size} | {' | '.join(row)} |")
        print(lines[-1], flush=True)
    write_results(options.output, lines)
    return 0


if __name__ == "__main__":
    sys.exit(main())
