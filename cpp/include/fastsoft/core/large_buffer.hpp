// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>
#include <type_traits>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace fastsoft {

struct FreeBuffer {
    void operator()(void* pointer) const { std::free(pointer); }
};

// Uninitialised numbers that will be written once from beginning to end.
template <class T>
using LargeBuffer = std::unique_ptr<T[], FreeBuffer>;

// Large ones are put on pages of 2 MB where the system offers them: writing to fresh memory otherwise stops once in 4
// kB, which was a fifth of the time of solving a system by its factor.
template <class T>
LargeBuffer<T> make_large_buffer(std::size_t count) {
    static_assert(std::is_trivially_default_constructible_v<T> && std::is_trivially_destructible_v<T>);
    constexpr std::size_t kHugePage = std::size_t{1} << 21;
    const std::size_t n_bytes = (count == 0 ? 1 : count) * sizeof(T);
    void* pointer = nullptr;
    if (n_bytes < 2 * kHugePage) {
        pointer = std::malloc(n_bytes);
    } else {
        // aligned_alloc wants whole multiples.
        pointer = std::aligned_alloc(kHugePage, (n_bytes + kHugePage - 1) / kHugePage * kHugePage);
#if defined(__linux__) && defined(MADV_HUGEPAGE)
        if (pointer != nullptr) {
            madvise(pointer, n_bytes, MADV_HUGEPAGE);  // advice: without it all works as well
        }
#endif
    }
    if (pointer == nullptr) {
        throw std::bad_alloc();
    }
    return LargeBuffer<T>(static_cast<T*>(pointer));
}

}  // namespace fastsoft
