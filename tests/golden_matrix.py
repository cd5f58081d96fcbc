# SPDX-License-Identifier: MIT
"""Sparse matrices of the golden files."""

from __future__ import annotations

import numpy as np
from scipy import sparse


def golden_matrix(golden: dict[str, np.ndarray], key: str) -> sparse.csr_array:
    """Return a stored matrix, "W_L", "W_S", "W_C" or "L", as it was stored."""
    n = golden["image"].shape[0] * golden["image"].shape[1]
    triple = (golden[f"{key}_data"], golden[f"{key}_indices"], golden[f"{key}_indptr"])
    return sparse.csr_array(triple, shape=(n, n))
