# SPDX-License-Identifier: MIT
"""Layers of the CUDA backend, run on the host, beside those of the CPU; launches and waits of each stage.

    python -m benchmarks.device_parity PHOTO ... [--size 160x120] [--output FILE]

Needs the module that the C++ tests build (FASTSOFT_BUILD_TESTS=ON). Kernels run thread by thread: photographs are
reduced to few pixels. Launches and waits hardly depend on the size; on a device each takes some microseconds.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastsoft
from benchmarks.images import load_photo
from benchmarks.report import RESULTS, head_of_results, write_results
from fastsoft.semantic import pipeline
from fastsoft.semantic.reduction import resized
from tests import on_host

COUNTS = ("launches", "waits")


def counted(run: Callable[[], Any]) -> tuple[Any, dict[str, list[int]]]:
    """Run on the host in place of a device and return the result, and the counts of each stage."""
    counts: dict[str, list[int]] = {}
    stage = pipeline._Run.stage

    @contextlib.contextmanager
    def counting(self: Any, name: str) -> Any:
        before = [on_host.count(key) for key in COUNTS]
        with stage(self, name) as report:
            yield report
        counts[name] = [on_host.count(key) - start for key, start in zip(COUNTS, before, strict=True)]

    with pytest.MonkeyPatch.context() as monkeypatch:
        on_host.install(monkeypatch)
        monkeypatch.setattr(pipeline._Run, "stage", counting)
        return run(), counts


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("photos", nargs="+", metavar="PHOTO")
    parser.add_argument("--size", default="160x120", help="pixels of the reduced photograph (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=RESULTS / "device_parity.md")
    options = parser.parse_args(arguments)
    if on_host.path() is None:
        print("benchmarks.device_parity: the kernels were not built for the host", file=sys.stderr)
        return 1
    width, height = map(int, options.size.split("x"))
    differences = ["| photograph | alphas, mean | alphas, 99.9 % | alphas, largest |", "| --- | --- | --- | --- |"]
    stages: dict[str, list[int]] = {}
    for path in options.photos:
        photo = load_photo(path)
        shape = (height, width) if photo.shape[0] <= photo.shape[1] else (width, height)
        image = resized(photo, shape).astype(np.float32)
        expected = fastsoft.segment(image).alphas
        found, stages = counted(lambda image=image: fastsoft.segment(image, device="cuda"))  # type: ignore[misc]
        off = np.abs(found.alphas - expected)
        differences.append(
            f"| {Path(path).stem} | {off.mean():.1e} | {np.quantile(off, 0.999):.1e} | {off.max():.1e} |"
        )
    table = ["| stage | launches | waits |", "| --- | --- | --- |"]
    table += [f"| {name} | {launches} | {waits} |" for name, (launches, waits) in stages.items()]
    text = [
        f"Semantic segmentation with default settings, float32, {options.size} pixels: the CUDA backend run on the "
        "host against the CPU.",
        "",
        *differences,
        "",
        "Of the last photograph:",
        "",
        *table,
    ]
    head = head_of_results("The CUDA backend on the host", "benchmarks.device_parity", arguments)
    write_results(options.output, [*head, *text])
    return 0


if __name__ == "__main__":
    sys.exit(main())
