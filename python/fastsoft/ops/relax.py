# SPDX-License-Identifier: MIT
"""Relaxed sparsification of layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastsoft._checks import as_float_array, check_finite, check_int, check_not_negative, check_number, check_shape
from fastsoft._dispatch import find_place
from fastsoft.errors import ConvergenceError
from fastsoft.operators import operator_place, operator_terms
from fastsoft.ops.solver_info import SolverInfo

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["RelaxResult", "relax_segments"]

# The authors' bound on the iterations of the final solve, which starts further from its solution.
_FINAL_ITERATIONS_PER_ROUND = 10


@dataclass(frozen=True)
class RelaxResult:
    """Layers of `relax_segments`.

    Attributes
    ----------
    segments : array, shape (H, W, n)
        The result, of the library of the input and on its device. Nearly in [0, 1] and of sum nearly 1, but not
        projected: see Notes of `relax_segments`.
    before_final_solve : array, shape (H, W, n)
        The layers after the reweighted rounds, before the last solve without sparsity.
    info : tuple of SolverInfo
        One for each round, then that of the final solve; `residual` is ``||b - A x|| / ||b||``.
    """

    segments: Any
    before_final_solve: Any
    info: tuple[SolverInfo, ...]


def relax_segments(
    segments: Any,
    laplacian: Any,
    gradient: Any,
    *,
    n_iterations: int = 20,
    gamma: float = 0.9,
    sum_weight: float = 100.0,
    clamp: float = 1e-2,
    tolerance: float = 5e-7,
    max_cg_iterations: int = 100,
    threshold: float = 0.1,
    final_solve: bool = True,
    allow_unconverged: bool = False,
    progress: Callable[[float], None] | None = None,
) -> RelaxResult:
    r"""Make layers sparse, pixel by pixel, while they stay close to the given ones and follow the Laplacian.

    The last stage of semantic soft segmentation [1]_ (section 3.4): minimises over the layers :math:`\alpha_i`

    .. math::

       \sum_i \alpha_i^T L \alpha_i + \|\alpha_i - \hat\alpha_i\|^2 + \lambda \|1 - \sum_i \alpha_i\|^2
       + \sum_{i,p} |\alpha_{ip}|^{g_p} + |1 - \alpha_{ip}|^{g_p}, \qquad g_p = \min(\gamma + |\nabla c_p|, 1),

    by reweighted least squares. The target :math:`\hat\alpha` is `segments` after thresholding. A last solve without
    the sparsity term then smooths the result along the Laplacian.

    Parameters
    ----------
    segments : array, shape (H, W, n), float32 or float64
        Layers, n >= 1, values about in [0, 1] with sum about 1. Of NumPy, torch or CuPy, on the CPU or a CUDA device,
        as the other arguments are. Its dtype is the dtype of the computation; they are converted if they have another.
    laplacian : StencilMatrix, OperatorSum or sparse matrix, shape (H * W, H * W)
        Symmetric. Sparse matrices are those of SciPy and CuPy, and sparse CSR tensors of torch. It may be slightly
        indefinite, as the Laplacian of partly negative affinities is, but plus the identity it must be positive
        definite.
    gradient : array, shape (H, W), float32 or float64
        Gradient magnitude of the image, not negative: `image_gradient`.
    n_iterations : int, optional
        Reweighted rounds. Default 20 [1]_.
    gamma : float, optional
        Sparsity exponent where the image is constant, in (0, 1]. Default 0.9 [1]_.
    sum_weight : float, optional
        Weight :math:`\lambda` of the sum-to-one term. Default 100 [1]_.
    clamp : float, optional
        Distances from 0 and 1 count at least this in the weights. Default 1e-2 (the authors' program).
    tolerance : float, optional
        Of each solve, on ``||b - A x|| / ||b||``. The authors' program uses 1e-6 on an unpreconditioned iteration; the
        sum-to-one term dominates ``||b||``, so neither is tight. On three test pictures 1e-6, 5e-7 and 1e-7 leave the
        result within 8e-4, 5e-4 and 1e-4 of the exact minimiser. Default 5e-7.
    max_cg_iterations : int, optional
        Of each round; the final solve may take ten times as many. Default 100 (the authors' program).
    threshold : float, optional
        Input values below are set to 0, those above ``1 - threshold`` to 1, and the layers of a pixel are divided by
        their sum (or its largest becomes 1 if nothing is left). In [0, 0.5]. Default 0.1 (the authors' program).
    final_solve : bool, optional
        Whether to solve once more without the sparsity term, as the authors' program does.
    allow_unconverged : bool, optional
        Return the best iterates instead of raising `ConvergenceError`.
    progress : callable, optional
        Called with the fraction done; an exception raised in it ends the operation.

    Returns
    -------
    RelaxResult
        Layers after and before the final solve, and what happened in each solve.

    Raises
    ------
    ConvergenceError
        If a solve has not reached `tolerance` within its iterations. Its `result` is the `RelaxResult`.
    TypeError, ValueError
        If an argument has the wrong type, shape or range.

    Notes
    -----
    The values are not constrained: they leave [0, 1] by up to about 0.1 at single pixels, and the sum deviates from
    1 by about 1e-5. Each round is solved by conjugate gradients that start from the last round; their
    preconditioner is the exact inverse of the n x n block of each pixel. 3 to 6 iterations per round, each one
    product with the Laplacian and three passes over the layers. Memory: seven numbers per pixel and layer besides
    input and output. The result has the same bits for any number of threads.

    On a CUDA device the work is enqueued on the current stream of the library of `segments`; each iteration of
    conjugate gradients waits for it once, each solve three times more. Memory as on the CPU.

    References
    ----------
    .. [1] Y. Aksoy, T.-H. Oh, S. Paris, M. Pollefeys, W. Matusik, "Semantic Soft Segmentation", ACM Transactions on
       Graphics 37(4), 2018. :doi:`10.1145/3197517.3201275`

    Examples
    --------
    Two layers of a row of twelve pixels. A low exponent leaves little between 0 and 1, and the last solve softens the
    border along the Laplacian again.

    >>> import fastsoft
    >>> import numpy as np
    >>> from scipy import sparse
    >>> chain = sparse.diags_array([-1.0, 2.0, -1.0], offsets=[-1, 0, 1], shape=(12, 12)).tolil()
    >>> chain[0, 0] = chain[11, 11] = 1.0
    >>> ramp = np.linspace(0.05, 0.95, 12).reshape(1, 12)
    >>> layers = np.stack([ramp, 1 - ramp], axis=-1)
    >>> result = fastsoft.relax_segments(layers, chain.tocsr(), np.zeros((1, 12)), gamma=0.5)
    >>> np.round(result.before_final_solve[0, :, 0], 1) + 0.0
    array([0., 0., 0., 0., 0., 0., 1., 1., 1., 1., 1., 1.])
    >>> np.round(result.segments[0, :, 0], 1) + 0.0
    array([0. , 0. , 0. , 0. , 0.1, 0.3, 0.7, 0.9, 1. , 1. , 1. , 1. ])
    """
    place = find_place(segments=segments, laplacian=operator_place(laplacian, "laplacian"), gradient=gradient)
    segments = as_float_array(segments, "segments", place)
    check_shape(segments, ("H", "W", "n"), "segments")
    if 0 in segments.shape:
        raise ValueError(f"segments must not be empty, got shape {segments.shape}")
    check_finite(segments, "segments")
    height, width, _ = segments.shape
    n = height * width
    gradient = as_float_array(gradient, "gradient", place)
    check_shape(gradient, (height, width), "gradient")
    check_not_negative(gradient, "gradient")
    terms = operator_terms(laplacian, segments.dtype, "laplacian", place)
    if tuple(laplacian.shape) != (n, n):
        raise ValueError(
            f"laplacian must have shape ({n}, {n}) for {height}x{width} pixels, got {tuple(laplacian.shape)}"
        )
    n_iterations = check_int(n_iterations, "n_iterations", low=0, high=2**31 - 1)
    gamma = check_number(gamma, "gamma", low=0.0, high=1.0, exclusive=True)
    sum_weight = check_number(sum_weight, "sum_weight", low=0.0)
    clamp = check_number(clamp, "clamp", low=1e-12, high=1.0)
    tolerance = check_number(tolerance, "tolerance", low=0.0, high=1.0, exclusive=True)
    max_cg_iterations = check_int(max_cg_iterations, "max_cg_iterations", low=0, high=10**8)
    threshold = check_number(threshold, "threshold", low=0.0, high=0.5)

    before = place.empty(segments.shape, segments.dtype)
    out = place.empty(segments.shape, segments.dtype)
    solves = place.native.relax_segments(
        segments,
        terms,
        gradient if gradient.dtype == segments.dtype else place.converted(gradient, segments.dtype),
        before,
        out,
        n_iterations,
        gamma,
        sum_weight,
        clamp,
        threshold,
        tolerance,
        max_cg_iterations,
        _FINAL_ITERATIONS_PER_ROUND * max_cg_iterations,
        bool(final_solve),
        progress,
    )
    result = RelaxResult(
        segments=place.result(out),
        before_final_solve=place.result(before),
        info=tuple(SolverInfo(*solve) for solve in solves),
    )
    failed = [(i, info) for i, info in enumerate(result.info) if not info.converged]
    if failed and not allow_unconverged:
        index, info = failed[0]
        name = "the final solve" if index == n_iterations else f"round {index + 1} of {n_iterations}"
        raise ConvergenceError(
            f"relax_segments: {name} stopped after {info.iterations} iterations at a relative residual of "
            f"{info.residual:.2e}, tolerance {tolerance:.2e}",
            result,
        )
    return result
