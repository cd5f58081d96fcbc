# SPDX-License-Identifier: MIT
"""Two installed versions of fastsoft in turns; prints a Markdown table.

Usage: python -m benchmarks.compare PYTHON_A PYTHON_B [--size 640x480] [--only slic ...]

Each interpreter stays up with its own fastsoft and runs the operation when told to, so that both see the same state of
the machine. The ratio is time of B / time of A: above 1, A is faster.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from benchmarks.cases import CASES
from benchmarks.images import SIZES, synthetic_photo
from benchmarks.timing import Band, seconds

ROOT = Path(__file__).resolve().parents[1]


class Worker:
    """An interpreter that times an operation once per line of its input."""

    def __init__(self, python: str, name: str, size: str) -> None:
        command = [python, "-m", "benchmarks.compare", "--worker", name, "--size", size]
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.run()  # warm-up

    def run(self) -> float:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.process.args} ended with exit status {self.process.wait()}")
        return float(line)

    def close(self) -> None:
        self.process.communicate()


def work(name: str, size: str) -> None:
    """Be a worker."""
    run = CASES[name](synthetic_photo(*SIZES[size])).ours
    for _ in sys.stdin:
        print(seconds(run), flush=True)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("pythons", nargs="*", metavar="PYTHON", help="two interpreters, each with a fastsoft installed")
    parser.add_argument("--size", choices=SIZES, default="640x480")
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--worker", choices=CASES, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.worker:
        work(options.worker, options.size)
        return 0
    if len(options.pythons) != 2:
        parser.error("needs two interpreters")
    print("| operation | A ms | B ms | ratio B / A |\n| --- | --- | --- | --- |")
    for name in options.only:
        workers = [Worker(python, name, options.size) for python in options.pythons]
        pairs = []
        for index in range(options.rounds):
            order = workers if index % 2 == 0 else workers[::-1]
            times = {worker: worker.run() for worker in order}
            pairs.append([times[worker] for worker in workers])
        for worker in workers:
            worker.close()
        first, second = (Band.of([1e3 * pair[side] for pair in pairs]) for side in (0, 1))
        ratio = Band.of([pair[1] / pair[0] for pair in pairs])
        print(f"| {name} | {first:.1f} | {second:.1f} | {ratio:.2f} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
