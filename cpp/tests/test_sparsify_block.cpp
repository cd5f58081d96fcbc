// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "check.hpp"
#include "emulate.hpp"
#include "fastsoft/detail/sparsify_block.hpp"

namespace {

using fastsoft::View;
using fastsoft::tests::centred_numbers;
using fastsoft::tests::Guarded;
using fastsoft::tests::Order;
namespace detail = fastsoft::detail;
using detail::ProductKind;

constexpr Order kOrders[] = {Order::forward, Order::backward};

// Vectors, coefficients and what else segments are made from. The first pixels and the last ones are not wanted.
template <class T>
struct Problem {
    std::ptrdiff_t n;
    std::ptrdiff_t first;
    std::ptrdiff_t count;
    std::ptrdiff_t k;
    std::ptrdiff_t n_segments;
    std::vector<T> vectors;
    std::vector<T> coefficients;
    std::vector<T> offsets;
    std::vector<T> weights;

    Problem(std::ptrdiff_t first_, std::ptrdiff_t count_, std::ptrdiff_t k_, std::ptrdiff_t n_segments_)
        : n(first_ + count_ + 3),
          first(first_),
          count(count_),
          k(k_),
          n_segments(n_segments_),
          vectors(centred_numbers<T>(n * k, 1)),
          coefficients(centred_numbers<T>(n_segments * k, 2)),
          offsets(fastsoft::tests::random_numbers<T>(n_segments, 3)),
          weights(fastsoft::tests::random_numbers<T>(n, 4)) {
        for (T& value : coefficients) {
            value *= T(4) / std::sqrt(static_cast<T>(k));
        }
    }

    detail::SegmentSource<T> source() const {
        return {n, first, count, k, n_segments, vectors.data(), coefficients.data(), offsets.data(), nullptr, nullptr};
    }

    double alpha(std::ptrdiff_t p, std::ptrdiff_t s) const {
        double sum = static_cast<double>(offsets[static_cast<std::size_t>(s)]);
        for (std::ptrdiff_t j = 0; j < k; ++j) {
            sum += static_cast<double>(vectors[static_cast<std::size_t>(j * n + first + p)]) *
                   static_cast<double>(coefficients[static_cast<std::size_t>(s * k + j)]);
        }
        return sum;
    }
};

// k products and sums, each rounded.
template <class T>
double rounding(std::ptrdiff_t k) {
    return 4.0 * std::sqrt(static_cast<double>(k)) * static_cast<double>(std::numeric_limits<T>::epsilon());
}

constexpr std::ptrdiff_t kSegmentSizes[][4] = {{0, 1, 1, 1},   {2, 255, 5, 8},   {0, 256, 16, 9},
                                               {5, 300, 7, 3}, {1, 600, 128, 1}, {3, 270, 129, 17}};

template <class T>
void combine_all() {
    for (const auto& size : kSegmentSizes) {
        const Problem<T> problem(size[0], size[1], size[2], size[3]);
        // Segments in planes, pixels backwards.
        Guarded<T> found[2] = {Guarded<T>(problem.n * problem.n_segments), Guarded<T>(problem.n * problem.n_segments)};
        double sparsity[2];
        for (int i = 0; i < 2; ++i) {
            const View<T, 2> segments(found[i].data() + problem.n - 1, {problem.n, problem.n_segments},
                                      {-1, problem.n});
            using Block = detail::CombineSegmentsBlock<T>;
            const typename Block::Arguments all{problem.source(), T(0.8), segments, nullptr};
            Guarded<double> sums(Block::n_blocks(all));
            Guarded<double> total(1);
            fastsoft::tests::emulate<Block>({problem.source(), T(0.8), segments, sums.data()}, kOrders[i]);
            fastsoft::tests::emulate<detail::DoubleSumBlock>({sums.data(), Block::n_blocks(all), total.data()},
                                                             kOrders[i]);
            CHECK(sums.intact() && total.intact() && found[i].intact());
            sparsity[i] = total[0];
        }
        CHECK(found[0] == found[1]);
        CHECK_EQUAL(sparsity[0], sparsity[1]);
        double expected_sparsity = 0.0;
        for (std::ptrdiff_t p = 0; p < problem.count; ++p) {
            for (std::ptrdiff_t s = 0; s < problem.n_segments; ++s) {
                const double alpha = problem.alpha(p, s);
                expected_sparsity += std::pow(std::abs(alpha), 0.8) + std::pow(std::abs(1 - alpha), 0.8);
                const T value = found[0][s * problem.n + problem.n - 1 - problem.first - p];
                CHECK(std::abs(static_cast<double>(value) - alpha) < rounding<T>(problem.k));
            }
        }
        CHECK(std::abs(sparsity[0] / expected_sparsity - 1) < 10 * rounding<T>(problem.k));
    }
}

TEST(combine_blocks_make_segments_and_their_sparsity) {
    combine_all<float>();
    combine_all<double>();
}

template <class T>
void peaks_all() {
    for (const auto& size : kSegmentSizes) {
        const Problem<T> problem(size[0], size[1], size[2], size[3]);
        const auto n_tiles = detail::SegmentTile<T>::n_tiles(problem.source());
        Guarded<double> found[2] = {Guarded<double>(problem.n_segments), Guarded<double>(problem.n_segments)};
        for (int i = 0; i < 2; ++i) {
            Guarded<T> partial(problem.n_segments * n_tiles);
            fastsoft::tests::emulate<detail::SegmentPeaksBlock<T>>({problem.source(), partial.data()}, kOrders[i]);
            fastsoft::tests::emulate<detail::LargestBlock<T>>(
                {partial.data(), problem.n_segments, n_tiles, found[i].data()}, kOrders[i]);
            CHECK(partial.intact() && found[i].intact());
        }
        CHECK(found[0] == found[1]);
        for (std::ptrdiff_t s = 0; s < problem.n_segments; ++s) {
            double largest = 0.0;
            for (std::ptrdiff_t p = 0; p < problem.count; ++p) {
                largest = std::max(largest, std::abs(problem.alpha(p, s)));
            }
            CHECK(std::abs(found[0][s] - largest) < rounding<T>(problem.k));
        }
    }
}

TEST(peaks_blocks_find_the_largest_value_of_each_segment) {
    peaks_all<float>();
    peaks_all<double>();
}

struct Expected {
    double total;
    double right;
    double last;
};

// The formulas of sparsify.hpp, with powers of the standard library.
Expected expected_terms(double alpha, bool flat, double clamp, double gamma, double offset) {
    const double factor = std::pow(0.3, gamma);
    const double from0 = std::abs(alpha);
    const double from1 = std::abs(1 - alpha);
    double e0 = factor * std::pow(std::max(from0, clamp), gamma - 2);
    double e1 = factor * std::pow(std::max(from1, clamp), gamma - 2);
    if (!flat) {
        return {e0 + e1, e1, e0};
    }
    const double peak = factor * std::pow(clamp, gamma - 2);
    const double scale = std::min(1.0, (peak + factor) / (e0 + e1));
    e0 = from0 < clamp ? peak : (from1 < clamp ? factor : e0 * scale);
    e1 = from0 < clamp ? factor : (from1 < clamp ? peak : e1 * scale);
    return {std::max(0.0, peak + factor - e0 - e1), e1 - (e0 + e1) * offset, 0.0};
}

template <class T>
void terms(const Problem<T>& problem, const detail::SegmentSource<T>& source, bool flat, bool weighted) {
    const double clamp = flat ? 0.01 : 0.001;
    const double factor = std::pow(0.3, 0.8);
    const std::ptrdiff_t pitch = problem.count + 5;
    const std::ptrdiff_t n_sides = problem.n_segments + (flat ? 0 : 1);
    Guarded<T> totals[2] = {Guarded<T>(problem.n_segments * pitch), Guarded<T>(problem.n_segments * pitch)};
    Guarded<T> right[2] = {Guarded<T>(n_sides * pitch), Guarded<T>(n_sides * pitch)};
    for (int i = 0; i < 2; ++i) {
        fastsoft::tests::emulate<detail::SegmentTermsBlock<T>>(
            {source, weighted ? problem.weights.data() : nullptr, flat, static_cast<T>(clamp), T(-1.2),
             static_cast<T>(factor), static_cast<T>(factor * std::pow(clamp, -1.2)), T(0.25), pitch, totals[i].data(),
             right[i].data()},
            kOrders[i]);
        CHECK(totals[i].intact() && right[i].intact());
    }
    CHECK(totals[0] == totals[1] && right[0] == right[1]);
    for (std::ptrdiff_t s = 0; s < problem.n_segments; ++s) {
        for (std::ptrdiff_t p = 0; p < problem.count; ++p) {
            double alpha = 0.0;
            if (source.coefficients != nullptr) {
                alpha = problem.alpha(p, s);
            } else if (source.start != nullptr) {
                alpha = static_cast<double>(source.start[s * problem.n + problem.first + p]);
            } else {
                alpha = source.labels[problem.first + p] == s ? 1.0 : 0.0;
            }
            const double near = rounding<T>(problem.k) + 1e-7;
            if (std::abs(std::abs(alpha) - clamp) < near || std::abs(std::abs(1 - alpha) - clamp) < near) {
                continue;  // rounding decides which formula holds
            }
            const auto expected = expected_terms(alpha, flat, clamp, 0.8, 0.25);
            const double weight =
                weighted ? static_cast<double>(problem.weights[static_cast<std::size_t>(problem.first + p)]) : 1.0;
            // Weights of up to clamp^-1.2 change by 1.2 / clamp times as much as alpha does.
            const double peak = factor * std::pow(clamp, -1.2);
            const double tolerance = peak * (1.2 / clamp + 20) * rounding<T>(problem.k);
            CHECK(std::abs(static_cast<double>(totals[0][s * pitch + p]) - weight * expected.total) < tolerance);
            CHECK(std::abs(static_cast<double>(right[0][s * pitch + p]) - weight * expected.right) < tolerance);
            if (!flat && s + 1 == problem.n_segments) {
                const auto last = static_cast<double>(right[0][(s + 1) * pitch + p]);
                CHECK(std::abs(last - weight * expected.last) < tolerance);
            }
        }
    }
}

template <class T>
void terms_all() {
    for (const auto& size : kSegmentSizes) {
        const Problem<T> problem(size[0], size[1], size[2], size[3]);
        auto start = centred_numbers<T>(problem.n * problem.n_segments, 6);
        for (T& value : start) {
            value = T(3) * value + T(0.5);
        }
        std::vector<std::int32_t> labels(static_cast<std::size_t>(problem.n));
        for (std::size_t p = 0; p < labels.size(); ++p) {
            labels[p] = static_cast<std::int32_t>(p * 7 % static_cast<std::size_t>(problem.n_segments));
        }
        for (const bool flat : {true, false}) {
            auto source = problem.source();
            terms<T>(problem, source, flat, true);
            source.coefficients = nullptr;
            source.labels = labels.data();
            terms<T>(problem, source, flat, false);
            source.start = start.data();
            terms<T>(problem, source, flat, true);
        }
    }
}

TEST(terms_blocks_weigh_segments_as_the_formulas_do) {
    terms_all<float>();
    terms_all<double>();
}

// Products of one kind against sums in double; what the kind does not compute must stay as it was.
template <ProductKind Kind, class T>
void products(std::ptrdiff_t first, std::ptrdiff_t count, std::ptrdiff_t k, std::ptrdiff_t n_products,
              std::ptrdiff_t n_sides, bool with_amounts) {
    const std::ptrdiff_t n = first + count + 2;
    const std::ptrdiff_t pitch = count + 3;
    const auto vectors = centred_numbers<T>(n * k, 1);
    const auto sides = centred_numbers<T>(n_sides * pitch, 2);
    auto amounts = centred_numbers<T>(n_products * pitch, 3);
    for (T& amount : amounts) {
        amount = std::max(T(0), amount);  // half of the pixels are skipped
    }
    const detail::ProductInput<T> in{
        first == 0 && count == n ? count : n,    first,        count,  k, vectors.data(), n_products, pitch,
        with_amounts ? amounts.data() : nullptr, sides.data(), n_sides};
    constexpr bool kSides = Kind == ProductKind::sides;
    const std::ptrdiff_t size = kSides ? n_sides * k : n_products * (k * (k + 1) / 2);
    using Products = detail::ProductsBlock<Kind, T>;
    using Totals = detail::ProductTotalsBlock<Kind, T>;
    Guarded<double> found[2] = {Guarded<double>(size), Guarded<double>(size)};
    for (int i = 0; i < 2; ++i) {
        std::fill(found[i].data(), found[i].data() + size, 0.25);
        Guarded<T> partial(Products::n_blocks({in, nullptr}) * detail::kProductEntries);
        fastsoft::tests::emulate<Products>({in, partial.data()}, kOrders[i]);
        fastsoft::tests::emulate<Totals>({in, partial.data(), -2.0, found[i].data()}, kOrders[i]);
        CHECK(partial.intact() && found[i].intact());
    }
    CHECK(found[0] == found[1]);
    const auto vector = [&](std::ptrdiff_t j, std::ptrdiff_t p) {
        return static_cast<double>(vectors[static_cast<std::size_t>(j * n + first + p)]);
    };
    // Products of at most 1/8, rounded and added in T within 768 pixels.
    const double tolerance = rounding<T>(count) * static_cast<double>(std::min<std::ptrdiff_t>(count, 768)) / 8;
    for (std::ptrdiff_t product = 0; product < (kSides ? n_sides : n_products); ++product) {
        for (std::ptrdiff_t row = 0; row < (kSides ? 1 : k); ++row) {
            for (std::ptrdiff_t col = 0; col < (kSides ? k : row + 1); ++col) {
                const bool here = kSides || (row / detail::kProductWidth == col / detail::kProductWidth) ==
                                                (Kind == ProductKind::triangles);
                double sum = 0.0;
                for (std::ptrdiff_t p = 0; p < count; ++p) {
                    const auto at = static_cast<std::size_t>(product * pitch + p);
                    const double left = kSides
                                            ? static_cast<double>(sides[at])
                                            : vector(row, p) * (with_amounts ? static_cast<double>(amounts[at]) : 1.0);
                    sum += left * vector(col, p);
                }
                const std::ptrdiff_t at =
                    kSides ? product * k + col : product * (k * (k + 1) / 2) + row * (row + 1) / 2 + col;
                CHECK(std::abs(found[0][at] - (here ? 0.25 - 2.0 * sum : 0.25)) <= (here ? 4 * tolerance : 0.0));
            }
        }
    }
}

template <class T>
void products_all() {
    constexpr auto kTriangles = ProductKind::triangles;
    constexpr auto kRectangles = ProductKind::rectangles;
    constexpr auto kSides = ProductKind::sides;
    products<kTriangles, T>(0, 1, 1, 1, 0, true);
    products<kTriangles, T>(3, 50, 9, 3, 0, true);
    products<kTriangles, T>(1, 769, 17, 2, 0, true);
    products<kTriangles, T>(0, 768, 104, 1, 0, false);
    products<kTriangles, T>(2, 90, 105, 2, 0, true);
    products<kRectangles, T>(2, 90, 105, 2, 0, true);
    products<kRectangles, T>(0, 60, 300, 2, 0, true);
    products<kRectangles, T>(1, 800, 161, 1, 0, false);
    products<kSides, T>(0, 1, 1, 1, 1, false);
    products<kSides, T>(5, 193, 100, 1, 9, false);
    products<kSides, T>(0, 40, 211, 1, 57, false);
    products<kSides, T>(1, 700, 12, 1, 113, false);
}

TEST(products_blocks_sum_outer_products) {
    products_all<float>();
    products_all<double>();
}

TEST(products_without_pixels_that_count_are_zero) {
    const auto vectors = centred_numbers<float>(12 * 800, 1);
    const std::vector<float> amounts(800, 0.0F);
    const detail::ProductInput<float> in{800, 0, 800, 12, vectors.data(), 1, 800, amounts.data(), nullptr, 0};
    using Products = detail::ProductsBlock<ProductKind::triangles, float>;
    Guarded<float> partial(2 * detail::kProductEntries);
    fastsoft::tests::emulate<Products>({in, partial.data()}, Order::forward);
    CHECK(partial.intact());
    CHECK(std::all_of(partial.data(), partial.data() + partial.size(), [](float value) { return value == 0.0F; }));
}

TEST(portions_of_products_stay_within_their_memory) {
    detail::ProductInput<float> in{1000000, 0, 1000000, 100, nullptr, 40, 0, nullptr, nullptr, 0};
    const auto n_chunks = detail::chunks_at_a_time(in, std::ptrdiff_t{64} << 20);
    CHECK(n_chunks * 40 * detail::kProductEntries * 4 <= std::ptrdiff_t{64} << 20);
    CHECK((n_chunks + 1) * 40 * detail::kProductEntries * 4 > std::ptrdiff_t{64} << 20);
    in.n_products = 1;
    CHECK_EQUAL(detail::chunks_at_a_time(in, std::ptrdiff_t{64} << 20), 256);
    in.n_eigenvectors = 5000;
    CHECK_EQUAL(detail::chunks_at_a_time(in, std::ptrdiff_t{64} << 20), 1);
}

}  // namespace
