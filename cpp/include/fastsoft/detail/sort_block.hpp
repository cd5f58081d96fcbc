// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "fastsoft/core/block.hpp"
#include "fastsoft/detail/prefix_sums_block.hpp"

// Stable sorting by kernels of core/block.hpp, on integers: results do not depend on any order.
namespace fastsoft::detail {

// Keys and what belongs to them.
struct KeyedValues {
    std::uint32_t* keys;
    std::int32_t* values;
};

// Stable radix sort by digits of 4 bits, least significant first. Per digit: count how often each of its 16 values
// occurs in every tile, prefix sums over these counts, values first and tiles second, and move. 28 bytes per element
// and digit.
struct RadixDigit {
    static constexpr int kThreads = 256;
    static constexpr int kPerThread = 8;
    static constexpr int kTile = kThreads * kPerThread;
    static constexpr int kBits = 4;
    static constexpr int kValues = 1 << kBits;
    // A digit's value has kParts threads that go over the counters of the block's threads.
    static constexpr int kParts = kThreads / kValues;
    static constexpr int kPartLength = kThreads / kParts;
};

struct RadixArguments {
    KeyedValues from;
    KeyedValues to;
    std::ptrdiff_t count;
    int shift;
    std::int32_t* tile_counts;   // (kValues, n_tiles)
    const std::int64_t* begins;  // their prefix sums

    FASTSOFT_HD std::ptrdiff_t n_tiles() const { return divide_up(count, RadixDigit::kTile); }
    FASTSOFT_HD int digit(std::uint32_t key) const {
        return static_cast<int>((key >> shift) & (RadixDigit::kValues - 1));
    }
};

struct RadixCountBlock : RadixDigit {
    using Arguments = RadixArguments;
    using Registers = Nothing;
    struct Shared {
        std::uint16_t counter[kValues][kThreads];
        std::int32_t part[kValues][kParts];
    };

    FASTSOFT_HD static std::ptrdiff_t n_blocks(const Arguments& a) { return a.n_tiles(); }
    FASTSOFT_HD static int n_phases(const Arguments&) { return 3; }

    FASTSOFT_HD static void phase(int phase, const Arguments& a, Shared& shared, Registers&, std::ptrdiff_t block,
                                  int thread) {
        if (phase == 0) {
            for (int value = 0; value < kValues; ++value) {
                shared.counter[value][thread] = 0;
            }
            for (int j = 0; j < kPerThread; ++j) {
                const std::ptrdiff_t i = block * kTile + j * kThreads + thread;
                if (i < a.count) {
                    ++shared.counter[a.digit(a.from.keys[i])][thread];
                }
            }
        } else if (phase == 1) {
            const int value = thread / kParts;
            const int part = thread % kParts;
            std::int32_t sum = 0;
            for (int j = 0; j < kPartLength; ++j) {
                sum += shared.counter[value][part * kPartLength + j];
            }
            shared.part[value][part] = sum;
        } else if (thread < kValues) {
            std::int32_t sum = 0;
            for (int part = 0; part < kParts; ++part) {
                sum += shared.part[thread][part];
            }
            a.tile_counts[thread * a.n_tiles() + block] = sum;
        }
    }
};

struct RadixMoveBlock : RadixDigit {
    using Arguments = RadixArguments;
    struct Registers {
        unsigned char rank[kPerThread];  // among the thread's elements with the same digit
    };
    struct Shared {
        std::uint32_t key[spread(kTile)];
        std::uint32_t place[spread(kTile)];
        std::uint16_t counter[kValues][kThreads];
        std::int32_t part[kValues][kParts];
    };

    FASTSOFT_HD static std::ptrdiff_t n_blocks(const Arguments& a) { return a.n_tiles(); }
    FASTSOFT_HD static int n_phases(const Arguments&) { return 6; }

    FASTSOFT_HD static void phase(int phase, const Arguments& a, Shared& shared, Registers& own, std::ptrdiff_t block,
                                  int thread) {
        const std::ptrdiff_t first = block * kTile;
        const auto count = static_cast<int>(a.count - first < kTile ? a.count - first : kTile);
        const int value = thread / kParts;
        const int part = thread % kParts;
        switch (phase) {
            case 0:
                for (int i = thread; i < count; i += kThreads) {
                    shared.key[spread(i)] = a.from.keys[first + i];
                }
                break;
            case 1:
                for (int v = 0; v < kValues; ++v) {
                    shared.counter[v][thread] = 0;
                }
                for (int j = 0; j < kPerThread && thread * kPerThread + j < count; ++j) {
                    std::uint16_t& counter =
                        shared.counter[a.digit(shared.key[spread(thread * kPerThread + j)])][thread];
                    own.rank[j] = static_cast<unsigned char>(counter++);
                }
                break;
            case 2: {
                std::int32_t sum = 0;
                for (int j = 0; j < kPartLength; ++j) {
                    sum += shared.counter[value][part * kPartLength + j];
                }
                shared.part[value][part] = sum;
                break;
            }
            case 3: {
                // Counters become what comes before the thread's elements in the tile.
                std::int32_t before = 0;
                for (int p = 0; p < part; ++p) {
                    before += shared.part[value][p];
                }
                for (int j = 0; j < kPartLength; ++j) {
                    std::uint16_t& counter = shared.counter[value][part * kPartLength + j];
                    const std::int32_t here = counter;
                    counter = static_cast<std::uint16_t>(before);
                    before += here;
                }
                break;
            }
            case 4:
                for (int j = 0; j < kPerThread && thread * kPerThread + j < count; ++j) {
                    const int i = spread(thread * kPerThread + j);
                    const int digit = a.digit(shared.key[i]);
                    shared.place[i] = static_cast<std::uint32_t>(a.begins[digit * a.n_tiles() + block]) +
                                      shared.counter[digit][thread] + own.rank[j];
                }
                break;
            default:
                for (int i = thread; i < count; i += kThreads) {
                    const std::uint32_t place = shared.place[spread(i)];
                    a.to.keys[place] = shared.key[spread(i)];
                    a.to.values[place] = a.from.values[first + i];
                }
                break;
        }
    }
};

// Elements of workspace that sorting `count` elements takes: counts of tiles, and their prefix sums.
FASTSOFT_HD std::ptrdiff_t radix_counts(std::ptrdiff_t count) {
    return RadixDigit::kValues * divide_up(count, RadixDigit::kTile);
}

struct RadixWorkspace {
    std::int32_t* tile_counts;  // radix_counts(count)
    std::int64_t* begins;       // radix_counts(count) + 1: prefix sums of these
    std::int64_t* partial;      // n_prefix_tiles(radix_counts(count) + 1) + 1
};

// Sorts by keys, all below n_keys; equal keys keep their order. The result is in `data`: the two are exchanged on the
// way. At most 2^31 - 1 elements.
template <class Launch>
void sort_by_key(const Launch& launch, KeyedValues& data, KeyedValues& spare, std::ptrdiff_t count,
                 std::ptrdiff_t n_keys, const RadixWorkspace& workspace) {
    for (int shift = 0; (n_keys - 1) >> shift > 0; shift += RadixDigit::kBits) {
        const RadixArguments digit{data, spare, count, shift, workspace.tile_counts, workspace.begins};
        run_kernel<RadixCountBlock>(launch, digit);
        prefix_sums<CountsBefore>(
            launch, {{radix_counts(count) + 1, workspace.tile_counts, workspace.begins}, workspace.partial});
        run_kernel<RadixMoveBlock>(launch, digit);
        std::swap(data, spare);
    }
}

}  // namespace fastsoft::detail
