// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

#include "fastsoft/core/block.hpp"
#include "fastsoft/detail/each_block.hpp"
#include "fastsoft/detail/kmeans_pixel.hpp"
#include "fastsoft/detail/sums_block.hpp"
#include "fastsoft/detail/tree.hpp"

// k-means: assignment, sums per cluster, the farthest point, and greedy k-means++. Sums over points are trees whose
// shape depends on the sizes alone.
namespace fastsoft::detail {

// Points on a device, (n, d) row-major; weights may be null.
template <class T>
struct KmeansData {
    const T* points;
    const double* weights;
    std::ptrdiff_t n;
    std::ptrdiff_t d;

    FASTSOFT_HD double weight(std::ptrdiff_t i) const { return weights == nullptr ? 1.0 : weights[i]; }
};

// Sum of weight times squared distance, and number of labels that changed.
struct KmeansError {
    double inertia;
    std::int64_t changed;

    FASTSOFT_HD KmeansError& operator+=(const KmeansError& other) {
        inertia += other.inertia;
        changed += other.changed;
        return *this;
    }
};

// Labels every point with the nearest centre, the first of equally near ones, a thread per point. kCenters centres at a
// time stand in shared memory, kSlab coordinates of them and of the points at a time; distances to them are
// registers, added up over the coordinates in order as on the CPU. No matrix of distances is stored. Least bytes per
// point: d numbers read, an int32 read and written; points are read again for every kCenters centres, where d > kSlab.
template <class T>
struct KmeansAssignBlock {
    static constexpr int kThreads = 256;
    static constexpr int kCenters = 16;
    static constexpr int kSlab = 16;
    static constexpr int kReducePhases = n_tree_phases<kThreads>();

    struct Arguments {
        KmeansData<T> data;
        const T* centers;  // (k, d)
        std::ptrdiff_t k;
        std::int32_t* labels;
        KmeansError* errors;  // of every block
    };

    struct Shared {
        T points[kSlab][kThreads + 1];
        T centers[kSlab][kCenters];
        KmeansError errors[kThreads];
    };

    struct Registers {
        T sums[kCenters];
        T nearest;
        std::int32_t label;
    };

    FASTSOFT_HD static std::ptrdiff_t n_blocks(const Arguments& a) { return divide_up(a.data.n, kThreads); }
    FASTSOFT_HD static int n_slabs(const Arguments& a) { return static_cast<int>(divide_up(a.data.d, kSlab)); }
    FASTSOFT_HD static int n_distance_phases(const Arguments& a) {
        return 2 * n_slabs(a) * static_cast<int>(divide_up(a.k, kCenters));
    }
    FASTSOFT_HD static int n_phases(const Arguments& a) { return n_distance_phases(a) + kReducePhases + 2; }

    FASTSOFT_HD static void phase(int phase, const Arguments& a, Shared& shared, Registers& registers,
                                  std::ptrdiff_t block, int thread) {
        const std::ptrdiff_t first = block * kThreads;
        const int rest = phase - n_distance_phases(a);
        if (rest < 0) {
            const int slab = phase / 2 % n_slabs(a);
            const std::ptrdiff_t center = static_cast<std::ptrdiff_t>(phase / 2 / n_slabs(a)) * kCenters;
            if (phase % 2 == 0) {
                load(a, shared, first, center, slab, thread);
            } else {
                compare(a, shared, registers, center, slab, thread);
            }
        } else if (rest == 0) {
            const std::ptrdiff_t i = first + thread;
            KmeansError error{0.0, 0};
            if (i < a.data.n) {
                error.inertia = a.data.weight(i) * static_cast<double>(registers.nearest);
                error.changed = a.labels[i] != registers.label ? 1 : 0;
                a.labels[i] = registers.label;
            }
            shared.errors[thread] = error;
        } else if (rest <= kReducePhases) {
            tree_phase(rest - 1, shared.errors, thread);
        } else if (thread == 0) {
            a.errors[block] = shared.errors[0];
        }
    }

private:
    // Neighbouring threads read neighbouring coordinates. A single slab of points stays where it is.
    FASTSOFT_HD static void load(const Arguments& a, Shared& shared, std::ptrdiff_t first, std::ptrdiff_t center,
                                 int slab, int thread) {
        const std::ptrdiff_t d = a.data.d;
        const std::ptrdiff_t begin = static_cast<std::ptrdiff_t>(slab) * kSlab;
        const int width = static_cast<int>(d - begin < kSlab ? d - begin : kSlab);
        if (center == 0 || n_slabs(a) > 1) {
            for (int i = thread; i < kThreads * width; i += kThreads) {
                const std::ptrdiff_t point = first + i / width;
                if (point < a.data.n) {
                    shared.points[i % width][i / width] = a.data.points[point * d + begin + i % width];
                }
            }
        }
        for (int i = thread; i < kCenters * width; i += kThreads) {
            const std::ptrdiff_t own = center + i / width;
            shared.centers[i % width][i / width] = own < a.k ? a.centers[own * d + begin + i % width] : T(0);
        }
    }

    FASTSOFT_HD static void compare(const Arguments& a, const Shared& shared, Registers& registers,
                                    std::ptrdiff_t center, int slab, int thread) {
        const std::ptrdiff_t begin = static_cast<std::ptrdiff_t>(slab) * kSlab;
        const int width = static_cast<int>(a.data.d - begin < kSlab ? a.data.d - begin : kSlab);
        if (slab == 0) {
            FASTSOFT_UNROLL(16)
            for (int j = 0; j < kCenters; ++j) {
                registers.sums[j] = T(0);
            }
        }
        for (int c = 0; c < width; ++c) {
            const T x = shared.points[c][thread];
            FASTSOFT_UNROLL(16)
            for (int j = 0; j < kCenters; ++j) {
                const T difference = x - shared.centers[c][j];
                registers.sums[j] += difference * difference;
            }
        }
        if (slab + 1 < n_slabs(a)) {
            return;
        }
        if (center == 0) {
            registers.nearest = std::numeric_limits<T>::infinity();
            registers.label = 0;
        }
        FASTSOFT_UNROLL(16)
        for (int j = 0; j < kCenters; ++j) {
            const bool closer = center + j < a.k && registers.sums[j] < registers.nearest;
            registers.nearest = closer ? registers.sums[j] : registers.nearest;
            registers.label = closer ? static_cast<std::int32_t>(center + j) : registers.label;
        }
    }
};

// Sum of all errors, by one block.
struct KmeansErrorStep {
    using Item = KmeansError;

    struct Arguments {
        const KmeansError* errors;
        std::ptrdiff_t count;
        double* out;  // inertia, changed labels
    };

    FASTSOFT_HD static std::ptrdiff_t n_blocks(const Arguments&) { return 1; }

    FASTSOFT_HD static Item gather(const Arguments& a, std::ptrdiff_t, int thread) {
        return merged_items(a.errors, a.count, thread);
    }
    FASTSOFT_HD static void put(const Arguments& a, std::ptrdiff_t, const Item& item) {
        a.out[0] = item.inertia;
        a.out[1] = static_cast<double>(item.changed);
    }
};

using KmeansErrorBlock = TreeBlock<KmeansErrorStep>;

// Sums per cluster of a chunk of points: weight, number, weighted coordinates, each of which is a slot. A thread goes
// through the labels of the chunk, which are read into shared memory kLabels at a time, and adds the points that are
// its slot's; with few slots, `lanes` threads share one. A block has the slots of one group of one chunk.
template <class T>
struct KmeansSumsBlock {
    static constexpr int kThreads = 256;
    static constexpr int kLabels = 1024;

    struct Arguments {
        KmeansData<T> data;
        std::ptrdiff_t k;
        const std::int32_t* labels;
        std::ptrdiff_t chunk;  // points, a multiple of kLabels
        int lanes;             // a divisor of kThreads
        double* sums;          // (n_chunks, n_slots)
    };

    struct Shared {
        std::int32_t labels[kLabels];
        double sums[kThreads];
    };

    struct Registers {
        double sum;
    };

    // A function of the sizes alone: at most 1024 chunks and about 64 MB of their sums.
    static std::ptrdiff_t chunk_of(std::ptrdiff_t n, std::ptrdiff_t n_slots) {
        constexpr std::ptrdiff_t kMaxChunks = 1024;
        constexpr std::ptrdiff_t kMaxSums = std::ptrdiff_t{1} << 23;
        const std::ptrdiff_t by_memory = kMaxSums / n_slots < 1 ? 1 : kMaxSums / n_slots;
        const std::ptrdiff_t n_chunks = by_memory < kMaxChunks ? by_memory : kMaxChunks;
        return divide_up(divide_up(n < 1 ? 1 : n, n_chunks), kLabels) * kLabels;
    }
    static int lanes_of(std::ptrdiff_t n_slots) {
        int lanes = 1;
        while (lanes < 32 && 2 * lanes * n_slots <= kThreads) {
            lanes *= 2;
        }
        return lanes;
    }

    FASTSOFT_HD static std::ptrdiff_t n_slots(const Arguments& a) { return a.k * (a.data.d + 2); }
    FASTSOFT_HD static std::ptrdiff_t n_groups(const Arguments& a) { return divide_up(n_slots(a), kThreads / a.lanes); }
    FASTSOFT_HD static std::ptrdiff_t n_blocks(const Arguments& a) {
        return divide_up(a.data.n, a.chunk) * n_groups(a);
    }
    FASTSOFT_HD static int n_phases(const Arguments& a) { return 2 * static_cast<int>(a.chunk / kLabels) + 2; }

    FASTSOFT_HD static void phase(int phase, const Arguments& a, Shared& shared, Registers& registers,
                                  std::ptrdiff_t block, int thread) {
        const std::ptrdiff_t chunk = block / n_groups(a);
        const int n_own = kThreads / a.lanes;
        const std::ptrdiff_t slot = block % n_groups(a) * n_own + thread % n_own;
        const int rest = phase - (n_phases(a) - 2);
        if (rest < 0) {
            const std::ptrdiff_t first = chunk * a.chunk + static_cast<std::ptrdiff_t>(phase / 2) * kLabels;
            const std::ptrdiff_t left = a.data.n - first;
            const int count = static_cast<int>(left < kLabels ? (left < 0 ? 0 : left) : kLabels);
            if (phase % 2 == 0) {
                for (int i = thread; i < count; i += kThreads) {
                    shared.labels[i] = a.labels[first + i];
                }
                registers.sum = phase == 0 ? 0.0 : registers.sum;
            } else if (slot < n_slots(a)) {
                add(a, shared, registers, first, count, slot, thread / n_own);
            }
        } else if (rest == 0) {
            shared.sums[thread] = registers.sum;
        } else if (thread < n_own && slot < n_slots(a)) {
            double sum = 0.0;
            for (int lane = 0; lane < a.lanes; ++lane) {
                sum += shared.sums[lane * n_own + thread];
            }
            a.sums[chunk * n_slots(a) + slot] = sum;
        }
    }

private:
    FASTSOFT_HD static void add(const Arguments& a, const Shared& shared, Registers& registers, std::ptrdiff_t first,
                                int count, std::ptrdiff_t slot, int lane) {
        const std::ptrdiff_t d = a.data.d;
        const auto cluster = static_cast<std::int32_t>(slot / (d + 2));
        const std::ptrdiff_t what = slot % (d + 2);
        double sum = registers.sum;
        for (int i = lane; i < count; i += a.lanes) {
            if (shared.labels[i] != cluster) {
                continue;
            }
            const std::ptrdiff_t point = first + i;
            if (what == 0) {
                sum += a.data.weight(point);
            } else if (what == 1) {
                sum += 1.0;
            } else {
                sum += a.data.weight(point) * static_cast<double>(a.data.points[point * d + what - 2]);
            }
        }
        registers.sum = sum;
    }
};

// Squared distance to the own centre and number of a point, or -1.
struct KmeansFarthest {
    double distance;
    std::int64_t point;

    // The farther one, of equals the first.
    FASTSOFT_HD void take(const KmeansFarthest& other) {
        if (other.point >= 0 &&
            (point < 0 || other.distance > distance || (other.distance == distance && other.point < point))) {
            *this = other;
        }
    }
};

FASTSOFT_HD void merge_into(KmeansFarthest& to, const KmeansFarthest& from) {
    to.take(from);
}

template <>
struct NeutralItem<KmeansFarthest> {
    FASTSOFT_HD static KmeansFarthest make() { return {0.0, -1}; }
};

// The point farthest from its centre in each stretch of kThreads * kPerThread points.
template <class T>
struct KmeansFarthestStep {
    using Item = KmeansFarthest;
    static constexpr int kPerThread = 4;

    struct Arguments {
        KmeansData<T> data;
        const T* centers;
        const double* counts;  // points of each cluster: the last one is not taken
        const std::int32_t* labels;
        double same_share;  // squared distances below this share of a squared length count as none
        KmeansFarthest* partial;
    };

    FASTSOFT_HD static std::ptrdiff_t n_blocks(const Arguments& a) {
        return divide_up(a.data.n, kTreeThreads * kPerThread);
    }

    FASTSOFT_HD static Item gather(const Arguments& a, std::ptrdiff_t block, int thread) {
        Item farthest = NeutralItem<Item>::make();
        for (int j = 0; j < kPerThread; ++j) {
            const std::ptrdiff_t i = (block * kPerThread + j) * kTreeThreads + thread;
            if (i < a.data.n) {
                look(a, i, farthest);
            }
        }
        return farthest;
    }
    FASTSOFT_HD static void put(const Arguments& a, std::ptrdiff_t block, const Item& item) { a.partial[block] = item; }

private:
    FASTSOFT_HD static void look(const Arguments& a, std::ptrdiff_t i, KmeansFarthest& farthest) {
        const std::ptrdiff_t d = a.data.d;
        const std::int32_t label = a.labels[i];
        if ((a.data.weights != nullptr && a.data.weights[i] == 0.0) || a.counts[label] <= 1.0) {
            return;
        }
        const T* const point = a.data.points + i * d;
        double length = 0.0;
        for (std::ptrdiff_t c = 0; c < d; ++c) {
            length += static_cast<double>(point[c]) * static_cast<double>(point[c]);
        }
        const double distance = squared_distance(point, a.centers + label * d, d);
        if (distance > a.same_share * length) {
            farthest.take({distance, i});
        }
    }
};

template <class T>
using KmeansFarthestBlock = TreeBlock<KmeansFarthestStep<T>>;

using KmeansFarthestTotalBlock = TreeTotalBlock<KmeansFarthest>;

// Copies the points of a sample and their weights.
template <class T>
struct KmeansSampleStep {
    struct Arguments {
        KmeansData<T> data;
        std::ptrdiff_t n_samples;
        T* points;
        double* weights;  // null if the data have none
    };

    FASTSOFT_HD static std::ptrdiff_t size(const Arguments& a) { return a.n_samples * a.data.d; }

    FASTSOFT_HD static void run(const Arguments& a, std::ptrdiff_t i) {
        const std::ptrdiff_t position = sample_position(a.data.n, a.n_samples, i / a.data.d);
        a.points[i] = a.data.points[position * a.data.d + i % a.data.d];
        if (a.weights != nullptr && i % a.data.d == 0) {
            a.weights[i / a.data.d] = a.data.weights[position];
        }
    }
};

template <class T>
using KmeansSampleBlock = EachBlock<KmeansSampleStep<T>>;

// Weighted products of centred coordinates, the lower triangle row by row, each of which is a slot: summed over a chunk
// of points by `lanes` threads per slot.
template <class T>
struct KmeansCovarianceBlock {
    static constexpr int kThreads = 256;

    struct Arguments {
        KmeansData<T> data;
        const double* mean;
        std::ptrdiff_t chunk;
        int lanes;     // a divisor of kThreads
        double* sums;  // (n_chunks, n_slots)
    };

    struct Shared {
        double sums[kThreads];
    };

    using Registers = Nothing;

    FASTSOFT_HD static std::ptrdiff_t n_slots(std::ptrdiff_t d) { return d * (d + 1) / 2; }
    FASTSOFT_HD static std::ptrdiff_t n_groups(const Arguments& a) {
        return divide_up(n_slots(a.data.d), kThreads / a.lanes);
    }
    FASTSOFT_HD static std::ptrdiff_t n_blocks(const Arguments& a) {
        return divide_up(a.data.n, a.chunk) * n_groups(a);
    }
    FASTSOFT_HD static int n_phases(const Arguments&) { return 2; }

    FASTSOFT_HD static void phase(int phase, const Arguments& a, Shared& shared, Registers&, std::ptrdiff_t block,
                                  int thread) {
        const std::ptrdiff_t chunk = block / n_groups(a);
        const int n_own = kThreads / a.lanes;
        const std::ptrdiff_t slot = block % n_groups(a) * n_own + thread % n_own;
        if (slot >= n_slots(a.data.d)) {
            return;
        }
        if (phase == 0) {
            std::ptrdiff_t col = slot;
            std::ptrdiff_t row = 0;
            while (col > row) {
                ++row;
                col -= row;
            }
            const std::ptrdiff_t first = chunk * a.chunk;
            const std::ptrdiff_t end = first + a.chunk < a.data.n ? first + a.chunk : a.data.n;
            double sum = 0.0;
            for (std::ptrdiff_t i = first + thread / n_own; i < end; i += a.lanes) {
                const T* const point = a.data.points + i * a.data.d;
                sum += a.data.weight(i) * (static_cast<double>(point[row]) - a.mean[row]) *
                       (static_cast<double>(point[col]) - a.mean[col]);
            }
            shared.sums[thread] = sum;
        } else if (thread < n_own) {
            double sum = 0.0;
            for (int lane = 0; lane < a.lanes; ++lane) {
                sum += shared.sums[lane * n_own + thread];
            }
            a.sums[chunk * n_slots(a.data.d) + slot] = sum;
        }
    }
};

// Points of one cluster, in order, for prefix_sums_block.hpp. Counting them first needs no memory for them.
template <class T>
struct KmeansMembers {
    using Sum = std::int32_t;
    std::ptrdiff_t n;
    KmeansData<T> data;
    const std::int32_t* labels;
    std::int32_t cluster;
    T* points;
    double* weights;  // null if the data have none

    FASTSOFT_HD std::int32_t value(std::ptrdiff_t i) const { return labels[i] == cluster ? 1 : 0; }
    FASTSOFT_HD void store(std::ptrdiff_t i, std::int32_t own, std::int32_t place) const {
        if (own == 0) {
            return;
        }
        for (std::ptrdiff_t c = 0; c < data.d; ++c) {
            points[place * data.d + c] = data.points[i * data.d + c];
        }
        if (weights != nullptr) {
            weights[place] = data.weights[i];
        }
    }
};

// Gives points of a cluster that are nearer to the second of two centres another label.
template <class T>
struct KmeansHalvesStep {
    struct Arguments {
        KmeansData<T> data;
        const T* halves;  // (2, d)
        std::int32_t from;
        std::int32_t added;
        std::int32_t* labels;
    };

    FASTSOFT_HD static std::ptrdiff_t size(const Arguments& a) { return a.data.n; }

    FASTSOFT_HD static void run(const Arguments& a, std::ptrdiff_t i) {
        if (a.labels[i] != a.from) {
            return;
        }
        const std::ptrdiff_t d = a.data.d;
        const T* const point = a.data.points + i * d;
        if (squared_distance(point, a.halves + d, d) < squared_distance(point, a.halves, d)) {
            a.labels[i] = a.added;
        }
    }
};

template <class T>
using KmeansHalvesBlock = EachBlock<KmeansHalvesStep<T>>;

// Marks clusters that points have left or joined.
struct KmeansChangesStep {
    struct Arguments {
        std::ptrdiff_t n;
        const std::int32_t* before;  // -1: none
        const std::int32_t* labels;
        std::int32_t* changed;  // whichever thread: all write the same
    };

    FASTSOFT_HD static std::ptrdiff_t size(const Arguments& a) { return a.n; }

    FASTSOFT_HD static void run(const Arguments& a, std::ptrdiff_t i) {
        if (a.before[i] != a.labels[i]) {
            a.changed[a.labels[i]] = 1;
            if (a.before[i] >= 0) {
                a.changed[a.before[i]] = 1;
            }
        }
    }
};

using KmeansChangesBlock = EachBlock<KmeansChangesStep>;

// Greedy k-means++ on a device. Points are cut into chunks; a thread has a stretch of neighbouring points of its chunk.
template <class T>
struct SeedData {
    KmeansData<T> data;
    std::ptrdiff_t chunk;
    double* nearest;           // squared distance of every point to the nearest centre so far
    double* chunk_sums;        // of weight times that
    std::int64_t* candidates;  // points that compete for the next centre
    double* potentials;        // (n_candidates, n_chunks)
    std::int64_t* winner;      // the last centre

    static constexpr int kThreads = 256;
    static constexpr int kMaxChunks = 1024;

    static std::ptrdiff_t chunk_of(std::ptrdiff_t n) {
        return divide_up(divide_up(n, kMaxChunks), 4 * kThreads) * 4 * kThreads;
    }
    FASTSOFT_HD std::ptrdiff_t n_chunks() const { return divide_up(data.n, chunk); }
    FASTSOFT_HD double share(std::ptrdiff_t i) const { return data.weight(i) * nearest[i]; }

    // The stretch of a thread.
    FASTSOFT_HD std::ptrdiff_t begin(std::ptrdiff_t number, int thread) const {
        const std::ptrdiff_t first = number * chunk + chunk / kThreads * thread;
        return first < data.n ? first : data.n;
    }
    FASTSOFT_HD std::ptrdiff_t end(std::ptrdiff_t number, int thread) const {
        const std::ptrdiff_t last = begin(number, thread) + chunk / kThreads;
        return last < data.n ? last : data.n;
    }
};

// Distances to the nearest centre after the winner joined, and their sums per chunk. n_centers is the number of centres
// with it: 0 before the first, when all count alike.
template <class T>
struct SeedLowerBlock {
    static constexpr int kThreads = SeedData<T>::kThreads;

    struct Arguments {
        SeedData<T> seeds;
        std::ptrdiff_t n_centers;
    };

    struct Shared {
        double sums[kThreads];
    };

    using Registers = Nothing;

    FASTSOFT_HD static std::ptrdiff_t n_blocks(const Arguments& a) { return a.seeds.n_chunks(); }
    FASTSOFT_HD static int n_phases(const Arguments&) { return 2 + n_tree_phases<kThreads>(); }

    FASTSOFT_HD static void phase(int phase, const Arguments& a, Shared& shared, Registers&, std::ptrdiff_t block,
                                  int thread) {
        const SeedData<T>& seeds = a.seeds;
        if (phase == 0) {
            const std::ptrdiff_t d = seeds.data.d;
            const T* const winner = a.n_centers > 0 ? seeds.data.points + *seeds.winner * d : nullptr;
            double sum = 0.0;
            for (std::ptrdiff_t i = seeds.begin(block, thread); i < seeds.end(block, thread); ++i) {
                double nearest = 1.0;
                if (a.n_centers > 0) {
                    nearest = squared_distance(seeds.data.points + i * d, winner, d);
                    nearest = a.n_centers > 1 && seeds.nearest[i] < nearest ? seeds.nearest[i] : nearest;
                }
                seeds.nearest[i] = nearest;
                sum += seeds.share(i);
            }
            shared.sums[thread] = sum;
        } else if (phase <= n_tree_phases<kThreads>()) {
            tree_phase(phase - 1, shared.sums, thread);
        } else if (thread == 0) {
            seeds.chunk_sums[block] = shared.sums[0];
        }
    }
};

// Draws points with probability proportional to weight times squared distance, one per block; a late one if all of that
// is 0.
template <class T>
struct SeedDrawBlock {
    static constexpr int kThreads = SeedData<T>::kThreads;

    struct Arguments {
        SeedData<T> seeds;
        std::ptrdiff_t n_candidates;
        std::uint64_t seed;
        std::uint64_t stream;
        std::uint64_t counter;  // of the first candidate
    };

    struct Shared {
        double chunk_sums[SeedData<T>::kMaxChunks];
        double sums[kThreads];
        double target;
        double before;  // sum up to what is looked at next
        std::ptrdiff_t chunk;
        int thread;  // whose stretch has the point
    };

    using Registers = Nothing;

    FASTSOFT_HD static std::ptrdiff_t n_blocks(const Arguments& a) { return a.n_candidates; }
    FASTSOFT_HD static int n_phases(const Arguments&) { return 5; }

    FASTSOFT_HD static void phase(int phase, const Arguments& a, Shared& shared, Registers&, std::ptrdiff_t block,
                                  int thread) {
        const SeedData<T>& seeds = a.seeds;
        const auto n_chunks = static_cast<int>(seeds.n_chunks());
        if (phase == 0) {
            for (int i = thread; i < n_chunks; i += kThreads) {
                shared.chunk_sums[i] = seeds.chunk_sums[i];
            }
        } else if (phase == 1) {
            if (thread == 0) {
                find_chunk(a, shared, n_chunks, block);
            }
        } else if (phase == 2) {
            double sum = 0.0;
            for (std::ptrdiff_t i = seeds.begin(shared.chunk, thread); i < seeds.end(shared.chunk, thread); ++i) {
                sum += seeds.share(i);
            }
            shared.sums[thread] = sum;
        } else if (phase == 3) {
            if (thread == 0) {
                find_thread(shared);
            }
        } else if (thread == shared.thread) {
            seeds.candidates[block] = find_point(seeds, shared);
        }
    }

private:
    FASTSOFT_HD static void find_chunk(const Arguments& a, Shared& shared, int n_chunks, std::ptrdiff_t block) {
        double total = 0.0;
        for (int i = 0; i < n_chunks; ++i) {
            total += shared.chunk_sums[i];
        }
        shared.target = random_uniform(a.seed, a.stream, a.counter + static_cast<std::uint64_t>(block)) * total;
        shared.before = 0.0;
        int chunk = 0;
        while (chunk + 1 < n_chunks && shared.before + shared.chunk_sums[chunk] <= shared.target) {
            shared.before += shared.chunk_sums[chunk];
            ++chunk;
        }
        shared.chunk = chunk;
    }

    // The stretch in which the target lies; if rounding put it at the chunk's end, the last one that has anything.
    FASTSOFT_HD static void find_thread(Shared& shared) {
        double before = shared.before;
        shared.thread = 0;
        for (int i = 0; i < kThreads; ++i) {
            if (shared.sums[i] > 0.0) {
                shared.thread = i;
                shared.before = before;
            }
            before += shared.sums[i];
            if (before > shared.target) {
                return;
            }
        }
    }

    FASTSOFT_HD static std::ptrdiff_t find_point(const SeedData<T>& seeds, const Shared& shared) {
        double sum = shared.before;
        std::ptrdiff_t last = seeds.begin(shared.chunk, shared.thread);
        for (std::ptrdiff_t i = last; i < seeds.end(shared.chunk, shared.thread); ++i) {
            const double share = seeds.share(i);
            if (share > 0.0) {
                last = i;
            }
            sum += share;
            if (sum > shared.target) {
                return i;
            }
        }
        return last;
    }
};

// What would be left of the sum with each candidate as a centre, per chunk.
template <class T>
struct SeedPotentialBlock {
    static constexpr int kThreads = SeedData<T>::kThreads;

    struct Arguments {
        SeedData<T> seeds;
        std::ptrdiff_t n_candidates;
    };

    struct Shared {
        double sums[kThreads];
    };

    using Registers = Nothing;

    FASTSOFT_HD static std::ptrdiff_t n_blocks(const Arguments& a) { return a.seeds.n_chunks() * a.n_candidates; }
    FASTSOFT_HD static int n_phases(const Arguments&) { return 2 + n_tree_phases<kThreads>(); }

    FASTSOFT_HD static void phase(int phase, const Arguments& a, Shared& shared, Registers&, std::ptrdiff_t block,
                                  int thread) {
        const SeedData<T>& seeds = a.seeds;
        if (phase == 0) {
            const std::ptrdiff_t chunk = block % seeds.n_chunks();
            const std::ptrdiff_t d = seeds.data.d;
            const T* const candidate = seeds.data.points + seeds.candidates[block / seeds.n_chunks()] * d;
            double sum = 0.0;
            for (std::ptrdiff_t i = seeds.begin(chunk, thread); i < seeds.end(chunk, thread); ++i) {
                const double distance = squared_distance(seeds.data.points + i * d, candidate, d);
                sum += seeds.data.weight(i) * (distance < seeds.nearest[i] ? distance : seeds.nearest[i]);
            }
            shared.sums[thread] = sum;
        } else if (phase <= n_tree_phases<kThreads>()) {
            tree_phase(phase - 1, shared.sums, thread);
        } else if (thread == 0) {
            seeds.potentials[block] = shared.sums[0];
        }
    }
};

// The candidate that leaves least, of equal ones the first, becomes a centre. One block.
template <class T>
struct SeedPickBlock {
    static constexpr int kThreads = 128;

    struct Arguments {
        SeedData<T> seeds;
        std::ptrdiff_t n_candidates;  // one: nothing to compare
        T* center;
    };

    struct Shared {
        double left[kThreads];
    };

    using Registers = Nothing;

    FASTSOFT_HD static std::ptrdiff_t n_blocks(const Arguments&) { return 1; }
    FASTSOFT_HD static int n_phases(const Arguments&) { return 2; }

    FASTSOFT_HD static void phase(int phase, const Arguments& a, Shared& shared, Registers&, std::ptrdiff_t,
                                  int thread) {
        const SeedData<T>& seeds = a.seeds;
        if (phase == 0) {
            double sum = 0.0;
            if (a.n_candidates > 1 && thread < a.n_candidates) {
                for (std::ptrdiff_t i = 0; i < seeds.n_chunks(); ++i) {
                    sum += seeds.potentials[thread * seeds.n_chunks() + i];
                }
            }
            shared.left[thread] = sum;
            return;
        }
        int best = 0;
        for (int i = 1; i < a.n_candidates; ++i) {
            best = shared.left[i] < shared.left[best] ? i : best;
        }
        const std::int64_t point = seeds.candidates[best];
        if (thread == 0) {
            *seeds.winner = point;
        }
        for (std::ptrdiff_t c = thread; c < seeds.data.d; c += kThreads) {
            a.center[c] = seeds.data.points[point * seeds.data.d + c];
        }
    }
};

}  // namespace fastsoft::detail
