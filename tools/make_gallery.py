# SPDX-License-Identifier: MIT
"""Makes the pictures of docs/gallery.md: for every photograph its features, its layers and an edit, on one sheet.

Usage: python tools/make_gallery.py PHOTO ... -o FOLDER [--edit accent] [--features SOURCE] [--longer-side 960]
           [--layers 5] [--kilobytes 100] [--threads N]

Writes FOLDER/NAME.jpg, 900 pixels wide: the photograph, its features as RGB, its layers in solid colours, the edit, and
below every layer alone. Which layer is edited follows from the layers, so that no sheet is helped along by hand:

accent  the most salient layer keeps its colours, everything else turns grey
dusk    the layer that covers most of the upper edge is painted with an evening sky
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from contact_sheet import GAP, eight_bit, feature_picture, fit, framed, row_of, stack_of, write_jpeg

import fastsoft
from fastsoft.layers import Layers, layer_colors
from fastsoft.semantic.features import resize

WIDTH = 900

# Rec. 709 weights, applied to the file's values as they are.
_LUMA = np.array([0.2126, 0.7152, 0.0722])

# Upper and lower end of the evening sky.
_SKY = np.array([[0.20, 0.22, 0.50], [1.00, 0.60, 0.38]])


def saliency(alphas: Any, features: Any) -> Any:
    """Return how much every layer looks like an object: large, apart from the border, in the middle, unlike the rest.

    The product of four factors: the square root of the layer's mass m; exp(-c^2 / 2) with the contact c with the
    picture's border, the alphas on it over sqrt(m) (Zhu et al., "Saliency optimization from robust background
    detection", CVPR 2014, :doi:`10.1109/CVPR.2014.360`); the distance of its mean features from those of all else; and
    the mean over the layer of a Gaussian about the centre, a third of height and width broad.
    """
    height, width = alphas.shape[:2]
    alphas = alphas.astype(np.float64)
    mass = np.maximum(alphas.sum(axis=(0, 1)), 1e-12)
    edges = (alphas[0], alphas[-1], alphas[1:-1, 0], alphas[1:-1, -1])
    contact = sum(edge.sum(axis=0) for edge in edges) / np.sqrt(mass)
    sums = np.einsum("hwk,hwc->kc", alphas, features)
    others = np.maximum(height * width - mass, 1e-12)
    contrast = np.linalg.norm(sums / mass[:, None] - (sums.sum(axis=0) - sums) / others[:, None], axis=1)
    near = [np.exp(-(((np.arange(size) + 0.5) / size - 0.5) ** 2) * 4.5) for size in (height, width)]
    central = np.einsum("hwk,h,w->k", alphas, *near) / mass
    return np.sqrt(mass) * np.exp(-(contact**2) / 2) * contrast * central


def top_layer(alphas: Any) -> int:
    """Return the layer that covers most of the picture's upper edge, a fiftieth of its height."""
    rows = max(1, round(alphas.shape[0] / 50))
    return int(np.argmax(alphas[:rows].sum(axis=(0, 1), dtype=np.float64)))


def accent(image: Any, alphas: Any, features: Any) -> tuple[Any, int]:
    """Turn all but the most salient layer grey; return the picture and the layer's number."""
    layer = int(np.argmax(saliency(alphas, features)))
    alpha = alphas[:, :, layer, None]
    grey = (image @ _LUMA)[:, :, None]
    return alpha * image + (1 - alpha) * 0.8 * grey, layer


def dusk(image: Any, alphas: Any, _: Any) -> tuple[Any, int]:
    """Paint the uppermost layer with an evening sky, keeping half of its shading; return picture and number."""
    layer = top_layer(alphas)
    alpha = alphas[:, :, layer, None]
    rows = np.flatnonzero(alphas[:, :, layer].mean(axis=1) > 0.05)
    height = max(1, int(rows.max()) if len(rows) else image.shape[0] - 1)
    down = np.clip(np.arange(image.shape[0]) / height, 0, 1)[:, None, None]
    sky = (1 - down) * _SKY[0] + down * _SKY[1]
    grey = (image @ _LUMA)[:, :, None]
    mean = float((alpha * grey).sum() / max(float(alpha.sum()), 1e-12))
    return alpha * sky * (1 + 0.5 * (grey - mean)) + (1 - alpha) * image, layer


EDITS = {"accent": accent, "dusk": dusk}


def sheet(layers: Layers, features: Any, edited: Any) -> Any:
    """Arrange the panels of one photograph, (H, WIDTH, 3), uint8."""
    colors = layer_colors(layers.n_layers)
    panels = [eight_bit(layers.image), feature_picture(features), eight_bit(layers.alphas @ colors), eight_bit(edited)]
    height, width = layers.image.shape[:2]
    per_row = 2 if width > height else 4
    extent = (WIDTH - (per_row - 1) * GAP) // per_row
    panels = [fit(panel, extent, 10 * extent) for panel in panels]
    rows = [row_of(panels[i : i + per_row]) for i in range(0, len(panels), per_row)]
    n = layers.n_layers
    extent = (WIDTH - (max(n, 5) - 1) * GAP) // max(n, 5)
    alone = []
    for k in range(n):
        alpha = layers.alphas[:, :, k, None]
        alone.append(framed(fit(eight_bit(alpha * colors[k] + (1 - alpha)), extent, 10 * extent)))
    return stack_of([*rows, row_of(alone)])


def load(path: Path, longer_side: int | None) -> Any:
    """Read a photograph, scaled down to the longer side if it is larger."""
    image = fastsoft.read_image(path)
    height, width = image.shape[:2]
    if longer_side is None or max(height, width) <= longer_side:
        return image
    scale = longer_side / max(height, width)
    return np.clip(resize(image, (max(3, round(height * scale)), max(3, round(width * scale)))), 0, 1)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("photos", nargs="+", type=Path, metavar="PHOTO")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the pictures")
    parser.add_argument("--edit", choices=EDITS, default="accent")
    parser.add_argument("--features", help="as of fastsoft segment (default: its default)")
    parser.add_argument("--longer-side", type=int, default=960, help="larger photographs are scaled down; 0: never")
    parser.add_argument("--layers", type=int, default=5)
    parser.add_argument("--kilobytes", type=int, default=100, help="largest file (default: %(default)s)")
    parser.add_argument("--threads", type=int, help="(default: all processors)")
    options = parser.parse_args(arguments)
    names = [photo.stem for photo in options.photos]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        parser.error(f"photographs must have names of their own, got {twice[0]} more than once")
    if options.threads is not None:
        import torch

        fastsoft.set_num_threads(options.threads)
        torch.set_num_threads(options.threads)
    options.output.mkdir(parents=True, exist_ok=True)
    chosen = {} if options.features is None else {"features": options.features}
    for k, photo in enumerate(options.photos):
        started = time.perf_counter()
        image = load(photo, options.longer_side or None)
        layers = fastsoft.segment(image, n_layers=options.layers, keep_stages=True, **chosen)
        assert layers.stages is not None
        features = layers.stages["features"].values
        edited, layer = EDITS[options.edit](image, layers.alphas, features)
        target = options.output / f"{photo.stem}.jpg"
        picture = sheet(layers, features, edited)
        quality = write_jpeg(target, picture, 1000 * options.kilobytes)
        print(
            f"{k + 1}/{len(options.photos)} {target.name}: {image.shape[1]}x{image.shape[0]}, {options.edit} of layer "
            f"{layer + 1}, {target.stat().st_size / 1000:.0f} kB at quality {quality}, "
            f"{time.perf_counter() - started:.0f} s",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
