// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "check.hpp"
#include "emulate.hpp"
#include "fastsoft/detail/superpixel_graph_block.hpp"

namespace {

using fastsoft::View;
using fastsoft::tests::emulate;
using fastsoft::tests::Guarded;
using fastsoft::tests::Order;
namespace detail = fastsoft::detail;

using Labels = View<const std::int32_t, 2>;

struct Picture {
    std::vector<std::int32_t> values;
    std::ptrdiff_t n_labels = 0;

    // Squares of labels with single pixels of others among them; every label occurs.
    Picture(std::ptrdiff_t height, std::ptrdiff_t width, std::ptrdiff_t square) {
        const std::ptrdiff_t across = fastsoft::divide_up(width, square);
        n_labels = fastsoft::divide_up(height, square) * across;
        const auto dice = fastsoft::tests::random_numbers<double>(height * width, 11);
        for (std::ptrdiff_t i = 0; i < height * width; ++i) {
            const std::ptrdiff_t row = i / width;
            const std::ptrdiff_t col = i % width;
            const bool own = dice[static_cast<std::size_t>(i)] < 0.9 || (row % square == 0 && col % square == 0);
            const std::ptrdiff_t label = (row / square) * across + col / square;
            values.push_back(static_cast<std::int32_t>(own ? label : (label * 7 + 3) % n_labels));
        }
    }
};

// Pixels by label, as the sort leaves them.
struct Sorted {
    std::vector<std::int32_t> begins;
    std::vector<std::int32_t> pixels;

    Sorted(const Labels& labels, std::ptrdiff_t n_labels) {
        begins.push_back(0);
        for (std::ptrdiff_t label = 0; label < n_labels; ++label) {
            for (std::ptrdiff_t i = 0; i < labels.size(); ++i) {
                if (labels(i / labels.extent(1), i % labels.extent(1)) == label) {
                    pixels.push_back(static_cast<std::int32_t>(i));
                }
            }
            begins.push_back(static_cast<std::int32_t>(pixels.size()));
        }
    }
};

TEST(label_steps_read_any_strides_and_find_segments) {
    const Picture picture(15, 22, 4);
    const Labels labels(picture.values.data() + 21, {15, 11}, {22, -2});
    for (const Order order : {Order::forward, Order::backward}) {
        Guarded<std::uint32_t> keys(labels.size());
        Guarded<std::int32_t> values(labels.size());
        emulate<detail::EachBlock<detail::LabelledPixels>>({labels, {keys.data(), values.data()}}, order);
        CHECK(keys.intact() && values.intact());
        for (std::ptrdiff_t i = 0; i < labels.size(); ++i) {
            CHECK_EQUAL(keys[i], static_cast<std::uint32_t>(labels(i / 11, i % 11)));
            CHECK_EQUAL(values[i], static_cast<std::int32_t>(i));
        }
        // Keys 1, 1, 4 of 0 .. 6: segments 0, 2, 3, 5 and 6 are empty.
        const std::vector<std::uint32_t> few{1, 1, 4};
        Guarded<std::int32_t> begins(8);
        emulate<detail::EachBlock<detail::SegmentBegins>>({few.data(), 3, 7, begins.data()}, order);
        CHECK(begins.intact());
        const std::vector<std::int32_t> expected{0, 0, 2, 2, 2, 3, 3, 3};
        CHECK(std::equal(expected.begin(), expected.end(), begins.data()));
        Guarded<std::int64_t> empty(1);
        emulate<detail::EmptySegmentBlock>({begins.data() + 1, 5, empty.data()}, order);
        CHECK_EQUAL(empty[0], 1);
        emulate<detail::EmptySegmentBlock>({begins.data() + 1, 1, empty.data()}, order);
        CHECK_EQUAL(empty[0], -1);
        std::vector<std::int32_t> rising(1001);
        for (std::size_t i = 0; i < rising.size(); ++i) {
            rising[i] = static_cast<std::int32_t>(i < 701 ? i : i - 1);
        }
        emulate<detail::EmptySegmentBlock>({rising.data(), 1000, empty.data()}, order);
        CHECK_EQUAL(empty[0], 700);
    }
}

template <class T>
void compare_sums(std::ptrdiff_t height, std::ptrdiff_t width, std::ptrdiff_t square, std::ptrdiff_t n_channels) {
    const Picture picture(height, width, square);
    const Labels labels = Labels::contiguous(picture.values.data(), {height, width});
    const Sorted sorted(labels, picture.n_labels);
    const auto numbers = fastsoft::tests::random_numbers<T>(2 * height * width * n_channels, 8);
    // Channel planes, columns backwards.
    const View<const T, 3> values(numbers.data() + width - 1, {height, width, n_channels}, {width, -1, height * width});
    const std::ptrdiff_t n = picture.n_labels;
    for (const Order order : {Order::forward, Order::backward}) {
        Guarded<std::int64_t> counts(n);
        Guarded<std::int32_t> centroids(2 * n);
        Guarded<std::int32_t> indices(n);
        emulate<detail::CentroidsBlock>(
            {n, width, sorted.begins.data(), sorted.pixels.data(), counts.data(), centroids.data(), indices.data()},
            order);
        Guarded<T> means(n * n_channels);
        emulate<detail::RegionMeansBlock<T>>({values, n, sorted.begins.data(), sorted.pixels.data(), means.data()},
                                             order);
        CHECK(counts.intact() && centroids.intact() && indices.intact() && means.intact());
        for (std::ptrdiff_t label = 0; label < n; ++label) {
            std::int64_t count = 0;
            double row_sum = 0.0;
            double col_sum = 0.0;
            std::vector<double> sums(static_cast<std::size_t>(n_channels));
            for (std::ptrdiff_t i = 0; i < labels.size(); ++i) {
                if (labels(i / width, i % width) == label) {
                    ++count;
                    row_sum += static_cast<double>(i / width + 1);
                    col_sum += static_cast<double>(i % width + 1);
                    for (std::ptrdiff_t k = 0; k < n_channels; ++k) {
                        sums[static_cast<std::size_t>(k)] += static_cast<double>(values(i / width, i % width, k));
                    }
                }
            }
            const auto size = static_cast<double>(count);
            CHECK_EQUAL(counts[label], count);
            CHECK_EQUAL(centroids[2 * label], static_cast<std::int32_t>(std::floor(row_sum / size + 0.5)) - 1);
            CHECK_EQUAL(centroids[2 * label + 1], static_cast<std::int32_t>(std::floor(col_sum / size + 0.5)) - 1);
            CHECK_EQUAL(std::ptrdiff_t{indices[label]}, centroids[2 * label] * width + centroids[2 * label + 1]);
            for (std::ptrdiff_t k = 0; k < n_channels; ++k) {
                const double mean = sums[static_cast<std::size_t>(k)] / size;
                const double found = static_cast<double>(means[label * n_channels + k]);
                CHECK(std::abs(found - mean) < static_cast<double>(std::numeric_limits<T>::epsilon()) + 1e-13);
            }
        }
    }
}

TEST(superpixel_sums_are_those_of_a_loop) {
    compare_sums<float>(37, 53, 20, 3);
    compare_sums<double>(37, 53, 20, 9);
    compare_sums<double>(9, 40, 3, 1);
    compare_sums<float>(1, 1, 1, 4);
}

void compare_pairs(std::ptrdiff_t height, std::ptrdiff_t width, std::ptrdiff_t square) {
    const Picture picture(height, width, square);
    const Labels labels = Labels::contiguous(picture.values.data(), {height, width});
    std::set<std::pair<std::int32_t, std::int32_t>> expected;
    std::int64_t n_borders = 0;
    for (std::ptrdiff_t row = 0; row < height; ++row) {
        for (std::ptrdiff_t col = 0; col < width; ++col) {
            for (std::ptrdiff_t r = std::max<std::ptrdiff_t>(row - 1, 0); r < std::min(row + 2, height); ++r) {
                for (std::ptrdiff_t c = std::max<std::ptrdiff_t>(col - 1, 0); c < std::min(col + 2, width); ++c) {
                    if (labels(row, col) < labels(r, c)) {
                        expected.insert({labels(row, col), labels(r, c)});
                        ++n_borders;
                    }
                }
            }
        }
    }
    using Block = detail::TouchingPairsBlock;
    for (const Order order : {Order::forward, Order::backward}) {
        const std::ptrdiff_t n_blocks = Block::n_blocks({labels, nullptr, nullptr, {}});
        Guarded<std::int32_t> counts(n_blocks);
        emulate<Block>({labels, counts.data(), nullptr, {}}, order);
        CHECK(counts.intact());
        std::vector<std::int64_t> begins{0};
        for (std::ptrdiff_t i = 0; i < n_blocks; ++i) {
            begins.push_back(begins.back() + counts[i]);
        }
        Guarded<std::uint32_t> keys(begins.back());
        Guarded<std::int32_t> values(begins.back());
        emulate<Block>({labels, nullptr, begins.data(), {keys.data(), values.data()}}, order);
        CHECK(keys.intact() && values.intact());
        std::set<std::pair<std::int32_t, std::int32_t>> found;
        for (std::int64_t i = 0; i < begins.back(); ++i) {
            found.insert({values[i], static_cast<std::int32_t>(keys[i])});
        }
        CHECK(found == expected);
        // Far fewer than borders between pixels have, where superpixels are not single pixels.
        CHECK(square < 8 || begins.back() * 4 < n_borders * 3);
    }
}

TEST(touching_pairs_are_all_pairs_of_labels_that_touch) {
    compare_pairs(1, 1, 1);
    compare_pairs(1, 30, 2);
    compare_pairs(30, 1, 3);
    compare_pairs(7, 9, 1);
    compare_pairs(40, 61, 5);
    compare_pairs(60, 70, 20);
}

}  // namespace
