# SPDX-License-Identifier: MIT
"""Colours for the transparent side of a foreground, by multi-scale smoothing that keeps what alpha vouches for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastsoft._checks import check_alpha_of, check_choice, check_image, check_int, check_number
from fastsoft._dispatch import find_place

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["refine_foreground"]


def refine_foreground(
    foreground: Any,
    alpha: Any,
    *,
    order: str = "red_black",
    kappa: float = 1.0,
    n_scales: int = 6,
    iterations: int = 20,
    progress: Callable[[float], None] | None = None,
) -> Any:
    r"""Replace colours of a foreground that its alpha does not vouch for by smooth continuations of those it does.

    The foregrounds of matting data have arbitrary colours where they are transparent, which show as a fringe when the
    foreground is resized, blurred or composited. This is the re-estimation of foregrounds, RF, of [1]_ (Algorithm 2).
    The input is a foreground with its alpha, not a photograph: for a photograph, `estimate_foreground` first separates
    foreground and background.

    Parameters
    ----------
    foreground : array, shape (H, W, 3), float32 or float64
        Colours, not premultiplied, in [0, 1]: of NumPy or torch on the CPU, or of CuPy or torch on a CUDA device.
    alpha : array, shape (H, W), dtype of `foreground`
        Opacity in [0, 1].
    order : {"red_black", "jacobi"}, optional
        In which order pixels are updated. ``"red_black"`` takes the two colours of a chequerboard in turn, which
        converges about twice as fast as ``"jacobi"``, the order of the authors' program: all pixels from the state
        before.
        In float64 and with the other arguments at their defaults, ``"jacobi"`` is their result before it is stored.
    kappa : float, optional
        Weight of smoothness against fidelity. 1 in the paper.
    n_scales : int, optional
        Number of levels, each of half the size of the next. 6 in the paper. Levels are at least one pixel.
    iterations : int, optional
        Updates of every pixel at full resolution; every coarser level does twice as many. 20 in the paper.
    progress : callable, optional
        Called with the fraction done; an exception raised in it ends the operation.

    Returns
    -------
    array, shape (H, W, 3), library, device and dtype of `foreground`
        Colours in [0, 1], not premultiplied. In every channel between the smallest and the largest of `foreground`, to
        roundings.

    Raises
    ------
    TypeError
        If an array has another dtype, or the two are not on one device.
    ValueError
        If shapes do not fit, or values are out of range or not finite.

    Notes
    -----
    Per channel the updates decrease, with alpha :math:`a` and the four neighbours of each pixel,

    .. math:: \frac12 \sum_i \Big( a_i^2 (F'_i - F_i)^2 + \kappa (1 - a_i)^2 \sum_j (F'_i - F'_j)^2 \Big).

    A pixel keeps its colour if it and its neighbours are opaque. An opaque pixel beside a transparent one is drawn
    towards it, as strongly as the paper has it. Authors' files hold the colours cut off to 8 bits:
    ``(255 * result).astype(numpy.uint8)``.

    Time is that of about 40 passes over the pixels that are not opaque, memory 10 numbers per pixel (13 with
    ``"jacobi"``). Same bits for any number of threads.

    On a CUDA device the work is enqueued on the current stream of the library of `foreground`. The call waits for the
    checks that all values are in [0, 1], not for the result: `progress` is told what has been enqueued. All pixels are
    visited, opaque or not; memory beyond input and output is 10 numbers per pixel.

    References
    ----------
    .. [1] R. Wang, J. Xie, J. Han, D. Qi, "Improving Deep Image Matting via Local Smoothness Assumption", IEEE
       International Conference on Multimedia and Expo, 2022. arXiv:2112.13809

    Examples
    --------
    The transparent half of a red foreground is green, and takes the colour of the opaque half:

    >>> import numpy as np
    >>> import fastsoft
    >>> foreground = np.zeros((8, 8, 3))
    >>> foreground[:, :4, 0] = 1.0
    >>> foreground[:, 4:, 1] = 1.0
    >>> alpha = np.zeros((8, 8))
    >>> alpha[:, :4] = 1.0
    >>> fastsoft.refine_foreground(foreground, alpha, iterations=200).round(3)[0, 7].tolist()
    [1.0, 0.0, 0.0]
    """
    place = find_place(foreground=foreground, alpha=alpha)
    foreground = check_image(foreground, "foreground", place=place)
    alpha = check_alpha_of(foreground, alpha, "foreground", place=place)
    check_choice(order, "order", ("red_black", "jacobi"))
    # Beyond these bounds float32 loses one of the two terms altogether.
    kappa = check_number(kappa, "kappa", low=1e-6, high=1e6)
    n_scales = check_int(n_scales, "n_scales", low=1, high=16)
    iterations = check_int(iterations, "iterations", low=1, high=10000)
    out = place.empty(foreground.shape, foreground.dtype)
    place.native.refine_foreground(foreground, alpha, out, kappa, n_scales, iterations, order == "jacobi", progress)
    return place.result(out)
