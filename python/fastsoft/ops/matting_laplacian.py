# SPDX-License-Identifier: MIT
"""Matting Laplacian and matting affinity of an image."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastsoft._checks import check_choice, check_image, check_int, check_number
from fastsoft._dispatch import find_place
from fastsoft.operators import StencilMatrix

__all__ = ["matting_affinity", "matting_laplacian"]

_MAX_RADIUS = 3


def matting_laplacian(image: Any, *, epsilon: float = 1e-7, radius: int = 1, storage: str = "csr") -> Any:
    """Compute the matting Laplacian of an image.

    It is ``D - W`` with the matting affinity ``W`` (see `matting_affinity`) and the row sums ``D`` of ``W``: symmetric
    and positive semidefinite, and its rows sum to 0.

    Parameters
    ----------
    image : array, shape (H, W, 3), float32 or float64, range [0, 1]
        RGB image, at least ``2 * radius + 1`` pixels wide and high. Any strides. Of NumPy, torch or CuPy, on the CPU or
        a CUDA device.
    epsilon : float, default 1e-7
        Regularisation, above 0. As in [1]_ and PyMatting, ``epsilon / n`` is added to the diagonal of the covariance of
        each window of ``n`` pixels. The default is that of semantic soft segmentation [2]_.
    radius : int, default 1
        Windows have ``2 * radius + 1`` pixels in either direction: 1, 2 or 3; stencil storage knows 1 only.
    storage : {"csr", "stencil"}, default "csr"
        Type of the result. A stencil takes 13 numbers per pixel, CSR 25 numbers and 25 indices.

    Returns
    -------
    sparse matrix or StencilMatrix, shape (H * W, H * W), dtype of the image
        CSR is a ``scipy.sparse.csr_array`` for NumPy, a sparse CSR tensor for torch and a
        ``cupyx.scipy.sparse.csr_matrix`` for CuPy; the weights of a stencil are an array of the image's library, on its
        device. Pixel ``(row, col)`` is number ``row * W + col``. CSR indices are sorted, and every pair of pixels that
        share a window has an entry, also if it is 0.

    Raises
    ------
    TypeError
        If the image is not a floating-point array, or cannot be read where it is.
    ValueError
        If the image has another shape, is too small, is not finite or not in [0, 1]; if an option is out of range.

    Notes
    -----
    Linear in the number of pixels. Memory per megapixel in float64: 104 MB as a stencil, 300 MB as CSR with 32-bit
    indices (which hold up to 85 megapixels). All arithmetic is done in float64 also for float32 images, since the
    window covariances have condition numbers up to about 1e7; only the results are rounded. The diagonal is the
    sum of the stored off-diagonal entries. Results do not depend on the number of threads.

    On a CUDA device the work is enqueued on the current stream of the image's library; checking the image's values
    reads it once more and waits for it. CSR storage needs 13 numbers per pixel of workspace for radius 1, 41 for 2 and
    85 for 3.

    References
    ----------
    .. [1] A. Levin, D. Lischinski, Y. Weiss, "A closed-form solution to natural image matting", IEEE Transactions on
       Pattern Analysis and Machine Intelligence 30(2), 2008. :doi:`10.1109/TPAMI.2007.1177`
    .. [2] Y. Aksoy, T.-H. Oh, S. Paris, M. Pollefeys, W. Matusik, "Semantic soft segmentation", ACM Transactions on
       Graphics 37(4), 2018. :doi:`10.1145/3197517.3201275`

    Examples
    --------
    >>> import numpy as np
    >>> import fastsoft
    >>> image = np.random.default_rng(0).random((5, 6, 3))
    >>> laplacian = fastsoft.matting_laplacian(image)
    >>> laplacian.shape, bool(abs(laplacian.sum(axis=1)).max() < 1e-12)
    ((30, 30), True)
    >>> fastsoft.matting_laplacian(image, storage="stencil").weights.shape
    (13, 5, 6)
    """
    return _matting_matrix(image, epsilon, radius, storage, affinity=False)


def matting_affinity(image: Any, *, epsilon: float = 1e-7, radius: int = 1, storage: str = "csr") -> Any:
    """Compute the matting affinity of an image.

    ``W[p, q]`` sums ``(1 + (I_p - mu)' (Sigma + epsilon / n)^-1 (I_q - mu)) / n`` over the windows of ``n`` pixels that
    hold both ``p`` and ``q`` and lie wholly inside the image; ``mu`` and ``Sigma`` are the window's mean colour and
    biased covariance [1]_. The diagonal is included. A row sums to the number of windows that hold the pixel.

    Parameters
    ----------
    image : array, shape (H, W, 3), float32 or float64, range [0, 1]
        RGB image, at least ``2 * radius + 1`` pixels wide and high. Any strides. Of NumPy, torch or CuPy, on the CPU or
        a CUDA device.
    epsilon : float, default 1e-7
        Regularisation, above 0.
    radius : int, default 1
        Windows have ``2 * radius + 1`` pixels in either direction: 1, 2 or 3; stencil storage knows 1 only.
    storage : {"csr", "stencil"}, default "csr"
        Type of the result.

    Returns
    -------
    sparse matrix or StencilMatrix, shape (H * W, H * W), dtype of the image
        As `matting_laplacian` returns it.

    Raises
    ------
    TypeError, ValueError
        As `matting_laplacian`.

    Notes
    -----
    Affinities may be negative. Cost, precision and determinism as for `matting_laplacian`.

    References
    ----------
    .. [1] A. Levin, D. Lischinski, Y. Weiss, "A closed-form solution to natural image matting", IEEE Transactions on
       Pattern Analysis and Machine Intelligence 30(2), 2008. :doi:`10.1109/TPAMI.2007.1177`

    Examples
    --------
    >>> import numpy as np
    >>> import fastsoft
    >>> affinity = fastsoft.matting_affinity(np.full((3, 3, 3), 0.5))
    >>> affinity.nnz, float(affinity.data.min().round(6)), float(affinity.data.max().round(6))
    (81, 0.111111, 0.111111)
    """
    return _matting_matrix(image, epsilon, radius, storage, affinity=True)


def _matting_matrix(image: Any, epsilon: float, radius: int, storage: str, *, affinity: bool) -> Any:
    radius = check_int(radius, "radius", low=1, high=_MAX_RADIUS)
    storage = check_choice(storage, "storage", ("csr", "stencil"))
    if storage == "stencil" and radius != 1:
        raise ValueError(f"radius must be 1 for storage='stencil', got {radius}")
    epsilon = check_number(epsilon, "epsilon", low=0.0, exclusive=True)
    place = find_place(image=image)
    image = check_image(image, min_size=2 * radius + 1, place=place)
    height, width, _ = image.shape

    if storage == "stencil":
        weights = place.empty((13, height, width), image.dtype)
        place.native.matting_laplacian_stencil(image, affinity, epsilon, weights)
        return StencilMatrix._from_native(weights, place.result(weights))

    n = height * width
    n_entries = place.native.matting_n_entries(height, width, radius)
    indptr = place.empty((n + 1,), np.int64)
    indices = place.empty((n_entries,), np.int32)
    data = place.empty((n_entries,), image.dtype)
    place.native.matting_laplacian_csr(image, affinity, epsilon, radius, indptr, indices, data)
    return place.csr(data, indices, indptr, (n, n))
