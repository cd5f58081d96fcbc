# SPDX-License-Identifier: MIT
"""Operations against other libraries, in turns in one process; prints a Markdown table.

Usage: python -m benchmarks.peers [--sizes 640x480 ...] [--only slic ...] [--image FILE] [--output FILE]
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import platform
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import fastsoft
from benchmarks.cases import CASES, use_all_threads
from benchmarks.images import SIZES, load_photo, synthetic_photo
from benchmarks.timing import compare
from fastsoft._files import atomic_file

RESULTS = Path(__file__).resolve().parent / "results"
PEER_PACKAGES = (
    "numpy",
    "scipy",
    "pymatting",
    "numba",
    "scikit-image",
    "opencv-contrib-python-headless",
    "scikit-sparse",
)


def processor() -> str:
    """Return the name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def versions() -> str:
    """Return the versions of everything that takes part."""
    found = []
    for package in PEER_PACKAGES:
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            found.append(f"{package} not installed")
    return ", ".join(found)


def commit() -> str:
    """Return the commit that is checked out, marked if files differ from it."""
    command = ["git", "describe", "--always", "--dirty"]
    result = subprocess.run(command, cwd=RESULTS.parent, capture_output=True, text=True, check=False)
    return result.stdout.strip() or "unknown"


def command_line(module: str, arguments: list[str] | None) -> str:
    """Return the command that runs, for others to repeat."""
    given = sys.argv[1:] if arguments is None else arguments
    # Where files lie on this machine is of no interest to others.
    return shlex.join(["python", "-m", module, *(Path(a).name if "/" in a else a for a in given)])


def head_of_results(title: str, module: str, arguments: list[str] | None) -> list[str]:
    """Return the beginning of a page of results: the command, the commit, the machine and the versions."""
    command = command_line(module, arguments)
    machine = f"{processor()}, {fastsoft.num_threads()} threads, {platform.system()}"
    python = f"Python {platform.python_version()}"
    return [f"# {title}", "", f"`{command}`, commit {commit()}", "", f"{machine}, {python}, {versions()}", ""]


def write_results(path: Path, lines: list[str]) -> None:
    """Write a page of results."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as file:
        file.write(("\n".join(lines) + "\n").encode())


def run_worker(module: str, arguments: list[str] | None, worker: str) -> Any:
    """Run a benchmark in a process of its own with its arguments and ``--worker``; return what it prints last, JSON."""
    given = sys.argv[1:] if arguments is None else arguments
    command = [sys.executable, "-m", module, *given, "--worker", worker]
    output = subprocess.run(command, cwd=RESULTS.parents[1], check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(output.splitlines()[-1])


def rows(name: str, size: str, image: Any, rounds: int) -> list[str]:
    """Measure one operation on one picture and return the lines of the table."""
    case = CASES[name](image)
    lines = []
    for peer, run in case.peers.items():
        result = compare(case.ours, run, rounds=1 if case.slow else rounds, warmup=0 if case.slow else 1)
        lines.append(
            f"| {name} | {size} | {peer} | {1e3 * result.ours.median:.1f} | {1e3 * result.peer.median:.1f} "
            f"| {result.ratio:.1f} | {result.rounds} |"
        )
        print(lines[-1], flush=True)
    for reason in case.missing:
        lines.append(f"| {name} | {size} | *{reason}* | | | | |")
        print(lines[-1], flush=True)
    return lines


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=["640x480", "1920x1080"])
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES), help="operations to measure")
    parser.add_argument("--image", help="a photograph to use instead of generated pictures")
    parser.add_argument("--rounds", type=int, default=9, help="pairs of runs per row (1 for runs of many seconds)")
    parser.add_argument("--output", type=Path, default=RESULTS / "peers.md")
    options = parser.parse_args(arguments)
    use_all_threads()

    head = [
        *head_of_results("fastsoft against other libraries", "benchmarks.peers", arguments),
        "Milliseconds are medians of runs in turns; the ratio is peer / fastsoft within a pair of runs, its median and "
        "quartiles. More is faster.",
        "",
        "| operation | size | peer | fastsoft ms | peer ms | ratio | pairs |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    print("\n".join(head), flush=True)
    if options.image:
        image = load_photo(options.image)
        pictures = {f"{image.shape[1]}x{image.shape[0]}": image}
    else:
        pictures = {size: synthetic_photo(*SIZES[size]) for size in options.sizes}
    lines = [
        line
        for name in options.only
        for size, image in pictures.items()
        for line in rows(name, size, image, options.rounds)
    ]
    write_results(options.output, [*head, *lines])
    return 0


if __name__ == "__main__":
    sys.exit(main())
