# SPDX-License-Identifier: MIT
"""Symmetric matrices on a pixel grid: stencils, SciPy sparse matrices and their sums.

`StencilMatrix` stores the 5x5 neighbourhood of every pixel with 13 numbers instead of 25 values and 25 indices.
Functions that take an operator accept a `StencilMatrix`, a SciPy sparse matrix or array, or an `OperatorSum`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np

from fastsoft._checks import as_float_array, check_finite, check_shape
from fastsoft._dispatch import DeviceArray, host_csr
from fastsoft._native import cpu

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import DTypeLike

__all__ = ["OperatorSum", "StencilMatrix", "operator_terms"]

# Row and column offset of each of the 13 planes, in the order of cpp/include/fastsoft/core/symmetric_operator.hpp.
STENCIL_OFFSETS = (
    (0, 0), (0, 1), (0, 2),
    (1, -2), (1, -1), (1, 0), (1, 1), (1, 2),
    (2, -2), (2, -1), (2, 0), (2, 1), (2, 2),
)  # fmt: skip


class _Operator(ABC):
    """What stencils and sums share: shape, products, sums and conversion to CSR."""

    dtype: np.dtype[Any]

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int]:
        """Shape (N, N) of the matrix."""

    @abstractmethod
    def _terms(self, dtype: DTypeLike) -> list[Any]:
        """Return the terms as native code takes them."""

    def __matmul__(self, x: Any) -> Any:
        x = np.asarray(x)
        n = self.shape[0]
        if x.ndim not in (1, 2) or x.shape[0] != n:
            raise ValueError(f"x must have shape ({n},) or ({n}, k), got {x.shape}")
        vectors = np.ascontiguousarray(x.T, dtype=self.dtype)
        out = np.empty_like(vectors)
        cpu.operator_apply(self._terms(self.dtype), vectors, out)
        return out.T

    def __add__(self, other: Any) -> OperatorSum:
        return OperatorSum([self, other])

    __radd__ = __add__
    # Keeps SciPy and NumPy from answering for us in `sparse + stencil`.
    __array_priority__ = 100.0

    def diagonal(self) -> Any:
        """Return the main diagonal, shape (N,)."""
        out = np.empty(self.shape[0], dtype=self.dtype)
        cpu.operator_diagonal(self._terms(self.dtype), out)
        return out


class StencilMatrix(_Operator):
    """Symmetric matrix of an H x W pixel grid whose entries stay within a 5x5 neighbourhood.

    Pixel ``(row, col)`` is number ``row * W + col``.

    Parameters
    ----------
    weights : ndarray, shape (13, H, W), float32 or float64
        ``weights[k, row, col]`` couples pixel ``(row, col)`` with ``(row + dr, col + dc)``, where ``(dr, dc)`` is
        ``STENCIL_OFFSETS[k]``: the diagonal first, then the twelve neighbours that follow in row-major order.
        Entries whose neighbour lies outside the grid must be 0.

    Notes
    -----
    Memory: 13 numbers per pixel, 104 bytes in float64. A product reads them once.
    """

    def __init__(self, weights: Any) -> None:
        weights = np.ascontiguousarray(as_float_array(weights, "weights"))
        check_shape(weights, (13, "H", "W"), "weights")
        check_finite(weights, "weights")
        for plane, (dr, dc) in zip(weights, STENCIL_OFFSETS, strict=True):
            outside = [plane[plane.shape[0] - dr :] if dr else plane[:0]]
            outside.append(plane[:, : -dc if dc < 0 else 0])
            outside.append(plane[:, plane.shape[1] - dc :] if dc > 0 else plane[:0])
            if any(part.any() for part in outside):
                raise ValueError(f"weights must be 0 where the neighbour ({dr}, {dc}) lies outside the grid")
        self.weights = weights
        self._values = weights
        self.dtype = weights.dtype

    @classmethod
    def _from_native(cls, values: Any, weights: Any) -> StencilMatrix:
        """Wrap weights that native code has just made, without reading them again.

        `weights` are the same numbers as `values`, an ndarray or a DeviceArray, for the caller.
        """
        matrix = cls.__new__(cls)
        matrix.weights = weights
        matrix._values = values
        matrix.dtype = values.dtype
        return matrix

    def _host_weights(self) -> Any:
        """Return the weights as an ndarray."""
        if isinstance(self._values, DeviceArray):
            raise TypeError(
                f"this StencilMatrix is in the memory of CUDA device {self._values.device}, and this operation runs on "
                "the CPU: make it from an array there, or a CSR matrix from the array on the device"
            )
        return self._values

    @property
    def grid_shape(self) -> tuple[int, int]:
        """Height and width of the pixel grid."""
        return self._values.shape[1], self._values.shape[2]

    @property
    def shape(self) -> tuple[int, int]:
        """Shape (N, N) of the matrix, N = H * W."""
        n = self._values.shape[1] * self._values.shape[2]
        return n, n

    def _terms(self, dtype: DTypeLike) -> list[Any]:
        return [np.ascontiguousarray(self._host_weights(), dtype=dtype)]

    def astype(self, dtype: DTypeLike) -> StencilMatrix:
        """Return a copy in another floating-point type."""
        return StencilMatrix(self._host_weights().astype(dtype))

    def tocsr(self) -> Any:
        """Return the matrix as a `scipy.sparse.csr_array` with both triangles and sorted indices."""
        from scipy import sparse

        height, width = self.grid_shape
        rows, cols, values = [], [], []
        index = np.arange(height * width, dtype=np.int32).reshape(height, width)
        for plane, (dr, dc) in zip(self._host_weights(), STENCIL_OFFSETS, strict=True):
            here = (slice(0, max(height - dr, 0)), slice(max(0, -dc), max(width - max(0, dc), 0)))
            there = (slice(dr, height), slice(max(0, dc), max(width - max(0, -dc), 0)))
            source, target, value = index[here].ravel(), index[there].ravel(), plane[here].ravel()
            rows.append(source)
            cols.append(target)
            values.append(value)
            if (dr, dc) != (0, 0):
                rows.append(target)
                cols.append(source)
                values.append(value)
        n = height * width
        triple = (np.concatenate(values), (np.concatenate(rows), np.concatenate(cols)))
        matrix = sparse.coo_array(triple, shape=(n, n)).tocsr()
        matrix.sort_indices()
        return matrix


class OperatorSum(_Operator):
    """Sum of symmetric operators of one size, kept as its terms.

    Parameters
    ----------
    terms : iterable of StencilMatrix, OperatorSum or SciPy sparse matrix
        At least one; sparse matrices must be symmetric, which is not checked.
    """

    terms: list[Any]

    def __init__(self, terms: Iterable[Any]) -> None:
        flat: list[Any] = []
        for term in terms:
            if isinstance(term, OperatorSum):
                flat.extend(term.terms)
            elif isinstance(term, StencilMatrix):
                flat.append(term)
            else:
                flat.append(_as_csr(term, "terms"))
        if not flat:
            raise ValueError("terms must hold at least one operator, got none")
        shapes = {term.shape for term in flat}
        if len(shapes) > 1:
            raise ValueError(f"terms must have one shape, got {', '.join(map(str, sorted(shapes)))}")
        self.terms = flat
        self.dtype = np.result_type(*(term.dtype for term in flat))

    @property
    def shape(self) -> tuple[int, int]:
        """Shape (N, N) of the matrix."""
        n = int(self.terms[0].shape[0])
        return n, n

    @property
    def grid_shape(self) -> tuple[int, int] | None:
        """Height and width of the pixel grid if one of the terms is a stencil, else None."""
        for term in self.terms:
            if isinstance(term, StencilMatrix):
                return term.grid_shape
        return None

    def _terms(self, dtype: DTypeLike) -> list[Any]:
        return [part for term in self.terms for part in operator_terms(term, dtype)]

    def astype(self, dtype: DTypeLike) -> OperatorSum:
        """Return a copy in another floating-point type."""
        return OperatorSum([term.astype(dtype) for term in self.terms])

    def tocsr(self) -> Any:
        """Return the sum as one `scipy.sparse.csr_array`."""
        parts = [term.tocsr() if isinstance(term, StencilMatrix) else term for term in self.terms]
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return total


def _as_csr(value: Any, name: str) -> Any:
    from scipy import sparse

    value = host_csr(value)
    if not sparse.issparse(value):
        raise TypeError(
            f"{name} must be a StencilMatrix, an OperatorSum or a SciPy sparse matrix, got {type(value).__name__}"
        )
    if value.ndim != 2 or value.shape[0] != value.shape[1]:
        raise ValueError(f"{name} must be square, got shape {value.shape}")
    matrix = value.tocsr()
    if matrix.dtype not in (np.float32, np.float64):
        raise TypeError(f"{name} must have dtype float32 or float64, got {matrix.dtype}")
    if matrix.shape[0] > 2**31 - 1:
        raise ValueError(f"{name} must have at most {2**31 - 1} rows, got {matrix.shape[0]}")
    check_finite(matrix.data, name)
    return matrix


def operator_terms(operator: Any, dtype: DTypeLike, name: str = "operator") -> list[Any]:
    """Return the terms of an operator as native code takes them, in the given dtype.

    Each is a (13, H, W) array or a triple (indptr int64, indices int32, data).
    """
    if isinstance(operator, _Operator):
        return operator._terms(dtype)
    matrix = _as_csr(operator, name)
    # Native loops index with what the matrix says: duplicates and unsorted columns are fine, columns outside are not.
    if matrix.indices.size and (matrix.indices.min() < 0 or matrix.indices.max() >= matrix.shape[1]):
        raise ValueError(f"{name} has column indices outside 0..{matrix.shape[1] - 1}")
    if matrix.indptr[0] != 0 or np.any(np.diff(matrix.indptr) < 0) or matrix.indptr[-1] != matrix.indices.size:
        raise ValueError(f"{name} has row pointers that do not rise from 0 to its {matrix.indices.size} entries")
    return [
        (
            np.ascontiguousarray(matrix.indptr, dtype=np.int64),
            np.ascontiguousarray(matrix.indices, dtype=np.int32),
            np.ascontiguousarray(matrix.data, dtype=dtype),
        )
    ]
