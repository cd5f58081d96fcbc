// SPDX-License-Identifier: MIT
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>

#include "fastsoft/core/allocate.hpp"
#include "fastsoft/core/csr.hpp"
#include "fastsoft/core/error.hpp"
#include "fastsoft/core/monitor.hpp"
#include "fastsoft/core/symmetric_operator.hpp"
#include "fastsoft/core/view.hpp"

#if defined(FASTSOFT_CUDA_MODULE)
#include "device_array.hpp"
#endif

// Views across the binding, never copies: a wrong dtype, rank or layout is an error that names the argument. Python
// has checked ranges and converted where that is allowed before it calls (python/fastsoft/_checks.py).
//
// Bindings of operations that both backends have are compiled twice, into _cpu and, with FASTSOFT_CUDA_MODULE, into
// _cuda. They take an Array, call backend::operation(context..., ...) inside of execute(), and look alike from Python.
namespace fastsoft::bindings {

namespace py = pybind11;

// View of an array of any strides. T const-qualified: read only. T writable: the array must be, too.
template <class T, int N>
View<T, N> view(const py::array& array, const char* name) {
    using Value = std::remove_const_t<T>;
    if (!py::dtype::of<Value>().is(array.dtype()) && !array.dtype().equal(py::dtype::of<Value>())) {
        throw type_error(std::string(name) + " must have dtype " + std::string(py::str(py::dtype::of<Value>())) +
                         ", got " + std::string(py::str(array.dtype())));
    }
    FASTSOFT_EXPECTS(array.ndim() == N, name, " must have ", N, " dimensions, got ", array.ndim());
    std::array<std::ptrdiff_t, N> shape{};
    std::array<std::ptrdiff_t, N> strides{};
    for (int axis = 0; axis < N; ++axis) {
        const auto a = static_cast<std::size_t>(axis);
        shape[a] = array.shape(axis);
        const auto bytes = array.strides(axis);
        FASTSOFT_EXPECTS(bytes % static_cast<std::ptrdiff_t>(sizeof(Value)) == 0, name,
                         " has strides that are no multiple of its item size");
        strides[a] = bytes / static_cast<std::ptrdiff_t>(sizeof(Value));
    }
    if constexpr (std::is_const_v<T>) {
        return View<T, N>(static_cast<T*>(array.data()), shape, strides);
    } else {
        FASTSOFT_EXPECTS(array.writeable(), name, " must be writable");
        return View<T, N>(static_cast<T*>(const_cast<void*>(array.data())), shape, strides);
    }
}

// Pointer to a C-contiguous array of any rank whose number of elements is known.
template <class T>
T* contiguous(const py::array& array, std::ptrdiff_t size, const char* name) {
    using Value = std::remove_const_t<T>;
    if (!array.dtype().equal(py::dtype::of<Value>())) {
        throw type_error(std::string(name) + " must have dtype " + std::string(py::str(py::dtype::of<Value>())) +
                         ", got " + std::string(py::str(array.dtype())));
    }
    FASTSOFT_EXPECTS((array.flags() & py::array::c_style) != 0, name, " must be C-contiguous");
    FASTSOFT_EXPECTS(array.size() == size, name, " must have ", size, " elements, got ", array.size());
    if constexpr (!std::is_const_v<T>) {
        FASTSOFT_EXPECTS(array.writeable(), name, " must be writable");
    }
    return static_cast<T*>(const_cast<void*>(array.data()));
}

// Calls body(float{}) or body(double{}) for the dtype of the array.
template <class Body>
auto dispatch_float(const py::array& array, const char* name, Body&& body) {
    if (array.dtype().equal(py::dtype::of<double>())) {
        return body(double{});
    }
    if (array.dtype().equal(py::dtype::of<float>())) {
        return body(float{});
    }
    throw type_error(std::string(name) + " must have dtype float32 or float64, got " +
                     std::string(py::str(array.dtype())));
}

// Progress and cancellation for operations that run without the GIL: takes it, lets Python handle pending signals
// (Ctrl-C), and calls the user's callback with the fraction done. Whatever Python raises ends the operation.
class PyMonitor final : public Monitor {
public:
    explicit PyMonitor(py::object callback) : callback_(std::move(callback)) {}

    void report(double fraction) override {
        const py::gil_scoped_acquire gil;
        if (PyErr_CheckSignals() != 0) {
            throw py::error_already_set();
        }
        if (!callback_.is_none()) {
            callback_(fraction);
        }
    }

private:
    py::object callback_;
};

#if defined(FASTSOFT_CUDA_MODULE)
using Array = DeviceArray;
namespace backend = fastsoft::cuda;

// Calls body(context) without the GIL, where the context is the device and the stream that the array came with.
template <class Body>
auto execute(const Array& array, Body&& body) {
    const py::gil_scoped_release release;
    const cuda::Context context(array.device, array.stream);
    return body(context);
}
#else
using Array = py::array;
namespace backend = fastsoft;

// Calls body() without the GIL.
template <class Body>
auto execute(const Array&, Body&& body) {
    const py::gil_scoped_release release;
    return body();
}
#endif

// Lets an operation that runs without the GIL make a result whose size it finds out: `empty` is Place.empty of
// python/fastsoft/_dispatch.py, `made` receives the array. n_columns: of two dimensions, else none.
template <class T>
Allocate<T> allocator(const py::object& empty, py::object& made, std::ptrdiff_t n_columns = 0) {
    return [&empty, &made, n_columns](std::ptrdiff_t n_rows) {
        const py::gil_scoped_acquire gil;
        py::tuple shape = py::make_tuple(n_rows);
        if (n_columns > 0) {
            shape = py::make_tuple(n_rows, n_columns);
        }
        made = empty(shape, py::dtype::of<T>());
        return contiguous<T>(made.cast<Array>(), n_columns == 0 ? n_rows : n_rows * n_columns, "out");
    };
}

// A matrix of n_rows rows as a result: the caller makes indptr, the operation finds out how many entries there are.
template <class T>
class CsrResult {
public:
    CsrResult(const py::object& empty, const Array& indptr, std::ptrdiff_t n_rows)
        : empty_(empty), indptr_(contiguous<std::int64_t>(indptr, n_rows + 1, "indptr")) {}
    CsrResult(const CsrResult&) = delete;
    CsrResult& operator=(const CsrResult&) = delete;

    CsrOutput<T> output() { return {indptr_, allocator<std::int32_t>(empty_, indices_), allocator<T>(empty_, data_)}; }
    py::tuple arrays() const { return py::make_tuple(indices_, data_); }

private:
    py::object empty_;
    std::int64_t* indptr_;
    py::object indices_ = py::none();
    py::object data_ = py::none();
};

// A matrix whose row pointers the host cannot read, in the memory of a device, has been checked by Python.
template <class T>
CsrView<T> csr_view(const Array& indptr, const Array& indices, const Array& data) {
    FASTSOFT_EXPECTS(indptr.ndim() == 1 && indptr.size() >= 1, "indptr must have one dimension and an entry");
    CsrView<T> csr;
    csr.n_rows = indptr.size() - 1;
    csr.indptr = contiguous<const std::int64_t>(indptr, indptr.size(), "indptr");
    csr.indices = contiguous<const std::int32_t>(indices, indices.size(), "indices");
    csr.data = contiguous<const T>(data, indices.size(), "data");
    if constexpr (std::is_same_v<Array, py::array>) {
        FASTSOFT_EXPECTS(csr.indptr[0] == 0 && csr.n_entries() == indices.size(),
                         "indptr must run from 0 to the number of indices ", indices.size());
    }
    return csr;
}

// Terms of a symmetric operator as python/fastsoft/operators.py lists them: each either a (13, H, W) stencil array or
// a tuple (indptr, indices, data). Holds views: keep `terms` alive.
template <class T>
SymmetricOperator<T> symmetric_operator(const py::list& terms) {
    SymmetricOperator<T> result;
    bool first = true;
    for (const py::handle term : terms) {
        std::ptrdiff_t n = 0;
        if (py::isinstance<py::tuple>(term)) {
            const auto triple = py::reinterpret_borrow<py::tuple>(term);
            result.csrs.push_back(
                csr_view<T>(triple[0].cast<Array>(), triple[1].cast<Array>(), triple[2].cast<Array>()));
            n = result.csrs.back().n_rows;
        } else {
            const auto array = term.cast<Array>();
            const auto stencil = view<const T, 3>(array, "stencil");
            FASTSOFT_EXPECTS(stencil.extent(0) == kStencilSize && stencil.is_contiguous(),
                             "stencil must be a C-contiguous array of shape (13, H, W)");
            result.stencils.push_back({stencil.data(), stencil.extent(1), stencil.extent(2)});
            n = result.stencils.back().size();
        }
        FASTSOFT_EXPECTS(first || n == result.n, "the terms of an operator must have one size, got ", result.n, " and ",
                         n);
        result.n = n;
        first = false;
    }
    FASTSOFT_EXPECTS(!first, "an operator needs at least one term");
    return result;
}

}  // namespace fastsoft::bindings
