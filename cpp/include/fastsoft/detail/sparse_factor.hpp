// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "fastsoft/core/large_buffer.hpp"
#include "fastsoft/core/monitor.hpp"
#include "fastsoft/core/symmetric_operator.hpp"
#include "fastsoft/detail/nested_dissection.hpp"

// Multifrontal factorisation P (A - shift I) P' = L S L' of a sparse symmetric matrix, L lower triangular and S
// diagonal with entries +1 and -1. For a positive definite matrix this is Cholesky's. For one with a few negative
// eigenvalues it is LDL' without pivoting: the number of -1 in S is then the number of eigenvalues below the shift
// (Sylvester's law of inertia), but accuracy is not guaranteed, so whoever uses it checks residuals.
//
// Cost on an H x W grid with 5x5 stencils, N = H W: about 250 stored numbers per pixel, growing with log N, and
// O(N^1.5) operations. Bits do not depend on the number of threads.
namespace fastsoft::detail {

template <class T>
class SparseFactor {
public:
    // Takes over the tree. report() of the monitor runs over [0, 1]. Throws std::invalid_argument when a pivot is zero
    // or not finite: the shift is an eigenvalue, or the elimination without pivoting broke down.
    // Matrix: a SymmetricOperator<T>, or an UnknownBlock<T> with T = float.
    template <class Matrix>
    SparseFactor(const Matrix& matrix, T shift, EliminationTree tree, Monitor& monitor);

    // Number of eigenvalues of A below the shift.
    std::ptrdiff_t n_negative() const { return n_negative_; }

    // Multiplications and additions of the factorisation.
    double n_flops() const { return n_flops_; }

    std::size_t n_bytes() const { return sizeof(T) * static_cast<std::size_t>(n_entries_); }

    // out = (A - shift I)^-1 in, for n_vectors planar vectors: in and out are (n_vectors, n) and may be the same.
    void solve(const T* in, T* out, std::ptrdiff_t n_vectors) const;

    // The same for one vector, which the layout for several would pad to a register's width.
    void solve_vector(const T* in, T* out) const;

private:
    struct Scratch;

    template <class Matrix>
    void factorize_front(const Matrix& matrix, T shift, std::size_t f, Scratch& scratch,
                         std::vector<std::unique_ptr<T[]>>& updates);
    void forward_front(std::size_t f, T* x, std::ptrdiff_t n_vectors, std::vector<std::vector<T>>& updates) const;
    void backward_front(std::size_t f, T* x, std::ptrdiff_t n_vectors, std::vector<T>& gathered) const;
    void forward_vector(std::size_t f, T* x, T* updates) const;
    void backward_vector(std::size_t f, T* x, T* gathered) const;
    void choose_tasks();

    EliminationTree tree_;
    std::vector<std::int64_t> panel_begin_;  // of each front in panels_
    LargeBuffer<T> panels_;                  // size() x n_own(), column-major
    std::int64_t n_entries_ = 0;
    double n_flops_ = 0.0;
    std::vector<std::vector<T>> signs_;     // S of each front; empty where all are +1
    std::vector<std::int32_t> task_roots_;  // disjoint subtrees that threads work on independently
    std::vector<std::int32_t> top_fronts_;  // the others, in post-order
    std::ptrdiff_t n_negative_ = 0;
};

extern template class SparseFactor<float>;
extern template class SparseFactor<double>;

}  // namespace fastsoft::detail
