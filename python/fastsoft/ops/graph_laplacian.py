# SPDX-License-Identifier: MIT
"""Laplacian of an affinity matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastsoft._checks import check_number
from fastsoft._dispatch import find_place
from fastsoft.operators import OperatorSum, StencilMatrix, operator_place, operator_terms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastsoft._dispatch import Place

__all__ = ["graph_laplacian"]


def graph_laplacian(affinity: Any, *, weights: Sequence[float] | None = None, normalized: bool = False) -> Any:
    """Compute the Laplacian ``D - W`` of an affinity matrix ``W`` with row sums ``D``, or its normalised form.

    Parameters
    ----------
    affinity : StencilMatrix, sparse matrix, OperatorSum, or a sequence of these
        Symmetric (which is not checked), float32 or float64, of shape (N, N); a sequence or an OperatorSum stands for
        the sum of its terms. Negative weights are allowed. Sparse matrices are SciPy's, CuPy's and torch's CSR tensors;
        all are on the CPU or on one CUDA device, and there their columns must be sorted without duplicates.
    weights : sequence of float, optional
        Factor of each affinity of a sequence; 1 by default.
    normalized : bool, default False
        Return ``D^-1/2 (D - W) D^-1/2``, which is Eq. 6 of [1]_; the authors' program uses ``D - W``. Rows without
        weights become rows of zeros.

    Returns
    -------
    sparse matrix, StencilMatrix or OperatorSum, shape (N, N)
        The Laplacian of all sparse terms as one CSR matrix with sorted columns, that of all stencils as one stencil, or
        the OperatorSum of a stencil and a CSR matrix if both occur: where the affinity is, of its library. A CSR row
        has a diagonal entry unless its row of the affinity is empty.

    Raises
    ------
    TypeError, ValueError
        If the affinity has another type or shape, is not finite, or is not in one place.
    ValueError
        If ``normalized`` is set and a row with weights has a sum that is not positive.

    Notes
    -----
    The plain Laplacian is linear in the affinity: that of a sum is the sum of the terms' Laplacians. The diagonal of
    the affinity counts in ``D``, so that it matters for the normalised Laplacian only. Diagonal entries are sums of the
    off-diagonal weights taken in float64. One pass over the weights (two if normalised); results do not depend on the
    number of threads.

    On a CUDA device the work is enqueued on the current stream of the library of the first affinity. Checks of sparse
    matrices wait for it, as does each sum of two and the Laplacian, to know the number of entries, and the normalised
    Laplacian for its row sums. Memory beyond the result: 4 bytes per row, 16 if normalised, and each sum.

    References
    ----------
    .. [1] Y. Aksoy, T.-H. Oh, S. Paris, M. Pollefeys, W. Matusik, "Semantic soft segmentation", ACM Transactions on
       Graphics 37(4), 2018. :doi:`10.1145/3197517.3201275`

    Examples
    --------
    >>> import numpy as np
    >>> from scipy import sparse
    >>> import fastsoft
    >>> path = sparse.csr_array(np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 2.0], [0.0, 2.0, 0.0]]))
    >>> fastsoft.graph_laplacian(path).toarray()
    array([[ 1., -1.,  0.],
           [-1.,  3., -2.],
           [ 0., -2.,  2.]])
    >>> image = np.random.default_rng(0).random((4, 5, 3))
    >>> stencil = fastsoft.matting_affinity(image, storage="stencil")
    >>> type(fastsoft.graph_laplacian(stencil)).__name__
    'StencilMatrix'
    """
    given = list(affinity) if isinstance(affinity, (list, tuple)) else [affinity]
    sums = [OperatorSum([term]) for term in given]
    factors = [1.0] * len(given) if weights is None else [check_number(weight, "weights") for weight in weights]
    if len(factors) != len(given):
        raise ValueError(f"weights must be one for each of {len(given)} affinities, got {len(factors)}")
    whole = OperatorSum(sums)
    # A sum on the CPU holds its sparse terms as SciPy's; the result is of the library of what was given.
    place = find_place(**{f"affinity[{i}]": operator_place(term, "affinity") for i, term in enumerate(given)})
    dtype = whole.dtype
    terms = [(term, factor) for part, factor in zip(sums, factors, strict=True) for term in part._parts]
    stencil = _added_stencils([pair for pair in terms if isinstance(pair[0], StencilMatrix)], dtype, place)
    matrix = _added_matrices([pair for pair in terms if not isinstance(pair[0], StencilMatrix)], dtype, place)
    scale = None
    if normalized:
        scale = _inverse_root_degrees([part for part in (stencil, matrix) if part is not None], whole, place)

    laplacians: list[Any] = []
    if stencil is not None:
        out = place.empty(stencil.shape, dtype)
        place.native.graph_laplacian_stencil(stencil, scale, out)
        laplacians.append(StencilMatrix._from_native(out, place.result(out)))
    if matrix is not None:
        n = whole.shape[0]
        indptr = place.empty((n + 1,), np.int64)
        indices, data = place.native.graph_laplacian_csr(*matrix, scale, indptr, place.empty)
        laplacians.append(place.csr(data, indices, indptr, (n, n)))
    return laplacians[0] if len(laplacians) == 1 else OperatorSum(laplacians)


def _added_stencils(stencils: list[tuple[StencilMatrix, float]], dtype: Any, place: Place) -> Any:
    """Return the weights of a weighted sum, as native code takes them, or None without any."""
    if not stencils:
        return None
    shapes = {stencil.grid_shape for stencil, _ in stencils}
    if len(shapes) > 1:
        raise ValueError(f"affinity must have stencils of one grid shape, got {', '.join(map(str, sorted(shapes)))}")
    total = None
    for stencil, factor in stencils:
        array = stencil._terms(dtype, place)[0]
        if len(stencils) == 1 and factor == 1:
            return array
        with place.scope():
            weighted = place.result(array) if factor == 1 else factor * place.result(array)
            total = weighted if total is None else total + weighted
    return place.contiguous(total, dtype)


def _added_matrices(matrices: list[tuple[Any, float]], dtype: Any, place: Place) -> Any:
    """Return a weighted sum as native code takes it, (indptr, indices, data), or None without any matrix."""
    if not matrices:
        return None
    first, first_factor = _csr_arrays(matrices[0][0], dtype, place), matrices[0][1]
    for matrix, factor in matrices[1:]:
        second = _csr_arrays(matrix, dtype, place)
        indptr = place.empty(first[0].shape, np.int64)
        arrays = place.native.weighted_sum(*first, first_factor, *second, factor, indptr, place.empty)
        first, first_factor = (indptr, *arrays), 1.0
    if first_factor == 1:
        return first
    with place.scope():
        data = place.contiguous(first_factor * place.result(first[2]), dtype)
    return *first[:2], data


def _csr_arrays(matrix: Any, dtype: Any, place: Place) -> Any:
    """Return a term of an OperatorSum as (indptr, indices, data); on the CPU with sorted columns and no duplicates."""
    if place.on_device:
        return matrix._terms(dtype, place)[0]
    if not matrix.has_canonical_format:
        matrix = matrix.copy()
        matrix.sum_duplicates()
    return operator_terms(matrix, dtype, "affinity")[0]


def _inverse_root_degrees(terms: list[Any], affinity: OperatorSum, place: Place) -> Any:
    """Return D^-1/2, with 0 for rows without weights."""
    n = affinity.shape[0]
    arrays = place.empty((n,), np.float64), place.empty((n,), np.float64)
    place.native.affinity_degrees(terms, place.empty((0,), affinity.dtype), *arrays)
    sums, magnitudes = map(place.result, arrays)
    with place.scope():
        positive = sums > 0
        bad = (magnitudes > 0) & ~positive
        if bool(bad.any()):
            row = int((bad * 1).argmax())
            raise ValueError(
                f"affinity must have positive row sums for normalized=True, got {int(bad.sum())} that are not, "
                f"the first {float(sums[row]):g} in row {row}"
            )
        return place.contiguous(positive / (sums * positive + ~positive) ** 0.5, np.float64)
