# SPDX-License-Identifier: MIT
"""Exact recomposition as the quadratic programme that it is, solved for one channel of one pixel at a time."""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq, minimize


def solve(alphas, colors, value):
    """Minimise |v - colors|^2 subject to alphas . v = value and 0 <= v <= 1, by a general solver (SLSQP)."""
    start = np.full(len(colors), float(value))
    found = minimize(
        lambda v: ((v - colors) ** 2).sum(),
        start,
        jac=lambda v: 2 * (v - colors),
        bounds=[(0, 1)] * len(colors),
        constraints={"type": "eq", "fun": lambda v: alphas @ v - value, "jac": lambda v: alphas},
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 500},
    )
    assert found.success, found.message
    return found.x


def project_colors(alphas, colors, image):
    """The same through its optimality condition: v = clip(u + lambda a), with lambda by bracketing."""
    alphas, colors, image = (np.asarray(x, dtype=np.float64) for x in (alphas, colors, image))
    out = np.empty_like(colors)
    for row, col, channel in np.ndindex(image.shape):
        a, u, c = alphas[row, col], colors[row, col, :, channel], image[row, col, channel]
        c = np.clip(c, 0, a.sum())

        def missing(size, a=a, u=u, c=c):
            return a @ np.clip(u + size * a, 0, 1) - c

        # At this size every layer with an alpha that counts is at its bound.
        far = 2 / max(a[a > 1e-12].min(), 1e-12)
        if missing(0.0) == 0:
            size = 0.0
        elif missing(far) <= 0:
            size = far
        elif missing(-far) >= 0:
            size = -far
        else:
            size = brentq(missing, -far, far, xtol=1e-300, rtol=1e-15, maxiter=2000)
        out[row, col, :, channel] = np.clip(u + size * a, 0, 1)
    return out
