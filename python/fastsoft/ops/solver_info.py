# SPDX-License-Identifier: MIT
"""What every iterative solver reports."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SolverInfo"]


@dataclass(frozen=True)
class SolverInfo:
    """Outcome of an iterative solver.

    Attributes
    ----------
    converged : bool
        Whether the tolerance was met.
    iterations : int
        Iterations done.
    residual : float
        Last residual, in the norm and scale that the solver documents.
    """

    converged: bool
    iterations: int
    residual: float
