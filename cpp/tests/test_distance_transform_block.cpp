// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "check.hpp"
#include "emulate.hpp"
#include "fastsoft/detail/distance_transform_block.hpp"

namespace {

using fastsoft::View;
using fastsoft::tests::Guarded;
using fastsoft::tests::Order;
namespace detail = fastsoft::detail;

bool emulated_equals(const View<const std::uint8_t, 2>& mask, const std::vector<double>& expected, Order order) {
    Guarded<double> out(mask.size());
    const detail::DistanceRun run{mask, out.data()};
    Guarded<std::int32_t> first(run.n_pieces());
    Guarded<std::int32_t> last(run.n_pieces());
    Guarded<std::int32_t> distance(run.n_pixels());
    Guarded<std::int32_t> nearest(run.n_pixels());
    run.run(first.data(), last.data(), distance.data(), nearest.data(), fastsoft::tests::Emulate{order});
    CHECK(out.intact() && first.intact() && last.intact() && distance.intact() && nearest.intact());
    return std::equal(expected.begin(), expected.end(), out.data());
}

// Every pixel against every pixel of the set.
std::vector<double> by_definition(const View<const std::uint8_t, 2>& mask) {
    std::vector<double> distance;
    for (std::ptrdiff_t row = 0; row < mask.extent(0); ++row) {
        for (std::ptrdiff_t col = 0; col < mask.extent(1); ++col) {
            double least = HUGE_VAL;
            for (std::ptrdiff_t r = 0; r < mask.extent(0); ++r) {
                for (std::ptrdiff_t c = 0; c < mask.extent(1); ++c) {
                    if (mask(r, c) != 0) {
                        least = std::min(least, static_cast<double>((r - row) * (r - row) + (c - col) * (c - col)));
                    }
                }
            }
            distance.push_back(std::sqrt(least));
        }
    }
    return distance;
}

TEST(distance_transform_blocks_equal_the_definition) {
    for (const auto& [n_rows, n_cols] :
         {std::pair{1, 1}, {1, 30}, {70, 1}, {3, 2}, {32, 31}, {33, 64}, {97, 40}, {20, 130}}) {
        for (const double density : {0.0, 0.003, 0.05, 0.8, 1.0}) {
            const auto numbers = fastsoft::tests::random_numbers<double>(n_rows * n_cols, 11);
            std::vector<std::uint8_t> set;
            for (const double number : numbers) {
                set.push_back(number < density ? 255 : 0);
            }
            // Columns backwards.
            const View<const std::uint8_t, 2> mask(set.data() + n_cols - 1, {n_rows, n_cols}, {n_cols, -1});
            const auto expected = by_definition(mask);
            CHECK(emulated_equals(mask, expected, Order::forward));
            CHECK(emulated_equals(mask, expected, Order::backward));
        }
    }
}

}  // namespace
