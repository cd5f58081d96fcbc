# SPDX-License-Identifier: MIT
"""How far an estimated alpha is from the true one: SAD, MSE, gradient and connectivity error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastsoft._checks import check_alpha, check_choice, check_shape
from fastsoft.matting.trimap import UNKNOWN, check_trimap
from fastsoft.ops.matting_errors import VARIANTS, connectivity_error, gradient_error

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["MEASURES", "MattingErrors", "matting_errors"]

MEASURES = ("sad", "mse", "gradient", "connectivity")


@dataclass(frozen=True)
class MattingErrors:
    """Errors of an alpha, as `matting_errors` returns them; NaN where one was not asked for.

    Attributes
    ----------
    sad : float
        Sum of absolute differences, in thousands.
    mse : float
        Mean squared difference.
    gradient : float
        Gradient error, in thousands.
    connectivity : float
        Connectivity error, in thousands.
    """

    sad: float = float("nan")
    mse: float = float("nan")
    gradient: float = float("nan")
    connectivity: float = float("nan")


def matting_errors(
    alpha: Any, truth: Any, trimap: Any = None, *, variant: str = "adobe", measures: Collection[str] = MEASURES
) -> MattingErrors:
    """Compute the four errors in which mattes are compared.

    Parameters
    ----------
    alpha, truth : ndarray, shape (H, W), float32 or float64, range [0, 1]
        Estimated and true alpha.
    trimap : ndarray, shape (H, W), uint8 or float in [0, 1], optional
        As `check_trimap` takes it. Errors count in its unknown pixels. Default: all pixels are unknown.
    variant : {"adobe", "lsa"}, default "adobe"
        The conventions of Adobe's program for Deep Image Matting [1]_ or of that of LSA matting [2]_, see Notes.
    measures : collection of {"sad", "mse", "gradient", "connectivity"}, optional
        Which errors to compute. Default: all.

    Returns
    -------
    MattingErrors
        The errors asked for.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape, range or value, or the trimap has no unknown pixel.

    Notes
    -----
    ============  ==========================================  ==========================================
    error         ``"adobe"``                                 ``"lsa"``
    ============  ==========================================  ==========================================
    SAD           sum over unknown pixels / 1000              sum over the whole image / 1000
    MSE           mean over unknown pixels                    sum over the whole image / number unknown
    gradient      9x9 taps, alphas stretched to [0, 1]        7x7 taps, alphas as they are
    connectivity  an empty threshold ends what is connected   an empty threshold is skipped
    ============  ==========================================  ==========================================

    See `gradient_error` and `connectivity_error` for their definitions. Tables in papers often show MSE times 1000.
    Published tables should only be compared with figures of the same variant.

    References
    ----------
    .. [1] N. Xu, B. Price, S. Cohen, T. Huang, "Deep image matting", CVPR 2017. :doi:`10.1109/CVPR.2017.41`
    .. [2] R. Wang, J. Xie, J. Han, D. Qi, "Improving deep image matting via local smoothness assumption", ICME 2022.
       :doi:`10.48550/arXiv.2112.13809`

    Examples
    --------
    >>> import numpy as np
    >>> import fastsoft
    >>> truth = np.zeros((10, 10))
    >>> alpha = np.full((10, 10), 0.1)
    >>> errors = fastsoft.matting_errors(alpha, truth)
    >>> round(errors.sad, 6), round(errors.mse, 6)
    (0.01, 0.01)
    """
    variant = check_choice(variant, "variant", VARIANTS)
    chosen = [check_choice(measure, "measures", MEASURES) for measure in measures]
    alpha = check_alpha(alpha, "alpha")
    truth = check_alpha(truth, "truth")
    check_shape(truth, alpha.shape, "truth")
    if trimap is None:
        unknown = np.ones(alpha.shape, dtype=np.bool_)
    else:
        unknown = check_trimap(trimap, alpha.shape) == UNKNOWN
    n_unknown = int(np.count_nonzero(unknown))
    if n_unknown == 0:
        raise ValueError("trimap must have at least one unknown pixel, got none")

    found: dict[str, float] = {}
    if "sad" in chosen or "mse" in chosen:
        difference = alpha.astype(np.float64) - truth
        if variant == "adobe":
            difference = difference[unknown]
        found["sad"] = float(np.abs(difference).sum()) / 1000.0
        found["mse"] = float(np.square(difference).sum()) / n_unknown
    if "gradient" in chosen:
        found["gradient"] = gradient_error(alpha, truth, unknown, variant=variant)
    if "connectivity" in chosen:
        found["connectivity"] = connectivity_error(alpha, truth, unknown, variant=variant)
    return MattingErrors(**{name: found[name] for name in chosen})
