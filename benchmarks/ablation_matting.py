# SPDX-License-Identifier: MIT
"""What the preparation of foregrounds and colour augmentation are worth: short trainings with and without them.

Usage: python -m benchmarks.ablation_matting DATA --initial FILE --work DIR [--seeds 0 1] [--steps 800]

DATA holds matting/ with foregrounds/ and the true mattes, and segmentation/train/ for backgrounds; FILE is the encoder
to start from. Every arm is trained with the same budget, in one thread, on the folder's foregrounds alone and with no
other change of colours than its own; then it is measured like `benchmarks.quality_matting`. DIR keeps the runs: the
command goes on where it was interrupted.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

import fastsoft
from benchmarks.quality_matting import COLUMNS, TRIMAPS, measure, network
from benchmarks.quality_semantic import spread_text
from benchmarks.report import RESULTS, head_of_results, write_results

# Name of an arm: what it says in the table, and the settings that it changes.
ARMS: dict[str, tuple[str, dict[str, Any]]] = {
    "full": ("estimate, RF and CA", {}),
    "norf": ("estimate and CA, no RF", {"refine": False}),
    "noca": ("estimate and RF, no CA", {"recolor": 0.0}),
    "rfonly": ("RF and CA, no estimate", {"estimate": False}),
    "raw": ("CA, neither estimate nor RF", {"estimate": False, "refine": False}),
}
COLORS_AS_FOUND = {"negative": 0.0, "permute": 0.0, "jitter": 0.0, "match": 0.0}


def train(arm: str, seed: int, options: argparse.Namespace) -> Path:
    """Train an arm, or go on with it, and return its weights."""
    import torch
    from tqdm import tqdm

    from fastsoft.matting.composition import CompositionData, CompositionSettings
    from fastsoft.matting.training import MattingTraining, train_matting

    # The same sums in the same order for all arms, whatever the machine.
    torch.set_num_threads(1)
    folder: Path = options.work / f"{arm}{seed}"
    composition = CompositionSettings(**{"procedural": 0.0, **COLORS_AS_FOUND, **ARMS[arm][1]})
    settings = MattingTraining(
        steps=options.steps,
        closed_form=True,
        color_posterior=True,
        learning_rate=1e-3,
        learning_rate_encoder=3e-4,
        average=0.995,
        bfloat16=True,
        seed=seed,
        composition=composition,
    )
    data = CompositionData(options.data / "matting" / "foregrounds", [options.data / "segmentation" / "train"])
    with tqdm(total=options.steps, desc=f"{arm}{seed}", mininterval=5) as bar:
        train_matting(
            data,
            settings,
            folder,
            initial_weights=options.initial,
            progress=lambda step, _: bar.update(step - bar.n),
        )
    return folder / "matting.safetensors"


def errors_of(weights: Path, options: argparse.Namespace) -> Any:
    """Return the four errors of every image and kind of trimap, (trimaps, images, 4)."""
    paths = sorted((options.data / "matting" / "image").glob("*.png"))
    system = network(weights, refine=False, augment=False)
    return np.array([[measure(system, path, kind, "adobe")[0][:4] for path in paths] for kind in TRIMAPS])


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--initial", type=Path, required=True, help="encoder: .safetensors")
    parser.add_argument("--work", type=Path, required=True, help="folder for the runs")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS), help="compared with the first of them")
    parser.add_argument("--output", type=Path, default=RESULTS / "ablation_matting.md")
    options = parser.parse_args(arguments)
    fastsoft.set_num_threads(1)
    found: dict[str, list[Any]] = {}
    for seed in options.seeds:
        for arm in options.arms:
            found.setdefault(arm, []).append(errors_of(train(arm, seed, options), options))
    lines = [
        *head_of_results("Foreground estimation, RF and CA in training", "benchmarks.ablation_matting", arguments),
        f"Trainings of {options.steps} updates, seeds {', '.join(map(str, options.seeds))}; errors on the true mattes, "
        "definitions `adobe`, means over images and seeds. Difference: SAD above that of the first row on the same "
        "image and seed, with the 95 % interval of the mean; above 0, what is left out helps.",
        "",
    ]
    for k, kind in enumerate(TRIMAPS):
        lines += [f"## Trimaps: {kind}", "", "| training | " + " | ".join(COLUMNS) + " | difference |"]
        lines.append("|" + " --- |" * (len(COLUMNS) + 2))
        first = np.array(found[options.arms[0]])[:, k]
        for arm in options.arms:
            values = np.array(found[arm])[:, k]
            means = values.mean(axis=(0, 1))
            cells = [f"{v:.{n}f}" for v, n in zip(means, COLUMNS.values(), strict=True)]
            difference = "" if arm == options.arms[0] else spread_text((values - first)[:, :, 0].ravel(), 2)
            lines.append("| " + " | ".join([ARMS[arm][0], *cells, difference]) + " |")
        lines.append("")
    write_results(options.output, lines[:-1])
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
