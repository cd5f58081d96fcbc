# SPDX-License-Identifier: MIT
"""What networks lose whose convolutions are computed in bfloat16: colours, matting and features, on the CPU.

Usage: python -m benchmarks.precision DATA [--photos NAME ...] [--colors N] [--limit N] [--threads N] [--output FILE.md]

DATA holds photos/, and matting/ as for `benchmarks.quality_matting`. Of the colours: PSNR and sparsity of the network's
layers as `benchmarks.quality_color` has them, and how much alphas and exact colours, weighted by the alphas, change. Of
matting: the errors of `fastsoft.matting_errors` against the true alphas, in both precisions. Of the features: how much
the three components that segmentation sees change, after the best turn of the axes, beside their deviation over the
photograph. The arithmetic of bfloat16 on a CPU is that of a device: factors of 8 bits, sums in float32.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

import fastsoft
from benchmarks.quality_color import mean_squared_error, peak_signal_to_noise, sparsity
from benchmarks.quality_matting import TRIMAPS, load_case
from benchmarks.report import RESULTS, head_of_results, write_results

PRECISIONS = ("float32", "bfloat16")
PHOTOS = ("parrots_640x480.png", "rafting_640x480.png", "woman_480x640.png", "pigeon_1920x1080.jpg")


def colors(paths: list[Path], n_colors: int) -> list[str]:
    """Return the table of colour layers."""
    lines = [
        f"## Colour layers, {n_colors} colours",
        "",
        "| photograph | PSNR | PSNR, bfloat16 | sparsity | sparsity, bfloat16 | alphas, mean | alphas, 99.9 % "
        "| colours |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for path in paths:
        image = fastsoft.read_image(path)
        palette = fastsoft.color.color_palette(image, n_colors)
        cells, layers = [], []
        for precision in PRECISIONS:
            plain = fastsoft.decompose_colors(image, palette, exact=False, precision=precision)
            error = mean_squared_error(plain.recomposed(), image)
            cells.append((f"{peak_signal_to_noise(error):.2f}", f"{sparsity(plain.alphas):.4f}"))
            layers.append(fastsoft.decompose_colors(image, palette, precision=precision))
        exact, rough = layers
        change = np.abs(exact.alphas - rough.alphas)
        moved = np.abs(exact.colors - rough.colors).mean(axis=3)
        moved = float((moved * exact.alphas).sum() / exact.alphas.sum())
        spread = f"{change.mean():.5f} | {np.quantile(change, 0.999):.4f} | {moved:.5f}"
        psnr, sparse = zip(*cells, strict=True)
        lines.append(f"| {path.stem} | {' | '.join(psnr)} | {' | '.join(sparse)} | {spread} |")
        print(lines[-1], flush=True)
    return [*lines, ""]


def matting(folder: Path, limit: int | None) -> list[str]:
    """Return the tables of matting."""
    from fastsoft.matting import load_network, network_matting
    from fastsoft.matting.planes import extra_planes

    network = load_network()
    paths = sorted((folder / "image").iterdir())[:limit]
    lines: list[str] = []
    for trimap in TRIMAPS:
        lines += [
            f"## Matting, {trimap} trimaps, {len(paths)} images",
            "",
            "| image | SAD / 1000 | SAD, bfloat16 | MSE | MSE, bfloat16 | alpha of unknown pixels, mean |",
            "| --- | --- | --- | --- | --- | --- |",
        ]
        rows = []
        for path in paths:
            image, known, truth = load_case(path, trimap)
            extra = extra_planes(network.extra_channels, image, known)
            found = [
                network_matting(image, known, weights=network, extra=extra, precision=precision)
                for precision in PRECISIONS
            ]
            errors = [fastsoft.matting_errors(alpha.astype(np.float64), truth, known) for alpha in found]
            change = float(np.abs(found[0] - found[1])[known == 128].mean())
            sad, mse = ([getattr(error, name) for error in errors] for name in ("sad", "mse"))
            rows.append([*(value for value in sad), *mse, change])
            lines.append(f"| {path.stem} | {row_text(rows[-1])} |")
            print(lines[-1], flush=True)
        lines += [f"| mean | {row_text(np.mean(rows, axis=0))} |", ""]
    return lines


def row_text(values: Any) -> str:
    """Return the cells of a row of matting."""
    return " | ".join(f"{value:.{digits}f}" for value, digits in zip(values, (3, 3, 5, 5, 5), strict=True))


def features(paths: list[Path]) -> list[str]:
    """Return the table of features."""
    from fastsoft.semantic.features import preprocess_features, resize
    from fastsoft.semantic.network_features import STEP, enlarge, hypercolumn_features, load_network
    from fastsoft.weights import embedded_weights, read_weights

    network = load_network(*read_weights(embedded_weights("features", "none")[0]))
    lines = [
        "## Features",
        "",
        "| photograph | features, relative | components, mean | components, deviation |",
        "| --- | --- | --- | --- |",
    ]
    for path in paths:
        image = fastsoft.read_image(path)
        scale = min(1.0, 640 / max(image.shape[:2]))
        shape = (round(image.shape[0] * scale), round(image.shape[1] * scale))
        small = resize(image, shape).clip(0, 1)
        raw = [hypercolumn_features(small, network, precision=precision) for precision in PRECISIONS]
        relative = float(np.linalg.norm(raw[0] - raw[1]) / np.linalg.norm(raw[0] - raw[0].mean(axis=(0, 1))))
        components = [
            preprocess_features(enlarge(values.clip(-5, 5), shape, step=STEP), small).reshape(-1, 3) for values in raw
        ]
        exact, rough = (values - values.mean(axis=0) for values in components)
        turn, _, back = np.linalg.svd(rough.T.astype(np.float64) @ exact)
        change = float(np.abs(rough @ (turn @ back) - exact).mean())
        lines.append(f"| {path.stem} | {relative:.4f} | {change:.5f} | {float(exact.std()):.4f} |")
        print(lines[-1], flush=True)
    return [*lines, ""]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, help="folder with photos/ and matting/")
    parser.add_argument("--photos", nargs="+", default=PHOTOS, help="files in photos/")
    parser.add_argument("--colors", type=int, default=7, help="layers (default: 7)")
    parser.add_argument("--limit", type=int, help="of images for matting (default: all)")
    parser.add_argument("--threads", type=int, default=1, help="threads (default: 1)")
    parser.add_argument("--output", type=Path, default=RESULTS / "precision.md")
    options = parser.parse_args(arguments)
    fastsoft.set_num_threads(options.threads)
    import torch

    torch.set_num_threads(options.threads)
    paths = [options.data / "photos" / name for name in options.photos]
    for path in paths:
        if not path.is_file():
            parser.error(f"{path} must be a photograph, got no such file")
    lines = head_of_results("Networks in bfloat16", "benchmarks.precision", arguments)
    lines += [
        "Networks with convolutions in bfloat16 against the same in float32, on the CPU. PSNR and sparsity are those "
        "of the network's layers before exact recomposition; changes of colours are weighted by the alphas. Components "
        "are compared after the best turn of their axes.",
        "",
    ]
    lines += [*colors(paths, options.colors), *matting(options.data / "matting", options.limit), *features(paths)]
    write_results(options.output, lines[:-1])
    return 0


if __name__ == "__main__":
    sys.exit(main())
