// SPDX-License-Identifier: MIT
#include "fastsoft/sparsify.hpp"

#include <algorithm>
#include <vector>

#include "fastsoft/core/error.hpp"
#include "fastsoft/cuda/launch.cuh"
#include "fastsoft/cuda/workspace.cuh"
#include "fastsoft/detail/sparsify_block.hpp"

namespace fastsoft::cuda {
namespace {

using detail::ProductKind;

// Of partial sums at a time. Enough blocks to fill a device some times over.
constexpr std::ptrdiff_t kPartialBytes = std::ptrdiff_t{64} << 20;

std::size_t unsigned_size(std::ptrdiff_t size) {
    return static_cast<std::size_t>(size);
}

std::ptrdiff_t packed_size(std::ptrdiff_t k) {
    return k * (k + 1) / 2;
}

// Enqueues a copy of numbers of the host, converted to T.
template <class T>
class Uploaded {
public:
    Uploaded(const Context& context, const double* values, std::ptrdiff_t count)
        : host_(unsigned_size(count)), device_(context, unsigned_size(count)) {
        std::transform(values, values + count, host_.begin(), [](double value) { return static_cast<T>(value); });
        if (count > 0) {
            copy(context, device_.data(), host_.data(), count, cudaMemcpyHostToDevice);
        }
    }
    const T* data() const { return device_.data(); }

private:
    std::vector<T> host_;  // until the stream has been waited for
    Workspace<T> device_;
};

template <class T>
void check_pixels(const SparsifyPixels<T>& pixels, std::ptrdiff_t n_segments) {
    FASTSOFT_EXPECTS(pixels.n_pixels >= 1 && pixels.n_eigenvectors >= 1 && n_segments >= 1,
                     "sparsify_segments needs at least one pixel, eigenvector and segment");
}

// The coefficients on the device, if there are any.
template <class T>
class Segments {
public:
    Segments(const Context& context, const SparsifyPixels<T>& pixels, const SegmentCoefficients& segments)
        : pixels_(pixels),
          n_segments_(segments.n_segments),
          given_(segments.coefficients != nullptr),
          coefficients_(context, segments.coefficients, given_ ? n_segments_ * pixels.n_eigenvectors : 0),
          offsets_(context, segments.offsets, given_ ? n_segments_ : 0) {
        FASTSOFT_EXPECTS(given_ || pixels.start != nullptr || pixels.labels != nullptr,
                         "either labels or start must be given");
    }

    detail::SegmentSource<T> source(std::ptrdiff_t first, std::ptrdiff_t count) const {
        return {pixels_.n_pixels,
                first,
                count,
                pixels_.n_eigenvectors,
                n_segments_,
                pixels_.eigenvectors,
                given_ ? coefficients_.data() : nullptr,
                offsets_.data(),
                pixels_.start,
                pixels_.labels};
    }

private:
    const SparsifyPixels<T>& pixels_;
    std::ptrdiff_t n_segments_;
    bool given_;
    Uploaded<T> coefficients_;
    Uploaded<T> offsets_;
};

// totals += sign * products of the pixels of `in`.
template <ProductKind Kind, class T>
void add_products(const Context& context, const detail::ProductInput<T>& in, T* partial, double sign, double* totals) {
    using Products = detail::ProductsBlock<Kind, T>;
    using Totals = detail::ProductTotalsBlock<Kind, T>;
    if (detail::n_jobs<Kind>(in) == 0) {
        return;
    }
    launch<Products>(context, "sparsify (products)", {in, partial});
    launch<Totals>(context, "sparsify (totals)", {in, partial, sign, totals});
}

// Pixels at a time, and the numbers that their partial sums take.
struct Portion {
    std::ptrdiff_t n_pixels;
    std::size_t n_partial;
};

template <class T>
Portion portion_of(detail::ProductInput<T> in) {
    in.count = std::min(in.count, detail::chunks_at_a_time(in, kPartialBytes) * detail::kProductChunk);
    const auto n_chunks = [&](ProductKind kind) { return divide_up(in.count, detail::chunk_of(kind)); };
    const std::ptrdiff_t n_sums =
        std::max({n_chunks(ProductKind::triangles) * in.n_products * detail::n_jobs<ProductKind::triangles>(in),
                  n_chunks(ProductKind::rectangles) * in.n_products * detail::n_jobs<ProductKind::rectangles>(in),
                  n_chunks(ProductKind::sides) * detail::n_jobs<ProductKind::sides>(in)});
    return {in.count, unsigned_size(n_sums * detail::kProductEntries)};
}

}  // namespace

template <class T>
void sparsify_gram(const Context& context, const SparsifyPixels<T>& pixels, double* sum) {
    check_pixels(pixels, 1);
    const std::ptrdiff_t n = pixels.n_pixels;
    const std::ptrdiff_t size = packed_size(pixels.n_eigenvectors);
    detail::ProductInput<T> in{n, 0, n, pixels.n_eigenvectors, pixels.eigenvectors, 1, n, nullptr, nullptr, 0};
    const Portion portion = portion_of(in);
    const Workspace<T> partial(context, portion.n_partial);
    const Workspace<double> totals(context, unsigned_size(size));
    totals.clear(unsigned_size(size));
    for (in.first = 0; in.first < n; in.first += portion.n_pixels) {
        in.count = std::min(portion.n_pixels, n - in.first);
        in.amounts = pixels.weights != nullptr ? pixels.weights + in.first : nullptr;
        add_products<ProductKind::triangles>(context, in, partial.data(), 1.0, totals.data());
        add_products<ProductKind::rectangles>(context, in, partial.data(), 1.0, totals.data());
    }
    read_back(context, totals.data(), size, sum);
}

template <class T>
void sparsify_sums(const Context& context, const SparsifyPixels<T>& pixels, const SparsityWeighting<T>& weighting,
                   const SegmentCoefficients& segments, double* matrices, double* right, double* last) {
    check_pixels(pixels, segments.n_segments);
    const std::ptrdiff_t n = pixels.n_pixels;
    const std::ptrdiff_t k = pixels.n_eigenvectors;
    const std::ptrdiff_t n_segments = segments.n_segments;
    const std::ptrdiff_t n_sides = weighting.flat ? n_segments : n_segments + 1;
    const std::ptrdiff_t matrix_numbers = n_segments * packed_size(k);
    const Segments<T> source(context, pixels, segments);

    detail::ProductInput<T> whole{n, 0, n, k, pixels.eigenvectors, n_segments, 0, nullptr, nullptr, n_sides};
    const Portion portion = portion_of(whole);
    const Workspace<T> partial(context, portion.n_partial);
    const Workspace<T> amounts(context, unsigned_size(n_segments * portion.n_pixels));
    const Workspace<T> sides(context, unsigned_size(n_sides * portion.n_pixels));
    const auto n_totals = unsigned_size(matrix_numbers + n_sides * k);
    const Workspace<double> totals(context, n_totals);
    totals.clear(n_totals);
    whole.pitch = portion.n_pixels;
    whole.amounts = amounts.data();
    whole.sides = sides.data();
    const double sign = weighting.flat ? -1.0 : 1.0;
    for (std::ptrdiff_t first = 0; first < n; first += portion.n_pixels) {
        detail::ProductInput<T> in = whole;
        in.first = first;
        in.count = std::min(portion.n_pixels, n - first);
        launch<detail::SegmentTermsBlock<T>>(
            context, "sparsify (terms)",
            {source.source(first, in.count), pixels.weights, weighting.flat, weighting.clamp, weighting.exponent,
             weighting.factor, weighting.peak, weighting.offset, portion.n_pixels, amounts.data(), sides.data()});
        add_products<ProductKind::triangles>(context, in, partial.data(), sign, totals.data());
        add_products<ProductKind::rectangles>(context, in, partial.data(), sign, totals.data());
        in.n_products = 1;
        add_products<ProductKind::sides>(context, in, partial.data(), 1.0, totals.data() + matrix_numbers);
    }
    const auto download = [&](std::ptrdiff_t first, std::ptrdiff_t count, double* to) {
        copy(context, to, totals.data() + first, count, cudaMemcpyDeviceToHost);
    };
    download(0, matrix_numbers, matrices);
    download(matrix_numbers, n_segments * k, right);
    if (!weighting.flat) {
        download(matrix_numbers + n_segments * k, k, last);
    }
    context.synchronize();
}

template <class T>
void sparsify_peaks(const Context& context, const SparsifyPixels<T>& pixels, const SegmentCoefficients& segments,
                    double* largest) {
    check_pixels(pixels, segments.n_segments);
    const std::ptrdiff_t n_segments = segments.n_segments;
    const Segments<T> source(context, pixels, segments);
    const detail::SegmentSource<T> all = source.source(0, pixels.n_pixels);
    const std::ptrdiff_t n_tiles = detail::SegmentTile<T>::n_tiles(all);
    const Workspace<T> partial(context, unsigned_size(n_segments * n_tiles));
    const Workspace<double> result(context, unsigned_size(n_segments));
    launch<detail::SegmentPeaksBlock<T>>(context, "sparsify (peaks)", {all, partial.data()});
    launch<detail::LargestBlock<T>>(context, "sparsify (largest)",
                                    {partial.data(), n_segments, n_tiles, result.data()});
    read_back(context, result.data(), n_segments, largest);
}

template <class T>
double combine_eigenvectors(const Context& context, View<const T, 2> eigenvectors, const double* coefficients,
                            const double* offsets, double gamma, View<T, 2> segments, Monitor& monitor) {
    const std::ptrdiff_t k = eigenvectors.extent(0);
    const std::ptrdiff_t n = eigenvectors.extent(1);
    const std::ptrdiff_t n_segments = segments.extent(1);
    FASTSOFT_EXPECTS(eigenvectors.is_contiguous(), "eigenvectors must be contiguous (k, N)");
    FASTSOFT_EXPECTS(segments.extent(0) == n, "segments must have ", n, " rows, got ", segments.extent(0));
    SparsifyPixels<T> pixels;
    pixels.n_pixels = n;
    pixels.n_eigenvectors = k;
    pixels.eigenvectors = eigenvectors.data();
    check_pixels(pixels, n_segments);
    const Segments<T> source(context, pixels, {n_segments, coefficients, offsets});
    const detail::SegmentSource<T> all = source.source(0, n);
    using Block = detail::CombineSegmentsBlock<T>;
    const std::ptrdiff_t n_sums = detail::SegmentTile<T>::n_blocks(all);
    const Workspace<double> sums(context, unsigned_size(n_sums) + 1);
    double* const total = sums.data() + n_sums;
    launch<Block>(context, "sparsify (combine)", {all, static_cast<T>(gamma), segments, sums.data()});
    launch<detail::DoubleSumBlock>(context, "sparsify (sum)", {sums.data(), n_sums, total});
    const double sparsity = read_back(context, total);
    monitor.report(1.0);
    return sparsity;
}

template void sparsify_gram(const Context&, const SparsifyPixels<float>&, double*);
template void sparsify_gram(const Context&, const SparsifyPixels<double>&, double*);
template void sparsify_sums(const Context&, const SparsifyPixels<float>&, const SparsityWeighting<float>&,
                            const SegmentCoefficients&, double*, double*, double*);
template void sparsify_sums(const Context&, const SparsifyPixels<double>&, const SparsityWeighting<double>&,
                            const SegmentCoefficients&, double*, double*, double*);
template void sparsify_peaks(const Context&, const SparsifyPixels<float>&, const SegmentCoefficients&, double*);
template void sparsify_peaks(const Context&, const SparsifyPixels<double>&, const SegmentCoefficients&, double*);
template double combine_eigenvectors(const Context&, View<const float, 2>, const double*, const double*, double,
                                     View<float, 2>, Monitor&);
template double combine_eigenvectors(const Context&, View<const double, 2>, const double*, const double*, double,
                                     View<double, 2>, Monitor&);

}  // namespace fastsoft::cuda
