// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

#include "fastsoft/core/block.hpp"
#include "fastsoft/core/view.hpp"
#include "fastsoft/detail/tree.hpp"

namespace fastsoft::detail {

// Smallest and largest of the finite values, and how many are not finite. low > high where none is finite.
struct ValueRange {
    double low;
    double high;
    std::int64_t n_bad;
};

FASTSOFT_HD ValueRange empty_range() {
    return {1.0, 0.0, 0};
}

FASTSOFT_HD ValueRange merge(const ValueRange& a, const ValueRange& b) {
    ValueRange out = a;
    out.n_bad += b.n_bad;
    if (b.low <= b.high) {
        const bool empty = a.low > a.high;
        out.low = empty || b.low < a.low ? b.low : a.low;
        out.high = empty || b.high > a.high ? b.high : a.high;
    }
    return out;
}

FASTSOFT_HD void merge_into(ValueRange& to, const ValueRange& from) {
    to = merge(to, from);
}

template <>
struct NeutralItem<ValueRange> {
    FASTSOFT_HD static ValueRange make() { return empty_range(); }
};

// Pieces of a fixed size: the range of each goes to partial[block].
template <class T>
struct ValueRangeStep {
    using Item = ValueRange;
    static constexpr int kPerThread = 16;

    struct Arguments {
        View<const T, 3> values;
        ValueRange* partial;
    };

    FASTSOFT_HD static std::ptrdiff_t n_blocks(const Arguments& a) {
        return divide_up(a.values.size(), kTreeThreads * kPerThread);
    }

    FASTSOFT_HD static Item gather(const Arguments& a, std::ptrdiff_t block, int thread) {
        Item range = empty_range();
        const bool contiguous = a.values.is_contiguous();
        const std::ptrdiff_t size = a.values.size();
        for (int j = 0; j < kPerThread; ++j) {
            const std::ptrdiff_t i = (block * kPerThread + j) * kTreeThreads + thread;
            if (i < size) {
                add(range, static_cast<double>(contiguous ? a.values.data()[i] : at(a.values, i)));
            }
        }
        return range;
    }
    FASTSOFT_HD static void put(const Arguments& a, std::ptrdiff_t block, const Item& item) { a.partial[block] = item; }

private:
    FASTSOFT_HD static T at(const View<const T, 3>& values, std::ptrdiff_t i) {
        const std::ptrdiff_t rest = i / values.extent(2);
        return values(rest / values.extent(1), rest % values.extent(1), i % values.extent(2));
    }

    FASTSOFT_HD static void add(ValueRange& range, double value) {
        range = merge(range, is_finite_number(value) ? ValueRange{value, value, 0} : ValueRange{1.0, 0.0, 1});
    }
};

template <class T>
using ValueRangeBlock = TreeBlock<ValueRangeStep<T>>;

// One block: the range of all pieces.
using ValueRangeTotalBlock = TreeTotalBlock<ValueRange>;

}  // namespace fastsoft::detail
