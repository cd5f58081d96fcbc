# SPDX-License-Identifier: MIT
"""Preconditioned conjugate gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastsoft._checks import as_float_array, check_finite, check_int, check_number
from fastsoft._native import cpu
from fastsoft.errors import ConvergenceError
from fastsoft.operators import operator_terms
from fastsoft.ops.solver_info import SolverInfo

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["PcgResult", "pcg"]


@dataclass(frozen=True)
class PcgResult:
    """Solution of `pcg`.

    Attributes
    ----------
    x : ndarray
        Solution, of the shape and dtype of the right-hand side.
    info : SolverInfo
        Of all right-hand sides together: `converged` if all are, the largest number of `iterations`, the largest
        relative `residual` ``||b - A x|| / ||b||``.
    columns : tuple of SolverInfo
        The same for each right-hand side.
    """

    x: Any
    info: SolverInfo
    columns: tuple[SolverInfo, ...]


def pcg(
    operator: Any,
    b: Any,
    *,
    x0: Any = None,
    preconditioner: str | Callable[[Any], Any] | None = "jacobi",
    tolerance: float = 1e-6,
    max_iterations: int = 1000,
    allow_unconverged: bool = False,
    progress: Callable[[float], None] | None = None,
) -> PcgResult:
    r"""Solve ``operator @ x = b`` for a symmetric positive definite operator.

    Parameters
    ----------
    operator : StencilMatrix, OperatorSum or SciPy sparse matrix, shape (N, N)
        Symmetric (not checked) and positive definite.
    b : ndarray, shape (N,) or (N, k), float32 or float64
        Right-hand sides, solved independently of each other in one pass over the operator per iteration. Its
        dtype is the dtype of the computation; the operator is converted if it has another.
    x0 : ndarray of the shape and dtype of `b`, optional
        First iterate. Default: zeros.
    preconditioner : {"jacobi"}, callable or None, optional
        ``"jacobi"`` divides by the diagonal, which must then be positive. A callable gets residuals, read-only, of
        the shape of `b`, and returns a new array of that shape and dtype; it must be linear, symmetric
        and positive definite. None uses none.
    tolerance : float, optional
        A right-hand side is done when ``||b - operator @ x|| <= tolerance * ||b||`` in the 2-norm. Not below a
        few rounding errors of the dtype. Default 1e-6.
    max_iterations : int, optional
        Iterations per right-hand side.
    allow_unconverged : bool, optional
        Return the best iterate instead of raising `ConvergenceError`.
    progress : callable, optional
        Called with the fraction done, on the scale of the residual's logarithm; an exception raised in it ends the
        solver.

    Returns
    -------
    PcgResult
        Solution and, for each right-hand side, iterations and residual.

    Raises
    ------
    ConvergenceError
        If a right-hand side has not converged: too few iterations, a tolerance below what the dtype can reach, or
        an operator (or preconditioner) that is not positive definite. Its `result` is a `PcgResult` with the iterate
        of smallest residual.
    TypeError, ValueError
        If an argument has the wrong type, shape or range, or a diagonal entry is not positive for ``"jacobi"``.

    Notes
    -----
    Each iteration costs one product with the operator and five passes over vectors. Workspace: three vectors per
    right-hand side, one more with a callable and one more as soon as a residual rises. Before a solution is
    returned, its residual is computed from scratch; the iteration restarts from it where rounding had hidden that
    it was too large. The result has the same bits for any number of threads.

    References
    ----------
    .. [1] R. Barrett et al., "Templates for the Solution of Linear Systems: Building Blocks for Iterative Methods",
       2nd edition, SIAM, 1994, section 2.3.1. :doi:`10.1137/1.9781611971538`

    Examples
    --------
    >>> import fastsoft
    >>> import numpy as np
    >>> from scipy import sparse
    >>> a = sparse.diags_array([-1.0, 2.5, -1.0], offsets=[-1, 0, 1], shape=(100, 100)).tocsr()
    >>> result = fastsoft.pcg(a, np.ones(100), tolerance=1e-10)
    >>> bool(np.allclose(a @ result.x, 1.0))
    True
    >>> result.info.converged
    True
    """
    b = as_float_array(b, "b")
    if b.ndim not in (1, 2):
        raise ValueError(f"b must have shape (N,) or (N, k), got {b.shape}")
    terms = operator_terms(operator, b.dtype)
    n = int(operator.shape[0])
    if n == 0:
        raise ValueError("operator must have at least one row, got shape (0, 0)")
    if b.shape[0] != n:
        raise ValueError(f"b must have {n} rows as the operator has, got shape {b.shape}")
    check_finite(b, "b")
    tolerance = check_number(tolerance, "tolerance", low=0.0, high=1.0, exclusive=True)
    max_iterations = check_int(max_iterations, "max_iterations", low=0, high=2**31 - 1)

    # Planar: each right-hand side contiguous.
    right = np.ascontiguousarray(b.reshape(n, -1).T)
    if x0 is None:
        x = np.zeros_like(right)
    else:
        x0 = as_float_array(x0, "x0")
        if x0.shape != b.shape or x0.dtype != b.dtype:
            raise ValueError(f"x0 must have shape {b.shape} and dtype {b.dtype}, got {x0.shape} and {x0.dtype}")
        check_finite(x0, "x0")
        x = np.array(x0.reshape(n, -1).T, order="C")

    inverse_diagonal = None
    function = None
    if callable(preconditioner):
        function = _planar_preconditioner(preconditioner, b.shape)
    elif preconditioner == "jacobi":
        inverse_diagonal = _inverse_diagonal(terms, n, b.dtype)
    elif preconditioner is not None:
        raise ValueError(f"preconditioner must be 'jacobi', a callable or None, got {preconditioner!r}")

    found = cpu.pcg(terms, right, x, inverse_diagonal, function, tolerance, max_iterations, progress)
    columns = tuple(SolverInfo(*column) for column in found)
    info = SolverInfo(
        converged=all(column.converged for column in columns),
        iterations=max((column.iterations for column in columns), default=0),
        residual=max((column.residual for column in columns), default=0.0),
    )
    result = PcgResult(x=x.T.reshape(b.shape), info=info, columns=columns)
    if not info.converged and not allow_unconverged:
        failed = [column for column in columns if not column.converged]
        worst = max(failed, key=lambda column: column.residual)
        message = (
            f"pcg stopped after {worst.iterations} of {max_iterations} iterations at a relative residual of "
            f"{worst.residual:.2e}, tolerance {tolerance:.2e} ({len(failed)} of {len(columns)} right-hand sides)"
        )
        if any(column.iterations < max_iterations for column in failed):
            message += ": the operator or its preconditioner is not positive definite"
        raise ConvergenceError(message, result)
    return result


def _inverse_diagonal(terms: list[Any], n: int, dtype: Any) -> Any:
    diagonal = np.empty(n, dtype=dtype)
    cpu.operator_diagonal(terms, diagonal)
    bad = int(np.count_nonzero(~(diagonal > 0)))
    if bad:
        raise ValueError(
            f"operator must have a positive diagonal for the Jacobi preconditioner, got {bad} entries that are not"
        )
    return 1 / diagonal


def _planar_preconditioner(function: Callable[[Any], Any], shape: tuple[int, ...]) -> Callable[[Any], Any]:
    """Wrap a preconditioner of arrays like `b` for native code, which holds one right-hand side per row."""

    def planar(residuals: Any) -> Any:
        out = np.asarray(function(residuals.T.reshape(shape)))
        if out.shape != shape or out.dtype != residuals.dtype:
            raise ValueError(
                f"preconditioner must return shape {shape} and dtype {residuals.dtype}, got {out.shape} and {out.dtype}"
            )
        return np.ascontiguousarray(out.reshape(shape[0], -1).T)

    return planar
