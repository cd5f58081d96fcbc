# SPDX-License-Identifier: MIT
"""What may be done to the alphas between the two networks: normalise, smooth, redistribute by a mask.

Section 4.4 and figure 10 of N. Akimoto et al., "Fast Soft Color Segmentation", CVPR 2020,
:doi:`10.1109/CVPR42600.2020.00830`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastsoft._arrays import like
from fastsoft._checks import as_float_array, check_image, check_int, check_mask, check_number, check_shape
from fastsoft._device import on_device, tensor_of
from fastsoft._dispatch import find_place
from fastsoft.layers.simplex import project_to_simplex
from fastsoft.ops.guided_filter import guided_filter

__all__ = ["normalize_alphas", "redistribute_alphas", "smooth_alphas"]

# Rec. 601 luma, the guide of the authors' filter.
LUMA = (0.299, 0.587, 0.114)
# Against a division by zero where all alphas are 0 [authors' program].
TINY = 1e-8
# Rows that are worked on at a time.
_ROWS = 64


def normalize_alphas(alphas: Any, *, out: Any = None) -> Any:
    """Divide the alphas of every pixel by their sum.

    Parameters
    ----------
    alphas : array, shape (H, W, n), float32 or float64
        Of NumPy, or of torch or CuPy on a CUDA device.
    out : array, optional
        Receives the result; may be `alphas`.

    Returns
    -------
    array, library, shape and dtype of `alphas`
    """
    if on_device(alphas, "alphas"):
        from fastsoft import network_device

        given = None if out is None else tensor_of(out)
        found = network_device.normalize(_checked(alphas), out=given)
        return like(found, alphas) if out is None else out
    alphas = as_float_array(alphas, "alphas")
    out = np.empty_like(alphas) if out is None else out
    for first in range(0, len(alphas), _ROWS):
        rows = alphas[first : first + _ROWS]
        total = rows.sum(axis=2, keepdims=True) + alphas.dtype.type(TINY)
        np.divide(rows, total, out=out[first : first + _ROWS])
    return out


def smooth_alphas(alphas: Any, image: Any, *, radius: int = 3, epsilon: float = 1e-6, project: bool = True) -> Any:
    """Smooth alphas by the guided filter along the grey photograph, and normalise them.

    Parameters
    ----------
    alphas : array, shape (H, W, n), float32 or float64
        Of NumPy, or of torch or CuPy on a CUDA device.
    image : array, shape (H, W, 3)
        RGB in [0, 1], on the device of `alphas`.
    radius : int, default 3
    epsilon : float, default 1e-6
        Both defaults are those of the authors' program.
    project : bool, default True
        Move the result to the nearest alphas in [0, 1] with sum 1. Without, as in the authors' program, they leave
        [0, 1] beside edges: on the authors' own photograph they run from -0.28 to 1.13.

    Returns
    -------
    array, library, shape and dtype of `alphas`

    Raises
    ------
    TypeError, ValueError
        If an argument has another type, shape or range or is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from fastsoft.color import smooth_alphas
    >>> alphas = np.random.default_rng(0).dirichlet([1, 1], (9, 12))
    >>> smooth = smooth_alphas(alphas, np.full((9, 12, 3), 0.5), radius=2)
    >>> bool(smooth.std() < 0.5 * alphas.std()), bool(np.allclose(smooth.sum(axis=2), 1))
    (True, True)
    """
    radius = check_int(radius, "radius", low=0)
    epsilon = check_number(epsilon, "epsilon", low=0, exclusive=True)
    if on_device(alphas, "alphas"):
        return _smooth_on_device(alphas, image, radius, epsilon, project)
    alphas = as_float_array(alphas, "alphas")
    image = check_image(image)
    check_shape(alphas, (*image.shape[:2], "n"), "alphas")
    guide = np.zeros(image.shape[:2], dtype=alphas.dtype)
    for channel, weight in enumerate(LUMA):
        guide += image[:, :, channel] * alphas.dtype.type(weight)
    smooth = guided_filter(guide, alphas, radius=radius, epsilon=epsilon)
    smooth = normalize_alphas(smooth, out=smooth)
    return project_to_simplex(smooth)[0] if project else smooth


def _checked(alphas: Any) -> Any:
    """Return alphas on a device as a tensor, after looking at their shape and dtype."""
    described = as_float_array(alphas, "alphas", find_place(alphas=alphas))
    check_shape(described, ("H", "W", "n"), "alphas")
    return tensor_of(alphas)


def _smooth_on_device(alphas: Any, image: Any, radius: int, epsilon: float, project: bool) -> Any:
    from fastsoft import network_device

    check_image(image, place=find_place(alphas=alphas, image=image))
    tensor, picture = _checked(alphas), tensor_of(image)
    check_shape(tensor, (*picture.shape[:2], "n"), "alphas")
    guide = network_device.weighted_sum(picture, LUMA).to(tensor.dtype)
    smooth = guided_filter(guide, tensor, radius=radius, epsilon=epsilon)
    smooth = network_device.normalize(smooth, out=smooth)
    return like(project_to_simplex(smooth)[0] if project else smooth, alphas)


def redistribute_alphas(alphas: Any, mask: Any, inside: int, outside: int) -> Any:
    """Give what two layers have in common to the one inside a mask and to the other outside it.

    Parameters
    ----------
    alphas : ndarray, shape (H, W, n), float32 or float64
    mask : ndarray, shape (H, W), bool or floating point in [0, 1]
        Share of the two layers' alpha that goes to `inside`; the rest goes to `outside`.
    inside, outside : int
        Two different layers.

    Returns
    -------
    ndarray, shape and dtype of `alphas`
        Sums over the layers are those of `alphas`.

    Raises
    ------
    TypeError, ValueError
        If the mask is of another size or range, or the layers are not two of those that exist.

    Examples
    --------
    >>> import numpy as np
    >>> from fastsoft.color import redistribute_alphas
    >>> alphas = np.array([[[0.25, 0.25, 0.5], [0.5, 0.25, 0.25]]])
    >>> redistribute_alphas(alphas, np.array([[True, False]]), inside=0, outside=2).tolist()
    [[[0.75, 0.25, 0.0], [0.0, 0.25, 0.75]]]
    """
    alphas = as_float_array(alphas, "alphas")
    check_shape(alphas, ("H", "W", "n"), "alphas")
    mask = check_mask(mask, alphas.shape[:2]).astype(alphas.dtype)
    last = alphas.shape[2] - 1
    inside = check_int(inside, "inside", low=0, high=last)
    outside = check_int(outside, "outside", low=0, high=last)
    if inside == outside:
        raise ValueError(f"outside must be another layer than inside, got {outside} twice")
    result = np.array(alphas)
    both = alphas[:, :, inside] + alphas[:, :, outside]
    result[:, :, inside] = both * mask
    # Not both * (1 - mask): what is left keeps the sum to the last bit but one.
    result[:, :, outside] = both - result[:, :, inside]
    return result
