# SPDX-License-Identifier: MIT
"""Which arrays are read how, what comes back, and what is refused: without a device."""

from __future__ import annotations

import importlib.util
import sys
import types

import numpy as np
import pytest
import torch

import fastsoft
from fastsoft import _dispatch
from fastsoft._checks import as_float_array, check_image, check_planes
from fastsoft._dispatch import DeviceArray, find_place, from_cuda_array_interface, with_channels
from fastsoft.operators import operator_terms
from tests.subprocesses import run_python


class Described:
    """An object that says where its data are, as arrays on devices do."""

    def __init__(self, **interface):
        self.__cuda_array_interface__ = {
            "shape": (4, 5, 3), "typestr": "<f4", "data": (4096, False), "strides": None, "version": 3,
        } | interface  # fmt: skip


def describe(**interface):
    return from_cuda_array_interface(Described(**interface), "image", 1, 77)


def test_contiguous_arrays_are_described():
    array = describe()
    assert array.descriptor == (4096, (4, 5, 3), (15, 3, 1), "float32", True, 1, 77)
    assert (array.ndim, array.size) == (3, 60)
    assert isinstance(array.owner, Described)
    assert describe(shape=()).strides == ()
    assert describe(shape=(7,), typestr="<f8").descriptor == (4096, (7,), (1,), "float64", True, 1, 77)


def test_strides_become_counts_of_elements():
    array = describe(strides=(-120, 8, 4), data=(8192, True), typestr="<f4")
    assert array.strides == (-30, 2, 1)
    assert array.pointer == 8192
    assert not array.writable
    with pytest.raises(ValueError, match="image has strides that are no multiple of its item size"):
        describe(strides=(61, 12, 4))
    with pytest.raises(TypeError, match="image must not be masked"):
        describe(mask=Described())


def test_planes_get_a_channel_axis():
    assert with_channels(describe(shape=(4, 5))).descriptor[1:3] == ((4, 5, 1), (5, 1, 1))
    assert with_channels(np.zeros((4, 5))).shape == (4, 5, 1)
    array = describe()
    assert with_channels(array) is array


class DevicePlace(_dispatch._NumpyPlace):
    """Reads arguments as described, as the places on devices do."""

    def read(self, value, name):
        return from_cuda_array_interface(value, name, 0, 0)


@pytest.mark.parametrize(
    ("interface", "error", "message"),
    [
        ({"typestr": "|u1"}, TypeError, "image must have dtype float32 or float64, got uint8"),
        ({"typestr": "<f2"}, TypeError, "image must have dtype float32 or float64, got float16"),
        ({"typestr": ">f4"}, TypeError, "image must be in the byte order of the machine, got dtype >f4"),
        ({"shape": (4, 5)}, ValueError, r"image must have shape \(H, W, 3\), got \(4, 5\)"),
        ({"shape": (4, 5, 4)}, ValueError, r"image must have shape \(H, W, 3\), got \(4, 5, 4\)"),
        ({"shape": (2, 5, 3)}, ValueError, "image must be at least 3x3 pixels, got 2x5"),
        ({"shape": (70000, 70000, 3)}, ValueError, "image must have at most 2147483647 pixels"),
    ],
)
def test_images_on_a_device_are_refused_with_the_same_words(interface, error, message):
    with pytest.raises(error, match=message):
        check_image(Described(**interface), min_size=3, place=DevicePlace())


def test_values_on_a_device_are_checked_with_the_same_words(monkeypatch):
    ranges = {}
    monkeypatch.setattr(DeviceArray, "value_range", lambda self: ranges[self.pointer])
    ranges |= {1: (0.0, 1.0, 0), 2: (-0.5, 1.0, 0), 3: (0.0, 1.0, 2), 4: (-3.0, 9.0, 0)}
    place = DevicePlace()
    assert check_image(Described(data=(1, False)), place=place).pointer == 1
    with pytest.raises(ValueError, match=r"image must lie in \[0, 1\], got values in \[-0.5, 1\]"):
        check_image(Described(data=(2, False)), place=place)
    with pytest.raises(ValueError, match="image must be finite, got 2 values that are NaN or infinite"):
        check_image(Described(data=(3, False)), place=place)
    assert check_planes(Described(data=(4, False)), "planes", place=place).pointer == 4
    with pytest.raises(ValueError, match="planes must be finite, got 2"):
        check_planes(Described(data=(3, False)), "planes", place=place)
    with pytest.raises(ValueError, match="planes must not be empty"):
        check_planes(Described(shape=(0, 4, 3)), "planes", place=place)


def test_results_are_of_the_library_of_the_first_array(rng):
    numpy_array, tensor = rng.random((6, 7, 3)), torch.rand(6, 7, 3, dtype=torch.float64)
    for first, second, kind in [
        (numpy_array, numpy_array, np.ndarray),
        (numpy_array, tensor, np.ndarray),
        (tensor, numpy_array, torch.Tensor),
        (tensor, tensor, torch.Tensor),
        (numpy_array.tolist(), tensor, np.ndarray),
    ]:
        place = find_place(source=first, guide=second)
        assert isinstance(place.result(place.empty((2, 3), np.float32)), kind)
        assert place.native is fastsoft._native.cpu
        np.testing.assert_array_equal(place.read(first, "source"), np.asarray(first))
        assert isinstance(fastsoft.guided_filter(second, first, radius=1), kind)


def test_tensors_are_read_and_returned_without_copies(rng):
    tensor = torch.from_numpy(rng.random((6, 7, 3))).transpose(0, 1)[::2]
    place = find_place(image=tensor)
    viewed = place.read(tensor, "image")
    assert viewed.ctypes.data == tensor.data_ptr()
    assert viewed.strides == tuple(8 * step for step in tensor.stride())
    out = place.empty((3,), np.int64)
    result = place.result(out)
    assert result.dtype == torch.int64
    assert result.data_ptr() == out.ctypes.data


def test_tensors_that_cannot_be_read_are_refused():
    image = torch.rand(5, 5, 3)
    with pytest.raises(TypeError, match=r"image requires grad: pass image.detach\(\), or use the network modules"):
        fastsoft.image_gradient(image.requires_grad_())
    with pytest.raises(TypeError, match=r"image must have dtype float32 or float64, got bfloat16"):
        fastsoft.image_gradient(image.detach().to(torch.bfloat16))
    with pytest.raises(TypeError, match=r"image must have dtype float32 or float64, got float16"):
        fastsoft.image_gradient(image.detach().half())
    with pytest.raises(TypeError, match=r"image must be a dense tensor, got layout torch\.sparse_coo"):
        fastsoft.image_gradient(torch.eye(4).to_sparse())
    with pytest.raises(TypeError, match="image must be on the CPU or a CUDA device, got a tensor on meta"):
        fastsoft.image_gradient(torch.zeros(4, 4, device="meta"))


def test_operations_without_a_device_version_refuse_arrays_on_devices():
    with pytest.raises(TypeError, match="alpha must be on the CPU, got an array on a CUDA device"):
        as_float_array(Described(), "alpha")
    with pytest.raises(TypeError, match="alpha must be on the CPU, got a tensor on meta"):
        as_float_array(torch.zeros(4, 5, device="meta"), "alpha")


def test_arrays_on_several_devices_are_listed(monkeypatch):
    # Where an array is must be known before its memory is touched: a library that says so will do.
    class Array(Described):
        def __init__(self, device):
            super().__init__()
            self.device = types.SimpleNamespace(id=device)

    monkeypatch.setitem(sys.modules, "cupy", types.SimpleNamespace(ndarray=Array))
    for arguments, places in [
        ({"guide": np.zeros((4, 5)), "source": Array(0)}, "source on cuda:0, guide on cpu"),
        ({"guide": torch.zeros((4, 5)), "source": Array(2)}, "source on cuda:2, guide on cpu"),
        ({"guide": Array(1), "source": Array(0)}, "source on cuda:0, guide on cuda:1"),
    ]:
        with pytest.raises(TypeError, match=f"arrays of a call must be on one device, got {places}"):
            fastsoft.guided_filter(**arguments)


@pytest.mark.skipif(importlib.util.find_spec("cupy") is not None, reason="CuPy is installed")
def test_arrays_of_unknown_libraries_name_the_fix():
    message = "image is an array of type Described on a CUDA device, .*: install CuPy, or pass a torch tensor"
    with pytest.raises(TypeError, match=message):
        fastsoft.image_gradient(Described())

    class Exchanged:
        def __dlpack_device__(self):
            return 2, 0

    with pytest.raises(TypeError, match="image is an array of type Exchanged on a CUDA device"):
        fastsoft.image_gradient(Exchanged())


def test_dlpack_arrays_on_the_cpu_are_read(rng):
    values = rng.random((6, 7))

    class Exchanged:
        def __dlpack__(self, **options):
            return values.__dlpack__(**options)

        def __dlpack_device__(self):
            return values.__dlpack_device__()

    np.testing.assert_array_equal(fastsoft.image_gradient(Exchanged()), fastsoft.image_gradient(values))

    class Elsewhere(Exchanged):
        def __dlpack_device__(self):
            return 10, 0

    with pytest.raises(TypeError, match="image must be on the CPU or a CUDA device, got DLPack device type 10"):
        fastsoft.image_gradient(Elsewhere())


def test_sparse_tensors_are_operators(rng):
    image = torch.from_numpy(rng.random((5, 6, 3)))
    x = rng.random(30)
    laplacian = fastsoft.matting_laplacian(image)
    expected = fastsoft.matting_laplacian(image.numpy()) @ x
    np.testing.assert_allclose(fastsoft.OperatorSum([laplacian]) @ x, expected, atol=1e-12)
    np.testing.assert_allclose(laplacian @ torch.from_numpy(x), expected, atol=1e-12)


def test_stencils_keep_the_callers_array(rng):
    image = torch.from_numpy(rng.random((5, 6, 3)))
    stencil = fastsoft.matting_laplacian(image, storage="stencil")
    assert isinstance(stencil.weights, torch.Tensor)
    assert stencil.dtype == np.float64
    np.testing.assert_array_equal(
        stencil.tocsr().toarray(), fastsoft.matting_laplacian(image.numpy(), storage="stencil").tocsr().toarray()
    )


def test_stencils_on_a_device_say_so_where_the_cpu_is_needed():
    values = describe(shape=(13, 4, 5))
    stencil = fastsoft.StencilMatrix._from_native(values, values.owner)
    assert stencil.shape == (20, 20)
    assert stencil.grid_shape == (4, 5)
    for use in (stencil.tocsr, lambda: operator_terms(stencil, np.float64)):
        with pytest.raises(TypeError, match="is in the memory of CUDA device 1, and this operation runs on the CPU"):
            use()


def test_numpy_arrays_load_neither_torch_nor_the_cuda_module():
    code = """
        import sys, numpy as np, fastsoft
        image = np.random.default_rng(0).random((6, 7, 3))
        fastsoft.image_gradient(image)
        fastsoft.guided_filter(image, image)
        fastsoft.matting_laplacian(image)
        print([name for name in ("torch", "cupy", "fastsoft._cuda") if name in sys.modules])
    """
    assert run_python(code) == "[]"
