// SPDX-License-Identifier: MIT
#include "fastsoft/superpixel_graph.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <mutex>
#include <vector>

#include "fastsoft/core/error.hpp"
#include "fastsoft/core/parallel.hpp"
#include "fastsoft/detail/superpixel_graph_checks.hpp"
#include "fastsoft/detail/superpixel_graph_pixel.hpp"

namespace fastsoft {
namespace {

using Labels = View<const std::int32_t, 2>;

constexpr std::ptrdiff_t kMaxBands = 32;
constexpr std::ptrdiff_t kPairGrain = 64;  // superpixels per task of an all-pairs loop

// Rows per band. Each band keeps numbers per superpixel of its own; four pixels per superpixel and band bound their
// memory by that of the image.
std::ptrdiff_t band_rows(std::ptrdiff_t height, std::ptrdiff_t width, std::ptrdiff_t n_superpixels) {
    const std::ptrdiff_t n_bands = std::clamp<std::ptrdiff_t>(height * width / (4 * n_superpixels), 1, kMaxBands);
    return (height + n_bands - 1) / n_bands;
}

std::size_t at(std::ptrdiff_t index) {
    return static_cast<std::size_t>(index);
}

std::ptrdiff_t count_labels(const Labels& labels) {
    struct Range {
        std::int32_t low = std::numeric_limits<std::int32_t>::max();
        std::int32_t high = std::numeric_limits<std::int32_t>::min();
        Range& operator+=(const Range& other) {
            low = std::min(low, other.low);
            high = std::max(high, other.high);
            return *this;
        }
    };
    const auto range = parallel_sum<Range>(labels.extent(0), 64, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
        Range found;
        for (std::ptrdiff_t r = begin; r < end; ++r) {
            for (std::ptrdiff_t c = 0; c < labels.extent(1); ++c) {
                found.low = std::min(found.low, labels(r, c));
                found.high = std::max(found.high, labels(r, c));
            }
        }
        return found;
    });
    return detail::check_label_range(range.low, range.high, labels.size());
}

// Distinct unordered pairs of labels.
class PairSet {
public:
    void add(std::int32_t a, std::int32_t b) {
        const std::uint64_t key = a < b ? pack(a, b) : pack(b, a);
        // A border of many pixels repeats its pair; a table of recent pairs drops nearly all of that.
        std::uint64_t& slot = recent_[(key * 0x9E3779B97F4A7C15ULL) >> 52];
        if (slot != key) {
            slot = key;
            keys_.push_back(key);
        }
    }

    const std::vector<std::uint64_t>& keys() const { return keys_; }

private:
    static std::uint64_t pack(std::int32_t low, std::int32_t high) {
        return (static_cast<std::uint64_t>(low) << 32) | static_cast<std::uint32_t>(high);
    }

    // 0 is the pair (0, 0), which never occurs.
    std::vector<std::uint64_t> recent_ = std::vector<std::uint64_t>(4096);
    std::vector<std::uint64_t> keys_;
};

// What one band of rows knows about every superpixel.
struct Moments {
    std::vector<std::int64_t> count;
    std::vector<std::int64_t> row_sum;
    std::vector<std::int64_t> col_sum;

    explicit Moments(std::ptrdiff_t n) : count(at(n)), row_sum(at(n)), col_sum(at(n)) {}

    void add_row(const Labels& labels, std::ptrdiff_t row) {
        const std::ptrdiff_t width = labels.extent(1);
        for (std::ptrdiff_t first = 0; first < width;) {
            const std::int32_t label = labels(row, first);
            std::ptrdiff_t last = first;
            while (last + 1 < width && labels(row, last + 1) == label) {
                ++last;
            }
            const std::ptrdiff_t length = last - first + 1;
            count[at(label)] += length;
            row_sum[at(label)] += row * length;
            col_sum[at(label)] += (first + last) * length / 2;
            first = last + 1;
        }
    }
};

void add_pairs(const Labels& labels, std::ptrdiff_t row, PairSet& pairs) {
    const std::ptrdiff_t width = labels.extent(1);
    const bool has_below = row + 1 < labels.extent(0);
    for (std::ptrdiff_t c = 0; c < width; ++c) {
        const std::int32_t own = labels(row, c);
        const auto meet = [&](std::int32_t other) {
            if (other != own) {
                pairs.add(own, other);
            }
        };
        if (c + 1 < width) {
            meet(labels(row, c + 1));
        }
        if (has_below) {
            if (c > 0) {
                meet(labels(row + 1, c - 1));
            }
            meet(labels(row + 1, c));
            if (c + 1 < width) {
                meet(labels(row + 1, c + 1));
            }
        }
    }
}

// Upper triangle, as triples sorted by (row, col), of a symmetric matrix over pixels.
struct PixelEdges {
    std::vector<std::int32_t> rows;
    std::vector<std::int32_t> cols;
    std::vector<double> weights;
};

struct Edge {
    std::uint64_t key;
    double weight;
};

// Adds the edge between the centroid pixels of superpixels i and j.
void add_edge(std::vector<Edge>& edges, const std::int32_t* centroids, std::ptrdiff_t i, std::ptrdiff_t j,
              std::ptrdiff_t width, double weight) {
    const auto pixel = [&](std::ptrdiff_t k) {
        return static_cast<std::uint64_t>(std::ptrdiff_t{centroids[2 * k]} * width + centroids[2 * k + 1]);
    };
    const std::uint64_t a = pixel(i);
    const std::uint64_t b = pixel(j);
    if (a != b && weight != 0.0) {
        edges.push_back({(std::min(a, b) << 32) | std::max(a, b), weight});
    }
}

PixelEdges sorted_and_added(std::vector<Edge>& edges) {
    // Stable, so that edges between the same pixels are added in one order.
    std::stable_sort(edges.begin(), edges.end(), [](const Edge& a, const Edge& b) { return a.key < b.key; });
    PixelEdges result;
    for (std::size_t e = 0; e < edges.size(); ++e) {
        if (e > 0 && edges[e].key == edges[e - 1].key) {
            result.weights.back() += edges[e].weight;
            continue;
        }
        result.rows.push_back(static_cast<std::int32_t>(edges[e].key >> 32));
        result.cols.push_back(static_cast<std::int32_t>(edges[e].key & 0xFFFFFFFFU));
        result.weights.push_back(edges[e].weight);
    }
    return result;
}

// Runs body(i, edges) for every superpixel i and returns the edges in the order of i.
template <class Body>
std::vector<Edge> collect_edges(std::ptrdiff_t n, const Body& body) {
    const std::ptrdiff_t n_chunks = (n + kPairGrain - 1) / kPairGrain;
    std::vector<std::vector<Edge>> parts(at(n_chunks));
    parallel_for(n, kPairGrain, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
        for (std::ptrdiff_t i = begin; i < end; ++i) {
            body(i, parts[at(begin / kPairGrain)]);
        }
    });
    std::vector<Edge> edges;
    for (const auto& part : parts) {
        edges.insert(edges.end(), part.begin(), part.end());
    }
    return edges;
}

// Both triangles as CSR.
template <class T>
void write_matrix(const PixelEdges& edges, std::ptrdiff_t n, const CsrOutput<T>& out) {
    const std::size_t n_edges = edges.weights.size();
    std::int64_t* const indptr = out.indptr;
    std::int32_t* const indices = out.indices(static_cast<std::ptrdiff_t>(2 * n_edges));
    T* const data = out.data(static_cast<std::ptrdiff_t>(2 * n_edges));
    std::fill(indptr, indptr + n + 1, std::int64_t{0});
    for (std::size_t e = 0; e < n_edges; ++e) {
        FASTSOFT_EXPECTS(edges.rows[e] >= 0 && edges.rows[e] < edges.cols[e] && edges.cols[e] < n,
                         "edges must join pixels row < col < ", n, ", got ", edges.rows[e], " and ", edges.cols[e]);
        ++indptr[edges.rows[e] + 1];
        ++indptr[edges.cols[e] + 1];
    }
    for (std::ptrdiff_t i = 0; i < n; ++i) {
        indptr[i + 1] += indptr[i];
    }
    // Entries left of the diagonal first, then those right of it; either kind comes in order of its column, since edges
    // are sorted.
    std::vector<std::int64_t> next(indptr, indptr + n);
    const auto put = [&](std::int32_t row, std::int32_t col, double weight) {
        const std::int64_t place = next[at(row)]++;
        indices[place] = col;
        data[place] = static_cast<T>(weight);
    };
    for (std::size_t e = 0; e < n_edges; ++e) {
        put(edges.cols[e], edges.rows[e], edges.weights[e]);
    }
    for (std::size_t e = 0; e < n_edges; ++e) {
        put(edges.rows[e], edges.cols[e], edges.weights[e]);
    }
}

}  // namespace

void superpixel_graph(const View<const std::int32_t, 2>& labels, const SuperpixelGraphOutput& out) {
    detail::check_label_image(labels);
    const std::ptrdiff_t n = count_labels(labels);
    const std::ptrdiff_t height = labels.extent(0);
    const std::ptrdiff_t rows = band_rows(height, labels.extent(1), n);

    // Sums are of integers and the pairs are a set: the order in which bands finish leaves no trace.
    Moments total(n);
    std::vector<std::uint64_t> keys;
    std::mutex mutex;
    parallel_for(height, rows, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
        Moments moments(n);
        PairSet pairs;
        for (std::ptrdiff_t row = begin; row < end; ++row) {
            moments.add_row(labels, row);
            add_pairs(labels, row, pairs);
        }
        const std::lock_guard<std::mutex> lock(mutex);
        for (std::ptrdiff_t i = 0; i < n; ++i) {
            total.count[at(i)] += moments.count[at(i)];
            total.row_sum[at(i)] += moments.row_sum[at(i)];
            total.col_sum[at(i)] += moments.col_sum[at(i)];
        }
        keys.insert(keys.end(), pairs.keys().begin(), pairs.keys().end());
    });

    for (std::ptrdiff_t i = 0; i < n; ++i) {
        FASTSOFT_EXPECTS(total.count[at(i)] > 0, "labels must be dense 0..", n - 1, ", but no pixel has label ", i);
    }
    std::copy(total.count.begin(), total.count.end(), out.counts(n));
    std::int32_t* const centroids = out.centroids(n);
    std::int32_t* const centroid_indices = out.centroid_indices(n);
    for (std::ptrdiff_t i = 0; i < n; ++i) {
        const std::int64_t row = detail::rounded_mean(total.row_sum[at(i)], total.count[at(i)]);
        const std::int64_t col = detail::rounded_mean(total.col_sum[at(i)], total.count[at(i)]);
        centroids[2 * i] = static_cast<std::int32_t>(row);
        centroids[2 * i + 1] = static_cast<std::int32_t>(col);
        centroid_indices[i] = static_cast<std::int32_t>(row * labels.extent(1) + col);
    }

    std::sort(keys.begin(), keys.end());
    keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
    std::int32_t* pair = out.adjacent_pairs(static_cast<std::ptrdiff_t>(keys.size()));
    for (const std::uint64_t key : keys) {
        *pair++ = static_cast<std::int32_t>(key >> 32);
        *pair++ = static_cast<std::int32_t>(key & 0xFFFFFFFFU);
    }
}

template <class T>
void region_means(const View<const T, 3>& values, const View<const std::int32_t, 2>& labels,
                  std::ptrdiff_t n_superpixels, T* means) {
    const std::ptrdiff_t height = labels.extent(0);
    const std::ptrdiff_t width = labels.extent(1);
    const std::ptrdiff_t n_channels = values.extent(2);
    detail::check_region_means<T>(values, labels, n_superpixels);

    // Per label its number of pixels, then its sums.
    struct Sums {
        std::vector<double> numbers;
        Sums& operator+=(const Sums& other) {
            if (numbers.empty()) {
                numbers = other.numbers;
            } else {
                for (std::size_t i = 0; i < numbers.size(); ++i) {
                    numbers[i] += other.numbers[i];
                }
            }
            return *this;
        }
    };
    const std::ptrdiff_t step = n_channels + 1;
    const std::ptrdiff_t channel = values.stride(2);
    const Sums total = parallel_sum<Sums>(
        height, band_rows(height, width, n_superpixels), [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
            Sums sums;
            sums.numbers.resize(at(n_superpixels * step));
            for (std::ptrdiff_t r = begin; r < end; ++r) {
                const T* pixel = values.data() + r * values.stride(0);
                for (std::ptrdiff_t c = 0; c < width; ++c, pixel += values.stride(1)) {
                    const std::int32_t label = labels(r, c);
                    FASTSOFT_EXPECTS(label >= 0 && label < n_superpixels, "labels must be in 0..", n_superpixels - 1,
                                     ", got ", label);
                    double* const own = sums.numbers.data() + label * step;
                    own[0] += 1.0;
                    for (std::ptrdiff_t k = 0; k < n_channels; ++k) {
                        own[1 + k] += static_cast<double>(pixel[k * channel]);
                    }
                }
            }
            return sums;
        });
    for (std::ptrdiff_t i = 0; i < n_superpixels; ++i) {
        const double* const own = total.numbers.data() + i * step;
        FASTSOFT_EXPECTS(own[0] > 0.0, "labels must be dense 0..", n_superpixels - 1, ", but no pixel has label ", i);
        for (std::ptrdiff_t k = 0; k < n_channels; ++k) {
            means[i * n_channels + k] = static_cast<T>(own[1 + k] / own[0]);
        }
    }
}

template <class T>
void color_affinity(const SuperpixelValues<T>& colors, double steepness, double threshold, double max_distance,
                    const CsrOutput<T>& out) {
    const std::ptrdiff_t n = colors.n_superpixels;
    std::vector<double> rows(at(n));
    std::vector<double> cols(at(n));
    for (std::ptrdiff_t i = 0; i < n; ++i) {
        rows[at(i)] = detail::scaled_coordinate(colors.centroids[2 * i], colors.height);
        cols[at(i)] = detail::scaled_coordinate(colors.centroids[2 * i + 1], colors.width);
    }
    auto edges = collect_edges(n, [&](std::ptrdiff_t i, std::vector<Edge>& found) {
        for (std::ptrdiff_t j = i + 1; j < n; ++j) {
            if (detail::centroids_are_near(rows[at(i)], cols[at(i)], rows[at(j)], cols[at(j)], max_distance)) {
                const double distance = detail::euclidean_distance(
                    colors.values + i * colors.n_channels, colors.values + j * colors.n_channels, colors.n_channels);
                add_edge(found, colors.centroids, i, j, colors.width,
                         detail::color_affinity(distance, steepness, threshold));
            }
        }
    });
    write_matrix<T>(sorted_and_added(edges), colors.height * colors.width, out);
}

template <class T>
void semantic_affinity(const SuperpixelValues<T>& features, const std::int32_t* adjacent_pairs, std::ptrdiff_t n_pairs,
                       double steepness, double threshold, const CsrOutput<T>& out) {
    const std::ptrdiff_t n_superpixels = features.n_superpixels;
    auto edges = collect_edges(n_pairs, [&](std::ptrdiff_t p, std::vector<Edge>& found) {
        const std::int32_t i = adjacent_pairs[2 * p];
        const std::int32_t j = adjacent_pairs[2 * p + 1];
        FASTSOFT_EXPECTS(i >= 0 && i < n_superpixels && j >= 0 && j < n_superpixels, "adjacent_pairs must be in 0..",
                         n_superpixels - 1, ", got (", i, ", ", j, ")");
        const double distance = detail::euclidean_distance(
            features.values + i * features.n_channels, features.values + j * features.n_channels, features.n_channels);
        add_edge(found, features.centroids, i, j, features.width,
                 detail::semantic_affinity(distance, steepness, threshold));
    });
    write_matrix<T>(sorted_and_added(edges), features.height * features.width, out);
}

#define FASTSOFT_INSTANTIATE(T)                                                                                      \
    template void region_means(const View<const T, 3>&, const View<const std::int32_t, 2>&, std::ptrdiff_t, T*);     \
    template void color_affinity(const SuperpixelValues<T>&, double, double, double, const CsrOutput<T>&);           \
    template void semantic_affinity(const SuperpixelValues<T>&, const std::int32_t*, std::ptrdiff_t, double, double, \
                                    const CsrOutput<T>&)

FASTSOFT_INSTANTIATE(float);
FASTSOFT_INSTANTIATE(double);

}  // namespace fastsoft
