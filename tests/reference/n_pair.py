# SPDX-License-Identifier: MIT
"""The loss of the metric learning, pair by pair."""

from __future__ import annotations

import numpy as np


def n_pair_loss(features, labels):
    """Mean over all pairs: log((1 + exp(D)) / 2) within a region, log(1 + exp(-D)) between regions."""
    total = 0.0
    for p, f in enumerate(features):
        for q, g in enumerate(features):
            distance = ((f - g) ** 2).sum() / len(f)
            total += np.log((1 + np.exp(distance)) / 2) if labels[p] == labels[q] else np.log(1 + np.exp(-distance))
    return total / len(features) ** 2
