# SPDX-License-Identifier: MIT
"""Preconditioned conjugate gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastsoft._checks import as_float_array, check_finite, check_int, check_number
from fastsoft._dispatch import find_place
from fastsoft.errors import ConvergenceError
from fastsoft.operators import operator_place, operator_terms
from fastsoft.ops.solver_info import SolverInfo

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastsoft._dispatch import Place

__all__ = ["PcgResult", "pcg"]


@dataclass(frozen=True)
class PcgResult:
    """Solution of `pcg`.

    Attributes
    ----------
    x : array
        Solution, of the shape, dtype and library of the right-hand side, on its device.
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
    operator : StencilMatrix, OperatorSum or sparse matrix, shape (N, N)
        Symmetric (not checked) and positive definite. Sparse matrices are those of SciPy and CuPy, and sparse CSR
        tensors of torch.
    b : array, shape (N,) or (N, k), float32 or float64
        Right-hand sides, solved independently of each other in one pass over the operator per iteration. Of NumPy,
        torch or CuPy, where the operator is: on the CPU or a CUDA device. Its dtype is the dtype of the computation;
        the operator is converted if it has another.
    x0 : array of the shape and dtype of `b`, optional
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

    On a CUDA device the work is enqueued on the current stream of the library of `b`; each iteration waits for it once,
    to read the sums of all right-hand sides. A callable gets and returns arrays of that library on the device; the
    residuals it gets are the solver's own and must not be written to.

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
    place = find_place(b=b, operator=operator_place(operator), x0=x0)
    b = as_float_array(b, "b", place)
    if b.ndim not in (1, 2):
        raise ValueError(f"b must have shape (N,) or (N, k), got {b.shape}")
    terms = operator_terms(operator, b.dtype, place=place)
    n = int(operator.shape[0])
    if n == 0:
        raise ValueError("operator must have at least one row, got shape (0, 0)")
    if b.shape[0] != n:
        raise ValueError(f"b must have {n} rows as the operator has, got shape {b.shape}")
    check_finite(b, "b")
    tolerance = check_number(tolerance, "tolerance", low=0.0, high=1.0, exclusive=True)
    max_iterations = check_int(max_iterations, "max_iterations", low=0, high=2**31 - 1)

    # Planar: each right-hand side contiguous.
    right = place.planar(b, b.dtype)
    x = place.empty(right.shape, b.dtype)
    if x0 is None:
        place.assign(x, 0)
    else:
        x0 = as_float_array(x0, "x0", place)
        if x0.shape != b.shape or x0.dtype != b.dtype:
            raise ValueError(f"x0 must have shape {b.shape} and dtype {b.dtype}, got {x0.shape} and {x0.dtype}")
        check_finite(x0, "x0")
        place.assign(x, place.planar(x0, b.dtype))

    inverse_diagonal = None
    function: Any = None
    if callable(preconditioner):
        function = _planar_preconditioner(preconditioner, b.shape, b.dtype, place)
    elif preconditioner == "jacobi":
        inverse_diagonal = _inverse_diagonal(terms, n, b.dtype, place)
    elif preconditioner is not None:
        raise ValueError(f"preconditioner must be 'jacobi', a callable or None, got {preconditioner!r}")

    found = place.native.pcg(terms, right, x, inverse_diagonal, function, tolerance, max_iterations, progress)
    columns = tuple(SolverInfo(*column) for column in found)
    info = SolverInfo(
        converged=all(column.converged for column in columns),
        iterations=max((column.iterations for column in columns), default=0),
        residual=max((column.residual for column in columns), default=0.0),
    )
    result = PcgResult(x=place.from_planar(x), info=info, columns=columns)
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


def _inverse_diagonal(terms: list[Any], n: int, dtype: Any, place: Place) -> Any:
    values = place.empty((n,), dtype)
    place.native.operator_diagonal(terms, values)
    diagonal = place.result(values)
    with place.scope():
        bad = int((~(diagonal > 0)).sum())
        if bad:
            raise ValueError(
                f"operator must have a positive diagonal for the Jacobi preconditioner, got {bad} entries that are not"
            )
        return place.contiguous(1 / diagonal, dtype)


def _planar_preconditioner(
    function: Callable[[Any], Any], shape: tuple[int, ...], dtype: Any, place: Place
) -> Callable[[Any], Any] | tuple[Any, ...]:
    """Wrap a preconditioner of arrays like `b` for native code, which holds one right-hand side per row.

    On the CPU that is a function of an array. On a device, whose arrays only Python can make, it is a function without
    arguments and two arrays: residuals, and what the function makes of them.
    """

    def preconditioned(residuals: Any) -> Any:
        out = place.read(function(residuals), "preconditioner's result")
        if out.shape != shape or out.dtype != dtype:
            raise ValueError(
                f"preconditioner must return shape {shape} and dtype {dtype}, got {out.shape} and {out.dtype}"
            )
        return place.planar(out, dtype)

    if not place.on_device:
        return lambda residuals: preconditioned(place.result(residuals).T.reshape(shape))

    vectors = (*shape[1:], shape[0])
    residuals, result = place.empty(vectors, dtype), place.empty(vectors, dtype)

    def planar() -> None:
        place.assign(result, preconditioned(place.from_planar(residuals)))

    return planar, residuals, result
