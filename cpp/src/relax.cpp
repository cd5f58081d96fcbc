// SPDX-License-Identifier: MIT
#include "fastsoft/relax.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "fastsoft/core/backend_cpu.hpp"
#include "fastsoft/core/parallel.hpp"
#include "fastsoft/detail/relax_checks.hpp"
#include "fastsoft/detail/relax_loop.hpp"
#include "fastsoft/detail/relax_pixel.hpp"

namespace fastsoft {
namespace {

// Pixels of a task, and of the blocks within it whose temporaries stay in the first-level cache.
constexpr std::ptrdiff_t kGrain = 8192;
constexpr std::ptrdiff_t kBlock = 512;

struct Sums {
    double first = 0.0;
    double second = 0.0;
    Sums& operator+=(const Sums& other) {
        first += other.first;
        second += other.second;
        return *this;
    }
};

// The system of one round, as one right-hand side of n_layers * n_pixels unknowns; the vectors of conjugate gradients
// are planar (n_layers, n_pixels). See detail/pcg_loop.hpp for the functions.
template <class T>
class RelaxSystem {
public:
    RelaxSystem(const SymmetricOperator<T>& laplacian, std::ptrdiff_t n_layers, T lambda)
        : laplacian_(laplacian), n_(laplacian.n), n_layers_(n_layers), lambda_(lambda) {
        const auto size = static_cast<std::size_t>(n_ * n_layers_);
        for (std::vector<T>* vector : {&target, &x, &b_, &d_, &r_, &p_, &q_}) {
            vector->resize(size);
        }
        laplacian_diagonal_.resize(static_cast<std::size_t>(n_));
        laplacian_.diagonal(laplacian_diagonal_.data());
    }

    std::vector<T> target;     // alpha^
    std::vector<T> x;          // alpha
    std::vector<T> exponents;  // g - 2, one per pixel

    // Weights at the present x, the diagonal L + I + D_u + D_v and the right-hand side. Returns the norm of the latter.
    double reweight(T clamp) {
        const Sums sums = parallel_sum<Sums>(n_, kGrain, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
            Sums chunk;
            for (std::ptrdiff_t layer = 0; layer < n_layers_; ++layer) {
                const T* const exponent = exponents.data();
                const T* const diagonal = laplacian_diagonal_.data();
                const T* const a = plane(x, layer);
                const T* const wanted = plane(target, layer);
                T* const b = plane(b_, layer);
                T* const d = plane(d_, layer);
#pragma GCC ivdep
                for (std::ptrdiff_t p = begin; p < end; ++p) {
                    const T u = detail::sparsity_weight(a[p], clamp, exponent[p]);
                    const T v = detail::sparsity_weight(T(1) - a[p], clamp, exponent[p]);
                    d[p] = diagonal[p] + T(1) + u + v;
                    b[p] = wanted[p] + v + lambda_;
                }
                chunk.first += Backend::dot_range(end - begin, b + begin, b + begin);
            }
            return chunk;
        });
        return std::sqrt(sums.first);
    }

    // The last system: no sparsity, close to the present x.
    double drop_sparsity() {
        const Sums sums = parallel_sum<Sums>(n_, kGrain, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
            Sums chunk;
            for (std::ptrdiff_t layer = 0; layer < n_layers_; ++layer) {
                const T* const diagonal = laplacian_diagonal_.data();
                const T* const a = plane(x, layer);
                T* const b = plane(b_, layer);
                T* const d = plane(d_, layer);
#pragma GCC ivdep
                for (std::ptrdiff_t p = begin; p < end; ++p) {
                    d[p] = diagonal[p] + T(1);
                    b[p] = a[p] + lambda_;
                }
                chunk.first += Backend::dot_range(end - begin, b + begin, b + begin);
            }
            return chunk;
        });
        return std::sqrt(sums.first);
    }

    std::size_t n_columns() const { return 1; }

    void residual(std::vector<double>& rr) {
        Backend::spmv(laplacian_, x.data(), r_.data(), n_layers_);
        rr[0] = over_blocks([&](std::ptrdiff_t begin, std::ptrdiff_t end) {
                    complete_product(x, r_, begin, end);
                    Sums block;
                    for (std::ptrdiff_t layer = 0; layer < n_layers_; ++layer) {
                        const T* const b = plane(b_, layer);
                        T* const r = plane(r_, layer);
#pragma GCC ivdep
                        for (std::ptrdiff_t p = begin; p < end; ++p) {
                            r[p] = b[p] - r[p];
                        }
                        block.first += Backend::dot_range(end - begin, r + begin, r + begin);
                    }
                    return block;
                }).first;
    }

    void start(std::vector<double>& rz) {
        std::fill(p_.begin(), p_.end(), T(0));
        rz[0] = make_direction(T(0));
    }

    void product(std::vector<double>& pq) {
        Backend::spmv(laplacian_, p_.data(), q_.data(), n_layers_);
        pq[0] = over_blocks([&](std::ptrdiff_t begin, std::ptrdiff_t end) {
                    complete_product(p_, q_, begin, end);
                    Sums block;
                    for (std::ptrdiff_t layer = 0; layer < n_layers_; ++layer) {
                        block.first +=
                            Backend::dot_range(end - begin, plane(p_, layer) + begin, plane(q_, layer) + begin);
                    }
                    return block;
                }).first;
    }

    void advance(const std::vector<double>& alpha, std::vector<double>& rz, std::vector<double>& rr) {
        const T step = static_cast<T>(alpha[0]);
        const Sums sums = over_blocks([&](std::ptrdiff_t begin, std::ptrdiff_t end) {
            Sums block;
            for (std::ptrdiff_t layer = 0; layer < n_layers_; ++layer) {
                T* const a = plane(x, layer);
                T* const r = plane(r_, layer);
                const T* const direction = plane(p_, layer);
                const T* const product = plane(q_, layer);
#pragma GCC ivdep
                for (std::ptrdiff_t p = begin; p < end; ++p) {
                    a[p] += step * direction[p];
                    r[p] -= step * product[p];
                }
                block.first += Backend::dot_range(end - begin, r + begin, r + begin);
            }
            precondition(begin, end, [&](std::ptrdiff_t layer, const T* z) {
                block.second += Backend::dot_range(end - begin, plane(r_, layer) + begin, z);
            });
            return block;
        });
        rr[0] = sums.first;
        rz[0] = sums.second;
    }

    void direct(const std::vector<double>& beta) { make_direction(static_cast<T>(beta[0])); }

    void keep(std::size_t, double alpha) {
        saved_ = x;
        Backend::axpby(n_ * n_layers_, static_cast<T>(-alpha), p_.data(), T(1), saved_.data());
    }

    void restore(std::size_t) { x = saved_; }

private:
    using Backend = CpuBackend<T>;

    T* plane(std::vector<T>& vector, std::ptrdiff_t layer) const { return vector.data() + layer * n_; }

    template <class Body>
    Sums over_blocks(Body&& body) const {
        return parallel_sum<Sums>(n_, kGrain, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
            Sums chunk;
            for (std::ptrdiff_t block = begin; block < end; block += kBlock) {
                chunk += body(block, std::min(end, block + kBlock));
            }
            return chunk;
        });
    }

    // `out` holds L in; adds the rest of the matrix, (d - diag(L)) in_i + lambda sum_j in_j.
    void complete_product(std::vector<T>& in, std::vector<T>& out, std::ptrdiff_t begin, std::ptrdiff_t end) {
        T sum[kBlock] = {};
        for (std::ptrdiff_t layer = 0; layer < n_layers_; ++layer) {
            const T* const values = plane(in, layer) + begin;
#pragma GCC ivdep
            for (std::ptrdiff_t p = 0; p < end - begin; ++p) {
                sum[p] += values[p];
            }
        }
        for (std::ptrdiff_t layer = 0; layer < n_layers_; ++layer) {
            const T* const values = plane(in, layer) + begin;
            const T* const d = plane(d_, layer) + begin;
            const T* const diagonal = laplacian_diagonal_.data() + begin;
            T* const products = plane(out, layer) + begin;
#pragma GCC ivdep
            for (std::ptrdiff_t p = 0; p < end - begin; ++p) {
                products[p] += (d[p] - diagonal[p]) * values[p] + lambda_ * sum[p];
            }
        }
    }

    // Calls use(layer, z) with the preconditioned residual of each layer on [begin, end).
    template <class Use>
    void precondition(std::ptrdiff_t begin, std::ptrdiff_t end, Use&& use) {
        T sum_inverse[kBlock] = {};
        T sum_r[kBlock] = {};
        for (std::ptrdiff_t layer = 0; layer < n_layers_; ++layer) {
            const T* const d = plane(d_, layer) + begin;
            const T* const r = plane(r_, layer) + begin;
#pragma GCC ivdep
            for (std::ptrdiff_t p = 0; p < end - begin; ++p) {
                const T inverse = T(1) / d[p];
                sum_inverse[p] += inverse;
                sum_r[p] += inverse * r[p];
            }
        }
        for (std::ptrdiff_t p = 0; p < end - begin; ++p) {
            sum_r[p] = detail::block_shift(lambda_, sum_inverse[p], sum_r[p]);
        }
        T z[kBlock];
        for (std::ptrdiff_t layer = 0; layer < n_layers_; ++layer) {
            const T* const d = plane(d_, layer) + begin;
            const T* const r = plane(r_, layer) + begin;
#pragma GCC ivdep
            for (std::ptrdiff_t p = 0; p < end - begin; ++p) {
                z[p] = (r[p] - sum_r[p]) / d[p];
            }
            use(layer, z);
        }
    }

    // p = M r + beta p; returns r.p.
    double make_direction(T beta) {
        return over_blocks([&](std::ptrdiff_t begin, std::ptrdiff_t end) {
                   Sums block;
                   precondition(begin, end, [&](std::ptrdiff_t layer, const T* z) {
                       T* const direction = plane(p_, layer) + begin;
#pragma GCC ivdep
                       for (std::ptrdiff_t p = 0; p < end - begin; ++p) {
                           direction[p] = z[p] + beta * direction[p];
                       }
                       block.first += Backend::dot_range(end - begin, plane(r_, layer) + begin, direction);
                   });
                   return block;
               })
            .first;
    }

    const SymmetricOperator<T>& laplacian_;
    std::ptrdiff_t n_;
    std::ptrdiff_t n_layers_;
    T lambda_;
    std::vector<T> laplacian_diagonal_;
    std::vector<T> b_, d_, r_, p_, q_, saved_;  // d_: diagonal of the matrix without lambda
};

// Pixel (row, col) of every layer.
template <class T, class Body>
void for_each_pixel(View<T, 3> image, Body&& body) {
    const std::ptrdiff_t n_cols = image.extent(1);
    parallel_for(image.extent(0) * n_cols, kGrain, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
        for (std::ptrdiff_t p = begin; p < end; ++p) {
            body(p, image.data() + (p / n_cols) * image.stride(0) + (p % n_cols) * image.stride(1));
        }
    });
}

template <class T>
void write_layers(const std::vector<T>& planar, View<T, 3> image) {
    const std::ptrdiff_t n = image.extent(0) * image.extent(1);
    for_each_pixel(image, [&](std::ptrdiff_t p, T* values) {
        for (std::ptrdiff_t layer = 0; layer < image.extent(2); ++layer) {
            values[layer * image.stride(2)] = planar[static_cast<std::size_t>(layer * n + p)];
        }
    });
}

}  // namespace

template <class T>
std::vector<SolverInfo> relax_segments(View<const T, 3> segments, const SymmetricOperator<T>& laplacian,
                                       View<const T, 2> gradient, const RelaxParams& params,
                                       View<T, 3> before_final_solve, View<T, 3> result, Monitor& monitor) {
    const std::ptrdiff_t n_rows = segments.extent(0);
    const std::ptrdiff_t n_cols = segments.extent(1);
    const std::ptrdiff_t n_layers = segments.extent(2);
    const std::ptrdiff_t n = n_rows * n_cols;
    detail::check_relax(segments, laplacian.n, gradient, result);

    RelaxSystem<T> system(laplacian, n_layers, static_cast<T>(params.sum_weight));
    for_each_pixel(segments, [&](std::ptrdiff_t p, const T* values) {
        for (std::ptrdiff_t layer = 0; layer < n_layers; ++layer) {
            system.target[static_cast<std::size_t>(layer * n + p)] = values[layer * segments.stride(2)];
        }
        detail::threshold_layers(system.target.data() + p, n_layers, n, static_cast<T>(params.threshold));
    });
    system.x = system.target;
    system.exponents.resize(static_cast<std::size_t>(n));
    parallel_for(n, kGrain, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
        for (std::ptrdiff_t p = begin; p < end; ++p) {
            system.exponents[static_cast<std::size_t>(p)] =
                detail::sparsity_exponent(gradient(p / n_cols, p % n_cols), static_cast<T>(params.gamma));
        }
    });

    const auto info = detail::relax_loop<T>(system, params, monitor, [&] {
        if (before_final_solve.data() != nullptr) {
            write_layers(system.x, before_final_solve);
        }
    });
    write_layers(system.x, result);
    monitor.report(1.0);
    return info;
}

template std::vector<SolverInfo> relax_segments(View<const float, 3>, const SymmetricOperator<float>&,
                                                View<const float, 2>, const RelaxParams&, View<float, 3>,
                                                View<float, 3>, Monitor&);
template std::vector<SolverInfo> relax_segments(View<const double, 3>, const SymmetricOperator<double>&,
                                                View<const double, 2>, const RelaxParams&, View<double, 3>,
                                                View<double, 3>, Monitor&);

}  // namespace fastsoft
