// SPDX-License-Identifier: MIT
#include "fastsoft/slic.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "fastsoft/core/error.hpp"
#include "fastsoft/core/parallel.hpp"
#include "fastsoft/detail/slic_pixel.hpp"

namespace fastsoft {
namespace {

using std::ptrdiff_t;
using std::size_t;

// Rows are processed in blocks of this many pixels, which the compiler turns into a few vector registers; what lies
// outside a window is masked. Planes are padded by one block so that a block may begin at the last pixel.
constexpr std::int32_t kBlock = 16;
constexpr ptrdiff_t kStripRows = 16;
constexpr ptrdiff_t kClusterGrain = 32;
// Terms that are added in T before they are added in double.
constexpr ptrdiff_t kBlocksPerSum = 512;
// Below this, distances in the image would be lost in the rounding of colour distances.
constexpr double kMinCompactness = 1e-3;

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
struct Cluster {
    T lightness;
    T a;
    T b;
    T row;
    T col;
    T color_weight;  // 1, or 1 / m^2 from the second iteration of SLIC0 on
    T max_color;     // largest squared colour distance so far
};

struct Span {
    ptrdiff_t begin;
    ptrdiff_t end;
};

template <class T>
class Slic {
public:
    Slic(const View<const T, 3>& image, const SlicParams& params, std::int32_t* labels)
        : lab_(image), params_(params), labels_(labels) {
        place_seeds();
        columns_.resize(static_cast<size_t>(lab_.pitch));
        std::iota(columns_.begin(), columns_.end(), T(0));
        // Pixels that no window covers keep their label; the first windows cover all.
        cluster_labels_.assign(lab_.lightness.size(), 0);
    }

    ptrdiff_t run(Monitor& monitor) {
        const auto steps = static_cast<double>(params_.max_iterations + 2);
        for (ptrdiff_t iteration = 0; iteration < params_.max_iterations; ++iteration) {
            monitor.report(static_cast<double>(iteration + 1) / steps);
            assign();
            if (params_.adaptive) {
                update<true>();
                spatial_weight_ = static_cast<T>(1.0 / (cell_height_ * cell_width_));
            } else {
                update<false>();
            }
        }
        monitor.report((steps - 1.0) / steps);
        const ptrdiff_t count = params_.enforce_connectivity ? connected_labels() : dense_labels();
        monitor.report(1.0);
        return count;
    }

private:
    // A grid of about n_segments seeds in the middle of equal cells, near squares where the picture allows.
    void place_seeds() {
        const auto height = static_cast<double>(lab_.n_rows);
        const auto width = static_cast<double>(lab_.n_cols);
        const auto wanted = static_cast<double>(params_.n_segments);
        const auto down = std::clamp(std::round(std::sqrt(wanted * height / width)), 1.0, std::min(height, wanted));
        const auto across = std::clamp(std::round(wanted / down), 1.0, width);
        cell_height_ = height / down;
        cell_width_ = width / across;
        // In all of SLIC and in the first iteration of SLIC0 the clusters share one m. The distance times m^2 orders
        // them in the same way without numbers that overflow for a tiny m.
        const double m = std::max(params_.compactness, kMinCompactness);
        spatial_weight_ = static_cast<T>(m * m / (cell_height_ * cell_width_));
        const bool perturb = std::min(cell_height_, cell_width_) >= 3.0;
        clusters_.reserve(static_cast<size_t>(down * across));
        for (ptrdiff_t i = 0; i < static_cast<ptrdiff_t>(down); ++i) {
            for (ptrdiff_t j = 0; j < static_cast<ptrdiff_t>(across); ++j) {
                auto row = static_cast<ptrdiff_t>((static_cast<double>(i) + 0.5) * cell_height_);
                auto col = static_cast<ptrdiff_t>((static_cast<double>(j) + 0.5) * cell_width_);
                if (perturb) {
                    move_to_lowest_gradient(row, col);
                }
                const auto p = static_cast<size_t>(row * lab_.pitch + col);
                clusters_.push_back(
                    {lab_.lightness[p], lab_.a[p], lab_.b[p], static_cast<T>(row), static_cast<T>(col), T(1), T(1)});
            }
        }
    }

    T difference(ptrdiff_t row0, ptrdiff_t col0, ptrdiff_t row1, ptrdiff_t col1) const {
        const auto p = static_cast<size_t>(row0 * lab_.pitch + col0);
        const auto q = static_cast<size_t>(row1 * lab_.pitch + col1);
        return detail::squared_distance(lab_.lightness[p], lab_.a[p], lab_.b[p], lab_.lightness[q], lab_.a[q],
                                        lab_.b[q]);
    }

    // Eq. 2 over the 3x3 pixels around a seed; the seed itself wins a tie. Cells are at least 3 pixels long here, so
    // that a seed has eight neighbours.
    void move_to_lowest_gradient(ptrdiff_t& row, ptrdiff_t& col) const {
        const auto gradient = [&](ptrdiff_t r, ptrdiff_t c) {
            const ptrdiff_t below = std::min(r + 1, lab_.n_rows - 1);
            const ptrdiff_t above = std::max<ptrdiff_t>(r - 1, 0);
            const ptrdiff_t right = std::min(c + 1, lab_.n_cols - 1);
            const ptrdiff_t left = std::max<ptrdiff_t>(c - 1, 0);
            return difference(r, right, r, left) + difference(below, c, above, c);
        };
        const ptrdiff_t seed_row = row;
        const ptrdiff_t seed_col = col;
        T lowest = gradient(row, col);
        for (ptrdiff_t r = seed_row - 1; r <= seed_row + 1; ++r) {
            for (ptrdiff_t c = seed_col - 1; c <= seed_col + 1; ++c) {
                const T found = gradient(r, c);
                if (found < lowest) {
                    lowest = found;
                    row = r;
                    col = c;
                }
            }
        }
    }

    // Reaches one cell side, rounded up, to both sides of the centre.
    static Span window(T center, double side, ptrdiff_t n) {
        const auto middle = static_cast<double>(center);
        const double reach = std::ceil(side);
        return {std::max<ptrdiff_t>(static_cast<ptrdiff_t>(std::ceil(middle - reach)), 0),
                std::min<ptrdiff_t>(static_cast<ptrdiff_t>(std::floor(middle + reach)) + 1, n)};
    }
    Span rows_of(const Cluster<T>& cluster) const { return window(cluster.row, cell_height_, lab_.n_rows); }
    Span cols_of(const Cluster<T>& cluster) const { return window(cluster.col, cell_width_, lab_.n_cols); }

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

    // Gives every pixel to the nearest cluster whose window covers it, the one with the lowest number in a tie.
    void assign() {
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
                const T color = detail::squared_distance(lightness[x + i], a[x + i], b[x + i], c.lightness, c.a, c.b);
                const T dx = position[x + i] - c.col;
                const T d = color * c.color_weight + (dx * dx + dy2) * spatial;
                const bool nearer = (d < distance[x + i]) & (i < n);
                distance[x + i] = nearer ? d : distance[x + i];
                label[x + i] = nearer ? k : label[x + i];
            }
        }
    }

    // Sums over pixels of one cluster, kept apart by position in the block. Rows and columns count from the corner of
    // the window, so that their sums are whole numbers below 2^24 and exact even in float32.
    struct BlockSums {
        T count[kBlock] = {};
        T lightness[kBlock] = {};
        T a[kBlock] = {};
        T b[kBlock] = {};
        T row[kBlock] = {};
        T col[kBlock] = {};
    };

    struct Sums {
        double count = 0.0;
        double lightness = 0.0;
        double a = 0.0;
        double b = 0.0;
        double row = 0.0;
        double col = 0.0;

        void add(const BlockSums& part) {
            for (std::int32_t i = 0; i < kBlock; ++i) {
                count += static_cast<double>(part.count[i]);
                lightness += static_cast<double>(part.lightness[i]);
                a += static_cast<double>(part.a[i]);
                b += static_cast<double>(part.b[i]);
                row += static_cast<double>(part.row[i]);
                col += static_cast<double>(part.col[i]);
            }
        }
    };

    // Moves every cluster to the mean of its pixels. A cluster without pixels stays where it is.
    template <bool Adaptive>
    void update() {
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
        const ptrdiff_t blocks_per_row = (cols.end - cols.begin + kBlock - 1) / kBlock;
        const ptrdiff_t rows_per_part = std::max<ptrdiff_t>(kBlocksPerSum / blocks_per_row, 1);
        T max_color[kBlock] = {};
        Sums sums;
        for (ptrdiff_t first = rows.begin; first < rows.end; first += rows_per_part) {
            BlockSums part;
            for (ptrdiff_t row = first; row < std::min(first + rows_per_part, rows.end); ++row) {
                add_row<Adaptive>(cluster, k, row, static_cast<T>(row - rows.begin), cols, part, max_color);
            }
            sums.add(part);
        }
        if (sums.count == 0.0) {
            return;
        }
        if constexpr (Adaptive) {
            cluster.max_color = std::max(cluster.max_color, *std::max_element(max_color, max_color + kBlock));
            cluster.color_weight = T(1) / cluster.max_color;
        }
        cluster.lightness = static_cast<T>(sums.lightness / sums.count);
        cluster.a = static_cast<T>(sums.a / sums.count);
        cluster.b = static_cast<T>(sums.b / sums.count);
        cluster.row = static_cast<T>(static_cast<double>(rows.begin) + sums.row / sums.count);
        cluster.col = static_cast<T>(static_cast<double>(cols.begin) + sums.col / sums.count);
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

    // 4-connected components of equal cluster numbers; the small ones join a neighbour.
    ptrdiff_t connected_labels() {
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
        const double min_size = cell_height_ * cell_width_ / 4.0;
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

    LabPlanes<T> lab_;
    SlicParams params_;
    std::int32_t* labels_;
    std::vector<std::int32_t> cluster_labels_;
    std::vector<T> columns_;
    std::vector<Cluster<T>> clusters_;
    double cell_height_ = 0.0;
    double cell_width_ = 0.0;
    T spatial_weight_ = T(0);
};

}  // namespace

template <class T>
ptrdiff_t slic(const View<const T, 3>& image, const SlicParams& params, std::int32_t* labels, Monitor& monitor) {
    const ptrdiff_t n_pixels = image.extent(0) * image.extent(1);
    FASTSOFT_EXPECTS(n_pixels > 0 && image.extent(2) == 3, "image must have shape (H, W, 3) and pixels");
    FASTSOFT_EXPECTS(n_pixels <= std::numeric_limits<std::int32_t>::max(), "image must have fewer than 2^31 pixels");
    FASTSOFT_EXPECTS(params.n_segments >= 1 && params.n_segments <= n_pixels, "n_segments must be in 1..", n_pixels,
                     ", got ", params.n_segments);
    FASTSOFT_EXPECTS(params.compactness >= 0.0, "compactness must be at least 0, got ", params.compactness);
    FASTSOFT_EXPECTS(params.max_iterations >= 1, "max_iterations must be at least 1, got ", params.max_iterations);
    return Slic<T>(image, params, labels).run(monitor);
}

template ptrdiff_t slic<float>(const View<const float, 3>&, const SlicParams&, std::int32_t*, Monitor&);
template ptrdiff_t slic<double>(const View<const double, 3>&, const SlicParams&, std::int32_t*, Monitor&);

}  // namespace fastsoft
