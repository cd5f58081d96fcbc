// SPDX-License-Identifier: MIT
#include <array>
#include <limits>
#include <vector>

#include "check.hpp"
#include "emulate.hpp"
#include "fastsoft/detail/grid_neighbours.hpp"
#include "fastsoft/detail/matting_laplacian_block.hpp"
#include "fastsoft/matting_laplacian.hpp"

namespace {

using fastsoft::MattingMatrix;
using fastsoft::View;
using fastsoft::tests::emulate;
using fastsoft::tests::Guarded;
using fastsoft::tests::Order;
namespace detail = fastsoft::detail;

constexpr double kEpsilon = 1e-4;

// Entries reach (2 radius + 1)^2; the systems amplify rounding in double by n / (4 epsilon) at most; results are
// rounded to T once, the diagonal of the Laplacian as often as it has terms.
template <class T>
double bound(int radius) {
    const double n = (2 * radius + 1) * (2 * radius + 1);
    return 30 * std::numeric_limits<double>::epsilon() * n / (4 * kEpsilon) +
           n * static_cast<double>(std::numeric_limits<T>::epsilon());
}

template <int Radius, class T>
Guarded<T> planes_of(const View<const T, 3>& image, MattingMatrix matrix, Order order) {
    constexpr double share = 1.0 / ((2 * Radius + 1) * (2 * Radius + 1));
    Guarded<T> planes(detail::kMattingPlanes<Radius> * image.extent(0) * image.extent(1));
    emulate<detail::MattingEntriesBlock<Radius, T>>(
        {image, kEpsilon, matrix == MattingMatrix::affinity ? share : -share, planes.data()}, order);
    if (matrix == MattingMatrix::laplacian) {
        emulate<detail::MattingDiagonalBlock<Radius, T>>({image.extent(0), image.extent(1), planes.data()}, order);
    }
    return planes;
}

template <int Radius, class T>
void compare_csr(const View<const T, 3>& image, MattingMatrix matrix) {
    const std::ptrdiff_t n_rows = image.extent(0);
    const std::ptrdiff_t n_cols = image.extent(1);
    const std::int64_t n_entries = fastsoft::matting_n_entries(n_rows, n_cols, Radius);
    std::vector<std::int64_t> indptr(static_cast<std::size_t>(n_rows * n_cols + 1));
    std::vector<std::int32_t> indices(static_cast<std::size_t>(n_entries));
    std::vector<T> data(indices.size());
    fastsoft::matting_laplacian_csr<T>(image, matrix, kEpsilon, Radius, indptr.data(), indices.data(), data.data());
    for (const Order order : {Order::forward, Order::backward}) {
        const Guarded<T> planes = planes_of<Radius, T>(image, matrix, order);
        CHECK(planes.intact());
        Guarded<std::int64_t> found_indptr(n_rows * n_cols + 1);
        Guarded<std::int32_t> found_indices(n_entries);
        Guarded<T> found(n_entries);
        emulate<detail::MattingCsrBlock<Radius, T>>(
            {n_rows, n_cols, planes.data(), found_indptr.data(), found_indices.data(), found.data()}, order);
        CHECK(found_indptr.intact() && found_indices.intact() && found.intact());
        CHECK(std::equal(indptr.begin(), indptr.end(), found_indptr.data()));
        CHECK(std::equal(indices.begin(), indices.end(), found_indices.data()));
        CHECK(fastsoft::tests::largest_difference(found.data(), data.data(), data.size()) < bound<T>(Radius));
    }
}

template <class T>
void compare_stencil(const View<const T, 3>& image, MattingMatrix matrix) {
    std::vector<T> expected(static_cast<std::size_t>(13 * image.extent(0) * image.extent(1)));
    fastsoft::matting_laplacian_stencil<T>(image, matrix, kEpsilon, expected.data());
    const Guarded<T> found = planes_of<1, T>(image, matrix, Order::forward);
    CHECK((found == planes_of<1, T>(image, matrix, Order::backward)));
    CHECK(found.intact());
    CHECK(fastsoft::tests::largest_difference(found.data(), expected.data(), expected.size()) < bound<T>(1));
    for (std::size_t i = 0; i < expected.size(); ++i) {
        // Pairs outside the grid are 0 and nothing else; a -0 would be taken for one all the same.
        CHECK(expected[i] != T(0) || found[static_cast<std::ptrdiff_t>(i)] == T(0));
    }
}

template <class T>
void compare_all(MattingMatrix matrix) {
    for (const auto& shape : std::vector<std::array<std::ptrdiff_t, 3>>{
             {3, 3, 3}, {3, 40, 3}, {9, 33, 3}, {17, 31, 3}, {8, 64, 3}, {40, 5, 3}}) {
        auto values = fastsoft::tests::random_numbers<T>(shape[0] * shape[1] * 3, 5);
        std::fill(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), T(0.25));
        const auto image = View<const T, 3>::contiguous(values.data(), shape);
        compare_stencil<T>(image, matrix);
        compare_csr<1, T>(image, matrix);
    }
    const auto values = fastsoft::tests::random_numbers<T>(30 * 40 * 3, 6);
    const auto image = View<const T, 3>::contiguous(values.data(), {18, 37, 3});
    compare_csr<2, T>(image, matrix);
    compare_csr<3, T>(image, matrix);
    compare_csr<2, T>(View<const T, 3>::contiguous(values.data(), {5, 6, 3}), matrix);
    compare_csr<3, T>(View<const T, 3>::contiguous(values.data(), {7, 8, 3}), matrix);
    compare_stencil<T>(View<const T, 3>(values.data() + 39, {15, 20, 3}, {80, -2, 1200}), matrix);
}

TEST(matting_laplacian_blocks_do_what_the_cpu_does) {
    compare_all<float>(MattingMatrix::laplacian);
    compare_all<double>(MattingMatrix::laplacian);
    compare_all<double>(MattingMatrix::affinity);
}

TEST(counts_of_neighbours_are_sums_of_what_they_count) {
    for (std::ptrdiff_t reach = 0; reach < 8; ++reach) {
        for (std::ptrdiff_t extent = 1; extent < 20; ++extent) {
            std::int64_t before = 0;
            for (std::ptrdiff_t position = 0; position <= extent; ++position) {
                CHECK_EQUAL(detail::n_neighbours_before(position, extent, reach), before);
                for (std::ptrdiff_t other = 0; other < extent && position < extent; ++other) {
                    before += other >= position - reach && other <= position + reach ? 1 : 0;
                }
            }
        }
    }
}

}  // namespace
