# SPDX-License-Identifier: MIT
from __future__ import annotations

import numpy as np
import pytest


def make_scene(height, width, dtype=np.float64, seed=7):
    """Three objects of their own colour and feature with soft borders and a little noise: image, features, truth."""
    rng = np.random.default_rng(seed)
    row, col = np.mgrid[:height, :width] / max(height, width)
    disc = 1 / (1 + np.exp((np.hypot(row - 0.35, col - 0.3) - 0.18) * 80))
    ground = (1 - disc) / (1 + np.exp((0.55 - row - 0.1 * np.sin(6 * col)) * 80))
    alphas = np.stack([1 - disc - ground, ground, disc], axis=2)
    colors = np.array([[0.5, 0.7, 0.95], [0.25, 0.45, 0.15], [0.9, 0.3, 0.2]])
    image = (alphas @ colors + rng.normal(0, 0.01, (height, width, 3))).clip(0, 1)
    features = np.eye(3)[alphas.argmax(axis=2)] * 0.8 + 0.1
    return image.astype(dtype), features.astype(dtype), alphas


@pytest.fixture(scope="session")
def scene():
    return make_scene(48, 64)
