# SPDX-License-Identifier: MIT
"""The libraries whose arrays operations take, as tests use them: make an array, read a result."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastsoft import CudaError, _native
from tests import on_host

# "torch-on-host" runs the kernels on the host (tests/on_host.py), the others on a device.
DEVICE_BACKENDS = ("torch-on-host", "cupy", "torch-cuda")
BACKENDS = ("numpy", "torch-cpu", *DEVICE_BACKENDS)


def missing(name: str) -> str | None:
    """Return why a backend cannot be tested here, or None if it can."""
    if name in ("numpy", "torch-cpu"):
        return None
    if name == "torch-on-host":
        return None if on_host.path() else "the kernels were not built for the host (FASTSOFT_BUILD_TESTS=ON)"
    try:
        _native.cuda()
    except CudaError as error:
        return str(error)
    library = name.partition("-")[0]
    if importlib.util.find_spec(library) is None:
        return f"{library} is not installed"
    if library == "torch" and not importlib.import_module("torch").cuda.is_available():
        return "torch was built without CUDA"
    return None


@dataclass(frozen=True)
class Backend:
    name: str

    @property
    def on_device(self) -> bool:
        return self.name in DEVICE_BACKENDS

    @property
    def torch_device(self) -> str:
        return "cuda" if self.name == "torch-cuda" else "cpu"

    @property
    def library(self) -> Any:
        name = self.name.partition("-")[0]
        return importlib.import_module(name)

    def array(self, values: Any) -> Any:
        """Return a copy of a NumPy array with its strides, torch's lacking negative ones."""
        values = np.asarray(values)
        if self.name == "numpy":
            return values
        # The memory below the strides, moved as it is, and a view on it.
        order = sorted(range(values.ndim), key=lambda axis: -abs(values.strides[axis]))
        packed = np.ascontiguousarray(values.transpose(order))
        if self.name == "cupy":
            moved = self.library.asarray(packed)
        else:
            moved = self.library.from_numpy(packed).to(self.torch_device)
        back = tuple(int(axis) for axis in np.argsort(order))
        return moved.transpose(back) if self.name == "cupy" else moved.permute(back)

    def sparse(self, matrix: Any) -> Any:
        """Return a SciPy CSR matrix as this library's, with its index types and its order of entries."""
        if self.name == "numpy":
            return matrix
        data, indices, indptr = (self.array(part) for part in (matrix.data, matrix.indices, matrix.indptr))
        if self.name == "cupy":
            sparse = importlib.import_module("cupyx.scipy.sparse")
            return sparse.csr_matrix((data, indices, indptr), shape=matrix.shape)
        with warnings.catch_warnings():
            # torch says once that its CSR tensors are beta.
            warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
            return self.library.sparse_csr_tensor(indptr, indices, data, size=matrix.shape, check_invariants=False)

    def numpy(self, array: Any) -> Any:
        """Return a result as NumPy's, after making sure that it is of this library and where it should be."""
        if self.name == "numpy":
            assert isinstance(array, np.ndarray)
            return array
        if self.name == "cupy":
            assert isinstance(array, self.library.ndarray)
            return self.library.asnumpy(array)
        assert isinstance(array, self.library.Tensor)
        assert array.device.type == self.torch_device
        return array.cpu().numpy()

    def synchronize(self) -> None:
        """Wait for all work on the device."""
        if self.name == "cupy":
            self.library.cuda.Device().synchronize()
        elif self.name == "torch-cuda":
            self.library.cuda.synchronize()

    @contextlib.contextmanager
    def stream(self) -> Iterator[None]:
        """Make another stream than the default one the library's current one; wait for it at the end."""
        if self.name == "torch-on-host":
            yield
            return
        if self.name == "cupy":
            stream = self.library.cuda.Stream(non_blocking=True)
            with stream:
                yield
        else:
            stream = self.library.cuda.Stream()
            with self.library.cuda.stream(stream):
                yield
        stream.synchronize()

    def csr(self, matrix: Any) -> Any:
        """Return a sparse result as SciPy's, after the same."""
        from scipy import sparse

        if self.name == "numpy":
            assert isinstance(matrix, sparse.csr_array)
            return matrix
        if self.name == "cupy":
            assert matrix.format == "csr"
            return sparse.csr_array(matrix.get())
        assert matrix.layout == self.library.sparse_csr
        parts = (matrix.values(), matrix.col_indices(), matrix.crow_indices())
        return sparse.csr_array(tuple(map(self.numpy, parts)), shape=tuple(matrix.shape))
