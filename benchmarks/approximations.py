# SPDX-License-Identifier: MIT
"""What the approximations of a segmentation change in its layers; prints and writes a Markdown table.

Usage: python -m benchmarks.approximations PHOTO ... [--tolerances 1e-5 1e-3] [--shares 0.25]

Each photograph is segmented with features that are made once: eigenvectors to a residual of 1e-6 of the largest
eigenvalue, unreduced; then with looser tolerances, and with eigenvectors of a reduced photograph. Differences are means
over pixels and layers under the best assignment of layers.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

import fastsoft
from benchmarks.report import RESULTS, head_of_results, write_results
from benchmarks.stability import difference
from fastsoft.semantic import compute_features
from fastsoft.semantic.pipeline import TOLERANCE

STRICT = 1e-6


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("photos", nargs="+", type=Path)
    parser.add_argument("--tolerances", type=float, nargs="*", default=[1e-5, 1e-3, 1e-2])
    parser.add_argument("--shares", type=float, nargs="*", default=[0.25], help="of the pixels, for the eigenvectors")
    parser.add_argument("--output", type=Path, default=RESULTS / "approximations.md")
    options = parser.parse_args(arguments)
    cases: list[tuple[str, float, float]] = [
        *((f"tolerance {t:g}", t, 1.0) for t in options.tolerances),
        *((f"{share:g} of the pixels", TOLERANCE["stable"], share) for share in options.shares),
    ]
    lines = [
        *head_of_results("Approximations beside the exact path", "benchmarks.approximations", arguments),
        f"Mean difference of alphas to eigenvectors with a residual of {STRICT:g}, unreduced; in brackets the seconds "
        "of the eigenvectors.",
        "",
        "| photograph | exact | " + " | ".join(name for name, _, _ in cases) + " |",
        "|" + " --- |" * (len(cases) + 2),
    ]
    print("\n".join(lines), flush=True)
    for path in options.photos:
        image = fastsoft.read_image(path).astype(np.float32)
        n = image.shape[0] * image.shape[1]
        features = compute_features(image).values
        exact = fastsoft.segment(image, features=features, tolerance=STRICT, spectral_pixels=n)
        cells = [f"({exact.timings['eigenvectors']:.1f} s)"]
        for _, tolerance, share in cases:
            layers = fastsoft.segment(
                image, features=features, tolerance=tolerance, spectral_pixels=max(1, int(share * n))
            )
            cells.append(f"{difference(layers.alphas, exact.alphas):.1e} ({layers.timings['eigenvectors']:.1f} s)")
        lines.append(f"| {path.stem} | " + " | ".join(cells) + " |")
        print(lines[-1], flush=True)
    write_results(options.output, lines)
    return 0


if __name__ == "__main__":
    sys.exit(main())
