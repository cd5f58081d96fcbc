# SPDX-License-Identifier: MIT
"""Which backend a call runs on, how arrays of other libraries are read, and what results are made of.

| given | read as | runs on | results made by |
| --- | --- | --- | --- |
| ``numpy.ndarray``, sequences | buffer | CPU | NumPy |
| torch CPU tensor | NumPy view of it | CPU | torch |
| ``cupy.ndarray`` | CUDA array interface | CuPy's current stream | CuPy |
| torch CUDA tensor | its pointer and strides | torch's current stream | torch |
| other CUDA array interface or DLPack | adopted by CuPy | CuPy's current stream | CuPy |

torch and CuPy are looked up among the modules that are loaded, not imported: none of their arrays can arrive before
they are. Only what the last row reads may import CuPy.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
import warnings
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fastsoft import _native

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

__all__ = ["DeviceArray", "Place", "csr_place", "find_place", "host_array", "host_copy", "host_csr", "with_channels"]

# Device types of the DLPack standard.
_DLPACK_CPU = 1
_DLPACK_CUDA = (2, 13)  # device memory, managed memory


@dataclass(frozen=True, eq=False)
class DeviceArray:
    """An array in the memory of a CUDA device, as native code takes it."""

    owner: Any  # keeps the memory alive
    pointer: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]  # in elements
    dtype: np.dtype[Any]
    writable: bool
    device: int
    stream: int

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def T(self) -> DeviceArray:  # noqa: N802 - as arrays have it
        """The transposed array, on the same memory."""
        return replace(self, shape=self.shape[::-1], strides=self.strides[::-1])

    @property
    def is_contiguous(self) -> bool:
        """Whether the last axis has stride 1 and each other one that of the array below it."""
        step = 1
        for extent, stride in zip(reversed(self.shape), reversed(self.strides), strict=True):
            if extent > 1 and stride != step:
                return False
            step *= extent
        return True

    @property
    def descriptor(self) -> tuple[Any, ...]:
        """What python/bindings/device_array.hpp reads."""
        return (self.pointer, self.shape, self.strides, self.dtype.name, self.writable, self.device, self.stream)

    def value_range(self) -> tuple[float, float, int]:
        """Return the least and the largest finite value and the number of others; waits for the stream."""
        if self.ndim > 3:
            raise ValueError(f"an array on a CUDA device must have at most 3 dimensions, got {self.ndim}")
        filling = (1,) * (3 - self.ndim)
        values = replace(self, shape=filling + self.shape, strides=filling + self.strides)
        low, high, n_bad = _native.cuda().value_range(values)
        return low, high, n_bad


def with_channels(array: Any) -> Any:
    """Return a view (H, W, C) of an array (H, W) or (H, W, C)."""
    if array.ndim == 3:
        return array
    if isinstance(array, DeviceArray):
        return replace(array, shape=(*array.shape, 1), strides=(*array.strides, 1))
    return array[:, :, None]


class Place(ABC):
    """Where a call runs, and the library whose arrays it takes and returns."""

    kind: str  # numpy, torch or cupy
    location: str  # cpu or cuda:N

    @property
    def on_device(self) -> bool:
        """Whether it is a CUDA device."""
        return self.location != "cpu"

    @property
    @abstractmethod
    def native(self) -> Any:
        """The native module."""

    @abstractmethod
    def read(self, value: Any, name: str) -> Any:
        """Return an argument as an ndarray or a DeviceArray."""

    @abstractmethod
    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> Any:
        """Return an uninitialised array, C-contiguous, as `read` returns arrays."""

    @abstractmethod
    def result(self, array: Any) -> Any:
        """Return what `empty` made as an array of the caller's library."""

    @abstractmethod
    def put(self, array: Any) -> Any:
        """Return a copy of a small ndarray as `read` returns arrays."""

    @abstractmethod
    def reshape(self, array: Any, shape: tuple[int, ...]) -> Any:
        """Return what `read` or `empty` made in another shape, on the same memory where that is possible."""

    @abstractmethod
    def planes(self, array: Any, dtype: DTypeLike, pixels: Any = None) -> Any:
        """Return ``array[:, pixels]``, or all columns, in a dtype and contiguous; `array` itself if it is that.

        Columns are numbered by an ndarray of int64. On a device: float32 and float64, or int32 in and out.
        """

    @abstractmethod
    def row_sums(self, array: Any) -> Any:
        """Return the sums of the rows of a contiguous array, a float64 ndarray. On a device: waits for the stream."""

    @abstractmethod
    def dense_labels(self, array: Any) -> tuple[Any, int]:
        """Return an array of integers as numbers 0..n-1 in the order of their values, int32 (1, size), and n."""

    @abstractmethod
    def csr(self, data: Any, indices: Any, indptr: Any, shape: tuple[int, int]) -> Any:
        """Return arrays that `empty` made, int32 indices and int64 row pointers, as the library's sparse matrix."""

    @abstractmethod
    def contiguous(self, value: Any, dtype: DTypeLike, name: str = "array") -> Any:
        """Return an argument as `read` does, C-contiguous and of a dtype: in place if it is that, else a copy."""

    @abstractmethod
    def planar(self, array: Any, dtype: DTypeLike) -> Any:
        """Return what `read` returned, vectors (N,) or (N, k), as contiguous ones (N,) or (k, N) of a dtype."""

    def from_planar(self, array: Any) -> Any:
        """Return vectors (N,) or (k, N) that `empty` made as an array (N,) or (N, k) of the caller's library."""
        vectors = self.result(array)
        return vectors.T if array.ndim == 2 else vectors

    @abstractmethod
    def converted(self, array: Any, dtype: DTypeLike) -> Any:
        """Return what `read` returned in another dtype."""

    @abstractmethod
    def assign(self, array: Any, value: Any) -> None:
        """Fill what `empty` made with a number, or with what `planar` or `contiguous` returned."""

    @abstractmethod
    def empty_like(self, array: Any) -> Any:
        """Return an uninitialised array of the shape, dtype and order of axes of what `read` returned."""

    @abstractmethod
    def from_host(self, array: Any) -> Any:
        """Return an ndarray, C-contiguous, as `read` returns arrays; waits for a device to have copied it."""

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """Return a context in which expressions of the library's arrays run on the device of these."""
        return contextlib.nullcontext()


class _NumpyPlace(Place):
    kind = "numpy"
    location = "cpu"

    @property
    def native(self) -> Any:
        return _native.cpu

    def contiguous(self, value: Any, dtype: DTypeLike, name: str = "array") -> Any:
        return np.ascontiguousarray(self.read(value, name), dtype=dtype)

    def planar(self, array: Any, dtype: DTypeLike) -> Any:
        return np.ascontiguousarray(array.T, dtype=dtype)

    def converted(self, array: Any, dtype: DTypeLike) -> Any:
        return array.astype(dtype)

    def assign(self, array: Any, value: Any) -> None:
        array[...] = value

    def empty_like(self, array: Any) -> Any:
        return np.empty_like(array)

    def from_host(self, array: Any) -> Any:
        return array

    def read(self, value: Any, name: str) -> Any:
        return host_array(value, name)

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> Any:
        return np.empty(shape, dtype=dtype)

    def result(self, array: Any) -> Any:
        return array

    def put(self, array: Any) -> Any:
        return array

    def reshape(self, array: Any, shape: tuple[int, ...]) -> Any:
        return array.reshape(shape)

    def planes(self, array: Any, dtype: DTypeLike, pixels: Any = None) -> Any:
        return np.ascontiguousarray(array if pixels is None else array[:, pixels], dtype=dtype)

    def row_sums(self, array: Any) -> Any:
        return array.sum(axis=1, dtype=np.float64)

    def dense_labels(self, array: Any) -> tuple[Any, int]:
        values, labels = np.unique(array.ravel(), return_inverse=True)
        return labels.reshape(1, -1).astype(np.int32), len(values)

    def csr(self, data: Any, indices: Any, indptr: Any, shape: tuple[int, int]) -> Any:
        from scipy import sparse

        if data.size <= np.iinfo(np.int32).max:
            # SciPy wants both index arrays in one type.
            indptr = indptr.astype(np.int32)
        matrix = sparse.csr_array((data, indices, indptr), shape=shape)
        matrix.has_canonical_format = True
        return matrix


class _TorchCpuPlace(_NumpyPlace):
    kind = "torch"

    def __init__(self) -> None:
        self.torch = sys.modules["torch"]

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> Any:
        return self.torch.empty(shape, dtype=getattr(self.torch, np.dtype(dtype).name)).numpy()

    def result(self, array: Any) -> Any:
        # A tensor cannot be read-only.
        return self.torch.from_numpy(array if array.flags.writeable else array.copy())

    def csr(self, data: Any, indices: Any, indptr: Any, shape: tuple[int, int]) -> Any:
        wrap = self.torch.from_numpy
        return _torch_csr(self.torch, wrap(data), wrap(indices), wrap(indptr), shape)


class _CudaPlace(Place):
    def __init__(self, device: int) -> None:
        self.device = device
        self.location = f"cuda:{device}"

    @property
    def native(self) -> Any:
        return _native.cuda()

    def planar(self, array: Any, dtype: DTypeLike) -> Any:
        return self.contiguous(array.owner.T if array.ndim == 2 else array.owner, dtype)

    def converted(self, array: Any, dtype: DTypeLike) -> Any:
        return self.contiguous(array.owner, dtype)

    def assign(self, array: Any, value: Any) -> None:
        with self.scope():
            array.owner[...] = value.owner if isinstance(value, DeviceArray) else value

    @abstractmethod
    def _describe(self, array: Any, name: str) -> DeviceArray:
        """Return the description of an array of the library on the device."""

    def reshape(self, array: Any, shape: tuple[int, ...]) -> Any:
        with self.scope():
            return self._describe(array.owner.reshape(shape), "array")

    def planes(self, array: Any, dtype: DTypeLike, pixels: Any = None) -> Any:
        if pixels is None and array.is_contiguous and array.dtype == dtype:
            return array
        out = self.empty((array.shape[0], array.shape[1] if pixels is None else len(pixels)), dtype)
        self.native.pixel_planes(array.T, pixels, out)
        return out

    def row_sums(self, array: Any) -> Any:
        return self.native.row_sums(array)


class _TorchCudaPlace(_CudaPlace):
    kind = "torch"

    def __init__(self, device: int) -> None:
        super().__init__(device)
        self.torch = sys.modules["torch"]
        self.torch_device = f"cuda:{device}"

    @property
    def stream(self) -> int:
        """Torch's current stream on the device."""
        return int(self.torch.cuda.current_stream(self.device).cuda_stream)

    def read(self, value: Any, name: str) -> Any:
        if not isinstance(value, self.torch.Tensor):
            # Another library's array on this device: DLPack orders its stream before torch's.
            value = self.torch.from_dlpack(value)
        return self._describe(value, name)

    def contiguous(self, value: Any, dtype: DTypeLike, name: str = "array") -> Any:
        tensor = self.read(value, name).owner
        return self._describe(tensor.to(getattr(self.torch, np.dtype(dtype).name)).contiguous(), name)

    def empty_like(self, array: Any) -> Any:
        return self._describe(self.torch.empty_like(array.owner), "out")

    def from_host(self, array: Any) -> Any:
        return self._describe(self.torch.from_numpy(array).to(self.torch_device), "array")

    def _describe(self, tensor: Any, name: str) -> DeviceArray:
        return DeviceArray(
            owner=tensor,
            pointer=tensor.data_ptr(),
            shape=tuple(tensor.shape),
            strides=tuple(tensor.stride()),
            dtype=_torch_dtype(tensor, name),
            writable=True,
            device=self.device,
            stream=self.stream,
        )

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> Any:
        kind = getattr(self.torch, np.dtype(dtype).name)
        return self._describe(self.torch.empty(shape, dtype=kind, device=self.torch_device), "out")

    def result(self, array: Any) -> Any:
        return array.owner

    def put(self, array: Any) -> Any:
        return self._describe(self.torch.from_numpy(array).to(self.torch_device), "array")

    def dense_labels(self, array: Any) -> tuple[Any, int]:
        values, labels = self.torch.unique(array.owner, return_inverse=True)
        return self._describe(labels.reshape(1, -1).to(self.torch.int32), "labels"), len(values)

    def csr(self, data: Any, indices: Any, indptr: Any, shape: tuple[int, int]) -> Any:
        return _torch_csr(self.torch, data.owner, indices.owner, indptr.owner, shape)


class _CupyPlace(_CudaPlace):
    kind = "cupy"

    def __init__(self, device: int) -> None:
        super().__init__(device)
        self.cupy = sys.modules["cupy"]

    def read(self, value: Any, name: str) -> Any:
        if not isinstance(value, self.cupy.ndarray):
            value = _adopt(value, name)
        return self._describe(value, name)

    def contiguous(self, value: Any, dtype: DTypeLike, name: str = "array") -> Any:
        array = self.read(value, name).owner
        with self.scope():
            return self._describe(self.cupy.ascontiguousarray(array, dtype=dtype), name)

    def empty_like(self, array: Any) -> Any:
        with self.scope():
            return self._describe(self.cupy.empty_like(array.owner), "out")

    def from_host(self, array: Any) -> Any:
        with self.scope():
            return self._describe(self.cupy.asarray(array), "array")

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        scope: contextlib.AbstractContextManager[Any] = self.cupy.cuda.Device(self.device)
        return scope

    def _describe(self, array: Any, name: str) -> DeviceArray:
        with self.cupy.cuda.Device(self.device):
            stream = self.cupy.cuda.get_current_stream().ptr
        return from_cuda_array_interface(array, name, self.device, stream)

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> Any:
        with self.cupy.cuda.Device(self.device):
            return self._describe(self.cupy.empty(shape, dtype=dtype), "out")

    def result(self, array: Any) -> Any:
        return array.owner

    def put(self, array: Any) -> Any:
        with self.cupy.cuda.Device(self.device):
            return self._describe(self.cupy.asarray(array), "array")

    def dense_labels(self, array: Any) -> tuple[Any, int]:
        with self.cupy.cuda.Device(self.device):
            values, labels = self.cupy.unique(array.owner.ravel(), return_inverse=True)
            return self._describe(labels.reshape(1, -1).astype(self.cupy.int32), "labels"), len(values)

    def csr(self, data: Any, indices: Any, indptr: Any, shape: tuple[int, int]) -> Any:
        if data.size > np.iinfo(np.int32).max:
            raise ValueError(f"a CSR matrix of CuPy must have at most {2**31 - 1} entries, got {data.size}")
        sparse = importlib.import_module("cupyx.scipy.sparse")
        with self.cupy.cuda.Device(self.device):
            matrix = sparse.csr_matrix((data.owner, indices.owner, indptr.owner.astype(np.int32)), shape=shape)
        matrix.has_canonical_format = True
        return matrix


def _torch_csr(torch: Any, data: Any, indices: Any, indptr: Any, shape: tuple[int, int]) -> Any:
    """Return a sparse CSR tensor; torch wants both index tensors in one type."""
    if data.numel() <= np.iinfo(np.int32).max:
        indptr = indptr.to(torch.int32)
    else:
        indices = indices.to(torch.int64)
    with warnings.catch_warnings():
        # torch says once that its CSR tensors are beta.
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        return torch.sparse_csr_tensor(indptr, indices, data, size=shape, check_invariants=False)


def _torch_dtype(tensor: Any, name: str) -> np.dtype[Any]:
    text = str(tensor.dtype).removeprefix("torch.")
    try:
        return np.dtype(text)
    except TypeError:
        # bfloat16 and others that NumPy does not know.
        raise TypeError(f"{name} must have dtype float32 or float64, got {text}") from None


def from_cuda_array_interface(value: Any, name: str, device: int, stream: int) -> DeviceArray:
    """Return the description of an array that has ``__cuda_array_interface__``."""
    interface = value.__cuda_array_interface__
    dtype = np.dtype(interface["typestr"])
    if interface.get("mask") is not None:
        raise TypeError(f"{name} must not be masked")
    shape = tuple(int(extent) for extent in interface["shape"])
    steps = interface.get("strides")
    if steps is None:
        strides = [1] * len(shape)
        for axis in range(len(shape) - 2, -1, -1):
            strides[axis] = strides[axis + 1] * shape[axis + 1]
    else:
        if any(step % dtype.itemsize for step in steps):
            raise ValueError(f"{name} has strides that are no multiple of its item size")
        strides = [step // dtype.itemsize for step in steps]
    pointer, read_only = interface["data"]
    return DeviceArray(
        owner=value,
        pointer=int(pointer),
        shape=shape,
        strides=tuple(strides),
        dtype=dtype,
        writable=not read_only,
        device=device,
        stream=stream,
    )


def host_array(value: Any, name: str) -> Any:
    """Return an argument that is not on a device as an ndarray, viewing it in place where that is possible."""
    kind, _ = _locate(value, name)
    if kind == "torch":
        _torch_dtype(value, name)
        return value.numpy()
    if kind == "dlpack":
        return np.from_dlpack(value)
    return np.asarray(value)


def host_copy(value: Any, name: str) -> Any:
    """Return an argument as an ndarray, wherever it is: for a few numbers that the host needs."""
    kind, device = _locate(value, name)
    if device == "cpu":
        return host_array(value, name)
    if kind == "torch":
        _torch_dtype(value, name)
        return value.cpu().numpy()
    cupy = _require_cupy(value, name)
    return cupy.asnumpy(value if isinstance(value, cupy.ndarray) else _adopt(value, name))


def host_csr(value: Any) -> Any:
    """Return a sparse CSR tensor of torch on the CPU as a `scipy.sparse.csr_array` on the same memory, else `value`."""
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(value, torch.Tensor):
        return value
    if value.layout != torch.sparse_csr or value.device.type != "cpu" or value.requires_grad or value.ndim != 2:
        return value
    from scipy import sparse

    parts = (value.values(), value.col_indices(), value.crow_indices())
    return sparse.csr_array(tuple(part.numpy() for part in parts), shape=tuple(value.shape))


def csr_place(value: Any, name: str) -> Place | None:
    """Return where a sparse matrix of a library is: SciPy's and torch's on the CPU, or None if it is no such matrix."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        if value.layout == torch.strided:
            return None
        return _make_place("torch", _torch_device(value, name, "sparse_csr"))
    if type(value).__module__.startswith("cupyx.scipy.sparse"):
        return _make_place("cupy", f"cuda:{value.data.device.id}")
    if type(value).__module__.startswith("scipy.sparse"):
        return _NumpyPlace()
    return None


def device_csr(value: Any) -> tuple[Any, Any, Any]:
    """Return row pointers, column indices and values of a sparse matrix that `csr_place` found on a device."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        return value.crow_indices(), value.col_indices(), value.values()
    matrix = value.tocsr()
    return matrix.indptr, matrix.indices, matrix.data


def find_place(**arguments: Any) -> Place:
    """Return where the arrays of a call are; the first one given says what results are made of.

    A `Place` stands for arrays there, None for nothing.

    Raises
    ------
    TypeError
        If the arrays are not on one device, if a tensor requires grad, or if an array on a CUDA device cannot be read.
    """
    found = {name: _locate(value, name) for name, value in arguments.items() if value is not None}
    if not found:
        return _NumpyPlace()
    devices = {device for _, device in found.values()}
    if len(devices) > 1:
        places = ", ".join(f"{name} on {device}" for name, (_, device) in found.items())
        raise TypeError(f"arrays of a call must be on one device, got {places}")
    return _make_place(*next(iter(found.values())))


def _make_place(kind: str, device: str) -> Place:
    if device == "cpu":
        return _TorchCpuPlace() if kind == "torch" else _NumpyPlace()
    number = int(device.partition(":")[2])
    return _TorchCudaPlace(number) if kind == "torch" else _CupyPlace(number)


def _locate(value: Any, name: str) -> tuple[str, str]:
    """Return the library an argument is read by, and its device: ``cpu`` or ``cuda:N``."""
    if isinstance(value, np.ndarray):
        return "numpy", "cpu"
    if isinstance(value, Place):
        return value.kind, value.location
    torch_tensor = getattr(sys.modules.get("torch"), "Tensor", None)
    if torch_tensor is not None and isinstance(value, torch_tensor):
        return "torch", _torch_device(value, name)
    cupy_array = getattr(sys.modules.get("cupy"), "ndarray", None)
    if cupy_array is not None and isinstance(value, cupy_array):
        return "cupy", f"cuda:{value.device.id}"
    if hasattr(value, "__cuda_array_interface__"):
        return "cupy", f"cuda:{_adopt(value, name).device.id}"
    if hasattr(value, "__dlpack_device__") and not hasattr(value, "__array__"):
        kind, number = (int(part) for part in value.__dlpack_device__())
        if kind in _DLPACK_CUDA:
            _require_cupy(value, name)
            return "cupy", f"cuda:{number}"
        if kind != _DLPACK_CPU:
            raise TypeError(f"{name} must be on the CPU or a CUDA device, got DLPack device type {kind}")
        return "dlpack", "cpu"
    return "numpy", "cpu"


def _torch_device(tensor: Any, name: str, layout: str = "strided") -> str:
    if tensor.requires_grad:
        raise TypeError(
            f"{name} requires grad: pass {name}.detach(), or use the network modules; "
            "gradients do not flow through this function"
        )
    if tensor.layout != getattr(sys.modules["torch"], layout):
        wanted = "dense" if layout == "strided" else layout.replace("_", " ")
        raise TypeError(f"{name} must be a {wanted} tensor, got layout {tensor.layout}")
    if tensor.device.type == "cpu":
        return "cpu"
    if tensor.device.type != "cuda":
        raise TypeError(f"{name} must be on the CPU or a CUDA device, got a tensor on {tensor.device}")
    return f"cuda:{tensor.device.index}"


def _require_cupy(value: Any, name: str) -> Any:
    """Import CuPy, which reads arrays of other libraries on CUDA devices."""
    if "cupy" not in sys.modules and importlib.util.find_spec("cupy") is None:
        raise TypeError(
            f"{name} is an array of type {type(value).__name__} on a CUDA device, which is read through CuPy: "
            "install CuPy, or pass a torch tensor"
        )
    return importlib.import_module("cupy")


def _adopt(value: Any, name: str) -> Any:
    """Return an array of another library as a CuPy array on the same memory, ordered after the other's work."""
    cupy = _require_cupy(value, name)
    if hasattr(value, "__cuda_array_interface__"):
        return cupy.asarray(value)
    return cupy.from_dlpack(value)
