# SPDX-License-Identifier: MIT
"""Constrained sparsification: soft segments as combinations of eigenvectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastsoft._checks import (
    as_float_array,
    check_choice,
    check_finite,
    check_int,
    check_number,
    check_shape,
)
from fastsoft._dispatch import DeviceArray, Place, find_place, host_copy
from fastsoft._native import cpu

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SparsifyResult", "sparsify_segments"]

# Weight of the sparsity term before the exponent, from the authors' program.
_SPARSITY_WEIGHT = 0.3

_DEFAULT_CLAMP = {"stable": 1e-2, "compat": 1e-10}
_DEFAULT_SAMPLES = 20_000


@dataclass(frozen=True)
class SparsifyResult:
    """Soft segments of `sparsify_segments`.

    Attributes
    ----------
    segments : array, shape (N, K)
        The K segments left, of the dtype, library and device of the eigenvectors; each row sums to 1. Not confined to
        [0, 1]. The other arrays are NumPy's.
    coefficients : ndarray, shape (k, K), float64
        Weights of the eigenvectors: ``segments = eigenvectors @ coefficients``, up to what the constant vector lacks of
        lying in the span of the eigenvectors.
    kept : ndarray, shape (K,), int64
        Which of the starting segments these are.
    component_count : ndarray, shape (n_iterations,), int32
        Number of segments at the start of each iteration.
    energy : float
        ``2 * 0.3**gamma / gamma * sparsity + smoothness``, what the iteration minimises, over all pixels.
    sparsity : float
        Sum over pixels and segments of ``|alpha|**gamma + |1 - alpha|**gamma``; at least 1 per pixel and segment.
    smoothness : float
        Sum over segments of ``alpha @ L @ alpha``, from coefficients and eigenvalues.
    n_samples : int
        Pixels that the iteration ran on; N if all.
    """

    segments: Any
    coefficients: Any
    kept: Any
    component_count: Any
    energy: float
    sparsity: float
    smoothness: float
    n_samples: int


def sparsify_segments(
    eigenvectors: Any,
    eigenvalues: Any,
    start: Any,
    *,
    gamma: float = 0.8,
    n_iterations: int = 40,
    method: str = "stable",
    exact: bool = False,
    clamp: float | None = None,
    prune_threshold: float = 0.1,
    n_samples: int | None = None,
    grid_shape: tuple[int, int] | None = None,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
) -> SparsifyResult:
    r"""Find soft segments in the span of eigenvectors that sum to 1 and are as often 0 or 1 as possible.

    Minimises over the weights :math:`y_k` of segments :math:`\alpha_k = E y_k`

    .. math::

       \sum_k \alpha_k^T L \alpha_k + \frac{2 \cdot 0.3^\gamma}{\gamma} \sum_{k,p} |\alpha_{kp}|^\gamma
       + |1 - \alpha_{kp}|^\gamma \qquad \text{subject to} \qquad \sum_k \alpha_k = 1

    by reweighted least squares [1]_ [2]_. The result is a local minimum, found from `start`.

    Parameters
    ----------
    eigenvectors : array, shape (N, k), float32 or float64
        Orthonormal columns. Fastest in Fortran order, as `smallest_eigenvectors` returns them. Their dtype is that of
        the sums over pixels; systems of equations are always solved in float64. Of NumPy, torch or CuPy, on the CPU or
        a CUDA device.
    eigenvalues : array, shape (k,), float32 or float64
        In the order of the columns. A few may be negative. On any device: the host reads them.
    start : array, integer of shape (N,) or (H, W), or float32 or float64 of shape (N, K) or (H, W, K)
        Labels of a hard segmentation, any integers, or soft segments; on the device of `eigenvectors`.
    gamma : float, optional
        Exponent of the sparsity term, in (0, 1]. Default 0.8 [2]_.
    n_iterations : int, optional
        Reweighted iterations. Default 40 [2]_; the spectral matting of the authors' program uses 20.
    method : {"stable", "compat"}, optional
        ``"stable"`` treats all segments alike and limits the weights by a large `clamp`. ``"compat"`` is the authors'
        program step by step: the last segment is 1 minus the others, the clamp is 1e-10, all pixels are used. Its
        weights reach 1e12, which makes it chaotic: another machine, or eigenvectors that differ in the last bit, give
        other segments after some ten iterations.
    exact : bool, optional
        Take the sums of ``"stable"`` over all pixels instead of a sample.
    clamp : float, optional
        Distances from 0 and 1 count at least this in the weights. Default 1e-2, for ``"compat"`` 1e-10.
    prune_threshold : float, optional
        Segments that reach it nowhere in absolute value are dropped after a quarter, a half and three quarters of the
        iterations, each time one iteration later. Default 0.1 (the authors' program); 0 drops none.
    n_samples : int, optional
        Size of the sample, about. Default 20000. All pixels are used when there are no more than that.
    grid_shape : (int, int), optional
        Height and width of the picture; known already if `start` has the shape of the picture. The sample takes one
        pixel of each cell of a regular grid; without this, one of each run of pixel numbers.
    seed : int, optional
        Picks the pixel within each cell. No other random choice is made.
    progress : callable, optional
        Called with the fraction done; an exception raised in it ends the operation.

    Returns
    -------
    SparsifyResult
        Segments of all pixels, coefficients and energy.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or range.

    Notes
    -----
    An iteration costs one k x k matrix per segment: :math:`K N k^2` multiplications and additions over all N pixels, in
    ``"stable"`` only for pixels further than `clamp` from 0 and 1 (one in six, typically). What the sample changes
    is within what the choice of local minimum leaves open: at 640x480 the energy differs by less than 0.1 %, single
    values by about 0.001 on average. Memory: the eigenvectors (a copy, unless in Fortran order), the segments and
    50 MB. The result has the same bits for any number of threads.

    On a CUDA device the sums over pixels are formed there, on the current stream of the library of `eigenvectors`, and
    the k x k systems are solved on the host: each iteration waits for the sums, 4 k (k + 1) bytes per segment. Memory
    beyond input and output: a copy of the eigenvectors unless in Fortran order, up to 64 MB of partial sums, and
    2 K + 1 numbers per pixel for at most 196608 pixels at a time.

    The share of a dropped segment goes, in the next iteration, to wherever the constrained minimum puts it. In
    ``"compat"`` that begins with the last segment, in ``"stable"`` no segment is special.

    References
    ----------
    .. [1] A. Levin, A. Rav-Acha, D. Lischinski, "Spectral Matting", IEEE Transactions on Pattern Analysis and Machine
       Intelligence 30(10), 2008. :doi:`10.1109/TPAMI.2008.168`
    .. [2] Y. Aksoy, T.-H. Oh, S. Paris, M. Pollefeys, W. Matusik, "Semantic Soft Segmentation", ACM Transactions on
       Graphics 37(4), 2018. :doi:`10.1145/3197517.3201275`

    Examples
    --------
    Two segments in the span of the first five eigenvectors of a chain of twelve pixels.

    >>> import fastsoft
    >>> import numpy as np
    >>> column, pixel = np.arange(5), np.arange(12)[:, None]
    >>> vectors = np.cos(np.pi * column * (pixel + 0.5) / 12)
    >>> vectors /= np.linalg.norm(vectors, axis=0)
    >>> values = 2 - 2 * np.cos(np.pi * column / 12)
    >>> result = fastsoft.sparsify_segments(vectors, values, np.arange(12) // 7)
    >>> result.segments.shape
    (12, 2)
    >>> bool(np.allclose(result.segments.sum(axis=1), 1))
    True
    """
    place = find_place(eigenvectors=eigenvectors, start=start)
    eigenvectors = as_float_array(eigenvectors, "eigenvectors", place)
    check_shape(eigenvectors, ("N", "k"), "eigenvectors")
    if 0 in eigenvectors.shape:
        raise ValueError(f"eigenvectors must not be empty, got shape {eigenvectors.shape}")
    check_finite(eigenvectors, "eigenvectors")
    n, k = eigenvectors.shape
    eigenvalues = as_float_array(host_copy(eigenvalues, "eigenvalues"), "eigenvalues")
    check_shape(eigenvalues, (k,), "eigenvalues")
    check_finite(eigenvalues, "eigenvalues")
    gamma = check_number(gamma, "gamma", low=0.0, high=1.0, exclusive=True)
    n_iterations = check_int(n_iterations, "n_iterations", low=1, high=2**31 - 1)
    compat = check_choice(method, "method", ("stable", "compat")) == "compat"
    if compat and n_samples is not None:
        raise ValueError("n_samples must be None for method 'compat', which uses all pixels")
    clamp = check_number(_DEFAULT_CLAMP[method] if clamp is None else clamp, "clamp", low=1e-12, high=0.5)
    prune_threshold = check_number(prune_threshold, "prune_threshold", low=0.0)
    n_samples = check_int(_DEFAULT_SAMPLES if n_samples is None else n_samples, "n_samples", low=1)
    seed = check_int(seed, "seed", low=0, high=2**64 - 1)
    labels, soft, n_segments, grid_shape = _check_start(start, n, grid_shape, place)

    dtype = eigenvectors.dtype
    vectors = place.planes(eigenvectors.T, dtype)
    values = np.ascontiguousarray(eigenvalues, dtype=np.float64)
    constant = place.row_sums(vectors)
    sample, weights, used = None, None, vectors
    if not (compat or exact or n_samples >= n):
        sample, weights = _stratified_sample(grid_shape or (1, n), n_samples, seed)
        weights = place.put(weights.astype(dtype))
        used = place.planes(vectors, dtype, sample)
    pixels: tuple[Any, ...] = (
        used,
        weights,
        None if labels is None else place.planes(labels, np.int32, sample),
        None if soft is None else place.planes(soft.T, dtype, sample),
    )
    quarter = n_iterations // 4
    marks = [quarter * i + 1 for i in (1, 2, 3)] if quarter and prune_threshold > 0 else []
    options: tuple[Any, ...] = (
        n_segments,
        compat,
        gamma,
        n_iterations,
        clamp,
        prune_threshold,
        marks,
        None if progress is None else lambda fraction: progress(0.95 * fraction),
    )
    if isinstance(used, DeviceArray):
        sums = _DeviceSums(place.native, pixels)
        found = cpu.sparsify_segments_elsewhere(sums, dtype == np.float32, values, constant, *options)
    else:
        found = cpu.sparsify_segments(used, values, constant, *pixels[1:], *options)
    coefficients, offsets, kept, counts = found
    segments = place.empty((n, len(kept)), dtype)
    sparsity = place.native.combine_eigenvectors(
        vectors,
        coefficients,
        offsets,
        gamma,
        segments,
        None if progress is None else lambda fraction: progress(0.95 + 0.05 * fraction),
    )
    # The constant's own coefficients in place of the offsets.
    coefficients = coefficients.T + np.outer(constant, offsets)
    smoothness = float(np.sum(coefficients**2 * values[:, None]))
    return SparsifyResult(
        segments=place.result(segments),
        coefficients=coefficients,
        kept=kept,
        component_count=counts,
        energy=2 * _SPARSITY_WEIGHT**gamma / gamma * sparsity + smoothness,
        sparsity=sparsity,
        smoothness=smoothness,
        n_samples=used.shape[1],
    )


class _DeviceSums:
    """What the iteration asks for of pixels on a device (SparsifySums in cpp/include/fastsoft/sparsify.hpp)."""

    def __init__(self, native: Any, pixels: tuple[Any, ...]) -> None:
        self.native = native
        self.vectors, self.weights, self.labels, self.soft = pixels

    def gram(self, packed: Any) -> None:
        self.native.sparsify_gram(self.vectors, self.weights, packed)

    def form(self, *arguments: Any) -> None:
        self.native.sparsify_sums(self.vectors, self.weights, self.labels, self.soft, *arguments)

    def peaks(self, coefficients: Any, offsets: Any, largest: Any) -> None:
        self.native.sparsify_peaks(self.vectors, coefficients, offsets, largest)


def _check_start(start: Any, n: int, grid_shape: Any, place: Place) -> tuple[Any, Any, int, tuple[int, int] | None]:
    """Return dense labels (1, N) or soft segments (N, K), the other None, their number, and the grid if it is known."""
    array = place.read(start, "start")
    hard = np.issubdtype(array.dtype, np.integer)
    if not hard and array.dtype not in (np.float32, np.float64):
        raise TypeError(f"start must hold integer labels, or float32 or float64 segments, got {array.dtype}")
    pixels = array.shape if hard else array.shape[:-1]
    if len(pixels) not in (1, 2) or array.size == 0 or int(np.prod(pixels)) != n:
        wanted = "(N,) or (H, W)" if hard else "(N, K) or (H, W, K)"
        raise ValueError(f"start must have shape {wanted} with N = {n} as eigenvectors have, got {array.shape}")
    if len(pixels) == 2:
        if grid_shape is not None and tuple(grid_shape) != pixels:
            raise ValueError(f"grid_shape must be the shape of start {pixels}, got {tuple(grid_shape)}")
        grid_shape = (int(pixels[0]), int(pixels[1]))
    elif grid_shape is not None:
        height, width = (check_int(extent, "grid_shape", low=1) for extent in grid_shape)
        if height * width != n:
            raise ValueError(f"grid_shape must have {n} pixels as eigenvectors have, got {height}x{width}")
        grid_shape = (height, width)
    if hard:
        labels, n_segments = place.dense_labels(array)
        return labels, None, n_segments, grid_shape
    check_finite(array, "start")
    return None, place.reshape(array, (n, array.shape[-1])), array.shape[-1], grid_shape


def _stratified_sample(grid_shape: tuple[int, int], n_samples: int, seed: int) -> tuple[Any, Any]:
    """Pick one pixel of each cell of a grid of about `n_samples` nearly square cells.

    Returns pixel numbers, int64, rising within a row of cells, and the number of pixels in each one's cell.
    """
    height, width = grid_shape
    n_rows = min(height, max(1, round(np.sqrt(n_samples * height / width))))
    n_cols = min(width, max(1, round(n_samples / n_rows)))
    row_edges = np.arange(n_rows + 1) * height // n_rows
    col_edges = np.arange(n_cols + 1) * width // n_cols
    cell = np.arange(n_rows * n_cols, dtype=np.uint64)
    # SplitMix64 (Steele, Lea, Flood 2014) of the seed and the cell: two independent 32-bit numbers.
    bits = (cell + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(seed)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    bits ^= bits >> np.uint64(31)
    cell_row, cell_col = np.divmod(cell.astype(np.int64), n_cols)
    cell_height = np.diff(row_edges)[cell_row]
    cell_width = np.diff(col_edges)[cell_col]
    row = row_edges[cell_row] + (cell_height * (bits >> np.uint64(32)).astype(np.int64) >> 32)
    col = col_edges[cell_col] + (cell_width * (bits & np.uint64(0xFFFFFFFF)).astype(np.int64) >> 32)
    return row * width + col, (cell_height * cell_width).astype(np.float64)
