// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

#include "check.hpp"
#include "emulate.hpp"
#include "fastsoft/detail/principal_components_block.hpp"
#include "fastsoft/detail/sums_block.hpp"

namespace {

using fastsoft::divide_up;
using fastsoft::View;
using fastsoft::tests::at;
using fastsoft::tests::emulate;
using fastsoft::tests::Guarded;
using fastsoft::tests::Order;
using std::ptrdiff_t;
namespace detail = fastsoft::detail;

// Sums of chunks, and of these.
template <class T>
struct Moments {
    Guarded<double> mean;
    Guarded<double> first;
    Guarded<double> products;
    int not_finite = 0;

    Moments(const detail::PcaPixels<T>& pixels, ptrdiff_t mean_chunk, ptrdiff_t chunk, Order order)
        : mean(pixels.n_channels()), first(pixels.n_channels()), products(n_products(pixels)) {
        using Mean = detail::PcaMeanBlock<T>;
        using Products = detail::PcaProductsBlock<T>;
        const auto n = static_cast<double>(pixels.n());
        const ptrdiff_t n_mean_chunks = divide_up(pixels.n(), mean_chunk);
        Guarded<double> sums(n_mean_chunks * pixels.n_channels());
        emulate<Mean>({pixels, mean_chunk, &not_finite, sums.data(), first.data()}, order);
        emulate<detail::ColumnMeansBlock>({sums.data(), n_mean_chunks, pixels.n_channels(), mean.data(), n}, order);
        const ptrdiff_t n_chunks = divide_up(pixels.n(), chunk);
        Guarded<double> partial(n_chunks * n_products(pixels));
        emulate<Products>({pixels, {mean.data(), first.data()}, chunk, partial.data()}, order);
        emulate<detail::ColumnMeansBlock>({partial.data(), n_chunks, n_products(pixels), products.data(), n}, order);
        CHECK(sums.intact() && partial.intact() && mean.intact() && first.intact() && products.intact());
    }

    static ptrdiff_t n_products(const detail::PcaPixels<T>& pixels) {
        using Products = detail::PcaProductsBlock<T>;
        return Products::n_tiles(pixels.n_channels()) * Products::kTile * Products::kTile;
    }
};

template <class T>
void check(ptrdiff_t n_rows, ptrdiff_t n_cols, ptrdiff_t n_channels, ptrdiff_t n, ptrdiff_t rank, double offset,
           Order order) {
    const ptrdiff_t n_pixels = n_rows * n_cols;
    auto values = fastsoft::tests::random_numbers<T>(n_pixels * n_channels, 4);
    for (T& value : values) {
        value += static_cast<T>(offset);
    }
    const auto limit = static_cast<T>(offset + 0.75);
    // Columns backwards, channels apart; and as they lie in memory.
    const View<const T, 3> planar(values.data() + n_cols - 1, {n_rows, n_cols, n_channels},
                                  {n_cols, -1, n_rows * n_cols});
    const auto packed = View<const T, 3>::contiguous(values.data(), {n_rows, n_cols, n_channels});
    for (const View<const T, 3>& view : {planar, packed}) {
        const detail::PcaPixels<T> pixels(view, limit);
        const auto value = [&](ptrdiff_t p, ptrdiff_t c) {
            return static_cast<double>(std::clamp(view(p / n_cols, p % n_cols, c), -limit, limit));
        };
        std::vector<double> mean(at(n_channels));
        for (ptrdiff_t c = 0; c < n_channels; ++c) {
            double sum = 0.0;
            for (ptrdiff_t p = 0; p < n_pixels; ++p) {
                sum += value(p, c) - value(0, c);
            }
            mean[at(c)] = sum / static_cast<double>(n_pixels);
        }
        const auto centred = [&](ptrdiff_t p, ptrdiff_t c) { return value(p, c) - value(0, c) - mean[at(c)]; };
        using Products = detail::PcaProductsBlock<T>;
        const ptrdiff_t mean_chunk = detail::PcaMeanBlock<T>::chunk_of(n_pixels);
        const Moments<T> moments(pixels, mean_chunk, Products::chunk_of(n_pixels, n_channels), order);
        const Moments<T> others(pixels, 17, 2 * Products::kPixels, order);
        CHECK(moments.not_finite == 0);
        // Differences are exact but for the roundings of values up to 1; what is added are up to N of them.
        const double bound = 4.0 * static_cast<double>(n_pixels) * std::numeric_limits<double>::epsilon();
        for (ptrdiff_t i = 0; i < n_channels; ++i) {
            CHECK(std::abs(moments.mean[i] - mean[at(i)]) <= bound);
            CHECK(moments.first[i] == value(0, i));
            for (ptrdiff_t j = 0; j <= i; ++j) {
                double sum = 0.0;
                for (ptrdiff_t p = 0; p < n_pixels; ++p) {
                    sum += centred(p, i) * centred(p, j);
                }
                const double expected = sum / static_cast<double>(n_pixels);
                CHECK(std::abs(moments.products[Products::place(i, j)] - expected) <= bound);
                CHECK(std::abs(others.products[Products::place(i, j)] - expected) <= bound);
            }
        }

        const auto basis = fastsoft::tests::random_numbers<double>(n_channels * n, 9);
        Guarded<T> scores(n_pixels * n);
        detail::PcaCenter center{const_cast<double*>(moments.mean.data()), const_cast<double*>(moments.first.data())};
        emulate<detail::PcaScoresBlock<T>>({pixels, center, basis.data(), n, rank, scores.data()}, order);
        CHECK(scores.intact());
        for (ptrdiff_t p = 0; p < n_pixels; ++p) {
            for (ptrdiff_t k = 0; k < n; ++k) {
                double sum = 0.0;
                for (ptrdiff_t c = 0; c < n_channels; ++c) {
                    sum += centred(p, c) * basis[at(c * n + k)];
                }
                const double rounding =
                    static_cast<double>(n_channels) * (bound + static_cast<double>(std::numeric_limits<T>::epsilon()));
                CHECK(std::abs(static_cast<double>(scores[p * n + k]) - (k < rank ? sum : 0.0)) <= rounding);
            }
        }

        using Range = detail::PcaRangeBlock<T>;
        constexpr ptrdiff_t kChunk = 19;
        const ptrdiff_t n_chunks = divide_up(n_pixels, kChunk);
        Guarded<T> lows(n_chunks * n);
        Guarded<T> highs(n_chunks * n);
        Guarded<double> low(n);
        Guarded<double> high(n);
        emulate<Range>({scores.data(), scores.data(), n_pixels, n, kChunk, lows.data(), highs.data(), nullptr, nullptr},
                       order);
        emulate<Range>({lows.data(), highs.data(), n_chunks, n, n_chunks, nullptr, nullptr, low.data(), high.data()},
                       order);
        CHECK(lows.intact() && highs.intact() && low.intact() && high.intact());
        for (ptrdiff_t k = 0; k < n; ++k) {
            T least = scores[k];
            T greatest = scores[k];
            for (ptrdiff_t p = 0; p < n_pixels; ++p) {
                least = std::min(least, scores[p * n + k]);
                greatest = std::max(greatest, scores[p * n + k]);
            }
            CHECK(low[k] == static_cast<double>(least) && high[k] == static_cast<double>(greatest));
        }
    }
}

TEST(principal_components_blocks_compute_the_definition) {
    for (const Order order : {Order::forward, Order::backward}) {
        check<float>(1, 1, 1, 1, 1, 0.0, order);
        check<float>(7, 41, 3, 2, 2, 0.0, order);
        check<double>(20, 31, 17, 17, 9, 0.0, order);
        check<double>(9, 11, 70, 18, 18, 1e9, order);
        check<float>(3, 9, 300, 3, 1, 0.0, order);
    }
}

TEST(principal_components_blocks_notice_values_that_are_not_finite) {
    for (const float bad : {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
        auto values = fastsoft::tests::random_numbers<float>(600 * 5, 4);
        values[599 * 5 + 3] = bad;
        const detail::PcaPixels<float> pixels(View<const float, 3>::contiguous(values.data(), {1, 600, 5}), 1.0F);
        const Moments<float> moments(pixels, 256, 256, Order::forward);
        CHECK_EQUAL(moments.not_finite, 1);
    }
}

}  // namespace
