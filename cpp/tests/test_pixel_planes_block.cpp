// SPDX-License-Identifier: MIT
#include <cmath>
#include <vector>

#include "check.hpp"
#include "emulate.hpp"
#include "fastsoft/detail/pixel_planes_block.hpp"

namespace {

using fastsoft::View;
using fastsoft::tests::Guarded;
using fastsoft::tests::Order;
namespace detail = fastsoft::detail;

template <class S, class T>
void planes(const View<const S, 2>& values, const std::vector<std::int64_t>* pixels) {
    const std::ptrdiff_t count = pixels != nullptr ? static_cast<std::ptrdiff_t>(pixels->size()) : values.extent(0);
    const std::ptrdiff_t n_planes = values.extent(1);
    Guarded<T> found(n_planes * count);
    Guarded<T> again(n_planes * count);
    const std::int64_t* const chosen = pixels != nullptr ? pixels->data() : nullptr;
    fastsoft::tests::emulate<detail::PixelPlanesBlock<S, T>>({values, chosen, count, found.data()}, Order::forward);
    fastsoft::tests::emulate<detail::PixelPlanesBlock<S, T>>({values, chosen, count, again.data()}, Order::backward);
    CHECK(found == again);
    CHECK(found.intact());
    for (std::ptrdiff_t i = 0; i < count; ++i) {
        const std::ptrdiff_t p = pixels != nullptr ? (*pixels)[static_cast<std::size_t>(i)] : i;
        for (std::ptrdiff_t j = 0; j < n_planes; ++j) {
            CHECK_EQUAL(found[j * count + i], static_cast<T>(values(p, j)));
        }
    }
}

template <class S, class T>
void planes_of_all_layouts() {
    for (const auto& [n, m] : {std::pair<std::ptrdiff_t, std::ptrdiff_t>{1, 1}, {33, 31}, {100, 1}, {70, 65}}) {
        auto numbers = fastsoft::tests::random_numbers<double>(n * m, 5);
        std::vector<S> memory(numbers.size());
        for (std::size_t i = 0; i < memory.size(); ++i) {
            memory[i] = static_cast<S>(1000 * numbers[i]);
        }
        const std::vector<std::int64_t> pixels{n - 1, 0, n / 2, n / 2};
        const View<const S, 2> layouts[] = {
            {memory.data(), {n, m}, {m, 1}}, {memory.data(), {n, m}, {1, n}}, {memory.data() + n - 1, {n, m}, {-1, n}}};
        for (const auto& view : layouts) {
            planes<S, T>(view, nullptr);
            planes<S, T>(view, &pixels);
        }
    }
}

TEST(pixel_planes_blocks_copy_any_layout) {
    planes_of_all_layouts<float, float>();
    planes_of_all_layouts<float, double>();
    planes_of_all_layouts<double, float>();
    planes_of_all_layouts<double, double>();
    planes_of_all_layouts<std::int32_t, std::int32_t>();
}

template <class T>
void row_sums(std::ptrdiff_t n_rows, std::ptrdiff_t length) {
    using Block = detail::RowSumsBlock<T>;
    const auto values = fastsoft::tests::random_numbers<T>(n_rows * length, 6);
    const std::ptrdiff_t n_pieces = Block::n_pieces(length);
    Guarded<double> found(n_rows * n_pieces);
    Guarded<double> again(n_rows * n_pieces);
    fastsoft::tests::emulate<Block>({values.data(), n_rows, length, found.data()}, Order::forward);
    fastsoft::tests::emulate<Block>({values.data(), n_rows, length, again.data()}, Order::backward);
    CHECK(found == again);
    CHECK(found.intact());
    for (std::ptrdiff_t row = 0; row < n_rows; ++row) {
        for (std::ptrdiff_t piece = 0; piece < n_pieces; ++piece) {
            double expected = 0.0;
            for (std::ptrdiff_t i = piece * Block::kPiece; i < std::min(length, (piece + 1) * Block::kPiece); ++i) {
                expected += static_cast<double>(values[static_cast<std::size_t>(row * length + i)]);
            }
            CHECK(std::abs(found[row * n_pieces + piece] - expected) < 1e-12 * expected + 1e-300);
        }
    }
}

TEST(row_sums_blocks_add_pieces_of_rows) {
    row_sums<float>(1, 1);
    row_sums<float>(3, 255);
    row_sums<double>(2, 8192);
    row_sums<float>(2, 20000);
}

}  // namespace
