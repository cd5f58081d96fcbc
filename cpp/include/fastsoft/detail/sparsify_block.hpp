// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

#include "fastsoft/core/block.hpp"
#include "fastsoft/core/view.hpp"
#include "fastsoft/detail/sparsify_pixel.hpp"
#include "fastsoft/detail/tree.hpp"

// The sums of constrained sparsification over pixels. Two kinds of kernels:
//
// Segments. Alphas of a tile of pixels and eight segments, from eigenvectors and coefficients, and what is made of
// them: terms of the sums (SegmentTermsBlock), the largest value (SegmentPeaksBlock), the result
// (CombineSegmentsBlock).
//
// Products. L'R over a chunk of pixels for two sets of planar vectors, 8x8 entries per thread, held in registers
// while the pixels stream through shared memory. Of symmetric products only tiles that touch the lower triangle are
// computed: 13x13 tiles make 91, and a block has 96 threads. That is 104 vectors; of more, what lies below the
// diagonal is computed in rectangles of 7x13 tiles, which are 91, too. Chunks of their own size for their partial
// sums, which ProductTotalsBlock adds in double and in order.
namespace fastsoft::detail {

// ---- segments ----

constexpr int kSegmentThreads = 128;
constexpr int kSegmentPixels = 2 * kSegmentThreads;  // of a block
constexpr int kSegmentGroup = 8;                     // segments of a block
constexpr int kSegmentDepth = 128;                   // eigenvectors whose coefficients are in shared memory

// Where alphas come from.
template <class T>
struct SegmentSource {
    std::ptrdiff_t n_pixels;  // of a plane
    std::ptrdiff_t first;     // the pixels that are wanted
    std::ptrdiff_t count;
    std::ptrdiff_t n_eigenvectors;
    std::ptrdiff_t n_segments;
    const T* eigenvectors;       // (n_eigenvectors, n_pixels)
    const T* coefficients;       // (n_segments, n_eigenvectors), or null for the start
    const T* offsets;            // (n_segments)
    const T* start;              // (n_segments, n_pixels), or null
    const std::int32_t* labels;  // (n_pixels), read if start is null
};

// alpha[i][s] of pixels thread and thread + kSegmentThreads of a tile and the segments of a group, in n_phases phases,
// the last of which leaves it complete in the registers of the thread.
template <class T>
struct SegmentTile {
    struct alignas(16) Coefficients {
        T of[kSegmentGroup];
    };
    struct Shared {
        Coefficients coefficients[kSegmentDepth];
    };
    struct Registers {
        T alpha[2][kSegmentGroup];
    };

    FASTSOFT_HD static std::ptrdiff_t n_tiles(const SegmentSource<T>& source) {
        return divide_up(source.count, kSegmentPixels);
    }
    FASTSOFT_HD static std::ptrdiff_t n_groups(const SegmentSource<T>& source) {
        return divide_up(source.n_segments, kSegmentGroup);
    }
    // Groups of a tile follow each other, so that they find its eigenvectors in the cache.
    FASTSOFT_HD static std::ptrdiff_t n_blocks(const SegmentSource<T>& source) {
        return n_tiles(source) * n_groups(source);
    }
    FASTSOFT_HD static std::ptrdiff_t tile_of(const SegmentSource<T>& source, std::ptrdiff_t block) {
        return block / n_groups(source);
    }
    FASTSOFT_HD static std::ptrdiff_t segment_of(const SegmentSource<T>& source, std::ptrdiff_t block) {
        return block % n_groups(source) * kSegmentGroup;
    }
    // Number within source.first.. of pixel i (0 or 1) of a thread; may be beyond its end.
    FASTSOFT_HD static std::ptrdiff_t pixel_of(std::ptrdiff_t tile, int i, int thread) {
        return tile * kSegmentPixels + i * kSegmentThreads + thread;
    }

    FASTSOFT_HD static int n_phases(const SegmentSource<T>& source) {
        return source.coefficients == nullptr ? 1
                                              : 2 * static_cast<int>(divide_up(source.n_eigenvectors, kSegmentDepth));
    }

    FASTSOFT_HD static void phase(int phase, const SegmentSource<T>& source, Shared& shared, Registers& registers,
                                  std::ptrdiff_t block, int thread) {
        const std::ptrdiff_t tile = tile_of(source, block);
        const std::ptrdiff_t segment = segment_of(source, block);
        if (source.coefficients == nullptr) {
            read_start(source, registers, tile, segment, thread);
        } else if (phase % 2 == 0) {
            read_coefficients(source, shared, segment, phase / 2 * kSegmentDepth, thread);
        } else {
            combine(source, shared, registers, tile, segment, phase / 2 * kSegmentDepth, thread);
        }
    }

private:
    FASTSOFT_HD static void read_start(const SegmentSource<T>& source, Registers& registers, std::ptrdiff_t tile,
                                       std::ptrdiff_t segment, int thread) {
        FASTSOFT_UNROLL(2)
        for (int i = 0; i < 2; ++i) {
            const std::ptrdiff_t p = pixel_of(tile, i, thread);
            FASTSOFT_UNROLL(8)
            for (int s = 0; s < kSegmentGroup; ++s) {
                T alpha = T(0);
                if (p < source.count && segment + s < source.n_segments) {
                    alpha = source.start != nullptr ? source.start[(segment + s) * source.n_pixels + source.first + p]
                                                    : T(source.labels[source.first + p] == segment + s ? 1 : 0);
                }
                registers.alpha[i][s] = alpha;
            }
        }
    }

    FASTSOFT_HD static void read_coefficients(const SegmentSource<T>& source, Shared& shared, std::ptrdiff_t segment,
                                              std::ptrdiff_t first, int thread) {
        for (int i = thread; i < kSegmentDepth * kSegmentGroup; i += kSegmentThreads) {
            const int j = i % kSegmentDepth;
            const int s = i / kSegmentDepth;
            const bool exists = first + j < source.n_eigenvectors && segment + s < source.n_segments;
            shared.coefficients[j].of[s] =
                exists ? source.coefficients[(segment + s) * source.n_eigenvectors + first + j] : T(0);
        }
    }

    FASTSOFT_HD static void combine(const SegmentSource<T>& source, const Shared& shared, Registers& registers,
                                    std::ptrdiff_t tile, std::ptrdiff_t segment, std::ptrdiff_t first, int thread) {
        if (first == 0) {
            FASTSOFT_UNROLL(8)
            for (int s = 0; s < kSegmentGroup; ++s) {
                registers.alpha[0][s] = T(0);
                registers.alpha[1][s] = T(0);
            }
        }
        // A pixel beyond the end reads the last one.
        const std::ptrdiff_t p0 = clamp_index(pixel_of(tile, 0, thread), source.count);
        const std::ptrdiff_t p1 = clamp_index(pixel_of(tile, 1, thread), source.count);
        const T* const plane = source.eigenvectors + first * source.n_pixels + source.first;
        const std::ptrdiff_t left = source.n_eigenvectors - first;
        const int depth = left < kSegmentDepth ? static_cast<int>(left) : kSegmentDepth;
        for (int j = 0; j < depth; ++j) {
            const T e0 = plane[j * source.n_pixels + p0];
            const T e1 = plane[j * source.n_pixels + p1];
            const Coefficients c = shared.coefficients[j];
            FASTSOFT_UNROLL(8)
            for (int s = 0; s < kSegmentGroup; ++s) {
                registers.alpha[0][s] += e0 * c.of[s];
                registers.alpha[1][s] += e1 * c.of[s];
            }
        }
        if (first + depth == source.n_eigenvectors) {
            FASTSOFT_UNROLL(8)
            for (int s = 0; s < kSegmentGroup; ++s) {
                const T offset = segment + s < source.n_segments ? source.offsets[segment + s] : T(0);
                registers.alpha[0][s] += offset;
                registers.alpha[1][s] += offset;
            }
        }
    }
};

// The factors of e e' and of e in the sums, planes of `pitch` numbers. Least bytes per pixel: its eigenvectors read and
// 2 K numbers written.
template <class T>
struct SegmentTermsBlock {
    using Tile = SegmentTile<T>;
    static constexpr int kThreads = kSegmentThreads;

    struct Arguments {
        SegmentSource<T> source;
        const T* weights;  // of all pixels, or null
        bool flat;
        T clamp;
        T exponent;
        T factor;
        T peak;
        T offset;
        std::ptrdiff_t pitch;
        T* totals;  // (n_segments, pitch)
        T* right;   // (n_segments, pitch), and unless flat one more: what the last segment brings to all others
    };

    using Shared = typename Tile::Shared;
    using Registers = typename Tile::Registers;

    FASTSOFT_HD static std::ptrdiff_t n_blocks(const Arguments& a) { return Tile::n_blocks(a.source); }
    FASTSOFT_HD static int n_phases(const Arguments& a) { return Tile::n_phases(a.source); }

    FASTSOFT_HD static void phase(int phase, const Arguments& a, Shared& shared, Registers& registers,
                                  std::ptrdiff_t block, int thread) {
        Tile::phase(phase, a.source, shared, registers, block, thread);
        if (phase + 1 < n_phases(a)) {
            return;
        }
        const std::ptrdiff_t tile = Tile::tile_of(a.source, block);
        const std::ptrdiff_t segment = Tile::segment_of(a.source, block);
        const std::ptrdiff_t n_segments = a.source.n_segments;
        FASTSOFT_UNROLL(2)
        for (int i = 0; i < 2; ++i) {
            const std::ptrdiff_t p = Tile::pixel_of(tile, i, thread);
            if (p >= a.source.count) {
                continue;
            }
            const T weight = a.weights != nullptr ? a.weights[a.source.first + p] : T(1);
            FASTSOFT_UNROLL(8)
            for (int s = 0; s < kSegmentGroup; ++s) {
                if (segment + s >= n_segments) {
                    continue;
                }
                const T alpha = registers.alpha[i][s];
                const SparsityTerms<T> terms =
                    a.flat ? stable_terms(alpha, a.clamp, a.exponent, a.factor, a.peak, a.offset)
                           : compat_terms(alpha, a.clamp, a.exponent, a.factor);
                a.totals[(segment + s) * a.pitch + p] = terms.total * weight;
                a.right[(segment + s) * a.pitch + p] = terms.right * weight;
                if (!a.flat && segment + s + 1 == n_segments) {
                    a.right[n_segments * a.pitch + p] = terms.last * weight;
                }
            }
        }
    }
};

// The largest |alpha| of each segment in a tile.
template <class T>
struct SegmentPeaksBlock {
    using Tile = SegmentTile<T>;
    static constexpr int kThreads = kSegmentThreads;

    struct Arguments {
        SegmentSource<T> source;
        T* partial;  // (n_segments, n_tiles)
    };

    struct Shared {
        typename Tile::Shared tile;
        T largest[kSegmentGroup][kThreads];
    };
    using Registers = typename Tile::Registers;

    FASTSOFT_HD static std::ptrdiff_t n_blocks(const Arguments& a) { return Tile::n_blocks(a.source); }
    FASTSOFT_HD static int n_phases(const Arguments& a) { return Tile::n_phases(a.source) + 1; }

    FASTSOFT_HD static void phase(int phase, const Arguments& a, Shared& shared, Registers& registers,
                                  std::ptrdiff_t block, int thread) {
        const int n_tile_phases = Tile::n_phases(a.source);
        const std::ptrdiff_t tile = Tile::tile_of(a.source, block);
        if (phase < n_tile_phases) {
            Tile::phase(phase, a.source, shared.tile, registers, block, thread);
            if (phase + 1 == n_tile_phases) {
                FASTSOFT_UNROLL(8)
                for (int s = 0; s < kSegmentGroup; ++s) {
                    T largest = T(0);
                    FASTSOFT_UNROLL(2)
                    for (int i = 0; i < 2; ++i) {
                        const T alpha = registers.alpha[i][s];
                        const T size = alpha < T(0) ? -alpha : alpha;
                        largest = Tile::pixel_of(tile, i, thread) < a.source.count && size > largest ? size : largest;
                    }
                    shared.largest[s][thread] = largest;
                }
            }
            return;
        }
        const std::ptrdiff_t segment = Tile::segment_of(a.source, block) + thread;
        if (thread < kSegmentGroup && segment < a.source.n_segments) {
            T largest = T(0);
            for (int i = 0; i < kThreads; ++i) {
                // Each thread begins elsewhere: their rows lie in the same banks.
                const T other = shared.largest[thread][(i + thread) % kThreads];
                largest = other > largest ? other : largest;
            }
            a.partial[segment * Tile::n_tiles(a.source) + tile] = largest;
        }
    }
};

// The largest of `count` numbers that are not negative, for each of several rows: a block per row.
template <class T>
struct LargestBlock {
    static constexpr int kThreads = 128;

    struct Arguments {
        const T* values;  // (n_rows, count)
        std::ptrdiff_t n_rows;
        std::ptrdiff_t count;
        double* largest;  // (n_rows)
    };
    struct Shared {
        T largest[kThreads];
    };
    using Registers = Nothing;

    FASTSOFT_HD static std::ptrdiff_t n_blocks(const Arguments& a) { return a.n_rows; }
    FASTSOFT_HD static int n_phases(const Arguments&) { return 2; }

    FASTSOFT_HD static void phase(int phase, const Arguments& a, Shared& shared, Registers&, std::ptrdiff_t block,
                                  int thread) {
        T largest = T(0);
        if (phase == 0) {
            for (std::ptrdiff_t i = thread; i < a.count; i += kThreads) {
                const T value = a.values[block * a.count + i];
                largest = value > largest ? value : largest;
            }
            shared.largest[thread] = largest;
        } else if (thread == 0) {
            for (int i = 0; i < kThreads; ++i) {
                largest = shared.largest[i] > largest ? shared.largest[i] : largest;
            }
            a.largest[block] = static_cast<double>(largest);
        }
    }
};

// The segments themselves, and the sum of sparsity_at over the block. Neighbouring threads write neighbouring segments
// of a pixel.
template <class T>
struct CombineSegmentsBlock {
    using Tile = SegmentTile<T>;
    static constexpr int kThreads = kSegmentThreads;

    struct Arguments {
        SegmentSource<T> source;
        T gamma;
        View<T, 2> segments;  // (n_pixels, n_segments)
        double* sparsity;     // (n_blocks)
    };

    struct Shared {
        typename Tile::Shared tile;
        T alpha[kSegmentPixels][kSegmentGroup + 1];
        double sums[kThreads];
    };
    using Registers = typename Tile::Registers;

    FASTSOFT_HD static std::ptrdiff_t n_blocks(const Arguments& a) { return Tile::n_blocks(a.source); }
    FASTSOFT_HD static int n_phases(const Arguments& a) { return Tile::n_phases(a.source) + 1; }

    FASTSOFT_HD static void phase(int phase, const Arguments& a, Shared& shared, Registers& registers,
                                  std::ptrdiff_t block, int thread) {
        const int n_tile_phases = Tile::n_phases(a.source);
        const std::ptrdiff_t tile = Tile::tile_of(a.source, block);
        const std::ptrdiff_t segment = Tile::segment_of(a.source, block);
        const std::ptrdiff_t n_segments = a.source.n_segments;
        if (phase < n_tile_phases) {
            Tile::phase(phase, a.source, shared.tile, registers, block, thread);
            if (phase + 1 == n_tile_phases) {
                double sum = 0.0;
                FASTSOFT_UNROLL(2)
                for (int i = 0; i < 2; ++i) {
                    const bool inside = Tile::pixel_of(tile, i, thread) < a.source.count;
                    FASTSOFT_UNROLL(8)
                    for (int s = 0; s < kSegmentGroup; ++s) {
                        const T alpha = registers.alpha[i][s];
                        shared.alpha[i * kThreads + thread][s] = alpha;
                        if (inside && segment + s < n_segments) {
                            sum += static_cast<double>(sparsity_at(alpha, a.gamma));
                        }
                    }
                }
                shared.sums[thread] = sum;
            }
            return;
        }
        for (int i = thread; i < kSegmentPixels * kSegmentGroup; i += kThreads) {
            const int pixel = i / kSegmentGroup;
            const int s = i % kSegmentGroup;
            const std::ptrdiff_t p = tile * kSegmentPixels + pixel;
            if (p < a.source.count && segment + s < n_segments) {
                a.segments(a.source.first + p, segment + s) = shared.alpha[pixel][s];
            }
        }
        if (thread == 0) {
            double sum = 0.0;
            for (int i = 0; i < kThreads; ++i) {
                sum += shared.sums[i];
            }
            a.sparsity[block] = sum;
        }
    }
};

// Sum of doubles, one block.
using DoubleSumBlock = TreeTotalBlock<double>;

// ---- products ----

constexpr int kProductTile = 8;
constexpr int kProductSide = 13;                             // tiles
constexpr int kProductWidth = kProductTile * kProductSide;   // vectors
constexpr int kProductLeft = 7;                              // tiles of the left side of a rectangle
constexpr int kProductHeight = kProductTile * kProductLeft;  // vectors
constexpr int kProductThreads = 96;
constexpr int kProductEntries = kProductTile * kProductTile * kProductThreads;  // of a partial sum
constexpr int kProductTiles = kProductSide * (kProductSide + 1) / 2;
static_assert(kProductLeft * kProductSide == kProductTiles && kProductTiles <= kProductThreads);

enum class ProductKind {
    triangles,   // E' diag(amounts) E in panels of 104 eigenvectors on the diagonal
    rectangles,  // the same below these
    sides,       // R'E for all pixels, R what segments bring to right-hand sides
};

// Pixels of a chunk. Few for `sides`, which have one product where the others have one for each segment.
constexpr std::ptrdiff_t kProductChunk = 768;
constexpr std::ptrdiff_t kSideChunk = 192;
constexpr std::ptrdiff_t chunk_of(ProductKind kind) {
    return kind == ProductKind::sides ? kSideChunk : kProductChunk;
}

// What is multiplied, and which parts ("jobs") a product is computed in.
template <class T>
struct ProductInput {
    std::ptrdiff_t n_pixels;  // of a plane
    std::ptrdiff_t first;     // the pixels that are wanted
    std::ptrdiff_t count;
    std::ptrdiff_t n_eigenvectors;
    const T* eigenvectors;      // (n_eigenvectors, n_pixels)
    std::ptrdiff_t n_products;  // segments; 1 for sides
    std::ptrdiff_t pitch;       // of the planes of amounts or sides, whose first pixel is `first`
    const T* amounts;           // (n_products, pitch), or null for ones
    const T* sides;             // (n_sides, pitch)
    std::ptrdiff_t n_sides;
};

// The vectors of a job.
struct ProductJob {
    std::ptrdiff_t right;  // the first eigenvector on the right
    std::ptrdiff_t left;   // the first vector on the left
};

template <ProductKind Kind>
FASTSOFT_HD std::ptrdiff_t first_left(std::ptrdiff_t panel) {
    return Kind == ProductKind::rectangles ? (panel + 1) * kProductWidth : 0;
}

template <ProductKind Kind, class T>
FASTSOFT_HD std::ptrdiff_t n_left(const ProductInput<T>& in) {
    return Kind == ProductKind::sides ? in.n_sides : in.n_eigenvectors;
}

template <ProductKind Kind, class T>
FASTSOFT_HD std::ptrdiff_t n_jobs(const ProductInput<T>& in) {
    const std::ptrdiff_t n_panels = divide_up(in.n_eigenvectors, kProductWidth);
    if constexpr (Kind == ProductKind::triangles) {
        return n_panels;
    } else {
        std::ptrdiff_t count = 0;
        for (std::ptrdiff_t panel = 0; panel < n_panels; ++panel) {
            const std::ptrdiff_t left = n_left<Kind>(in) - first_left<Kind>(panel);
            count += left > 0 ? divide_up(left, kProductHeight) : 0;
        }
        return count;
    }
}

template <ProductKind Kind, class T>
FASTSOFT_HD ProductJob job_at(const ProductInput<T>& in, std::ptrdiff_t job) {
    if constexpr (Kind == ProductKind::triangles) {
        return {job * kProductWidth, job * kProductWidth};
    } else {
        std::ptrdiff_t panel = 0;
        while (true) {
            const std::ptrdiff_t left = n_left<Kind>(in) - first_left<Kind>(panel);
            const std::ptrdiff_t count = left > 0 ? divide_up(left, kProductHeight) : 0;
            if (job < count) {
                return {panel * kProductWidth, first_left<Kind>(panel) + job * kProductHeight};
            }
            job -= count;
            ++panel;
        }
    }
}

// Tile of a thread, counted in tiles.
struct ProductPlace {
    int left;
    int right;
};

template <ProductKind Kind>
FASTSOFT_HD ProductPlace place_at(int tile) {
    if constexpr (Kind == ProductKind::triangles) {
        int row = 0;
        while (tile > row) {
            tile -= row + 1;
            ++row;
        }
        return {row, tile};
    } else {
        return {tile / kProductSide, tile % kProductSide};
    }
}

template <ProductKind Kind, class T>
struct ProductsBlock {
    static constexpr int kThreads = kProductThreads;
    static constexpr int kChunk = static_cast<int>(chunk_of(Kind));
    static constexpr bool kTriangle = Kind == ProductKind::triangles;
    static constexpr bool kSkips = Kind != ProductKind::sides;  // pixels whose amount is 0
    // Pixels that are in shared memory at a time, twice: while some are multiplied, the next are read.
    static constexpr int kBatch = sizeof(T) == 4 ? 16 : 8;
    static constexpr int kBatches = kChunk / kBatch;
    static constexpr int kRows = kProductWidth + (kTriangle ? 0 : kProductHeight);
    // Eight pixels and four vectors, which a warp stores at a time, lie in 32 different banks of 4 bytes.
    static constexpr int kPitch = kRows + 4;
    static constexpr int kSpan = kChunk / kThreads;
    // A warp reads four vectors of eight pixels at a time.
    static constexpr int kWarps = kThreads / 32;
    static constexpr int kQuads = kRows / 4;
    static constexpr int kTurns = (kQuads + kWarps - 1) / kWarps;
    static constexpr int kEights = kBatch / 8;
    static_assert(kBatches * kBatch == kChunk && kSpan * kThreads == kChunk && kQuads * 4 == kRows);

    struct Arguments {
        ProductInput<T> in;
        T* partial;  // (n_chunks, n_products, n_jobs, kProductEntries)
    };

    struct alignas(16) Eight {
        T of[kProductTile];
    };
    struct alignas(16) Shared {
        T rows[2][kBatch][kPitch];
        T amounts[kSkips ? kChunk : 1];
        T factors[kSkips ? kChunk : 1];
        std::int32_t pixels[kSkips ? kChunk : 1];
        std::int32_t counts[kThreads];
    };
    struct Registers {
        T sums[kProductTile][kProductTile];
        T ahead[kEights][kTurns];
        int count;             // pixels of the chunk that are not skipped
        std::ptrdiff_t first;  // pixel of the chunk
        ProductJob job;
        ProductPlace place;
    };

    FASTSOFT_HD static std::ptrdiff_t n_blocks(const Arguments& a) {
        return divide_up(a.in.count, kChunk) * a.in.n_products * n_jobs<Kind>(a.in);
    }
    FASTSOFT_HD static int n_phases(const Arguments&) { return 3 + kBatches + 1; }

    FASTSOFT_HD static void phase(int phase, const Arguments& a, Shared& shared, Registers& registers,
                                  std::ptrdiff_t block, int thread) {
        if (phase == 0) {
            begin(a, shared, registers, block, thread);
        } else if (phase == 1) {
            count_span(shared, thread);
        } else if (phase == 2) {
            list_span(shared, registers, thread);
        } else {
            const int batch = phase - 3;
            const bool more = batch * kBatch < registers.count;
            if (more) {
                read(a.in, shared, registers, batch, thread);
            }
            if (batch > 0 && (batch - 1) * kBatch < registers.count && thread < kProductTiles) {
                multiply(shared, registers, (batch - 1) % 2);
            }
            if (more) {
                store(shared, registers, batch % 2, thread);
            }
            if (batch == kBatches) {
                write(a, registers, block, thread);
            }
        }
    }

private:
    FASTSOFT_HD static void begin(const Arguments& a, Shared& shared, Registers& registers, std::ptrdiff_t block,
                                  int thread) {
        // Blocks that read the same pixels follow each other.
        const std::ptrdiff_t jobs = n_jobs<Kind>(a.in);
        const std::ptrdiff_t product = block / jobs % a.in.n_products;
        registers.first = block / jobs / a.in.n_products * kChunk;
        const std::ptrdiff_t left = a.in.count - registers.first;
        registers.count = left < kChunk ? static_cast<int>(left) : kChunk;
        registers.job = job_at<Kind>(a.in, block % jobs);
        registers.place = place_at<Kind>(thread < kProductTiles ? thread : 0);
        FASTSOFT_UNROLL(8)
        for (int i = 0; i < kProductTile; ++i) {
            FASTSOFT_UNROLL(8)
            for (int j = 0; j < kProductTile; ++j) {
                registers.sums[i][j] = T(0);
            }
        }
        if constexpr (kSkips) {
            FASTSOFT_UNROLL(8)
            for (int i = 0; i < kSpan; ++i) {
                const int p = i * kThreads + thread;
                T amount = T(0);
                if (p < registers.count) {
                    amount = a.in.amounts != nullptr ? a.in.amounts[product * a.in.pitch + registers.first + p] : T(1);
                }
                shared.amounts[p] = amount;
            }
        }
    }

    // The pixels to be taken, in order: each thread counts and then lists a span.
    FASTSOFT_HD static void count_span(Shared& shared, int thread) {
        if constexpr (kSkips) {
            int count = 0;
            FASTSOFT_UNROLL(8)
            for (int i = 0; i < kSpan; ++i) {
                count += shared.amounts[thread * kSpan + i] > T(0) ? 1 : 0;
            }
            shared.counts[thread] = count;
        }
    }

    FASTSOFT_HD static void list_span(Shared& shared, Registers& registers, int thread) {
        if constexpr (kSkips) {
            int before = 0;
            int all = 0;
            for (int i = 0; i < kThreads; ++i) {
                const int count = shared.counts[i];
                before += i < thread ? count : 0;
                all += count;
            }
            for (int i = 0; i < kSpan; ++i) {
                const int p = thread * kSpan + i;
                const T amount = shared.amounts[p];
                if (amount > T(0)) {
                    shared.pixels[before] = p;
                    shared.factors[before] = std::sqrt(amount);
                    ++before;
                }
            }
            registers.count = all;
        }
    }

    // Vectors of the pixels of a batch into registers; 0 beyond their ends.
    FASTSOFT_HD static void read(const ProductInput<T>& in, const Shared& shared, Registers& registers, int batch,
                                 int thread) {
        const ProductJob job = registers.job;
        const int first_row = thread / 32 * 4 + thread % 32 / 8;
        FASTSOFT_UNROLL(2)
        for (int eight = 0; eight < kEights; ++eight) {
            const int i = batch * kBatch + eight * 8 + thread % 8;
            const bool exists = i < registers.count;
            std::ptrdiff_t p = registers.first;
            T factor = T(1);
            if constexpr (kSkips) {
                p += exists ? shared.pixels[i] : 0;
                factor = exists ? shared.factors[i] : T(0);
            } else {
                p += exists ? i : 0;
            }
            FASTSOFT_UNROLL(32)
            for (int turn = 0; turn < kTurns; ++turn) {
                const int row = first_row + turn * kWarps * 4;
                T value = T(0);
                if (exists && row < kProductWidth) {
                    if (job.right + row < in.n_eigenvectors) {
                        value = in.eigenvectors[(job.right + row) * in.n_pixels + in.first + p];
                    }
                } else if (exists && !kTriangle && row < kRows) {
                    const std::ptrdiff_t left = job.left + row - kProductWidth;
                    if (left < n_left<Kind>(in)) {
                        value = Kind == ProductKind::sides ? in.sides[left * in.pitch + p]
                                                           : in.eigenvectors[left * in.n_pixels + in.first + p];
                    }
                }
                registers.ahead[eight][turn] = value * factor;
            }
        }
    }

    FASTSOFT_HD static void store(Shared& shared, const Registers& registers, int buffer, int thread) {
        const int first_row = thread / 32 * 4 + thread % 32 / 8;
        FASTSOFT_UNROLL(2)
        for (int eight = 0; eight < kEights; ++eight) {
            FASTSOFT_UNROLL(32)
            for (int turn = 0; turn < kTurns; ++turn) {
                const int row = first_row + turn * kWarps * 4;
                if (row < kRows) {
                    shared.rows[buffer][eight * 8 + thread % 8][row] = registers.ahead[eight][turn];
                }
            }
        }
    }

    FASTSOFT_HD static void multiply(const Shared& shared, Registers& registers, int buffer) {
        const int left_row = (kTriangle ? 0 : kProductWidth) + registers.place.left * kProductTile;
        const int right_row = registers.place.right * kProductTile;
        for (int i = 0; i < kBatch; ++i) {
            const T* const row = shared.rows[buffer][i];
            const Eight left = *reinterpret_cast<const Eight*>(row + left_row);
            const Eight right = *reinterpret_cast<const Eight*>(row + right_row);
            FASTSOFT_UNROLL(8)
            for (int m = 0; m < kProductTile; ++m) {
                FASTSOFT_UNROLL(8)
                for (int n = 0; n < kProductTile; ++n) {
                    registers.sums[m][n] += left.of[m] * right.of[n];
                }
            }
        }
    }

    FASTSOFT_HD static void write(const Arguments& a, const Registers& registers, std::ptrdiff_t block, int thread) {
        T* const to = a.partial + block * kProductEntries + thread;
        FASTSOFT_UNROLL(8)
        for (int i = 0; i < kProductTile; ++i) {
            FASTSOFT_UNROLL(8)
            for (int j = 0; j < kProductTile; ++j) {
                to[(i * kProductTile + j) * kThreads] = registers.sums[i][j];
            }
        }
    }
};

// Adds the partial sums of all chunks to the totals: packed lower triangles (n_products, k (k + 1) / 2), or for sides (
// n_sides, k).
template <ProductKind Kind, class T>
struct ProductTotalsBlock {
    static constexpr int kThreads = 256;
    static constexpr int kBlocksPerJob = kProductEntries / kThreads;
    static_assert(kBlocksPerJob * kThreads == kProductEntries);

    struct Arguments {
        ProductInput<T> in;
        const T* partial;
        double sign;
        double* totals;
    };
    using Shared = Nothing;
    using Registers = Nothing;

    FASTSOFT_HD static std::ptrdiff_t n_blocks(const Arguments& a) {
        return a.in.n_products * n_jobs<Kind>(a.in) * kBlocksPerJob;
    }
    FASTSOFT_HD static int n_phases(const Arguments&) { return 1; }

    FASTSOFT_HD static void phase(int, const Arguments& a, Shared&, Registers&, std::ptrdiff_t block, int thread) {
        const std::ptrdiff_t product_job = block / kBlocksPerJob;
        const int entry = static_cast<int>(block % kBlocksPerJob) * kThreads + thread;
        const int tile = entry % kProductThreads;
        if (tile >= kProductTiles) {
            return;
        }
        const ProductJob job = job_at<Kind>(a.in, product_job % n_jobs<Kind>(a.in));
        const std::ptrdiff_t product = product_job / n_jobs<Kind>(a.in);
        const ProductPlace place = place_at<Kind>(tile);
        const int within = entry / kProductThreads;
        const std::ptrdiff_t row = job.left + place.left * kProductTile + within / kProductTile;
        const std::ptrdiff_t col = job.right + place.right * kProductTile + within % kProductTile;
        const std::ptrdiff_t k = a.in.n_eigenvectors;
        if (row >= n_left<Kind>(a.in) || col >= k || (Kind != ProductKind::sides && col > row)) {
            return;
        }
        const std::ptrdiff_t n_chunks = divide_up(a.in.count, chunk_of(Kind));
        const std::ptrdiff_t step = a.in.n_products * n_jobs<Kind>(a.in) * kProductEntries;
        const T* from = a.partial + product_job * kProductEntries + entry;
        double sum = 0.0;
        for (std::ptrdiff_t chunk = 0; chunk < n_chunks; ++chunk) {
            sum += static_cast<double>(from[chunk * step]);
        }
        double* const total =
            a.totals +
            (Kind == ProductKind::sides ? row * k + col : product * (k * (k + 1) / 2) + row * (row + 1) / 2 + col);
        *total += a.sign * sum;
    }
};

// How many chunks of kProductChunk pixels are summed at a time: the partial sums take about `bytes`.
template <class T>
std::ptrdiff_t chunks_at_a_time(const ProductInput<T>& in, std::ptrdiff_t bytes) {
    constexpr std::ptrdiff_t kMostChunks = 256;
    const std::ptrdiff_t n_sums = n_jobs<ProductKind::triangles>(in) > n_jobs<ProductKind::rectangles>(in)
                                      ? n_jobs<ProductKind::triangles>(in)
                                      : n_jobs<ProductKind::rectangles>(in);
    const std::ptrdiff_t per_chunk = in.n_products * n_sums * kProductEntries * static_cast<std::ptrdiff_t>(sizeof(T));
    const std::ptrdiff_t fits = bytes / per_chunk;
    return fits < 1 ? 1 : (fits < kMostChunks ? fits : kMostChunks);
}

}  // namespace fastsoft::detail
