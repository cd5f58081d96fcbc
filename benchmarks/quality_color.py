# SPDX-License-Identifier: MIT
"""Layers of homogeneous colour: fastsoft's weights and the authors', side by side on the same photographs and palettes.

Usage: python -m benchmarks.quality_color DATA --published FOLDER [--weights FILE] [--parts val photos]
           [--colors 2 3 ... 10] [--photos N] [--smooth RADIUS] [--continue] [--threads N] [--output FILE.md]

DATA holds segmentation/val/images and photos, of which those of a megapixel and more are taken; FOLDER the authors'
mask_generator.pth and residue_predictor.pth. Measured are the quantities of section 5.3 of N. Akimoto et al., "Fast
Soft Color Segmentation", CVPR 2020 (:doi:`10.1109/CVPR42600.2020.00830`), of the networks' layers and of what exact
recomposition makes of them:

MSE, PSNR  of the sum of the layers against the photograph, over pixels and channels; PSNR is averaged over photographs
SSIM       of Z. Wang et al., IEEE Trans. Image Processing 13(4), 2004: Gaussian window of 11x11 pixels, deviation 1.5,
           K1 = 0.01, K2 = 0.03; mean over the windows that lie inside the photograph and over R, G and B
sparsity   Eq. (10), sum(alpha) / sum(alpha^2) - 1, mean over the pixels
variance   sum of the variances of R, G and B over all pixels of a layer, mean over the layers
weighted   the same with every pixel weighted by its alpha in the layer, mean over the layers that are not empty: what
variance   shows, where the former counts the colours of invisible pixels, too
distance   L_d of Eq. (8): alpha times the distance of a layer's colour from its palette colour, mean over the pixels

The values of every photograph go to a JSON file beside the Markdown page, after each photograph; --continue goes on
after an interruption.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import fastsoft
from benchmarks.quality_semantic import clock, fingerprint, spread_text
from benchmarks.report import RESULTS, command_line, commit, write_results
from fastsoft._files import atomic_file
from fastsoft.color import color_palette, convert_published_weights, load_model
from fastsoft.color.models import default_model

PARTS = {"val": "images of segmentation/val", "photos": "photographs of 1 MP and more"}
MIN_PIXELS = 1_000_000
SUFFIXES = (".jpg", ".jpeg", ".png")

OURS, PUBLISHED = "fastsoft", "published"
# Of these many colours are the tables that compare the two, as in the paper.
N_COLORS = 7
N_WORST = 5

# What is kept of every photograph, first of the networks' layers, then of those that recompose it exactly. PSNR is
# computed from MSE.
MEASURES = ("MSE", "SSIM", "sparsity", "variance", "weighted variance", "distance")

_WINDOW = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
_WINDOW /= _WINDOW.sum()
_MEAN_CONSTANT, _VARIANCE_CONSTANT = 0.01**2, 0.03**2

# Rows at a time where all of a photograph in float64 would take much memory.
_ROWS = 256


def mean_squared_error(picture: Any, truth: Any) -> float:
    """Return the mean squared difference over pixels and channels."""
    total = 0.0
    for rows in _stretches(len(truth)):
        total += float(np.square(picture[rows].astype(np.float64) - truth[rows]).sum())
    return total / truth.size


def peak_signal_to_noise(error: float) -> float:
    """Return the PSNR in dB that belongs to a mean squared error of values in [0, 1]."""
    return math.inf if error == 0 else -10 * math.log10(error)


def structural_similarity(picture: Any, truth: Any) -> float:
    """Return the mean SSIM of two pictures (H, W, 3) of at least 11x11 pixels, as defined above."""
    return float(np.mean([_similarity_of_planes(picture[:, :, c], truth[:, :, c]) for c in range(truth.shape[2])]))


def _similarity_of_planes(x: Any, y: Any) -> float:
    x, y = x.astype(np.float64), y.astype(np.float64)
    mean_x, mean_y = _window_mean(x), _window_mean(y)
    product = mean_x * mean_y
    squares = mean_x * mean_x + mean_y * mean_y
    covariance = _window_mean(x * y) - product
    variances = _window_mean(x * x + y * y) - squares
    numerator = (2 * product + _MEAN_CONSTANT) * (2 * covariance + _VARIANCE_CONSTANT)
    return float((numerator / ((squares + _MEAN_CONSTANT) * (variances + _VARIANCE_CONSTANT))).mean())


def _window_mean(plane: Any) -> Any:
    """Return the Gaussian means of the windows that lie inside a plane."""
    from scipy.ndimage import correlate1d

    inside = slice(len(_WINDOW) // 2, -(len(_WINDOW) // 2))
    rows = correlate1d(plane, _WINDOW, axis=0)[inside]
    return correlate1d(rows, _WINDOW, axis=1)[:, inside]


def sparsity(alphas: Any) -> float:
    """Return the mean of sum(alpha) / sum(alpha^2) - 1 over the pixels of alphas (H, W, n)."""
    total = 0.0
    for rows in _stretches(len(alphas)):
        part = alphas[rows].astype(np.float64)
        total += float((part.sum(axis=2) / np.square(part).sum(axis=2) - 1).sum())
    return total / (alphas.shape[0] * alphas.shape[1])


def color_variance(colors: Any, alphas: Any = None) -> float:
    """Return the variance of the colours (H, W, n, 3) of layers: sum over channels, mean over layers.

    With alphas (H, W, n) the pixels of a layer count by their alpha, and empty layers not at all.
    """
    found = []
    for k in range(colors.shape[2]):
        weights = None if alphas is None else alphas[:, :, k].astype(np.float64)
        if weights is not None:
            mass = float(weights.sum())
            if mass == 0:
                continue
            weights /= mass
        variance = 0.0
        for channel in range(3):
            plane = colors[:, :, k, channel].astype(np.float64)
            if weights is None:
                variance += float(plane.var())
            else:
                plane -= (weights * plane).sum()
                variance += float((weights * np.square(plane)).sum())
        found.append(variance)
    return float(np.mean(found))


def color_distance(colors: Any, alphas: Any, palette: Any) -> float:
    """Return the mean over pixels of the sum of alpha times the distance from the palette colour."""
    total = 0.0
    for rows in _stretches(len(alphas)):
        far = np.sqrt(np.square(colors[rows].astype(np.float64) - palette).sum(axis=3))
        total += float((alphas[rows] * far).sum())
    return total / (alphas.shape[0] * alphas.shape[1])


def _stretches(extent: int) -> list[slice]:
    return [slice(first, first + _ROWS) for first in range(0, extent, _ROWS)]


def measure(layers: Any) -> list[float]:
    """Return the values of layers in the order of `MEASURES`."""
    sum_of_layers = layers.recomposed()
    return [
        mean_squared_error(sum_of_layers, layers.image),
        structural_similarity(sum_of_layers, layers.image),
        sparsity(layers.alphas),
        color_variance(layers.colors),
        color_variance(layers.colors, layers.alphas),
        color_distance(layers.colors, layers.alphas, layers.palette),
    ]


def measure_model(model: Any, image: Any, palette: Any, smooth: int) -> list[float]:
    """Return the values of a model's layers, then of those that recompose the photograph exactly."""
    layers = fastsoft.decompose_colors(image, palette, weights=model, exact=False, smooth=smooth)
    values = measure(layers)
    # As `exact=True` does, without running the networks again.
    colors = fastsoft.project_colors(layers.alphas, layers.colors, image, out=layers.colors)
    return values + measure(replace(layers, colors=colors))


def pictures(data: Path, part: str, count: int | None = None) -> list[Path]:
    """Return the files of a part, evenly spread over all if there is a count."""
    folder = data / "segmentation" / "val" / "images" if part == "val" else data / "photos"
    paths = sorted(p for p in folder.glob("*") if p.suffix.lower() in SUFFIXES)
    if part == "photos":
        paths = [p for p in paths if pixel_count(p) >= MIN_PIXELS]
    n = len(paths) if count is None else min(count, len(paths))
    return [paths[i * len(paths) // n] for i in range(n)]


def pixel_count(path: Path) -> int:
    """Return how many pixels a picture file has, without decoding it."""
    from PIL import Image

    with Image.open(path) as picture:
        return picture.width * picture.height


# {part: {number of colours: {system: {photograph: values}}}}
Values = dict[str, dict[str, dict[str, dict[str, list[float]]]]]


class Records:
    """What was measured, in a JSON file that always holds the last state.

    ``{"runs": [{"commit", "command"}], "systems": {name: identity}, "smooth": radius, "values": Values}``; there is
    more than one run if it was continued.
    """

    def __init__(self, path: Path, origin: dict[str, str], systems: dict[str, str], smooth: int, go_on: bool) -> None:
        self.path = path
        self.runs: list[dict[str, str]] = []
        self.values: Values = {}
        self.systems = systems
        self.smooth = smooth
        if go_on and path.exists():
            self._resume()
        if origin not in self.runs:
            self.runs.append(origin)

    def _resume(self) -> None:
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
            held = found["systems"], found["smooth"]
            self.runs, self.values = found["runs"], found["values"]
        except (ValueError, KeyError, TypeError) as error:
            raise SystemExit(f"{self.path} must be a file of this benchmark, got something else: {error}") from None
        if held != (self.systems, self.smooth):
            raise SystemExit(
                f"--continue must find values of {self.systems} with smooth {self.smooth}, got {held[0]} with "
                f"smooth {held[1]} (measure all anew without --continue)"
            )

    def get(self, part: str, count: int, system: str) -> dict[str, list[float]]:
        """Return the values of the photographs."""
        return self.values.setdefault(part, {}).setdefault(str(count), {}).setdefault(system, {})

    def write(self) -> None:
        """Write the file."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        content = {"runs": self.runs, "systems": self.systems, "smooth": self.smooth, "values": self.values}
        # One line for a photograph.
        text = re.sub(
            r"\[\s+([-+.,\deE\s]+?)\s+\]", lambda m: f"[{' '.join(m[1].split())}]", json.dumps(content, indent=1)
        )
        with atomic_file(self.path) as file:
            file.write((text + "\n").encode())


def shown(values: list[float], exact: bool) -> dict[str, float]:
    """Return the values of a photograph by name, PSNR included."""
    half = len(MEASURES)
    found = dict(zip(MEASURES, values[half:] if exact else values[:half], strict=True))
    return {"MSE": found["MSE"], "PSNR": peak_signal_to_noise(found["MSE"]), **found}


# Of every measure: digits after the point, and whether more is better.
FORMATS = {
    "MSE": (".6f", False),
    "PSNR": (".2f", True),
    "SSIM": (".4f", True),
    "sparsity": (".4f", False),
    "variance": (".5f", False),
    "weighted variance": (".5f", False),
    "distance": (".4f", False),
}
# Those that are to be no worse than the authors'; recomposition is compared in dB.
COMPARED = ("PSNR", "SSIM", "sparsity", "variance", "weighted variance", "distance")


def column(values: dict[str, list[float]], names: list[str], measure_name: str, exact: bool) -> Any:
    """Return one measure of some photographs."""
    return np.array([shown(values[name], exact)[measure_name] for name in names])


def comparison(found: dict[str, dict[str, list[float]]], names: list[str]) -> list[str]:
    """Return the table of means at one number of colours, and that of the differences."""
    lines = [
        "| weights | exact | " + " | ".join(FORMATS) + " | least PSNR |",
        "|" + " --- |" * (len(FORMATS) + 3),
    ]
    for exact in (False, True):
        for system in found:
            cells = [
                _mean_text(column(found[system], names, name, exact), name, form) for name, (form, _) in FORMATS.items()
            ]
            least = column(found[system], names, "PSNR", exact).min()
            lines.append(f"| {system} | {'yes' if exact else 'no'} | " + " | ".join(cells) + f" | {least:.2f} |")
    if len(found) < 2:
        return [*lines, ""]
    lines += [
        "",
        f"{OURS} minus {PUBLISHED} on the same photograph, mean with its 95 % interval, and on how many {OURS} is "
        "worse:",
        "",
        "| exact | " + " | ".join(COMPARED) + " |",
        "|" + " --- |" * (len(COMPARED) + 1),
    ]
    for exact in (False, True):
        cells = []
        for name in COMPARED:
            form, more = FORMATS[name]
            difference = column(found[OURS], names, name, exact) - column(found[PUBLISHED], names, name, exact)
            worse = int((difference < 0).sum() if more else (difference > 0).sum())
            cells.append(f"{spread_text(difference, int(form[1]))} ({worse})")
        lines.append(f"| {'yes' if exact else 'no'} | " + " | ".join(cells) + " |")
    return [*lines, ""]


def _mean_text(values: Any, name: str, form: str) -> str:
    mean = float(values.mean())
    # What exact recomposition leaves is rounding.
    return f"{mean:.1e}" if name == "MSE" and mean < 1e-5 else f"{mean:{form}}"


def by_count(found: dict[str, dict[str, dict[str, list[float]]]]) -> list[str]:
    """Return the table of all numbers of colours; each row over the photographs that its systems have in common."""
    wanted = ("PSNR", "SSIM", "sparsity", "variance", "weighted variance", "distance")
    lines = [
        "| colours | weights | " + " | ".join(wanted) + " | exact: PSNR | exact: least PSNR | photographs |",
        "|" + " --- |" * (len(wanted) + 5),
    ]
    for count in sorted(found, key=int):
        systems = {name: values for name, values in found[count].items() if values}
        names = common_names(systems)
        for system, values in systems.items():
            cells = [f"{column(values, names, name, False).mean():{FORMATS[name][0]}}" for name in wanted]
            exact = column(values, names, "PSNR", True)
            lines.append(
                f"| {count} | {system} | "
                + " | ".join(cells)
                + f" | {exact.mean():.1f} | {exact.min():.1f} | {len(names)} |"
            )
    return [*lines, ""]


def common_names(systems: dict[str, dict[str, list[float]]]) -> list[str]:
    """Return the photographs that all systems have."""
    return sorted(set.intersection(*(set(values) for values in systems.values()))) if systems else []


def worst(found: dict[str, dict[str, list[float]]], names: list[str]) -> list[str]:
    """Return the photographs on which fastsoft is worst compared with the authors' weights, by measure."""
    lines = ["| measure | photograph | " + " | ".join(found) + " | difference |", "| --- | --- | --- | --- | --- |"]
    for name in COMPARED:
        form, more = FORMATS[name]
        ours, theirs = (column(found[system], names, name, False) for system in (OURS, PUBLISHED))
        difference = ours - theirs
        for k in np.argsort(difference if more else -difference, kind="stable")[:N_WORST]:
            lines.append(f"| {name} | {names[k]} | {ours[k]:{form}} | {theirs[k]:{form}} | {difference[k]:+{form}} |")
    return [*lines, ""]


def each(found: dict[str, dict[str, list[float]]], names: list[str]) -> list[str]:
    """Return a row for every photograph."""
    wanted = ("PSNR", "SSIM", "sparsity", "variance", "weighted variance")
    lines = ["| photograph | weights | " + " | ".join(wanted) + " | exact: PSNR |", "|" + " --- |" * (len(wanted) + 3)]
    for name in names:
        for system, values in found.items():
            cells = [f"{shown(values[name], False)[key]:{FORMATS[key][0]}}" for key in wanted]
            exact = shown(values[name], True)["PSNR"]
            lines.append(f"| {name} | {system} | " + " | ".join(cells) + f" | {exact:.1f} |")
    return [*lines, ""]


def page(records: Records) -> list[str]:
    """Return the whole page of results."""
    lines = [
        "# Quality of colour layers",
        "",
        *(f"- `{run['command']}`, commit {run['commit']}" for run in records.runs),
        *(f"- {name}: {identity}" for name, identity in records.systems.items()),
        "",
        "Palettes by k-means, the same for both weights; fewer colours than 7 reach the published networks as repeated "
        "ones whose layers are merged. Alphas "
        + (f"smoothed by the guided filter of radius {records.smooth}" if records.smooth else "not smoothed")
        + ". Sparsity, variance and distance: less is better. Variance is that of all pixels of a layer, as in the "
        "paper; the weighted one counts pixels by their alpha. SSIM: Gaussian window of 11x11, deviation 1.5, mean "
        "over R, G and B. Definitions: `benchmarks/quality_color.py`.",
        "",
    ]
    for part, title in PARTS.items():
        found = records.values.get(part, {})
        if not any(values for systems in found.values() for values in systems.values()):
            continue
        lines += [f"## {title[0].upper()}{title[1:]}", ""]
        systems = {name: values for name, values in found.get(str(N_COLORS), {}).items() if values}
        names = common_names(systems)
        if names:
            lines += [f"### {N_COLORS} colours, {len(names)} photographs", "", *comparison(systems, names)]
            if part == "photos":
                lines += each(systems, names)
            elif len(systems) == 2:
                lines += [f"Where {OURS} is worst compared with {PUBLISHED}:", "", *worst(systems, names)]
        lines += ["### By number of colours", "", *by_count(found)]
    return lines[:-1]


def run_part(
    part: str, paths: list[Path], counts: list[int], models: dict[str, Any], records: Records, smooth: int
) -> None:
    """Measure the models on the photographs; tell progress and the time left."""
    started, fresh = time.perf_counter(), 0
    sizes = {path: pixel_count(path) for path in paths}
    left = sum(sizes.values())
    for done, path in enumerate(paths):
        left -= sizes[path]
        wanted = {
            count: [
                name
                for name, model in models.items()
                if model.n_colors[0] <= count <= model.n_colors[1] and path.stem not in records.get(part, count, name)
            ]
            for count in counts
        }
        if not any(wanted.values()):
            continue
        image = fastsoft.read_image(path).astype(np.float32)
        said = []
        for count, names in wanted.items():
            if not names:
                continue
            try:
                palette = color_palette(image, count)
            except ValueError as error:
                # A photograph of fewer colours.
                print(f"{part} {path.stem} left out with {count} colours: {error}", file=sys.stderr, flush=True)
                continue
            for name in names:
                values = measure_model(models[name], image, palette, smooth)
                records.get(part, count, name)[path.stem] = [float(f"{value:.6g}") for value in values]
                if count == N_COLORS:
                    said.append(f"{name} {peak_signal_to_noise(values[0]):.2f} dB, sparsity {values[2]:.3f}")
        records.write()
        fresh += sizes[path]
        ahead = clock((time.perf_counter() - started) / fresh * left)
        print(
            f"{part} {done + 1}/{len(paths)} {path.stem}: {'; '.join(said)} (this part at most {ahead} more)",
            file=sys.stderr,
            flush=True,
        )


def load_models(options: argparse.Namespace) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the models by name, and what tells their weights apart from others."""
    models, identities = {}, {}
    if options.weights is None:
        models[OURS] = default_model()
        identities[OURS] = str(models[OURS].source)
    else:
        models[OURS] = load_model(options.weights)
        identities[OURS] = fingerprint(options.weights)
    with tempfile.TemporaryDirectory() as folder:
        parts = [options.published / f"{name}.pth" for name in ("mask_generator", "residue_predictor")]
        converted = Path(folder) / "published.safetensors"
        convert_published_weights(*parts, converted)
        models[PUBLISHED] = load_model(converted)
        identities[PUBLISHED] = ", ".join(fingerprint(path) for path in parts)
    return models, identities


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, help="folder with segmentation/val/images and photos")
    parser.add_argument("--published", type=Path, required=True, help="folder with the authors' two .pth files")
    parser.add_argument("--weights", type=Path, help="fastsoft's weights (default: those that come with it)")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument(
        "--colors", nargs="+", type=int, default=list(range(2, 11)), help="numbers of colours (default: 2 to 10)"
    )
    parser.add_argument("--photos", type=int, metavar="N", help="at most N of each part, evenly spread")
    parser.add_argument("--smooth", type=int, default=0, help="radius of the guided filter between the networks")
    parser.add_argument("--continue", action="store_true", dest="go_on", help="measure only what has no value yet")
    parser.add_argument("--threads", type=int, help="(default: all processors)")
    parser.add_argument("--output", type=Path, default=RESULTS / "quality_color.md", help="page; FILE.json beside it")
    options = parser.parse_args(arguments)
    if options.photos is not None and options.photos < 1:
        parser.error(f"--photos must be at least 1, got {options.photos}")
    if options.smooth < 0:
        parser.error(f"--smooth must be at least 0, got {options.smooth}")
    chosen = {part: pictures(options.data, part, options.photos) for part in options.parts}
    for part, paths in chosen.items():
        if not paths:
            parser.error(f"data must hold {PARTS[part]} (see --help), got none in {options.data}")
    try:
        models, identities = load_models(options)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    low, high = models[OURS].n_colors
    counts = sorted(set(options.colors))
    if counts[0] < low or counts[-1] > high:
        parser.error(f"--colors must lie in {low}..{high}, got {counts[0]}..{counts[-1]}")
    if options.threads is not None:
        import torch

        fastsoft.set_num_threads(options.threads)
        torch.set_num_threads(options.threads)
    origin = {"commit": commit(), "command": command_line("benchmarks.quality_color", arguments)}
    records = Records(options.output.with_suffix(".json"), origin, identities, options.smooth, options.go_on)
    try:
        for part, paths in chosen.items():
            run_part(part, paths, counts, models, records, options.smooth)
    except KeyboardInterrupt:
        records.write()
        print(f"interrupted; {records.path} has what was measured, --continue goes on", file=sys.stderr)
        return 130
    finally:
        lines = page(records)
        write_results(options.output, lines)
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
