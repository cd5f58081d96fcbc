// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "check.hpp"
#include "emulate.hpp"
#include "fastsoft/detail/prefix_sums_block.hpp"
#include "fastsoft/detail/segments_block.hpp"
#include "fastsoft/detail/slic_block.hpp"
#include "fastsoft/detail/slic_loop.hpp"
#include "fastsoft/slic.hpp"

namespace {

using fastsoft::View;
using fastsoft::tests::emulate;
using fastsoft::tests::Emulate;
using fastsoft::tests::Guarded;
using fastsoft::tests::Order;
using std::ptrdiff_t;
namespace detail = fastsoft::detail;

using Labels = Guarded<std::int32_t>;

template <class Numbers>
std::int32_t prefix_sums(const Numbers& numbers, Order order) {
    const ptrdiff_t n_tiles = detail::n_prefix_tiles(numbers.n);
    Guarded<std::int32_t> partial(n_tiles + 1);
    detail::prefix_sums<Numbers>(Emulate{order}, {numbers, partial.data()});
    CHECK(partial.intact());
    return partial[n_tiles];
}

ptrdiff_t number(const detail::SegmentsGrid& grid, double min_size, const Labels& roots, Labels& sizes, Labels& out,
                 Order order) {
    const ptrdiff_t n = grid.n_pixels();
    Labels spare(n);
    const auto n_before = static_cast<ptrdiff_t>(std::min(std::ceil(min_size), static_cast<double>(n)));
    if (n_before > 0) {
        prefix_sums(detail::SizesBefore{n_before, roots.data(), sizes.data(), spare.data()}, order);
    }
    const std::int32_t count = prefix_sums(
        detail::SegmentNumbers{n, roots.data(), sizes.data(), spare.data(), n_before, min_size, spare.data()}, order);
    emulate<detail::JoinPiecesBlock>({grid, roots.data(), spare.data(), sizes.data()}, order);
    emulate<detail::SegmentLabelsBlock>({n, roots.data(), sizes.data(), out.data()}, order);
    CHECK(spare.intact() && sizes.intact() && roots.intact() && out.intact());
    return count;
}

ptrdiff_t connected(const detail::SegmentsGrid& grid, double min_size, const Labels& labels, Labels& out, Order order) {
    const ptrdiff_t n = grid.n_pixels();
    Labels parents(n);
    Labels sizes(n);
    Labels roots(n);
    emulate<detail::TilePiecesBlock>({grid, labels.data(), parents.data(), sizes.data()}, order);
    emulate<detail::BorderPiecesBlock>({grid, labels.data(), parents.data()}, order);
    emulate<detail::RootsBlock>({n, parents.data(), roots.data(), sizes.data()}, order);
    CHECK(parents.intact());
    return number(grid, min_size, roots, sizes, out, order);
}

ptrdiff_t dense(const detail::SegmentsGrid& grid, ptrdiff_t n_clusters, Labels labels, Labels& out, Order order) {
    Labels from_end(n_clusters);
    std::fill_n(from_end.data(), n_clusters, 0);
    Labels sizes(grid.n_pixels());
    emulate<detail::FirstPixelsBlock>({grid, labels.data(), from_end.data()}, order);
    emulate<detail::LabelRootsBlock>({grid.n_pixels(), from_end.data(), labels.data()}, order);
    CHECK(from_end.intact());
    return number(grid, 0.0, labels, sizes, out, order);
}

// What detail::slic_loop moves.
template <class T>
class Emulated {
public:
    Emulated(const View<const T, 3>& image, const detail::SlicGrid& grid, Order order)
        : out(grid.n_rows * grid.n_cols),
          grid_(grid),
          order_(order),
          n_pixels_(grid.n_rows * grid.n_cols),
          cluster_labels_(n_pixels_),
          clusters_(grid.n_clusters()),
          planes_(3 * n_pixels_) {
        std::fill_n(cluster_labels_.data(), n_pixels_, 0);
        emulate<detail::SlicLabBlock<T>>({image, {planes_.data(), n_pixels_}}, order);
        emulate<detail::SlicSeedBlock<T>>({grid, {planes_.data(), n_pixels_}, clusters_.data()}, order);
    }

    void assign(ptrdiff_t iteration, T spatial_weight) {
        emulate<detail::SlicAssignBlock<T>>(
            {grid_, {planes_.data(), n_pixels_}, clusters_.data(), cluster_labels_.data(), spatial_weight, iteration},
            order_);
    }
    void update(bool adaptive) {
        using Update = detail::SlicUpdateBlock<T>;
        emulate<Update>({grid_,
                         {planes_.data(), n_pixels_},
                         cluster_labels_.data(),
                         clusters_.data(),
                         adaptive,
                         groups > 0 ? groups : Update::groups_for(grid_)},
                        order_);
    }
    ptrdiff_t connected_labels(double min_size) {
        check();
        return connected({grid_.n_rows, grid_.n_cols}, min_size, cluster_labels_, out, order_);
    }
    ptrdiff_t dense_labels() {
        check();
        return dense({grid_.n_rows, grid_.n_cols}, grid_.n_clusters(), cluster_labels_, out, order_);
    }

    Labels out;
    int groups = 0;

private:
    void check() const { CHECK(cluster_labels_.intact() && clusters_.intact() && planes_.intact()); }

    detail::SlicGrid grid_;
    Order order_;
    ptrdiff_t n_pixels_;
    Labels cluster_labels_;
    Guarded<detail::SlicCluster<T>> clusters_;
    Guarded<T> planes_;
};

// Smooth blobs with some noise. The tests are compiled without fused products, as the CPU's loop is for the same
// instruction set: labels are the same.
template <class T>
void compare(ptrdiff_t n_rows, ptrdiff_t n_cols, ptrdiff_t n_segments, ptrdiff_t iterations, int groups = 0,
             double contrast = 1.0) {
    auto colors = fastsoft::tests::random_numbers<T>(n_rows * n_cols * 3, 3);
    for (ptrdiff_t i = 0; i < n_rows * n_cols * 3; ++i) {
        const auto row = static_cast<double>(i / 3 / n_cols);
        const auto col = static_cast<double>(i / 3 % n_cols);
        const double wave = std::sin(row / 5 + static_cast<double>(i % 3)) * std::cos(col / 7);
        T& color = colors[static_cast<std::size_t>(i)];
        color = static_cast<T>(0.5 + contrast * (0.4 * wave + 0.1 * static_cast<double>(color)));
    }
    // Columns backwards, channels apart.
    const View<const T, 3> image(colors.data() + n_cols - 1, {n_rows, n_cols, 3}, {n_cols, -1, n_rows * n_cols});
    for (const bool adaptive : {true, false}) {
        for (const bool enforce_connectivity : {true, false}) {
            fastsoft::SlicParams params;
            params.n_segments = n_segments;
            params.adaptive = adaptive;
            params.max_iterations = iterations;
            params.enforce_connectivity = enforce_connectivity;
            fastsoft::SilentMonitor monitor;
            std::vector<std::int32_t> expected(static_cast<std::size_t>(n_rows * n_cols));
            const ptrdiff_t count = fastsoft::slic<T>(image, params, expected.data(), monitor);
            const detail::SlicGrid grid = detail::slic_grid(n_rows, n_cols, n_segments);
            for (const Order order : {Order::forward, Order::backward}) {
                Emulated<T> system(image, grid, order);
                system.groups = groups;
                CHECK_EQUAL(detail::slic_loop<T>(system, grid, params, monitor), count);
                CHECK(std::equal(expected.begin(), expected.end(), system.out.data()));
            }
        }
    }
}

template <class T>
void compare_all() {
    compare<T>(1, 1, 1, 2);
    compare<T>(1, 17, 5, 3);
    compare<T>(17, 1, 4, 3);
    compare<T>(2, 3, 6, 3);
    compare<T>(5, 7, 8, 3);
    compare<T>(23, 31, 1, 2);
    compare<T>(31, 50, 30, 4);
    compare<T>(40, 67, 2680, 2);
    compare<T>(50, 31, 200, 10);
    // Candidates that take several rounds, windows that take several parts, more parts than groups.
    compare<T>(70, 90, 1500, 6);
    compare<T>(200, 150, 3, 3);
    compare<T>(200, 150, 3, 2, 1);
    compare<T>(200, 150, 12, 2, 2);
    // One colour: pixels half-way between two clusters are at the same distance from both.
    compare<T>(40, 60, 6, 2, 0, 0.0);
}

TEST(slic_blocks_do_what_the_cpu_does) {
    compare_all<float>();
    compare_all<double>();
}

// The pass of the CPU, pixel by pixel: pieces in the order of their first pixels.
ptrdiff_t connect_one_by_one(const detail::SegmentsGrid& grid, double min_size, const std::vector<std::int32_t>& labels,
                             std::vector<std::int32_t>& out) {
    out.assign(labels.size(), -1);
    const auto at = [](ptrdiff_t i) { return static_cast<std::size_t>(i); };
    std::int32_t count = 0;
    ptrdiff_t first_size = 0;
    std::vector<ptrdiff_t> piece;
    for (ptrdiff_t p = 0; p < grid.n_pixels(); ++p) {
        if (out[at(p)] >= 0) {
            continue;
        }
        piece.assign(1, p);
        out[at(p)] = 1 << 30;
        for (std::size_t i = 0; i < piece.size(); ++i) {
            const ptrdiff_t q = piece[i];
            const auto visit = [&](bool inside, ptrdiff_t next) {
                if (inside && out[at(next)] < 0 && labels[at(next)] == labels[at(p)]) {
                    out[at(next)] = 1 << 30;
                    piece.push_back(next);
                }
            };
            visit(q % grid.n_cols > 0, q - 1);
            visit(q % grid.n_cols < grid.n_cols - 1, q + 1);
            visit(q >= grid.n_cols, q - grid.n_cols);
            visit(q < grid.n_pixels() - grid.n_cols, q + grid.n_cols);
        }
        const auto size = static_cast<ptrdiff_t>(piece.size());
        const bool first_is_small = count == 1 && static_cast<double>(first_size) < min_size;
        std::int32_t segment = 0;
        if (count == 0 || (static_cast<double>(size) >= min_size && !first_is_small)) {
            segment = count++;
        } else {
            segment = out[at(p % grid.n_cols > 0 ? p - 1 : p - grid.n_cols)];
        }
        first_size += segment == 0 ? size : 0;
        for (const ptrdiff_t q : piece) {
            out[at(q)] = segment;
        }
    }
    return count;
}

void compare_segments(ptrdiff_t n_rows, ptrdiff_t n_cols, double min_size, std::int32_t n_labels, std::uint64_t seed,
                      ptrdiff_t block_size) {
    const detail::SegmentsGrid grid{n_rows, n_cols};
    const auto random = fastsoft::tests::random_numbers<double>(n_rows * n_cols, seed);
    std::vector<std::int32_t> labels(random.size());
    Labels given(n_rows * n_cols);
    for (ptrdiff_t p = 0; p < n_rows * n_cols; ++p) {
        const ptrdiff_t source = p / n_cols / block_size * n_cols + p % n_cols / block_size;
        labels[static_cast<std::size_t>(p)] =
            static_cast<std::int32_t>(random[static_cast<std::size_t>(source)] * n_labels);
        given.data()[p] = labels[static_cast<std::size_t>(p)];
    }
    std::vector<std::int32_t> expected;
    const ptrdiff_t count = connect_one_by_one(grid, min_size, labels, expected);
    for (const Order order : {Order::forward, Order::backward}) {
        Labels found(n_rows * n_cols);
        CHECK_EQUAL(connected(grid, min_size, given, found, order), count);
        CHECK(std::equal(expected.begin(), expected.end(), found.data()));
    }
}

TEST(segments_are_those_of_one_pass_over_the_pieces) {
    std::uint64_t seed = 1;
    for (const double min_size : {0.25, 1.0, 2.5, 9.0, 60.0, 1e9}) {
        for (const std::int32_t n_labels : {1, 2, 3, 8}) {
            for (const ptrdiff_t block_size : {1, 3}) {
                compare_segments(1, 1, min_size, n_labels, ++seed, block_size);
                compare_segments(1, 90, min_size, n_labels, ++seed, block_size);
                compare_segments(90, 1, min_size, n_labels, ++seed, block_size);
                compare_segments(16, 32, min_size, n_labels, ++seed, block_size);
                compare_segments(37, 71, min_size, n_labels, ++seed, block_size);
                compare_segments(66, 97, min_size, n_labels, ++seed, block_size);
            }
        }
    }
}

// The candidates of every tile fit into its phases, and no cluster that can reach a tile is missing from them.
TEST(slic_candidates_are_complete) {
    using Assign = detail::SlicAssignBlock<float>;
    for (const ptrdiff_t n_segments : {1, 7, 60, 900, 6000}) {
        for (const ptrdiff_t iteration : {0, 1, 5, 50}) {
            const detail::SlicGrid grid = detail::slic_grid(130, 170, n_segments);
            const int rounds = Assign::n_phases({grid, {}, nullptr, nullptr, 0.0F, iteration}) / 3;
            for (ptrdiff_t row = 0; row < grid.n_rows; row += Assign::kRows) {
                const ptrdiff_t last = std::min<ptrdiff_t>(row + Assign::kRows, grid.n_rows) - 1;
                const auto down = detail::slic_cells(row, last, grid.cell_height, grid.down, grid.n_rows, iteration);
                for (ptrdiff_t i = 0; i < grid.down; ++i) {
                    const double seed = (static_cast<double>(i) + 0.5) * grid.cell_height;
                    const double reach = 2.0 + static_cast<double>(iteration + 1) * std::ceil(grid.cell_height);
                    const bool meets =
                        seed + reach >= static_cast<double>(row) && seed - reach <= static_cast<double>(last);
                    CHECK(!meets || (i >= down.begin && i < down.end));
                }
                for (ptrdiff_t col = 0; col < grid.n_cols; col += Assign::kCols) {
                    const ptrdiff_t end = std::min<ptrdiff_t>(col + Assign::kCols, grid.n_cols) - 1;
                    const auto across =
                        detail::slic_cells(col, end, grid.cell_width, grid.across, grid.n_cols, iteration);
                    CHECK((down.end - down.begin) * (across.end - across.begin) <= rounds * Assign::kCandidates);
                }
            }
        }
    }
}

}  // namespace
