// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

#include "check.hpp"
#include "emulate.hpp"
#include "fastsoft/detail/sort_block.hpp"

namespace {

using fastsoft::tests::Emulate;
using fastsoft::tests::Guarded;
using fastsoft::tests::Order;
namespace detail = fastsoft::detail;

std::vector<std::int32_t> random_integers(std::ptrdiff_t count, std::int64_t below, std::uint64_t seed) {
    std::vector<std::int32_t> values;
    for (const double value : fastsoft::tests::random_numbers<double>(count, seed)) {
        values.push_back(static_cast<std::int32_t>(value * static_cast<double>(below)));
    }
    return values;
}

TEST(prefix_sums_are_those_of_a_loop) {
    for (const std::ptrdiff_t count : {0, 1, 7, 255, 256, 2047, 2048, 2049, 10000, 700000}) {
        // Sums of these leave 32 bits.
        const auto in = random_integers(count, 2000000000, 3);
        for (const Order order : {Order::forward, Order::backward}) {
            Guarded<std::int64_t> out(count + 1);
            const std::ptrdiff_t n_tiles = detail::n_prefix_tiles(count + 1);
            Guarded<std::int64_t> partial(n_tiles + 1);
            detail::prefix_sums<detail::CountsBefore>(Emulate{order},
                                                      {{count + 1, in.data(), out.data()}, partial.data()});
            CHECK(out.intact() && partial.intact());
            std::int64_t sum = 0;
            for (std::ptrdiff_t i = 0; i <= count; ++i) {
                CHECK_EQUAL(out[i], sum);
                sum += i < count ? in[static_cast<std::size_t>(i)] : 0;
            }
            CHECK_EQUAL(partial[n_tiles], sum);
        }
    }
}

void compare_sorted(std::ptrdiff_t count, std::int64_t n_keys, Order order) {
    const auto keys = random_integers(count, n_keys, 5);
    std::vector<std::int32_t> expected(keys.size());
    std::iota(expected.begin(), expected.end(), 0);
    std::stable_sort(expected.begin(), expected.end(), [&](std::int32_t a, std::int32_t b) {
        return keys[static_cast<std::size_t>(a)] < keys[static_cast<std::size_t>(b)];
    });

    Guarded<std::uint32_t> first_keys(count);
    Guarded<std::uint32_t> second_keys(count);
    Guarded<std::int32_t> first_values(count);
    Guarded<std::int32_t> second_values(count);
    std::copy(keys.begin(), keys.end(), first_keys.data());
    std::iota(first_values.data(), first_values.data() + count, 0);
    const std::ptrdiff_t n_counts = detail::radix_counts(count);
    Guarded<std::int32_t> tile_counts(n_counts);
    Guarded<std::int64_t> partial(detail::n_prefix_tiles(n_counts + 1) + 1);
    Guarded<std::int64_t> begins(n_counts + 1);
    detail::KeyedValues data{first_keys.data(), first_values.data()};
    detail::KeyedValues spare{second_keys.data(), second_values.data()};
    detail::sort_by_key(Emulate{order}, data, spare, count, n_keys,
                        {tile_counts.data(), begins.data(), partial.data()});
    CHECK(first_keys.intact() && second_keys.intact() && first_values.intact() && second_values.intact());
    CHECK(tile_counts.intact() && partial.intact() && begins.intact());
    CHECK(std::equal(expected.begin(), expected.end(), data.values));
    for (std::ptrdiff_t i = 0; i < count; ++i) {
        const auto place = static_cast<std::size_t>(expected[static_cast<std::size_t>(i)]);
        CHECK_EQUAL(data.keys[i], static_cast<std::uint32_t>(keys[place]));
    }
}

TEST(radix_sort_is_a_stable_sort) {
    for (const Order order : {Order::forward, Order::backward}) {
        for (const std::ptrdiff_t count : {0, 1, 2, 100, 2047, 2048, 2049, 9000}) {
            for (const std::int64_t n_keys : {1, 2, 16, 17, 300, 70000, 2147483647}) {
                compare_sorted(count, n_keys, order);
            }
        }
        // Counts of more than one prefix tile.
        compare_sorted(300000, 40, order);
    }
}

}  // namespace
