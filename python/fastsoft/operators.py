# SPDX-License-Identifier: MIT
"""Symmetric matrices on a pixel grid: stencils, sparse matrices and their sums.

`StencilMatrix` stores the 5x5 neighbourhood of every pixel with 13 numbers instead of 25 values and 25 indices.
Functions that take an operator accept a `StencilMatrix`, a sparse matrix or an `OperatorSum`. Sparse matrices are those
of SciPy, or sparse CSR tensors of torch, or those of CuPy. On a CUDA device, operators stay there: weights and terms
are arrays of torch or CuPy, and products with vectors of these libraries run on the device.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Any

import numpy as np

from fastsoft._checks import as_float_array, check_finite, check_shape
from fastsoft._dispatch import DeviceArray, Place, csr_place, device_csr, find_place, host_csr

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import DTypeLike

__all__ = ["OperatorSum", "StencilMatrix", "operator_place", "operator_terms"]

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

    @property
    @abstractmethod
    def _place(self) -> Place:
        """Where the numbers are."""

    @abstractmethod
    def _terms(self, dtype: DTypeLike, place: Place | None = None) -> list[Any]:
        """Return the terms as native code takes them: on a place, or on the CPU."""

    def __matmul__(self, x: Any) -> Any:
        place = find_place(x=x, operator=self._place)
        x = place.read(x, "x")
        n = self.shape[0]
        if x.ndim not in (1, 2) or x.shape[0] != n:
            raise ValueError(f"x must have shape ({n},) or ({n}, k), got {x.shape}")
        vectors = place.planar(x, self.dtype)
        out = place.empty(vectors.shape, self.dtype)
        place.native.operator_apply(self._terms(self.dtype, place), vectors, out)
        return place.from_planar(out)

    def __add__(self, other: Any) -> OperatorSum:
        return OperatorSum([self, other])

    __radd__ = __add__
    # Keeps SciPy and NumPy from answering for us in `sparse + stencil`.
    __array_priority__ = 100.0

    def diagonal(self) -> Any:
        """Return the main diagonal, shape (N,)."""
        place = self._place
        out = place.empty((self.shape[0],), self.dtype)
        place.native.operator_diagonal(self._terms(self.dtype, place), out)
        return place.result(out)


class StencilMatrix(_Operator):
    """Symmetric matrix of an H x W pixel grid whose entries stay within a 5x5 neighbourhood.

    Pixel ``(row, col)`` is number ``row * W + col``.

    Parameters
    ----------
    weights : array, shape (13, H, W), float32 or float64
        Of NumPy, torch or CuPy, on the CPU or a CUDA device. ``weights[k, row, col]`` couples pixel ``(row, col)`` with
        ``(row + dr, col + dc)``, where ``(dr, dc)`` is ``STENCIL_OFFSETS[k]``: the diagonal first, then the twelve
        neighbours that follow in row-major order. Entries whose neighbour lies outside the grid must be 0.

    Notes
    -----
    Memory: 13 numbers per pixel, 104 bytes in float64. A product reads them once.
    """

    def __init__(self, weights: Any) -> None:
        place = find_place(weights=weights)
        weights = as_float_array(weights, "weights", place)
        check_shape(weights, (13, "H", "W"), "weights")
        check_finite(weights, "weights")
        values = place.contiguous(weights.owner if place.on_device else weights, weights.dtype, "weights")
        weights = place.result(values)
        with place.scope():
            outside = [_any_outside(plane, *offset) for plane, offset in zip(weights, STENCIL_OFFSETS, strict=True)]
            # One answer for all planes: on a device each is waited for.
            if reduce(or_, outside):
                down, right = next(offset for bad, offset in zip(outside, STENCIL_OFFSETS, strict=True) if bad)
                raise ValueError(f"weights must be 0 where the neighbour ({down}, {right}) lies outside the grid")
        self.weights = weights
        self._values = values
        self.dtype = values.dtype

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

    @property
    def _place(self) -> Place:
        return find_place(weights=self.weights)

    def _terms(self, dtype: DTypeLike, place: Place | None = None) -> list[Any]:
        if place is None or not place.on_device:
            return [np.ascontiguousarray(self._host_weights(), dtype=dtype)]
        return [place.contiguous(self.weights, dtype, "weights")]

    def astype(self, dtype: DTypeLike) -> StencilMatrix:
        """Return a copy in another floating-point type."""
        if isinstance(self._values, DeviceArray):
            place = self._place
            values = place.empty(self._values.shape, dtype)
            place.assign(values, self._values)
            return StencilMatrix(place.result(values))
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


def _any_outside(plane: Any, down: int, right: int) -> Any:
    """Return whether a plane of weights has one whose neighbour lies outside the grid, as an array of no dimensions."""
    outside = plane[:, : -right if right < 0 else 0].any() | plane[:, max(plane.shape[1] - right, 0) :].any()
    return outside | plane[max(plane.shape[0] - down, 0) :].any()


class OperatorSum(_Operator):
    """Sum of symmetric operators of one size, kept as its terms.

    Parameters
    ----------
    terms : iterable of StencilMatrix, OperatorSum or sparse matrix
        At least one, all on the CPU or all on one CUDA device; sparse matrices must be symmetric, which is not checked.
    """

    terms: list[Any]
    _parts: list[Any]  # the same, those on devices checked and described

    def __init__(self, terms: Iterable[Any]) -> None:
        flat: list[Any] = []
        for term in terms:
            if isinstance(term, OperatorSum):
                flat.extend(term._parts)
            elif isinstance(term, StencilMatrix):
                flat.append(term)
            else:
                flat.append(_as_term(term, "terms"))
        if not flat:
            raise ValueError("terms must hold at least one operator, got none")
        shapes = {term.shape for term in flat}
        if len(shapes) > 1:
            raise ValueError(f"terms must have one shape, got {', '.join(map(str, sorted(shapes)))}")
        self._home = find_place(**{f"terms[{i}]": _place_of(term) for i, term in enumerate(flat)})
        self._parts = flat
        self.terms = [term.matrix if isinstance(term, _DeviceCsr) else term for term in flat]
        self.dtype = np.result_type(*(term.dtype for term in flat))

    @property
    def _place(self) -> Place:
        return self._home

    @property
    def shape(self) -> tuple[int, int]:
        """Shape (N, N) of the matrix."""
        n = int(self._parts[0].shape[0])
        return n, n

    @property
    def grid_shape(self) -> tuple[int, int] | None:
        """Height and width of the pixel grid if one of the terms is a stencil, else None."""
        for term in self.terms:
            if isinstance(term, StencilMatrix):
                return term.grid_shape
        return None

    def _terms(self, dtype: DTypeLike, place: Place | None = None) -> list[Any]:
        if place is None or not place.on_device:
            return [part for term in self.terms for part in operator_terms(term, dtype)]
        return [part for term in self._parts for part in term._terms(dtype, place)]

    def astype(self, dtype: DTypeLike) -> OperatorSum:
        """Return a copy in another floating-point type."""
        return OperatorSum([term.astype(dtype) for term in self._parts])

    def tocsr(self) -> Any:
        """Return the sum as one `scipy.sparse.csr_array`."""
        parts = [term.tocsr() if isinstance(term, StencilMatrix) else term for term in self.terms]
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return total


@dataclass(frozen=True, eq=False)
class _DeviceCsr:
    """A sparse matrix on a device, checked, in the types that native code takes."""

    matrix: Any  # as it was given
    place: Place
    shape: tuple[int, int]
    indptr: DeviceArray  # int64
    indices: DeviceArray  # int32
    data: DeviceArray

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.data.dtype

    def astype(self, dtype: DTypeLike) -> Any:
        """Return a copy as the library's sparse matrix."""
        if self.place.kind == "cupy":
            return self.matrix.astype(dtype)
        data = self.place.empty(self.data.shape, dtype)
        self.place.assign(data, self.data)
        return self.place.csr(data, self.indices, self.indptr, self.shape)

    def _terms(self, dtype: DTypeLike, place: Place) -> list[Any]:
        return [
            (
                place.contiguous(self.indptr.owner, np.int64, "indptr"),
                place.contiguous(self.indices.owner, np.int32, "indices"),
                place.contiguous(self.data.owner, dtype, "data"),
            )
        ]


def _place_of(term: Any) -> Place | None:
    if isinstance(term, _DeviceCsr):
        return term.place
    return term._place if isinstance(term, _Operator) else csr_place(term, "terms")


def operator_place(operator: Any, name: str = "operator") -> Place | None:
    """Return where an operator is, for `find_place`; None for what is none."""
    return operator._place if isinstance(operator, _Operator) else csr_place(operator, name)


def _as_term(value: Any, name: str) -> Any:
    """Return a sparse matrix as a checked SciPy matrix or, from a device, a _DeviceCsr."""
    place = csr_place(value, name)
    return _as_csr(value, name) if place is None or not place.on_device else _as_device_csr(value, name, place)


def _as_device_csr(value: Any, name: str, place: Place) -> _DeviceCsr:
    """Check a matrix on a device as `_as_csr` and `operator_terms` do one of SciPy. Waits for the device."""
    shape = tuple(value.shape)
    if len(shape) != 2 or shape[0] != shape[1]:
        raise ValueError(f"{name} must be square, got shape {shape}")
    with place.scope():
        starts, columns, numbers = device_csr(value)
        data = place.read(numbers, name)
        if data.dtype not in (np.float32, np.float64):
            raise TypeError(f"{name} must have dtype float32 or float64, got {data.dtype}")
        if shape[0] > 2**31 - 1:
            raise ValueError(f"{name} must have at most {2**31 - 1} rows, got {shape[0]}")
        check_finite(data, name)
        if data.size and bool((columns.min() < 0) | (columns.max() >= shape[1])):
            raise ValueError(f"{name} has column indices outside 0..{shape[1] - 1}")
        falls = (starts[0] != 0) | (starts[1:] < starts[:-1]).any() | (starts[-1] != data.size)
        if starts.shape[0] != shape[0] + 1 or columns.shape[0] != data.size or bool(falls):
            raise ValueError(f"{name} has row pointers that do not rise from 0 to its {data.size} entries")
        return _DeviceCsr(
            matrix=value,
            place=place,
            shape=shape,
            indptr=place.contiguous(starts, np.int64, name),
            indices=place.contiguous(columns, np.int32, name),
            data=place.contiguous(numbers, data.dtype, name),
        )


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


def operator_terms(operator: Any, dtype: DTypeLike, name: str = "operator", place: Place | None = None) -> list[Any]:
    """Return the terms of an operator as native code takes them, in the given dtype.

    Each is a (13, H, W) array or a triple (indptr int64, indices int32, data): on the `place` of the call, which is the
    operator's, or on the CPU.
    """
    if isinstance(operator, _Operator):
        return operator._terms(dtype, place)
    home = csr_place(operator, name)
    if home is not None and home.on_device:
        if place is None or not place.on_device:
            raise TypeError(
                f"{name} is in the memory of CUDA device {home.location.partition(':')[2]}, and this operation runs on "
                "the CPU: move it there"
            )
        return _as_device_csr(operator, name, home)._terms(dtype, place)
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
