// SPDX-License-Identifier: MIT
#include "fastsoft/cuda/tall_matrix.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <memory>

#include "fastsoft/cuda/launch.cuh"
#include "fastsoft/cuda/workspace.cuh"
#include "fastsoft/detail/tall_matrix_block.hpp"

namespace fastsoft {
namespace {

constexpr std::ptrdiff_t kRotateBytes = std::ptrdiff_t{64} << 20;

// Device memory that grows.
class Buffer {
public:
    explicit Buffer(const cuda::Context& context) : context_(context) {}

    double* get(std::ptrdiff_t count) {
        if (count > count_) {
            data_.reset();  // frees the memory first
            data_ = std::make_unique<cuda::Workspace<double>>(context_, static_cast<std::size_t>(count));
            count_ = count;
        }
        return data_->data();
    }

private:
    const cuda::Context& context_;
    std::unique_ptr<cuda::Workspace<double>> data_;
    std::ptrdiff_t count_ = 0;
};

}  // namespace

template <class T>
struct TallCuda<T>::Memory {
    explicit Memory(const cuda::Context& context) : small(context), partial(context), total(context) {}

    Buffer small;
    Buffer partial;
    Buffer total;
};

template <class T>
TallCuda<T>::TallCuda(const cuda::Context& context) : context_(context), memory_(std::make_unique<Memory>(context)) {}

template <class T>
TallCuda<T>::~TallCuda() = default;

template <class T>
template <class Block>
void TallCuda<T>::launch_block(const typename Block::Arguments& arguments, const char* name) const {
    cuda::launch<Block>(context_, name, arguments);
}

template <class T>
double* TallCuda<T>::partial_sums(std::ptrdiff_t n_chunks, std::ptrdiff_t n_entries) const {
    return memory_->partial.get(n_chunks * n_entries);
}

// The copy has left the host's memory when this returns: it is pageable.
template <class T>
const double* TallCuda<T>::upload(const double* matrix, std::ptrdiff_t count) const {
    double* const device = memory_->small.get(count);
    cuda::copy(context_, device, matrix, count, cudaMemcpyHostToDevice);
    return device;
}

template <class T>
void TallCuda<T>::add_chunks(std::ptrdiff_t n_chunks, std::ptrdiff_t n_entries, double* out) const {
    double* const total = memory_->total.get(n_entries);
    launch_block<detail::SumChunksBlock>({partial_sums(n_chunks, n_entries), n_chunks, n_entries, total},
                                         "tall_matrix (sum of chunks)");
    cuda::read_back(context_, total, n_entries, out);
}

template <class T>
template <class Sum>
void TallCuda<T>::project_with(const T* v, std::ptrdiff_t m, const T* w, std::ptrdiff_t b, std::ptrdiff_t n,
                               double* c) const {
    using Block = detail::ProjectBlock<T, Sum>;
    const std::ptrdiff_t n_chunks = Block::n_chunks(n);
    launch_block<Block>({v, m, w, b, n, partial_sums(n_chunks, m * b)}, "tall_matrix (project)");
    add_chunks(n_chunks, m * b, c);
}

template <class T>
template <class Term>
void TallCuda<T>::row_sums(const Term& term, std::ptrdiff_t b, std::ptrdiff_t n, double* out) const {
    using Block = detail::TallRowSumsBlock<Term>;
    const std::ptrdiff_t n_chunks = Block::n_chunks(n);
    launch_block<Block>({term, b, n, partial_sums(n_chunks, b)}, "tall_matrix (sums of rows)");
    add_chunks(n_chunks, b, out);
}

template <class T>
void TallCuda<T>::project(const T* v, std::ptrdiff_t m, const T* w, std::ptrdiff_t b, std::ptrdiff_t n,
                          double* c) const {
    project_with<T>(v, m, w, b, n, c);
}

template <class T>
void TallCuda<T>::gram(const T* w, std::ptrdiff_t b, std::ptrdiff_t n, double* g) const {
    project_with<double>(w, b, w, b, n, g);
}

template <class T>
void TallCuda<T>::project_out(const T* v, std::ptrdiff_t m, T* w, std::ptrdiff_t b, std::ptrdiff_t n, const double* c,
                              double* next) const {
    if (m > 0) {
        launch_block<detail::ProjectOutBlock<T>>({v, m, w, b, n, upload(c, m * b)}, "tall_matrix (project out)");
    }
    // V does not fit where it could be used twice, as in the CPU's cache.
    if (next != nullptr) {
        project(v, m, w, b, n, next);
    }
}

template <class T>
void TallCuda<T>::transform(T* w, std::ptrdiff_t b, std::ptrdiff_t n, const double* a) const {
    FASTSOFT_EXPECTS(b <= kMaxBlock, "block_size must be at most ", kMaxBlock, " on a CUDA device, got ", b);
    launch_block<detail::TransformBlock<T>>({w, b, n, upload(a, b * b)}, "tall_matrix (transform)");
}

template <class T>
void TallCuda<T>::rotate(T* v, std::ptrdiff_t m, std::ptrdiff_t n, const double* q, std::ptrdiff_t k) const {
    using Block = detail::RotateBlock<T>;
    const double* const rotation = upload(q, m * k);
    const std::ptrdiff_t tile = Block::kTileCols;
    const std::ptrdiff_t tile_bytes = k * tile * static_cast<std::ptrdiff_t>(sizeof(T));
    const std::ptrdiff_t portion =
        std::min(divide_up(n, tile), std::max<std::ptrdiff_t>(1, kRotateBytes / tile_bytes)) * tile;
    const cuda::Workspace<T> out(context_, static_cast<std::size_t>(k * portion));
    for (std::ptrdiff_t first = 0; first < n; first += portion) {
        const std::ptrdiff_t count = std::min(portion, n - first);
        launch_block<Block>({v, m, n, rotation, k, first, count, out.data()}, "tall_matrix (rotate)");
        launch_block<detail::PutColumnsBlock<T>>({out.data(), k, count, v, n, first}, "tall_matrix (put columns)");
    }
}

template <class T>
void TallCuda<T>::fill_normal(T* w, std::ptrdiff_t b, std::ptrdiff_t n, std::uint64_t seed,
                              std::uint64_t stream) const {
    launch_block<detail::FillNormalBlock<T>>({w, b, n, seed, stream}, "tall_matrix (fill normal)");
}

template <class T>
void TallCuda<T>::residual_norms(const T* w, const T* v, const double* factor, std::ptrdiff_t b, std::ptrdiff_t n,
                                 double* out) const {
    row_sums(detail::SquaredResidual<T>{w, v, upload(factor, b)}, b, n, out);
    std::transform(out, out + b, out, [](double square) { return std::sqrt(square); });
}

template <class T>
void TallCuda<T>::fix_signs(T* v, std::ptrdiff_t k, std::ptrdiff_t n) const {
    launch_block<detail::FixSignsBlock<T>>({v, k, n}, "tall_matrix (fix signs)");
}

template <class T>
void TallCuda<T>::dots(const T* x, const T* y, std::ptrdiff_t b, std::ptrdiff_t n, double* out) const {
    row_sums(detail::RowProduct<T>{x, y}, b, n, out);
}

template <class T>
void TallCuda<T>::copy(const T* from, std::ptrdiff_t count, T* to) const {
    // Rows that are moved up by less than their number overlap: in portions that do not.
    const std::ptrdiff_t distance = from > to ? from - to : to - from;
    const std::ptrdiff_t portion = distance == 0 ? count : std::min(count, distance);
    for (std::ptrdiff_t first = 0; first < count && distance > 0; first += portion) {
        const std::ptrdiff_t size = std::min(portion, count - first);
        cuda::copy(context_, to + first, from + first, size, cudaMemcpyDeviceToDevice);
    }
}

template class TallCuda<float>;
template class TallCuda<double>;

}  // namespace fastsoft
