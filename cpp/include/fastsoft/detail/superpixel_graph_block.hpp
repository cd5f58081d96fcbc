// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

#include "fastsoft/core/block.hpp"
#include "fastsoft/core/view.hpp"
#include "fastsoft/detail/each_block.hpp"
#include "fastsoft/detail/sort_block.hpp"
#include "fastsoft/detail/superpixel_graph_pixel.hpp"

// Kernels of the superpixel graph.
namespace fastsoft::detail {

// The pixels with their labels as keys.
struct LabelledPixels {
    struct Arguments {
        View<const std::int32_t, 2> labels;
        KeyedValues pixels;
    };

    FASTSOFT_HD static std::ptrdiff_t size(const Arguments& a) { return a.labels.size(); }
    FASTSOFT_HD static void run(const Arguments& a, std::ptrdiff_t i) {
        a.pixels.keys[i] = static_cast<std::uint32_t>(a.labels(i / a.labels.extent(1), i % a.labels.extent(1)));
        a.pixels.values[i] = static_cast<std::int32_t>(i);
    }
};

// begins[s] = how many keys are below s, for s = 0 .. n_segments, from keys in ascending order. A thread per key, and
// one for the end, writes what lies between its key and the one before.
struct SegmentBegins {
    struct Arguments {
        const std::uint32_t* keys;
        std::ptrdiff_t count;
        std::ptrdiff_t n_segments;
        std::int32_t* begins;
    };

    FASTSOFT_HD static std::ptrdiff_t size(const Arguments& a) { return a.count + 1; }
    FASTSOFT_HD static void run(const Arguments& a, std::ptrdiff_t i) {
        const std::ptrdiff_t last = i == a.count ? a.n_segments : static_cast<std::ptrdiff_t>(a.keys[i]);
        for (std::ptrdiff_t s = i == 0 ? 0 : static_cast<std::ptrdiff_t>(a.keys[i - 1]) + 1; s <= last; ++s) {
            a.begins[s] = static_cast<std::int32_t>(i);
        }
    }
};

// One block: the first segment that is empty, or -1.
struct EmptySegmentBlock {
    static constexpr int kThreads = 256;

    struct Arguments {
        const std::int32_t* begins;
        std::ptrdiff_t n_segments;
        std::int64_t* found;
    };

    struct Shared {
        std::ptrdiff_t first[kThreads];
    };

    using Registers = Nothing;

    FASTSOFT_HD static std::ptrdiff_t n_blocks(const Arguments&) { return 1; }
    FASTSOFT_HD static int n_phases(const Arguments&) { return 2; }

    FASTSOFT_HD static void phase(int phase, const Arguments& a, Shared& shared, Registers&, std::ptrdiff_t,
                                  int thread) {
        if (phase == 0) {
            std::ptrdiff_t s = thread;
            while (s < a.n_segments && a.begins[s] < a.begins[s + 1]) {
                s += kThreads;
            }
            shared.first[thread] = s;
        } else if (thread == 0) {
            std::ptrdiff_t first = a.n_segments;
            for (const std::ptrdiff_t s : shared.first) {
                first = s < first ? s : first;
            }
            *a.found = first < a.n_segments ? first : -1;
        }
    }
};

// A block per superpixel, its pixels in ascending order: sums over them by a tree of a shape that depends on their
// number only.
struct SuperpixelBlock {
    static constexpr int kThreads = 128;

    // Of kCount numbers per thread, into those of thread 0; n_reduce_phases() phases.
    template <class Number, int Count>
    struct Sums {
        Number value[Count][kThreads];

        FASTSOFT_HD void reduce_phase(int step, int thread) {
            const int half = kThreads >> (step + 1);
            if (thread < half) {
                for (int k = 0; k < Count; ++k) {
                    value[k][thread] += value[k][thread + half];
                }
            }
        }
    };

    static constexpr int kReducePhases = n_scan_phases<kThreads>();
};

// Sizes and centroid pixels.
struct CentroidsBlock : SuperpixelBlock {
    struct Arguments {
        std::ptrdiff_t n_superpixels;
        std::ptrdiff_t width;
        const std::int32_t* begins;
        const std::int32_t* pixels;
        std::int64_t* counts;
        std::int32_t* centroids;
        std::int32_t* centroid_indices;
    };

    struct Shared {
        Sums<std::int64_t, 2> sums;
    };

    using Registers = Nothing;

    FASTSOFT_HD static std::ptrdiff_t n_blocks(const Arguments& a) { return a.n_superpixels; }
    FASTSOFT_HD static int n_phases(const Arguments&) { return 2 + kReducePhases; }

    FASTSOFT_HD static void phase(int phase, const Arguments& a, Shared& shared, Registers&, std::ptrdiff_t block,
                                  int thread) {
        const std::int32_t end = a.begins[block + 1];
        if (phase == 0) {
            std::int64_t row_sum = 0;
            std::int64_t col_sum = 0;
            for (std::ptrdiff_t i = a.begins[block] + thread; i < end; i += kThreads) {
                row_sum += a.pixels[i] / a.width;
                col_sum += a.pixels[i] % a.width;
            }
            shared.sums.value[0][thread] = row_sum;
            shared.sums.value[1][thread] = col_sum;
        } else if (phase <= kReducePhases) {
            shared.sums.reduce_phase(phase - 1, thread);
        } else if (thread == 0) {
            const std::int64_t count = end - a.begins[block];
            a.counts[block] = count;
            if (count > 0) {
                const std::int64_t row = rounded_mean(shared.sums.value[0][0], count);
                const std::int64_t col = rounded_mean(shared.sums.value[1][0], count);
                a.centroids[2 * block] = static_cast<std::int32_t>(row);
                a.centroids[2 * block + 1] = static_cast<std::int32_t>(col);
                a.centroid_indices[block] = static_cast<std::int32_t>(row * a.width + col);
            }
        }
    }
};

// Means in double, a few channels at a time.
template <class T>
struct RegionMeansBlock : SuperpixelBlock {
    static constexpr int kChannels = 4;
    static constexpr int kRoundPhases = 2 + kReducePhases;

    struct Arguments {
        View<const T, 3> values;
        std::ptrdiff_t n_superpixels;
        const std::int32_t* begins;
        const std::int32_t* pixels;
        T* means;
    };

    struct Shared {
        Sums<double, kChannels> sums;
    };

    using Registers = Nothing;

    FASTSOFT_HD static std::ptrdiff_t n_blocks(const Arguments& a) {
        return a.values.extent(2) == 0 ? 0 : a.n_superpixels;
    }
    FASTSOFT_HD static int n_phases(const Arguments& a) {
        return static_cast<int>(divide_up(a.values.extent(2), kChannels)) * kRoundPhases;
    }

    FASTSOFT_HD static void phase(int phase, const Arguments& a, Shared& shared, Registers&, std::ptrdiff_t block,
                                  int thread) {
        const std::ptrdiff_t n_channels = a.values.extent(2);
        const std::ptrdiff_t channel = static_cast<std::ptrdiff_t>(phase / kRoundPhases) * kChannels;
        const auto count = static_cast<int>(n_channels - channel < kChannels ? n_channels - channel : kChannels);
        const int step = phase % kRoundPhases;
        if (step == 0) {
            double sum[kChannels] = {};
            const std::ptrdiff_t width = a.values.extent(1);
            for (std::ptrdiff_t i = a.begins[block] + thread; i < a.begins[block + 1]; i += kThreads) {
                const T* const pixel = &a.values(a.pixels[i] / width, a.pixels[i] % width, channel);
                FASTSOFT_UNROLL(4)
                for (int k = 0; k < kChannels; ++k) {
                    sum[k] += k < count ? static_cast<double>(pixel[k * a.values.stride(2)]) : 0.0;
                }
            }
            FASTSOFT_UNROLL(4)
            for (int k = 0; k < kChannels; ++k) {
                shared.sums.value[k][thread] = sum[k];
            }
        } else if (step <= kReducePhases) {
            shared.sums.reduce_phase(step - 1, thread);
        } else if (thread < count) {
            const auto n_pixels = static_cast<double>(a.begins[block + 1] - a.begins[block]);
            a.means[block * n_channels + channel + thread] = static_cast<T>(shared.sums.value[thread][0] / n_pixels);
        }
    }
};

// Pairs of different labels that touch, the larger one as key: a thread per pixel looks right and below. Where the
// pixel to the left or above is of the same label and has the same neighbour at the same side, that one tells of the
// pair. Two launches: count per block, then write.
struct TouchingPairsBlock {
    static constexpr int kThreads = 256;
    static constexpr int kSides = 4;

    struct Arguments {
        View<const std::int32_t, 2> labels;
        std::int32_t* counts;        // per block: written if `begins` is null
        const std::int64_t* begins;  // their prefix sums
        KeyedValues pairs;
    };

    struct Shared {
        ThreadSums<kThreads, std::int32_t> sums;
    };

    struct Registers {
        std::int32_t own;
        std::int32_t n_others;
        std::int32_t other[kSides];
    };

    FASTSOFT_HD static std::ptrdiff_t n_blocks(const Arguments& a) { return divide_up(a.labels.size(), kThreads); }
    FASTSOFT_HD static int n_phases(const Arguments&) { return 2 + n_scan_phases<kThreads>(); }

    FASTSOFT_HD static void phase(int phase, const Arguments& a, Shared& shared, Registers& own, std::ptrdiff_t block,
                                  int thread) {
        if (phase == 0) {
            find(a, block * kThreads + thread, own);
            shared.sums.value[0][thread] = own.n_others;
        } else if (phase <= n_scan_phases<kThreads>()) {
            shared.sums.scan_phase(phase - 1, thread);
        } else if (a.begins == nullptr) {
            if (thread == 0) {
                a.counts[block] = shared.sums.total();
            }
        } else {
            const std::ptrdiff_t first = a.begins[block] + shared.sums.before(thread);
            FASTSOFT_UNROLL(4)
            for (int k = 0; k < kSides; ++k) {
                if (k < own.n_others) {
                    const std::int32_t other = own.other[k];
                    a.pairs.keys[first + k] = static_cast<std::uint32_t>(other > own.own ? other : own.own);
                    a.pairs.values[first + k] = other > own.own ? own.own : other;
                }
            }
        }
    }

private:
    // -1 outside the image: no label.
    FASTSOFT_HD static std::int32_t label_at(const Arguments& a, std::ptrdiff_t row, std::ptrdiff_t col) {
        const bool inside = row >= 0 && row < a.labels.extent(0) && col >= 0 && col < a.labels.extent(1);
        return inside ? a.labels(row, col) : -1;
    }

    FASTSOFT_HD static void find(const Arguments& a, std::ptrdiff_t pixel, Registers& own) {
        own.n_others = 0;
        if (pixel >= a.labels.size()) {
            return;
        }
        const std::ptrdiff_t row = pixel / a.labels.extent(1);
        const std::ptrdiff_t col = pixel % a.labels.extent(1);
        own.own = a.labels(row, col);
        const bool same_left = label_at(a, row, col - 1) == own.own;
        const bool same_above = label_at(a, row - 1, col) == own.own;
        for (int k = 0; k < kSides; ++k) {
            const int down = k == 0 ? 0 : 1;
            const int right = k == 0 ? 1 : k - 2;
            const std::int32_t other = label_at(a, row + down, col + right);
            bool fresh = other >= 0 && other != own.own;
            fresh = fresh && !(same_left && label_at(a, row + down, col - 1 + right) == other);
            fresh = fresh && !(same_above && label_at(a, row - 1 + down, col + right) == other);
            for (int j = 0; j < own.n_others; ++j) {
                fresh = fresh && own.other[j] != other;
            }
            if (fresh) {
                own.other[own.n_others++] = other;
            }
        }
    }
};

// Of sorted pairs, which differ from the one before.
struct DistinctPairs {
    struct Arguments {
        KeyedValues pairs;
        std::ptrdiff_t count;
        std::int32_t* distinct;
    };

    FASTSOFT_HD static std::ptrdiff_t size(const Arguments& a) { return a.count; }
    FASTSOFT_HD static void run(const Arguments& a, std::ptrdiff_t i) {
        a.distinct[i] =
            i == 0 || a.pairs.keys[i] != a.pairs.keys[i - 1] || a.pairs.values[i] != a.pairs.values[i - 1] ? 1 : 0;
    }
};

struct WritePairs {
    struct Arguments {
        KeyedValues pairs;
        std::ptrdiff_t count;
        const std::int32_t* distinct;
        const std::int64_t* places;
        std::int32_t* out;  // (M, 2)
    };

    FASTSOFT_HD static std::ptrdiff_t size(const Arguments& a) { return a.count; }
    FASTSOFT_HD static void run(const Arguments& a, std::ptrdiff_t i) {
        if (a.distinct[i] != 0) {
            a.out[2 * a.places[i]] = static_cast<std::int32_t>(a.pairs.keys[i]);
            a.out[2 * a.places[i] + 1] = a.pairs.values[i];
        }
    }
};

// Number of a centroid's pixel, or -1 if it lies outside.
FASTSOFT_HD std::ptrdiff_t centroid_pixel(const std::int32_t* centroids, std::ptrdiff_t i, std::ptrdiff_t height,
                                          std::ptrdiff_t width) {
    const std::int32_t row = centroids[2 * i];
    const std::int32_t col = centroids[2 * i + 1];
    return row >= 0 && row < height && col >= 0 && col < width ? row * width + col : -1;
}

// Superpixels with their centroid pixels as keys.
struct CentroidPixels {
    struct Arguments {
        const std::int32_t* centroids;
        std::ptrdiff_t n_superpixels;
        std::ptrdiff_t height;
        std::ptrdiff_t width;
        KeyedValues superpixels;
        std::int32_t* outside;  // set where one is
    };

    FASTSOFT_HD static std::ptrdiff_t size(const Arguments& a) { return a.n_superpixels; }
    FASTSOFT_HD static void run(const Arguments& a, std::ptrdiff_t i) {
        const std::ptrdiff_t pixel = centroid_pixel(a.centroids, i, a.height, a.width);
        if (pixel < 0) {
            *a.outside = 1;
        }
        a.superpixels.keys[i] = static_cast<std::uint32_t>(pixel < 0 ? 0 : pixel);
        a.superpixels.values[i] = static_cast<std::int32_t>(i);
    }
};

struct ScaledPlace {
    double row;
    double col;
};

// The centroids of superpixels that are sorted by them.
struct ScaledPlaces {
    struct Arguments {
        const std::int32_t* centroids;
        std::ptrdiff_t n_superpixels;
        std::ptrdiff_t height;
        std::ptrdiff_t width;
        const std::int32_t* superpixels;
        ScaledPlace* places;
    };

    FASTSOFT_HD static std::ptrdiff_t size(const Arguments& a) { return a.n_superpixels; }
    FASTSOFT_HD static void run(const Arguments& a, std::ptrdiff_t i) {
        const std::int32_t* const centroid = a.centroids + 2 * std::ptrdiff_t{a.superpixels[i]};
        a.places[i] = {scaled_coordinate(centroid[0], a.height), scaled_coordinate(centroid[1], a.width)};
    }
};

// Rows of the colour affinity. Superpixels are sorted by centroid pixel, so that those that share one follow each other
// and the first of them stands for the pixel; columns come in order by going along the list. A block per superpixel,
// each thread a stretch of the list. Two launches: count per row, then write.
template <class T>
struct ColorAffinityBlock {
    static constexpr int kThreads = 128;

    struct Arguments {
        KeyedValues superpixels;  // sorted: pixel, superpixel
        const ScaledPlace* places;
        std::ptrdiff_t n_superpixels;
        const T* colors;
        std::ptrdiff_t n_channels;
        double steepness;
        double threshold;
        double max_distance;
        std::int32_t* counts;  // per pixel: written if `indices` is null
        const std::int64_t* indptr;
        std::int32_t* indices;
        T* data;
    };

    struct Shared {
        ThreadSums<kThreads, std::int32_t> sums;
    };

    using Registers = Nothing;

    FASTSOFT_HD static std::ptrdiff_t n_blocks(const Arguments& a) { return a.n_superpixels; }
    FASTSOFT_HD static int n_phases(const Arguments&) { return 2 + n_scan_phases<kThreads>(); }

    FASTSOFT_HD static void phase(int phase, const Arguments& a, Shared& shared, Registers&, std::ptrdiff_t block,
                                  int thread) {
        if (!stands_for_pixel(a, block)) {
            return;
        }
        const std::uint32_t pixel = a.superpixels.keys[block];
        if (phase == 0) {
            std::int32_t count = 0;
            over_entries(a, block, thread, [&](std::uint32_t, double) { ++count; });
            shared.sums.value[0][thread] = count;
        } else if (phase <= n_scan_phases<kThreads>()) {
            shared.sums.scan_phase(phase - 1, thread);
        } else if (a.indices == nullptr) {
            if (thread == 0) {
                a.counts[pixel] = shared.sums.total();
            }
        } else {
            std::int64_t entry = a.indptr[pixel] + shared.sums.before(thread);
            over_entries(a, block, thread, [&](std::uint32_t col, double weight) {
                a.indices[entry] = static_cast<std::int32_t>(col);
                a.data[entry] = static_cast<T>(weight);
                ++entry;
            });
        }
    }

private:
    FASTSOFT_HD static bool stands_for_pixel(const Arguments& a, std::ptrdiff_t i) {
        return i == 0 || a.superpixels.keys[i] != a.superpixels.keys[i - 1];
    }

    // Calls put(pixel, weight) for the columns of a thread's stretch of a row.
    template <class Put>
    FASTSOFT_HD static void over_entries(const Arguments& a, std::ptrdiff_t row, int thread, const Put& put) {
        const std::ptrdiff_t length = divide_up(a.n_superpixels, kThreads);
        const std::ptrdiff_t begin = thread * length;
        const std::ptrdiff_t end = begin + length < a.n_superpixels ? begin + length : a.n_superpixels;
        const ScaledPlace here = a.places[row];
        for (std::ptrdiff_t col = begin; col < end; ++col) {
            const ScaledPlace there = a.places[col];
            if (col == row || !stands_for_pixel(a, col) ||
                !centroids_are_near(here.row, here.col, there.row, there.col, a.max_distance)) {
                continue;
            }
            double weight = 0.0;
            // In one order for either triangle.
            if (add_weights(a, row < col ? row : col, row < col ? col : row, weight)) {
                put(a.superpixels.keys[col], weight);
            }
        }
    }

    // Adds the weights of all edges between two pixels; whether there is one that is not 0.
    FASTSOFT_HD static bool add_weights(const Arguments& a, std::ptrdiff_t first, std::ptrdiff_t second, double& sum) {
        bool any = false;
        for (std::ptrdiff_t i = first; i == first || (i < second && !stands_for_pixel(a, i)); ++i) {
            for (std::ptrdiff_t j = second; j == second || (j < a.n_superpixels && !stands_for_pixel(a, j)); ++j) {
                const double distance =
                    euclidean_distance(a.colors + a.superpixels.values[i] * a.n_channels,
                                       a.colors + a.superpixels.values[j] * a.n_channels, a.n_channels);
                const double weight = color_affinity(distance, a.steepness, a.threshold);
                any = any || weight != 0.0;
                sum += weight;
            }
        }
        return any;
    }
};

// Entries 2 p and 2 p + 1 of the semantic affinity: pair p in either triangle. Entries that are left out have the row
// n_pixels, behind all others.
template <class T>
struct SemanticEntries {
    struct Arguments {
        const std::int32_t* centroids;
        std::ptrdiff_t n_superpixels;
        std::ptrdiff_t height;
        std::ptrdiff_t width;
        const std::int32_t* pairs;  // (M, 2)
        std::ptrdiff_t n_pairs;
        const T* features;
        std::ptrdiff_t n_channels;
        double steepness;
        double threshold;
        std::uint32_t* rows;
        KeyedValues entries;  // by column
        double* weights;      // per pair
        std::int32_t* fault;  // 1: a centroid is outside the image, 2: a pair is none of superpixels
    };

    FASTSOFT_HD static std::ptrdiff_t size(const Arguments& a) { return a.n_pairs; }
    FASTSOFT_HD static void run(const Arguments& a, std::ptrdiff_t p) {
        const std::ptrdiff_t n_pixels = a.height * a.width;
        const std::int32_t i = a.pairs[2 * p];
        const std::int32_t j = a.pairs[2 * p + 1];
        double weight = 0.0;
        std::ptrdiff_t first = -1;
        std::ptrdiff_t second = -1;
        if (i < 0 || i >= a.n_superpixels || j < 0 || j >= a.n_superpixels) {
            a.fault[1] = 1;
        } else {
            first = centroid_pixel(a.centroids, i, a.height, a.width);
            second = centroid_pixel(a.centroids, j, a.height, a.width);
            if (first < 0 || second < 0) {
                a.fault[0] = 1;
            }
            const double distance =
                euclidean_distance(a.features + i * a.n_channels, a.features + j * a.n_channels, a.n_channels);
            weight = semantic_affinity(distance, a.steepness, a.threshold);
        }
        const bool kept = first >= 0 && second >= 0 && first != second && weight != 0.0;
        a.weights[p] = weight;
        a.rows[2 * p] = static_cast<std::uint32_t>(kept ? first : n_pixels);
        a.rows[2 * p + 1] = static_cast<std::uint32_t>(kept ? second : n_pixels);
        a.entries.keys[2 * p] = static_cast<std::uint32_t>(kept ? second : n_pixels);
        a.entries.keys[2 * p + 1] = static_cast<std::uint32_t>(kept ? first : n_pixels);
        a.entries.values[2 * p] = static_cast<std::int32_t>(2 * p);
        a.entries.values[2 * p + 1] = static_cast<std::int32_t>(2 * p + 1);
    }
};

// Entries in the order of their columns get their rows as keys, to be sorted by these.
struct RowsAsKeys {
    struct Arguments {
        const std::uint32_t* rows;
        KeyedValues entries;
        std::ptrdiff_t count;
    };

    FASTSOFT_HD static std::ptrdiff_t size(const Arguments& a) { return a.count; }
    FASTSOFT_HD static void run(const Arguments& a, std::ptrdiff_t i) {
        a.entries.keys[i] = a.rows[a.entries.values[i]];
    }
};

struct SortedEntries {
    const std::uint32_t* rows;  // of all entries; an entry's partner in the other triangle has its column as row
    KeyedValues entries;        // sorted by row, then column, then number
    std::ptrdiff_t count;
    std::uint32_t n_pixels;

    FASTSOFT_HD std::uint32_t col(std::ptrdiff_t i) const { return rows[entries.values[i] ^ 1]; }
    FASTSOFT_HD bool same_row(std::ptrdiff_t i, std::ptrdiff_t j) const { return entries.keys[i] == entries.keys[j]; }
    FASTSOFT_HD bool same(std::ptrdiff_t i, std::ptrdiff_t j) const { return same_row(i, j) && col(i) == col(j); }
};

// Which entries differ from the one before; how many of them every row has.
struct DistinctEntries {
    struct Arguments {
        SortedEntries sorted;
        std::int32_t* distinct;
        std::int32_t* row_counts;  // 0 before
    };

    FASTSOFT_HD static std::ptrdiff_t size(const Arguments& a) { return a.sorted.count; }
    FASTSOFT_HD static void run(const Arguments& a, std::ptrdiff_t i) {
        const SortedEntries& sorted = a.sorted;
        const std::uint32_t row = sorted.entries.keys[i];
        const bool kept = row < sorted.n_pixels;
        a.distinct[i] = kept && (i == 0 || !sorted.same(i, i - 1)) ? 1 : 0;
        if (kept && (i == 0 || !sorted.same_row(i, i - 1))) {
            std::int32_t count = 1;
            for (std::ptrdiff_t j = i + 1; j < sorted.count && sorted.same_row(i, j); ++j) {
                count += sorted.same(j, j - 1) ? 0 : 1;
            }
            a.row_counts[row] = count;
        }
    }
};

template <class T>
struct WriteEntries {
    struct Arguments {
        SortedEntries sorted;
        const std::int32_t* distinct;
        const std::int64_t* places;
        const double* weights;
        std::int32_t* indices;
        T* data;
    };

    FASTSOFT_HD static std::ptrdiff_t size(const Arguments& a) { return a.sorted.count; }
    FASTSOFT_HD static void run(const Arguments& a, std::ptrdiff_t i) {
        if (a.distinct[i] == 0) {
            return;
        }
        // Edges between the same two pixels, in the order of their pairs.
        double sum = a.weights[a.sorted.entries.values[i] / 2];
        for (std::ptrdiff_t j = i + 1; j < a.sorted.count && a.sorted.same(i, j); ++j) {
            sum += a.weights[a.sorted.entries.values[j] / 2];
        }
        a.indices[a.places[i]] = static_cast<std::int32_t>(a.sorted.col(i));
        a.data[a.places[i]] = static_cast<T>(sum);
    }
};

}  // namespace fastsoft::detail
