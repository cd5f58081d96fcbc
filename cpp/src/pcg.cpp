// SPDX-License-Identifier: MIT
#include "fastsoft/pcg.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "fastsoft/core/backend_cpu.hpp"
#include "fastsoft/core/parallel.hpp"
#include "fastsoft/detail/pcg_loop.hpp"

namespace fastsoft {
namespace {

// The vectors of the iteration; see detail/pcg_loop.hpp. The preconditioned residual M r is formed twice (for its dot
// product and for the direction) instead of stored, unless a function makes it.
template <class T>
class PcgSystem {
public:
    PcgSystem(const SymmetricOperator<T>& a, const T* b, T* x, std::ptrdiff_t n_vectors, const Preconditioner<T>& m)
        : a_(a), b_(b), x_(x), n_vectors_(n_vectors), m_(m) {
        const auto size = static_cast<std::size_t>(a.n * n_vectors);
        r_.resize(size);
        p_.resize(size);
        q_.resize(size);
        if (m_.function) {
            z_.resize(size);
        }
    }

    std::size_t n_columns() const { return static_cast<std::size_t>(n_vectors_); }

    void residual(std::vector<double>& rr) {
        Backend::spmv(a_, x_, r_.data(), n_vectors_);
        Backend::axpby(a_.n * n_vectors_, T(1), b_, T(-1), r_.data());
        for (std::size_t c = 0; c < n_columns(); ++c) {
            rr[c] = Backend::dot(a_.n, column(r_, c), column(r_, c));
        }
    }

    void start(std::vector<double>& rz) {
        precondition();
        direct(std::vector<double>(n_columns(), 0.0), /*first=*/true);
        for (std::size_t c = 0; c < n_columns(); ++c) {
            rz[c] = Backend::dot(a_.n, column(r_, c), column(p_, c));
        }
    }

    void product(std::vector<double>& pq) {
        Backend::spmv(a_, p_.data(), q_.data(), n_vectors_);
        for (std::size_t c = 0; c < n_columns(); ++c) {
            pq[c] = Backend::dot(a_.n, column(p_, c), column(q_, c));
        }
    }

    void advance(const std::vector<double>& alpha, std::vector<double>& rz, std::vector<double>& rr) {
        for (std::size_t c = 0; c < n_columns(); ++c) {
            const T step = static_cast<T>(alpha[c]);
            T* const x = x_ + static_cast<std::ptrdiff_t>(c) * a_.n;
            T* const r = column(r_, c);
            const T* const p = column(p_, c);
            const T* const q = column(q_, c);
            const T* const d = m_.inverse_diagonal;
            // One pass: both updates and both sums while the chunk is in cache.
            const Sums sums = parallel_sum<Sums>(a_.n, Backend::kGrain, [=](std::ptrdiff_t begin, std::ptrdiff_t end) {
#pragma GCC ivdep
                for (std::ptrdiff_t i = begin; i < end; ++i) {
                    x[i] += step * p[i];
                    r[i] -= step * q[i];
                }
                const std::ptrdiff_t n = end - begin;
                Sums chunk{Backend::dot_range(n, r + begin, r + begin), 0.0};
                if (d != nullptr) {
                    std::array<T, Backend::kGrain> z;
#pragma GCC ivdep
                    for (std::ptrdiff_t i = 0; i < n; ++i) {
                        z[static_cast<std::size_t>(i)] = d[begin + i] * r[begin + i];
                    }
                    chunk.rz = Backend::dot_range(n, r + begin, z.data());
                }
                return chunk;
            });
            rr[c] = sums.rr;
            rz[c] = d != nullptr ? sums.rz : sums.rr;
        }
        if (m_.function) {
            precondition();
            for (std::size_t c = 0; c < n_columns(); ++c) {
                rz[c] = Backend::dot(a_.n, column(r_, c), column(z_, c));
            }
        }
    }

    void direct(const std::vector<double>& beta, bool first = false) {
        for (std::size_t c = 0; c < n_columns(); ++c) {
            const T factor = static_cast<T>(beta[c]);
            T* const p = column(p_, c);
            const T* const z = m_.function ? column(z_, c) : column(r_, c);
            if (first) {
                Backend::fill(a_.n, T(0), p);
            }
            if (const T* const d = m_.inverse_diagonal; d != nullptr) {
                parallel_for(a_.n, Backend::kGrain, [=](std::ptrdiff_t begin, std::ptrdiff_t end) {
#pragma GCC ivdep
                    for (std::ptrdiff_t i = begin; i < end; ++i) {
                        p[i] = d[i] * z[i] + factor * p[i];
                    }
                });
            } else {
                Backend::axpby(a_.n, T(1), z, factor, p);
            }
        }
    }

    void keep(std::size_t c, double alpha) {
        if (saved_.empty()) {
            saved_.resize(r_.size());
        }
        Backend::copy(a_.n, x_ + static_cast<std::ptrdiff_t>(c) * a_.n, column(saved_, c));
        Backend::axpby(a_.n, static_cast<T>(-alpha), column(p_, c), T(1), column(saved_, c));
    }

    void restore(std::size_t c) { Backend::copy(a_.n, column(saved_, c), x_ + static_cast<std::ptrdiff_t>(c) * a_.n); }

private:
    using Backend = CpuBackend<T>;

    struct Sums {
        double rr = 0.0;
        double rz = 0.0;
        Sums& operator+=(const Sums& other) {
            rr += other.rr;
            rz += other.rz;
            return *this;
        }
    };

    T* column(std::vector<T>& vectors, std::size_t c) { return vectors.data() + static_cast<std::ptrdiff_t>(c) * a_.n; }

    void precondition() {
        if (m_.function) {
            m_.function(r_.data(), z_.data(), n_vectors_);
        }
    }

    const SymmetricOperator<T>& a_;
    const T* b_;
    T* x_;
    std::ptrdiff_t n_vectors_;
    const Preconditioner<T>& m_;
    std::vector<T> r_, p_, q_, z_, saved_;
};

}  // namespace

template <class T>
std::vector<SolverInfo> pcg(const SymmetricOperator<T>& a, const T* b, T* x, std::ptrdiff_t n_vectors,
                            const Preconditioner<T>& preconditioner, const PcgParams& params, Monitor& monitor) {
    std::vector<double> norm_b(static_cast<std::size_t>(n_vectors));
    for (std::ptrdiff_t c = 0; c < n_vectors; ++c) {
        const double norm = std::sqrt(CpuBackend<T>::dot(a.n, b + c * a.n, b + c * a.n));
        norm_b[static_cast<std::size_t>(c)] = norm;
        if (norm == 0.0) {
            CpuBackend<T>::fill(a.n, T(0), x + c * a.n);
        }
    }
    PcgSystem<T> system(a, b, x, n_vectors, preconditioner);
    return detail::pcg_loop(system, norm_b, params, monitor);
}

template std::vector<SolverInfo> pcg(const SymmetricOperator<float>&, const float*, float*, std::ptrdiff_t,
                                     const Preconditioner<float>&, const PcgParams&, Monitor&);
template std::vector<SolverInfo> pcg(const SymmetricOperator<double>&, const double*, double*, std::ptrdiff_t,
                                     const Preconditioner<double>&, const PcgParams&, Monitor&);

}  // namespace fastsoft
