# SPDX-License-Identifier: MIT
from __future__ import annotations

import numpy as np
import pytest
import torch

import fastsoft
from fastsoft.color.models import convert_published_weights, load_model
from fastsoft.color.network import AlphaPredictor, ResiduePredictor
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

# Of small tests.
PALETTE = np.array([[0.9, 0.1, 0.1], [0.1, 0.2, 0.8], [0.9, 0.9, 0.2]])


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


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Both published networks for three colours, untrained."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(2)
    torch.save(AlphaPredictor(3).state_dict(), folder / "a.pth")
    torch.save(ResiduePredictor(3).state_dict(), folder / "r.pth")
    convert_published_weights(folder / "a.pth", folder / "r.pth", folder / "w.safetensors")
    return folder / "w.safetensors"


@pytest.fixture
def image(rng):
    smooth = fastsoft.guided_filter(np.zeros((60, 77)), rng.random((60, 77, 3)), radius=3, epsilon=1.0)
    return ((smooth - smooth.min()) / np.ptp(smooth)).astype(np.float32)
