# SPDX-License-Identifier: MIT
"""Start-up: importing, `fastsoft --help`, first calls beside second ones, size; each in fresh processes.

Usage: python -m benchmarks.startup [--rounds N] [--wheel FILE] [--output FILE]
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import fastsoft
from benchmarks.report import RESULTS, head_of_results, write_results
from benchmarks.timing import Band

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = Path(fastsoft.__file__).parent

# What is started, and the seconds that it may take beyond an empty interpreter.
CODES = {
    "`pass`": ("pass", None),
    "`import fastsoft`": ("import fastsoft", 0.15),
    "`fastsoft --help`": (None, 0.25),
    "`import numpy`": ("import numpy", None),
    "`import fastsoft; fastsoft.matting_laplacian`": ("import fastsoft; fastsoft.matting_laplacian", None),
}

# Both libraries' calls for one job; the picture has 160x120 pixels.
CALLS = {
    "matting_laplacian": ("fastsoft.matting_laplacian(image)", "pymatting.cf_laplacian(image)"),
    "estimate_foreground": (
        "fastsoft.estimate_foreground(image, alpha)",
        "pymatting.estimate_foreground_ml(image, alpha)",
    ),
    "closed_form_matting": (
        "fastsoft.closed_form_matting(image, trimap)",
        "pymatting.estimate_alpha_cf(image, trimap / 255)",
    ),
    "slic": ("fastsoft.slic(image, 200)", None),
    "guided_filter": ("fastsoft.guided_filter(image, image, radius=5, epsilon=1e-2)", None),
    "smallest_eigenvectors": (
        "fastsoft.smallest_eigenvectors(fastsoft.matting_laplacian(image, storage='stencil'), 20)",
        None,
    ),
}

# NumPy is there already, as whoever has an array has it. What the peer loads for its first call belongs to that.
PROGRAM = """
import json, time
import numpy as np
row, col = np.mgrid[:120, :160] / 120
alpha = np.clip((0.35 - np.hypot(row - 0.5, col - 0.6)) / 0.1 + 0.5, 0, 1)
image = np.stack([0.2 + 0.6 * alpha, 0.3 * row + 0.2 * alpha, 0.1 + 0.3 * col], axis=2)
image += np.random.default_rng(0).normal(0, 0.01, image.shape)
image = np.clip(image, 0, 1)
trimap = np.where(alpha > 0.95, 255, np.where(alpha < 0.05, 0, 128)).astype(np.uint8)
times = [time.perf_counter()]
import {library}
times.append(time.perf_counter())
for _ in range(2):
    {call}
    times.append(time.perf_counter())
print(json.dumps(np.diff(times).tolist()))
"""


def run_seconds(command: list[str]) -> float:
    """Time a process from its start to its end."""
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def command_of(code: str | None) -> list[str]:
    """Return what starts a line of Python, or the command's help."""
    if code is not None:
        return [sys.executable, "-c", code]
    script = Path(sys.executable).with_name("fastsoft")
    return [str(script), "--help"] if script.is_file() else [sys.executable, "-m", "fastsoft.cli", "--help"]


def start_rows(rounds: int) -> list[str]:
    """Measure what CODES names in turns and return the lines of the table."""
    times: dict[str, list[float]] = {name: [] for name in CODES}
    for index in range(rounds + 1):
        for name, (code, _) in CODES.items():
            taken = run_seconds(command_of(code))
            # The first round fills the system's file cache and writes bytecode.
            if index > 0:
                times[name].append(taken)
    empty = times["`pass`"]
    lines = ["| started | total ms | beyond `pass`, ms | target |", "| --- | --- | --- | --- |"]
    for name, (_, target) in CODES.items():
        beyond = Band.of([1e3 * (taken - base) for taken, base in zip(times[name], empty, strict=True)])
        shown = "" if times[name] is empty else f"{beyond:.0f}"
        aim = "" if target is None else f"{1e3 * target:.0f} ms"
        lines.append(f"| {name} | {Band.of([1e3 * taken for taken in times[name]]):.0f} | {shown} | {aim} |")
    return lines


def call_times(library: str, call: str, rounds: int, cache: str) -> list[Band]:
    """Return milliseconds of import, first and second call, each round in a new process."""
    rows = []
    for _ in range(rounds):
        command = [sys.executable, "-c", PROGRAM.format(library=library, call=call)]
        environment = os.environ | {"NUMBA_CACHE_DIR": cache}
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout
        rows.append(json.loads(output.splitlines()[-1]))
    return [Band.of([1e3 * row[part] for row in rows]) for part in range(3)]


def call_rows(rounds: int) -> list[str]:
    """Measure first and second calls of both libraries and return the lines of the table."""
    lines = ["| operation | library | import ms | first call ms | second call ms |", "|" + " --- |" * 5]

    def add(operation: str, library: str, bands: Iterable[Band]) -> None:
        lines.append(f"| {operation} | {library} | " + " | ".join(f"{band:.1f}" for band in bands) + " |")
        print(lines[-1], flush=True)

    with tempfile.TemporaryDirectory() as folder:
        for operation, (ours, theirs) in CALLS.items():
            cache = str(Path(folder) / operation)
            call_times("fastsoft", ours, 1, cache)
            add(operation, "fastsoft", call_times("fastsoft", ours, rounds, cache))
            if theirs is None:
                continue
            if importlib.util.find_spec("pymatting") is None:
                lines.append(f"| {operation} | *PyMatting is not installed* | | | |")
                continue
            add(operation, "PyMatting, cache empty", call_times("pymatting", theirs, 1, cache))
            add(operation, "PyMatting, cache filled", call_times("pymatting", theirs, rounds, cache))
    return lines


def part_of(name: str) -> str | None:
    """Return which part of the package a file is, by its path in a wheel."""
    path = Path(name)
    if "__pycache__" in path.parts or path.suffix == ".pyc":
        return None
    if path.suffix == ".so":
        return path.name.partition(".")[0]
    if path.suffix == ".safetensors":
        return f"weights, {path.stem}"
    return "Python sources and the rest"


def size_rows(wheel: Path | None) -> list[str]:
    """Return the size of a wheel, compressed, or of the installed package, by part."""
    sizes: Counter[str] = Counter()
    if wheel is not None:
        with zipfile.ZipFile(wheel) as archive:
            files = [(entry.filename, entry.compress_size) for entry in archive.infolist()]
        title = f"{wheel.name}, {wheel.stat().st_size / 1e6:.2f} MB"
    else:
        files = [(str(path.relative_to(PACKAGE)), path.stat().st_size) for path in PACKAGE.rglob("*") if path.is_file()]
        title = "installed package"
    for name, size in files:
        part = part_of(name)
        if part is not None:
            sizes[part] += size
    lines = [f"| part of the {'wheel, compressed' if wheel else title} | MB |", "| --- | --- |"]
    lines += [f"| {part} | {size / 1e6:.2f} |" for part, size in sorted(sizes.items())]
    total = wheel.stat().st_size if wheel is not None else sizes.total()
    return [*lines, f"| {f'all: `{wheel.name}`' if wheel is not None else 'all'} | {total / 1e6:.2f} |"]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15, help="(default: %(default)s)")
    parser.add_argument("--wheel", type=Path, help="whose size is shown (default: that of the installed package)")
    parser.add_argument("--output", type=Path, default=RESULTS / "startup.md")
    options = parser.parse_args(arguments)
    if options.rounds < 1:
        parser.error(f"--rounds must be at least 1, got {options.rounds}")
    if options.wheel is not None and not zipfile.is_zipfile(options.wheel):
        parser.error(f"--wheel must be a wheel, got {options.wheel}")
    starts = start_rows(options.rounds)
    print("\n".join(starts), flush=True)
    lines = [
        *head_of_results("Start-up", "benchmarks.startup", arguments),
        f"Median and quartiles of {options.rounds} processes per line, in turns; a first one of each is not counted.",
        "",
        *starts,
        "",
        "First calls on a picture of 160x120 pixels in processes of their own, in which NumPy is loaded already. "
        "PyMatting compiles with numba when it is imported and keeps the result in files; with those removed it is "
        "started once. It has no counterpart of the last three operations.",
        "",
        *call_rows(options.rounds),
        "",
        *size_rows(options.wheel),
    ]
    write_results(options.output, lines)
    print("\n".join(lines[-12:]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
