// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>

#include "fastsoft/core/block.hpp"
#include "fastsoft/detail/pcg_loop.hpp"
#include "fastsoft/detail/tree.hpp"

// Passes over vectors on a device: what happens at an element is a body, what all passes share is here. Sums are taken
// in double over chunks of a fixed size, by trees of a fixed shape, then over the chunks of a column by one block: the
// same bits from run to run.
namespace fastsoft::detail {

// Numbers per column that stay on the device between launches. Sums go to slots.
enum ColumnSlot : int { kStepDot, kStepLength, kResidualSquare, kPreconditionedDot, kColumnSlots };

// Columns that a launch treats one by one, with a number of each among its arguments.
constexpr int kColumnGroup = 128;

// A pass over n_columns vectors of n elements. Body:
//
//     static constexpr int kSums;        sums per column, 0 to 2
//     static constexpr int kPerThread;   elements of a thread
//     auto begin(std::ptrdiff_t column) const;                     what all elements of a column share
//     auto load(std::ptrdiff_t column, std::ptrdiff_t i) const;    what is read of an element
//     void finish(std::ptrdiff_t column, std::ptrdiff_t i, const auto& shared, const auto& loaded, double* sums) const;
//
// all of them FASTSOFT_HD; finish writes, and adds to sums[0 .. kSums - 1]. A thread loads all of its elements before
// it finishes the first: a store that might change what is loaded next would hold that up. partial is (n_columns,
// n_chunks, kSums).
template <class Body>
struct ColumnsBlock {
    static constexpr int kThreads = 256;
    static constexpr int kPerThread = Body::kPerThread;
    static constexpr int kSums = Body::kSums;

    struct Arguments {
        Body body;
        std::ptrdiff_t n;
        std::ptrdiff_t n_columns;
        double* partial;
    };

    struct Shared {
        double sum[kSums == 0 ? 1 : kSums][kThreads];
    };

    using Registers = Nothing;

    FASTSOFT_HD static std::ptrdiff_t n_chunks(std::ptrdiff_t n) { return divide_up(n, kThreads * kPerThread); }
    FASTSOFT_HD static std::ptrdiff_t n_blocks(const Arguments& a) { return n_chunks(a.n) * a.n_columns; }
    FASTSOFT_HD static int n_phases(const Arguments&) { return kSums == 0 ? 1 : 2 + n_tree_phases<kThreads>(); }

    FASTSOFT_HD static void phase(int phase, const Arguments& a, Shared& shared, Registers&, std::ptrdiff_t block,
                                  int thread) {
        if (phase == 0) {
            const std::ptrdiff_t column = block / n_chunks(a.n);
            const std::ptrdiff_t first = block % n_chunks(a.n) * kThreads * kPerThread + thread;
            const auto common = a.body.begin(column);
            double sums[kSums == 0 ? 1 : kSums] = {};
            decltype(a.body.load(column, first)) loaded[kPerThread]{};
            FASTSOFT_UNROLL(4)
            for (int j = 0; j < kPerThread; ++j) {
                if (first + j * kThreads < a.n) {
                    loaded[j] = a.body.load(column, first + j * kThreads);
                }
            }
            FASTSOFT_UNROLL(4)
            for (int j = 0; j < kPerThread; ++j) {
                if (first + j * kThreads < a.n) {
                    a.body.finish(column, first + j * kThreads, common, loaded[j], sums);
                }
            }
            FASTSOFT_UNROLL(2)
            for (int q = 0; q < kSums; ++q) {
                shared.sum[q][thread] = sums[q];
            }
        } else if (phase <= n_tree_phases<kThreads>()) {
            add_halves(phase - 1, shared.sum, thread);
        } else if (thread < kSums) {
            a.partial[block * kSums + thread] = shared.sum[thread][0];
        }
    }

    // The first half of what is left takes from the second.
    template <int Sums>
    FASTSOFT_HD static void add_halves(int phase, double (&sum)[Sums][kThreads], int thread) {
        const int half = kThreads >> (phase + 1);
        if (thread < half) {
            FASTSOFT_UNROLL(2)
            for (int q = 0; q < Sums; ++q) {
                sum[q][thread] += sum[q][thread + half];
            }
        }
    }
};

// The sums of each column, a block per column, to numbers[column * kColumnSlots + slot ...]. With StepLength, the only
// sum is p.q, and the step length follows from it and from r.z, which is there from the step before.
template <int Sums, bool StepLength>
struct ColumnSumsBlock {
    static constexpr int kThreads = 256;
    static_assert(!StepLength || Sums == 1);

    struct Arguments {
        const double* partial;  // of the first column of the launch
        std::ptrdiff_t n_chunks;
        std::ptrdiff_t n_columns;
        double* numbers;  // of the first column of the launch
        int slot;
        bool active[StepLength ? kColumnGroup : 1];
    };

    struct Shared {
        double sum[Sums][kThreads];
    };

    using Registers = Nothing;

    FASTSOFT_HD static std::ptrdiff_t n_blocks(const Arguments& a) { return a.n_columns; }
    FASTSOFT_HD static int n_phases(const Arguments&) { return 2 + n_tree_phases<kThreads>(); }

    FASTSOFT_HD static void phase(int phase, const Arguments& a, Shared& shared, Registers&, std::ptrdiff_t block,
                                  int thread) {
        if (phase == 0) {
            double sums[Sums] = {};
            for (std::ptrdiff_t chunk = thread; chunk < a.n_chunks; chunk += kThreads) {
                FASTSOFT_UNROLL(2)
                for (int q = 0; q < Sums; ++q) {
                    sums[q] += a.partial[(block * a.n_chunks + chunk) * Sums + q];
                }
            }
            FASTSOFT_UNROLL(2)
            for (int q = 0; q < Sums; ++q) {
                shared.sum[q][thread] = sums[q];
            }
        } else if (phase <= n_tree_phases<kThreads>()) {
            const int half = kThreads >> phase;
            if (thread < half) {
                FASTSOFT_UNROLL(2)
                for (int q = 0; q < Sums; ++q) {
                    shared.sum[q][thread] += shared.sum[q][thread + half];
                }
            }
        } else if (thread < Sums) {
            double* const numbers = a.numbers + block * kColumnSlots;
            numbers[a.slot + thread] = shared.sum[thread][0];
            if constexpr (StepLength) {
                numbers[kStepLength] = step_length(a.active[block], numbers[kPreconditionedDot], shared.sum[0][0]);
            }
        }
    }
};

// Sum of x[i] y[i].
template <class T>
struct DotBody {
    static constexpr int kSums = 1;
    static constexpr int kPerThread = 4;
    const T* x;
    const T* y;
    std::ptrdiff_t n;

    struct Loaded {
        T x, y;
    };

    FASTSOFT_HD Nothing begin(std::ptrdiff_t) const { return {}; }
    FASTSOFT_HD Loaded load(std::ptrdiff_t column, std::ptrdiff_t i) const {
        return {x[column * n + i], y[column * n + i]};
    }
    FASTSOFT_HD void finish(std::ptrdiff_t, std::ptrdiff_t, const Nothing&, const Loaded& in, double* sums) const {
        sums[0] += static_cast<double>(in.x) * static_cast<double>(in.y);
    }
};

// to = x - alpha p.
template <class T>
struct KeepBody {
    static constexpr int kSums = 0;
    static constexpr int kPerThread = 4;
    const T* x;
    const T* p;
    T alpha;
    T* to;
    std::ptrdiff_t n;

    FASTSOFT_HD Nothing begin(std::ptrdiff_t) const { return {}; }
    FASTSOFT_HD T load(std::ptrdiff_t column, std::ptrdiff_t i) const {
        return x[column * n + i] - alpha * p[column * n + i];
    }
    FASTSOFT_HD void finish(std::ptrdiff_t column, std::ptrdiff_t i, const Nothing&, const T& value, double*) const {
        to[column * n + i] = value;
    }
};

}  // namespace fastsoft::detail
