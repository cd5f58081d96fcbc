# SPDX-License-Identifier: MIT
"""Instructions of every native operation on a small picture, beside the committed ones.

Usage: python -m benchmarks.instructions [--update | --check] [--only slic ...]

Without an option it prints the counts. --update writes them to results/instructions.json. --check names every operation
that grew by more than 5 % and exits with 1 then. Needs valgrind, whose callgrind counts: neither other programs nor the
machine's speed matter.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from fastsoft._files import atomic_file

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "instructions.json"
# An operation is named when its count changed by more than this share.
TOLERANCE = 0.05
# The level that every wheel has; valgrind knows no AVX-512.
ISA_LEVEL = "v1"
# A function of the C library without effect, which nothing else calls and Python's os has under the same name. Whenever
# it is called, callgrind writes what it has counted.
MARKER = "ctermid"
# Python and NumPy are not counted, nor are the functions of the C library, which has several of each for processors of
# different age.
COUNTED = re.compile(r"/_cpu_[^/]*$")
UPDATE = "python -m benchmarks.instructions --update"


@dataclass(frozen=True)
class Comparison:
    """Names of operations: which grew, which shrank, which are not committed, which no longer exist."""

    grown: list[str]
    shrunk: list[str]
    missing: list[str]
    gone: list[str]


def compare_counts(committed: Mapping[str, int], counted: Mapping[str, int]) -> Comparison:
    """Sort out which counts changed by more than the tolerance, which are not committed, and which no longer exist."""
    common = [name for name in counted if name in committed]
    return Comparison(
        grown=[name for name in common if counted[name] > committed[name] * (1 + TOLERANCE)],
        shrunk=[name for name in common if counted[name] < committed[name] * (1 - TOLERANCE)],
        missing=[name for name in counted if name not in committed],
        gone=[name for name in committed if name not in counted],
    )


def instructions_by_object(lines: Iterable[str]) -> Counter[str]:
    """Add up the instructions of each library and program in one file of callgrind."""
    names: dict[str, str] = {}
    found: Counter[str] = Counter()
    current = ""
    inclusive = False
    for line in lines:
        if line.startswith(("ob=", "cob=")):
            key, _, name = line.partition("=")[2].strip().partition(" ")
            if name:
                names[key] = name
            if line.startswith("ob="):
                current = names.get(key, key)
        elif line.startswith("calls="):
            inclusive = True
        elif line[:1] in "0123456789+-*":
            # The line after a call holds what the called function took, which is counted where that is listed.
            if not inclusive:
                found[current] += int(line.split()[1])
            inclusive = False
    return found


def build_facts() -> dict[str, str]:
    """Return what counts depend on besides the sources."""
    module = importlib.import_module(f"fastsoft._cpu_{ISA_LEVEL}")
    return {
        "compiler": module.compiler,
        "build_type": module.build_type,
        "isa_level": module.isa_level,
        "machine": platform.machine(),
    }


def worker(folder: Path, only: list[str]) -> None:
    """Call every operation once to load what it loads, and once more between two marks."""
    import fastsoft
    from benchmarks.small_calls import small_calls

    fastsoft.set_num_threads(1)
    mark = getattr(os, MARKER)
    calls = {name: run for name, run in small_calls().items() if is_wanted(name, only)}
    gc.disable()
    for run in calls.values():
        run()
        mark()
        run()
        mark()
    (folder / "names.json").write_text(json.dumps(list(calls)), encoding="utf-8")


def is_wanted(name: str, only: list[str]) -> bool:
    """Return whether an operation is among the chosen ones; all are if none is chosen."""
    return not only or any(name.startswith(start) for start in only)


def count_instructions(only: list[str]) -> dict[str, int]:
    """Run the operations under callgrind and return the instructions of each."""
    print("counting under valgrind, which takes about a minute ...", file=sys.stderr, flush=True)
    environment = os.environ | {
        "FASTSOFT_ISA": ISA_LEVEL,
        "PYTHONHASHSEED": "0",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command = ["valgrind", "--quiet", "--tool=callgrind", f"--dump-before={MARKER}"]
        command += [f"--callgrind-out-file={folder / 'counts'}", sys.executable, "-m", "benchmarks.instructions"]
        command += ["--worker", str(folder), *(["--only", *only] if only else [])]
        subprocess.run(command, cwd=ROOT, env=environment, check=True)
        operations = json.loads((folder / "names.json").read_text(encoding="utf-8"))
        # One file per mark, numbered from 1, and one of the end.
        n_files = len(list(folder.glob("counts*")))
        if n_files != 2 * len(operations) + 1:
            raise RuntimeError(f"callgrind must write {2 * len(operations) + 1} files of counts, got {n_files}")
        return {
            operation: counted_instructions(folder / f"counts.{2 * index + 2}")
            for index, operation in enumerate(operations)
        }


def counted_instructions(path: Path) -> int:
    """Return the instructions in one file of callgrind that count."""
    with open(path, encoding="utf-8", errors="replace") as file:
        found = instructions_by_object(file)
    return sum(count for library, count in found.items() if COUNTED.search(library))


def describe(facts: Mapping[str, str]) -> str:
    return ", ".join(facts.values())


def table(counted: Mapping[str, int], committed: Mapping[str, int]) -> list[str]:
    """Return the counts beside the committed ones, in thousands."""
    width = max(map(len, counted), default=0)
    lines = [f"{'operation':{width}} {'thousands':>11} {'committed':>11}  change"]
    for name, count in counted.items():
        old = committed.get(name)
        beside = f"{'-':>11}" if old is None else f"{old / 1e3:11.1f} {100 * (count / old - 1):+6.1f} %"
        lines.append(f"{name:{width}} {count / 1e3:11.1f} {beside}")
    return lines


def report(result: Comparison, counted: Mapping[str, int], committed: Mapping[str, int]) -> tuple[list[str], int]:
    """Return what there is to say about a comparison, and the exit status."""

    def changes(names: list[str]) -> list[str]:
        return [
            f"  {name}: {committed[name]} -> {counted[name]} ({100 * (counted[name] / committed[name] - 1):+.1f} %)"
            for name in names
        ]

    limit = f"more than {100 * TOLERANCE:.0f} %"
    lines = []
    if result.grown:
        lines += [f"grew by {limit}:", *changes(result.grown)]
        lines.append(f"If there is a reason, write it into the commit message and run: {UPDATE}")
    if result.missing:
        lines += ["have no committed count:", *(f"  {name}" for name in result.missing), f"Run: {UPDATE}"]
    if result.shrunk:
        lines += [f"shrank by {limit}; to keep that, run: {UPDATE}", *changes(result.shrunk)]
    if result.gone:
        lines += [f"no longer exist; run: {UPDATE}", *(f"  {name}" for name in result.gone)]
    failed = bool(result.grown or result.missing)
    lines.append(f"{len(counted)} operations compared: {'see above' if lines else f'none changed by {limit}'}")
    return lines, int(failed)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--update", action="store_true", help=f"write the counts to results/{RESULTS.name}")
    what.add_argument("--check", action="store_true", help="exit with 1 if an operation grew by more than 5 %%")
    what.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="operations whose names begin so")
    options = parser.parse_args(arguments)
    if options.worker is not None:
        worker(options.worker, options.only)
        return 0
    if options.update and options.only:
        parser.error("--update writes the counts of all operations: leave out --only")
    if shutil.which("valgrind") is None:
        print("instructions not compared: valgrind is not installed" if options.check else "valgrind is not installed")
        return 0 if options.check else 1
    try:
        facts = build_facts()
    except ModuleNotFoundError:
        print(f"instructions are counted at level {ISA_LEVEL}, for which fastsoft is not built here: set FASTSOFT_ISA")
        return 1
    stored = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {"build": facts, "counts": {}}
    committed: dict[str, int] = stored["counts"]
    comparable = stored["build"] == facts
    if options.check and not comparable:
        print(f"instructions not compared: counts are of {describe(stored['build'])}, this build is {describe(facts)}")
        return 0
    counted = count_instructions(options.only)
    print("\n".join(table(counted, committed if comparable else {})))
    if options.update:
        with atomic_file(RESULTS) as file:
            file.write((json.dumps({"build": facts, "counts": counted}, indent=1) + "\n").encode())
    if not options.check:
        return 0
    committed = {name: count for name, count in committed.items() if is_wanted(name, options.only)}
    lines, status = report(compare_counts(committed, counted), counted, committed)
    print("\n".join(lines))
    return status


if __name__ == "__main__":
    sys.exit(main())
