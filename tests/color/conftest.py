# SPDX-License-Identifier: MIT
from __future__ import annotations

import numpy as np
import pytest

from fastsoft.color.models import convert_published_weights, load_model
from fastsoft.image import read_image

# The palette that the authors' README gives for their photograph; the mean colours of their stored layers agree.
AUTHORS_PALETTE = np.array(
    [
        [253, 253, 254],
        [203, 194, 170],
        [83, 17, 22],
        [205, 118, 4],
        [220, 222, 11],
        [155, 24, 10],
        [171, 75, 67],
    ],
    dtype=np.float32,
) / np.float32(255)


@pytest.fixture(scope="session")
def authors_weights(shared, tmp_path_factory):
    """The authors' two networks in one .safetensors file."""
    folder = shared / "golden" / "fscs"
    path = tmp_path_factory.mktemp("weights") / "published.safetensors"
    convert_published_weights(folder / "mask_generator.pth", folder / "residue_predictor.pth", path)
    return path


@pytest.fixture(scope="session")
def authors_model(authors_weights):
    return load_model(authors_weights)


@pytest.fixture(scope="session")
def authors_photo(shared):
    """The authors' photograph, cut to multiples of 8 as they cut it."""
    return read_image(shared / "golden" / "fscs" / "apple.jpg")[:816, :896]
