# SPDX-License-Identifier: MIT
"""How good features and layers are, against regions that people drew and against true mattes.

Usage: python -m benchmarks.quality_semantic DATA [--parts auc regions mattes] [--systems ...] [--weights FILE]
           [--limit N] [--continue] [--threads N] [--output FILE.md] [--worst-sheet FILE.jpg]

DATA holds segmentation/val (images/, labels/) and matting (image/, alpha/). Three measures:

auc      area under the ROC curve by which the distance of two pixels' features tells whether they lie in one region or
         in two: 6000 random pairs of an image, mean over images; after guided filter and reduction to three channels
regions  segmentation covering: for every region the best soft intersection over union (sum of minima over sum of
         maxima) with a layer or a union of layers, weighted by area, on the images named bsds_*
mattes   sum of absolute differences / 1000 and mean squared difference between the true alpha and the union of
         layers that has the least sum

The values of every image go to a JSON file beside the Markdown page, after each image. Systems that are not measured
are taken from that file, each with the commit and the command that made its values; so slow systems that did not
change need not be measured again. What is measured replaces the system's earlier values; with --continue, only what
is missing is measured. The tables compare all systems on the images that they have in common.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import re
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import fastsoft
from benchmarks.report import RESULTS, command_line, commit, write_results
from fastsoft._files import atomic_file
from fastsoft.semantic import compute_features
from fastsoft.semantic.regions import read_labels

N_PAIRS = 6000
N_LAYERS = 5
N_WORST = 10
PANEL = 304  # longer side of a picture on the sheet of the worst
PARTS = ("auc", "regions", "mattes")
EMBEDDED = "features.safetensors"
BACKBONE = Path("backbones", "deeplabv3_mobilenet_v2_voc.safetensors")

# The systems that the others are to approach, and those without features of a picture's own.
HUMAN = "human regions"
SPECTRAL = "spectral matting"
SYSTEMS = ("embedded", "hypercolumn", "lowlevel", "untrained backbone", SPECTRAL, HUMAN)
NETWORKS = ("embedded", "hypercolumn", "untrained backbone")

# What a system's values of one image are called, by part, with decimals.
COLUMNS = {"auc": {"AUC": 4}, "regions": {"covering": 4}, "mattes": {"SAD / 1000": 2, "MSE": 5}}


def area_under_roc(distances: Any, same: Any) -> float:
    """Return the probability that a pair within a region is closer than a pair of two, ties counting half."""
    from scipy.stats import rankdata

    ranks = rankdata(-distances)
    n_same = int(same.sum())
    return float((ranks[same].sum() - n_same * (n_same + 1) / 2) / (n_same * (len(same) - n_same)))


def pair_auc(features: Any, labels: Any) -> float | None:
    """Return the AUC of random pixel pairs, or None where all pairs are of one kind."""
    rng = np.random.default_rng(0)
    pixels = np.flatnonzero(labels.ravel())
    first, second = rng.choice(pixels, (2, N_PAIRS))
    same = labels.ravel()[first] == labels.ravel()[second]
    if same.all() or not same.any():
        return None
    values = features.reshape(-1, features.shape[2]).astype(np.float64)
    return area_under_roc(np.linalg.norm(values[first] - values[second], axis=1), same)


def unions(alphas: Any) -> Iterator[Any]:
    """Yield the sum of every set of layers but the empty one, float64, at most 1."""
    n = alphas.shape[2]
    for size in range(1, n + 1):
        for chosen in itertools.combinations(range(n), size):
            yield np.minimum(alphas[:, :, chosen].sum(axis=2, dtype=np.float64), 1)


def covering(alphas: Any, labels: Any) -> float:
    """Return the segmentation covering of the regions by layers and unions of layers; 0 in `labels` is no region."""
    known = labels != 0
    _, which, counts = np.unique(labels[known], return_inverse=True, return_counts=True)
    best = np.zeros(len(counts))
    for union in unions(alphas):
        inside = union[known]
        # Within a region the minimum is the alpha and the maximum 1; outside it the maximum is the alpha.
        overlap = np.bincount(which, weights=inside, minlength=len(counts))
        best = np.maximum(best, overlap / (counts + inside.sum() - overlap))
    return float((best * counts).sum() / counts.sum())


def matte_errors(alphas: Any, truth: Any) -> tuple[float, float]:
    """Return SAD / 1000 and MSE of the union that has the least SAD."""
    errors = [(float(np.abs(u - truth).sum()) / 1000, float(((u - truth) ** 2).mean())) for u in unions(alphas)]
    return min(errors)


@dataclass(frozen=True)
class System:
    """A name, what tells its features apart from others' of this name, and what `fastsoft.segment` takes as features.

    `features` is None for regions that people drew: they come with the picture.
    """

    name: str
    identity: str
    features: str | None


def prepare_systems(names: list[str], weights: Path | None, backbone: Path, stack: ExitStack) -> list[System]:
    """Return the systems by these names; a network with a fresh head is kept in a temporary file of `stack`."""
    made = []
    for name in names:
        features: str | None = "lowlevel"
        identity = name
        if name == "embedded":
            features, identity = "embedded", fingerprint(Path(fastsoft.__file__).parent / "weights" / EMBEDDED)
        elif name == "hypercolumn":
            assert weights is not None
            features, identity = f"hypercolumn:{weights}", fingerprint(weights)
        elif name == "untrained backbone":
            identity = f"{fingerprint(backbone)}, head of seed 0"
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            features = f"hypercolumn:{write_untrained(backbone, folder)}"
        elif name == HUMAN:
            features = None
        made.append(System(name, identity, features))
    return made


def fingerprint(path: Path) -> str:
    """Return name and checksum of a file.

    Raises
    ------
    SystemExit
        If it cannot be read.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SystemExit(f"cannot read weights from {path}: {error.strerror or error}") from None
    return f"{path.name} (SHA-256 {hashlib.sha256(content).hexdigest()[:16]})"


def write_untrained(backbone: Path, folder: Path) -> Path:
    """Write the network with the pretrained backbone and a head of random weights, and return the file."""
    import torch

    from fastsoft.semantic.network import HypercolumnNetwork
    from fastsoft.semantic.training import load_initial, save_network

    torch.manual_seed(0)
    network = HypercolumnNetwork()
    load_initial(network, backbone)
    path = folder / "untrained.safetensors"
    save_network(network, path)
    return path


def layers_of(system: System, image: Any, labels: Any, *, keep_stages: bool = False) -> Any:
    """Segment a picture with a system's features."""
    with warnings.catch_warnings():
        # Some pictures of few regions give fewer layers, which is as good.
        warnings.filterwarnings("ignore", "the image gave", RuntimeWarning)
        if system.name == SPECTRAL:
            return fastsoft.spectral_matting(
                image, n_layers=N_LAYERS, features=system.features, keep_stages=keep_stages
            )
        features = labels if system.features is None else system.features
        return fastsoft.segment(image, features=features, n_layers=N_LAYERS, keep_stages=keep_stages)


def has_part(name: str, part: str) -> bool:
    """Tell whether a system takes part: AUC needs features, and those of given regions have an AUC of 1."""
    return part != "auc" or name not in (SPECTRAL, HUMAN)


def measure(system: System, part: str, image: Any, labels: Any, truth: Any) -> list[float] | None:
    """Return a system's values of one picture, or None where the picture has none."""
    if part == "auc":
        auc = pair_auc(compute_features(image, system.features).values, labels)
        return None if auc is None else [auc]
    alphas = layers_of(system, image, labels).alphas
    return [covering(alphas, labels)] if part == "regions" else list(matte_errors(alphas, truth))


def pictures(data: Path, part: str, limit: int | None) -> list[Path]:
    """Return the picture files of a part, evenly spread over all if there is a limit."""
    if part == "mattes":
        paths = sorted((data / "matting" / "image").glob("*.png"))
    else:
        pattern = "bsds_*.jpg" if part == "regions" else "*.jpg"
        paths = sorted((data / "segmentation" / "val" / "images").glob(pattern))
    n = len(paths) if limit is None else min(limit, len(paths))
    return [paths[i * len(paths) // n] for i in range(n)]


def load_picture(path: Path, part: str) -> tuple[Any, Any, Any]:
    """Return a picture, float32, its regions, and its true alpha where the part has one."""
    image = fastsoft.read_image(path).astype(np.float32)
    if part == "mattes":
        truth = fastsoft.read_image(path.parents[1] / "alpha" / path.name)[:, :, 0].astype(np.float64)
        return image, (truth > 0.5).astype(np.int64), truth
    return image, read_labels(path.parents[1] / "labels" / f"{path.stem}.png"), None


class Records:
    """Values of all images by part and system, in a JSON file that always holds what was measured last.

    A system has one run, or several if one was continued:
    ``{"commit", "command", "features", "values": {image: [value, ...] or null}}``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> dict[str, dict[str, list[dict[str, Any]]]]:
        """Return the runs by part and system."""
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise SystemExit(f"{self.path} must be a file of this benchmark, got no JSON: {error}") from None
        if not isinstance(found, dict) or not set(found) <= set(PARTS):
            raise SystemExit(f"{self.path} must be a file of this benchmark, got something else")
        return found

    def put(self, part: str, name: str, runs: list[dict[str, Any]]) -> None:
        """Replace the runs of one system in one part; what another process wrote of others stays."""
        found = self.read()
        found.setdefault(part, {})[name] = runs
        ordered = {p: dict(sorted(found[p].items(), key=_rank)) for p in PARTS if p in found}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # One line for an image.
        text = re.sub(
            r"\[\s+([-+.,\deE\s]+?)\s+\]", lambda m: f"[{' '.join(m[1].split())}]", json.dumps(ordered, indent=1)
        )
        with atomic_file(self.path) as file:
            file.write((text + "\n").encode())


def _rank(item: tuple[str, Any]) -> int:
    return SYSTEMS.index(item[0]) if item[0] in SYSTEMS else len(SYSTEMS)


def values_of(runs: list[dict[str, Any]]) -> dict[str, list[float]]:
    """Return a system's values by image, the latest of each; images without a value are left out."""
    merged = {image: value for run in runs for image, value in run["values"].items()}
    return {image: value for image, value in merged.items() if value is not None}


def earlier_runs(runs: list[dict[str, Any]], system: System) -> list[dict[str, Any]]:
    """Return the runs that --continue goes on from; they must be of the same features."""
    for run in runs:
        if run["features"] != system.identity:
            raise SystemExit(
                f"--continue must find values of {system.name} of the features {system.identity}, got "
                f"{run['features']} (measure all anew without --continue)"
            )
    return runs


def spread_text(differences: Any, decimals: int) -> str:
    """Return the mean of paired differences with its 95 % interval (normal)."""
    text = f"{float(np.mean(differences)):.{decimals}f}"
    if len(differences) < 2:
        return text
    return f"{text} ± {1.96 * float(np.std(differences, ddof=1)) / np.sqrt(len(differences)):.{decimals}f}"


def table(part: str, systems: Mapping[str, list[dict[str, Any]]]) -> list[str]:
    """Return the lines of one part: systems on their common images, what made the values."""
    values = {name: found for name, runs in sorted(systems.items(), key=_rank) if (found := values_of(runs))}
    if not values:
        return []
    common = sorted(set.intersection(*(set(found) for found in values.values())))
    lines = [f"## {part}: {len(common)} images", ""]
    if any(len(found) != len(common) for found in values.values()):
        counts = ", ".join(f"{name} {len(found)}" for name, found in values.items())
        lines += [f"Those that all systems below have; measured are {counts}.", ""]
    if not common:
        return lines
    sources = sorted({image.partition("_")[0] for image in common}) if part == "auc" else []
    distance = part != "auc" and HUMAN in values
    columns = [*COLUMNS[part], *sources]
    if distance:
        columns.append("below human regions" if part == "regions" else "SAD / 1000 above human regions")
    lines += ["| system | " + " | ".join(columns) + " |", "|" + " --- |" * (len(columns) + 1)]
    for name, found in values.items():
        array = np.array([found[image] for image in common])
        cells = [f"{v:.{n}f}" for v, n in zip(array.mean(axis=0), COLUMNS[part].values(), strict=True)]
        for source in sources:
            cells.append(f"{np.mean([found[i][0] for i in common if i.partition('_')[0] == source]):.4f}")
        if distance:
            human = np.array([values[HUMAN][image] for image in common])
            differences = (human - array if part == "regions" else array - human)[:, 0]
            cells.append("" if name == HUMAN else spread_text(differences, next(iter(COLUMNS[part].values()))))
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines.append("")
    made: dict[tuple[str, str], list[str]] = {}
    for name in values:
        for run in systems[name]:
            identity = "" if run["features"] == name else f" ({run['features']})"
            made.setdefault((run["command"], run["commit"]), []).append(f"{name}{identity} {len(run['values'])}")
    lines += [f"- `{command}`, commit {state}: {', '.join(who)}" for (command, state), who in made.items()]
    return [*lines, ""]


def worst_images(systems: Mapping[str, list[dict[str, Any]]], name: str) -> list[tuple[str, float, float]]:
    """Return the images on which a system is farthest below human regions, worst first, with both coverings."""
    if name == HUMAN or name not in systems or HUMAN not in systems:
        return []
    own, human = values_of(systems[name]), values_of(systems[HUMAN])
    both = [(image, own[image][0], human[image][0]) for image in sorted(set(own) & set(human))]
    return sorted(both, key=lambda row: row[1] - row[2])[:N_WORST]


def page(records: dict[str, dict[str, list[dict[str, Any]]]], worst_of: str) -> list[str]:
    """Return the whole page of results."""
    lines = [
        "# Quality of semantic soft segmentation",
        "",
        f"`auc`: probability that two pixels of one region are closer in feature space than two of different ones, "
        f"{N_PAIRS} random pairs of an image, after guided filter and reduction to three channels; by source of the "
        "images. `regions`: covering of the regions that one person drew by layers and unions of layers (soft "
        "intersection over union, weighted by area). `mattes`: the union of layers nearest to the true alpha, without "
        f"a trimap. {N_LAYERS} layers each, settings otherwise the defaults; spectral matting groups its components "
        "by low-level features. Human regions are the drawn regions (in `mattes`, alpha above 0.5) as features, the "
        "bound to approach; distances to them are means of differences on the same image with the 95 % interval of "
        "the mean.",
        "",
    ]
    for part in PARTS:
        lines += table(part, records.get(part, {}))
    rows = worst_images(records.get("regions", {}), worst_of)
    if rows:
        lines += [
            f"## The {len(rows)} images on which {worst_of} is farthest below human regions",
            "",
            f"| image | {worst_of} | {HUMAN} | below |",
            "| --- | --- | --- | --- |",
            *(f"| {image} | {own:.3f} | {human:.3f} | {human - own:.3f} |" for image, own, human in rows),
            "",
        ]
    return lines[:-1]


def write_worst_sheet(path: Path, rows: list[tuple[str, float, float]], system: System, data: Path) -> None:
    """Segment the worst images again and draw them: photograph, drawn regions, features as RGB, layers in colours."""
    from fastsoft.layers import layer_colors
    from tools.contact_sheet import caption, eight_bit, feature_picture, fit, row_of, stack_of, write_jpeg

    drawn = []
    for k, (name, own, human) in enumerate(rows):
        picture = data / "segmentation" / "val" / "images" / f"{name}.jpg"
        image, labels, _ = load_picture(picture, "regions")
        layers = layers_of(system, image, labels, keep_stages=True)
        assert layers.stages is not None
        regions = np.unique(labels, return_inverse=True)[1].reshape(labels.shape)
        panels = [
            eight_bit(image),
            eight_bit(layer_colors(int(regions.max()) + 1)[regions]),
            feature_picture(layers.stages["features"].values),
            eight_bit(layers.alphas @ layer_colors(layers.n_layers)),
        ]
        row = row_of([fit(panel, PANEL, PANEL) for panel in panels])
        text = f"{name}: {system.name} {own:.3f}, {HUMAN} {human:.3f}"
        drawn.append(stack_of([caption(text, row.shape[1]), row]))
        print(f"sheet {k + 1}/{len(rows)} {name}", file=sys.stderr, flush=True)
    write_jpeg(path, stack_of(drawn))


def clock(seconds: float) -> str:
    """Return a duration as minutes and seconds."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def run_part(
    part: str, paths: list[Path], systems: list[System], records: Records, origin: dict[str, str], go_on: bool
) -> None:
    """Measure the systems on the pictures, writing after each value; tell progress and the time left."""
    done = records.read().get(part, {})
    runs = {s.name: earlier_runs(done.get(s.name, []), s) if go_on else [] for s in systems}
    missing = {s.name: [p for p in paths if not any(p.stem in run["values"] for run in runs[s.name])] for s in systems}
    for system in systems:
        if missing[system.name]:
            runs[system.name] = [*runs[system.name], {**origin, "features": system.identity, "values": {}}]
    spent: dict[str, list[float]] = {s.name: [] for s in systems}
    for path in paths:
        wanted = [s for s in systems if path in missing[s.name]]
        if not wanted:
            continue
        image, labels, truth = load_picture(path, part)
        for system in wanted:
            started = time.perf_counter()
            value = measure(system, part, image, labels, truth)
            spent[system.name].append(time.perf_counter() - started)
            runs[system.name][-1]["values"][path.stem] = value if value is None else [round(v, 6) for v in value]
            records.put(part, system.name, runs[system.name])
            # Systems not yet timed are taken to be as slow as the others on average.
            known = {name: sum(times) / len(times) for name, times in spent.items() if times}
            typical = sum(known.values()) / len(known)
            left = sum((len(missing[n]) - len(spent[n])) * known.get(n, typical) for n in missing)
            shown = "none" if value is None else " ".join(f"{v:.4f}" for v in value)
            print(
                f"{part} {system.name} {len(spent[system.name])}/{len(missing[system.name])} {path.stem} {shown} "
                f"({spent[system.name][-1]:.1f} s; this part about {clock(left)} more)",
                file=sys.stderr,
                flush=True,
            )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, help="folder with segmentation/val and matting")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument(
        "--systems",
        nargs="*",
        choices=SYSTEMS,
        help="to be measured; others keep the values they have; none at all: only write the page (default: all)",
    )
    parser.add_argument("--weights", type=Path, help="of the system hypercolumn, as trained by fastsoft")
    parser.add_argument(
        "--backbone", type=Path, help=f"weights that the untrained backbone has (default: {BACKBONE} in DATA)"
    )
    parser.add_argument("--limit", type=int, help="at most so many images of each part, evenly spread")
    parser.add_argument("--continue", action="store_true", dest="go_on", help="measure only what has no value yet")
    parser.add_argument("--threads", type=int, help="(default: all processors)")
    parser.add_argument(
        "--output", type=Path, default=RESULTS / "quality_semantic.md", help="page; FILE.json beside it"
    )
    parser.add_argument("--worst-of", choices=SYSTEMS, default="embedded", help="system of the table of worst images")
    parser.add_argument("--worst-sheet", type=Path, metavar="FILE.jpg", help="also draw them")
    options = parser.parse_args(arguments)
    names = options.systems
    if names is None:
        names = [name for name in SYSTEMS if name != "hypercolumn" or options.weights is not None]
    if "hypercolumn" in [*names, options.worst_of if options.worst_sheet else None] and options.weights is None:
        parser.error("the system hypercolumn needs --weights")
    if options.limit is not None and options.limit < 1:
        parser.error(f"--limit must be at least 1, got {options.limit}")
    for part in options.parts:
        if names and not pictures(options.data, part, 1):
            parser.error(f"data must hold pictures for {part} (see --help), got none in {options.data}")
    if options.threads is not None:
        fastsoft.set_num_threads(options.threads)
    records = Records(options.output.with_suffix(".json"))
    origin = {"commit": commit(), "command": command_line("benchmarks.quality_semantic", arguments)}

    with ExitStack() as stack:
        extra = [options.worst_of] if options.worst_sheet and options.worst_of not in names else []
        backbone = options.backbone or options.data / BACKBONE
        try:
            made = prepare_systems([*names, *extra], options.weights, backbone, stack)
            for system in made:
                # What cannot work shall say so now, not after hours of other systems.
                if system.name in NETWORKS:
                    compute_features(np.random.default_rng(0).random((64, 64, 3), dtype=np.float32), system.features)
        except ValueError as error:
            parser.error(str(error))
        if options.threads is not None and any(system.name in NETWORKS for system in made):
            import torch

            torch.set_num_threads(options.threads)
        try:
            for part in options.parts:
                chosen = [s for s in made if s.name in names and has_part(s.name, part)]
                run_part(part, pictures(options.data, part, options.limit), chosen, records, origin, options.go_on)
        except KeyboardInterrupt:
            print(f"interrupted; {records.path} has what was measured, --continue goes on", file=sys.stderr)
            return 130
        finally:
            lines = page(records.read(), options.worst_of)
            write_results(options.output, lines)
        print("\n".join(lines))
        if options.worst_sheet:
            rows = worst_images(records.read().get("regions", {}), options.worst_of)
            if not rows:
                parser.error(f"--worst-sheet needs values of {options.worst_of} and {HUMAN} in part regions, got none")
            system = next(s for s in made if s.name == options.worst_of)
            write_worst_sheet(options.worst_sheet, rows, system, options.data)
    return 0


if __name__ == "__main__":
    sys.exit(main())
