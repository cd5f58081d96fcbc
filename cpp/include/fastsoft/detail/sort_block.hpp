// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "fastsoft/core/block.hpp"

// Prefix sums and stable sorting by kernels of core/block.hpp, on integers: results do not depend on any order.
namespace fastsoft::detail {

template <int Threads>
FASTSOFT_HD constexpr int n_scan_phases() {
    static_assert((Threads & (Threads - 1)) == 0);
    int phases = 0;
    for (int reach = 1; reach < Threads; reach *= 2) {
        ++phases;
    }
    return phases;
}

// Inclusive prefix sums over the threads of a block, n_scan_phases<Threads>() phases (Hillis and Steele): the threads'
// numbers are in value[0] before.
template <int Threads, class T>
struct ThreadSums {
    T value[2][Threads];

    FASTSOFT_HD void scan_phase(int step, int thread) {
        const T(&from)[Threads] = value[step % 2];
        const int reach = 1 << step;
        value[(step + 1) % 2][thread] = thread >= reach ? from[thread] + from[thread - reach] : from[thread];
    }
    FASTSOFT_HD T before(int thread) const {
        return thread == 0 ? T(0) : value[n_scan_phases<Threads>() % 2][thread - 1];
    }
    FASTSOFT_HD T total() const { return value[n_scan_phases<Threads>() % 2][Threads - 1]; }
};

// Threads read consecutive elements of shared memory, each its own stretch: a gap after every 16 of them spreads the
// stretches over the banks.
FASTSOFT_HD constexpr int spread(int i) {
    return i + i / 16;
}

// Exclusive prefix sums: out[i] = sum of in[0 .. i) for i = 0 .. count, three launches. in is read twice, out is
// written once.
struct PrefixTile {
    static constexpr int kThreads = 256;
    static constexpr int kPerThread = 8;
    static constexpr int kTile = kThreads * kPerThread;
};

struct PrefixArguments {
    const std::int32_t* in;
    std::ptrdiff_t count;
    std::int64_t* partial;  // a number per tile
    std::int64_t* out;      // count + 1 numbers

    FASTSOFT_HD std::ptrdiff_t n_tiles() const { return divide_up(count, PrefixTile::kTile); }
};

// The sum of every tile.
struct PrefixTilesBlock : PrefixTile {
    using Arguments = PrefixArguments;
    using Registers = Nothing;
    struct Shared {
        ThreadSums<kThreads, std::int64_t> sums;
    };

    FASTSOFT_HD static std::ptrdiff_t n_blocks(const Arguments& a) { return a.n_tiles(); }
    FASTSOFT_HD static int n_phases(const Arguments&) { return 2 + n_scan_phases<kThreads>(); }

    FASTSOFT_HD static void phase(int phase, const Arguments& a, Shared& shared, Registers&, std::ptrdiff_t block,
                                  int thread) {
        if (phase == 0) {
            std::int64_t sum = 0;
            for (int j = 0; j < kPerThread; ++j) {
                const std::ptrdiff_t i = block * kTile + j * kThreads + thread;
                sum += i < a.count ? a.in[i] : 0;
            }
            shared.sums.value[0][thread] = sum;
        } else if (phase <= n_scan_phases<kThreads>()) {
            shared.sums.scan_phase(phase - 1, thread);
        } else if (thread == 0) {
            a.partial[block] = shared.sums.total();
        }
    }
};

// One block: what is before every tile, and the total.
struct PrefixTotalsBlock : PrefixTile {
    using Arguments = PrefixArguments;
    using Registers = Nothing;
    struct Shared {
        ThreadSums<kThreads, std::int64_t> sums;
    };

    FASTSOFT_HD static std::ptrdiff_t n_blocks(const Arguments&) { return 1; }
    FASTSOFT_HD static int n_phases(const Arguments&) { return 2 + n_scan_phases<kThreads>(); }

    FASTSOFT_HD static void phase(int phase, const Arguments& a, Shared& shared, Registers&, std::ptrdiff_t,
                                  int thread) {
        const std::ptrdiff_t n_tiles = a.n_tiles();
        const std::ptrdiff_t length = divide_up(n_tiles, kThreads);
        const std::ptrdiff_t begin = thread * length;
        const std::ptrdiff_t end = begin + length < n_tiles ? begin + length : n_tiles;
        if (phase == 0) {
            std::int64_t sum = 0;
            for (std::ptrdiff_t i = begin; i < end; ++i) {
                sum += a.partial[i];
            }
            shared.sums.value[0][thread] = sum;
        } else if (phase <= n_scan_phases<kThreads>()) {
            shared.sums.scan_phase(phase - 1, thread);
        } else {
            std::int64_t before = shared.sums.before(thread);
            for (std::ptrdiff_t i = begin; i < end; ++i) {
                const std::int64_t own = a.partial[i];
                a.partial[i] = before;
                before += own;
            }
            if (thread == 0) {
                a.out[a.count] = shared.sums.total();
            }
        }
    }
};

struct PrefixBlock : PrefixTile {
    using Arguments = PrefixArguments;
    using Registers = Nothing;
    struct Shared {
        ThreadSums<kThreads, std::int64_t> sums;
        std::int64_t item[spread(kTile)];
    };

    FASTSOFT_HD static std::ptrdiff_t n_blocks(const Arguments& a) { return a.n_tiles(); }
    FASTSOFT_HD static int n_phases(const Arguments&) { return 4 + n_scan_phases<kThreads>(); }

    FASTSOFT_HD static void phase(int phase, const Arguments& a, Shared& shared, Registers&, std::ptrdiff_t block,
                                  int thread) {
        constexpr int kScanned = 2 + n_scan_phases<kThreads>();
        const std::ptrdiff_t first = block * kTile;
        if (phase == 0) {
            for (int i = thread; i < kTile; i += kThreads) {
                shared.item[spread(i)] = first + i < a.count ? a.in[first + i] : 0;
            }
        } else if (phase == 1) {
            std::int64_t sum = 0;
            for (int j = 0; j < kPerThread; ++j) {
                sum += shared.item[spread(thread * kPerThread + j)];
            }
            shared.sums.value[0][thread] = sum;
        } else if (phase < kScanned) {
            shared.sums.scan_phase(phase - 2, thread);
        } else if (phase == kScanned) {
            std::int64_t before = a.partial[block] + shared.sums.before(thread);
            for (int j = 0; j < kPerThread; ++j) {
                std::int64_t& item = shared.item[spread(thread * kPerThread + j)];
                const std::int64_t own = item;
                item = before;
                before += own;
            }
        } else {
            for (int i = thread; i < kTile && first + i < a.count; i += kThreads) {
                a.out[first + i] = shared.item[spread(i)];
            }
        }
    }
};

// launch.template operator()<Block>(arguments) runs a kernel.
template <class Launch>
void prefix_sums(const Launch& launch, const PrefixArguments& arguments) {
    launch.template operator()<PrefixTilesBlock>(arguments);
    launch.template operator()<PrefixTotalsBlock>(arguments);
    launch.template operator()<PrefixBlock>(arguments);
}

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
    std::int64_t* partial;      // a number per prefix tile of these
    std::int64_t* begins;       // radix_counts(count) + 1
};

// Sorts by keys, all below n_keys; equal keys keep their order. The result is in `data`: the two are exchanged on the
// way. At most 2^31 - 1 elements.
template <class Launch>
void sort_by_key(const Launch& launch, KeyedValues& data, KeyedValues& spare, std::ptrdiff_t count,
                 std::ptrdiff_t n_keys, const RadixWorkspace& workspace) {
    for (int shift = 0; (n_keys - 1) >> shift > 0; shift += RadixDigit::kBits) {
        const RadixArguments digit{data, spare, count, shift, workspace.tile_counts, workspace.begins};
        launch.template operator()<RadixCountBlock>(digit);
        prefix_sums(launch, {workspace.tile_counts, radix_counts(count), workspace.partial, workspace.begins});
        launch.template operator()<RadixMoveBlock>(digit);
        std::swap(data, spare);
    }
}

}  // namespace fastsoft::detail
