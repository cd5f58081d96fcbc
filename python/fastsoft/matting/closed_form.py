# SPDX-License-Identifier: MIT
"""Closed-form matting."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from fastsoft._arrays import namespace
from fastsoft._checks import check_choice, check_image, check_int, check_number
from fastsoft._device import find_device
from fastsoft.matting.trimap import FOREGROUND, check_trimap, trimap_values
from fastsoft.matting.trimap import UNKNOWN as TRIMAP_UNKNOWN
from fastsoft.ops import closed_form as op

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastsoft._device import Device
    from fastsoft.ops.solver_info import SolverInfo

__all__ = ["closed_form_matting"]

# Windows have three pixels in either direction.
_LEAST_SIZE = 3


def closed_form_matting(
    image: Any,
    trimap: Any,
    *,
    epsilon: float = 1e-7,
    tolerance: float = 1e-7,
    max_iterations: int | None = None,
    method: str = "auto",
    progress: Callable[[float], None] | None = None,
) -> Any:
    r"""Estimate the alpha of a foreground from a photograph and a trimap, in closed form.

    In every 3x3 window alpha is taken to be an affine function of the colour [1]_. The alpha that is nearest to that,
    given the known pixels, is the solution of a linear system with the matting Laplacian (`matting_laplacian`).

    Parameters
    ----------
    image : array, shape (H, W, 3), float32 or float64, range [0, 1]
        RGB image of any size. Of NumPy, or of torch or CuPy on a CUDA device.
    trimap : array, shape (H, W), uint8 or float32 or float64 in [0, 1]
        Up to 0.1 (25 of 255) known background, from 0.9 (230 of 255) on known foreground, otherwise unknown.
    epsilon : float, default 1e-7
        Regularisation of the window's covariance, as in [1]_ and PyMatting: larger values make alpha smoother and
        follow colours less.
    tolerance : float, default 1e-7
        The system is solved to a residual of this times the norm of its right-hand side (2-norm), as in PyMatting, or
        to the rounding of its terms where that is larger.
    max_iterations : int, optional
        Of conjugate gradients. Default 2000, on a device 20000. Two or three are usual with ``"direct"``, 15 to 40 with
        ``"multilevel"``, about a thousand on a device.
    method : {"auto", "direct", "multilevel"}, default "auto"
        The preconditioner; on a device "auto" alone, which is the diagonal there. ``"direct"`` factorises the matrix in
        float32, in 400 to 700 bytes per unknown pixel for bands of usual width, and is the fastest. ``"multilevel"`` is
        for what would not fit. ``"auto"``: direct up to factors of 1.8 GB.
    progress : callable, optional
        Called with the fraction done; an exception raised in it ends the operation.

    Returns
    -------
    array, shape (H, W), library, device and dtype of `image`
        Alpha in [0, 1]. Known pixels have the trimap's own value (0.95 stays 0.95), though the system counts them as 0
        or 1; unknown ones are clamped.

    Warns
    -----
    RuntimeWarning
        If the trimap has no known foreground, no known background or neither, or if `tolerance` was not reached in
        `max_iterations`. See Notes.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or range; never because of what the trimap marks.

    Notes
    -----
    Trimaps that mark less than usual: without unknown pixels the trimap's values come back. If all known pixels are
    foreground, the solution is alpha = 1, if all are background alpha = 0, as the equations say. If no pixel is known,
    they say nothing and the trimap's values come back. Every unknown pixel is otherwise determined, however far it is
    from known ones. Images less than 3 pixels high or wide hold no window; their edge pixels are repeated.

    Known pixels are eliminated, which is the limit of the paper's soft constraints for a large weight; PyMatting's
    ``estimate_alpha_cf`` solves the same system. The preconditioner is positive definite for every trimap. All
    arithmetic is in float64 but for the factor, also for float32 images. Same bits for any number of threads.

    On a CUDA device the work is enqueued on the current stream of the image's library, which every iteration waits for;
    memory beyond the result is 350 bytes per pixel.

    References
    ----------
    .. [1] A. Levin, D. Lischinski, Y. Weiss, "A closed-form solution to natural image matting", IEEE Transactions on
       Pattern Analysis and Machine Intelligence 30(2), 2008. :doi:`10.1109/TPAMI.2007.1177`

    Examples
    --------
    A blurred edge between two colours is found exactly, up to the regularisation:

    >>> import numpy as np
    >>> import fastsoft
    >>> truth = np.tile(np.clip((np.arange(40) - 10) / 20, 0, 1), (12, 1))
    >>> image = truth[..., None] * [0.9, 0.5, 0.1] + (1 - truth[..., None]) * [0.1, 0.2, 0.6]
    >>> trimap = np.full((12, 40), 0.5)
    >>> trimap[:, :8], trimap[:, 32:] = 0, 1
    >>> alpha = fastsoft.closed_form_matting(image, trimap)
    >>> bool(abs(alpha - truth).max() < 0.01)
    True
    """
    epsilon = check_number(epsilon, "epsilon", low=0.0, exclusive=True)
    tolerance = check_number(tolerance, "tolerance", low=0.0, high=1.0, exclusive=True)
    where = find_device(None, image=image, trimap=trimap)
    if max_iterations is None:
        max_iterations = 2000 if where is None else 20_000
    max_iterations = check_int(max_iterations, "max_iterations", low=0, high=2**31 - 1)
    method = check_choice(method, "method", op.METHODS)
    if where is not None:
        if method != "auto":
            raise ValueError(f"method must be 'auto' on a CUDA device, got {method!r}")
        return where.result(_on_device(where, image, trimap, epsilon, tolerance, max_iterations, progress))
    image = check_image(image)
    regions = check_trimap(trimap, image.shape)
    alpha = trimap_values(trimap).astype(image.dtype)  # a copy

    unknown = regions == TRIMAP_UNKNOWN
    foreground = regions == FOREGROUND
    n_unknown = int(np.count_nonzero(unknown))
    n_foreground = int(np.count_nonzero(foreground))
    n_background = regions.size - n_unknown - n_foreground
    if n_unknown == 0:
        return alpha
    if n_foreground == 0 or n_background == 0:
        _fill_one_sided(alpha, unknown, n_foreground, n_background)
        return alpha

    regions[unknown] = op.UNKNOWN
    regions[foreground] = op.FOREGROUND  # and background is 0 in both
    pad = [(1, 1) if extent < _LEAST_SIZE else (0, 0) for extent in regions.shape]
    if any(sum(side) for side in pad):
        image = np.pad(image, [*pad, (0, 0)], mode="edge")
        regions = np.pad(regions, pad, mode="edge")
    result = op.closed_form(
        image,
        regions,
        epsilon=epsilon,
        tolerance=tolerance,
        max_iterations=max_iterations,
        method=method,
        progress=progress,
    )
    _warn_of_residual(result.info, max_iterations, tolerance)
    inner = tuple(slice(before, before + extent) for (before, _), extent in zip(pad, alpha.shape, strict=True))
    np.copyto(alpha, np.clip(result.alpha[inner], 0, 1), where=unknown)
    return alpha


def _warn_of_residual(info: SolverInfo, max_iterations: int, tolerance: float) -> None:
    if not info.converged:
        warnings.warn(
            f"closed_form_matting stopped after {info.iterations} of {max_iterations} iterations at a relative "
            f"residual of {info.residual:.2e}, tolerance {tolerance:.2e}",
            RuntimeWarning,
            stacklevel=3,
        )


def _on_device(
    where: Device,
    image: Any,
    trimap: Any,
    epsilon: float,
    tolerance: float,
    max_iterations: int,
    progress: Callable[[float], None] | None,
) -> Any:
    """Do the same on a device: conjugate gradients on the stencil, the identity in known rows and columns."""
    from fastsoft.matting.network_inference import check_on_device
    from fastsoft.operators import STENCIL_OFFSETS, StencilMatrix
    from fastsoft.ops.matting_laplacian import matting_laplacian
    from fastsoft.ops.pcg import pcg

    picture, regions = check_on_device(where, image, trimap)
    xp = namespace(picture)
    values = where.tensor(trimap)
    alpha = (values.double() / 255 if values.dtype == xp.uint8 else values.clone()).to(picture.dtype)
    unknown, foreground = regions == TRIMAP_UNKNOWN, regions == FOREGROUND
    n_unknown, n_foreground = int(unknown.sum()), int(foreground.sum())
    if n_unknown == 0:
        return alpha
    n_background = regions.numel() - n_unknown - n_foreground
    if n_foreground == 0 or n_background == 0:
        _fill_one_sided(alpha, unknown, n_foreground, n_background)
        return alpha

    height, width = regions.shape
    rows, cols = (_repeated_edges(extent, picture.device, xp) for extent in (height, width))
    picture, unknown, foreground = (part[rows][:, cols] for part in (picture, unknown, foreground))
    laplacian = matting_laplacian(picture.double(), epsilon=epsilon, storage="stencil")
    # 0 in known rows, so that its norm is that of the unknown ones, to which the tolerance is relative.
    right = laplacian @ foreground.double().reshape(-1)
    right *= -unknown.double().reshape(-1)
    weights = laplacian.weights
    for plane, (dr, dc) in zip(weights, STENCIL_OFFSETS, strict=True):
        if (dr, dc) == (0, 0):
            plane[~unknown] = 1
            continue
        there = xp.zeros_like(unknown)
        low, high = max(0, -dc), unknown.shape[1] - max(dc, 0)
        there[: unknown.shape[0] - dr, low:high] = unknown[dr:, low + dc : high + dc]
        plane *= unknown & there
    result = pcg(
        StencilMatrix(weights),
        right,
        x0=unknown.double().reshape(-1) * 0.5,
        tolerance=_reachable(tolerance, float(right.norm()), n_unknown),
        max_iterations=max_iterations,
        allow_unconverged=True,
        progress=progress,
    )
    _warn_of_residual(result.info, max_iterations, tolerance)
    inner = slice(int(height < _LEAST_SIZE), None), slice(int(width < _LEAST_SIZE), None)
    found = result.x.reshape(unknown.shape)[inner][:height, :width].clamp(0, 1).to(alpha.dtype)
    return xp.where(regions == TRIMAP_UNKNOWN, found, alpha)


def _reachable(tolerance: float, norm: float, n_unknown: int) -> float:
    """Return a tolerance that rounding allows, as the core does: the right-hand side may be tiny."""
    rounding = 9 * np.finfo(np.float64).eps * math.sqrt(n_unknown)
    return tolerance if norm == 0 else min(max(tolerance, rounding / norm), 0.5)


def _repeated_edges(extent: int, device: Any, xp: Any) -> Any:
    """Return the pixels along an axis, of one that has too few for a window the edge pixels once more."""
    pixels = xp.arange(extent, device=device)
    return pixels if extent >= _LEAST_SIZE else xp.cat([pixels[:1], pixels, pixels[-1:]])


def _fill_one_sided(alpha: Any, unknown: Any, n_foreground: int, n_background: int) -> None:
    """Write the solution of a trimap that knows one side or none, and say so."""
    if n_foreground == 0 and n_background == 0:
        message = "trimap has no known pixel: alpha is the trimap's own value everywhere"
    elif n_background == 0:
        message = "trimap has no known background: alpha is 1 wherever it is unknown"
        alpha[unknown] = 1
    else:
        message = "trimap has no known foreground: alpha is 0 wherever it is unknown"
        alpha[unknown] = 0
    warnings.warn(message, RuntimeWarning, stacklevel=3)
