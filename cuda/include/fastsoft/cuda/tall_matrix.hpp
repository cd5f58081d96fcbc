// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "fastsoft/cuda/context.hpp"

namespace fastsoft {

// TallCpu's functions (core/tall_matrix.hpp) on vectors in device memory. Small matrices are on the host. What returns
// one waits for the stream, the others only enqueue. Sums run over chunks of a fixed length, so bits do not depend on
// the device; those of random numbers may differ from the CPU's in the last place. Must not outlive the context.
template <class T>
class TallCuda {
public:
    // b of transform(): more do not fit in the registers of a thread.
    static constexpr std::ptrdiff_t kMaxBlock = 16;

    explicit TallCuda(const cuda::Context& context);
    ~TallCuda();
    TallCuda(const TallCuda&) = delete;
    TallCuda& operator=(const TallCuda&) = delete;

    void project(const T* v, std::ptrdiff_t m, const T* w, std::ptrdiff_t b, std::ptrdiff_t n, double* c) const;
    void gram(const T* w, std::ptrdiff_t b, std::ptrdiff_t n, double* g) const;
    void project_out(const T* v, std::ptrdiff_t m, T* w, std::ptrdiff_t b, std::ptrdiff_t n, const double* c,
                     double* next) const;
    void transform(T* w, std::ptrdiff_t b, std::ptrdiff_t n, const double* a) const;
    // Workspace: a share of V of at most 64 MB, or k tiles of 128 columns.
    void rotate(T* v, std::ptrdiff_t m, std::ptrdiff_t n, const double* q, std::ptrdiff_t k) const;
    void fill_normal(T* w, std::ptrdiff_t b, std::ptrdiff_t n, std::uint64_t seed, std::uint64_t stream) const;
    void residual_norms(const T* w, const T* v, const double* factor, std::ptrdiff_t b, std::ptrdiff_t n,
                        double* out) const;
    void fix_signs(T* v, std::ptrdiff_t k, std::ptrdiff_t n) const;
    void dots(const T* x, const T* y, std::ptrdiff_t b, std::ptrdiff_t n, double* out) const;
    void copy(const T* from, std::ptrdiff_t count, T* to) const;

private:
    // Small matrices on the device and sums of chunks, kept from call to call.
    struct Memory;

    template <class Block>
    void launch_block(const typename Block::Arguments& arguments, const char* name) const;
    template <class Sum>
    void project_with(const T* v, std::ptrdiff_t m, const T* w, std::ptrdiff_t b, std::ptrdiff_t n, double* c) const;
    template <class Term>
    void row_sums(const Term& term, std::ptrdiff_t b, std::ptrdiff_t n, double* out) const;
    double* partial_sums(std::ptrdiff_t n_chunks, std::ptrdiff_t n_entries) const;
    const double* upload(const double* matrix, std::ptrdiff_t count) const;
    void add_chunks(std::ptrdiff_t n_chunks, std::ptrdiff_t n_entries, double* out) const;

    const cuda::Context& context_;
    std::unique_ptr<Memory> memory_;
};

extern template class TallCuda<float>;
extern template class TallCuda<double>;

}  // namespace fastsoft
