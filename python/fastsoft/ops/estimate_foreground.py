# SPDX-License-Identifier: MIT
"""Colours of the foreground and the background of a photograph, given the foreground's alpha."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fastsoft._checks import check_alpha_of, check_choice, check_image, check_int, check_number, check_unit_range
from fastsoft._dispatch import DeviceArray, find_place, with_channels
from fastsoft.errors import ConvergenceError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["estimate_foreground"]


def estimate_foreground(
    image: Any,
    alpha: Any,
    *,
    method: str = "ml",
    return_background: bool = False,
    order: str = "parallel",
    regularization: float = 1e-5,
    gradient_weight: float = 1.0,
    small_size: int = 32,
    n_small_iterations: int = 10,
    n_large_iterations: int = 2,
    window_sizes: tuple[int, int] = (90, 6),
    tolerance: float = 1e-6,
    max_iterations: int = 1000,
    allow_unconverged: bool = False,
    progress: Callable[[float], None] | None = None,
) -> Any:
    r"""Estimate the colours of a photograph's foreground, which its background shines through where alpha is below 1.

    A photograph I is a composite, ``I = alpha * F + (1 - alpha) * B``. Composited over something else, F shows no halo
    of the old background; I itself does.

    Parameters
    ----------
    image : array, shape (H, W, 3), float32 or float64
        The photograph, in [0, 1]: of NumPy or torch on the CPU, or, unless `method` is ``"closed_form"``, of CuPy or
        torch on a CUDA device.
    alpha : array, shape (H, W) or (H, W, n), dtype of `image`
        Opacity in [0, 1]. A stack, like the alphas of `Layers`, gives a foreground for each of its n planes: each is
        estimated by itself, with everything else as its background.
    method : {"ml", "blur_fusion", "closed_form"}, optional
        ``"ml"``, multi-level [1]_, is the default. ``"blur_fusion"`` [2]_ is two blurs: as fast, and coarser where the
        foreground's colours vary. ``"closed_form"`` [3]_ solves for the exact minimum of nearly the same energy as
        ``"ml"``, in many times its time and memory.
    return_background : bool, optional
        Return B, too.
    order : {"parallel", "sequential"}, optional
        Of ``"ml"``: which pixel is updated when. ``"parallel"`` takes the two colours of a chequerboard in turn;
        ``"sequential"`` takes pixels in raster order, as PyMatting's ``estimate_foreground_ml`` does on a CPU, in one
        thread per plane of `alpha`. In float32 it differs from PyMatting by less than 1e-5. It is refused for arrays on
        a CUDA device, which would have nothing to do beside the one pixel.
    regularization : float, optional
        Of ``"ml"`` and ``"closed_form"``: weight of smoothness where alpha is constant.
    gradient_weight : float, optional
        Of ``"ml"``: further weight of smoothness per difference of alpha.
    small_size, n_small_iterations, n_large_iterations : int, optional
        Of ``"ml"``: levels of at most `small_size` pixels on either side are updated `n_small_iterations` times, others
        `n_large_iterations` times.
    window_sizes : tuple of two int, optional
        Of ``"blur_fusion"``: widths of the windows of the first and of the second blur, in pixels.
    tolerance, max_iterations, allow_unconverged : optional
        Of ``"closed_form"``: the solver stops when its residual is `tolerance` times the norm of the right-hand side.
        If that takes more iterations, it raises, or returns what it has.
    progress : callable, optional
        Called with the fraction done; an exception raised in it ends the operation.

    Returns
    -------
    foreground : array, shape (H, W, 3) or (H, W, n, 3), library, device and dtype of `image`
        F, in [0, 1], not premultiplied.
    background : array of the same shape and dtype
        B, with `return_background`.

    Raises
    ------
    ConvergenceError
        If ``"closed_form"`` has not converged. Its `result` is what would have been returned.
    TypeError
        If an array has another dtype, the two are not on one device, or an argument has another type.
    ValueError
        If shapes do not fit, values are out of range or not finite, or a method or an order is asked of a CUDA device
        that is the CPU's only.

    Notes
    -----
    ``"ml"`` and ``"closed_form"`` decrease, per channel,

    .. math:: \sum_i (a_i F_i + (1 - a_i) B_i - I_i)^2
              + \sum_i \sum_j d_{ij} \big( (F_i - F_j)^2 + (B_i - B_j)^2 \big),

    with :math:`d_{ij} = \text{regularization} + \text{gradient_weight} |a_i - a_j|` over the four neighbours. ``"ml"``
    visits every pixel twice at full resolution, after as many visits on coarser levels.

    Workspace per pixel, whatever n: 4 numbers (``"ml"``, parallel), 14 per thread (``"ml"``, sequential), 6
    (``"blur_fusion"``), 450 bytes (``"closed_form"``, always in float64). Same bits for any number of threads.

    On a CUDA device the work is enqueued on the current stream of the library of `image`; the call waits for it, since
    it tells whether all values were in [0, 1]. Memory beyond input and output, in numbers per pixel: 4 for each plane
    of `alpha`, and up to 256 MB of them are estimated together (``"ml"``; 13 if `n_large_iterations` is above 2); 22
    (``"blur_fusion"``).

    References
    ----------
    .. [1] T. Germer, T. Uelwer, S. Conrad, S. Harmeling, "Fast Multi-Level Foreground Estimation", International
       Conference on Pattern Recognition, 2020. arXiv:2006.14970
    .. [2] M. Forte, "Approximate Fast Foreground Colour Estimation", IEEE International Conference on Image Processing,
       2021.
    .. [3] A. Levin, D. Lischinski, Y. Weiss, "A Closed-Form Solution to Natural Image Matting", IEEE Transactions on
       Pattern Analysis and Machine Intelligence 30(2), 2008. :doi:`10.1109/TPAMI.2007.1177`

    Examples
    --------
    A red foreground fades out in front of blue; its colour is red throughout:

    >>> import numpy as np
    >>> import fastsoft
    >>> alpha = np.tile(np.linspace(1, 0, 64), (48, 1))
    >>> red, blue = np.array([0.8, 0.1, 0.1]), np.array([0.1, 0.1, 0.7])
    >>> image = alpha[:, :, None] * red + (1 - alpha[:, :, None]) * blue
    >>> foreground = fastsoft.estimate_foreground(image, alpha)
    >>> foreground[24, 32].round(2).tolist()
    [0.8, 0.1, 0.1]
    """
    check_choice(method, "method", ("ml", "blur_fusion", "closed_form"))
    check_choice(order, "order", ("parallel", "sequential"))
    # Values are looked at by native code on its way, which is faster.
    scan = method == "closed_form"
    place = find_place(image=image, alpha=alpha)
    image = check_image(image, values=False, place=place)
    if isinstance(image, DeviceArray):
        if method == "closed_form":
            raise ValueError("method must be 'ml' or 'blur_fusion' on a CUDA device, got 'closed_form'")
        if method == "ml" and order == "sequential":
            raise ValueError("order must be 'parallel' on a CUDA device, got 'sequential'")
    if scan:
        check_unit_range(image, "image")
    alpha = check_alpha_of(image, alpha, "image", layers=True, values=scan, place=place)
    alphas = with_channels(alpha)
    shape = (*alpha.shape, 3)
    outputs = [place.empty(shape, image.dtype) for _ in range(2 if return_background else 1)]
    foregrounds, backgrounds = [_with_layers(output) for output in outputs] + [None] * (2 - len(outputs))
    arrays = (image, alphas, foregrounds, backgrounds)
    native = place.native
    # Below this float32 rounds the smoothness away beside the rest of the energy.
    regularization = check_number(regularization, "regularization", low=1e-7)
    if method == "ml":
        fault = native.multilevel_foreground(
            *arrays,
            regularization,
            check_number(gradient_weight, "gradient_weight", low=0.0),
            check_int(small_size, "small_size", low=0, high=2**31 - 1),
            check_int(n_small_iterations, "n_small_iterations", low=1, high=10000),
            check_int(n_large_iterations, "n_large_iterations", low=1, high=10000),
            order == "sequential",
            progress,
        )
        _explain(fault, image, alpha)
    elif method == "blur_fusion":
        first, second = _check_sizes(window_sizes)
        fault = native.blur_fusion(*arrays, first, second, progress)
        _explain(fault, image, alpha)
    else:
        tolerance = check_number(tolerance, "tolerance", low=0.0, high=1.0, exclusive=True)
        max_iterations = check_int(max_iterations, "max_iterations", low=0, high=2**31 - 1)
        info = native.closed_form_foreground(*arrays, regularization, tolerance, max_iterations, progress)
    results = tuple(place.result(output) for output in outputs)
    result: Any = results if return_background else results[0]
    if method == "closed_form" and not allow_unconverged and not all(converged for converged, _, _ in info):
        worst = max(residual for _, _, residual in info)
        iterations = max(count for _, count, _ in info)
        raise ConvergenceError(
            f"estimate_foreground stopped after {iterations} of {max_iterations} iterations at a relative residual of "
            f"{worst:.2e}, tolerance {tolerance:.2e}",
            result,
        )
    return result


def _check_sizes(value: Any) -> tuple[int, int]:
    try:
        first, second = value
    except (TypeError, ValueError):
        raise TypeError(f"window_sizes must be two integers, got {value!r}") from None
    return (
        check_int(first, "window_sizes[0]", low=1, high=2**15),
        check_int(second, "window_sizes[1]", low=1, high=2**15),
    )


def _with_layers(colors: Any) -> Any:
    """Return a view (H, W, n, 3) of colours (H, W, 3) or (H, W, n, 3)."""
    if colors.ndim == 4:
        return colors
    if isinstance(colors, DeviceArray):
        (height, width, _), (row, col, channel) = colors.shape, colors.strides
        return replace(colors, shape=(height, width, 1, 3), strides=(row, col, 3, channel))
    return colors[:, :, None]


def _explain(fault: int, image: Any, alpha: Any) -> None:
    """Raise what is wrong with the values, if native code has found fault with them."""
    if fault:
        check_unit_range(image, "image")
        check_unit_range(alpha, "alpha")
        raise ValueError("image and alpha must lie in [0, 1], got other values")
