// SPDX-License-Identifier: MIT
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "check.hpp"
#include "emulate.hpp"
#include "fastsoft/detail/unmixing_block.hpp"

namespace {

using fastsoft::View;
using fastsoft::tests::Guarded;
using fastsoft::tests::Order;
namespace detail = fastsoft::detail;

struct Case {
    std::ptrdiff_t height;
    std::ptrdiff_t width;
    std::ptrdiff_t n;
    std::array<std::ptrdiff_t, 2> origin;
    bool planes;

    std::ptrdiff_t rows() const { return (height + origin[0] + 1) / 2; }
    std::ptrdiff_t cols() const { return (width + origin[1] + 1) / 2; }
};

// Linear interpolation at pixel centres, in double, beyond the ends the nearest.
template <class T>
double enlarged(const View<const T, 4>& values, double row, double col, std::ptrdiff_t i, std::ptrdiff_t k) {
    const double r = std::clamp((row + 0.5) / 2 - 0.5, 0.0, static_cast<double>(values.extent(0) - 1));
    const double c = std::clamp((col + 0.5) / 2 - 0.5, 0.0, static_cast<double>(values.extent(1) - 1));
    const auto top = static_cast<std::ptrdiff_t>(r);
    const auto left = static_cast<std::ptrdiff_t>(c);
    const std::ptrdiff_t bottom = std::min(top + 1, values.extent(0) - 1);
    const std::ptrdiff_t right = std::min(left + 1, values.extent(1) - 1);
    const double down = r - static_cast<double>(top);
    const double across = c - static_cast<double>(left);
    const auto at = [&](std::ptrdiff_t a, std::ptrdiff_t b) { return static_cast<double>(values(a, b, i, k)); };
    return (1 - down) * ((1 - across) * at(top, left) + across * at(top, right)) +
           down * ((1 - across) * at(bottom, left) + across * at(bottom, right));
}

// The nearest point of the simplex, by sorting.
void project(std::vector<double>& z) {
    std::vector<double> sorted = z;
    std::sort(sorted.rbegin(), sorted.rend());
    double sum = 0.0;
    double threshold = 0.0;
    for (std::size_t i = 0; i < sorted.size(); ++i) {
        sum += sorted[i];
        if (sorted[i] - (sum - 1) / static_cast<double>(i + 1) > 0) {
            threshold = (sum - 1) / static_cast<double>(i + 1);
        }
    }
    for (double& value : z) {
        value = std::max(value - threshold, 0.0);
    }
}

template <class T>
void compare(const Case& given, std::ptrdiff_t steps) {
    const auto [height, width, n, origin, planes] = given;
    const std::ptrdiff_t n_pixels = height * width;
    const std::ptrdiff_t n_half = given.rows() * given.cols();
    const auto image_values = fastsoft::tests::random_numbers<T>(n_pixels * 3, 1);
    const auto palette_values = fastsoft::tests::random_numbers<T>(n * 3, 2);
    const auto coefficient_values = fastsoft::tests::random_numbers<T>(n_half * n * 4, 3);
    const auto image = View<const T, 3>::contiguous(image_values.data(), {height, width, 3});
    const auto palette = View<const T, 2>::contiguous(palette_values.data(), {n, 3});
    const std::array<std::ptrdiff_t, 4> half_shape{given.rows(), given.cols(), n, 4};
    const View<const T, 4> coefficients =
        planes ? View<const T, 4>(coefficient_values.data(), half_shape, {given.cols(), 1, 4 * n_half, n_half})
               : View<const T, 4>::contiguous(coefficient_values.data(), half_shape);
    constexpr double kScale = 0.25;
    constexpr double kStiffness = 2.0;

    std::vector<Guarded<T>> alphas;
    std::vector<Guarded<T>> colors;
    for (const Order order : {Order::forward, Order::backward}) {
        alphas.emplace_back(n_pixels * n);
        const View<T, 3> out = planes ? View<T, 3>(alphas.back().data(), {height, width, n}, {width, 1, n_pixels})
                                      : View<T, 3>::contiguous(alphas.back().data(), {height, width, n});
        fastsoft::tests::emulate<detail::EachBlock<detail::UnmixAlphas<T>>>(
            {image, palette, coefficients, origin, T(1 / kScale), T(1 / kStiffness), steps, out}, order);
        colors.emplace_back(n_pixels * n * 3);
        fastsoft::tests::emulate<detail::EachBlock<detail::UnmixColors<T>>>(
            {image, palette, out, coefficients, origin,
             View<T, 4>::contiguous(colors.back().data(), {height, width, n, 3})},
            order);
        CHECK(alphas.back().intact() && colors.back().intact());
    }
    CHECK(alphas[0] == alphas[1]);
    CHECK(colors[0] == colors[1]);

    const double bound = 300 * static_cast<double>(std::numeric_limits<T>::epsilon());
    for (std::ptrdiff_t row = 0; row < height; ++row) {
        for (std::ptrdiff_t col = 0; col < width; ++col) {
            std::vector<double> z(static_cast<std::size_t>(n));
            const auto coefficient = [&](std::size_t i, std::ptrdiff_t k) {
                return enlarged(coefficients, static_cast<double>(row + origin[0]),
                                static_cast<double>(col + origin[1]), static_cast<std::ptrdiff_t>(i), k);
            };
            const auto color = [&](std::ptrdiff_t k) { return static_cast<double>(image(row, col, k)); };
            const auto own = [&](std::size_t i, std::ptrdiff_t k) {
                return static_cast<double>(palette(static_cast<std::ptrdiff_t>(i), k));
            };
            for (std::size_t i = 0; i < z.size(); ++i) {
                z[i] = coefficient(i, 3);
                for (std::ptrdiff_t k = 0; k < 3; ++k) {
                    z[i] += coefficient(i, k) * color(k) - (color(k) - own(i, k)) * (color(k) - own(i, k)) / kScale;
                }
            }
            project(z);
            for (std::ptrdiff_t turn = 0; turn < steps; ++turn) {
                std::vector<double> moved = z;
                for (std::size_t i = 0; i < z.size(); ++i) {
                    for (std::ptrdiff_t k = 0; k < 3; ++k) {
                        double error = color(k);
                        for (std::size_t j = 0; j < z.size(); ++j) {
                            error -= z[j] * own(j, k);
                        }
                        moved[i] += own(i, k) * error / kStiffness;
                    }
                }
                z = moved;
                project(z);
            }
            double square = 0.0;
            for (std::size_t i = 0; i < z.size(); ++i) {
                const std::ptrdiff_t layer = static_cast<std::ptrdiff_t>(i);
                const std::ptrdiff_t at =
                    planes ? layer * n_pixels + row * width + col : (row * width + col) * n + layer;
                const auto found = static_cast<double>(alphas[0][at]);
                CHECK(std::abs(found - z[i]) < bound);
                z[i] = found;
                square += found * found;
            }
            for (std::ptrdiff_t k = 0; k < 3; ++k) {
                double error = color(k);
                for (std::size_t i = 0; i < z.size(); ++i) {
                    error -= z[i] * (own(i, k) + coefficient(i, k));
                }
                for (std::size_t i = 0; i < z.size(); ++i) {
                    const double expected =
                        std::clamp(own(i, k) + coefficient(i, k) + coefficient(i, 3) * z[i] * error / square, 0.0, 1.0);
                    const std::ptrdiff_t at = ((row * width + col) * n + static_cast<std::ptrdiff_t>(i)) * 3 + k;
                    CHECK(std::abs(static_cast<double>(colors[0][at]) - expected) < bound);
                }
            }
        }
    }
}

TEST(unmixing_blocks_compute_the_formulas) {
    for (const bool planes : {false, true}) {
        for (const std::ptrdiff_t steps : {0, 2}) {
            compare<float>({1, 1, 2, {0, 0}, planes}, steps);
            compare<double>({1, 9, 3, {0, 0}, planes}, steps);
            compare<float>({7, 1, 10, {0, 0}, planes}, steps);
            compare<double>({12, 33, 5, {4, 2}, planes}, steps);
        }
    }
}

}  // namespace
