# SPDX-License-Identifier: MIT
"""How good features and layers are, against regions that people drew and against true mattes; prints Markdown tables.

Usage: python -m benchmarks.quality_semantic DATA [--parts auc regions mattes] [--systems ...] [--limit N]
       [--weights FILE]

DATA holds segmentation/val (images/, labels/) and matting (image/, alpha/). Three measures:

auc      area under the ROC curve by which the distance of two pixels' features tells whether they lie in one region or
         in two: 6000 random pairs of an image, mean over images; after guided filter and reduction to three channels
regions  segmentation covering: for every region the best soft intersection over union (sum of minima over sum of
         maxima) with a layer or a union of layers, weighted by area, on the images named bsds_*
mattes   sum of absolute differences / 1000 and mean squared difference between the true alpha and the best union of
         layers
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import fastsoft
from benchmarks.peers import RESULTS, head_of_results, write_results
from fastsoft.semantic import compute_features, preprocess_features

N_PAIRS = 6000
N_LAYERS = 5
PARTS = ("auc", "regions", "mattes")


def read_labels(path: Path) -> Any:
    from PIL import Image

    with Image.open(path) as picture:
        return np.asarray(picture).astype(np.int64)


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
    """Yield the sum of every set of layers but the empty one."""
    n = alphas.shape[2]
    for size in range(1, n + 1):
        for chosen in itertools.combinations(range(n), size):
            yield alphas[:, :, chosen].sum(axis=2)


def covering(alphas: Any, labels: Any) -> float:
    """Return the segmentation covering of the regions by layers and unions of layers."""
    best: dict[int, float] = defaultdict(float)
    regions, counts = np.unique(labels[labels != 0], return_counts=True)
    known = labels != 0
    for union in unions(alphas):
        inside = union[known]
        which = labels[known]
        total = inside.sum(dtype=np.float64)
        # Within a region the minimum is the alpha and the maximum 1; outside it the maximum is the alpha.
        overlap = np.bincount(which, weights=inside, minlength=int(regions.max()) + 1)
        for region, count in zip(regions, counts, strict=True):
            value = overlap[region] / (count + total - overlap[region])
            best[int(region)] = max(best[int(region)], float(value))
    return float(sum(best[int(r)] * c for r, c in zip(regions, counts, strict=True)) / counts.sum())


def matte_errors(alphas: Any, truth: Any) -> tuple[float, float]:
    """Return SAD / 1000 and MSE of the union that has the least SAD."""
    errors = [(float(np.abs(u - truth).sum()) / 1000, float(((u - truth) ** 2).mean())) for u in unions(alphas)]
    return min(errors)


def systems(weights: str | None) -> dict[str, Callable[[Any, Any], Any]]:
    """Return, by name, functions from an image and its regions to what `fastsoft.segment` takes as features."""

    def untrained(image: Any, _: Any) -> Any:
        import torch
        import torch.nn.functional as F

        from fastsoft.semantic.network_features import load_network
        from fastsoft.weights import read_weights

        network = load_network(*read_weights(weights))
        torch.manual_seed(0)
        fresh = type(network)(network.backbone_name)
        fresh.base.load_state_dict(network.base.state_dict())
        fresh.eval()
        with torch.inference_mode():
            raw = fresh(torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))), 4)
            full = F.interpolate(raw[None], image.shape[:2], mode="bilinear", align_corners=False)[0]
        return preprocess_features(np.ascontiguousarray(full.permute(1, 2, 0).numpy()), image)

    trained: dict[str, Callable[[Any, Any], Any]] = {
        "hypercolumn": lambda image, labels: f"hypercolumn:{weights}",
        "untrained head": untrained,
    }
    return {
        **({} if weights is None else trained),
        "lowlevel": lambda image, labels: "lowlevel",
        "human regions": lambda image, labels: labels,
        "spectral matting": lambda image, labels: None,
    }


def layers_of(name: str, features: Any, image: Any) -> Any:
    if name == "spectral matting":
        return fastsoft.spectral_matting(image, n_layers=N_LAYERS, features="lowlevel").alphas
    return fastsoft.segment(image, features=features, n_layers=N_LAYERS).alphas


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, help="folder with segmentation/val and matting")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--systems", nargs="+", choices=list(systems("")), default=list(systems("")))
    parser.add_argument("--weights", help="also measure the features of this network, trained and with a fresh head")
    parser.add_argument("--limit", type=int, help="at most so many images of each part, evenly spread")
    parser.add_argument("--output", type=Path, default=RESULTS / "quality_semantic.md")
    options = parser.parse_args(arguments)
    chosen = {name: make for name, make in systems(options.weights).items() if name in options.systems}
    lines = head_of_results("Quality of semantic soft segmentation", "benchmarks.quality_semantic", arguments)
    print("\n".join(lines), flush=True)

    def add(line: str) -> None:
        lines.append(line)
        print(line, flush=True)

    def spread(paths: list[Path]) -> list[Path]:
        n = len(paths) if options.limit is None else min(options.limit, len(paths))
        return [paths[i * len(paths) // n] for i in range(n)]

    validation = options.data / "segmentation" / "val"
    for part in options.parts:
        found: dict[str, dict[str, list[Any]]] = {name: defaultdict(list) for name in chosen}
        if part == "mattes":
            paths = spread(sorted((options.data / "matting" / "image").glob("*.png")))
        else:
            pattern = "bsds_*.jpg" if part == "regions" else "*.jpg"
            paths = spread(sorted((validation / "images").glob(pattern)))
        for path in paths:
            image = fastsoft.read_image(path).astype(np.float32)
            if part == "mattes":
                truth = fastsoft.read_image(options.data / "matting" / "alpha" / path.name)[:, :, 0]
                labels = (truth > 0.5).astype(np.int64)
            else:
                labels = read_labels(validation / "labels" / f"{path.stem}.png")
            for name, make in chosen.items():
                if part == "auc":
                    if name in ("spectral matting", "human regions"):
                        continue
                    value = pair_auc(compute_features(image, make(image, labels)).values, labels)
                else:
                    alphas = layers_of(name, make(image, labels), image)
                    value = covering(alphas, labels) if part == "regions" else matte_errors(alphas, truth)
                if value is not None:
                    found[name][path.stem.partition("_")[0]].append(value)
        add("")
        add(f"## {part}: {len(paths)} images")
        add("")
        sources = sorted({source for per in found.values() for source in per}) if part == "auc" else []
        columns = {"auc": ["all", *sources], "regions": ["covering"], "mattes": ["SAD / 1000", "MSE"]}[part]
        add("| system | " + " | ".join(columns) + " |")
        add("|" + " --- |" * (len(columns) + 1))
        for name, per in found.items():
            values = [v for source in per.values() for v in source]
            if not values:
                continue
            means = np.atleast_1d(np.mean(values, axis=0))
            cells = [f"{v:.4f}" for v in means] + [f"{np.mean(per[s]):.4f}" for s in sources]
            add(f"| {name} | " + " | ".join(cells) + " |")
    write_results(options.output, lines)
    return 0


if __name__ == "__main__":
    sys.exit(main())
