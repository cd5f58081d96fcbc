# SPDX-License-Identifier: MIT
"""How far the layers move when a photograph gets one grey level of noise, and under another seed.

Usage: python -m benchmarks.stability FOLDER [--features lowlevel] [--limit N] [--output FILE]

Every value of the photograph goes up or down one grey level of 255 at random. Layers are ordered by mass, and nearly
equal masses swap, so the two results' layers are matched first. What is reported is the mean over pixels and layers of
the absolute difference of the alphas.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

import fastsoft
from benchmarks.report import RESULTS, head_of_results, write_results

PATTERNS = ("*.png", "*.jpg")


def with_noise(image: Any, seed: int = 0) -> Any:
    """Return the picture with every value one grey level up or down, within [0, 1]."""
    step = np.random.default_rng(seed).choice(np.array([-1, 1], dtype=image.dtype), size=image.shape)
    return np.clip(image + step / image.dtype.type(255), 0, 1)


def difference(alphas: Any, others: Any) -> float:
    """Return the mean absolute difference of two sets of layers under the best matching of them."""
    n = max(alphas.shape[2], others.shape[2])
    first, second = (np.zeros((n, a.shape[0] * a.shape[1]), dtype=np.float32) for a in (alphas, others))
    first[: alphas.shape[2]] = alphas.reshape(-1, alphas.shape[2]).T
    second[: others.shape[2]] = others.reshape(-1, others.shape[2]).T
    costs = np.array([[np.abs(a - b).mean(dtype=np.float64) for b in second] for a in first])
    rows, cols = linear_sum_assignment(costs)
    return float(costs[rows, cols].mean())


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="photographs")
    parser.add_argument("--features", default="embedded", help="as the command takes them (default: %(default)s)")
    parser.add_argument("--limit", type=int, help="only the first so many")
    parser.add_argument("--output", type=Path, default=RESULTS / "stability.md")
    options = parser.parse_args(arguments)
    photos = sorted(path for pattern in PATTERNS for path in options.folder.glob(pattern))[: options.limit]
    if not photos:
        parser.error(f"folder must hold {' or '.join(PATTERNS)} files, got {options.folder}")

    lines = [
        *head_of_results("Stability of the default", "benchmarks.stability", arguments),
        "Mean change of the final alphas, layers matched: under one grey level of noise, and under another seed.",
        "",
        "| photograph | noise | seed |",
        "| --- | --- | --- |",
    ]
    print("\n".join(lines), flush=True)
    found = []
    for path in photos:
        image = fastsoft.read_image(path).astype(np.float32)
        alphas = fastsoft.segment(image, features=options.features).alphas
        noise = difference(alphas, fastsoft.segment(with_noise(image), features=options.features).alphas)
        seed = difference(alphas, fastsoft.segment(image, features=options.features, seed=1).alphas)
        found.append((noise, seed))
        lines.append(f"| {path.name} | {noise:.4f} | {seed:.4f} |")
        print(lines[-1], flush=True)
    noise, seed = np.mean(found, axis=0)
    lines.append(f"| mean | {noise:.4f} | {seed:.4f} |")
    print(lines[-1], flush=True)
    write_results(options.output, lines)
    return 0


if __name__ == "__main__":
    sys.exit(main())
