// SPDX-License-Identifier: MIT
#include "fastsoft/core/tall_matrix.hpp"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "fastsoft/core/parallel.hpp"
#include "fastsoft/detail/narrow_kernels.hpp"
#include "fastsoft/detail/tall_matrix_pixel.hpp"

namespace fastsoft {
namespace {

template <class T>
using RowMatrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
template <class T>
using Chunk = Eigen::Map<RowMatrix<T>, Eigen::Unaligned, Eigen::OuterStride<>>;
template <class T>
using ConstChunk = Eigen::Map<const RowMatrix<T>, Eigen::Unaligned, Eigen::OuterStride<>>;

// Columns worked on together: a chunk of 256 vectors takes half a megabyte of cache.
constexpr std::ptrdiff_t kChunk = 240;
// The same for dot products, which read their vectors where they are: long enough for the sums of registers not to
// count, short enough for four vectors and four others to stay in the first cache.
constexpr std::ptrdiff_t kDotChunk = 960;
// Chunks summed by one task before partial sums are added up.
constexpr std::ptrdiff_t kTask = 64 * kChunk;

template <class T>
ConstChunk<T> columns(const T* data, std::ptrdiff_t rows, std::ptrdiff_t n, std::ptrdiff_t begin, std::ptrdiff_t end) {
    return ConstChunk<T>(data + begin, rows, end - begin, Eigen::OuterStride<>(n));
}

template <class T>
Chunk<T> columns(T* data, std::ptrdiff_t rows, std::ptrdiff_t n, std::ptrdiff_t begin, std::ptrdiff_t end) {
    return Chunk<T>(data + begin, rows, end - begin, Eigen::OuterStride<>(n));
}

// Calls visit(first, last) for [begin, end) in pieces of `chunk`, the last of which may be shorter.
template <class Visit>
void for_each_chunk(std::ptrdiff_t begin, std::ptrdiff_t end, std::ptrdiff_t chunk, Visit&& visit) {
    for (std::ptrdiff_t first = begin; first < end; first += chunk) {
        visit(first, std::min(end, first + chunk));
    }
}

// Sum over tasks of what visit(begin, end, sum) adds to the (rows, cols) matrix of its task, in task order.
template <class Visit>
void sum_over_columns(std::ptrdiff_t n, std::ptrdiff_t rows, std::ptrdiff_t cols, double* out, Visit&& visit) {
    const std::ptrdiff_t n_tasks = (n + kTask - 1) / kTask;
    std::vector<RowMatrix<double>> partial(static_cast<std::size_t>(n_tasks));
    parallel_for(n, kTask, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
        RowMatrix<double>& sum = partial[static_cast<std::size_t>(begin / kTask)];
        sum.setZero(rows, cols);
        visit(begin, end, sum.data());
    });
    Eigen::Map<RowMatrix<double>> total(out, rows, cols);
    total.setZero();
    for (const auto& sum : partial) {
        total += sum;
    }
}

// Rows of V are n apart, which for images is often a multiple of a page: a walk down a column then misses every cache.
// Columns begin..end are copied row by row into a compact array first, whose rows are an odd number of cache lines
// apart.
constexpr std::ptrdiff_t kPitch = kChunk + 32;

template <class T>
void pack_columns(const T* v, std::ptrdiff_t m, std::ptrdiff_t n, std::ptrdiff_t begin, std::ptrdiff_t end, T* packed) {
    for (std::ptrdiff_t i = 0; i < m; ++i) {
        std::copy(v + i * n + begin, v + i * n + end, packed + i * kPitch);
    }
}

}  // namespace

template <class T>
void TallCpu<T>::project(const T* v, std::ptrdiff_t m, const T* w, std::ptrdiff_t b, std::ptrdiff_t n, double* c) {
    sum_over_columns(n, m, b, c, [&](std::ptrdiff_t begin, std::ptrdiff_t end, double* sum) {
        for_each_chunk(begin, end, kDotChunk, [&](std::ptrdiff_t first, std::ptrdiff_t last) {
            detail::add_all_dots(v + first, n, m, w + first, n, b, last - first, sum);
        });
    });
}

template <class T>
void TallCpu<T>::gram(const T* w, std::ptrdiff_t b, std::ptrdiff_t n, double* g) {
    sum_over_columns(n, b, b, g, [&](std::ptrdiff_t begin, std::ptrdiff_t end, double* sum) {
        Eigen::Map<RowMatrix<double>> products(sum, b, b);
        for_each_chunk(begin, end, kChunk, [&](std::ptrdiff_t first, std::ptrdiff_t last) {
            const RowMatrix<double> rows = columns(w, b, n, first, last).template cast<double>();
            products.noalias() += rows * rows.transpose();
        });
    });
}

template <class T>
void TallCpu<T>::project_out(const T* v, std::ptrdiff_t m, T* w, std::ptrdiff_t b, std::ptrdiff_t n, const double* c,
                             double* next) {
    std::vector<T> factors(static_cast<std::size_t>(m * b));
    std::transform(c, c + m * b, factors.begin(), [](double value) { return static_cast<T>(value); });
    // One for all chunks of a task: as large as it is, the allocator would map and clear new pages each time.
    const auto allocate = [&] { return std::make_unique_for_overwrite<T[]>(static_cast<std::size_t>(m * kPitch)); };
    const auto subtract = [&](std::ptrdiff_t begin, std::ptrdiff_t end, T* packed) {
        pack_columns(v, m, n, begin, end, packed);
        detail::subtract_all_combinations(w + begin, n, b, packed, kPitch, m, end - begin, factors.data());
    };
    if (next == nullptr) {
        parallel_for(n, kTask, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
            const auto packed = allocate();
            for_each_chunk(begin, end, kChunk,
                           [&](std::ptrdiff_t first, std::ptrdiff_t last) { subtract(first, last, packed.get()); });
        });
        return;
    }
    sum_over_columns(n, m, b, next, [&](std::ptrdiff_t begin, std::ptrdiff_t end, double* sum) {
        const auto packed = allocate();
        for_each_chunk(begin, end, kChunk, [&](std::ptrdiff_t first, std::ptrdiff_t last) {
            subtract(first, last, packed.get());
            detail::add_all_dots(packed.get(), kPitch, m, w + first, n, b, last - first, sum);
        });
    });
}

template <class T>
void TallCpu<T>::transform(T* w, std::ptrdiff_t b, std::ptrdiff_t n, const double* a) {
    const RowMatrix<T> matrix = Eigen::Map<const RowMatrix<double>>(a, b, b).template cast<T>();
    parallel_for(n, kChunk, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
        auto rows = columns(w, b, n, begin, end);
        const RowMatrix<T> copy = rows;
        rows.noalias() = matrix * copy;
    });
}

template <class T>
void TallCpu<T>::rotate(T* v, std::ptrdiff_t m, std::ptrdiff_t n, const double* q, std::ptrdiff_t k) {
    const RowMatrix<T> rotation = Eigen::Map<const RowMatrix<double>>(q, m, k).template cast<T>().transpose();
    parallel_for(n, kChunk, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
        const RowMatrix<T> copy = columns(static_cast<const T*>(v), m, n, begin, end);
        columns(v, k, n, begin, end).noalias() = rotation * copy;
    });
}

template <class T>
void TallCpu<T>::fill_normal(T* w, std::ptrdiff_t b, std::ptrdiff_t n, std::uint64_t seed, std::uint64_t stream) {
    parallel_for(n, kTask, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
        for (std::ptrdiff_t v = 0; v < b; ++v) {
            const std::uint64_t key = detail::normal_key(seed, stream + static_cast<std::uint64_t>(v));
            for (std::ptrdiff_t i = begin; i < end; ++i) {
                w[v * n + i] = static_cast<T>(detail::normal_number(key, static_cast<std::uint64_t>(i)));
            }
        }
    });
}

template <class T>
void TallCpu<T>::residual_norms(const T* w, const T* v, const double* factor, std::ptrdiff_t b, std::ptrdiff_t n,
                                double* out) {
    for (std::ptrdiff_t row = 0; row < b; ++row) {
        const T scale = static_cast<T>(factor[row]);
        const T* const x = w + row * n;
        const T* const y = v + row * n;
        const double sum = parallel_sum<double>(n, kTask, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
            double total = 0.0;
            for (std::ptrdiff_t i = begin; i < end; ++i) {
                const double difference = static_cast<double>(x[i]) - static_cast<double>(scale * y[i]);
                total += difference * difference;
            }
            return total;
        });
        out[row] = std::sqrt(sum);
    }
}

template <class T>
void TallCpu<T>::fix_signs(T* v, std::ptrdiff_t k, std::ptrdiff_t n) {
    parallel_for(k, 1, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
        for (std::ptrdiff_t row = begin; row < end; ++row) {
            T* const x = v + row * n;
            std::ptrdiff_t largest = 0;
            for (std::ptrdiff_t i = 1; i < n; ++i) {
                if (std::abs(x[i]) > std::abs(x[largest])) {
                    largest = i;
                }
            }
            if (x[largest] < T(0)) {
                std::transform(x, x + n, x, [](T value) { return -value; });
            }
        }
    });
}

template <class T>
void TallCpu<T>::dots(const T* x, const T* y, std::ptrdiff_t b, std::ptrdiff_t n, double* out) {
    for (std::ptrdiff_t row = 0; row < b; ++row) {
        out[row] = parallel_sum<double>(n, kTask, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
            double total = 0.0;
            for (std::ptrdiff_t i = begin; i < end; ++i) {
                total += static_cast<double>(x[row * n + i]) * static_cast<double>(y[row * n + i]);
            }
            return total;
        });
    }
}

template <class T>
void TallCpu<T>::combine(std::ptrdiff_t size, T a, const T* x, T b, const T* y, T c, T* z) {
    parallel_for(size, kTask, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
        if (c == T(0)) {
            for (std::ptrdiff_t i = begin; i < end; ++i) {
                z[i] = a * x[i] + b * y[i];
            }
        } else {
            for (std::ptrdiff_t i = begin; i < end; ++i) {
                z[i] = a * x[i] + b * y[i] + c * z[i];
            }
        }
    });
}

template <class T>
void TallCpu<T>::copy(const T* from, std::ptrdiff_t count, T* to) {
    std::copy(from, from + count, to);
}

template struct TallCpu<float>;
template struct TallCpu<double>;

}  // namespace fastsoft
