// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <type_traits>

#include "fastsoft/core/host_device.hpp"

namespace fastsoft {

// Non-owning, strided, N-dimensional view. Strides count elements, not bytes, and may be
// negative or zero, so that any NumPy array can be read in place.
template <class T, int N>
class View {
public:
    using element_type = T;

    View() = default;
    FASTSOFT_HD View(T* data, const std::array<std::ptrdiff_t, N>& shape, const std::array<std::ptrdiff_t, N>& strides)
        : data_(data), shape_(shape), strides_(strides) {}

    // Read-only views are made from writable ones, never the other way round.
    template <class U, class = std::enable_if_t<std::is_same_v<T, const U>>>
    FASTSOFT_HD View(const View<U, N>& other) : data_(other.data()), shape_(other.shape()), strides_(other.strides()) {}

    FASTSOFT_HD static View contiguous(T* data, const std::array<std::ptrdiff_t, N>& shape) {
        std::array<std::ptrdiff_t, N> strides{};
        std::ptrdiff_t step = 1;
        for (int axis = N - 1; axis >= 0; --axis) {
            strides[static_cast<std::size_t>(axis)] = step;
            step *= shape[static_cast<std::size_t>(axis)];
        }
        return View(data, shape, strides);
    }

    template <class... Index>
    FASTSOFT_HD T& operator()(Index... index) const {
        static_assert(sizeof...(Index) == N, "one index per axis");
        const std::array<std::ptrdiff_t, N> position{static_cast<std::ptrdiff_t>(index)...};
        std::ptrdiff_t offset = 0;
        for (std::size_t axis = 0; axis < static_cast<std::size_t>(N); ++axis) {
            offset += position[axis] * strides_[axis];
        }
        return data_[offset];
    }

    FASTSOFT_HD T* data() const { return data_; }
    FASTSOFT_HD std::ptrdiff_t extent(int axis) const { return shape_[static_cast<std::size_t>(axis)]; }
    FASTSOFT_HD std::ptrdiff_t stride(int axis) const { return strides_[static_cast<std::size_t>(axis)]; }
    FASTSOFT_HD const std::array<std::ptrdiff_t, N>& shape() const { return shape_; }
    FASTSOFT_HD const std::array<std::ptrdiff_t, N>& strides() const { return strides_; }

    FASTSOFT_HD std::ptrdiff_t size() const {
        std::ptrdiff_t count = 1;
        for (const auto extent : shape_) {
            count *= extent;
        }
        return count;
    }

    FASTSOFT_HD bool is_contiguous() const {
        std::ptrdiff_t step = 1;
        for (int axis = N - 1; axis >= 0; --axis) {
            if (extent(axis) != 1 && stride(axis) != step) {
                return false;
            }
            step *= extent(axis);
        }
        return true;
    }

private:
    T* data_ = nullptr;
    std::array<std::ptrdiff_t, N> shape_{};
    std::array<std::ptrdiff_t, N> strides_{};
};

}  // namespace fastsoft
