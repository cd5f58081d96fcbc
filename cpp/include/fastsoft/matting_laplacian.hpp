// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

#include "fastsoft/core/cuda_context.hpp"
#include "fastsoft/core/view.hpp"
#include "fastsoft/detail/grid_neighbours.hpp"
#include "fastsoft/detail/masked_stencil.hpp"

// The matting affinity W and the matting Laplacian D - W of an image, D = diag(row sums of W):
//
//     W[p, q] = sum over the windows k that hold p and q of
//               (1 + (I_p - mu_k)' (Sigma_k + epsilon / n)^-1 (I_q - mu_k)) / n
//
// with n = (2 radius + 1)^2 pixels per window, mean colour mu_k and biased covariance Sigma_k.
// A. Levin, D. Lischinski, Y. Weiss, "A closed-form solution to natural image matting", PAMI 30(2), 2008, Eq. 12.
//
// Windows are those wholly inside the image, as in the authors' program and in PyMatting: each row of W sums to the
// number of windows that hold the pixel. The diagonal of the Laplacian is the sum of the off-diagonal weights as
// stored, so that rows sum to 0 up to one rounding per addition.
//
// The 3x3 systems reach condition numbers of 1e7 (a sharp edge between two flat areas, epsilon 1e-7), which is all that
// float32 has: everything is computed in double, and only the results are rounded to T.
namespace fastsoft {

enum class MattingMatrix { affinity, laplacian };

constexpr int kMattingMaxRadius = 3;

// Entries of the CSR matrix, (4 radius + 1)^2 per pixel less what the image border clips.
inline std::int64_t matting_n_entries(std::ptrdiff_t n_rows, std::ptrdiff_t n_cols, int radius) {
    return detail::grid_row_begin(n_rows, 0, n_rows, n_cols, 2 * radius);
}

// image (H, W, 3), at least 2 radius + 1 pixels wide and high; radius 1..kMattingMaxRadius; epsilon > 0.
// Fills indptr (H W + 1), indices and data (matting_n_entries). Column indices are sorted.
template <class T>
void matting_laplacian_csr(const View<const T, 3>& image, MattingMatrix matrix, double epsilon, int radius,
                           std::int64_t* indptr, std::int32_t* indices, T* data);

// The same matrix, radius 1, as a stencil (core/symmetric_operator.hpp): weights (13, H, W).
template <class T>
void matting_laplacian_stencil(const View<const T, 3>& image, MattingMatrix matrix, double epsilon, T* weights);

// Rows of the Laplacian, radius 1, of the pixels that a masked stencil numbers; fills its weights, which are double
// whatever T is. Only the parts of the image around these pixels are looked at.
template <class T>
void matting_laplacian_rows(const View<const T, 3>& image, double epsilon, detail::MaskedStencil& rows);

namespace cuda {

// On the device of the context, in the order of its stream, all arrays in its memory. Three kernels: the stored half of
// the rows, 13 numbers per pixel for radius 1; the diagonal from them; CSR rows from them. Entries differ from the
// CPU's by rounding, since products and sums are fused.
template <class T>
void matting_laplacian_csr(const Context& context, const View<const T, 3>& image, MattingMatrix matrix, double epsilon,
                           int radius, std::int64_t* indptr, std::int32_t* indices, T* data);

template <class T>
void matting_laplacian_stencil(const Context& context, const View<const T, 3>& image, MattingMatrix matrix,
                               double epsilon, T* weights);

}  // namespace cuda
}  // namespace fastsoft
