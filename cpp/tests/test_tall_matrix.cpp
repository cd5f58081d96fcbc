// SPDX-License-Identifier: MIT
#include "fastsoft/core/tall_matrix.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <random>
#include <sstream>
#include <vector>

#include "check.hpp"
#include "fastsoft/core/parallel.hpp"

// Against loops in double. Lengths leave remainders of vectors, of chunks (240 and 960) and of tasks (15360), numbers
// of rows those of every block of rows in detail/narrow_kernels.hpp.
namespace {

using fastsoft::set_num_threads;
using fastsoft::TallCpu;

constexpr std::ptrdiff_t kManyRows[] = {1, 5, 23};
constexpr std::ptrdiff_t kFewRows[] = {1, 3, 16, 19};
constexpr std::ptrdiff_t kLengths[] = {1, 17, 961, 20011};

// Errors are bounded by this many roundings of the sum of magnitudes: few (found ones are below 4), since sums run over
// lanes and short chunks. The last number of a row counts for 40 times as much even at the longest length.
constexpr double kRoundings = 8.0;

template <class T>
constexpr double kBound = kRoundings * static_cast<double>(std::numeric_limits<T>::epsilon()) / 2.0;

template <class T>
std::vector<T> random_numbers(std::ptrdiff_t count, unsigned seed) {
    std::mt19937 bits(seed);
    std::vector<T> numbers(static_cast<std::size_t>(count));
    for (T& number : numbers) {
        // 24 bits: the same in float and double, of magnitude 1/2 to 1, so that leaving one out shows.
        const float magnitude = 0.5F + static_cast<float>(bits() >> 9) / 16777216.0F;
        number = static_cast<T>(bits() % 2 == 0 ? magnitude : -magnitude);
    }
    return numbers;
}

// A sum with the sum of magnitudes, to which rounding errors are proportional. Added one by one, 20011 numbers lose
// more digits of double than what is tested.
struct Sum {
    long double value = 0.0L;
    double magnitude = 0.0;

    void add(double x) {
        value += x;
        magnitude += std::abs(x);
    }
};

// The same for sums in double of up to a task's numbers, added one by one; far below a rounding of float.
constexpr double kPlainSum = 15360.0 * std::numeric_limits<double>::epsilon() / 2.0;

// Which number of which product is compared.
struct Place {
    const char* what;
    std::ptrdiff_t m;
    std::ptrdiff_t b;
    std::ptrdiff_t n;
    std::ptrdiff_t row;
    std::ptrdiff_t col;
};

void check_close(double found, const Sum& expected, double bound, const Place& place) {
    if (!(std::abs(static_cast<long double>(found) - expected.value) <= bound * expected.magnitude)) {
        std::ostringstream message;
        message << place.what << " for m = " << place.m << ", b = " << place.b << ", n = " << place.n << " is " << found
                << " at " << place.row << ", " << place.col << ", expected " << expected.value << " within " << bound
                << " of " << expected.magnitude;
        fastsoft::tests::fail(__FILE__, __LINE__, message.str());
    }
}

template <class T, class Index>
double at(const std::vector<T>& numbers, Index i) {
    return static_cast<double>(numbers[static_cast<std::size_t>(i)]);
}

template <class T>
Sum dot(const std::vector<T>& v, std::ptrdiff_t i, const std::vector<T>& w, std::ptrdiff_t j, std::ptrdiff_t n) {
    Sum sum;
    for (std::ptrdiff_t x = 0; x < n; ++x) {
        sum.add(at(v, i * n + x) * at(w, j * n + x));
    }
    return sum;
}

// c (m, b) must be V W'.
template <class T>
void check_dots(const std::vector<double>& c, const std::vector<T>& v, std::ptrdiff_t m, const std::vector<T>& w,
                std::ptrdiff_t b, std::ptrdiff_t n, double bound, const char* what) {
    for (std::ptrdiff_t i = 0; i < m; ++i) {
        for (std::ptrdiff_t j = 0; j < b; ++j) {
            check_close(at(c, i * b + j), dot(v, i, w, j, n), bound, {what, m, b, n, i, j});
        }
    }
}

// Calls body(m, b, n) for all shapes.
template <class Body>
void for_each_shape(Body&& body) {
    for (const std::ptrdiff_t m : kManyRows) {
        for (const std::ptrdiff_t b : kFewRows) {
            for (const std::ptrdiff_t n : kLengths) {
                body(m, b, n);
            }
        }
    }
}

// What compute() returns, which must have the same bits for 1 and 2 threads.
template <class Compute>
auto with_any_threads(Compute&& compute) {
    set_num_threads(1);
    const auto one = compute();
    set_num_threads(2);
    const auto two = compute();
    set_num_threads(0);
    CHECK(one == two);
    return one;
}

template <class T>
void test_project() {
    for_each_shape([](std::ptrdiff_t m, std::ptrdiff_t b, std::ptrdiff_t n) {
        const auto v = random_numbers<T>(m * n, 1);
        const auto w = random_numbers<T>(b * n, 2);
        const auto c = with_any_threads([&] {
            std::vector<double> out(static_cast<std::size_t>(m * b), -7.0);
            TallCpu<T>::project(v.data(), m, w.data(), b, n, out.data());
            return out;
        });
        check_dots(c, v, m, w, b, n, kBound<T>, "project");
    });
}

template <class T>
void test_project_out() {
    for_each_shape([](std::ptrdiff_t m, std::ptrdiff_t b, std::ptrdiff_t n) {
        const auto v = random_numbers<T>(m * n, 3);
        const auto w = random_numbers<T>(b * n, 4);
        const auto c = random_numbers<double>(m * b, 5);
        const auto without = with_any_threads([&] {
            auto out = w;
            TallCpu<T>::project_out(v.data(), m, out.data(), b, n, c.data(), nullptr);
            return out;
        });
        std::vector<double> next(static_cast<std::size_t>(m * b));
        const auto with = with_any_threads([&] {
            auto out = w;
            std::vector<double> sums(next.size(), -7.0);
            TallCpu<T>::project_out(v.data(), m, out.data(), b, n, c.data(), sums.data());
            next = sums;
            // The sums behind the block: both are compared.
            std::vector<double> all(out.begin(), out.end());
            all.insert(all.end(), sums.begin(), sums.end());
            return all;
        });
        CHECK(std::equal(without.begin(), without.end(), with.begin(),
                         [](T a, double expected) { return static_cast<double>(a) == expected; }));
        for (std::ptrdiff_t j = 0; j < b; ++j) {
            for (std::ptrdiff_t x = 0; x < n; ++x) {
                Sum sum;
                sum.add(at(w, j * n + x));
                for (std::ptrdiff_t i = 0; i < m; ++i) {
                    sum.add(-at(c, i * b + j) * at(v, i * n + x));
                }
                check_close(at(without, j * n + x), sum, kBound<T>, {"project_out", m, b, n, j, x});
            }
        }
        // Of the block as it was found, whose rounding would hide that of the sums.
        check_dots(next, v, m, without, b, n, kBound<T>, "next");
    });
}

template <class T>
void test_gram() {
    for (const std::ptrdiff_t b : kFewRows) {
        for (const std::ptrdiff_t n : kLengths) {
            const auto w = random_numbers<T>(b * n, 6);
            const auto g = with_any_threads([&] {
                std::vector<double> out(static_cast<std::size_t>(b * b), -7.0);
                TallCpu<T>::gram(w.data(), b, n, out.data());
                return out;
            });
            check_dots(g, w, b, w, b, n, kPlainSum, "gram");
        }
    }
}

// out (rows, n) must be A W, coefficient(i, j) being A.
template <class T, class Coefficient>
void check_combinations(const std::vector<T>& out, std::ptrdiff_t rows, const std::vector<T>& w, std::ptrdiff_t count,
                        std::ptrdiff_t n, Coefficient&& coefficient, const char* what) {
    for (std::ptrdiff_t i = 0; i < rows; ++i) {
        for (std::ptrdiff_t x = 0; x < n; ++x) {
            Sum sum;
            for (std::ptrdiff_t j = 0; j < count; ++j) {
                sum.add(coefficient(i, j) * at(w, j * n + x));
            }
            check_close(at(out, i * n + x), sum, kBound<T>, {what, count, rows, n, i, x});
        }
    }
}

template <class T>
void test_transform() {
    for (const std::ptrdiff_t b : kFewRows) {
        for (const std::ptrdiff_t n : kLengths) {
            const auto w = random_numbers<T>(b * n, 7);
            const auto a = random_numbers<double>(b * b, 8);
            const auto found = with_any_threads([&] {
                auto out = w;
                TallCpu<T>::transform(out.data(), b, n, a.data());
                return out;
            });
            const auto coefficient = [&](std::ptrdiff_t i, std::ptrdiff_t j) { return at(a, i * b + j); };
            check_combinations(found, b, w, b, n, coefficient, "transform");
        }
    }
}

template <class T>
void test_rotate() {
    for (const std::ptrdiff_t m : kManyRows) {
        for (const std::ptrdiff_t k : {std::ptrdiff_t{1}, (m + 1) / 2, m}) {
            for (const std::ptrdiff_t n : kLengths) {
                const auto v = random_numbers<T>(m * n, 9);
                const auto q = random_numbers<double>(m * k, 10);
                const auto found = with_any_threads([&] {
                    auto out = v;
                    TallCpu<T>::rotate(out.data(), m, n, q.data(), k);
                    out.resize(static_cast<std::size_t>(k * n));
                    return out;
                });
                const auto coefficient = [&](std::ptrdiff_t i, std::ptrdiff_t j) { return at(q, j * k + i); };
                check_combinations(found, k, v, m, n, coefficient, "rotate");
            }
        }
    }
}

template <class T>
void test_residual_norms() {
    for (const std::ptrdiff_t b : kFewRows) {
        for (const std::ptrdiff_t n : kLengths) {
            const auto w = random_numbers<T>(b * n, 11);
            auto v = random_numbers<T>(b * n, 12);
            auto factor = random_numbers<double>(b, 13);
            // A product by 2 is exact: the first row leaves nothing.
            factor[0] = 2.0;
            std::transform(w.begin(), w.begin() + n, v.begin(), [](T x) { return x / T(2); });
            const auto found = with_any_threads([&] {
                std::vector<double> out(static_cast<std::size_t>(b), -7.0);
                TallCpu<T>::residual_norms(w.data(), v.data(), factor.data(), b, n, out.data());
                return out;
            });
            CHECK_EQUAL(found[0], 0.0);
            for (std::ptrdiff_t j = 1; j < b; ++j) {
                Sum square;
                Sum product;
                for (std::ptrdiff_t x = 0; x < n; ++x) {
                    const double scaled = at(factor, j) * at(v, j * n + x);
                    square.add(std::pow(at(w, j * n + x) - scaled, 2));
                    product.add(scaled * scaled);
                }
                // Only products round in T, so this part of the norm's error is relative to theirs.
                const Sum norm{std::sqrt(square.value), std::sqrt(product.magnitude)};
                check_close(at(found, j), norm, kBound<T> + kPlainSum, {"residual_norms", b, b, n, j, 0});
            }
        }
    }
}

TEST(products_of_tall_matrices_equal_plain_loops) {
    test_project<float>();
    test_project<double>();
    test_gram<float>();
    test_gram<double>();
}

TEST(project_out_equals_plain_loops_with_and_without_sums) {
    test_project_out<float>();
    test_project_out<double>();
}

TEST(tall_matrices_are_combined_as_by_plain_loops) {
    test_transform<float>();
    test_transform<double>();
    test_rotate<float>();
    test_rotate<double>();
}

TEST(residual_norms_equal_plain_loops) {
    test_residual_norms<float>();
    test_residual_norms<double>();
}

}  // namespace
