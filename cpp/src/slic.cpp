// SPDX-License-Identifier: MIT
#include "fastsoft/slic.hpp"

#include <algorithm>
#include <limits>
#include <numeric>
#include <vector>

#include "fastsoft/core/parallel.hpp"
#include "fastsoft/detail/slic_checks.hpp"
#include "fastsoft/detail/slic_loop.hpp"
#include "fastsoft/detail/slic_pixel.hpp"

namespace fastsoft {
namespace {

using std::ptrdiff_t;
using std::size_t;

// Rows are processed in blocks of this many pixels, which the compiler turns into a few vector registers; what lies
// outside a window is masked. Planes are padded by one block so that a block may begin at the last pixel.
constexpr std::int32_t kBlock = detail::kSlicLanes;
constexpr ptrdiff_t kStripRows = 16;
constexpr ptrdiff_t kClusterGrain = 32;

// The picture in CIELAB, one plane per coordinate.
template <class T>
struct LabPlanes {
    ptrdiff_t n_rows;
    ptrdiff_t n_cols;
    ptrdiff_t pitch;
    std::vector<T> lightness;
    std::vector<T> a;
    std::vector<T> b;

    explicit LabPlanes(const View<const T, 3>& image)
        : n_rows(image.extent(0)),
          n_cols(image.extent(1)),
          pitch(n_cols + kBlock),
          lightness(static_cast<size_t>(n_rows * pitch)),
          a(lightness.size()),
          b(lightness.size()) {
        parallel_for(n_rows, kStripRows, [&](ptrdiff_t begin, ptrdiff_t end) {
            std::vector<T> red(static_cast<size_t>(n_cols));
            std::vector<T> green(red.size());
            std::vector<T> blue(red.size());
            for (ptrdiff_t row = begin; row < end; ++row) {
                for (ptrdiff_t col = 0; col < n_cols; ++col) {
                    const auto i = static_cast<size_t>(col);
                    red[i] = image(row, col, 0);
                    green[i] = image(row, col, 1);
                    blue[i] = image(row, col, 2);
                }
                convert_row(red.data(), green.data(), blue.data(), row * pitch);
            }
        });
    }

private:
    void convert_row(const T* red, const T* green, const T* blue, ptrdiff_t first) {
        T* const out_lightness = lightness.data() + first;
        T* const out_a = a.data() + first;
        T* const out_b = b.data() + first;
#pragma GCC ivdep
        for (ptrdiff_t i = 0; i < n_cols; ++i) {
            detail::srgb_to_lab(red[i], green[i], blue[i], out_lightness[i], out_a[i], out_b[i]);
        }
    }
};

template <class T>
using Cluster = detail::SlicCluster<T>;
using Span = detail::SlicSpan;

template <class T>
class Slic {
public:
    Slic(const View<const T, 3>& image, const detail::SlicGrid& grid, std::int32_t* labels)
        : lab_(image), grid_(grid), labels_(labels) {
        place_seeds();
        columns_.resize(static_cast<size_t>(lab_.pitch));
        std::iota(columns_.begin(), columns_.end(), T(0));
        // Pixels that no window covers keep their label; the first windows cover all.
        cluster_labels_.assign(lab_.lightness.size(), 0);
    }

    void assign(ptrdiff_t, T spatial_weight) {
        spatial_weight_ = spatial_weight;
        const auto lists = clusters_of_strips();
        parallel_for(lab_.n_rows, kStripRows, [&](ptrdiff_t begin, ptrdiff_t end) {
            std::vector<T> distance(static_cast<size_t>((end - begin) * lab_.pitch), std::numeric_limits<T>::max());
            for (const std::int32_t k : lists[static_cast<size_t>(begin / kStripRows)]) {
                const Cluster<T>& cluster = clusters_[static_cast<size_t>(k)];
                const Span rows = rows_of(cluster);
                const Span cols = cols_of(cluster);
                for (ptrdiff_t row = std::max(rows.begin, begin); row < std::min(rows.end, end); ++row) {
                    claim_row(cluster, k, row, cols, distance.data() + (row - begin) * lab_.pitch);
                }
            }
        });
    }

    void update(bool adaptive) {
        if (adaptive) {
            update_all<true>();
        } else {
            update_all<false>();
        }
    }

    // Copies the cluster numbers to the output as 0 .. S-1 in the order in which they are met.
    ptrdiff_t dense_labels() {
        std::vector<std::int32_t> number(clusters_.size(), -1);
        std::int32_t count = 0;
        for (ptrdiff_t row = 0; row < lab_.n_rows; ++row) {
            for (ptrdiff_t col = 0; col < lab_.n_cols; ++col) {
                auto& found = number[static_cast<size_t>(cluster_labels_[static_cast<size_t>(row * lab_.pitch + col)])];
                if (found < 0) {
                    found = count++;
                }
                labels_[row * lab_.n_cols + col] = found;
            }
        }
        return count;
    }

    // 4-connected components of equal cluster numbers; the small ones join a neighbour.
    ptrdiff_t connected_labels(double min_size) {
        std::vector<Run> runs;
        std::vector<size_t> first_run(static_cast<size_t>(lab_.n_rows) + 1);
        for (ptrdiff_t row = 0; row < lab_.n_rows; ++row) {
            first_run[static_cast<size_t>(row)] = runs.size();
            const std::int32_t* const label = cluster_labels_.data() + row * lab_.pitch;
            for (ptrdiff_t col = 0; col < lab_.n_cols; ++col) {
                if (col == 0 || label[col] != label[col - 1]) {
                    runs.push_back(
                        {label[col], static_cast<std::int32_t>(col), static_cast<std::int32_t>(runs.size()), -1});
                }
            }
        }
        first_run.back() = runs.size();
        const auto run_end = [&](size_t i, size_t row_end) {
            return i + 1 < row_end ? runs[i + 1].begin : static_cast<std::int32_t>(lab_.n_cols);
        };

        for (size_t row = 1; row < static_cast<size_t>(lab_.n_rows); ++row) {
            size_t above = first_run[row - 1];
            for (size_t i = first_run[row]; i < first_run[row + 1]; ++i) {
                const std::int32_t end = run_end(i, first_run[row + 1]);
                for (bool more = true; more;) {
                    if (runs[above].label == runs[i].label) {
                        const std::int32_t p = find_root(runs, static_cast<std::int32_t>(above));
                        const std::int32_t q = find_root(runs, static_cast<std::int32_t>(i));
                        runs[static_cast<size_t>(std::max(p, q))].parent = std::min(p, q);
                    }
                    const std::int32_t above_end = run_end(above, first_run[row]);
                    more = above_end < end;
                    above += above_end <= end ? 1 : 0;
                }
            }
        }

        std::vector<std::int32_t> size(runs.size(), 0);
        for (size_t row = 0; row < static_cast<size_t>(lab_.n_rows); ++row) {
            for (size_t i = first_run[row]; i < first_run[row + 1]; ++i) {
                const auto root = static_cast<size_t>(find_root(runs, static_cast<std::int32_t>(i)));
                size[root] += run_end(i, first_run[row + 1]) - runs[i].begin;
            }
        }

        // Components in the order of their first pixel. The pixel to the left of it, or above, belongs to an earlier
        // one, whose segment is known: what a small component joins. Only the first has no earlier one; while it is
        // small, the next, which always touches it, is added to it.
        std::int32_t count = 0;
        std::int32_t first_size = 0;
        for (size_t row = 0; row < static_cast<size_t>(lab_.n_rows); ++row) {
            std::int32_t* const out = labels_ + static_cast<ptrdiff_t>(row) * lab_.n_cols;
            for (size_t i = first_run[row]; i < first_run[row + 1]; ++i) {
                const std::int32_t begin = runs[i].begin;
                const std::int32_t end = run_end(i, first_run[row + 1]);
                const auto root = static_cast<size_t>(find_root(runs, static_cast<std::int32_t>(i)));
                if (root == i) {
                    const bool first_is_small = count == 1 && first_size < min_size;
                    if (count == 0 || (size[i] >= min_size && !first_is_small)) {
                        runs[i].segment = count++;
                    } else if (i > first_run[row]) {
                        runs[i].segment = out[begin - 1];
                    } else {
                        runs[i].segment = (out - lab_.n_cols)[begin];
                    }
                    first_size += runs[i].segment == 0 ? size[i] : 0;
                }
                std::fill(out + begin, out + end, runs[root].segment);
            }
        }
        return count;
    }

private:
    void place_seeds() {
        const auto difference = [&](ptrdiff_t row0, ptrdiff_t col0, ptrdiff_t row1, ptrdiff_t col1) {
            const auto p = static_cast<size_t>(row0 * lab_.pitch + col0);
            const auto q = static_cast<size_t>(row1 * lab_.pitch + col1);
            return detail::squared_distance(lab_.lightness[p], lab_.a[p], lab_.b[p], lab_.lightness[q], lab_.a[q],
                                            lab_.b[q]);
        };
        clusters_.reserve(static_cast<size_t>(grid_.n_clusters()));
        for (ptrdiff_t i = 0; i < grid_.down; ++i) {
            for (ptrdiff_t j = 0; j < grid_.across; ++j) {
                ptrdiff_t row = 0;
                ptrdiff_t col = 0;
                detail::slic_seed<T>(grid_, i, j, difference, row, col);
                const auto p = static_cast<size_t>(row * lab_.pitch + col);
                clusters_.push_back(
                    {lab_.lightness[p], lab_.a[p], lab_.b[p], static_cast<T>(row), static_cast<T>(col), T(1), T(1)});
            }
        }
    }

    Span rows_of(const Cluster<T>& cluster) const { return detail::slic_rows(grid_, cluster); }
    Span cols_of(const Cluster<T>& cluster) const { return detail::slic_cols(grid_, cluster); }

    // Which clusters reach into each strip of rows, by rising number.
    std::vector<std::vector<std::int32_t>> clusters_of_strips() const {
        std::vector<std::vector<std::int32_t>> lists(static_cast<size_t>((lab_.n_rows + kStripRows - 1) / kStripRows));
        for (size_t k = 0; k < clusters_.size(); ++k) {
            const Span rows = rows_of(clusters_[k]);
            for (ptrdiff_t strip = rows.begin / kStripRows; strip * kStripRows < rows.end; ++strip) {
                lists[static_cast<size_t>(strip)].push_back(static_cast<std::int32_t>(k));
            }
        }
        return lists;
    }

    void claim_row(const Cluster<T>& cluster, std::int32_t k, ptrdiff_t row, Span cols, T* distance) {
        const T* const lightness = lab_.lightness.data() + row * lab_.pitch;
        const T* const a = lab_.a.data() + row * lab_.pitch;
        const T* const b = lab_.b.data() + row * lab_.pitch;
        const T* const position = columns_.data();
        std::int32_t* const label = cluster_labels_.data() + row * lab_.pitch;
        const Cluster<T> c = cluster;
        const T dy = static_cast<T>(row) - c.row;
        const T dy2 = dy * dy;
        const T spatial = spatial_weight_;
        for (ptrdiff_t x = cols.begin; x < cols.end; x += kBlock) {
            const auto n = static_cast<std::int32_t>(std::min<ptrdiff_t>(cols.end - x, kBlock));
#pragma GCC ivdep
            for (std::int32_t i = 0; i < kBlock; ++i) {
                const T dx = position[x + i] - c.col;
                const T d = detail::slic_distance(lightness[x + i], a[x + i], b[x + i], dx, dy2, c, spatial);
                const bool nearer = (d < distance[x + i]) & (i < n);
                distance[x + i] = nearer ? d : distance[x + i];
                label[x + i] = nearer ? k : label[x + i];
            }
        }
    }

    // Of one part, lane by lane.
    struct BlockSums {
        T count[kBlock] = {};
        T lightness[kBlock] = {};
        T a[kBlock] = {};
        T b[kBlock] = {};
        T row[kBlock] = {};
        T col[kBlock] = {};
    };

    static void add(detail::SlicSums& sums, const BlockSums& part) {
        for (std::int32_t i = 0; i < kBlock; ++i) {
            sums.count += static_cast<double>(part.count[i]);
            sums.lightness += static_cast<double>(part.lightness[i]);
            sums.a += static_cast<double>(part.a[i]);
            sums.b += static_cast<double>(part.b[i]);
            sums.row += static_cast<double>(part.row[i]);
            sums.col += static_cast<double>(part.col[i]);
        }
    }

    template <bool Adaptive>
    void update_all() {
        const auto n_clusters = static_cast<ptrdiff_t>(clusters_.size());
        parallel_for(n_clusters, kClusterGrain, [&](ptrdiff_t begin, ptrdiff_t end) {
            for (ptrdiff_t k = begin; k < end; ++k) {
                update_cluster<Adaptive>(clusters_[static_cast<size_t>(k)], static_cast<std::int32_t>(k));
            }
        });
    }

    template <bool Adaptive>
    void update_cluster(Cluster<T>& cluster, std::int32_t k) const {
        const Span rows = rows_of(cluster);
        const Span cols = cols_of(cluster);
        const ptrdiff_t rows_per_part = detail::slic_rows_per_part(cols.end - cols.begin);
        T max_color[kBlock] = {};
        detail::SlicSums sums{};
        for (ptrdiff_t first = rows.begin; first < rows.end; first += rows_per_part) {
            BlockSums part;
            for (ptrdiff_t row = first; row < std::min(first + rows_per_part, rows.end); ++row) {
                add_row<Adaptive>(cluster, k, row, static_cast<T>(row - rows.begin), cols, part, max_color);
            }
            add(sums, part);
        }
        detail::slic_move(cluster, sums, rows, cols, Adaptive, *std::max_element(max_color, max_color + kBlock));
    }

    template <bool Adaptive>
    void add_row(const Cluster<T>& cluster, std::int32_t k, ptrdiff_t row, T row_in_window, Span cols, BlockSums& sums,
                 T* max_color) const {
        const T* const lightness = lab_.lightness.data() + row * lab_.pitch;
        const T* const a = lab_.a.data() + row * lab_.pitch;
        const T* const b = lab_.b.data() + row * lab_.pitch;
        const std::int32_t* const label = cluster_labels_.data() + row * lab_.pitch;
        const T* const position = columns_.data() - cols.begin;
        const Cluster<T> c = cluster;
        for (ptrdiff_t x = cols.begin; x < cols.end; x += kBlock) {
            const auto n = static_cast<std::int32_t>(std::min<ptrdiff_t>(cols.end - x, kBlock));
#pragma GCC ivdep
            for (std::int32_t i = 0; i < kBlock; ++i) {
                const T own = (label[x + i] == k) & (i < n) ? T(1) : T(0);
                sums.count[i] += own;
                sums.lightness[i] += own * lightness[x + i];
                sums.a[i] += own * a[x + i];
                sums.b[i] += own * b[x + i];
                sums.row[i] += own * row_in_window;
                sums.col[i] += own * position[x + i];
                if constexpr (Adaptive) {
                    const T color =
                        detail::squared_distance(lightness[x + i], a[x + i], b[x + i], c.lightness, c.a, c.b);
                    const T candidate = own * color;
                    max_color[i] = candidate > max_color[i] ? candidate : max_color[i];
                }
            }
        }
    }

    // A stretch of one row with one label. Runs are numbered row by row.
    struct Run {
        std::int32_t label;
        std::int32_t begin;
        std::int32_t parent;  // of the union-find forest: the lowest run number of a component is its root
        std::int32_t segment;
    };

    static std::int32_t find_root(std::vector<Run>& runs, std::int32_t i) {
        while (runs[static_cast<size_t>(i)].parent != i) {
            auto& parent = runs[static_cast<size_t>(i)].parent;
            parent = runs[static_cast<size_t>(parent)].parent;
            i = parent;
        }
        return i;
    }

    LabPlanes<T> lab_;
    detail::SlicGrid grid_;
    std::int32_t* labels_;
    std::vector<std::int32_t> cluster_labels_;
    std::vector<T> columns_;
    std::vector<Cluster<T>> clusters_;
    T spatial_weight_ = T(0);
};

}  // namespace

template <class T>
ptrdiff_t slic(const View<const T, 3>& image, const SlicParams& params, std::int32_t* labels, Monitor& monitor) {
    detail::check_slic(image, params);
    const detail::SlicGrid grid = detail::slic_grid(image.extent(0), image.extent(1), params.n_segments);
    Slic<T> system(image, grid, labels);
    return detail::slic_loop<T>(system, grid, params, monitor);
}

template ptrdiff_t slic<float>(const View<const float, 3>&, const SlicParams&, std::int32_t*, Monitor&);
template ptrdiff_t slic<double>(const View<const double, 3>&, const SlicParams&, std::int32_t*, Monitor&);

}  // namespace fastsoft
