// SPDX-License-Identifier: MIT
#include "fastsoft/cuda/pixel_planes.hpp"

#include "fastsoft/core/error.hpp"
#include "fastsoft/cuda/launch.cuh"
#include "fastsoft/cuda/workspace.cuh"
#include "fastsoft/detail/pixel_planes_block.hpp"

namespace fastsoft::cuda {
template <class S, class T>
void pixel_planes(const Context& context, const View<const S, 2>& values, const std::int64_t* pixels,
                  std::ptrdiff_t count, T* out) {
    using Block = detail::PixelPlanesBlock<S, T>;
    FASTSOFT_EXPECTS(pixels != nullptr || count == values.extent(0), "there must be ", values.extent(0),
                     " pixels, got ", count);
    const Workspace<std::int64_t> chosen(context, static_cast<std::size_t>(pixels != nullptr ? count : 0));
    if (pixels != nullptr) {
        for (std::ptrdiff_t i = 0; i < count; ++i) {
            FASTSOFT_EXPECTS(pixels[i] >= 0 && pixels[i] < values.extent(0), "pixels must lie in 0..",
                             values.extent(0) - 1, ", got ", pixels[i]);
        }
        copy(context, chosen.data(), pixels, count, cudaMemcpyHostToDevice);
    }
    launch<Block>(context, "pixel_planes", {values, pixels != nullptr ? chosen.data() : nullptr, count, out});
    if (pixels != nullptr) {
        context.synchronize();  // the host's pixels must outlive their copy
    }
}

template <class T>
void row_sums(const Context& context, const T* rows, std::ptrdiff_t n_rows, std::ptrdiff_t length, double* sums) {
    using Pieces = detail::RowSumsBlock<T>;
    using Whole = detail::RowSumsBlock<double>;
    // Pieces of pieces, until a row is one of them.
    std::ptrdiff_t n_pieces = Pieces::n_pieces(length);
    const Workspace<double> first(context, static_cast<std::size_t>(n_rows * n_pieces));
    const Workspace<double> second(context, static_cast<std::size_t>(n_rows * Whole::n_pieces(n_pieces)));
    launch<Pieces>(context, "pixel_planes (sums)", {rows, n_rows, length, first.data()});
    double* from = first.data();
    double* to = second.data();
    while (n_pieces > 1) {
        launch<Whole>(context, "pixel_planes (sums)", {from, n_rows, n_pieces, to});
        n_pieces = Whole::n_pieces(n_pieces);
        double* const read = from;
        from = to;
        to = read;
    }
    read_back(context, from, n_rows, sums);
}

template void pixel_planes(const Context&, const View<const float, 2>&, const std::int64_t*, std::ptrdiff_t, float*);
template void pixel_planes(const Context&, const View<const float, 2>&, const std::int64_t*, std::ptrdiff_t, double*);
template void pixel_planes(const Context&, const View<const double, 2>&, const std::int64_t*, std::ptrdiff_t, float*);
template void pixel_planes(const Context&, const View<const double, 2>&, const std::int64_t*, std::ptrdiff_t, double*);
template void pixel_planes(const Context&, const View<const std::int32_t, 2>&, const std::int64_t*, std::ptrdiff_t,
                           std::int32_t*);
template void row_sums(const Context&, const float*, std::ptrdiff_t, std::ptrdiff_t, double*);
template void row_sums(const Context&, const double*, std::ptrdiff_t, std::ptrdiff_t, double*);

}  // namespace fastsoft::cuda
