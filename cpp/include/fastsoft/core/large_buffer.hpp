// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
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

constexpr std::size_t kHugePage = std::size_t{1} << 21;

// Uninitialised numbers that will be written once from beginning to end.
template <class T>
using LargeBuffer = std::unique_ptr<T[], FreeBuffer>;

// Large ones are put on pages of 2 MB where the system offers them: writing to fresh memory otherwise stops once in 4
// kB, which was a fifth of the time of solving a system by its factor.
template <class T>
LargeBuffer<T> make_large_buffer(std::size_t count) {
    static_assert(std::is_trivially_default_constructible_v<T> && std::is_trivially_destructible_v<T>);
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

// The same, all zeros: fresh memory of the system is that already.
template <class T>
LargeBuffer<T> make_zeroed_buffer(std::size_t count) {
    static_assert(std::is_arithmetic_v<T>);
    void* const pointer = std::calloc(count == 0 ? 1 : count, sizeof(T));
    if (pointer == nullptr) {
        throw std::bad_alloc();
    }
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    if (count * sizeof(T) >= 2 * kHugePage) {
        // madvise wants the beginning of a page.
        constexpr std::uintptr_t kPage = 1 << 14;
        const std::uintptr_t begin = (reinterpret_cast<std::uintptr_t>(pointer) + kPage - 1) / kPage * kPage;
        const std::uintptr_t end = reinterpret_cast<std::uintptr_t>(pointer) + count * sizeof(T);
        madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
    }
#endif
    return LargeBuffer<T>(static_cast<T*>(pointer));
}

}  // namespace fastsoft
