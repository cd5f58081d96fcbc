# SPDX-License-Identifier: MIT
"""Quality of matting on photographs with true alphas: the network, closed form and PyMatting; writes a Markdown page.

Usage: python -m benchmarks.quality_matting DATA [--systems NAME ...] [--weights FILE] [--trimaps narrow wide]
       [--limit N] [--variant adobe|lsa] [--threads N] [--output FILE.md] [--sheet FILE.jpg]

DATA holds matting/ with image/, alpha/, trimap/ (narrow) and trimap_large/ (wide). Four errors, see
`fastsoft.matting_errors`: SAD / 1000, MSE, gradient and connectivity, means over the images.

The values of every image go to a JSON file beside the Markdown page, after each image. Systems that are not measured
keep the values they have there, each with the commit, the weights and the command that made them.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import astuple
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import fastsoft
from benchmarks.quality_semantic import fingerprint, spread_text
from benchmarks.report import RESULTS, command_line, commit, write_results
from fastsoft._files import atomic_file

TRIMAPS = {"narrow": "trimap", "wide": "trimap_large"}
CLOSED_FORM = "closed form"
SYSTEMS = (CLOSED_FORM, "pymatting closed form", "network", "network, BR", "network, TTA", "network, BR, TTA")
COLUMNS = {"SAD / 1000": 2, "MSE": 5, "gradient": 2, "connectivity": 2}
PANEL = 300

System = Callable[[Any, Any], Any]


def closed_form(image: Any, trimap: Any) -> Any:
    """Return the alpha of fastsoft's closed-form matting."""
    return fastsoft.closed_form_matting(image, trimap)


def pymatting_closed_form(image: Any, trimap: Any) -> Any:
    """Return the alpha of PyMatting's closed-form matting."""
    from pymatting import estimate_alpha_cf

    with warnings.catch_warnings():
        # It warns where its preconditioner breaks down, and goes on with another.
        warnings.simplefilter("ignore")
        return np.clip(estimate_alpha_cf(image.astype(np.float64), trimap / 255.0), 0, 1)


@cache
def network_at(path: Path) -> Any:
    """Load a network once."""
    from fastsoft.matting.models import load_network

    return load_network(path)


def network(path: Path, *, refine: bool, augment: bool) -> System:
    """Return what computes alphas by a network, with what it wants to be given besides."""

    def run(image: Any, trimap: Any) -> Any:
        from fastsoft.matting.models import network_matting
        from fastsoft.matting.planes import extra_planes

        found = network_at(path)
        extra = extra_planes(found.extra_channels, image, trimap)
        return network_matting(image, trimap, weights=found, extra=extra, refine=refine, augment=augment)

    return run


def make_system(name: str, weights: Path | None) -> tuple[System, str]:
    """Return a system and what tells it apart from others of its name."""
    if name == CLOSED_FORM:
        return closed_form, name
    if name == "pymatting closed form":
        import importlib.metadata

        return pymatting_closed_form, f"pymatting {importlib.metadata.version('pymatting')}"
    assert weights is not None
    return network(weights, refine="BR" in name, augment="TTA" in name), fingerprint(weights)


def load_case(path: Path, trimap: str) -> tuple[Any, Any, Any]:
    """Return a photograph, float32, its trimap, uint8, and its true alpha, float64."""
    folder = path.parents[1]
    planes = [fastsoft.read_image(folder / part / f"{path.stem}.png")[:, :, 0] for part in (TRIMAPS[trimap], "alpha")]
    return (
        fastsoft.read_image(path).astype(np.float32),
        fastsoft.check_trimap(planes[0]),
        planes[1].astype(np.float64),
    )


def measure(system: System, path: Path, trimap: str, variant: str) -> tuple[list[float], Any]:
    """Return the four errors and the seconds taken, and the alpha."""
    image, known, truth = load_case(path, trimap)
    start = time.perf_counter()
    alpha = np.asarray(system(image, known), dtype=np.float64)
    seconds = time.perf_counter() - start
    errors = astuple(fastsoft.matting_errors(alpha, truth, known, variant=variant))
    return [*errors, seconds], alpha


def read_records(path: Path) -> dict[str, Any]:
    """Return what was measured before: ``{trimap: {system: {"identity", "commit", "command", "values"}}}``."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise SystemExit(f"{path} must be a file of this benchmark, got no JSON: {error}") from None
    if not isinstance(found, dict) or not set(found) <= set(TRIMAPS):
        raise SystemExit(f"{path} must be a file of this benchmark, got something else")
    return found


def write_records(path: Path, records: Mapping[str, Any]) -> None:
    """Write all values, one line for an image."""
    text = json.dumps(records, indent=1)
    text = re.sub(r"\[\s+([-+.,\deE\s]+?)\s+\]", lambda m: f"[{' '.join(m[1].split())}]", text)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as file:
        file.write((text + "\n").encode())


def table(trimap: str, systems: Mapping[str, Any]) -> list[str]:
    """Return the lines of one kind of trimaps: systems on the images that all of them have."""
    names = [name for name in SYSTEMS if systems.get(name, {}).get("values")]
    if not names:
        return []
    common = sorted(set.intersection(*(set(systems[name]["values"]) for name in names)))
    lines = [f"## Trimaps: {trimap}, {len(common)} images", ""]
    if not common:
        return [*lines, "None that all systems have.", ""]
    values = {name: np.array([systems[name]["values"][image] for image in common]) for name in names}
    compare = CLOSED_FORM in values
    head = ["system", *COLUMNS, *(["SAD below closed form", "%"] if compare else []), "seconds"]
    lines += ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    for name in names:
        means = values[name].mean(axis=0)
        cells = [name, *(f"{v:.{n}f}" for v, n in zip(means, COLUMNS.values(), strict=False))]
        if compare and name == CLOSED_FORM:
            cells += ["", ""]
        elif compare:
            below = values[CLOSED_FORM][:, 0] - values[name][:, 0]
            cells += [spread_text(below, 2), f"{100 * below.mean() / values[CLOSED_FORM][:, 0].mean():.1f}"]
        lines.append("| " + " | ".join([*cells, f"{means[-1]:.2f}"]) + " |")
    lines += ["", "| SAD / 1000 of | " + " | ".join(names) + " |", "|" + " --- |" * (len(names) + 1)]
    for k, image in enumerate(common):
        lines.append(f"| {image} | " + " | ".join(f"{values[name][k, 0]:.2f}" for name in names) + " |")
    lines.append("")
    for name in names:
        run = systems[name]
        lines.append(f"- {name} ({run['identity']}): `{run['command']}`, commit {run['commit']}")
    return [*lines, ""]


def page(records: Mapping[str, Any], variant: str) -> list[str]:
    """Return the whole page of results."""
    lines = [
        "# Quality of matting",
        "",
        f"Errors against true alphas, definitions `{variant}` of `fastsoft.matting_errors`, means over images. "
        "Differences are means on the same image with the 95 % interval of the mean. Seconds include closed-form "
        "matting where the network is given its alpha.",
        "",
    ]
    for trimap in TRIMAPS:
        lines += table(trimap, records.get(trimap, {}))
    return lines[:-1]


def write_sheet(path: Path, rows: list[tuple[str, list[Any]]]) -> None:
    """Draw photographs, trimaps, true alphas and the systems' alphas."""
    from tools.contact_sheet import caption, eight_bit, fit, row_of, stack_of, write_jpeg

    drawn = []
    for text, panels in rows:
        colored = [np.repeat(p[:, :, None], 3, axis=2) if p.ndim == 2 else p for p in panels]
        row = row_of([fit(eight_bit(panel), PANEL, PANEL) for panel in colored])
        drawn.append(stack_of([caption(text, row.shape[1]), row]))
    write_jpeg(path, stack_of(drawn))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, help="folder with matting/")
    parser.add_argument(
        "--systems", nargs="*", choices=SYSTEMS, help="to be measured; none: only write the page (default: all)"
    )
    parser.add_argument("--weights", type=Path, help="of the network (default: those that come with fastsoft)")
    parser.add_argument("--trimaps", nargs="+", choices=TRIMAPS, default=list(TRIMAPS))
    parser.add_argument("--variant", choices=("adobe", "lsa"), default="adobe", help="definitions of the errors")
    parser.add_argument("--limit", type=int, help="at most so many images, evenly spread")
    parser.add_argument("--threads", type=int, help="(default: all processors)")
    parser.add_argument("--output", type=Path, default=RESULTS / "quality_matting.md", help="page; FILE.json beside it")
    parser.add_argument("--sheet", type=Path, metavar="FILE.jpg", help="also draw photographs and alphas")
    options = parser.parse_args(arguments)
    names = list(SYSTEMS) if options.systems is None else options.systems
    weights = options.weights
    if weights is None and any(name.startswith("network") for name in names):
        from fastsoft.weights import embedded_weights

        try:
            weights = embedded_weights("matting", "give --weights")[0]
        except ValueError as error:
            parser.error(f"--weights must be given: {error}")
    if options.limit is not None and options.limit < 1:
        parser.error(f"--limit must be at least 1, got {options.limit}")
    paths = sorted((options.data / "matting" / "image").glob("*.png"))
    if not paths:
        parser.error(f"data must hold matting/image/*.png, got none in {options.data}")
    n = len(paths) if options.limit is None else min(options.limit, len(paths))
    paths = [paths[i * len(paths) // n] for i in range(n)]
    if options.threads is not None:
        fastsoft.set_num_threads(options.threads)
    if any(name.startswith("network") for name in names):
        import torch

        torch.set_num_threads(fastsoft.num_threads())
    record_path = options.output.with_suffix(".json")
    records = read_records(record_path)
    origin = {"commit": commit(), "command": command_line("benchmarks.quality_matting", arguments)}
    made = {name: make_system(name, weights) for name in names}
    rows: list[tuple[str, list[Any]]] = []
    try:
        for trimap in options.trimaps:
            fresh = {name: {"identity": made[name][1], **origin, "values": {}} for name in names}
            for k, path in enumerate(paths):
                image, known, truth = load_case(path, trimap)
                panels, words = [image, known / 255.0, truth], [f"{path.stem} {trimap}:"]
                for name in names:
                    values, alpha = measure(made[name][0], path, trimap, options.variant)
                    fresh[name]["values"][path.stem] = [round(v, 6) for v in values]
                    records.setdefault(trimap, {})[name] = fresh[name]
                    write_records(record_path, records)
                    panels.append(alpha)
                    words.append(f"{name} {values[0]:.2f}")
                rows.append((" ".join(words), panels))
                print(f"{k + 1}/{len(paths)} {' '.join(words)}", file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        print(f"interrupted; {record_path} has what was measured", file=sys.stderr)
        return 130
    lines = page(records, options.variant)
    write_results(options.output, lines)
    print("\n".join(lines))
    if options.sheet:
        write_sheet(options.sheet, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
