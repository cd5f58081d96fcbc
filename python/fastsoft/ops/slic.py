# SPDX-License-Identifier: MIT
"""Superpixels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastsoft._checks import check_choice, check_image, check_int, check_number
from fastsoft._dispatch import find_place

__all__ = ["slic"]


def slic(
    image: Any,
    n_segments: int = 2500,
    *,
    method: str = "slic0",
    compactness: float = 10.0,
    max_iterations: int = 10,
    enforce_connectivity: bool = True,
    progress: Callable[[float], None] | None = None,
) -> Any:
    """Cut an image into compact superpixels of similar colour.

    K-means in CIELAB colour and position, where each pixel is compared only with the clusters near it.

    Parameters
    ----------
    image : array, shape (H, W, 3), float32 or float64
        sRGB in [0, 1]. Of NumPy, torch or CuPy, on the CPU or a CUDA device.
    n_segments : int, default 2500
        Number of clusters wanted, in 1..H*W. The number of labels is near it: seeds form a regular grid, pieces cut
        off from their cluster become segments of their own, small ones vanish.
    method : {"slic0", "slic"}, default "slic0"
        ``"slic0"`` divides the colour distances of each cluster by the largest one met in it (at least one CIELAB
        unit), so that segments are as regular in textured regions as in smooth ones. ``"slic"`` divides all by
        `compactness`.
    compactness : float, default 10.0
        Weight of distance in the image against distance in CIELAB; larger is more regular. With ``"slic0"`` it counts
        in the first iteration only. 0 is allowed: values below 1e-3 act as 1e-3, which decides between equal colours.
    max_iterations : int, default 10
        Iterations of k-means; the default is from [1]_.
    enforce_connectivity : bool, default True
        Make every label 4-connected: pieces that have at least a quarter of ``H * W / n_segments`` pixels become
        segments, smaller ones join a neighbour.
    progress : callable, optional
        Called with the fraction done; an exception raised in it ends the operation.

    Returns
    -------
    array, shape (H, W), int32, library and device of `image`
        Labels 0..S-1, all of them used, numbered in the order in which they are met row by row.

    Raises
    ------
    TypeError
        If `image` has another dtype or a parameter another type.
    ValueError
        If `image` has another shape, is empty, not finite or outside [0, 1], or a parameter is out of range, such as
        more segments than pixels.

    Notes
    -----
    Time is linear in the number of pixels and does not depend on the number of segments. Memory beyond input and
    output is about five numbers per pixel. Nothing is random, and labels are the same for any number of threads.

    On a CUDA device the work is enqueued on the current stream of the library of `image`; the call waits for it twice,
    to check the image and at the end. Labels are the same from run to run. They differ from the CPU's at pixels that
    lie between two clusters to within rounding, and in what follows from those. Memory beyond input and output is 16
    bytes per pixel in float32, 28 in float64.

    References
    ----------
    .. [1] R. Achanta, A. Shaji, K. Smith, A. Lucchi, P. Fua, S. Süsstrunk, "SLIC Superpixels Compared to
       State-of-the-Art Superpixel Methods", IEEE Transactions on Pattern Analysis and Machine Intelligence 34(11),
       2012. :doi:`10.1109/TPAMI.2012.120`

    Examples
    --------
    >>> import numpy as np
    >>> import fastsoft
    >>> image = np.zeros((40, 60, 3))
    >>> image[:, 30:] = [1.0, 0.5, 0.0]
    >>> labels = fastsoft.slic(image, 24)
    >>> int(labels.max()) + 1
    24
    >>> bool(set(labels[:, :30].ravel()) & set(labels[:, 30:].ravel()))
    False
    """
    place = find_place(image=image)
    image = check_image(image, place=place)
    height, width, _ = image.shape
    n_segments = check_int(n_segments, "n_segments", low=1)
    if n_segments > height * width:
        raise ValueError(
            f"n_segments must be at most the number of pixels, {height}x{width} = {height * width}, got {n_segments}"
        )
    method = check_choice(method, "method", ("slic0", "slic"))
    compactness = check_number(compactness, "compactness", low=0.0)
    max_iterations = check_int(max_iterations, "max_iterations", low=1)
    labels = place.empty((height, width), np.int32)
    place.native.slic(
        image,
        labels,
        n_segments,
        method == "slic0",
        compactness,
        max_iterations,
        bool(enforce_connectivity),
        progress,
    )
    return place.result(labels)
