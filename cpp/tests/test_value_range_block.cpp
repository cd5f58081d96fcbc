// SPDX-License-Identifier: MIT
#include <array>
#include <limits>
#include <vector>

#include "check.hpp"
#include "emulate.hpp"
#include "fastsoft/detail/value_range_block.hpp"

namespace {

using fastsoft::View;
using fastsoft::tests::Guarded;
using fastsoft::tests::Order;
namespace detail = fastsoft::detail;

template <class T>
detail::ValueRange range_of(const View<const T, 3>& values, Order order) {
    using Block = detail::ValueRangeBlock<T>;
    const std::ptrdiff_t n_pieces = Block::n_blocks({values, nullptr});
    Guarded<detail::ValueRange> partial(n_pieces);
    Guarded<detail::ValueRange> total(1);
    fastsoft::tests::emulate<Block>({values, partial.data()}, order);
    fastsoft::tests::emulate<detail::ValueRangeTotalBlock>({partial.data(), n_pieces, total.data()}, order);
    CHECK(partial.intact() && total.intact());
    return total[0];
}

TEST(value_range_finds_extremes_and_counts_what_is_not_finite) {
    const auto infinity = std::numeric_limits<double>::infinity();
    for (const Order order : {Order::forward, Order::backward}) {
        for (const std::ptrdiff_t n_cols : {1, 7, 1500, 4096, 40001}) {
            auto values = fastsoft::tests::random_numbers<double>(n_cols * 3, 11);
            const auto view = View<const double, 3>::contiguous(values.data(), {1, n_cols, 3});
            values[static_cast<std::size_t>(n_cols * 3 / 2)] = -7.0;
            values[static_cast<std::size_t>(n_cols * 3 - 1)] = 9.0;
            auto range = range_of<double>(view, order);
            CHECK_EQUAL(range.low, -7.0);
            CHECK_EQUAL(range.high, 9.0);
            CHECK_EQUAL(range.n_bad, 0);
            values[static_cast<std::size_t>(n_cols * 3 - 1)] = infinity;
            values[0] = -infinity;
            values[static_cast<std::size_t>(n_cols * 3 / 2)] = infinity - infinity;
            range = range_of<double>(view, order);
            CHECK_EQUAL(range.n_bad, 3);
            CHECK(n_cols == 1 ? range.low > range.high : range.low >= 0.0 && range.high <= 1.0);
        }
    }
}

TEST(value_range_reads_strided_arrays) {
    auto values = fastsoft::tests::random_numbers<float>(60 * 70, 12);
    const View<const float, 3> every_second(values.data() + 69, {30, 35, 1}, {140, -2, 1});
    values[0] = -3.0f;            // row 0, column 0: not seen
    values[140 * 29 + 1] = 5.0f;  // seen last
    const auto range = range_of<float>(every_second, Order::forward);
    CHECK_EQUAL(range.high, 5.0);
    CHECK(range.low >= 0.0);
}

}  // namespace
