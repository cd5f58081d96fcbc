# SPDX-License-Identifier: MIT
"""Preconditioned conjugate gradients, Barrett et al. 1994, figure 2.5, on dense float64 matrices."""

from __future__ import annotations

import numpy as np


def pcg(a, b, *, inverse_diagonal=None, tolerance=1e-6, max_iterations=1000):
    """Return x and the number of iterations for one right-hand side, starting from 0."""
    a = np.asarray(a, dtype=np.float64)
    m = np.ones(len(b)) if inverse_diagonal is None else inverse_diagonal
    x = np.zeros(len(b))
    r = b - a @ x
    rho = p = None
    for i in range(max_iterations):
        if np.linalg.norm(r) <= tolerance * np.linalg.norm(b):
            return x, i
        z = m * r
        previous, rho = rho, r @ z
        p = z if p is None else z + rho / previous * p
        q = a @ p
        alpha = rho / (p @ q)
        x = x + alpha * p
        r = r - alpha * q
    return x, max_iterations
