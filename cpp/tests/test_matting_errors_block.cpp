// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "check.hpp"
#include "emulate.hpp"
#include "fastsoft/detail/matting_errors_block.hpp"

namespace {

using fastsoft::View;
using fastsoft::tests::Guarded;
using fastsoft::tests::Order;
namespace detail = fastsoft::detail;

constexpr double kSigma = 1.4;

// Both images with their own two-dimensional kernels, which have 2-norm 1, pixel by pixel.
template <class T>
double magnitude(const View<const T, 2>& image, std::ptrdiff_t row, std::ptrdiff_t col, int half) {
    double gx = 0.0;
    double gy = 0.0;
    double norm = 0.0;
    for (int i = -half; i <= half; ++i) {
        for (int j = -half; j <= half; ++j) {
            const double slope = j * std::exp(-(i * i + j * j) / (2 * kSigma * kSigma));
            const double across = i * std::exp(-(i * i + j * j) / (2 * kSigma * kSigma));
            const T value = image(std::clamp<std::ptrdiff_t>(row + i, 0, image.extent(0) - 1),
                                  std::clamp<std::ptrdiff_t>(col + j, 0, image.extent(1) - 1));
            gx += slope * static_cast<double>(value);
            gy += across * static_cast<double>(value);
            norm += slope * slope;
        }
    }
    return std::sqrt((gx * gx + gy * gy) / norm);
}

template <class T>
double emulated(const View<const T, 2>& alpha, const View<const T, 2>& truth, const View<const std::uint8_t, 2>& region,
                int half, Order order) {
    using Block = detail::GradientErrorBlock<T>;
    typename Block::Arguments arguments{alpha, truth, region, detail::gradient_taps(kSigma, half), 2.0, 0.5, nullptr};
    Guarded<double> partial(Block::n_blocks(arguments));
    Guarded<double> total(1);
    arguments.partial = partial.data();
    fastsoft::tests::emulate<Block>(arguments, order);
    fastsoft::tests::emulate<detail::GradientTotalBlock>({partial.data(), Block::n_blocks(arguments), total.data()},
                                                         order);
    CHECK(partial.intact() && total.intact());
    return total[0];
}

template <class T>
void compare_all() {
    for (const auto& [n_rows, n_cols] : {std::pair{1, 1}, {1, 50}, {45, 1}, {5, 7}, {32, 32}, {33, 70}}) {
        const auto first = fastsoft::tests::random_numbers<T>(n_rows * n_cols, 21);
        const auto second = fastsoft::tests::random_numbers<T>(n_rows * n_cols, 22);
        std::vector<std::uint8_t> set;
        for (const float number : fastsoft::tests::random_numbers<float>(n_rows * n_cols, 23)) {
            set.push_back(number < 0.6F ? 1 : 0);
        }
        const auto alpha = View<const T, 2>::contiguous(first.data(), {n_rows, n_cols});
        // Columns backwards.
        const View<const T, 2> truth(second.data() + n_cols - 1, {n_rows, n_cols}, {n_cols, -1});
        for (const bool everywhere : {false, true}) {
            const auto region = everywhere ? View<const std::uint8_t, 2>()
                                           : View<const std::uint8_t, 2>::contiguous(set.data(), {n_rows, n_cols});
            for (const int half : {3, 4}) {
                double expected = 0.0;
                for (std::ptrdiff_t row = 0; row < n_rows; ++row) {
                    for (std::ptrdiff_t col = 0; col < n_cols; ++col) {
                        const double difference =
                            2.0 * magnitude(alpha, row, col, half) - 0.5 * magnitude(truth, row, col, half);
                        expected += everywhere || region(row, col) != 0 ? difference * difference : 0.0;
                    }
                }
                const double found = emulated(alpha, truth, region, half, Order::forward);
                CHECK(std::abs(found - expected) <= 1e-13 * (1.0 + expected));
                CHECK(found == emulated(alpha, truth, region, half, Order::backward));
            }
        }
    }
}

TEST(gradient_error_blocks_equal_the_definition) {
    compare_all<float>();
    compare_all<double>();
}

}  // namespace
