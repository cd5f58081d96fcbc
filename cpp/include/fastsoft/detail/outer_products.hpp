// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstring>

// Sum of many outer products b b', b of about a hundred numbers: the lower triangle of B'B for a tall B. Two to three
// times the speed of a general triangular product, whose blocking suits larger matrices and which copies B twice.
namespace fastsoft::detail {

// A tile of the result stays in registers while B streams by: kTileRows rows, up to three vectors wide, which with one
// row of B (three vectors and a broadcast) fits the register file of each level. GCC's and Clang's vector
// extension, since the tile must not become an array in memory.
#if defined(__AVX512F__)
constexpr std::ptrdiff_t kVectorBytes = 64;
constexpr int kTileRows = 8;
#elif defined(__AVX__)
constexpr std::ptrdiff_t kVectorBytes = 32;
constexpr int kTileRows = 4;
#else
constexpr std::ptrdiff_t kVectorBytes = 16;
constexpr int kTileRows = 4;
#endif

template <class T>
struct Vector {
    typedef T type __attribute__((vector_size(kVectorBytes)));
    static constexpr std::ptrdiff_t kLanes = kVectorBytes / static_cast<std::ptrdiff_t>(sizeof(T));
};

// Length of a row of B and of the result for vectors of k numbers; the rest of a row of B must be 0.
template <class T>
constexpr std::ptrdiff_t padded_length(std::ptrdiff_t k) {
    constexpr std::ptrdiff_t kUnit = Vector<T>::kLanes > kTileRows ? Vector<T>::kLanes : kTileRows;
    return (k + kUnit - 1) / kUnit * kUnit;
}

// result[i, j] += sign * sum over the n rows b of left[b, i] * right[b, j] for a tile.
template <class T, int Vectors>
void add_outer_products_tile(const T* left, const T* right, std::ptrdiff_t length, std::ptrdiff_t n, T sign,
                             T* result) {
    using V = typename Vector<T>::type;
    constexpr std::ptrdiff_t kLanes = Vector<T>::kLanes;
    V sums[kTileRows][Vectors] = {};
    for (std::ptrdiff_t row = 0; row < n; ++row) {
        V values[Vectors];
#pragma GCC unroll 3
        for (int j = 0; j < Vectors; ++j) {
            std::memcpy(&values[j], right + row * length + j * kLanes, sizeof(V));
        }
#pragma GCC unroll 8
        for (int i = 0; i < kTileRows; ++i) {
            const T factor = left[row * length + i];
#pragma GCC unroll 3
            for (int j = 0; j < Vectors; ++j) {
                sums[i][j] += factor * values[j];
            }
        }
    }
    for (int i = 0; i < kTileRows; ++i) {
        for (int j = 0; j < Vectors; ++j) {
            V value;
            T* const place = result + i * length + j * kLanes;
            std::memcpy(&value, place, sizeof(V));
            value += sign * sums[i][j];
            std::memcpy(place, &value, sizeof(V));
        }
    }
}

// result[i, j] += sign * sum over the n rows b of B of b[i] * b[j] for j <= i. B is (n, length) and the result (length,
// length), both row-major, length = padded_length(k). Entries of the result above the diagonal are left undefined.
template <class T>
void add_outer_products(const T* rows, std::ptrdiff_t length, std::ptrdiff_t n, T sign, T* result) {
    constexpr std::ptrdiff_t kLanes = Vector<T>::kLanes;
    for (std::ptrdiff_t i = 0; i < length; i += kTileRows) {
        const std::ptrdiff_t n_vectors = (i + kTileRows + kLanes - 1) / kLanes;
        std::ptrdiff_t j = 0;
        for (; j + 3 <= n_vectors; j += 3) {
            add_outer_products_tile<T, 3>(rows + i, rows + j * kLanes, length, n, sign,
                                          result + i * length + j * kLanes);
        }
        if (n_vectors - j == 2) {
            add_outer_products_tile<T, 2>(rows + i, rows + j * kLanes, length, n, sign,
                                          result + i * length + j * kLanes);
        } else if (n_vectors - j == 1) {
            add_outer_products_tile<T, 1>(rows + i, rows + j * kLanes, length, n, sign,
                                          result + i * length + j * kLanes);
        }
    }
}

}  // namespace fastsoft::detail
