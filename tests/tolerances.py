# SPDX-License-Identifier: MIT
"""How far results of one operation may differ between backends, in multiples of the dtype's epsilon.

The CPU and a CUDA device do the same operations on the same numbers, in the order their loops need; they fuse products
and sums differently. Each row says what rounding grows by.
"""

from __future__ import annotations

import numpy as np

# operation -> (multiple, why)
PARITY = {
    "image_gradient": (30.0, "13 products of numbers up to 1, twice, then a norm: a few dozen roundings"),
    "guided_filter": (
        100.0,
        "window sums of up to 2 (2 radius + 1) numbers up to 5, the same terms in another order; divided by "
        "sqrt(epsilon), at least 0.1 in the tests that compare backends",
    ),
    "matting_laplacian": (
        12.0 * 9,
        "entries up to 9 are computed in double and rounded once; the diagonal sums 24 rounded numbers",
    ),
    "symmetric_operator": (
        30.0,
        "relative to the largest sum of magnitudes of a row: as many roundings as it has entries at most, which add "
        "up like a random walk",
    ),
}


def parity(operation: str, dtype: object) -> float:
    """Return the largest allowed difference between backends."""
    return PARITY[operation][0] * float(np.finfo(dtype).eps)
