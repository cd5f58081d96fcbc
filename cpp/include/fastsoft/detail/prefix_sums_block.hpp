// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

#include "fastsoft/core/block.hpp"

// Exclusive prefix sums of int32 in three launches: sums of chunks, prefix sums of these, then of every chunk.
//
// A Numbers type has n, value(i), and store(i, value, sum of all values before i), which may write where value(i)
// reads, but not where value of another index does.
namespace fastsoft::detail {

inline constexpr int kPrefixThreads = 256;
inline constexpr int kPrefixPerThread = 16;
inline constexpr int kPrefixChunk = kPrefixThreads * kPrefixPerThread;

// Turns the sums of the threads into what lies before each, by one thread: a few hundred additions.
FASTSOFT_HD std::int32_t sums_before(std::int32_t (&sums)[kPrefixThreads]) {
    std::int32_t total = 0;
    for (int i = 0; i < kPrefixThreads; ++i) {
        const std::int32_t own = sums[i];
        sums[i] = total;
        total += own;
    }
    return total;
}

struct PrefixShared {
    std::int32_t sums[kPrefixThreads];
};

template <class Numbers>
struct ChunkSumsBlock {
    static constexpr int kThreads = kPrefixThreads;

    struct Arguments {
        Numbers numbers;
        std::int32_t* sums;
    };

    using Shared = PrefixShared;
    using Registers = Nothing;

    FASTSOFT_HD static std::ptrdiff_t n_blocks(const Arguments& a) { return divide_up(a.numbers.n, kPrefixChunk); }
    FASTSOFT_HD static int n_phases(const Arguments&) { return 2; }

    FASTSOFT_HD static void phase(int phase, const Arguments& a, Shared& shared, Registers&, std::ptrdiff_t block,
                                  int thread) {
        if (phase == 0) {
            std::int32_t sum = 0;
            for (int j = 0; j < kPrefixPerThread; ++j) {
                const std::ptrdiff_t i = block * kPrefixChunk + j * kThreads + thread;
                sum += i < a.numbers.n ? a.numbers.value(i) : 0;
            }
            shared.sums[thread] = sum;
        } else if (thread == 0) {
            a.sums[block] = sums_before(shared.sums);
        }
    }
};

// One block: prefix sums in place, and the total behind the last.
struct ChunkPrefixBlock {
    static constexpr int kThreads = kPrefixThreads;

    struct Arguments {
        std::ptrdiff_t n_chunks;
        std::int32_t* sums;  // n_chunks + 1
    };

    using Shared = PrefixShared;
    using Registers = Nothing;

    FASTSOFT_HD static std::ptrdiff_t n_blocks(const Arguments&) { return 1; }
    FASTSOFT_HD static int n_phases(const Arguments&) { return 3; }

    FASTSOFT_HD static void phase(int phase, const Arguments& a, Shared& shared, Registers&, std::ptrdiff_t,
                                  int thread) {
        const std::ptrdiff_t stretch = divide_up(a.n_chunks, kThreads);
        const std::ptrdiff_t begin = thread * stretch;
        const std::ptrdiff_t end = begin + stretch < a.n_chunks ? begin + stretch : a.n_chunks;
        if (phase == 0) {
            std::int32_t sum = 0;
            for (std::ptrdiff_t i = begin; i < end; ++i) {
                sum += a.sums[i];
            }
            shared.sums[thread] = sum;
        } else if (phase == 1) {
            if (thread == 0) {
                a.sums[a.n_chunks] = sums_before(shared.sums);
            }
        } else {
            std::int32_t sum = shared.sums[thread];
            for (std::ptrdiff_t i = begin; i < end; ++i) {
                const std::int32_t own = a.sums[i];
                a.sums[i] = sum;
                sum += own;
            }
        }
    }
};

template <class Numbers>
struct PrefixSumsBlock {
    static constexpr int kThreads = kPrefixThreads;

    struct Arguments {
        Numbers numbers;
        const std::int32_t* chunks;
    };

    using Shared = PrefixShared;

    struct Registers {
        std::int32_t values[kPrefixPerThread];
    };

    FASTSOFT_HD static std::ptrdiff_t n_blocks(const Arguments& a) { return divide_up(a.numbers.n, kPrefixChunk); }
    FASTSOFT_HD static int n_phases(const Arguments&) { return 3; }

    // A thread has neighbouring numbers, whole sectors of memory.
    FASTSOFT_HD static void phase(int phase, const Arguments& a, Shared& shared, Registers& registers,
                                  std::ptrdiff_t block, int thread) {
        const std::ptrdiff_t first = block * kPrefixChunk + thread * kPrefixPerThread;
        if (phase == 0) {
            std::int32_t sum = 0;
            FASTSOFT_UNROLL(16)
            for (int j = 0; j < kPrefixPerThread; ++j) {
                registers.values[j] = first + j < a.numbers.n ? a.numbers.value(first + j) : 0;
                sum += registers.values[j];
            }
            shared.sums[thread] = sum;
        } else if (phase == 1) {
            if (thread == 0) {
                (void)sums_before(shared.sums);
            }
        } else {
            std::int32_t sum = a.chunks[block] + shared.sums[thread];
            FASTSOFT_UNROLL(16)
            for (int j = 0; j < kPrefixPerThread; ++j) {
                if (first + j < a.numbers.n) {
                    a.numbers.store(first + j, registers.values[j], sum);
                }
                sum += registers.values[j];
            }
        }
    }
};

}  // namespace fastsoft::detail
