// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>

// Vectors of the widest registers that the instruction set has (GCC's and Clang's vector extension), for kernels whose
// tiles must stay in registers.
namespace fastsoft::detail {

#if defined(__AVX512F__)
constexpr std::ptrdiff_t kVectorBytes = 64;
#elif defined(__AVX__)
constexpr std::ptrdiff_t kVectorBytes = 32;
#else
constexpr std::ptrdiff_t kVectorBytes = 16;
#endif

// Numbers in a vector.
template <class T>
constexpr std::ptrdiff_t kLanes = kVectorBytes / static_cast<std::ptrdiff_t>(sizeof(T));

// `may_alias` and the alignment of the element allow loads from any T*.
template <class T>
struct VectorOf {
    typedef T type __attribute__((vector_size(kVectorBytes), aligned(sizeof(T)), may_alias));
};
template <class T>
using Vector = typename VectorOf<T>::type;

// The vector that begins at p.
template <class T>
Vector<T>& lanes(T* p) {
    return *reinterpret_cast<Vector<T>*>(p);
}
template <class T>
const Vector<T>& lanes(const T* p) {
    return *reinterpret_cast<const Vector<T>*>(p);
}

}  // namespace fastsoft::detail
