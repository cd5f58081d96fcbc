// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

#include "fastsoft/core/block.hpp"
#include "fastsoft/detail/each_block.hpp"
#include "fastsoft/detail/tall_matrix_pixel.hpp"

// Products of tall matrices (core/tall_matrix.hpp) as kernels: planar vectors of length n, row v of an (m, n) array
// being vector v. Sums over the long axis are taken in chunks of a fixed length, each by one block, and the chunks'
// sums, in double, are added up by a second kernel in a fixed order. Neighbouring threads have neighbouring columns.
namespace fastsoft::detail {

// Columns of a chunk: long enough that adding up its threads' sums costs little beside its products, short enough that
// 640x480 pixels make more blocks than a device has processors.
constexpr std::ptrdiff_t kTallChunk = 2048;

// partial (n_chunks, m, b): V W' over each chunk. A thread has every 32nd column of a chunk, for 8 rows of V by 8 rows
// of W: its 64 sums of 64 products are kept in Sum, the sums of the 32 threads are added in double.
// Bytes: V is read once for 16 rows of W (two groups of threads with the same rows of V read it from the first cache),
// and W once for every 16 or 32 rows of V, from the second cache but for the first time.
template <class T, class Sum>
struct ProjectBlock {
    static constexpr int kLanes = 32;
    static constexpr int kGroups = 4;
    static constexpr int kThreads = kLanes * kGroups;
    static constexpr int kRows = 8;
    static constexpr int kCols = 8;
    static constexpr int kPassRows = 4;  // whose sums fit in shared memory

    struct Arguments {
        const T* v;
        std::ptrdiff_t m;
        const T* w;
        std::ptrdiff_t b;
        std::ptrdiff_t n;
        double* partial;
    };

    struct Shared {
        // One more than lanes: the threads that add up read different banks.
        Sum sum[kGroups * kPassRows * kCols][kLanes + 1];
    };

    struct Registers {
        Sum sum[kRows][kCols];
    };

    FASTSOFT_HD static std::ptrdiff_t n_chunks(std::ptrdiff_t n) { return divide_up(n, kTallChunk); }
    FASTSOFT_HD static std::ptrdiff_t n_blocks(const Arguments& a) {
        return n_chunks(a.n) * n_row_tiles(a) * n_col_tiles(a);
    }
    FASTSOFT_HD static int n_phases(const Arguments&) { return 2 * (kRows / kPassRows); }

    FASTSOFT_HD static void phase(int phase, const Arguments& a, Shared& shared, Registers& registers,
                                  std::ptrdiff_t block, int thread) {
        const std::ptrdiff_t chunk = block / (n_row_tiles(a) * n_col_tiles(a));
        const std::ptrdiff_t row_tile = block / n_col_tiles(a) % n_row_tiles(a);
        const std::ptrdiff_t col_tile = block % n_col_tiles(a);
        const int pass = phase / 2;
        if (phase == 0) {
            accumulate(a, registers, chunk, first_row(a, row_tile, thread / kLanes),
                       first_col(a, col_tile, thread / kLanes), thread % kLanes);
        }
        if (phase % 2 == 0) {
            FASTSOFT_UNROLL(8)
            for (int r = 0; r < kRows; ++r) {
                if (r / kPassRows == pass) {
                    FASTSOFT_UNROLL(8)
                    for (int c = 0; c < kCols; ++c) {
                        const int entry = (thread / kLanes * kPassRows + r % kPassRows) * kCols + c;
                        shared.sum[entry][thread % kLanes] = registers.sum[r][c];
                    }
                }
            }
        } else {
            static_assert(kThreads == kGroups * kPassRows * kCols);
            double total = 0.0;
            for (int lane = 0; lane < kLanes; ++lane) {
                total += static_cast<double>(shared.sum[thread][lane]);
            }
            const int group = thread / (kPassRows * kCols);
            const std::ptrdiff_t row = first_row(a, row_tile, group) + pass * kPassRows + thread / kCols % kPassRows;
            const std::ptrdiff_t col = first_col(a, col_tile, group) + thread % kCols;
            if (row < a.m && col < a.b) {
                a.partial[(chunk * a.m + row) * a.b + col] = total;
            }
        }
    }

private:
    // Groups of threads side by side in W; the others are one below the other in V.
    FASTSOFT_HD static int groups_across(const Arguments& a) { return a.b > kCols ? 2 : 1; }
    FASTSOFT_HD static std::ptrdiff_t n_col_tiles(const Arguments& a) {
        return divide_up(a.b, groups_across(a) * kCols);
    }
    FASTSOFT_HD static std::ptrdiff_t n_row_tiles(const Arguments& a) {
        return divide_up(a.m, kGroups / groups_across(a) * kRows);
    }
    FASTSOFT_HD static std::ptrdiff_t first_row(const Arguments& a, std::ptrdiff_t tile, int group) {
        return (tile * (kGroups / groups_across(a)) + group / groups_across(a)) * kRows;
    }
    FASTSOFT_HD static std::ptrdiff_t first_col(const Arguments& a, std::ptrdiff_t tile, int group) {
        return (tile * groups_across(a) + group % groups_across(a)) * kCols;
    }

    FASTSOFT_HD static void accumulate(const Arguments& a, Registers& registers, std::ptrdiff_t chunk,
                                       std::ptrdiff_t row, std::ptrdiff_t col, int lane) {
        FASTSOFT_UNROLL(8)
        for (int r = 0; r < kRows; ++r) {
            FASTSOFT_UNROLL(8)
            for (int c = 0; c < kCols; ++c) {
                registers.sum[r][c] = Sum(0);
            }
        }
        if (row >= a.m || col >= a.b) {
            return;
        }
        const std::ptrdiff_t end = (chunk + 1) * kTallChunk < a.n ? (chunk + 1) * kTallChunk : a.n;
        for (std::ptrdiff_t i = chunk * kTallChunk + lane; i < end; i += kLanes) {
            Sum x[kRows];
            Sum y[kCols];
            // Rows beyond the last are the last once more; nobody stores their sums.
            FASTSOFT_UNROLL(8)
            for (int r = 0; r < kRows; ++r) {
                x[r] = static_cast<Sum>(a.v[(row + r < a.m ? row + r : a.m - 1) * a.n + i]);
            }
            FASTSOFT_UNROLL(8)
            for (int c = 0; c < kCols; ++c) {
                y[c] = static_cast<Sum>(a.w[(col + c < a.b ? col + c : a.b - 1) * a.n + i]);
            }
            FASTSOFT_UNROLL(8)
            for (int r = 0; r < kRows; ++r) {
                FASTSOFT_UNROLL(8)
                for (int c = 0; c < kCols; ++c) {
                    registers.sum[r][c] += x[r] * y[c];
                }
            }
        }
    }
};

// out[e] = sum over chunks of partial[chunk, e]. Eight threads share an entry: each adds every eighth chunk, and then
// one of them adds what the eight have.
struct SumChunksBlock {
    static constexpr int kEntries = 32;
    static constexpr int kShares = 8;
    static constexpr int kThreads = kEntries * kShares;

    struct Arguments {
        const double* partial;
        std::ptrdiff_t n_chunks;
        std::ptrdiff_t n_entries;
        double* out;
    };

    struct Shared {
        double sum[kShares][kEntries];
    };

    using Registers = Nothing;

    FASTSOFT_HD static std::ptrdiff_t n_blocks(const Arguments& a) { return divide_up(a.n_entries, kEntries); }
    FASTSOFT_HD static int n_phases(const Arguments&) { return 2; }

    FASTSOFT_HD static void phase(int phase, const Arguments& a, Shared& shared, Registers&, std::ptrdiff_t block,
                                  int thread) {
        const int share = thread / kEntries;
        const std::ptrdiff_t entry = block * kEntries + thread % kEntries;
        if (entry >= a.n_entries) {
            return;
        }
        if (phase == 0) {
            double total = 0.0;
            for (std::ptrdiff_t chunk = share; chunk < a.n_chunks; chunk += kShares) {
                total += a.partial[chunk * a.n_entries + entry];
            }
            shared.sum[share][thread % kEntries] = total;
        } else if (share == 0) {
            double total = 0.0;
            for (int i = 0; i < kShares; ++i) {
                total += shared.sum[i][thread % kEntries];
            }
            a.out[entry] = total;
        }
    }
};

// W -= C' V for up to 16 rows of W at a time, in place. A thread has two columns of W in its registers and reads V
// once; C goes through shared memory, in tiles of rows. Bytes: V once for 16 rows of W; W once in, once out.
template <class T>
struct ProjectOutBlock {
    static constexpr int kThreads = 256;
    static constexpr int kColumns = 2;
    static constexpr int kRows = 16;   // of W
    static constexpr int kTile = 128;  // rows of C

    struct Arguments {
        const T* v;
        std::ptrdiff_t m;
        T* w;
        std::ptrdiff_t b;
        std::ptrdiff_t n;
        const double* c;  // (m, b)
    };

    struct Shared {
        T c[kTile][kRows];
    };

    struct Registers {
        T sum[kColumns][kRows];
    };

    FASTSOFT_HD static std::ptrdiff_t n_blocks(const Arguments& a) { return n_slabs(a) * divide_up(a.b, kRows); }
    FASTSOFT_HD static int n_phases(const Arguments& a) { return 2 * static_cast<int>(divide_up(a.m, kTile)); }

    FASTSOFT_HD static void phase(int phase, const Arguments& a, Shared& shared, Registers& registers,
                                  std::ptrdiff_t block, int thread) {
        const std::ptrdiff_t first_w = block / n_slabs(a) * kRows;
        const std::ptrdiff_t tile = phase / 2 * kTile;
        const std::ptrdiff_t count = a.m - tile < kTile ? a.m - tile : kTile;
        if (phase % 2 == 0) {
            for (std::ptrdiff_t e = thread; e < count * kRows; e += kThreads) {
                const std::ptrdiff_t row = e / kRows;
                const std::ptrdiff_t col = e % kRows;
                shared.c[row][col] =
                    first_w + col < a.b ? static_cast<T>(a.c[(tile + row) * a.b + first_w + col]) : T(0);
            }
            return;
        }
        if (phase == 1) {
            FASTSOFT_UNROLL(2)
            for (int j = 0; j < kColumns; ++j) {
                FASTSOFT_UNROLL(16)
                for (int r = 0; r < kRows; ++r) {
                    registers.sum[j][r] = T(0);
                }
            }
        }
        const std::ptrdiff_t begin = block % n_slabs(a) * (kThreads * kColumns) + thread;
        // A thread without a column works on the last one and stores nothing.
        const std::ptrdiff_t first = begin < a.n ? begin : a.n - 1;
        const std::ptrdiff_t second = begin + kThreads < a.n ? begin + kThreads : a.n - 1;
        for (std::ptrdiff_t i = 0; i < count; ++i) {
            const T x = a.v[(tile + i) * a.n + first];
            const T y = a.v[(tile + i) * a.n + second];
            FASTSOFT_UNROLL(16)
            for (int r = 0; r < kRows; ++r) {
                registers.sum[0][r] += shared.c[i][r] * x;
                registers.sum[1][r] += shared.c[i][r] * y;
            }
        }
        if (phase + 1 == n_phases(a)) {
            FASTSOFT_UNROLL(2)
            for (int j = 0; j < kColumns; ++j) {
                FASTSOFT_UNROLL(16)
                for (int r = 0; r < kRows; ++r) {
                    const std::ptrdiff_t column = begin + j * kThreads;
                    if (column < a.n && first_w + r < a.b) {
                        a.w[(first_w + r) * a.n + column] -= registers.sum[j][r];
                    }
                }
            }
        }
    }

private:
    FASTSOFT_HD static std::ptrdiff_t n_slabs(const Arguments& a) { return divide_up(a.n, kThreads * kColumns); }
};

// W = A W in place for A (b, b), b at most 16: a thread per column.
template <class T>
struct TransformBlock {
    static constexpr int kThreads = 256;
    static constexpr int kRows = 16;

    struct Arguments {
        T* w;
        std::ptrdiff_t b;
        std::ptrdiff_t n;
        const double* a;
    };

    struct Shared {
        T a[kRows][kRows];
    };

    using Registers = Nothing;

    FASTSOFT_HD static std::ptrdiff_t n_blocks(const Arguments& a) { return divide_up(a.n, kThreads); }
    FASTSOFT_HD static int n_phases(const Arguments&) { return 2; }

    FASTSOFT_HD static void phase(int phase, const Arguments& a, Shared& shared, Registers&, std::ptrdiff_t block,
                                  int thread) {
        if (phase == 0) {
            static_assert(kThreads == kRows * kRows);
            const int row = thread / kRows;
            const int col = thread % kRows;
            shared.a[row][col] = row < a.b && col < a.b ? static_cast<T>(a.a[row * a.b + col]) : T(0);
            return;
        }
        const std::ptrdiff_t i = block * kThreads + thread;
        if (i >= a.n) {
            return;
        }
        T x[kRows];
        FASTSOFT_UNROLL(16)
        for (int r = 0; r < kRows; ++r) {
            x[r] = r < a.b ? a.w[r * a.n + i] : T(0);
        }
        for (int r = 0; r < a.b; ++r) {
            T sum = T(0);
            FASTSOFT_UNROLL(16)
            for (int c = 0; c < kRows; ++c) {
                sum += shared.a[r][c] * x[c];
            }
            a.w[r * a.n + i] = sum;
        }
    }
};

// out (k, count) = Q' V over columns first..first+count, Q (m, k): tiles of 64 rows by 128 columns, in steps of 16 rows
// of V. A thread has 8 by 4 sums. Bound by arithmetic; phases: a step's tiles into shared memory; their products.
template <class T>
struct RotateBlock {
    static constexpr int kThreads = 256;
    static constexpr int kAcross = 32;  // threads along the columns
    static constexpr int kRows = 8;
    static constexpr int kCols = 4;
    static constexpr int kTileRows = kThreads / kAcross * kRows;
    static constexpr int kTileCols = kAcross * kCols;
    static constexpr int kDepth = 16;

    struct Arguments {
        const T* v;
        std::ptrdiff_t m;
        std::ptrdiff_t n;
        const double* q;
        std::ptrdiff_t k;
        std::ptrdiff_t first;
        std::ptrdiff_t count;
        T* out;
    };

    struct Shared {
        T q[kDepth][kTileRows];
        T v[kDepth][kTileCols];
    };

    struct Registers {
        T sum[kRows][kCols];
    };

    FASTSOFT_HD static std::ptrdiff_t n_blocks(const Arguments& a) { return divide_up(a.k, kTileRows) * n_across(a); }
    FASTSOFT_HD static int n_phases(const Arguments& a) { return 2 * static_cast<int>(divide_up(a.m, kDepth)); }

    FASTSOFT_HD static void phase(int phase, const Arguments& a, Shared& shared, Registers& registers,
                                  std::ptrdiff_t block, int thread) {
        const std::ptrdiff_t row = block / n_across(a) * kTileRows;
        const std::ptrdiff_t col = block % n_across(a) * kTileCols;
        const std::ptrdiff_t step = phase / 2 * kDepth;
        if (phase % 2 == 0) {
            for (int e = thread; e < kDepth * kTileRows; e += kThreads) {
                const int d = e / kTileRows;
                const int r = e % kTileRows;
                shared.q[d][r] =
                    step + d < a.m && row + r < a.k ? static_cast<T>(a.q[(step + d) * a.k + row + r]) : T(0);
            }
            for (int e = thread; e < kDepth * kTileCols; e += kThreads) {
                const int d = e / kTileCols;
                const int c = e % kTileCols;
                shared.v[d][c] = step + d < a.m && col + c < a.count ? a.v[(step + d) * a.n + a.first + col + c] : T(0);
            }
            return;
        }
        const int down = thread / kAcross * kRows;
        const int right = thread % kAcross;
        FASTSOFT_UNROLL(8)
        for (int r = 0; r < kRows; ++r) {
            FASTSOFT_UNROLL(4)
            for (int c = 0; c < kCols; ++c) {
                registers.sum[r][c] = phase == 1 ? T(0) : registers.sum[r][c];
            }
        }
        for (int d = 0; d < kDepth; ++d) {
            FASTSOFT_UNROLL(8)
            for (int r = 0; r < kRows; ++r) {
                FASTSOFT_UNROLL(4)
                for (int c = 0; c < kCols; ++c) {
                    registers.sum[r][c] += shared.q[d][down + r] * shared.v[d][right + c * kAcross];
                }
            }
        }
        if (phase + 1 == n_phases(a)) {
            FASTSOFT_UNROLL(8)
            for (int r = 0; r < kRows; ++r) {
                FASTSOFT_UNROLL(4)
                for (int c = 0; c < kCols; ++c) {
                    const std::ptrdiff_t i = row + down + r;
                    const std::ptrdiff_t j = col + right + c * kAcross;
                    if (i < a.k && j < a.count) {
                        a.out[i * a.count + j] = registers.sum[r][c];
                    }
                }
            }
        }
    }

private:
    FASTSOFT_HD static std::ptrdiff_t n_across(const Arguments& a) { return divide_up(a.count, kTileCols); }
};

// Columns first..first+count of the first k rows of V = source (k, count).
template <class T>
struct PutColumnsStep {
    struct Arguments {
        const T* source;
        std::ptrdiff_t k;
        std::ptrdiff_t count;
        T* v;
        std::ptrdiff_t n;
        std::ptrdiff_t first;
    };

    FASTSOFT_HD static std::ptrdiff_t size(const Arguments& a) { return a.k * a.count; }

    FASTSOFT_HD static void run(const Arguments& a, std::ptrdiff_t e) {
        a.v[e / a.count * a.n + a.first + e % a.count] = a.source[e];
    }
};

template <class T>
using PutColumnsBlock = EachBlock<PutColumnsStep<T>>;

// Standard normal numbers from a counter, a thread per number.
template <class T>
struct FillNormalBlock {
    static constexpr int kThreads = 256;

    struct Arguments {
        T* w;
        std::ptrdiff_t b;
        std::ptrdiff_t n;
        std::uint64_t seed;
        std::uint64_t stream;
    };

    using Shared = Nothing;
    using Registers = Nothing;

    FASTSOFT_HD static std::ptrdiff_t n_blocks(const Arguments& a) { return a.b * divide_up(a.n, kThreads); }
    FASTSOFT_HD static int n_phases(const Arguments&) { return 1; }

    FASTSOFT_HD static void phase(int, const Arguments& a, Shared&, Registers&, std::ptrdiff_t block, int thread) {
        const std::ptrdiff_t pieces = divide_up(a.n, kThreads);
        const std::ptrdiff_t v = block / pieces;
        const std::ptrdiff_t i = block % pieces * kThreads + thread;
        if (i < a.n) {
            const std::uint64_t key = normal_key(a.seed, a.stream + static_cast<std::uint64_t>(v));
            a.w[v * a.n + i] = static_cast<T>(normal_number(key, static_cast<std::uint64_t>(i)));
        }
    }
};

// partial (n_chunks, b): what a term says of each column of a row, summed over each chunk in double; neighbouring
// threads have neighbouring columns, and a tree adds up what they have.
template <class Term>
struct TallRowSumsBlock {
    static constexpr int kThreads = 256;

    struct Arguments {
        Term term;
        std::ptrdiff_t b;
        std::ptrdiff_t n;
        double* partial;
    };

    struct Shared {
        double sum[kThreads];
    };

    using Registers = Nothing;

    FASTSOFT_HD static std::ptrdiff_t n_chunks(std::ptrdiff_t n) { return divide_up(n, kTallChunk); }
    FASTSOFT_HD static std::ptrdiff_t n_blocks(const Arguments& a) { return n_chunks(a.n) * a.b; }
    FASTSOFT_HD static int n_phases(const Arguments&) { return 10; }

    FASTSOFT_HD static void phase(int phase, const Arguments& a, Shared& shared, Registers&, std::ptrdiff_t block,
                                  int thread) {
        const std::ptrdiff_t row = block % a.b;
        const std::ptrdiff_t chunk = block / a.b;
        if (phase == 0) {
            const std::ptrdiff_t end = (chunk + 1) * kTallChunk < a.n ? (chunk + 1) * kTallChunk : a.n;
            double total = 0.0;
            for (std::ptrdiff_t i = chunk * kTallChunk + thread; i < end; i += kThreads) {
                total += a.term(row, row * a.n + i);
            }
            shared.sum[thread] = total;
        } else if (phase < 9) {
            static_assert(kThreads == 256);
            const int half = kThreads >> phase;
            if (thread < half) {
                shared.sum[thread] += shared.sum[thread + half];
            }
        } else if (thread == 0) {
            a.partial[chunk * a.b + row] = shared.sum[0];
        }
    }
};

// (W - factor V)^2, the factor rounded to T.
template <class T>
struct SquaredResidual {
    const T* w;
    const T* v;
    const double* factor;

    FASTSOFT_HD double operator()(std::ptrdiff_t row, std::ptrdiff_t i) const {
        const T scaled = static_cast<T>(factor[row]) * v[i];
        const double difference = static_cast<double>(w[i]) - static_cast<double>(scaled);
        return difference * difference;
    }
};

template <class T>
struct RowProduct {
    const T* x;
    const T* y;

    FASTSOFT_HD double operator()(std::ptrdiff_t, std::ptrdiff_t i) const {
        return static_cast<double>(x[i]) * static_cast<double>(y[i]);
    }
};

// The component of largest magnitude of each vector, the first of equals, becomes positive: a block per vector.
template <class T>
struct FixSignsBlock {
    static constexpr int kThreads = 256;

    struct Arguments {
        T* v;
        std::ptrdiff_t k;
        std::ptrdiff_t n;
    };

    struct Shared {
        T value[kThreads];
        std::ptrdiff_t index[kThreads];
    };

    using Registers = Nothing;

    FASTSOFT_HD static std::ptrdiff_t n_blocks(const Arguments& a) { return a.k; }
    FASTSOFT_HD static int n_phases(const Arguments&) { return 10; }

    FASTSOFT_HD static void phase(int phase, const Arguments& a, Shared& shared, Registers&, std::ptrdiff_t block,
                                  int thread) {
        T* const x = a.v + block * a.n;
        if (phase == 0) {
            T value = T(0);
            std::ptrdiff_t index = a.n;
            for (std::ptrdiff_t i = thread; i < a.n; i += kThreads) {
                if (magnitude(x[i]) > magnitude(value)) {
                    value = x[i];
                    index = i;
                }
            }
            shared.value[thread] = value;
            shared.index[thread] = index;
        } else if (phase < 9) {
            static_assert(kThreads == 256);
            const int half = kThreads >> phase;
            if (thread < half) {
                const T mine = magnitude(shared.value[thread]);
                const T other = magnitude(shared.value[thread + half]);
                if (other > mine || (other == mine && shared.index[thread + half] < shared.index[thread])) {
                    shared.value[thread] = shared.value[thread + half];
                    shared.index[thread] = shared.index[thread + half];
                }
            }
        } else if (shared.value[0] < T(0)) {
            for (std::ptrdiff_t i = thread; i < a.n; i += kThreads) {
                x[i] = -x[i];
            }
        }
    }

private:
    FASTSOFT_HD static T magnitude(T value) { return value < T(0) ? -value : value; }
};

}  // namespace fastsoft::detail
