# SPDX-License-Identifier: MIT
"""Every operation against other libraries, in turns; writes a table and, with `benchmarks.plots`, docs/peers.md.

Usage: python -m benchmarks.peers [--only slic ...] [--sizes 640x480 ...] [--dtypes float32 ...] [--threads 1 2]

Each operation is measured at each size in a process of its own. What `--only` and `--sizes` leave out stays in
benchmarks/results/peers.json as it was measured before.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import fastsoft
from benchmarks import plots
from benchmarks.cases import CASES, LARGEST, ONE_DTYPE, Case, use_threads
from benchmarks.images import SIZES, load_photo, synthetic_photo
from benchmarks.report import RESULTS, command_line, commit, processor, run_worker, versions
from benchmarks.roofline import copy_bandwidth
from benchmarks.timing import compare, measure
from fastsoft._files import atomic_file

DTYPES = ("float32", "float64")
# A picture on which everything is run once before, for compilers at run time.
TINY = (96, 128)
# A peer may have this share of the machine's memory; what wants more says so instead of ending the machine.
MEMORY_SHARE = 0.85


def work(options: argparse.Namespace) -> None:
    """Measure one operation at one size, in each type and with each number of threads; print what was found as JSON."""
    name, size = options.worker.split("|")
    total = int(Path("/proc/meminfo").read_text(encoding="utf-8").split()[1]) * 1024
    resource.setrlimit(resource.RLIMIT_DATA, (int(MEMORY_SHARE * total), resource.RLIM_INFINITY))
    picture = load_photo(options.image) if options.image else synthetic_photo(*SIZES[size])
    found = {}
    for dtype in [ONE_DTYPE[name]] if name in ONE_DTYPE else options.dtypes:
        tiny = CASES[name](synthetic_photo(*TINY).astype(dtype))
        case = CASES[name](picture.astype(dtype))
        for threads in options.threads:
            use_threads(threads)
            found[f"{dtype}|{threads}"] = {
                "n_pixels": picture.shape[0] * picture.shape[1],
                **measure_case(case, tiny, options.rounds, options.budget),
            }
    print(json.dumps(found))


def measure_case(case: Case, tiny: Case, rounds: int, budget: float) -> dict[str, Any]:
    """Measure one operation against each of its peers."""
    found: dict[str, Any] = {"n_bytes": case.n_bytes, "peers": {}}
    missing = list(case.missing)
    tiny.ours()
    for peer, run in case.peers.items():
        try:
            tiny.peers[peer]()
            pair = compare(case.ours, run, rounds=rounds, warmup=0, budget=budget)
        except MemoryError:
            missing.append(f"{peer}: does not fit into {100 * MEMORY_SHARE:.0f} % of the machine's memory")
            continue
        found["peers"][peer] = {
            "ours": list(pair.ours),
            "peer": list(pair.peer),
            "ratio": list(pair.ratio),
            "rounds": pair.rounds,
        }
    if not found["peers"]:
        found["ours"] = list(measure(case.ours, rounds=3, warmup=0))
    return {**found, "missing": missing}


def describe(arguments: list[str] | None, bandwidth: dict[str, float]) -> dict[str, Any]:
    """Return the machine, the versions and the command."""
    return {
        "command": command_line("benchmarks.peers", arguments),
        "machine": f"{processor()}, {platform.system()}, Python {platform.python_version()}",
        "versions": versions(),
        "bandwidth": bandwidth,
    }


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--dtypes", nargs="+", choices=DTYPES, default=list(DTYPES))
    parser.add_argument("--threads", nargs="+", type=int, default=sorted({1, fastsoft.num_threads()}))
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES), help="operations to measure")
    parser.add_argument("--image", help="a photograph to use instead of generated pictures; stands for every size")
    parser.add_argument("--rounds", type=int, default=5, help="pairs of runs per row at most")
    parser.add_argument("--budget", type=float, default=3.0, help="seconds after which no further pair is begun")
    parser.add_argument("--output", type=Path, default=RESULTS / "peers.json")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.worker:
        work(options)
        return 0

    results: dict[str, Any] = {"rows": {}}
    if options.output.exists():
        results = json.loads(options.output.read_text(encoding="utf-8"))
    bandwidth = {str(threads): copy_bandwidth(threads) for threads in options.threads}
    head = describe(arguments, {**results.get("bandwidth", {}), **bandwidth})
    for name in options.only:
        largest = LARGEST.get(name, (list(SIZES)[-1],))[0]
        for size in options.sizes:
            if list(SIZES).index(size) > list(SIZES).index(largest):
                continue
            try:
                found = run_worker("benchmarks.peers", arguments, f"{name}|{size}")
            except subprocess.CalledProcessError as error:
                print(f"{name}, {size}: ended with status {error.returncode}", file=sys.stderr)
                continue
            for key, row in found.items():
                results["rows"][f"{name}|{size}|{key}"] = {**row, "commit": commit()}
                ratios = ", ".join(f"{peer} {pair['ratio'][0]:.1f}" for peer, pair in row["peers"].items())
                print(f"{name}, {size}, {key.replace('|', ', ')} threads: {ratios or 'no peer'}", flush=True)
            results = {**head, "rows": results["rows"]}
            # Whenever there is something new: a long run that is ended early has lost nothing.
            with atomic_file(options.output) as file:
                file.write((json.dumps(results, indent=1) + "\n").encode())
    plots.write_page(results, options.output.with_suffix(".md"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
