// SPDX-License-Identifier: MIT
#pragma once

#include <pybind11/pybind11.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "fastsoft/core/error.hpp"
#include "fastsoft/core/view.hpp"
#include "fastsoft/cuda/context.hpp"

namespace fastsoft::bindings {

namespace py = pybind11;

// What python/fastsoft/_dispatch.py says of an array in device memory (DeviceArray.descriptor). Strides count elements.
struct DeviceArray {
    std::uintptr_t pointer = 0;
    std::vector<std::ptrdiff_t> shape;
    std::vector<std::ptrdiff_t> strides;
    std::string dtype;
    bool writable = false;
    int device = 0;
    std::uintptr_t stream = 0;

    std::ptrdiff_t ndim() const { return static_cast<std::ptrdiff_t>(shape.size()); }

    std::ptrdiff_t size() const {
        std::ptrdiff_t count = 1;
        for (const auto extent : shape) {
            count *= extent;
        }
        return count;
    }
};

template <class T>
const char* dtype_name() {
    if constexpr (std::is_same_v<T, float>) {
        return "float32";
    } else if constexpr (std::is_same_v<T, double>) {
        return "float64";
    } else if constexpr (std::is_same_v<T, std::int32_t>) {
        return "int32";
    } else if constexpr (std::is_same_v<T, std::uint8_t>) {
        return "uint8";
    } else {
        static_assert(std::is_same_v<T, std::int64_t>);
        return "int64";
    }
}

template <class T>
void expect_dtype(const DeviceArray& array, const char* name) {
    if (array.dtype != dtype_name<T>()) {
        throw type_error(std::string(name) + " must have dtype " + dtype_name<T>() + ", got " + array.dtype);
    }
}

template <class T, int N>
View<T, N> view(const DeviceArray& array, const char* name) {
    expect_dtype<std::remove_const_t<T>>(array, name);
    FASTSOFT_EXPECTS(array.shape.size() == N, name, " must have ", N, " dimensions, got ", array.shape.size());
    if constexpr (!std::is_const_v<T>) {
        FASTSOFT_EXPECTS(array.writable, name, " must be writable");
    }
    std::array<std::ptrdiff_t, N> shape{};
    std::array<std::ptrdiff_t, N> strides{};
    for (std::size_t axis = 0; axis < static_cast<std::size_t>(N); ++axis) {
        shape[axis] = array.shape[axis];
        strides[axis] = array.strides[axis];
    }
    return View<T, N>(reinterpret_cast<T*>(array.pointer), shape, strides);
}

template <class T>
T* contiguous(const DeviceArray& array, std::ptrdiff_t size, const char* name) {
    expect_dtype<std::remove_const_t<T>>(array, name);
    FASTSOFT_EXPECTS(array.size() == size, name, " must have ", size, " elements, got ", array.size());
    std::ptrdiff_t step = 1;
    for (std::size_t axis = array.shape.size(); axis-- > 0;) {
        FASTSOFT_EXPECTS(array.shape[axis] <= 1 || array.strides[axis] == step, name, " must be C-contiguous");
        step *= array.shape[axis];
    }
    if constexpr (!std::is_const_v<T>) {
        FASTSOFT_EXPECTS(array.writable, name, " must be writable");
    }
    return reinterpret_cast<T*>(array.pointer);
}

template <class Body>
auto dispatch_float(const DeviceArray& array, const char* name, Body&& body) {
    if (array.dtype == "float64") {
        return body(double{});
    }
    if (array.dtype == "float32") {
        return body(float{});
    }
    throw type_error(std::string(name) + " must have dtype float32 or float64, got " + array.dtype);
}

}  // namespace fastsoft::bindings

namespace pybind11::detail {

template <>
struct type_caster<fastsoft::bindings::DeviceArray> {
    PYBIND11_TYPE_CASTER(fastsoft::bindings::DeviceArray, const_name("fastsoft._dispatch.DeviceArray"));

    bool load(handle source, bool) {
        if (!hasattr(source, "descriptor")) {
            return false;
        }
        const auto parts = source.attr("descriptor").cast<tuple>();
        value.pointer = parts[0].cast<std::uintptr_t>();
        for (const handle extent : parts[1].cast<tuple>()) {
            value.shape.push_back(extent.cast<std::ptrdiff_t>());
        }
        for (const handle stride : parts[2].cast<tuple>()) {
            value.strides.push_back(stride.cast<std::ptrdiff_t>());
        }
        value.dtype = parts[3].cast<std::string>();
        value.writable = parts[4].cast<bool>();
        value.device = parts[5].cast<int>();
        value.stream = parts[6].cast<std::uintptr_t>();
        return true;
    }
};

}  // namespace pybind11::detail
