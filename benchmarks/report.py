# SPDX-License-Identifier: MIT
"""Pages of results: what stands at their beginning, where they are written, and processes that measure for them."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import fastsoft
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
    "torch",
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
    run = {"cwd": RESULTS.parents[1], "capture_output": True, "text": True, "check": False}
    name = subprocess.run(["git", "describe", "--always"], **run).stdout.strip()
    # Results and documents change by being measured and written.
    paths = [".", ":(exclude)benchmarks/results", ":(exclude)docs", ":(exclude)*.md"]
    changed = subprocess.run(["git", "diff", "--name-only", "HEAD", "--", *paths], **run).stdout.strip()
    return f"{name}-dirty" if changed else name or "unknown"


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


def run_worker(
    module: str, arguments: list[str] | None, worker: str, environment: Mapping[str, str] | None = None
) -> Any:
    """Run a benchmark in a process of its own with its arguments and ``--worker``; return what it prints last, JSON."""
    given = sys.argv[1:] if arguments is None else arguments
    command = [sys.executable, "-m", module, *given, "--worker", worker]
    output = subprocess.run(
        command,
        cwd=RESULTS.parents[1],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **(environment or {})},
    ).stdout
    return json.loads(output.splitlines()[-1])
