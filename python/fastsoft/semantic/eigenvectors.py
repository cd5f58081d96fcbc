# SPDX-License-Identifier: MIT
"""Stage 4: the smooth functions on the image's graph, of which segments are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastsoft.semantic.laplacian import Laplacian

__all__ = ["Eigenvectors", "compute_eigenvectors"]


@dataclass(frozen=True, eq=False)
class Eigenvectors:
    """Output of stage 4.

    Attributes
    ----------
    values : ndarray, shape (k,)
        The smallest eigenvalues, ascending.
    vectors : ndarray, shape (N, k)
        Orthonormal columns.
    residuals : ndarray, shape (k,)
        Norm of ``L v - lambda v`` for each pair.
    """

    values: Any
    vectors: Any
    residuals: Any


def compute_eigenvectors(
    laplacian: Laplacian,
    n_eigenvectors: int,
    *,
    grid_shape: tuple[int, int],
    tolerance: float = 1e-5,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
) -> Eigenvectors:
    """Compute the eigenvectors of the smallest eigenvalues.

    Parameters
    ----------
    laplacian : Laplacian
    n_eigenvectors : int
    grid_shape : tuple of int
        Height and width of the image.
    tolerance : float, default 1e-5
        Largest residual, relative to the largest eigenvalue.
    seed : int, default 0
        Of the start vectors.
    progress : callable, optional
        Called with the share that is done.

    Returns
    -------
    Eigenvectors

    Raises
    ------
    ConvergenceError
        If the tolerance is not met.
    """
    from fastsoft.ops.lanczos import smallest_eigenvectors

    result = smallest_eigenvectors(
        laplacian.operator, n_eigenvectors, grid_shape=grid_shape, tolerance=tolerance, seed=seed, progress=progress
    )
    return Eigenvectors(result.eigenvalues, result.eigenvectors, result.residuals)
