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
    "pcg": (
        1e4,
        "relative to the largest number of the solution: rounding of the residual times the condition of the tests' "
        "systems, up to 500 with a shift of 0.1 and 5000 with 0.01",
    ),
    "relax": (
        2e4,
        "rounding of residuals relative to right-hand sides of the size of the sum's weight, 100, times weights up to "
        "160 that feed back from round to round",
    ),
    "superpixel_graph": (
        32.0,
        "means of numbers up to 1 and weights up to 1 are computed in double, in another order, and rounded once; in "
        "float64 the error function is steep: its argument's few roundings count up to six times",
    ),
    "symmetric_operator": (
        30.0,
        "relative to the largest sum of magnitudes of a row: as many roundings as it has entries at most, which add "
        "up like a random walk",
    ),
}

# Largest share of pixels whose cluster may be another one. Sums are formed in the same order, so that only pixels that
# lie between two clusters to within the rounding of a distance can fall to the other one; in float32 they are some
# ten-thousandths after ten iterations, in float64 hardly ever one.
SLIC_LABELS = {"float32": 2e-3, "float64": 2e-5}


def parity(operation: str, dtype: object) -> float:
    """Return the largest allowed difference between backends."""
    return PARITY[operation][0] * float(np.finfo(dtype).eps)
