// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

#include "fastsoft/core/block.hpp"

// Prefix sums by kernels of core/block.hpp, on integers: results do not depend on any order.
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

// Exclusive prefix sums of numbers that are computed, and go where the numbers say: count_before(), then
// PrefixSumsBlock. A Numbers type has the integer type Sum, n, value(i) and store(i, value, sum of all values before
// i), which may write where value(i) reads, but not where that of another index does. Every value is taken twice.
struct PrefixTile {
    static constexpr int kThreads = 256;
    static constexpr int kPerThread = 8;
    static constexpr int kTile = kThreads * kPerThread;
};

FASTSOFT_HD std::ptrdiff_t n_prefix_tiles(std::ptrdiff_t n) {
    return divide_up(n, PrefixTile::kTile);
}

template <class Numbers>
struct PrefixArguments {
    Numbers numbers;
    typename Numbers::Sum* partial;  // n_prefix_tiles(n) + 1: what is before every tile, and the total
};

// The sum of every tile.
template <class Numbers>
struct TileSumsBlock : PrefixTile {
    using Sum = typename Numbers::Sum;
    using Arguments = PrefixArguments<Numbers>;
    using Registers = Nothing;
    struct Shared {
        ThreadSums<kThreads, Sum> sums;
    };

    FASTSOFT_HD static std::ptrdiff_t n_blocks(const Arguments& a) { return n_prefix_tiles(a.numbers.n); }
    FASTSOFT_HD static int n_phases(const Arguments&) { return 2 + n_scan_phases<kThreads>(); }

    FASTSOFT_HD static void phase(int phase, const Arguments& a, Shared& shared, Registers&, std::ptrdiff_t block,
                                  int thread) {
        if (phase == 0) {
            Sum sum = 0;
            FASTSOFT_UNROLL(8)
            for (int j = 0; j < kPerThread; ++j) {
                const std::ptrdiff_t i = block * kTile + j * kThreads + thread;
                sum += i < a.numbers.n ? a.numbers.value(i) : 0;
            }
            shared.sums.value[0][thread] = sum;
        } else if (phase <= n_scan_phases<kThreads>()) {
            shared.sums.scan_phase(phase - 1, thread);
        } else if (thread == 0) {
            a.partial[block] = shared.sums.total();
        }
    }
};

// One block: prefix sums of the tiles' sums in place, and the total behind the last.
template <class Sum>
struct TilesBeforeBlock : PrefixTile {
    struct Arguments {
        std::ptrdiff_t n_tiles;
        Sum* partial;
    };
    using Registers = Nothing;
    struct Shared {
        ThreadSums<kThreads, Sum> sums;
    };

    FASTSOFT_HD static std::ptrdiff_t n_blocks(const Arguments&) { return 1; }
    FASTSOFT_HD static int n_phases(const Arguments&) { return 2 + n_scan_phases<kThreads>(); }

    FASTSOFT_HD static void phase(int phase, const Arguments& a, Shared& shared, Registers&, std::ptrdiff_t,
                                  int thread) {
        const std::ptrdiff_t length = divide_up(a.n_tiles, kThreads);
        const std::ptrdiff_t begin = thread * length;
        const std::ptrdiff_t end = begin + length < a.n_tiles ? begin + length : a.n_tiles;
        if (phase == 0) {
            Sum sum = 0;
            for (std::ptrdiff_t i = begin; i < end; ++i) {
                sum += a.partial[i];
            }
            shared.sums.value[0][thread] = sum;
        } else if (phase <= n_scan_phases<kThreads>()) {
            shared.sums.scan_phase(phase - 1, thread);
        } else {
            Sum before = shared.sums.before(thread);
            for (std::ptrdiff_t i = begin; i < end; ++i) {
                const Sum own = a.partial[i];
                a.partial[i] = before;
                before += own;
            }
            if (thread == 0) {
                a.partial[a.n_tiles] = shared.sums.total();
            }
        }
    }
};

template <class Numbers>
struct PrefixSumsBlock : PrefixTile {
    using Sum = typename Numbers::Sum;
    using Arguments = PrefixArguments<Numbers>;
    using Registers = Nothing;
    struct Shared {
        ThreadSums<kThreads, Sum> sums;
        Sum item[spread(kTile) + 1];  // values, then what is before them and before the end
    };

    FASTSOFT_HD static std::ptrdiff_t n_blocks(const Arguments& a) { return n_prefix_tiles(a.numbers.n); }
    FASTSOFT_HD static int n_phases(const Arguments&) { return 4 + n_scan_phases<kThreads>(); }

    FASTSOFT_HD static void phase(int phase, const Arguments& a, Shared& shared, Registers&, std::ptrdiff_t block,
                                  int thread) {
        constexpr int kScanned = 2 + n_scan_phases<kThreads>();
        const std::ptrdiff_t first = block * kTile;
        if (phase == 0) {
            for (int i = thread; i < kTile; i += kThreads) {
                shared.item[spread(i)] = first + i < a.numbers.n ? a.numbers.value(first + i) : 0;
            }
        } else if (phase == 1) {
            Sum sum = 0;
            for (int j = 0; j < kPerThread; ++j) {
                sum += shared.item[spread(thread * kPerThread + j)];
            }
            shared.sums.value[0][thread] = sum;
        } else if (phase < kScanned) {
            shared.sums.scan_phase(phase - 2, thread);
        } else if (phase == kScanned) {
            Sum before = a.partial[block] + shared.sums.before(thread);
            for (int j = 0; j < kPerThread; ++j) {
                Sum& item = shared.item[spread(thread * kPerThread + j)];
                const Sum own = item;
                item = before;
                before += own;
            }
            if (thread == kThreads - 1) {
                shared.item[spread(kTile)] = before;
            }
        } else {
            for (int i = thread; i < kTile && first + i < a.numbers.n; i += kThreads) {
                const Sum before = shared.item[spread(i)];
                a.numbers.store(first + i, shared.item[spread(i + 1)] - before, before);
            }
        }
    }
};

// What is before every tile, and the total.
template <class Numbers, class Launch>
void count_before(const Launch& launch, const PrefixArguments<Numbers>& arguments) {
    run_kernel<TileSumsBlock<Numbers>>(launch, arguments);
    run_kernel<TilesBeforeBlock<typename Numbers::Sum>>(launch,
                                                        {n_prefix_tiles(arguments.numbers.n), arguments.partial});
}

template <class Numbers, class Launch>
void prefix_sums(const Launch& launch, const PrefixArguments<Numbers>& arguments) {
    count_before(launch, arguments);
    run_kernel<PrefixSumsBlock<Numbers>>(launch, arguments);
}

// out[i] = sum of in[0 .. i) for i = 0 .. n - 1; in has n - 1 numbers.
struct CountsBefore {
    using Sum = std::int64_t;
    std::ptrdiff_t n;
    const std::int32_t* in;
    std::int64_t* out;

    FASTSOFT_HD Sum value(std::ptrdiff_t i) const { return i + 1 < n ? in[i] : 0; }
    FASTSOFT_HD void store(std::ptrdiff_t i, Sum, Sum sum) const { out[i] = sum; }
};

}  // namespace fastsoft::detail
