# SPDX-License-Identifier: MIT
"""The matting network that comes with fastsoft, on photographs with true mattes that it was not trained on."""

from __future__ import annotations

import numpy as np
from PIL import Image

import fastsoft


def test_it_beats_the_closed_form_on_true_mattes(shared):
    """SAD over the unknown pixels of all 14, wide trimaps; benchmarks/results has the exact figures."""
    folder = shared / "data" / "matting"
    totals = np.zeros(2)
    for path in sorted((folder / "alpha").glob("*.png")):
        image = fastsoft.read_image(next((folder / "image").glob(f"{path.stem}.*")))
        trimap = np.asarray(Image.open(folder / "trimap_large" / path.name).convert("L"))
        truth = np.asarray(Image.open(path).convert("L")) / 255
        for k, method in enumerate(("closed_form", "network")):
            alpha = fastsoft.matte(image, trimap, method=method).alphas[:, :, 0].astype(np.float64)
            totals[k] += fastsoft.matting_errors(alpha, truth, trimap, measures=("sad",)).sad
    assert totals[1] < 0.85 * totals[0]
