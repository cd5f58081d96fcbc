// SPDX-License-Identifier: MIT
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "check.hpp"
#include "emulate.hpp"
#include "fastsoft/detail/pcg_block.hpp"
#include "fastsoft/detail/vector_block.hpp"

namespace {

using fastsoft::tests::emulate;
using fastsoft::tests::Guarded;
using fastsoft::tests::Order;
using fastsoft::tests::random_numbers;
namespace detail = fastsoft::detail;

// A chunk has 1024 elements.
const std::vector<std::ptrdiff_t> kSizes{1, 7, 255, 1024, 1025, 3000};

template <class T>
Guarded<T> guarded(const std::vector<T>& values) {
    Guarded<T> out(static_cast<std::ptrdiff_t>(values.size()));
    std::copy(values.begin(), values.end(), out.data());
    return out;
}

// Runs a pass and adds its sums up to `numbers`, (n_columns, kColumnSlots).
template <class Body>
void run_pass(const Body& body, std::ptrdiff_t n, std::ptrdiff_t n_columns, int slot, Guarded<double>& numbers,
              Order order) {
    using Block = detail::ColumnsBlock<Body>;
    const std::ptrdiff_t n_chunks = Block::n_chunks(n);
    Guarded<double> partial(n_columns * n_chunks * Body::kSums);
    emulate<Block>({body, n, n_columns, partial.data()}, order);
    CHECK(partial.intact());
    if constexpr (Body::kSums > 0) {
        emulate<detail::ColumnSumsBlock<Body::kSums, false>>(
            {partial.data(), n_chunks, n_columns, numbers.data(), slot, {}}, order);
        CHECK(numbers.intact());
    }
}

template <class T>
bool close(double found, double expected, double size) {
    return std::abs(found - expected) <= 4.0 * static_cast<double>(std::numeric_limits<T>::epsilon()) * size;
}

template <class T>
void check_sums(std::ptrdiff_t n, std::ptrdiff_t n_columns) {
    const auto x = random_numbers<T>(n * n_columns, 1);
    const auto y = random_numbers<T>(n * n_columns, 2);
    const detail::DotBody<T> body{x.data(), y.data(), n};
    Guarded<double> forward(n_columns * detail::kColumnSlots);
    Guarded<double> backward(n_columns * detail::kColumnSlots);
    run_pass(body, n, n_columns, detail::kResidualSquare, forward, Order::forward);
    run_pass(body, n, n_columns, detail::kResidualSquare, backward, Order::backward);
    CHECK(forward == backward);
    for (std::ptrdiff_t c = 0; c < n_columns; ++c) {
        double expected = 0.0;
        for (std::ptrdiff_t i = c * n; i < (c + 1) * n; ++i) {
            expected += static_cast<double>(x[static_cast<std::size_t>(i)]) *
                        static_cast<double>(y[static_cast<std::size_t>(i)]);
        }
        // Sums are taken in double, whatever the vectors are.
        CHECK(std::abs(forward[c * detail::kColumnSlots + detail::kResidualSquare] - expected) <= 1e-13 * expected);
    }
}

TEST(vector_block_adds_up_columns) {
    for (const std::ptrdiff_t n : kSizes) {
        for (const std::ptrdiff_t n_columns : {1, 3}) {
            check_sums<float>(n, n_columns);
            check_sums<double>(n, n_columns);
        }
    }
}

TEST(vector_block_makes_step_lengths_of_active_columns) {
    const std::ptrdiff_t n = 2000;
    const std::ptrdiff_t n_columns = 5;
    auto x = random_numbers<double>(n * n_columns, 1);
    auto y = random_numbers<double>(n * n_columns, 2);
    for (std::ptrdiff_t i = 2 * n; i < 3 * n; ++i) {
        y[static_cast<std::size_t>(i)] = -y[static_cast<std::size_t>(i)];
    }
    x[static_cast<std::size_t>(3 * n)] = std::numeric_limits<double>::quiet_NaN();
    using Columns = detail::ColumnsBlock<detail::DotBody<double>>;
    using Sums = detail::ColumnSumsBlock<1, true>;
    Guarded<double> partial(n_columns * Columns::n_chunks(n));
    emulate<Columns>({{x.data(), y.data(), n}, n, n_columns, partial.data()}, Order::forward);
    Guarded<double> numbers(n_columns * detail::kColumnSlots);
    for (std::ptrdiff_t c = 0; c < n_columns; ++c) {
        numbers.data()[c * detail::kColumnSlots + detail::kPreconditionedDot] = c == 4 ? -1.0 : 3.0;
    }
    emulate<Sums>({partial.data(),
                   Columns::n_chunks(n),
                   n_columns,
                   numbers.data(),
                   detail::kStepDot,
                   {true, false, true, true, true}},
                  Order::backward);
    CHECK(numbers.intact());
    const auto number = [&](std::ptrdiff_t c, int slot) { return numbers[c * detail::kColumnSlots + slot]; };
    CHECK(number(0, detail::kStepDot) > 0.0);
    CHECK_EQUAL(number(0, detail::kStepLength), 3.0 / number(0, detail::kStepDot));
    CHECK(number(1, detail::kStepDot) > 0.0);
    CHECK_EQUAL(number(1, detail::kStepLength), 0.0);  // waits
    CHECK(number(2, detail::kStepDot) < 0.0);
    CHECK_EQUAL(number(2, detail::kStepLength), 0.0);  // p.Ap < 0
    CHECK_EQUAL(number(3, detail::kStepLength), 0.0);  // not a number
    CHECK_EQUAL(number(4, detail::kStepLength), 0.0);  // r.z < 0
}

// One pass each of residual, start, advance and direction, against the formulas, element by element.
template <class T>
void check_passes(std::ptrdiff_t n, std::ptrdiff_t n_columns, bool jacobi) {
    const std::ptrdiff_t size = n * n_columns;
    const auto at = [](const auto& values, std::ptrdiff_t i) {
        return static_cast<double>(values[static_cast<std::size_t>(i)]);
    };
    const auto b = random_numbers<T>(size, 1);
    const auto ax = random_numbers<T>(size, 2);
    const auto x0 = random_numbers<T>(size, 3);
    const auto q = random_numbers<T>(size, 4);
    const auto d = random_numbers<T>(n, 5);
    const T* const diagonal = jacobi ? d.data() : nullptr;
    const auto inverse = [&](std::ptrdiff_t i) { return jacobi ? at(d, i % n) : 1.0; };
    for (const Order order : {Order::forward, Order::backward}) {
        Guarded<double> numbers(n_columns * detail::kColumnSlots);
        const auto number = [&](std::ptrdiff_t c, int slot) { return numbers[c * detail::kColumnSlots + slot]; };

        Guarded<T> r = guarded(ax);
        run_pass(detail::PcgResidualBody<T>{b.data(), r.data(), n}, n, n_columns, detail::kResidualSquare, numbers,
                 order);
        CHECK(r.intact());
        Guarded<T> p(size);
        run_pass(detail::PcgStartBody<T>{r.data(), r.data(), diagonal, p.data(), n}, n, n_columns,
                 detail::kPreconditionedDot, numbers, order);
        CHECK(p.intact());
        for (std::ptrdiff_t c = 0; c < n_columns; ++c) {
            long double rr = 0.0;  // rounding of the reference does not count
            long double rz = 0.0;
            for (std::ptrdiff_t i = c * n; i < (c + 1) * n; ++i) {
                const double residual = at(b, i) - at(ax, i);
                CHECK(close<T>(static_cast<double>(r[i]), residual, 1.0));
                CHECK(close<T>(static_cast<double>(p[i]), inverse(i) * residual, 1.0));
                rr += residual * residual;
                rz += inverse(i) * residual * residual;
            }
            CHECK(close<T>(number(c, detail::kResidualSquare), static_cast<double>(rr), static_cast<double>(n)));
            CHECK(close<T>(number(c, detail::kPreconditionedDot), static_cast<double>(rz), static_cast<double>(n)));
            numbers.data()[c * detail::kColumnSlots + detail::kStepLength] = 0.25 * static_cast<double>(c + 1);
        }

        Guarded<T> x = guarded(x0);
        const Guarded<T> old_r = r;
        const Guarded<T> old_p = p;
        run_pass(detail::PcgAdvanceBody<T>{x.data(), r.data(), p.data(), q.data(), diagonal, numbers.data(), n}, n,
                 n_columns, detail::kResidualSquare, numbers, order);
        CHECK(x.intact() && r.intact());
        detail::PcgDirectBody<T> direct{r.data(), diagonal, p.data(), n, {}};
        for (std::ptrdiff_t c = 0; c < n_columns; ++c) {
            direct.beta[c] = static_cast<T>(0.5 + static_cast<double>(c));
        }
        run_pass(direct, n, n_columns, 0, numbers, order);
        Guarded<T> saved(n);
        run_pass(detail::KeepBody<T>{x.data(), p.data(), T(0.125), saved.data(), n}, n, 1, 0, numbers, order);
        CHECK(p.intact() && saved.intact());
        for (std::ptrdiff_t c = 0; c < n_columns; ++c) {
            const double alpha = 0.25 * static_cast<double>(c + 1);
            long double rr = 0.0;  // rounding of the reference does not count
            long double rz = 0.0;
            for (std::ptrdiff_t i = c * n; i < (c + 1) * n; ++i) {
                const auto direction = static_cast<double>(old_p[i]);
                const double residual = static_cast<double>(old_r[i]) - alpha * at(q, i);
                CHECK(close<T>(static_cast<double>(x[i]), at(x0, i) + alpha * direction, 2.0));
                CHECK(close<T>(static_cast<double>(r[i]), residual, 2.0));
                const double turned = inverse(i) * residual + (0.5 + static_cast<double>(c)) * direction;
                CHECK(close<T>(static_cast<double>(p[i]), turned, 4.0));
                rr += residual * residual;
                rz += inverse(i) * residual * residual;
            }
            CHECK(close<T>(number(c, detail::kResidualSquare), static_cast<double>(rr), 4.0 * static_cast<double>(n)));
            CHECK(
                close<T>(number(c, detail::kPreconditionedDot), static_cast<double>(rz), 4.0 * static_cast<double>(n)));
        }
        for (std::ptrdiff_t i = 0; i < n; ++i) {
            CHECK(close<T>(static_cast<double>(saved[i]), static_cast<double>(x[i]) - 0.125 * static_cast<double>(p[i]),
                           2.0));
        }
    }
}

TEST(pcg_block_passes_follow_their_formulas) {
    for (const std::ptrdiff_t n : kSizes) {
        for (const bool jacobi : {false, true}) {
            check_passes<float>(n, 1, jacobi);
            check_passes<double>(n, 3, jacobi);
        }
    }
}

}  // namespace
