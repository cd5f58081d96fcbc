// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

// Products of tall matrices: a few (at most some hundreds) planar vectors of length n, row v of an (m, n) array being
// vector v. All sums run over fixed chunks of the long axis, so bits do not depend on the number of threads. Small
// matrices are row-major double whatever T is.
namespace fastsoft {

template <class T>
struct TallCpu {
    // c (m, b) = V W' for V (m, n) and W (b, n).
    static void project(const T* v, std::ptrdiff_t m, const T* w, std::ptrdiff_t b, std::ptrdiff_t n, double* c);

    // g (b, b) = W W', products in double.
    static void gram(const T* w, std::ptrdiff_t b, std::ptrdiff_t n, double* g);

    // W -= C' V, then next (m, b) = V W' with the new W unless next is null, in one pass over V.
    static void project_out(const T* v, std::ptrdiff_t m, T* w, std::ptrdiff_t b, std::ptrdiff_t n, const double* c,
                            double* next);

    // W = A W for a small A (b, b), in place.
    static void transform(T* w, std::ptrdiff_t b, std::ptrdiff_t n, const double* a);

    // First k rows of V become Q' V, Q (m, k), in place; rows k..m are left with anything.
    static void rotate(T* v, std::ptrdiff_t m, std::ptrdiff_t n, const double* q, std::ptrdiff_t k);

    // Standard normal numbers from a counter: element (v, i) depends on seed, stream + v and i only.
    static void fill_normal(T* w, std::ptrdiff_t b, std::ptrdiff_t n, std::uint64_t seed, std::uint64_t stream);

    // out[v] = || W_v - factor[v] V_v ||.
    static void residual_norms(const T* w, const T* v, const double* factor, std::ptrdiff_t b, std::ptrdiff_t n,
                               double* out);

    // The component of largest magnitude of each vector, the first of equals, becomes positive.
    static void fix_signs(T* v, std::ptrdiff_t k, std::ptrdiff_t n);

    // out[v] = X_v . Y_v in double.
    static void dots(const T* x, const T* y, std::ptrdiff_t b, std::ptrdiff_t n, double* out);

    // z = a x + b y + c z for arrays of so many elements; z is not read where c is 0.
    static void combine(std::ptrdiff_t size, T a, const T* x, T b, const T* y, T c, T* z);

    // count elements, which may overlap if `to` lies before `from`.
    static void copy(const T* from, std::ptrdiff_t count, T* to);
};

extern template struct TallCpu<float>;
extern template struct TallCpu<double>;

}  // namespace fastsoft
