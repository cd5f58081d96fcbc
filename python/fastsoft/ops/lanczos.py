# SPDX-License-Identifier: MIT
"""Smallest eigenpairs of a symmetric matrix: block Lanczos on its inverse or on a polynomial of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fastsoft._checks import check_choice, check_int, check_number
from fastsoft.errors import ConvergenceError
from fastsoft.operators import OperatorSum, StencilMatrix, operator_terms
from fastsoft.ops.solver_info import SolverInfo

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastsoft._dispatch import Place

__all__ = ["EigenResult", "smallest_eigenvectors"]

# Vectors multiplied together: enough to make products of the factor bound by arithmetic instead of memory; more
# cost Krylov steps. 16 numbers are one AVX-512 vector in float32.
BLOCK_SIZE = 16

# Lanczos vectors per wanted pair. With 2.3 of them convergence takes one block less at most.
BASIS_SHARE = 1.6
# Default shift: minus this share of lambda_max at 640x480, growing with the wanted eigenvalues, that is with the
# spacing of pixels. Below the smallest eigenvalue of most photographs: the factorisation is then Cholesky's, which is
# stable in float32. Where it is not below, the shift is lowered (see below). From five times as far, convergence takes
# two or three blocks more; nearer, nothing is gained.
SHIFT_SHARE = 2e-5
SHIFT_PIXELS = 640 * 480

# Eigenvalues that may lie below the shift before it is lowered: without pivoting, float32 loses digits with each.
MAX_NEGATIVE = {"float32": 2, "float64": 32}


@dataclass(frozen=True)
class EigenResult:
    """Eigenpairs in ascending order.

    Attributes
    ----------
    eigenvalues : ndarray, shape (k,), float64
        NumPy's, wherever the operator is.
    eigenvectors : array, shape (N, k)
        Unit columns, in the operator's dtype, Fortran-ordered (each vector is contiguous); of the library and on the
        device of the operator.
    residuals : ndarray, shape (k,), float64
        ``||A v - lambda v||`` of each pair, as computed from the returned vectors.
    lambda_max : float
        Estimate of the largest eigenvalue, to which the tolerance is relative.
    shift : float or None
        Shift that was used, None without shift-invert.
    n_below_shift : int
        Eigenvalues below the shift, counted by the factorisation (0 without shift-invert).
    info : SolverInfo
        Block products or solves, and the largest residual relative to `lambda_max`.
    factor_bytes : int
        Size of the factor, 0 without shift-invert.
    factor_flops : float
        Multiplications and additions of the factorisation.
    factor_seconds : float
        Time of ordering and factorisation.
    product_seconds : float
        Time of the solves with the factor, or of the products; 0 on a device, where it is not measured.
    degree : int
        Of the polynomial of "filtered", else 0.
    n_products : int
        Vectors that "filtered" multiplied with the matrix, else 0.
    """

    eigenvalues: Any
    eigenvectors: Any
    residuals: Any
    lambda_max: float
    shift: float | None
    n_below_shift: int
    info: SolverInfo
    factor_bytes: int = 0
    factor_flops: float = 0.0
    factor_seconds: float = 0.0
    product_seconds: float = 0.0
    degree: int = 0
    n_products: int = 0


def smallest_eigenvectors(
    operator: Any,
    n_eigenvectors: int = 100,
    *,
    grid_shape: tuple[int, int] | None = None,
    tolerance: float = 1e-5,
    method: str = "auto",
    shift: float | None = None,
    n_basis: int | None = None,
    max_restarts: int = 50,
    seed: int = 0,
    allow_unconverged: bool = False,
    progress: Callable[[float], None] | None = None,
) -> EigenResult:
    """Compute the algebraically smallest eigenpairs of a symmetric matrix.

    Shift-invert: the matrix minus a shift near the lower end of its spectrum is factorised once by multifrontal nested
    dissection [1]_, and the block Lanczos method [2]_ with thick restarts [3]_ and full reorthogonalisation runs on the
    inverse. The matrix may be indefinite (negative affinities make a graph Laplacian so). On CUDA devices the same
    iteration runs on a Chebyshev polynomial of the matrix, which takes products only [4]_.

    Parameters
    ----------
    operator : StencilMatrix, OperatorSum or sparse matrix, shape (N, N)
        On the CPU or a CUDA device. float32 or float64, symmetric (not checked). float32 halves time and memory; where
        its digits do not suffice for the tolerance, the computation is repeated in float64.
    n_eigenvectors : int, default 100
        Number of pairs k, at most N.
    grid_shape : (int, int), optional
        Height and width of the pixel grid whose pixels the unknowns are; known by itself when the operator has a
        stencil. On a grid the elimination order is geometric; otherwise the graph is searched for separators.
    tolerance : float, default 1e-5
        Bound on every residual ``||A v - lambda v||``, relative to the largest eigenvalue.
    method : {"auto", "shift-invert", "filtered", "lanczos"}, default "auto"
        "filtered" and "lanczos" multiply with the operator only, which takes little memory. "filtered" uses a
        polynomial chosen from an estimate of the spectrum; "lanczos", the matrix itself, is far slower for photographs.
        "auto" is "shift-invert", on a device "filtered" (there is no factorisation on devices), or a dense solver on
        the CPU where the matrix is hardly larger than k.
    shift : float, optional
        For "shift-invert". It must not be an eigenvalue; some may lie below it. Default ``-2e-5`` times the largest
        eigenvalue times ``sqrt(640 * 480 / N)``, tripled while too many eigenvalues lie below (more than 2 in float32,
        32 in float64).
    n_basis : int, optional
        Lanczos vectors kept before a restart. Fewer save memory and cost time. Default about ``1.6 k``.
    max_restarts : int, default 50
    seed : int, default 0
        Of the random start block.
    allow_unconverged : bool, default False
        Return what there is instead of raising.
    progress : callable, optional
        Called with the fraction done, which never falls, even where a step has to be repeated. An exception in it ends
        the computation.

    Returns
    -------
    EigenResult

    Raises
    ------
    ConvergenceError
        If a residual is above the tolerance after the last restart; its ``result`` is the `EigenResult`.
    ValueError, TypeError
        For arguments outside their range, or a shift that is an eigenvalue.

    Notes
    -----
    Memory for an H x W image: the factor with about 250 numbers per pixel, and the basis with about 180. The sign of
    each vector is fixed so that its component of largest magnitude is positive. Within a cluster of equal eigenvalues
    the vectors are an arbitrary orthonormal basis. Same input, seed and instruction set give the same bits for any
    number of threads, and on one device from run to run.

    "shift-invert" counts the eigenvalues below the shift and misses none of those. The other two can miss copies of an
    eigenvalue that is repeated more than 16 times. A device needs about 240 numbers per pixel beside the operator with
    100 eigenvectors, and is waited for several times per block of 16 products.

    References
    ----------
    .. [1] A. George, "Nested dissection of a regular finite element mesh", SIAM J. Numer. Anal. 10, 1973,
       doi:10.1137/0710032.
    .. [2] R. G. Grimes, J. G. Lewis, H. D. Simon, "A shifted block Lanczos algorithm for solving sparse symmetric
       generalized eigenproblems", SIAM J. Matrix Anal. Appl. 15, 1994, doi:10.1137/S0895479888151111.
    .. [3] K. Wu, H. Simon, "Thick-restart Lanczos method for large symmetric eigenvalue problems", SIAM J. Matrix
       Anal. Appl. 22, 2000, doi:10.1137/S0895479898334605.
    .. [4] R. Li, Y. Xi, E. Vecharynski, C. Yang, Y. Saad, "A thick-restart Lanczos algorithm with polynomial filtering
       for Hermitian eigenvalue problems", SIAM J. Sci. Comput. 38, 2016, doi:10.1137/15M1054493.

    Examples
    --------
    >>> from scipy import sparse
    >>> import fastsoft
    >>> path = sparse.diags_array([[2.0] * 200, [-1.0] * 199, [-1.0] * 199], offsets=[0, 1, -1])
    >>> pairs = fastsoft.smallest_eigenvectors(path, 2, tolerance=1e-10)
    >>> [f"{value:.6f}" for value in pairs.eigenvalues]
    ['0.000244', '0.000977']
    """
    if not isinstance(operator, StencilMatrix | OperatorSum):
        operator = OperatorSum([operator])
    n = operator.shape[0]
    k = check_int(n_eigenvectors, "n_eigenvectors", low=1, high=n)
    tolerance = check_number(tolerance, "tolerance", low=0.0, exclusive=True)
    method = check_choice(method, "method", ("auto", "shift-invert", "lanczos", "filtered"))
    max_restarts = check_int(max_restarts, "max_restarts", low=0, high=10**6)
    seed = check_int(seed, "seed", low=0, high=2**64 - 1)
    rows, cols = _check_grid(grid_shape if grid_shape is not None else operator.grid_shape, n)
    if shift is not None:
        shift = check_number(shift, "shift")
    place = operator._place
    if method == "auto":
        method = "filtered" if place.on_device else "shift-invert"
    if place.on_device and method == "shift-invert":
        raise ValueError('method must be "filtered" or "lanczos" on a CUDA device, got "shift-invert"')
    block = BLOCK_SIZE
    default_basis = math.ceil(BASIS_SHARE * k / block + 1) * block
    if n_basis is not None:
        n_basis = math.ceil(check_int(n_basis, "n_basis", low=k + 1) / block) * block
    wanted_basis = max(n_basis or default_basis, (k // block + 2) * block)
    if n <= max(wanted_basis + 2 * block, 400):
        return _dense(operator, k, place)

    terms = operator_terms(operator, operator.dtype, place=place)
    rows_kept = wanted_basis + block
    # NumPy's own, unlike what other libraries of the CPU make: its tail can be given back.
    make: Any = place.empty if place.on_device else np.empty
    basis = make((rows_kept, n), operator.dtype)
    lambda_max = place.native.estimate_lambda_max(terms, basis, seed)
    # The estimate is from below; "lanczos" turns the spectrum around and needs the wanted end to become the largest.
    scale = 1.1 * lambda_max if method == "lanczos" else lambda_max
    first_shift = 0.0
    if method == "shift-invert":
        first_shift = -SHIFT_SHARE * lambda_max * math.sqrt(SHIFT_PIXELS / n) if shift is None else shift
    max_negative = MAX_NEGATIVE[operator.dtype.name] if shift is None else -1  # -1: never lower the shift
    values = np.empty(k)
    residuals = np.empty(k)
    reached = 0.0

    def report(fraction: float) -> None:
        nonlocal reached
        reached = fraction
        if progress is not None:
            progress(fraction)

    found = place.native.smallest_eigenvectors(
        terms, basis, values, residuals, method, block, tolerance, first_shift, max_negative, scale, max_restarts, seed,
        rows, cols, report,
    )  # fmt: skip
    converged, iterations, residual, used_shift, n_below, factor_bytes, flops, factor_seconds = found[:8]
    product_seconds, degree, n_products = found[8:]
    if place.on_device:
        vectors = place.empty((k, n), operator.dtype)
        place.assign(vectors, place.read(basis.owner[:k], "basis"))
    else:
        # Gives the tail of the workspace back without a copy.
        basis.resize((k, n), refcheck=False)
        vectors = basis
    result = EigenResult(
        eigenvalues=values,
        eigenvectors=place.from_planar(vectors),
        residuals=residuals,
        lambda_max=lambda_max,
        shift=used_shift if method == "shift-invert" else None,
        n_below_shift=n_below,
        info=SolverInfo(converged, iterations, residual),
        factor_bytes=factor_bytes,
        factor_flops=flops,
        factor_seconds=factor_seconds,
        product_seconds=product_seconds,
        degree=degree,
        n_products=n_products,
    )
    if converged:
        return result
    if allow_unconverged:
        report(1.0)
        return result
    if operator.dtype == np.float32:
        # Few eigenvalues far below all others (strong negative edges) force a shift far below the wanted ones, which
        # costs digits that float32 does not have.
        del basis, vectors, result
        start = reached
        return _in_float32(
            operator,
            smallest_eigenvectors(
                operator.astype(np.float64), k, grid_shape=grid_shape, tolerance=tolerance, method=method, shift=shift,
                n_basis=n_basis, max_restarts=max_restarts, seed=seed,
                progress=lambda fraction: report(start + fraction * (1.0 - start)),
            ),
        )  # fmt: skip
    raise ConvergenceError(
        f"smallest_eigenvectors did not converge: after {iterations} block products the largest residual is "
        f"{residual:.2g} of lambda_max, above the tolerance {tolerance:.2g}",
        result,
    )


def _in_float32(operator: Any, result: EigenResult) -> EigenResult:
    """Round the eigenvectors; residuals are those of the rounded ones."""
    place = operator._place
    n, k = result.eigenvectors.shape
    planar = place.empty((k, n), np.float32)
    place.assign(planar, place.planar(place.read(result.eigenvectors, "eigenvectors"), np.float32))
    vectors = place.from_planar(planar)
    residuals = np.empty(k)
    with place.scope():
        for i, value in enumerate(result.eigenvalues):
            difference = (operator @ vectors[:, i]) - float(value) * vectors[:, i]
            residuals[i] = math.sqrt(float((difference * difference).sum()))
    info = replace(result.info, residual=float(residuals.max() / result.lambda_max))
    return replace(result, eigenvectors=vectors, residuals=residuals, info=info)


def _check_grid(grid_shape: Any, n: int) -> tuple[int, int]:
    if grid_shape is None:
        return 0, 0
    rows, cols = (check_int(extent, "grid_shape", low=1) for extent in grid_shape)
    if rows * cols != n:
        raise ValueError(f"grid_shape must have the operator's {n} pixels, got {rows}x{cols}")
    return rows, cols


def _dense(operator: Any, k: int, place: Place) -> EigenResult:
    """Solve a matrix that is too small for Krylov spaces, on the CPU."""
    n = operator.shape[0]
    if place.on_device:
        # The columns of the matrix are its products with those of the identity.
        identity, product = place.empty((n, n), operator.dtype), place.empty((n, n), operator.dtype)
        place.assign(identity, 0.0)
        with place.scope():
            identity.owner.reshape(-1)[:: n + 1] = 1.0
        place.native.operator_apply(operator_terms(operator, operator.dtype, place=place), identity, product)
        columns = product.owner.get() if place.kind == "cupy" else product.owner.cpu().numpy()
        matrix = columns.astype(np.float64)
    else:
        matrix = operator.tocsr().toarray().astype(np.float64)
    values, vectors = np.linalg.eigh(matrix)
    chosen = np.asfortranarray(vectors[:, :k])
    largest = np.abs(chosen).argmax(axis=0)
    chosen *= np.where(chosen[largest, np.arange(k)] < 0, -1.0, 1.0)
    residuals = np.linalg.norm(matrix @ chosen - chosen * values[:k], axis=0)
    lambda_max = float(np.abs(values).max())
    relative = float(residuals.max() / lambda_max) if lambda_max > 0 else 0.0
    planar = np.ascontiguousarray(chosen.T, dtype=operator.dtype)
    if place.on_device:
        found = place.empty((k, n), operator.dtype)
        if place.kind == "cupy":
            found.owner.set(planar)
        else:
            found.owner.copy_(found.owner.new_tensor(planar))
    else:
        found = planar
    return EigenResult(
        eigenvalues=values[:k].copy(),
        eigenvectors=place.from_planar(found),
        residuals=residuals,
        lambda_max=lambda_max,
        shift=None,
        n_below_shift=0,
        info=SolverInfo(True, 0, relative),
    )
