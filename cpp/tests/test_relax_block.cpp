// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "check.hpp"
#include "emulate.hpp"
#include "fastsoft/detail/relax_block.hpp"

namespace {

using fastsoft::View;
using fastsoft::tests::emulate;
using fastsoft::tests::Guarded;
using fastsoft::tests::Order;
using fastsoft::tests::random_numbers;
namespace detail = fastsoft::detail;

constexpr double kLambda = 100.0;
constexpr double kClamp = 0.01;

// All vectors of a system at some moment, each between guards.
template <class T>
struct State {
    std::ptrdiff_t n, n_layers;
    Guarded<T> target, x, b, d, r, p, q, diagonal, exponents;

    State(std::ptrdiff_t n_, std::ptrdiff_t n_layers_)
        : n(n_),
          n_layers(n_layers_),
          target(random(n_ * n_layers_, 1)),
          x(random(n_ * n_layers_, 2)),
          b(random(n_ * n_layers_, 3)),
          d(random(n_ * n_layers_, 4)),
          r(random(n_ * n_layers_, 5)),
          p(random(n_ * n_layers_, 6)),
          q(random(n_ * n_layers_, 7)),
          diagonal(random(n_, 8)),
          exponents(random(n_, 9)) {
        for (std::ptrdiff_t i = 0; i < n * n_layers; ++i) {
            d.data()[i] += T(1);
            x.data()[i] = T(1.2) * x[i] - T(0.1);
        }
        for (std::ptrdiff_t i = 0; i < n; ++i) {
            exponents.data()[i] -= T(2);
        }
    }

    detail::RelaxPlanes<T> planes() {
        return {n,        n_layers, T(kLambda), target.data(), x.data(),        b.data(),
                d.data(), r.data(), p.data(),   q.data(),      diagonal.data(), exponents.data()};
    }

    bool intact() const {
        for (const Guarded<T>* vector : {&target, &x, &b, &d, &r, &p, &q, &diagonal, &exponents}) {
            if (!vector->intact()) {
                return false;
            }
        }
        return true;
    }

    static Guarded<T> random(std::ptrdiff_t size, std::uint64_t seed) {
        const auto numbers = random_numbers<T>(size, seed);
        Guarded<T> out(size);
        std::copy(numbers.begin(), numbers.end(), out.data());
        return out;
    }
};

// Runs a pass over a copy of the state in both orders, which must agree, and returns the sums.
template <class T, class Make>
std::vector<double> run(State<T>& state, Make&& make) {
    using Body = decltype(make(state));
    using Block = detail::ColumnsBlock<Body>;
    const std::ptrdiff_t n_chunks = Block::n_chunks(state.n);
    std::vector<double> sums(std::max(Body::kSums, 1));
    State<T> other = state;
    for (const Order order : {Order::backward, Order::forward}) {
        State<T>& in = order == Order::forward ? state : other;
        Guarded<double> partial(n_chunks * Body::kSums);
        emulate<Block>({make(in), state.n, 1, partial.data()}, order);
        CHECK(in.intact() && partial.intact());
        if constexpr (Body::kSums > 0) {
            Guarded<double> numbers(detail::kColumnSlots);
            emulate<detail::ColumnSumsBlock<Body::kSums, false>>({partial.data(), n_chunks, 1, numbers.data(), 0, {}},
                                                                 order);
            CHECK(order == Order::backward || std::equal(sums.begin(), sums.end(), numbers.data()));
            std::copy_n(numbers.data(), sums.size(), sums.begin());
        }
    }
    CHECK(state.x == other.x && state.b == other.b && state.d == other.d && state.r == other.r && state.p == other.p &&
          state.q == other.q && state.target == other.target && state.exponents == other.exponents);
    return sums;
}

// What a number may be off by: roundings of numbers up to `size`.
template <class T>
double rounding(double size) {
    return 40.0 * static_cast<double>(std::numeric_limits<T>::epsilon()) * size;
}

// The matrix of a pixel beyond the Laplacian's diagonal, diag(d) + lambda ones, times `z`, at a layer.
template <class T>
double block_product(const State<T>& s, const Guarded<T>& z, std::ptrdiff_t pixel, std::ptrdiff_t layer) {
    double product = static_cast<double>(s.d[layer * s.n + pixel]) * static_cast<double>(z[layer * s.n + pixel]);
    for (std::ptrdiff_t j = 0; j < s.n_layers; ++j) {
        product += kLambda * static_cast<double>(z[j * s.n + pixel]);
    }
    return product;
}

template <class T>
void check_system(std::ptrdiff_t n, std::ptrdiff_t n_layers) {
    State<T> s(n, n_layers);
    const auto layers = static_cast<double>(n_layers);
    const double all = static_cast<double>(n) * layers;
    const auto each = [&](auto&& body) {
        for (std::ptrdiff_t layer = 0; layer < n_layers; ++layer) {
            for (std::ptrdiff_t pixel = 0; pixel < n; ++pixel) {
                body(layer * n + pixel, pixel, layer);
            }
        }
    };
    const auto near = [](T found, double expected, double size) {
        return std::abs(static_cast<double>(found) - expected) <= rounding<T>(size);
    };

    // Products: A v = L v + (d - diag L) v + lambda sum v.
    const State<T> before = s;
    const double pq = run(s, [](State<T>& in) { return detail::RelaxProductBody<T>{in.planes()}; })[0];
    const double rr = run(s, [](State<T>& in) { return detail::RelaxResidualBody<T>{in.planes()}; })[0];
    double expected_pq = 0.0;
    double expected_rr = 0.0;
    each([&](std::ptrdiff_t at, std::ptrdiff_t pixel, std::ptrdiff_t layer) {
        const auto l = static_cast<double>(s.diagonal[pixel]);
        const double product = static_cast<double>(before.q[at]) - l * static_cast<double>(s.p[at]) +
                               block_product(before, before.p, pixel, layer);
        CHECK(near(s.q[at], product, kLambda * layers));
        expected_pq += static_cast<double>(s.p[at]) * product;
        const double residual = static_cast<double>(s.b[at]) - static_cast<double>(before.r[at]) +
                                l * static_cast<double>(s.x[at]) - block_product(before, before.x, pixel, layer);
        CHECK(near(s.r[at], residual, kLambda * layers));
        expected_rr += residual * residual;
    });
    CHECK(std::abs(pq - expected_pq) <= rounding<T>(kLambda * layers * all));
    CHECK(std::abs(rr - expected_rr) <= rounding<T>(kLambda * layers * kLambda * layers * all));

    // Directions: M r solves the pixel's block.
    const State<T> turned_from = s;
    const double rz = run(s, [](State<T>& in) { return detail::RelaxDirectBody<T, true>{in.planes(), T(0)}; })[0];
    const Guarded<T> z = s.p;
    double expected_rz = 0.0;
    each([&](std::ptrdiff_t at, std::ptrdiff_t pixel, std::ptrdiff_t layer) {
        // z is r / d less nearly as much; the block multiplies what rounding leaves of it by lambda.
        CHECK(near(s.r[at], block_product(s, z, pixel, layer), 2.0 * kLambda * kLambda * layers * layers));
        expected_rz += static_cast<double>(s.r[at]) * static_cast<double>(z[at]);
    });
    CHECK(std::abs(rz - expected_rz) <= 1e-12 * std::abs(expected_rz) + rounding<T>(all));
    s.p = turned_from.p;
    run(s, [](State<T>& in) { return detail::RelaxDirectBody<T, false>{in.planes(), T(0.5)}; });
    each([&](std::ptrdiff_t at, std::ptrdiff_t, std::ptrdiff_t) {
        const double direction = static_cast<double>(z[at]) + 0.5 * static_cast<double>(turned_from.p[at]);
        CHECK(near(s.p[at], direction, kLambda * layers));
    });

    // Steps.
    const State<T> stepped_from = s;
    std::vector<double> numbers(detail::kColumnSlots, 0.0);
    numbers[detail::kStepLength] = 0.25;
    const auto sums = run(s, [&](State<T>& in) { return detail::RelaxAdvanceBody<T>{in.planes(), numbers.data()}; });
    double square = 0.0;
    each([&](std::ptrdiff_t at, std::ptrdiff_t, std::ptrdiff_t) {
        CHECK(near(s.x[at], static_cast<double>(stepped_from.x[at]) + 0.25 * static_cast<double>(s.p[at]),
                   kLambda * layers));
        CHECK(near(s.r[at], static_cast<double>(stepped_from.r[at]) - 0.25 * static_cast<double>(s.q[at]),
                   kLambda * layers));
        square += static_cast<double>(s.r[at]) * static_cast<double>(s.r[at]);
    });
    CHECK(std::abs(sums[0] - square) <= 1e-12 * square);
    // r M r of the advance is what the start finds for the same residual.
    const double again = run(s, [](State<T>& in) { return detail::RelaxDirectBody<T, true>{in.planes(), T(0)}; })[0];
    CHECK(std::abs(sums[1] - again) <= 1e-12 * std::abs(again));
}

template <class T>
void check_weights(std::ptrdiff_t n, std::ptrdiff_t n_layers) {
    State<T> s(n, n_layers);
    const double bb = run(s, [](State<T>& in) { return detail::RelaxWeightsBody<T, true>{in.planes(), T(kClamp)}; })[0];
    double expected = 0.0;
    const auto weight = [](double value, double exponent) {
        return std::pow(std::max(std::abs(value), kClamp), exponent);
    };
    for (std::ptrdiff_t at = 0; at < n * n_layers; ++at) {
        const auto alpha = static_cast<double>(s.x[at]);
        const auto exponent = static_cast<double>(s.exponents[at % n]);
        const double u = weight(alpha, exponent);
        const double v = weight(1.0 - alpha, exponent);
        // 1 - alpha is rounded where it is small, and the power multiplies that by 2 / alpha.
        const double size = 2.0 * (u + v) / kClamp;
        const double d = static_cast<double>(s.diagonal[at % n]) + 1.0 + u + v;
        const double b = static_cast<double>(s.target[at]) + v + kLambda;
        CHECK(std::abs(static_cast<double>(s.d[at]) - d) <= rounding<T>(size + d));
        CHECK(std::abs(static_cast<double>(s.b[at]) - b) <= rounding<T>(size + b));
        expected += static_cast<double>(s.b[at]) * static_cast<double>(s.b[at]);
    }
    CHECK(std::abs(bb - expected) <= 1e-12 * expected);
    run(s, [](State<T>& in) { return detail::RelaxWeightsBody<T, false>{in.planes(), T(0)}; });
    for (std::ptrdiff_t at = 0; at < n * n_layers; ++at) {
        CHECK_EQUAL(s.d[at], s.diagonal[at % n] + T(1));
        CHECK_EQUAL(s.b[at], s.x[at] + T(kLambda));
    }
}

TEST(relax_block_passes_follow_their_formulas) {
    for (const std::ptrdiff_t n : {1, 100, 1024, 1500}) {
        for (const std::ptrdiff_t n_layers : {1, 2, 5}) {
            check_system<float>(n, n_layers);
            check_system<double>(n, n_layers);
            check_weights<float>(n, n_layers);
            check_weights<double>(n, n_layers);
        }
    }
}

// Thresholds, the sum of a pixel's layers, and strides of input and output.
TEST(relax_block_reads_and_writes_strided_layers) {
    const std::ptrdiff_t n_rows = 23;
    const std::ptrdiff_t n_cols = 61;
    const std::ptrdiff_t n_layers = 3;
    const std::ptrdiff_t n = n_rows * n_cols;
    const auto values = random_numbers<double>(n * n_layers * 2, 1);
    const auto slopes = random_numbers<double>(n * 2, 2);
    // Columns backward, layers first.
    const View<const double, 3> segments(values.data() + 2 * (n_cols - 1), {n_rows, n_cols, n_layers},
                                         {2 * n_cols, -2, 2 * n});
    const View<const double, 2> gradient(slopes.data(), {n_rows, n_cols}, {1, n_rows});
    State<double> s(n, n_layers);
    run(s,
        [&](State<double>& in) { return detail::RelaxTargetBody<double>{in.planes(), segments, gradient, 0.2, 0.9}; });
    for (std::ptrdiff_t pixel = 0; pixel < n; ++pixel) {
        const std::ptrdiff_t row = pixel / n_cols;
        const std::ptrdiff_t col = pixel % n_cols;
        double kept[3];
        double sum = 0.0;
        double largest = 0.0;
        for (std::ptrdiff_t i = 0; i < n_layers; ++i) {
            const double value = segments(row, col, i);
            largest = std::max(largest, value);
            kept[i] = value < 0.2 ? 0.0 : (value > 0.8 ? 1.0 : value);
            sum += kept[i];
        }
        for (std::ptrdiff_t i = 0; i < n_layers; ++i) {
            const double expected = sum > 0.0 ? kept[i] / sum : (segments(row, col, i) == largest ? 1.0 : 0.0);
            CHECK(std::abs(s.target[i * n + pixel] - expected) < 1e-15);
            CHECK_EQUAL(s.x[i * n + pixel], s.target[i * n + pixel]);
        }
        CHECK(std::abs(s.exponents[pixel] - (std::min(0.9 + gradient(row, col), 1.0) - 2.0)) < 1e-15);
    }
    Guarded<double> out(2 * n * n_layers);
    const View<double, 3> view(out.data() + 1, {n_rows, n_cols, n_layers}, {2, 2 * n_rows, 2 * n});
    run(s, [&](State<double>& in) { return detail::RelaxWriteBody<double>{in.planes(), view}; });
    CHECK(out.intact());
    for (std::ptrdiff_t at = 0; at < n * n_layers; ++at) {
        CHECK_EQUAL(view(at % n / n_cols, at % n % n_cols, at / n), s.x[at]);
        CHECK(std::isnan(out[2 * at]));
    }
}

}  // namespace
