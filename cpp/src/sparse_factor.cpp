// SPDX-License-Identifier: MIT
#include "fastsoft/detail/sparse_factor.hpp"

#include <Eigen/Dense>
#include <algorithm>
#include <atomic>
#include <cmath>

#include "fastsoft/core/error.hpp"
#include "fastsoft/core/flush_denormals.hpp"
#include "fastsoft/core/parallel.hpp"
#include "fastsoft/detail/narrow_kernels.hpp"

namespace fastsoft::detail {
namespace {

// Columns eliminated together before the rest of a front is updated by one matrix product.
constexpr std::ptrdiff_t kBlock = 64;
// Tiles of the parallel matrix products; fixed, so that every element is one sum in a fixed order.
constexpr std::ptrdiff_t kTile = 256;
// The same for solves: columns between two parallel loops, and rows of a task.
constexpr std::ptrdiff_t kSolveBlock = 256;
constexpr std::ptrdiff_t kSolveTile = 256;
// The tree is cut into about this many subtrees for the threads, whatever their number.
constexpr double kTasks = 32.0;

template <class T>
using Matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::ColMajor>;
template <class T>
using Block = Eigen::Map<Matrix<T>, Eigen::Unaligned, Eigen::OuterStride<>>;
template <class T>
using ConstBlock = Eigen::Map<const Matrix<T>, Eigen::Unaligned, Eigen::OuterStride<>>;

template <class T>
Block<T> block(T* data, std::ptrdiff_t rows, std::ptrdiff_t cols, std::ptrdiff_t ld) {
    return Block<T>(data, rows, cols, Eigen::OuterStride<>(ld));
}

template <class T>
ConstBlock<T> const_block(const T* data, std::ptrdiff_t rows, std::ptrdiff_t cols, std::ptrdiff_t ld) {
    return ConstBlock<T>(data, rows, cols, Eigen::OuterStride<>(ld));
}

// Lower triangle of a small diagonal block -> L with A = L S L', in place; signs may receive -1. Returns false at a
// zero or non-finite pivot.
template <class T>
bool eliminate_diagonal(T* a, std::ptrdiff_t n, std::ptrdiff_t ld, T* signs) {
    for (std::ptrdiff_t j = 0; j < n; ++j) {
        T* const column = a + j * ld;
        const T pivot = column[j];
        if (!(std::abs(pivot) > T(0)) || !std::isfinite(pivot)) {
            return false;
        }
        const T sign = pivot < T(0) ? T(-1) : T(1);
        signs[j] = sign;
        const T root = std::sqrt(std::abs(pivot));
        column[j] = root;
        const T scale = sign / root;
        for (std::ptrdiff_t i = j + 1; i < n; ++i) {
            column[i] *= scale;
        }
        for (std::ptrdiff_t k = j + 1; k < n; ++k) {
            const T factor = sign * column[k];
            T* const target = a + k * ld;
            for (std::ptrdiff_t i = k; i < n; ++i) {
                target[i] -= factor * column[i];
            }
        }
    }
    return true;
}

// Rows of X with X L' = B for `Vectors` registers of rows at most, in place of B: each column less the earlier ones.
// l holds L by rows. General triangular solves of this size spend more time on packing than on arithmetic.
template <int Vectors, class T>
void solve_strip(T* rows, std::ptrdiff_t n_rows, std::ptrdiff_t ld, const T* l, const T* inverse_diagonal,
                 std::ptrdiff_t nb) {
    constexpr std::ptrdiff_t kStrip = Vectors * kLanes<T>;
    alignas(64) T x[kBlock * kStrip];
    for (std::ptrdiff_t j = 0; j < nb; ++j) {
        std::fill(std::copy(rows + j * ld, rows + j * ld + n_rows, x + j * kStrip), x + (j + 1) * kStrip, T(0));
    }
    for (std::ptrdiff_t j = 0; j < nb; ++j) {
        T* const column = x + j * kStrip;
        Vector<T> sum[Vectors];
#pragma GCC unroll 4
        for (int v = 0; v < Vectors; ++v) {
            sum[v] = lanes(column + v * kLanes<T>);
        }
        for (std::ptrdiff_t k = 0; k < j; ++k) {
            const T factor = l[j * kBlock + k];
#pragma GCC unroll 4
            for (int v = 0; v < Vectors; ++v) {
                sum[v] -= factor * lanes(x + k * kStrip + v * kLanes<T>);
            }
        }
#pragma GCC unroll 4
        for (int v = 0; v < Vectors; ++v) {
            lanes(column + v * kLanes<T>) = sum[v] * inverse_diagonal[j];
        }
        std::copy(column, column + n_rows, rows + j * ld);
    }
}

template <class T>
void solve_rows(T* rows, std::ptrdiff_t n_rows, std::ptrdiff_t ld, const T* l, const T* inverse_diagonal,
                std::ptrdiff_t nb) {
    constexpr std::ptrdiff_t n = kLanes<T>;
    while (n_rows > 0) {
        const std::ptrdiff_t count = std::min(n_rows, 4 * n);
        switch ((count + n - 1) / n) {
            case 1:
                solve_strip<1>(rows, count, ld, l, inverse_diagonal, nb);
                break;
            case 2:
                solve_strip<2>(rows, count, ld, l, inverse_diagonal, nb);
                break;
            case 3:
                solve_strip<3>(rows, count, ld, l, inverse_diagonal, nb);
                break;
            default:
                solve_strip<4>(rows, count, ld, l, inverse_diagonal, nb);
                break;
        }
        rows += count;
        n_rows -= count;
    }
}

// C -= A diag(signs) B' for the tiles of C that touch its lower triangle. Row r of C is row r of A, column c of C is
// row c of B; signs == nullptr: all +1.
template <class T>
void subtract_product(T* c, std::ptrdiff_t ldc, const T* a, const T* b, std::ptrdiff_t ld, std::ptrdiff_t rows,
                      std::ptrdiff_t cols, std::ptrdiff_t depth, const T* signs) {
    const std::ptrdiff_t row_tiles = (rows + kTile - 1) / kTile;
    const std::ptrdiff_t col_tiles = (cols + kTile - 1) / kTile;
    parallel_for(row_tiles * col_tiles, 1, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
        const FlushDenormals guard;
        for (std::ptrdiff_t tile = begin; tile < end; ++tile) {
            const std::ptrdiff_t r0 = (tile / col_tiles) * kTile;
            const std::ptrdiff_t c0 = (tile % col_tiles) * kTile;
            const std::ptrdiff_t nr = std::min(kTile, rows - r0);
            const std::ptrdiff_t nc = std::min(kTile, cols - c0);
            if (r0 + nr <= c0) {
                continue;  // wholly above the diagonal
            }
            auto target = block(c + r0 + c0 * ldc, nr, nc, ldc);
            const auto left = const_block(a + r0, nr, depth, ld);
            const auto right = const_block(b + c0, nc, depth, ld);
            if (signs == nullptr) {
                target.noalias() -= left * right.transpose();
            } else {
                const Eigen::Map<const Eigen::Matrix<T, Eigen::Dynamic, 1>> s(signs, depth);
                const Matrix<T> signed_right = right * s.asDiagonal();
                target.noalias() -= left * signed_right.transpose();
            }
        }
    });
}

// First p columns of a front: panel is m x p (lower trapezoid), update the (m - p) x (m - p) Schur complement, lower.
template <class T>
bool eliminate_front(T* panel, T* update, std::ptrdiff_t m, std::ptrdiff_t p, std::vector<T>& signs) {
    signs.assign(static_cast<std::size_t>(p), T(1));
    const auto signs_from = [&](std::ptrdiff_t k, std::ptrdiff_t count) -> const T* {
        const T* const s = signs.data() + k;
        return std::all_of(s, s + count, [](T v) { return v > T(0); }) ? nullptr : s;
    };
    for (std::ptrdiff_t k = 0; k < p; k += kBlock) {
        const std::ptrdiff_t nb = std::min(kBlock, p - k);
        T* const diagonal = panel + k + k * m;
        if (!eliminate_diagonal(diagonal, nb, m, signs.data() + k)) {
            return false;
        }
        const std::ptrdiff_t below = m - k - nb;
        if (below == 0) {
            continue;
        }
        T* const below_panel = panel + (k + nb) + k * m;
        alignas(64) T l[kBlock * kBlock];
        T inverse_diagonal[kBlock];
        for (std::ptrdiff_t j = 0; j < nb; ++j) {
            inverse_diagonal[j] = T(1) / diagonal[j + j * m];
            for (std::ptrdiff_t i = 0; i < j; ++i) {
                l[j * kBlock + i] = diagonal[j + i * m];
            }
        }
        const T* const block_signs = signs_from(k, nb);
        parallel_for(below, kTile, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
            const FlushDenormals guard;
            auto rows = block(below_panel + begin, end - begin, nb, m);
            solve_rows(rows.data(), end - begin, m, l, inverse_diagonal, nb);
            if (block_signs != nullptr) {
                for (std::ptrdiff_t j = 0; j < nb; ++j) {
                    rows.col(j) *= block_signs[j];
                }
            }
        });
        const std::ptrdiff_t own_left = p - k - nb;
        if (own_left > 0) {
            subtract_product(panel + (k + nb) + (k + nb) * m, m, below_panel, below_panel, m, below, own_left, nb,
                             block_signs);
        }
    }
    if (m > p) {
        subtract_product(update, m - p, panel + p, panel + p, m, m - p, m - p, p, signs_from(0, p));
    }
    if (signs_from(0, p) == nullptr) {
        signs.clear();
    }
    return true;
}

}  // namespace

template <class T>
struct SparseFactor<T>::Scratch {
    struct Range {
        std::int32_t first;
        std::int32_t last;
        std::int32_t row;
    };
    explicit Scratch(std::ptrdiff_t n) : local(static_cast<std::size_t>(n), -1) {}
    std::vector<Range> ranges;
    std::vector<std::int32_t> local;  // position -> row of the current front; only entries of the front are valid
};

template <class T>
void SparseFactor<T>::choose_tasks() {
    const std::size_t n_fronts = tree_.fronts.size();
    std::vector<double> work(n_fronts, 0.0);
    for (std::size_t f = 0; f < n_fronts; ++f) {
        const Front& front = tree_.fronts[f];
        const double p = front.n_own();
        const double b = front.n_boundary;
        work[f] += 1.0 + p * p * p / 6.0 + p * p * b / 2.0 + p * b * b / 2.0;
        if (front.parent >= 0) {
            work[static_cast<std::size_t>(front.parent)] += work[f];
        }
    }
    const double limit = (work.empty() ? 0.0 : work.back()) / kTasks;
    std::size_t f = n_fronts;
    while (f > 0) {
        const Front& front = tree_.fronts[f - 1];
        if (work[f - 1] <= limit) {
            task_roots_.push_back(static_cast<std::int32_t>(f - 1));
            f = static_cast<std::size_t>(front.subtree_begin);
        } else {
            top_fronts_.push_back(static_cast<std::int32_t>(f - 1));
            --f;
        }
    }
    std::reverse(top_fronts_.begin(), top_fronts_.end());
    // Threads take the largest first.
    std::stable_sort(task_roots_.begin(), task_roots_.end(), [&](std::int32_t a, std::int32_t b) {
        return work[static_cast<std::size_t>(a)] > work[static_cast<std::size_t>(b)];
    });
}

template <class T>
template <class Matrix>
SparseFactor<T>::SparseFactor(const Matrix& matrix, T shift, EliminationTree tree, Monitor& monitor)
    : tree_(std::move(tree)) {
    choose_tasks();
    panel_begin_.reserve(tree_.fronts.size());
    for (const Front& front : tree_.fronts) {
        panel_begin_.push_back(n_entries_);
        n_entries_ += static_cast<std::int64_t>(front.size()) * front.n_own();
        // Column j of a front of m rows updates the lower triangle of the m - j - 1 columns after it.
        for (std::ptrdiff_t j = 0; j < front.n_own(); ++j) {
            const auto rest = static_cast<double>(front.size() - j);
            n_flops_ += rest * rest;
        }
    }
    panels_ = make_zeroed_buffer<T>(static_cast<std::size_t>(n_entries_));
    signs_.resize(tree_.fronts.size());
    std::vector<std::unique_ptr<T[]>> updates(tree_.fronts.size());
    monitor.report(0.0);

    // Subtrees in batches, so that the calling thread can report and be interrupted in between.
    const auto n_tasks = static_cast<std::ptrdiff_t>(task_roots_.size());
    const std::ptrdiff_t batch = 8;
    const double total = tree_.n_flops();
    double done = 0.0;
    for (std::ptrdiff_t first = 0; first < n_tasks; first += batch) {
        const std::ptrdiff_t last = std::min(n_tasks, first + batch);
        parallel_for(last - first, 1, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
            const FlushDenormals guard;
            Scratch scratch(tree_.n);
            for (std::ptrdiff_t t = begin; t < end; ++t) {
                const auto root = static_cast<std::size_t>(task_roots_[static_cast<std::size_t>(first + t)]);
                for (auto f = static_cast<std::size_t>(tree_.fronts[root].subtree_begin); f <= root; ++f) {
                    factorize_front(matrix, shift, f, scratch, updates);
                }
            }
        });
        monitor.report(0.4 * static_cast<double>(last) / static_cast<double>(n_tasks));
    }
    const FlushDenormals top_guard;
    Scratch scratch(tree_.n);
    for (const std::int32_t f : top_fronts_) {
        factorize_front(matrix, shift, static_cast<std::size_t>(f), scratch, updates);
        const Front& front = tree_.fronts[static_cast<std::size_t>(f)];
        const double p = front.n_own();
        const double b = front.n_boundary;
        done += p * p * p / 6.0 + p * p * b / 2.0 + p * b * b / 2.0;
        monitor.report(std::min(1.0, 0.4 + 0.6 * done / std::max(1.0, total)));
    }
    for (const auto& signs : signs_) {
        n_negative_ += std::count_if(signs.begin(), signs.end(), [](T s) { return s < T(0); });
    }
}

template <class T>
template <class Matrix>
void SparseFactor<T>::factorize_front(const Matrix& matrix, T shift, std::size_t f, Scratch& scratch,
                                      std::vector<std::unique_ptr<T[]>>& updates) {
    const Front& front = tree_.fronts[f];
    const std::ptrdiff_t p = front.n_own();
    const std::ptrdiff_t m = front.size();
    const std::ptrdiff_t n_update = m - p;
    T* const panel = panels_.get() + panel_begin_[f];
    updates[f].reset(new T[static_cast<std::size_t>(n_update * n_update)]());
    T* const update = updates[f].get();

    auto& local = scratch.local;
    auto& ranges = scratch.ranges;
    using Range = typename Scratch::Range;
    for (std::ptrdiff_t i = 0; i < p; ++i) {
        local[static_cast<std::size_t>(front.begin + i)] = static_cast<std::int32_t>(i);
    }
    const std::int32_t* const boundary = tree_.boundary_of(front);
    for (std::ptrdiff_t i = 0; i < n_update; ++i) {
        local[static_cast<std::size_t>(boundary[i])] = static_cast<std::int32_t>(p + i);
    }

    // Entries of A between an own unknown and one that is not yet eliminated.
    for (std::ptrdiff_t col = 0; col < p; ++col) {
        const std::int32_t here = front.begin + static_cast<std::int32_t>(col);
        for_each_in_row(matrix, tree_.order[static_cast<std::size_t>(here)], [&](std::ptrdiff_t j, T value) {
            const std::int32_t there = tree_.position[static_cast<std::size_t>(j)];
            if (there >= here && value != T(0)) {
                panel[local[static_cast<std::size_t>(there)] + col * m] += value;
            }
        });
        panel[col + col * m] -= shift;
    }

    // Extend-add: what elimination of the children left behind. Boundaries are sorted, so lower triangles stay lower.
    for (std::int32_t c = front.first_child; c >= 0; c = tree_.fronts[static_cast<std::size_t>(c)].next_sibling) {
        const Front& child = tree_.fronts[static_cast<std::size_t>(c)];
        const std::ptrdiff_t n_child = child.n_boundary;
        const std::int32_t* const child_boundary = tree_.boundary_of(child);
        const T* const source = updates[static_cast<std::size_t>(c)].get();
        // Neighbours in the child are mostly neighbours here: ranges [first, last) of it that move together, and where
        // to.
        ranges.clear();
        for (std::int32_t i = 0; i < child.n_boundary; ++i) {
            const std::int32_t row = local[static_cast<std::size_t>(child_boundary[i])];
            // Rows of the panel and of the update lie in two arrays.
            const bool joins = !ranges.empty() && row != p && ranges.back().row + i - ranges.back().first == row;
            if (joins) {
                ++ranges.back().last;
            } else {
                ranges.push_back({i, i + 1, row});
            }
        }
        parallel_for(n_child, kTile, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
            const FlushDenormals guard;
            for (std::ptrdiff_t j = begin; j < end; ++j) {
                const std::ptrdiff_t col = local[static_cast<std::size_t>(child_boundary[j])];
                T* const column = col < p ? panel + col * m : update + (col - p) * n_update;
                const std::ptrdiff_t first_row = col < p ? 0 : p;
                const T* const from = source + j * n_child;
                for (const Range& range : ranges) {
                    // Above the diagonal of an update nothing is kept.
                    const std::ptrdiff_t first = std::max<std::ptrdiff_t>(range.first, j);
                    const std::ptrdiff_t count = range.last - first;
                    if (count > 0) {
                        T* const to = column + (range.row + first - range.first - first_row);
                        for (std::ptrdiff_t i = 0; i < count; ++i) {
                            to[i] += from[first + i];
                        }
                    }
                }
            }
        });
        updates[static_cast<std::size_t>(c)].reset();
    }
    FASTSOFT_EXPECTS(eliminate_front(panel, update, m, p, signs_[f]),
                     "shift must not be an eigenvalue of the operator, got a zero pivot with shift ", shift);
}

// x is (n, n_vectors) in elimination order. The rows of the front's own unknowns become L^-1 x; what they subtract from
// later rows travels up the tree in `updates`, so that subtrees never write to the same place.
template <class T>
void SparseFactor<T>::forward_front(std::size_t f, T* x, std::ptrdiff_t n_vectors,
                                    std::vector<std::vector<T>>& updates) const {
    const Front& front = tree_.fronts[f];
    const std::ptrdiff_t p = front.n_own();
    const std::ptrdiff_t n_update = front.n_boundary;
    std::vector<T>& update = updates[f];
    update.assign(static_cast<std::size_t>(n_update * n_vectors), T(0));
    const std::int32_t* const boundary = tree_.boundary_of(front);
    for (std::int32_t c = front.first_child; c >= 0; c = tree_.fronts[static_cast<std::size_t>(c)].next_sibling) {
        const Front& child = tree_.fronts[static_cast<std::size_t>(c)];
        const std::int32_t* const child_boundary = tree_.boundary_of(child);
        std::vector<T>& child_update = updates[static_cast<std::size_t>(c)];
        std::ptrdiff_t at = 0;
        for (std::ptrdiff_t j = 0; j < child.n_boundary; ++j) {
            const std::int32_t position = child_boundary[j];
            T* target;
            if (position < front.end) {
                target = x + static_cast<std::ptrdiff_t>(position) * n_vectors;
            } else {
                while (boundary[at] != position) {
                    ++at;
                }
                target = update.data() + at * n_vectors;
            }
            const T* const from = child_update.data() + j * n_vectors;
            for (std::ptrdiff_t v = 0; v < n_vectors; ++v) {
                target[v] += from[v];
            }
        }
        std::vector<T>().swap(child_update);
    }
    if (p == 0) {
        return;
    }
    const std::ptrdiff_t m = front.size();
    const T* const panel = panels_.get() + panel_begin_[f];
    T* const own = x + static_cast<std::ptrdiff_t>(front.begin) * n_vectors;
    for (std::ptrdiff_t k = 0; k < p; k += kSolveBlock) {
        const std::ptrdiff_t nb = std::min(kSolveBlock, p - k);
        const T* const columns = panel + k * m;
        solve_lower(columns + k, m, own + k * n_vectors, nb, n_vectors);
        parallel_for(m - k - nb, kSolveTile, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
            const FlushDenormals guard;
            // Rows run through the front's own unknowns first and its boundary then, which lie in two arrays.
            const std::ptrdiff_t first = k + nb + begin;
            const std::ptrdiff_t last = k + nb + end;
            const std::ptrdiff_t split = std::clamp(p, first, last);
            subtract_narrow_product(own + first * n_vectors, columns + first, std::ptrdiff_t{1}, m, own + k * n_vectors,
                                    split - first, nb, n_vectors);
            if (split < last) {
                subtract_narrow_product(update.data() + (split - p) * n_vectors, columns + split, std::ptrdiff_t{1}, m,
                                        own + k * n_vectors, last - split, nb, n_vectors);
            }
        });
    }
    const std::vector<T>& signs = signs_[f];
    for (std::size_t i = 0; i < signs.size(); ++i) {
        if (signs[i] < T(0)) {
            T* const row = own + static_cast<std::ptrdiff_t>(i) * n_vectors;
            std::transform(row, row + n_vectors, row, [](T value) { return -value; });
        }
    }
}

template <class T>
void SparseFactor<T>::backward_front(std::size_t f, T* x, std::ptrdiff_t n_vectors, std::vector<T>& gathered) const {
    const Front& front = tree_.fronts[f];
    const std::ptrdiff_t p = front.n_own();
    if (p == 0) {
        return;
    }
    const std::ptrdiff_t m = front.size();
    const std::ptrdiff_t n_update = front.n_boundary;
    const T* const panel = panels_.get() + panel_begin_[f];
    const std::int32_t* const boundary = tree_.boundary_of(front);
    gathered.resize(static_cast<std::size_t>(n_update * n_vectors));
    for (std::ptrdiff_t i = 0; i < n_update; ++i) {
        const T* const from = x + static_cast<std::ptrdiff_t>(boundary[i]) * n_vectors;
        std::copy(from, from + n_vectors, gathered.data() + i * n_vectors);
    }
    T* const own = x + static_cast<std::ptrdiff_t>(front.begin) * n_vectors;
    for (std::ptrdiff_t last = p; last > 0;) {
        const std::ptrdiff_t first = ((last - 1) / kSolveBlock) * kSolveBlock;
        const T* const columns = panel + first * m;
        parallel_for(last - first, kRowTile, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
            const FlushDenormals guard;
            T* const rows = own + (first + begin) * n_vectors;
            subtract_narrow_product(rows, columns + last + begin * m, m, std::ptrdiff_t{1}, own + last * n_vectors,
                                    end - begin, p - last, n_vectors);
            subtract_narrow_product(rows, columns + p + begin * m, m, std::ptrdiff_t{1}, gathered.data(), end - begin,
                                    n_update, n_vectors);
        });
        solve_lower_transposed(columns + first, m, own + first * n_vectors, last - first, n_vectors);
        last = first;
    }
}

template <class T>
void SparseFactor<T>::solve(const T* in, T* out, std::ptrdiff_t n_vectors) const {
    const std::ptrdiff_t n = tree_.n;
    const std::ptrdiff_t width = (n_vectors + kLanes<T> - 1) / kLanes<T> * kLanes<T>;
    std::vector<T> x(static_cast<std::size_t>(n * width));
    constexpr std::ptrdiff_t kGrain = 4096;
    parallel_for(n, kGrain, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
        const FlushDenormals guard;
        for (std::ptrdiff_t v = 0; v < n_vectors; ++v) {
            for (std::ptrdiff_t i = begin; i < end; ++i) {
                x[static_cast<std::size_t>(i * width + v)] = in[v * n + tree_.order[static_cast<std::size_t>(i)]];
            }
        }
    });
    std::vector<std::vector<T>> updates(tree_.fronts.size());
    const auto n_tasks = static_cast<std::ptrdiff_t>(task_roots_.size());
    parallel_for(n_tasks, 1, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
        const FlushDenormals guard;
        for (std::ptrdiff_t t = begin; t < end; ++t) {
            const auto root = static_cast<std::size_t>(task_roots_[static_cast<std::size_t>(t)]);
            for (auto f = static_cast<std::size_t>(tree_.fronts[root].subtree_begin); f <= root; ++f) {
                forward_front(f, x.data(), width, updates);
            }
        }
    });
    const FlushDenormals top_guard;
    for (const std::int32_t f : top_fronts_) {
        forward_front(static_cast<std::size_t>(f), x.data(), width, updates);
    }
    std::vector<T> gathered;
    for (auto f = top_fronts_.rbegin(); f != top_fronts_.rend(); ++f) {
        backward_front(static_cast<std::size_t>(*f), x.data(), width, gathered);
    }
    parallel_for(n_tasks, 1, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
        const FlushDenormals guard;
        std::vector<T> workspace;
        for (std::ptrdiff_t t = begin; t < end; ++t) {
            const auto root = static_cast<std::size_t>(task_roots_[static_cast<std::size_t>(t)]);
            for (auto f = static_cast<std::ptrdiff_t>(root); f >= tree_.fronts[root].subtree_begin; --f) {
                backward_front(static_cast<std::size_t>(f), x.data(), width, workspace);
            }
        }
    });
    parallel_for(n, kGrain, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
        const FlushDenormals guard;
        for (std::ptrdiff_t v = 0; v < n_vectors; ++v) {
            for (std::ptrdiff_t i = begin; i < end; ++i) {
                out[v * n + tree_.order[static_cast<std::size_t>(i)]] = x[static_cast<std::size_t>(i * width + v)];
            }
        }
    });
}

// x: one vector in elimination order. updates: for each front, at boundary_begin, what it subtracts from later rows.
template <class T>
void SparseFactor<T>::forward_vector(std::size_t f, T* x, T* updates) const {
    const Front& front = tree_.fronts[f];
    const std::ptrdiff_t p = front.n_own();
    const std::ptrdiff_t n_update = front.n_boundary;
    const std::ptrdiff_t m = front.size();
    T* const update = updates + front.boundary_begin;
    std::fill(update, update + n_update, T(0));
    const std::int32_t* const boundary = tree_.boundary_of(front);
    for (std::int32_t c = front.first_child; c >= 0; c = tree_.fronts[static_cast<std::size_t>(c)].next_sibling) {
        const Front& child = tree_.fronts[static_cast<std::size_t>(c)];
        const std::int32_t* const child_boundary = tree_.boundary_of(child);
        const T* const from = updates + child.boundary_begin;
        std::ptrdiff_t at = 0;
        for (std::ptrdiff_t j = 0; j < child.n_boundary; ++j) {
            if (child_boundary[j] < front.end) {
                x[child_boundary[j]] += from[j];
            } else {
                while (boundary[at] != child_boundary[j]) {
                    ++at;
                }
                update[at] += from[j];
            }
        }
    }
    if (p == 0) {
        return;
    }
    const T* const panel = panels_.get() + panel_begin_[f];
    using Column = Eigen::Map<Eigen::Matrix<T, Eigen::Dynamic, 1>>;
    Column own(x + front.begin, p);
    const_block(panel, p, p, m).template triangularView<Eigen::Lower>().solveInPlace(own);
    if (n_update > 0) {
        Column(update, n_update).noalias() -= const_block(panel + p, n_update, p, m) * own;
    }
    const std::vector<T>& signs = signs_[f];
    for (std::size_t i = 0; i < signs.size(); ++i) {
        own[static_cast<std::ptrdiff_t>(i)] *= signs[i];
    }
}

template <class T>
void SparseFactor<T>::backward_vector(std::size_t f, T* x, T* gathered) const {
    const Front& front = tree_.fronts[f];
    const std::ptrdiff_t p = front.n_own();
    if (p == 0) {
        return;
    }
    const std::ptrdiff_t m = front.size();
    const std::ptrdiff_t n_update = front.n_boundary;
    const T* const panel = panels_.get() + panel_begin_[f];
    const std::int32_t* const boundary = tree_.boundary_of(front);
    for (std::ptrdiff_t i = 0; i < n_update; ++i) {
        gathered[i] = x[boundary[i]];
    }
    using Column = Eigen::Map<Eigen::Matrix<T, Eigen::Dynamic, 1>>;
    Column own(x + front.begin, p);
    if (n_update > 0) {
        own.noalias() -= const_block(panel + p, n_update, p, m).transpose() * Column(gathered, n_update);
    }
    const_block(panel, p, p, m).transpose().template triangularView<Eigen::Upper>().solveInPlace(own);
}

template <class T>
void SparseFactor<T>::solve_vector(const T* in, T* out) const {
    const auto n = static_cast<std::size_t>(tree_.n);
    std::vector<T> x(n);
    for (std::size_t i = 0; i < n; ++i) {
        x[i] = in[tree_.order[i]];
    }
    // A front's place is written by its own task and read by its parent's.
    const std::unique_ptr<T[]> updates(new T[tree_.boundary.size() + 1]);
    std::ptrdiff_t widest = 0;
    for (const Front& front : tree_.fronts) {
        widest = std::max<std::ptrdiff_t>(widest, front.n_boundary);
    }
    const auto n_tasks = static_cast<std::ptrdiff_t>(task_roots_.size());
    parallel_for(n_tasks, 1, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
        const FlushDenormals guard;
        for (std::ptrdiff_t t = begin; t < end; ++t) {
            const auto root = static_cast<std::size_t>(task_roots_[static_cast<std::size_t>(t)]);
            for (auto f = static_cast<std::size_t>(tree_.fronts[root].subtree_begin); f <= root; ++f) {
                forward_vector(f, x.data(), updates.get());
            }
        }
    });
    const FlushDenormals top_guard;
    for (const std::int32_t f : top_fronts_) {
        forward_vector(static_cast<std::size_t>(f), x.data(), updates.get());
    }
    std::vector<T> gathered(static_cast<std::size_t>(widest) + 1);
    for (auto f = top_fronts_.rbegin(); f != top_fronts_.rend(); ++f) {
        backward_vector(static_cast<std::size_t>(*f), x.data(), gathered.data());
    }
    parallel_for(n_tasks, 1, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
        const FlushDenormals guard;
        std::vector<T> workspace(static_cast<std::size_t>(widest) + 1);
        for (std::ptrdiff_t t = begin; t < end; ++t) {
            const auto root = static_cast<std::size_t>(task_roots_[static_cast<std::size_t>(t)]);
            for (auto f = static_cast<std::ptrdiff_t>(root); f >= tree_.fronts[root].subtree_begin; --f) {
                backward_vector(static_cast<std::size_t>(f), x.data(), workspace.data());
            }
        }
    });
    for (std::size_t i = 0; i < n; ++i) {
        out[tree_.order[i]] = x[i];
    }
}

template class SparseFactor<float>;
template class SparseFactor<double>;
template SparseFactor<float>::SparseFactor(const SymmetricOperator<float>&, float, EliminationTree, Monitor&);
template SparseFactor<double>::SparseFactor(const SymmetricOperator<double>&, double, EliminationTree, Monitor&);
template SparseFactor<float>::SparseFactor(const UnknownBlock<float>&, float, EliminationTree, Monitor&);

}  // namespace fastsoft::detail
