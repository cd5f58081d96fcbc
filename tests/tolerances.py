# SPDX-License-Identifier: MIT
"""How far results of one operation may differ between backends, in multiples of the dtype's epsilon.

The CPU and a CUDA device do the same operations on the same numbers, in the order their loops need; they fuse products
and sums differently. Each row says what rounding grows by.
"""

from __future__ import annotations

import numpy as np

# operation -> (multiple, why)
PARITY = {
    "blur_fusion": (
        100.0,
        "means over windows of up to 200 x 200 numbers that are not negative, summed in another order, times 3 in the "
        "last step",
    ),
    "estimate_foreground": (
        100.0,
        "multi-level: each of up to a hundred visits of a pixel averages its neighbours and adds a correction of up to "
        "1, with a few roundings each",
    ),
    "image_gradient": (30.0, "13 products of numbers up to 1, twice, then a norm: a few dozen roundings"),
    "graph_laplacian": (
        40.0,
        "entries are rounded once; those of a diagonal sum up to 24 weights up to 1, or n / 5 in sparse rows, and the "
        "roots of such sums scale the normalised one",
    ),
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
    "project_colors": (
        30.0,
        "per layer and weighted by its alpha: each side solves the constraint to some roundings per layer",
    ),
    "sparsify_segments": (
        4000.0,
        "sums over pixels in another order, a few dozen roundings, which weights of up to clamp^-1.2 = 250 amplify in "
        "each of a few iterations",
    ),
    "combine_eigenvectors": (20.0, "a sum of up to 120 products of sizes that fall from 1"),
    "refine_foreground": (
        50.0,
        "roundings of averages spread like a diffusion: they add as the root of the number of updates, 36",
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
    "unmixing": (
        1000.0,
        "scores reach some tens, distances over a small scale, and alphas inherit their rounding; a step multiplies "
        "errors by at most 2",
    ),
}

# Largest share of pixels whose cluster may be another one. Sums are formed in the same order, so that only pixels that
# lie between two clusters to within the rounding of a distance can fall to the other one; in float32 they are some
# ten-thousandths after ten iterations, in float64 hardly ever one.
SLIC_LABELS = {"float32": 2e-3, "float64": 2e-5}

# Largest share of points that may be in another cluster after a few iterations in float32: those between two centres to
# within the rounding of a distance, and those passed by a border that these moved.
KMEANS_LABELS = 5e-3


def parity(operation: str, dtype: object) -> float:
    """Return the largest allowed difference between backends."""
    return PARITY[operation][0] * float(np.finfo(dtype).eps)
