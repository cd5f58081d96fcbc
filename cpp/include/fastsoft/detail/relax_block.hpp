// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>

#include "fastsoft/core/block.hpp"
#include "fastsoft/core/view.hpp"
#include "fastsoft/detail/relax_pixel.hpp"
#include "fastsoft/detail/vector_block.hpp"

// The passes of relaxed sparsification, as bodies of ColumnsBlock with one column whose elements are pixels: a thread
// treats all layers of a pixel, which are planes n apart. Least bytes of an iteration of conjugate gradients per pixel
// and layer: 17 numbers (product 4 besides its 2 with the Laplacian, advance 5 + 2, direct 3 + 1), and per pixel what
// the Laplacian holds. Where a pass reads a number of a pixel twice, the second time is from cache.
namespace fastsoft::detail {

// Vectors are (n_layers, n), numbers of pixels (n).
template <class T>
struct RelaxPlanes {
    std::ptrdiff_t n;
    std::ptrdiff_t n_layers;
    T lambda;
    T* target;     // alpha^
    T* x;          // alpha
    T* b;          // right-hand side
    T* d;          // diagonal of the matrix without lambda: L + I + D_u + D_v
    T* r;          // residual
    T* p;          // direction
    T* q;          // A p
    T* diagonal;   // of L
    T* exponents;  // g - 2

    // Row of the matrix beyond L at layer `i`, given the sum over the layers of `in`.
    FASTSOFT_HD T rest_of_product(std::ptrdiff_t at, std::ptrdiff_t pixel, const T* in, T sum) const {
        return (d[at] - diagonal[pixel]) * in[at] + lambda * sum;
    }

    FASTSOFT_HD T layer_sum(const T* in, std::ptrdiff_t pixel) const {
        T sum = T(0);
        for (std::ptrdiff_t i = 0; i < n_layers; ++i) {
            sum += in[i * n + pixel];
        }
        return sum;
    }

    // Of the preconditioner (block_shift) at the present residual.
    FASTSOFT_HD T shift(std::ptrdiff_t pixel) const {
        T sum_inverse = T(0);
        T sum_r = T(0);
        for (std::ptrdiff_t i = 0; i < n_layers; ++i) {
            const T inverse = T(1) / d[i * n + pixel];
            sum_inverse += inverse;
            sum_r += inverse * r[i * n + pixel];
        }
        return block_shift(lambda, sum_inverse, sum_r);
    }
};

// Target, first iterate and exponents.
template <class T>
struct RelaxTargetBody {
    static constexpr int kSums = 0;
    static constexpr int kPerThread = 1;
    RelaxPlanes<T> planes;
    View<const T, 3> segments;
    View<const T, 2> gradient;
    T threshold;
    T gamma;

    FASTSOFT_HD Nothing begin(std::ptrdiff_t) const { return {}; }
    FASTSOFT_HD Nothing load(std::ptrdiff_t, std::ptrdiff_t) const { return {}; }
    FASTSOFT_HD void finish(std::ptrdiff_t, std::ptrdiff_t pixel, const Nothing&, const Nothing&, double*) const {
        const std::ptrdiff_t row = pixel / segments.extent(1);
        const std::ptrdiff_t col = pixel % segments.extent(1);
        for (std::ptrdiff_t i = 0; i < planes.n_layers; ++i) {
            planes.target[i * planes.n + pixel] = segments(row, col, i);
        }
        threshold_layers(planes.target + pixel, planes.n_layers, planes.n, threshold);
        for (std::ptrdiff_t i = 0; i < planes.n_layers; ++i) {
            planes.x[i * planes.n + pixel] = planes.target[i * planes.n + pixel];
        }
        planes.exponents[pixel] = sparsity_exponent(gradient(row, col), gamma);
    }
};

// Diagonal and right-hand side at the present x, with sparsity or, for the last solve, without; sum of b b.
template <class T, bool Sparse>
struct RelaxWeightsBody {
    static constexpr int kSums = 1;
    static constexpr int kPerThread = 1;
    RelaxPlanes<T> planes;
    T clamp;

    FASTSOFT_HD Nothing begin(std::ptrdiff_t) const { return {}; }
    FASTSOFT_HD Nothing load(std::ptrdiff_t, std::ptrdiff_t) const { return {}; }
    FASTSOFT_HD void finish(std::ptrdiff_t, std::ptrdiff_t pixel, const Nothing&, const Nothing&, double* sums) const {
        const T diagonal = planes.diagonal[pixel];
        for (std::ptrdiff_t i = 0; i < planes.n_layers; ++i) {
            const std::ptrdiff_t at = i * planes.n + pixel;
            const T alpha = planes.x[at];
            T b = alpha + planes.lambda;
            T d = diagonal + T(1);
            if constexpr (Sparse) {
                const T u = sparsity_weight(alpha, clamp, planes.exponents[pixel]);
                const T v = sparsity_weight(T(1) - alpha, clamp, planes.exponents[pixel]);
                b = planes.target[at] + v + planes.lambda;
                d = diagonal + T(1) + u + v;
            }
            planes.b[at] = b;
            planes.d[at] = d;
            sums[0] += static_cast<double>(b) * static_cast<double>(b);
        }
    }
};

// r = b - A x, where r holds L x; sum of r r.
template <class T>
struct RelaxResidualBody {
    static constexpr int kSums = 1;
    static constexpr int kPerThread = 1;
    RelaxPlanes<T> planes;

    FASTSOFT_HD Nothing begin(std::ptrdiff_t) const { return {}; }
    FASTSOFT_HD Nothing load(std::ptrdiff_t, std::ptrdiff_t) const { return {}; }
    FASTSOFT_HD void finish(std::ptrdiff_t, std::ptrdiff_t pixel, const Nothing&, const Nothing&, double* sums) const {
        const T sum = planes.layer_sum(planes.x, pixel);
        for (std::ptrdiff_t i = 0; i < planes.n_layers; ++i) {
            const std::ptrdiff_t at = i * planes.n + pixel;
            const T value = planes.b[at] - (planes.r[at] + planes.rest_of_product(at, pixel, planes.x, sum));
            planes.r[at] = value;
            sums[0] += static_cast<double>(value) * static_cast<double>(value);
        }
    }
};

// q = A p, where q holds L p; sum of p q.
template <class T>
struct RelaxProductBody {
    static constexpr int kSums = 1;
    static constexpr int kPerThread = 1;
    RelaxPlanes<T> planes;

    FASTSOFT_HD Nothing begin(std::ptrdiff_t) const { return {}; }
    FASTSOFT_HD Nothing load(std::ptrdiff_t, std::ptrdiff_t) const { return {}; }
    FASTSOFT_HD void finish(std::ptrdiff_t, std::ptrdiff_t pixel, const Nothing&, const Nothing&, double* sums) const {
        const T sum = planes.layer_sum(planes.p, pixel);
        for (std::ptrdiff_t i = 0; i < planes.n_layers; ++i) {
            const std::ptrdiff_t at = i * planes.n + pixel;
            const T value = planes.q[at] + planes.rest_of_product(at, pixel, planes.p, sum);
            planes.q[at] = value;
            sums[0] += static_cast<double>(planes.p[at]) * static_cast<double>(value);
        }
    }
};

// x += alpha p, r -= alpha q; sums of r r and r M r.
template <class T>
struct RelaxAdvanceBody {
    static constexpr int kSums = 2;
    static constexpr int kPerThread = 1;
    RelaxPlanes<T> planes;
    const double* numbers;  // (kColumnSlots)

    FASTSOFT_HD T begin(std::ptrdiff_t) const { return static_cast<T>(numbers[kStepLength]); }
    FASTSOFT_HD Nothing load(std::ptrdiff_t, std::ptrdiff_t) const { return {}; }
    FASTSOFT_HD void finish(std::ptrdiff_t, std::ptrdiff_t pixel, const T& alpha, const Nothing&, double* sums) const {
        for (std::ptrdiff_t i = 0; i < planes.n_layers; ++i) {
            const std::ptrdiff_t at = i * planes.n + pixel;
            // All is loaded before something is stored.
            const T x = planes.x[at] + alpha * planes.p[at];
            const T r = planes.r[at] - alpha * planes.q[at];
            planes.x[at] = x;
            planes.r[at] = r;
        }
        const T shift = planes.shift(pixel);
        for (std::ptrdiff_t i = 0; i < planes.n_layers; ++i) {
            const T r = planes.r[i * planes.n + pixel];
            const T z = (r - shift) / planes.d[i * planes.n + pixel];
            sums[0] += static_cast<double>(r) * static_cast<double>(r);
            sums[1] += static_cast<double>(r) * static_cast<double>(z);
        }
    }
};

// p = M r + beta p; for the first direction p = M r and the sum of r p.
template <class T, bool First>
struct RelaxDirectBody {
    static constexpr int kSums = First ? 1 : 0;
    static constexpr int kPerThread = 1;
    RelaxPlanes<T> planes;
    T beta;

    FASTSOFT_HD Nothing begin(std::ptrdiff_t) const { return {}; }
    FASTSOFT_HD Nothing load(std::ptrdiff_t, std::ptrdiff_t) const { return {}; }
    FASTSOFT_HD void finish(std::ptrdiff_t, std::ptrdiff_t pixel, const Nothing&, const Nothing&, double* sums) const {
        const T shift = planes.shift(pixel);
        for (std::ptrdiff_t i = 0; i < planes.n_layers; ++i) {
            const std::ptrdiff_t at = i * planes.n + pixel;
            const T z = (planes.r[at] - shift) / planes.d[at];
            if constexpr (First) {
                planes.p[at] = z;
                sums[0] += static_cast<double>(planes.r[at]) * static_cast<double>(z);
            } else {
                planes.p[at] = z + beta * planes.p[at];
            }
        }
    }
};

// x as an array (H, W, n_layers) of any strides.
template <class T>
struct RelaxWriteBody {
    static constexpr int kSums = 0;
    static constexpr int kPerThread = 1;
    RelaxPlanes<T> planes;
    View<T, 3> out;

    FASTSOFT_HD Nothing begin(std::ptrdiff_t) const { return {}; }
    FASTSOFT_HD Nothing load(std::ptrdiff_t, std::ptrdiff_t) const { return {}; }
    FASTSOFT_HD void finish(std::ptrdiff_t, std::ptrdiff_t pixel, const Nothing&, const Nothing&, double*) const {
        for (std::ptrdiff_t i = 0; i < planes.n_layers; ++i) {
            out(pixel / out.extent(1), pixel % out.extent(1), i) = planes.x[i * planes.n + pixel];
        }
    }
};

}  // namespace fastsoft::detail
