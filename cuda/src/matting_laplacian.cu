// SPDX-License-Identifier: MIT
#include "fastsoft/matting_laplacian.hpp"

#include "fastsoft/cuda/launch.cuh"
#include "fastsoft/cuda/workspace.cuh"
#include "fastsoft/detail/matting_laplacian_block.hpp"
#include "fastsoft/detail/matting_laplacian_checks.hpp"

namespace fastsoft::cuda {
namespace {

// The stored half of the rows, (kMattingPlanes<Radius>, H, W).
template <int Radius, class T>
void fill_planes(const Context& context, const View<const T, 3>& image, MattingMatrix matrix, double epsilon,
                 T* planes) {
    constexpr double share = 1.0 / ((2 * Radius + 1) * (2 * Radius + 1));
    using Entries = detail::MattingEntriesBlock<Radius, T>;
    launch<Entries>(context, "matting_laplacian (entries)",
                    {image, epsilon, matrix == MattingMatrix::affinity ? share : -share, planes});
    if (matrix == MattingMatrix::laplacian) {
        using Diagonal = detail::MattingDiagonalBlock<Radius, T>;
        launch<Diagonal>(context, "matting_laplacian (diagonal)", {image.extent(0), image.extent(1), planes});
    }
}

template <int Radius, class T>
void fill_csr(const Context& context, const View<const T, 3>& image, MattingMatrix matrix, double epsilon,
              std::int64_t* indptr, std::int32_t* indices, T* data) {
    const std::ptrdiff_t n_pixels = image.extent(0) * image.extent(1);
    const Workspace<T> planes(context, static_cast<std::size_t>(detail::kMattingPlanes<Radius> * n_pixels));
    fill_planes<Radius, T>(context, image, matrix, epsilon, planes.data());
    using Csr = detail::MattingCsrBlock<Radius, T>;
    launch<Csr>(context, "matting_laplacian (CSR)",
                {image.extent(0), image.extent(1), planes.data(), indptr, indices, data});
}

}  // namespace

template <class T>
void matting_laplacian_csr(const Context& context, const View<const T, 3>& image, MattingMatrix matrix, double epsilon,
                           int radius, std::int64_t* indptr, std::int32_t* indices, T* data) {
    detail::check_matting_image(image, epsilon, radius);
    switch (radius) {
        case 1:
            fill_csr<1, T>(context, image, matrix, epsilon, indptr, indices, data);
            break;
        case 2:
            fill_csr<2, T>(context, image, matrix, epsilon, indptr, indices, data);
            break;
        default:
            fill_csr<3, T>(context, image, matrix, epsilon, indptr, indices, data);
            break;
    }
}

template <class T>
void matting_laplacian_stencil(const Context& context, const View<const T, 3>& image, MattingMatrix matrix,
                               double epsilon, T* weights) {
    detail::check_matting_image(image, epsilon, 1);
    fill_planes<1, T>(context, image, matrix, epsilon, weights);
}

template void matting_laplacian_csr(const Context&, const View<const float, 3>&, MattingMatrix, double, int,
                                    std::int64_t*, std::int32_t*, float*);
template void matting_laplacian_csr(const Context&, const View<const double, 3>&, MattingMatrix, double, int,
                                    std::int64_t*, std::int32_t*, double*);
template void matting_laplacian_stencil(const Context&, const View<const float, 3>&, MattingMatrix, double, float*);
template void matting_laplacian_stencil(const Context&, const View<const double, 3>&, MattingMatrix, double, double*);

}  // namespace fastsoft::cuda
