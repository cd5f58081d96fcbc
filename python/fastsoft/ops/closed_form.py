# SPDX-License-Identifier: MIT
"""The linear system of closed-form matting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastsoft._checks import check_choice, check_image, check_int, check_number, check_shape
from fastsoft._native import cpu
from fastsoft.ops.solver_info import SolverInfo

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["BACKGROUND", "FOREGROUND", "METHODS", "UNKNOWN", "ClosedFormResult", "closed_form"]

# Values of `regions`, as in cpp/include/fastsoft/closed_form.hpp.
BACKGROUND, UNKNOWN, FOREGROUND = 0, 1, 2

METHODS = ("auto", "direct", "multilevel")


@dataclass(frozen=True)
class ClosedFormResult:
    """Solution of `closed_form`.

    Attributes
    ----------
    alpha : ndarray, shape (H, W)
        Solution in the unknown pixels, not clamped; 0 and 1 in the known ones.
    info : SolverInfo
        Of the conjugate gradients; `residual` is relative to the norm of the right-hand side.
    method : {"direct", "multilevel"}
        The preconditioner that was used.
    """

    alpha: Any
    info: SolverInfo
    method: str


def closed_form(
    image: Any,
    regions: Any,
    *,
    epsilon: float = 1e-7,
    tolerance: float = 1e-7,
    max_iterations: int = 2000,
    method: str = "auto",
    max_factor_bytes: float = 1.8e9,
    progress: Callable[[float], None] | None = None,
) -> ClosedFormResult:
    """Solve ``L_UU alpha_U = -L_UK s_K`` with the matting Laplacian of an image.

    `fastsoft.closed_form_matting` is this for trimaps of all kinds, and documents the parameters.

    Parameters
    ----------
    image : ndarray, shape (H, W, 3), float32 or float64, range [0, 1]
        At least 3x3 pixels.
    regions : ndarray, shape (H, W), uint8
        0 background, 1 unknown, 2 foreground; at least one pixel unknown and one known.
    epsilon, tolerance, max_iterations, method, progress
        As for `fastsoft.closed_form_matting`.
    max_factor_bytes : float, default 1.8e9
        ``method="auto"`` is ``"direct"`` as long as the factor takes no more.

    Returns
    -------
    ClosedFormResult
        Also where `tolerance` was not reached, which `info` tells.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or range.
    """
    epsilon = check_number(epsilon, "epsilon", low=0.0, exclusive=True)
    tolerance = check_number(tolerance, "tolerance", low=0.0, high=1.0, exclusive=True)
    max_iterations = check_int(max_iterations, "max_iterations", low=0, high=2**31 - 1)
    method = check_choice(method, "method", METHODS)
    image = check_image(image, min_size=3)
    regions = np.asarray(regions)
    if regions.dtype != np.uint8:
        raise TypeError(f"regions must have dtype uint8, got {regions.dtype}")
    check_shape(regions, image.shape[:2], "regions")
    if int(regions.max()) > FOREGROUND:
        raise ValueError(f"regions must hold 0, 1 and 2, got {int(regions.max())}")
    regions = np.ascontiguousarray(regions)
    alpha = (regions == FOREGROUND).astype(image.dtype)
    converged, iterations, residual, used = cpu.closed_form(
        image, regions, alpha, epsilon, tolerance, max_iterations, method, max_factor_bytes, progress
    )
    return ClosedFormResult(alpha, SolverInfo(converged, iterations, residual), used)
