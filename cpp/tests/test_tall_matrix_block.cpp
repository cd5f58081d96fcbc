// SPDX-License-Identifier: MIT
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

#include "check.hpp"
#include "emulate.hpp"
#include "fastsoft/core/tall_matrix.hpp"
#include "fastsoft/detail/tall_matrix_block.hpp"

// The kernels for tall matrices against loops in double. Lengths leave remainders of a thread's columns, of blocks and
// of chunks (2048); numbers of rows those of every tile.
namespace {

using fastsoft::tests::centred_numbers;
using fastsoft::tests::emulate;
using fastsoft::tests::Guarded;
using fastsoft::tests::Order;
namespace detail = fastsoft::detail;

constexpr std::ptrdiff_t kLengths[] = {1, 33, 2048, 4500};

template <class T>
Guarded<T> guarded(const std::vector<T>& values) {
    Guarded<T> copy(static_cast<std::ptrdiff_t>(values.size()));
    std::copy(values.begin(), values.end(), copy.data());
    return copy;
}

// Rounding errors of a sum of products of such numbers: few roundings of its magnitude, since threads add few of them.
template <class T>
double bound(std::ptrdiff_t terms) {
    return 4.0 * std::numeric_limits<T>::epsilon() * 0.25 * static_cast<double>(terms);
}

template <class T>
double dot(const std::vector<T>& x, std::ptrdiff_t i, const std::vector<T>& y, std::ptrdiff_t j, std::ptrdiff_t n) {
    long double sum = 0.0L;
    for (std::ptrdiff_t e = 0; e < n; ++e) {
        sum += static_cast<long double>(x[static_cast<std::size_t>(i * n + e)]) *
               static_cast<long double>(y[static_cast<std::size_t>(j * n + e)]);
    }
    return static_cast<double>(sum);
}

template <class T, class Sum>
Guarded<double> project(const std::vector<T>& v, std::ptrdiff_t m, const std::vector<T>& w, std::ptrdiff_t b,
                        std::ptrdiff_t n, Order order) {
    using Block = detail::ProjectBlock<T, Sum>;
    const std::ptrdiff_t n_chunks = Block::n_chunks(n);
    Guarded<double> partial(n_chunks * m * b);
    Guarded<double> total(m * b);
    emulate<Block>({v.data(), m, w.data(), b, n, partial.data()}, order);
    emulate<detail::SumChunksBlock>({partial.data(), n_chunks, m * b, total.data()}, order);
    CHECK(partial.intact() && total.intact());
    return total;
}

template <class T, class Sum>
void test_project() {
    for (const std::ptrdiff_t n : kLengths) {
        for (const std::ptrdiff_t m : {1, 8, 19, 37}) {
            for (const std::ptrdiff_t b : {1, 7, 16, 19}) {
                const auto v = centred_numbers<T>(m * n, 1);
                const auto w = centred_numbers<T>(b * n, 2);
                const auto c = project<T, Sum>(v, m, w, b, n, Order::forward);
                double largest = 0.0;
                for (std::ptrdiff_t i = 0; i < m; ++i) {
                    for (std::ptrdiff_t j = 0; j < b; ++j) {
                        largest = std::max(largest, std::abs(c[i * b + j] - dot(v, i, w, j, n)));
                    }
                }
                CHECK(largest <= bound<Sum>(std::min<std::ptrdiff_t>(n, 2048)));
                CHECK((c == project<T, Sum>(v, m, w, b, n, Order::backward)));
            }
        }
    }
}

TEST(tall_blocks_project) {
    test_project<float, float>();
    test_project<float, double>();
    test_project<double, double>();
}

template <class T>
void test_project_out() {
    for (const std::ptrdiff_t n : kLengths) {
        for (const std::ptrdiff_t m : {1, 127, 130}) {
            for (const std::ptrdiff_t b : {1, 16, 18}) {
                const auto v = centred_numbers<T>(m * n, 3);
                const auto w = centred_numbers<T>(b * n, 4);
                const auto c = centred_numbers<double>(m * b, 5);
                const auto run = [&](Order order) {
                    auto out = guarded(w);
                    emulate<detail::ProjectOutBlock<T>>({v.data(), m, out.data(), b, n, c.data()}, order);
                    CHECK(out.intact());
                    return out;
                };
                const auto out = run(Order::forward);
                double largest = 0.0;
                for (std::ptrdiff_t j = 0; j < b; ++j) {
                    for (std::ptrdiff_t e = 0; e < n; ++e) {
                        double expected = w[static_cast<std::size_t>(j * n + e)];
                        for (std::ptrdiff_t i = 0; i < m; ++i) {
                            expected -= c[static_cast<std::size_t>(i * b + j)] * v[static_cast<std::size_t>(i * n + e)];
                        }
                        largest = std::max(largest, std::abs(out[j * n + e] - expected));
                    }
                }
                CHECK(largest <= bound<T>(m + 8));
                CHECK(out == run(Order::backward));
            }
        }
    }
}

TEST(tall_blocks_project_out) {
    test_project_out<float>();
    test_project_out<double>();
}

template <class T>
void test_transform() {
    for (const std::ptrdiff_t n : kLengths) {
        for (const std::ptrdiff_t b : {1, 5, 16}) {
            const auto w = centred_numbers<T>(b * n, 6);
            const auto a = centred_numbers<double>(b * b, 7);
            for (const Order order : {Order::forward, Order::backward}) {
                auto out = guarded(w);
                emulate<detail::TransformBlock<T>>({out.data(), b, n, a.data()}, order);
                CHECK(out.intact());
                double largest = 0.0;
                for (std::ptrdiff_t i = 0; i < b; ++i) {
                    for (std::ptrdiff_t e = 0; e < n; ++e) {
                        double expected = 0.0;
                        for (std::ptrdiff_t j = 0; j < b; ++j) {
                            expected += a[static_cast<std::size_t>(i * b + j)] * w[static_cast<std::size_t>(j * n + e)];
                        }
                        largest = std::max(largest, std::abs(out[i * n + e] - expected));
                    }
                }
                CHECK(largest <= bound<T>(b + 2));
            }
        }
    }
}

TEST(tall_blocks_transform) {
    test_transform<float>();
    test_transform<double>();
}

template <class T>
void test_rotate() {
    for (const std::ptrdiff_t n : {1, 33, 700}) {
        for (const std::ptrdiff_t m : {1, 15, 70}) {
            for (const std::ptrdiff_t k : {std::ptrdiff_t{1}, m}) {
                const auto v = centred_numbers<T>(m * n, 8);
                const auto q = centred_numbers<double>(m * k, 9);
                for (const Order order : {Order::forward, Order::backward}) {
                    auto out = guarded(v);
                    // In portions, as it is used where V is large.
                    const std::ptrdiff_t portion = 256;
                    for (std::ptrdiff_t first = 0; first < n; first += portion) {
                        const std::ptrdiff_t count = std::min(portion, n - first);
                        Guarded<T> rotated(k * count);
                        emulate<detail::RotateBlock<T>>({out.data(), m, n, q.data(), k, first, count, rotated.data()},
                                                        order);
                        emulate<detail::PutColumnsBlock<T>>({rotated.data(), k, count, out.data(), n, first}, order);
                        CHECK(rotated.intact());
                    }
                    CHECK(out.intact());
                    double largest = 0.0;
                    for (std::ptrdiff_t j = 0; j < k; ++j) {
                        for (std::ptrdiff_t e = 0; e < n; ++e) {
                            double expected = 0.0;
                            for (std::ptrdiff_t i = 0; i < m; ++i) {
                                expected +=
                                    q[static_cast<std::size_t>(i * k + j)] * v[static_cast<std::size_t>(i * n + e)];
                            }
                            largest = std::max(largest, std::abs(out[j * n + e] - expected));
                        }
                    }
                    CHECK(largest <= bound<T>(m + 2));
                }
            }
        }
    }
}

TEST(tall_blocks_rotate) {
    test_rotate<float>();
    test_rotate<double>();
}

TEST(tall_blocks_random_numbers_are_those_of_the_cpu) {
    const std::ptrdiff_t n = 700;
    std::vector<double> expected(3 * n);
    fastsoft::TallCpu<double>::fill_normal(expected.data(), 3, n, 42, 7);
    Guarded<double> w(3 * n);
    emulate<detail::FillNormalBlock<double>>({w.data(), 3, n, 42, 7}, Order::forward);
    CHECK(w.intact());
    CHECK(fastsoft::tests::largest_difference(w.data(), expected.data(), expected.size()) <= 1e-14);
}

template <class T>
void test_row_sums() {
    for (const std::ptrdiff_t n : kLengths) {
        const std::ptrdiff_t b = 5;
        const auto w = centred_numbers<T>(b * n, 10);
        const auto v = centred_numbers<T>(b * n, 11);
        const auto factor = centred_numbers<double>(b, 12);
        const auto sums = [&](const auto& term, Order order) {
            using Block = detail::TallRowSumsBlock<std::remove_cvref_t<decltype(term)>>;
            const std::ptrdiff_t n_chunks = Block::n_chunks(n);
            Guarded<double> partial(n_chunks * b);
            Guarded<double> total(b);
            emulate<Block>({term, b, n, partial.data()}, order);
            emulate<detail::SumChunksBlock>({partial.data(), n_chunks, b, total.data()}, order);
            CHECK(partial.intact() && total.intact());
            return total;
        };
        const detail::SquaredResidual<T> residual{w.data(), v.data(), factor.data()};
        const detail::RowProduct<T> product{w.data(), v.data()};
        const auto squares = sums(residual, Order::forward);
        const auto products = sums(product, Order::forward);
        CHECK(squares == sums(residual, Order::backward));
        CHECK(products == sums(product, Order::backward));
        for (std::ptrdiff_t row = 0; row < b; ++row) {
            long double square = 0.0L;
            for (std::ptrdiff_t e = row * n; e < (row + 1) * n; ++e) {
                const auto i = static_cast<std::size_t>(e);
                const long double difference =
                    w[i] - static_cast<long double>(factor[static_cast<std::size_t>(row)]) * v[i];
                square += difference * difference;
            }
            CHECK(std::abs(squares[row] - static_cast<double>(square)) <= bound<T>(n));
            CHECK(std::abs(products[row] - dot(w, row, v, row, n)) <= bound<double>(n));
        }
    }
}

TEST(tall_blocks_sums_of_rows) {
    test_row_sums<float>();
    test_row_sums<double>();
}

TEST(tall_blocks_signs) {
    for (const std::ptrdiff_t n : {1, 300, 5000}) {
        auto v = centred_numbers<float>(4 * n, 16);
        // The same magnitude twice, far apart and in one thread's columns: the first one counts.
        v[static_cast<std::size_t>(n / 3)] = -2.0f;
        v[static_cast<std::size_t>(n - 1)] = n > 1 ? 2.0f : -2.0f;
        std::fill(v.begin() + 2 * n, v.begin() + 3 * n, 0.0f);
        auto expected = v;
        fastsoft::TallCpu<float>::fix_signs(expected.data(), 4, n);
        CHECK(expected[static_cast<std::size_t>(n / 3)] == 2.0f);
        for (const Order order : {Order::forward, Order::backward}) {
            auto out = guarded(v);
            emulate<detail::FixSignsBlock<float>>({out.data(), 4, n}, order);
            CHECK(out.intact());
            CHECK_EQUAL(fastsoft::tests::largest_difference(out.data(), expected.data(), expected.size()), 0.0);
        }
    }
}

}  // namespace
