# SPDX-License-Identifier: MIT
"""Tables and pictures of what `benchmarks.peers` measured: benchmarks/results/peers.md and docs/peers.md.

Usage: python -m benchmarks.plots
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.cases import CASES, LARGEST
from benchmarks.report import RESULTS, write_results
from fastsoft._files import atomic_file

DOCS = RESULTS.parents[1] / "docs"
PICTURES = DOCS / "images" / "peers"
COLORS = ("#d1495b", "#2e7d8c", "#8f6bb3", "#b58900")
OURS = "#111111"


def stem(name: str) -> str:
    """Return an operation's name as part of a file's."""
    return name.replace(", ", "_").replace(" ", "_")


def split(rows: dict[str, Any], name: str) -> Iterator[tuple[str, str, int, dict[str, Any]]]:
    """Yield size, type, threads and what was measured of one operation."""
    for key, row in rows.items():
        operation, size, dtype, threads = key.split("|")
        if operation == name:
            yield size, dtype, int(threads), row


def our_seconds(row: dict[str, Any]) -> float:
    """Return the median of our time, over all pairs with peers."""
    times = [pair["ours"][0] for pair in row["peers"].values()] or [row["ours"][0]]
    return sorted(times)[len(times) // 2]


def table(rows: dict[str, Any], name: str) -> list[str]:
    """Return the rows of one operation."""
    lines, notes = [], {}
    for size, dtype, threads, row in split(rows, name):
        for peer, pair in row["peers"].items():
            ours, theirs = (f"{1e3 * pair[side][0]:.1f}" for side in ("ours", "peer"))
            median, low, high = pair["ratio"]
            lines.append(
                f"| {size} | {dtype} | {threads} | {peer} | {ours} | {theirs} "
                f"| {median:.1f} ({low:.1f}..{high:.1f}) | {pair['rounds']} |"
            )
        if not row["peers"]:
            lines.append(f"| {size} | {dtype} | {threads} | none | {1e3 * our_seconds(row):.1f} | | | |")
        notes.update(dict.fromkeys(row["missing"]))
    if name in LARGEST:
        notes[f"not above {LARGEST[name][0]}: {LARGEST[name][1]}"] = None
    return [*lines, *(["", *(f"- {note}" for note in notes)] if notes else [])]


def behind(rows: dict[str, Any]) -> list[str]:
    """Return the rows in which a peer was as fast."""
    found = []
    for key, row in rows.items():
        for peer, pair in row["peers"].items():
            if pair["ratio"][1] <= 1.0:
                found.append(f"- {key.replace('|', ', ')} threads: {peer}, ratio {pair['ratio'][0]:.2f}")
    return found


def plot(results: dict[str, Any], name: str) -> None:
    """Draw time over pixels, one panel per number of threads, with the peers and the floor."""
    import matplotlib

    matplotlib.use("svg")
    # The same bytes for the same numbers.
    matplotlib.rcParams.update({"svg.hashsalt": "fastsoft", "svg.fonttype": "none", "font.size": 9})
    from matplotlib import pyplot

    rows = list(split(results["rows"], name))
    counts = sorted({threads for _, _, threads, _ in rows})
    figure, panels = pyplot.subplots(1, len(counts), figsize=(4.2 * len(counts), 3.4), sharey=True, squeeze=False)
    peers = list(dict.fromkeys(peer for *_, row in rows for peer in row["peers"]))
    for panel, count in zip(panels[0], counts, strict=True):
        for dtype, style in (("float32", "-"), ("float64", "--")):
            chosen = sorted((row["n_pixels"], row) for _, d, threads, row in rows if d == dtype and threads == count)
            if not chosen:
                continue
            label = dtype if count == counts[0] else None
            lines: list[tuple[str, str, list[Any]]] = [("fastsoft", OURS, [(n, our_seconds(r)) for n, r in chosen])]
            for peer, color in zip(peers, COLORS, strict=False):
                points = [(n, r["peers"][peer]["peer"][0]) for n, r in chosen if peer in r["peers"]]
                lines.append((peer, color, points))
            for who, color, points in lines:
                if points:
                    x, y = zip(*points, strict=True)
                    text = f"{who}, {label}" if label else None
                    panel.loglog(x, y, style, marker="o", markersize=3, linewidth=1.2, color=color, label=text)
            floor = [(n, r["n_bytes"] / results["bandwidth"][str(count)]) for n, r in chosen]
            x, y = zip(*floor, strict=True)
            panel.loglog(x, y, style, color="#999999", linewidth=0.8, label=f"floor, {label}" if label else None)
        panel.set_title(f"{count} thread{'s' if count > 1 else ''}", fontsize=9)
        ticks = sorted({row["n_pixels"] for *_, row in rows})
        panel.set_xticks(ticks, [f"{tick / 1e6:.1f}" for tick in ticks])
        panel.minorticks_off()
        panel.set_xlabel("megapixels")
        panel.grid(visible=True, which="major", alpha=0.3)
    panels[0][0].set_ylabel("seconds")
    figure.legend(loc="outside center right", frameon=False, fontsize=8)
    figure.set_layout_engine("constrained")
    PICTURES.mkdir(parents=True, exist_ok=True)
    with atomic_file(PICTURES / f"{stem(name)}.svg") as file:
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    pyplot.close(figure)


def write_page(results: dict[str, Any], output: Path) -> None:
    """Write the table of all rows, and the page with pictures."""
    rows = results["rows"]
    names = [name for name in CASES if any(key.startswith(f"{name}|") for key in rows)]
    commits = ", ".join(dict.fromkeys(row["commit"] for row in rows.values()))
    bandwidth = ", ".join(f"{speed / 1e9:.1f} GB/s with {n}" for n, speed in sorted(results["bandwidth"].items()))
    head = [
        "# fastsoft against other libraries",
        "",
        f"`{results['command']}`, commit {commits}",
        "",
        f"{results['machine']}, {results['versions']}",
        "",
        "Milliseconds are medians of runs in turns; the ratio is peer / fastsoft within a pair of runs, its median and "
        "quartiles. More is faster. Threads are those of fastsoft, BLAS, numba, OpenCV and torch; some functions of "
        "peers use one whatever they are given.",
        "",
    ]
    slower = behind(rows)
    lines = [*head, "A peer is as fast or faster in:" if slower else "No peer is as fast in any row.", "", *slower]
    for name in names:
        first = (CASES[name].__doc__ or "").splitlines()[0]
        lines += ["", f"## {name}", "", first, ""]
        lines += ["| size | type | threads | peer | fastsoft ms | peer ms | ratio | pairs |", "|" + " --- |" * 8]
        lines += table(rows, name)
    write_results(output, lines)
    page = [
        "# Operations beside other libraries",
        "",
        "Time over the number of pixels, both logarithmic. The floor is what goes in read once and what comes out "
        f"written once, at this machine's speed of copying ({bandwidth} threads, read and written bytes). All numbers "
        "with their bands, and the rows in which fastsoft is not ahead: [benchmarks/results/peers.md]"
        "(../benchmarks/results/peers.md). Made by `python -m benchmarks.peers` (a quiet machine, an hour or more); "
        "`python -m benchmarks.plots` only draws again.",
    ]
    for name in names:
        plot(results, name)
        first = (CASES[name].__doc__ or "").splitlines()[0]
        page += ["", f"## {name}", "", first, "", f"![{name}](images/peers/{stem(name)}.svg)"]
    write_results(DOCS / "peers.md", page)


def main() -> int:
    write_page(json.loads((RESULTS / "peers.json").read_text(encoding="utf-8")), RESULTS / "peers.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
