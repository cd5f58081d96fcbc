# SPDX-License-Identifier: MIT
"""The Python examples of README and docs/ run."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = [
    pytest.param(block, id=f"{name}-{index}")
    for name in ("README.md", "docs/index.md")
    for index, block in enumerate(
        re.findall(r"```python\n(.*?)```", (ROOT / name).read_text(encoding="utf-8"), flags=re.DOTALL)
    )
]


@pytest.fixture
def folder_with_photo(tmp_path, monkeypatch):
    """The working directory, with a small photo.jpg and features.npy in it."""
    rng = np.random.default_rng(2)
    image = np.full((48, 64, 3), (0.2, 0.5, 0.8))
    image[10:30, 8:30] = (0.9, 0.2, 0.1)
    image[20:44, 36:60] = (0.1, 0.6, 0.2)
    image = (image + rng.normal(0, 0.02, image.shape)).clip(0, 1)
    Image.fromarray((255 * image).round().astype(np.uint8)).save(tmp_path / "photo.jpg")
    np.save(tmp_path / "features.npy", image)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("code", EXAMPLES)
@pytest.mark.usefixtures("folder_with_photo")
def test_example_runs(code):
    exec(compile(code, "example", "exec"), {})
