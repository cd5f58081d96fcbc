# SPDX-License-Identifier: MIT
"""Distance to the nearest pixel of a set, by looking at all of them."""

from __future__ import annotations

import numpy as np


def distance_transform(mask):
    rows, cols = np.nonzero(mask)
    here = np.indices(mask.shape)
    if rows.size == 0:
        return np.full(mask.shape, np.inf)
    squared = (here[0][..., None] - rows) ** 2 + (here[1][..., None] - cols) ** 2
    return np.sqrt(squared.min(axis=-1))
