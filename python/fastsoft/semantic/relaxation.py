# SPDX-License-Identifier: MIT
"""Stage 6: layers that leave the space of the eigenvectors, as opaque or clear as the image allows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastsoft.layers.result import order_by_mass
from fastsoft.layers.simplex import project_to_simplex

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastsoft.semantic.laplacian import Laplacian

__all__ = ["Relaxation", "relax_layers"]


@dataclass(frozen=True, eq=False)
class Relaxation:
    """Output of stage 6.

    Attributes
    ----------
    relaxed : ndarray, shape (H, W, n)
        The minimiser, which may leave [0, 1] a little; layers in the order of stage 5.
    alphas : ndarray, shape (H, W, n)
        The nearest alphas in [0, 1] that sum to 1; the layer that covers most comes first.
    largest_correction : float
        Largest change of an alpha from one to the other.
    """

    relaxed: Any
    alphas: Any
    largest_correction: float


def relax_layers(
    image: Any,
    grouped: Any,
    laplacian: Laplacian,
    *,
    n_iterations: int = 20,
    progress: Callable[[float], None] | None = None,
) -> Relaxation:
    """Run the relaxed sparsification, the paper's section 3.4, and bring the result into range.

    Parameters
    ----------
    image : ndarray, shape (H, W, 3)
        Its gradient tells where soft transitions are expected.
    grouped : ndarray, shape (H, W, n)
        Layers of stage 5.
    laplacian : Laplacian
    n_iterations : int, default 20
        Reweighted solves.
    progress : callable, optional
        Called with the share that is done.

    Returns
    -------
    Relaxation

    Raises
    ------
    ConvergenceError
        If the last linear system is not solved to its tolerance.
    """
    from fastsoft.ops.image_gradient import image_gradient
    from fastsoft.ops.relax import relax_segments

    gradient = image_gradient(image)
    result = relax_segments(grouped, laplacian.operator, gradient, n_iterations=n_iterations, progress=progress)
    alphas, correction = project_to_simplex(result.segments)
    return Relaxation(result.segments, alphas[:, :, order_by_mass(alphas)], correction)
