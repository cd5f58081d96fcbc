# SPDX-License-Identifier: MIT
from __future__ import annotations

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="package")
def foregrounds(tmp_path_factory):
    """Three foregrounds: a soft disc, a bar with a hard edge, and one with an alpha of 8 bits that strays."""
    folder = tmp_path_factory.mktemp("foregrounds")
    rng = np.random.default_rng(4)
    for name in ("image", "alpha"):
        (folder / name).mkdir()
    rows, cols = np.mgrid[:150, :180]
    disc = np.clip((50 - np.hypot(rows - 70, cols - 90)) / 12, 0, 1)
    bar = (abs(rows - 75) < 20).astype(float)
    stray = np.where(disc > 0.5, 253, 3) / 255
    for k, alpha in enumerate((disc, bar, stray)):
        color = rng.random(3) * 0.8 + 0.2 * rng.random((150, 180, 3))
        Image.fromarray((color * 255).astype(np.uint8)).save(folder / "image" / f"f{k}.png")
        Image.fromarray((alpha * 255 + 0.5).astype(np.uint8)).save(folder / "alpha" / f"f{k}.png")
    return folder


@pytest.fixture(scope="package")
def backgrounds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("backgrounds")
    rng = np.random.default_rng(5)
    (folder / "images").mkdir()
    for k, shape in enumerate([(90, 120), (140, 100)]):
        small = Image.fromarray(rng.integers(0, 256, (6, 5, 3), dtype=np.uint8))
        small.resize(shape[::-1], Image.Resampling.BICUBIC).save(folder / "images" / f"b{k}.png")
    return folder
