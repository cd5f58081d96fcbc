# SPDX-License-Identifier: MIT
"""Laplacian of an affinity matrix."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastsoft._native import cpu
from fastsoft.operators import OperatorSum, StencilMatrix, operator_terms

__all__ = ["graph_laplacian"]


def graph_laplacian(affinity: Any, *, normalized: bool = False) -> Any:
    """Compute the Laplacian ``D - W`` of an affinity matrix ``W`` with row sums ``D``, or its normalised form.

    Parameters
    ----------
    affinity : StencilMatrix, SciPy sparse matrix, OperatorSum, or a sequence of these
        Symmetric (which is not checked), float32 or float64, of shape (N, N); a sequence or an OperatorSum stands for
        the sum of its terms. Negative weights are allowed.
    normalized : bool, default False
        Return ``D^-1/2 (D - W) D^-1/2``, which is Eq. 6 of [1]_; the authors' program uses ``D - W``. Rows without
        weights become rows of zeros.

    Returns
    -------
    scipy.sparse.csr_array, StencilMatrix or OperatorSum, shape (N, N)
        The Laplacian of all sparse terms as one CSR matrix with sorted columns, that of all stencils as one stencil, or
        the OperatorSum of a stencil and a CSR matrix if both occur. A CSR row has a diagonal entry unless its row of
        the affinity is empty.

    Raises
    ------
    TypeError, ValueError
        If the affinity has another type or shape or is not finite.
    ValueError
        If ``normalized`` is set and a row with weights has a sum that is not positive.

    Notes
    -----
    The plain Laplacian is linear in the affinity: that of a sum is the sum of the terms' Laplacians. The diagonal of
    the affinity counts in ``D``, so that it matters for the normalised Laplacian only. Diagonal entries are sums of the
    off-diagonal weights taken in float64. One pass over the weights (two if normalised); results do not depend on the
    number of threads.

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
    terms = OperatorSum(affinity if isinstance(affinity, (list, tuple)) else [affinity])
    dtype = terms.dtype
    stencil = _added_stencils([term for term in terms.terms if isinstance(term, StencilMatrix)], dtype)
    matrix = _added_matrices([term for term in terms.terms if not isinstance(term, StencilMatrix)], dtype)
    parts = [part for part in (stencil, matrix) if part is not None]
    scale = _inverse_root_degrees(OperatorSum(parts), dtype) if normalized else None

    laplacians: list[Any] = []
    if stencil is not None:
        affinities = stencil._host_weights()
        weights = np.empty_like(affinities)
        cpu.graph_laplacian_stencil(affinities, scale, weights)
        laplacians.append(StencilMatrix._from_native(weights, weights))
    if matrix is not None:
        laplacians.append(_csr_laplacian(matrix, scale, dtype))
    return laplacians[0] if len(laplacians) == 1 else OperatorSum(laplacians)


def _added_stencils(stencils: list[StencilMatrix], dtype: Any) -> StencilMatrix | None:
    if not stencils:
        return None
    shapes = {stencil.grid_shape for stencil in stencils}
    if len(shapes) > 1:
        raise ValueError(f"affinity must have stencils of one grid shape, got {', '.join(map(str, sorted(shapes)))}")
    weights = stencils[0]._host_weights()
    for stencil in stencils[1:]:
        weights = weights + stencil._host_weights()
    weights = np.ascontiguousarray(weights, dtype=dtype)
    return StencilMatrix._from_native(weights, weights)


def _added_matrices(matrices: list[Any], dtype: Any) -> Any:
    if not matrices:
        return None
    matrix = matrices[0]
    for other in matrices[1:]:
        matrix = matrix + other
    if not matrix.has_canonical_format:
        matrix = matrix.copy()
        matrix.sum_duplicates()
    return matrix.astype(dtype, copy=False)


def _inverse_root_degrees(affinity: OperatorSum, dtype: Any) -> Any:
    """Return D^-1/2, with 0 for rows without weights."""
    n = affinity.shape[0]
    sums, magnitudes = np.empty(n), np.empty(n)
    cpu.affinity_degrees(operator_terms(affinity, dtype), np.empty(0, dtype=dtype), sums, magnitudes)
    bad = (magnitudes > 0) & ~(sums > 0)
    if bad.any():
        row = int(np.argmax(bad))
        raise ValueError(
            f"affinity must have positive row sums for normalized=True, got {np.count_nonzero(bad)} that are not, "
            f"the first {sums[row]:g} in row {row}"
        )
    return np.where(sums > 0, 1 / np.sqrt(np.where(sums > 0, sums, 1.0)), 0.0)


def _csr_laplacian(affinity: Any, scale: Any, dtype: Any) -> Any:
    from scipy import sparse

    starts, columns, weights = operator_terms(affinity, dtype, "affinity")[0]
    n = affinity.shape[0]
    n_entries = cpu.graph_laplacian_n_entries(starts, columns, weights)
    indptr = np.empty(n + 1, dtype=np.int64)
    indices = np.empty(n_entries, dtype=np.int32)
    data = np.empty(n_entries, dtype=dtype)
    cpu.graph_laplacian_csr(starts, columns, weights, scale, indptr, indices, data)
    if n_entries <= np.iinfo(np.int32).max:
        # SciPy wants both index arrays in one type.
        indptr = indptr.astype(np.int32)
    laplacian = sparse.csr_array((data, indices, indptr), shape=(n, n))
    laplacian.has_canonical_format = True
    return laplacian
