// SPDX-License-Identifier: MIT
#include "fastsoft/relax.hpp"

#include <cmath>
#include <cstddef>
#include <memory>

#include "fastsoft/cuda/backend_cuda.cuh"
#include "fastsoft/cuda/symmetric_operator.hpp"
#include "fastsoft/cuda/workspace.cuh"
#include "fastsoft/detail/relax_block.hpp"
#include "fastsoft/detail/relax_checks.hpp"
#include "fastsoft/detail/relax_loop.hpp"

namespace fastsoft::cuda {
namespace {

// The system of one round, as one right-hand side; see detail/relax_loop.hpp and detail/pcg_loop.hpp.
template <class T>
class RelaxSystem {
public:
    RelaxSystem(const Context& context, const SymmetricOperator<T>& laplacian, std::ptrdiff_t n_layers, T lambda)
        : context_(context),
          laplacian_(laplacian),
          backend_(context, laplacian.n, 1),
          vectors_(context, static_cast<std::size_t>(7 * n_layers * laplacian.n)),
          pixels_(context, static_cast<std::size_t>(2 * laplacian.n)) {
        const std::ptrdiff_t size = n_layers * laplacian.n;
        T* const v = vectors_.data();
        planes_ = {laplacian.n,  n_layers,     lambda,         v,
                   v + size,     v + 2 * size, v + 3 * size,   v + 4 * size,
                   v + 5 * size, v + 6 * size, pixels_.data(), pixels_.data() + laplacian.n};
        operator_diagonal(context_, laplacian_, planes_.diagonal);
    }

    void set_target(const View<const T, 3>& segments, const View<const T, 2>& gradient, const RelaxParams& params) {
        pass("relax_segments (target)",
             detail::RelaxTargetBody<T>{planes_, segments, gradient, static_cast<T>(params.threshold),
                                        static_cast<T>(params.gamma)});
    }

    void write(const View<T, 3>& out) { pass("relax_segments (result)", detail::RelaxWriteBody<T>{planes_, out}); }

    double reweight(T clamp) {
        return std::sqrt(sum("relax_segments (weights)", detail::RelaxWeightsBody<T, true>{planes_, clamp},
                             detail::kResidualSquare));
    }

    double drop_sparsity() {
        return std::sqrt(sum("relax_segments (last system)", detail::RelaxWeightsBody<T, false>{planes_, T(0)},
                             detail::kResidualSquare));
    }

    std::size_t n_columns() const { return 1; }

    void residual(std::vector<double>& rr) {
        operator_apply(context_, laplacian_, planes_.x, planes_.r, planes_.n_layers);
        rr[0] = sum("relax_segments (residual)", detail::RelaxResidualBody<T>{planes_}, detail::kResidualSquare);
    }

    void start(std::vector<double>& rz) {
        rz[0] =
            sum("relax_segments (start)", detail::RelaxDirectBody<T, true>{planes_, T(0)}, detail::kPreconditionedDot);
    }

    void step(const std::vector<char>& active, const std::vector<double>&, std::vector<double>& alpha,
              std::vector<double>& next_rz, std::vector<double>& rr) {
        operator_apply(context_, laplacian_, planes_.p, planes_.q, planes_.n_layers);
        backend_.step_lengths("relax_segments (product)", detail::RelaxProductBody<T>{planes_}, active);
        backend_.sum("relax_segments (advance)", detail::RelaxAdvanceBody<T>{planes_, backend_.numbers()},
                     detail::kResidualSquare);
        backend_.read();
        backend_.get(detail::kStepLength, alpha);
        backend_.get(detail::kResidualSquare, rr);
        backend_.get(detail::kPreconditionedDot, next_rz);
    }

    void direct(const std::vector<double>& beta) {
        pass("relax_segments (direction)", detail::RelaxDirectBody<T, false>{planes_, static_cast<T>(beta[0])});
    }

    void keep(std::size_t, double alpha) {
        if (!saved_) {
            saved_ = std::make_unique<Workspace<T>>(context_, static_cast<std::size_t>(size()));
        }
        backend_.pass("relax_segments (keep)",
                      detail::KeepBody<T>{planes_.x, planes_.p, static_cast<T>(alpha), saved_->data(), planes_.n}, 0,
                      planes_.n_layers);
    }

    void restore(std::size_t) { backend_.copy(saved_->data(), planes_.x, size()); }

private:
    std::ptrdiff_t size() const { return planes_.n_layers * planes_.n; }

    template <class Body>
    void pass(const char* name, const Body& body) const {
        backend_.pass(name, body, 0, 1);
    }

    // The sum of a pass; waits for it.
    template <class Body>
    double sum(const char* name, const Body& body, int slot) {
        backend_.sum(name, body, slot);
        backend_.read();
        std::vector<double> value(1);
        backend_.get(slot, value);
        return value[0];
    }

    const Context& context_;
    const SymmetricOperator<T>& laplacian_;
    CudaBackend backend_;
    Workspace<T> vectors_;
    Workspace<T> pixels_;
    std::unique_ptr<Workspace<T>> saved_;
    detail::RelaxPlanes<T> planes_;
};

}  // namespace

template <class T>
std::vector<SolverInfo> relax_segments(const Context& context, View<const T, 3> segments,
                                       const SymmetricOperator<T>& laplacian, View<const T, 2> gradient,
                                       const RelaxParams& params, View<T, 3> before_final_solve, View<T, 3> result,
                                       Monitor& monitor) {
    detail::check_relax(segments, laplacian.n, gradient, result);
    RelaxSystem<T> system(context, laplacian, segments.extent(2), static_cast<T>(params.sum_weight));
    system.set_target(segments, gradient, params);
    const auto info = detail::relax_loop<T>(system, params, monitor, [&] {
        if (before_final_solve.data() != nullptr) {
            system.write(before_final_solve);
        }
    });
    system.write(result);
    monitor.report(1.0);
    return info;
}

template std::vector<SolverInfo> relax_segments(const Context&, View<const float, 3>, const SymmetricOperator<float>&,
                                                View<const float, 2>, const RelaxParams&, View<float, 3>,
                                                View<float, 3>, Monitor&);
template std::vector<SolverInfo> relax_segments(const Context&, View<const double, 3>, const SymmetricOperator<double>&,
                                                View<const double, 2>, const RelaxParams&, View<double, 3>,
                                                View<double, 3>, Monitor&);

}  // namespace fastsoft::cuda
