// SPDX-License-Identifier: MIT
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "check.hpp"
#include "emulate.hpp"
#include "fastsoft/detail/project_colors_block.hpp"

namespace {

using fastsoft::View;
using fastsoft::tests::Guarded;
using fastsoft::tests::Order;
namespace detail = fastsoft::detail;

// lambda of the solution clamp(u + lambda a, 0, 1) by bisection, in double.
double solved(const std::vector<double>& a, const std::vector<double>& u, double target) {
    const auto reached = [&](double lambda) {
        double sum = 0.0;
        for (std::size_t i = 0; i < a.size(); ++i) {
            sum += a[i] * std::clamp(u[i] + lambda * a[i], 0.0, 1.0);
        }
        return sum;
    };
    double low = -1e6;
    double high = 1e6;
    for (int turn = 0; turn < 200; ++turn) {
        const double middle = 0.5 * (low + high);
        (reached(middle) < target ? low : high) = middle;
    }
    return 0.5 * (low + high);
}

// Planes (n, H, W), or layers last.
template <class T>
void compare(std::ptrdiff_t height, std::ptrdiff_t width, std::ptrdiff_t n, bool planes) {
    const std::ptrdiff_t n_pixels = height * width;
    auto alphas = fastsoft::tests::random_numbers<T>(n_pixels * n, 1);
    const auto colors = fastsoft::tests::random_numbers<T>(n_pixels * n * 3, 2);
    auto image = fastsoft::tests::random_numbers<T>(n_pixels * 3, 3);
    image[0] = T(1);
    image[1] = T(0);
    const std::ptrdiff_t layer = planes ? n_pixels : 1;
    const std::ptrdiff_t pixel = planes ? 1 : n;
    for (std::ptrdiff_t p = 0; p < n_pixels; ++p) {
        T sum = T(0);
        for (std::ptrdiff_t i = 0; i < n; ++i) {
            sum += alphas[static_cast<std::size_t>(p * pixel + i * layer)];
        }
        for (std::ptrdiff_t i = 0; i < n; ++i) {
            alphas[static_cast<std::size_t>(p * pixel + i * layer)] /= sum;
        }
    }
    const View<const T, 3> a(alphas.data(), {height, width, n}, {width * pixel, pixel, layer});
    const std::array<std::ptrdiff_t, 4> shape{height, width, n, 3};
    const std::array<std::ptrdiff_t, 4> strides = planes
                                                      ? std::array<std::ptrdiff_t, 4>{width, 1, 3 * n_pixels, n_pixels}
                                                      : std::array<std::ptrdiff_t, 4>{3 * width * n, 3 * n, 3, 1};
    const View<const T, 4> u(colors.data(), shape, strides);
    const auto c = View<const T, 3>::contiguous(image.data(), {height, width, 3});
    using Block = detail::EachBlock<detail::ProjectColors<T>>;
    std::vector<Guarded<T>> found;
    for (const Order order : {Order::forward, Order::backward}) {
        found.emplace_back(n_pixels * n * 3);
        std::array<std::int32_t, 4> faults{};
        fastsoft::tests::emulate<Block>(
            {a, u, c, View<T, 4>(found.back().data(), shape, strides), T(1e-4), faults.data()}, order);
        CHECK(found.back().intact());
        CHECK(faults == (std::array<std::int32_t, 4>{}));
    }
    CHECK(found[0] == found[1]);
    const View<T, 4> out(found[0].data(), shape, strides);
    for (std::ptrdiff_t p = 0; p < n_pixels; ++p) {
        for (std::ptrdiff_t channel = 0; channel < 3; ++channel) {
            std::vector<double> own_a;
            std::vector<double> own_u;
            for (std::ptrdiff_t i = 0; i < n; ++i) {
                own_a.push_back(static_cast<double>(a(p / width, p % width, i)));
                own_u.push_back(static_cast<double>(u(p / width, p % width, i, channel)));
            }
            const double lambda = solved(own_a, own_u, static_cast<double>(c(p / width, p % width, channel)));
            for (std::ptrdiff_t i = 0; i < n; ++i) {
                const auto k = static_cast<std::size_t>(i);
                const double expected = std::clamp(own_u[k] + lambda * own_a[k], 0.0, 1.0);
                const double difference = static_cast<double>(out(p / width, p % width, i, channel)) - expected;
                // The constraint holds to roundings, so that colours do where they count.
                const double bound =
                    20.0 * static_cast<double>(n) * static_cast<double>(std::numeric_limits<T>::epsilon());
                CHECK(std::abs(difference) * own_a[k] < bound);
            }
        }
    }
}

TEST(project_colors_block_solves_the_problem) {
    for (const bool planes : {false, true}) {
        compare<float>(1, 1, 1, planes);
        compare<double>(3, 5, 2, planes);
        compare<float>(9, 40, 7, planes);
        compare<double>(17, 31, 12, planes);
    }
}

TEST(project_colors_block_tells_of_faults) {
    using Block = detail::EachBlock<detail::ProjectColors<float>>;
    constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
    struct Case {
        float alpha;
        float color;
        float target;
        int fault;
    };
    for (const Case given : {Case{0.5F, 0.5F, 0.5F, 0},
                             {0.6F, 0.5F, 0.5F, 1},
                             {kNan, 0.5F, 0.5F, 1},
                             {0.5F, 1.5F, 0.5F, 2},
                             {0.5F, kNan, 0.5F, 2},
                             {0.5F, 0.5F, -0.1F, 3},
                             {0.5F, 0.5F, kNan, 3},
                             {0.50003F, 0.5F, 0.5F, 0}}) {
        std::vector<float> alphas(2 * 300, 0.5F);
        std::vector<float> colors(6 * 300, 0.25F);
        std::vector<float> image(3 * 300, 0.75F);
        alphas[2 * 299] = given.alpha;
        colors[6 * 299 + 4] = given.color;
        image[3 * 299 + 1] = given.target;
        std::vector<float> out(6 * 300);
        std::array<std::int32_t, 4> faults{};
        fastsoft::tests::emulate<Block>({View<const float, 3>::contiguous(alphas.data(), {1, 300, 2}),
                                         View<const float, 4>::contiguous(colors.data(), {1, 300, 2, 3}),
                                         View<const float, 3>::contiguous(image.data(), {1, 300, 3}),
                                         View<float, 4>::contiguous(out.data(), {1, 300, 2, 3}), 1e-4F, faults.data()},
                                        Order::forward);
        for (int fault = 1; fault < 4; ++fault) {
            CHECK_EQUAL(faults[static_cast<std::size_t>(fault)], fault == given.fault ? 1 : 0);
        }
    }
}

}  // namespace
