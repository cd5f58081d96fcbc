# SPDX-License-Identifier: MIT
"""Gradient and connectivity error of an alpha against the true one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from fastsoft._checks import check_alpha, check_choice, check_shape
from fastsoft._dispatch import DeviceArray, Place, find_place
from fastsoft._native import cpu

__all__ = ["connectivity_error", "gradient_error"]

VARIANTS = ("adobe", "lsa")

# Both programs use a Gaussian of this width and cut its derivative off where it has fallen to 1 % of a Gaussian's
# density, at 3.62 pixels; Adobe's rounds up, the port of LSA matting down.
_SIGMA = 1.4
_HALF_SIZE = {"adobe": 4, "lsa": 3}


def gradient_error(alpha: Any, truth: Any, region: Any = None, *, variant: str = "adobe") -> float:
    r"""Gradient error of an alpha, in thousands.

    The sum over a region of ``(|grad alpha| - |grad truth|)^2`` [1]_ with derivatives of a Gaussian of standard
    deviation 1.4, divided by 1000.

    Parameters
    ----------
    alpha, truth : array, shape (H, W), float32 or float64, range [0, 1]
        Estimated and true alpha: of NumPy or torch on the CPU, or, both of one dtype, of CuPy or torch on a CUDA
        device.
    region : array, shape (H, W), bool, optional
        Where to count; usually the unknown pixels of the trimap. Default: everywhere.
    variant : {"adobe", "lsa"}, default "adobe"
        ``"adobe"``: as Adobe's program for Deep Image Matting [2]_: 9x9 taps, and each alpha is stretched to the range
        [0, 1] first. ``"lsa"``: as the program of LSA matting [3]_: 7x7 taps, and alphas as they are.

    Returns
    -------
    float
        The error; 0 if the region is empty.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape, range or value.

    Notes
    -----
    The two-dimensional kernels have 2-norm 1, and pixels outside the image repeat the nearest edge pixel, in both
    programs. Computed in float64; same bits for any number of threads.

    On a CUDA device the call waits for the result; 8 bytes per 1024 pixels of workspace.

    References
    ----------
    .. [1] C. Rhemann et al., "A perceptually motivated online benchmark for image matting", CVPR 2009.
       :doi:`10.1109/CVPR.2009.5206503`
    .. [2] N. Xu, B. Price, S. Cohen, T. Huang, "Deep image matting", CVPR 2017. :doi:`10.1109/CVPR.2017.41`
    .. [3] R. Wang, J. Xie, J. Han, D. Qi, "Improving deep image matting via local smoothness assumption", ICME 2022.
       :doi:`10.48550/arXiv.2112.13809`

    Examples
    --------
    >>> import numpy as np
    >>> import fastsoft
    >>> truth = np.zeros((20, 20))
    >>> truth[:, 10:] = 1.0
    >>> shifted = np.roll(truth, 1, axis=1)
    >>> fastsoft.gradient_error(truth, truth), fastsoft.gradient_error(shifted, truth) > 0
    (0.0, True)
    """
    variant = check_choice(variant, "variant", VARIANTS)
    place = find_place(alpha=alpha, truth=truth, region=region)
    alpha, truth, counts = _arguments(alpha, truth, region, place)
    scales = [1.0, 1.0]
    if variant == "adobe":
        # MATLAB's mat2gray. A constant alpha has no gradient whatever it is stretched to.
        spans = [high - low for low, high in map(_value_range, (alpha, truth))]
        scales = [1.0 / span if span > 0 else 1.0 for span in spans]
    total = place.native.gradient_error(alpha, truth, counts, _SIGMA, _HALF_SIZE[variant], scales[0], scales[1])
    return float(total) / 1000.0


def connectivity_error(alpha: Any, truth: Any, region: Any = None, *, variant: str = "adobe") -> float:
    r"""Connectivity error of an alpha, in thousands.

    The sum over a region of ``|phi(alpha) - phi(truth)|``, divided by 1000. ``phi(x) = 1 - d`` where ``d = x - l`` is
    at least 0.15, else 1; ``l`` is the highest of 0, 0.1, ..., 1 up to which the pixel belongs to the largest
    4-connected component of the pixels where both alphas reach the threshold [1]_.

    Parameters
    ----------
    alpha, truth : ndarray, shape (H, W), float32 or float64, range [0, 1]
        Estimated and true alpha, on the CPU.
    region : ndarray, shape (H, W), bool, optional
        Where to count; usually the unknown pixels of the trimap. Default: everywhere.
    variant : {"adobe", "lsa"}, default "adobe"
        What a threshold does that no pixel reaches. ``"adobe"``: its component is empty and ends what is connected.
        ``"lsa"``: it is skipped, as in the program of LSA matting [2]_.

    Returns
    -------
    float
        The error; 0 if the region is empty.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape, range or value.

    Notes
    -----
    Thresholds are the numbers nearest to k / 10 in the dtype of the alphas. Of components of equal size the one met
    first in row order is taken. Components are found as runs joined by a union-find forest, the ten thresholds in
    parallel; memory: 1 byte per pixel and 16 per run. Same bits for any number of threads.

    References
    ----------
    .. [1] C. Rhemann et al., "A perceptually motivated online benchmark for image matting", CVPR 2009.
       :doi:`10.1109/CVPR.2009.5206503`
    .. [2] R. Wang, J. Xie, J. Han, D. Qi, "Improving deep image matting via local smoothness assumption", ICME 2022.
       :doi:`10.48550/arXiv.2112.13809`

    Examples
    --------
    >>> import numpy as np
    >>> import fastsoft
    >>> truth = np.zeros((5, 9))
    >>> truth[:, :4] = 1.0
    >>> island = truth.copy()
    >>> island[2, 7] = 0.8
    >>> round(1000 * fastsoft.connectivity_error(island, truth), 3)
    0.8
    """
    variant = check_choice(variant, "variant", VARIANTS)
    alpha, truth, counts = _arguments(alpha, truth, region)
    return float(cpu.connectivity_error(alpha, truth, counts, variant == "lsa")) / 1000.0


def _value_range(image: Any) -> tuple[float, float]:
    if isinstance(image, DeviceArray):
        low, high, _ = image.value_range()
        return low, high
    return float(image.min()), float(image.max())


def _arguments(alpha: Any, truth: Any, region: Any, place: Place | None = None) -> tuple[Any, Any, Any]:
    """Check both alphas and the region; return the alphas in one dtype and the region as numbers, or None: everywhere.

    On the CPU these are contiguous arrays, with a region.
    """
    alpha = check_alpha(alpha, "alpha", place)
    truth = check_alpha(truth, "truth", place)
    check_shape(truth, alpha.shape, "truth")
    if region is not None:
        region = np.asarray(region) if place is None else place.read(region, "region")
        if region.dtype != np.bool_:
            raise TypeError(f"region must have dtype bool, got {region.dtype}")
        check_shape(region, alpha.shape, "region")
    if isinstance(alpha, DeviceArray):
        if truth.dtype != alpha.dtype:
            raise TypeError(f"truth must have the dtype of alpha on a CUDA device, {alpha.dtype}, got {truth.dtype}")
        return alpha, truth, None if region is None else replace(region, dtype=np.dtype(np.uint8))
    if region is None:
        region = np.ones(alpha.shape, dtype=np.bool_)
    dtype = np.result_type(alpha, truth)
    return (
        np.ascontiguousarray(alpha, dtype=dtype),
        np.ascontiguousarray(truth, dtype=dtype),
        np.ascontiguousarray(region).view(np.uint8),
    )
