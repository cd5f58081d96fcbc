// SPDX-License-Identifier: MIT
#include "fastsoft/pcg.hpp"

#include <cmath>
#include <cstddef>
#include <memory>

#include "fastsoft/cuda/backend_cuda.cuh"
#include "fastsoft/cuda/symmetric_operator.hpp"
#include "fastsoft/cuda/workspace.cuh"
#include "fastsoft/detail/pcg_block.hpp"
#include "fastsoft/detail/pcg_loop.hpp"

namespace fastsoft::cuda {
namespace {

// The vectors of the iteration; see detail/pcg_loop.hpp. As on the CPU, M r is formed twice instead of stored, unless a
// function makes it.
template <class T>
class PcgSystem {
public:
    PcgSystem(const Context& context, const SymmetricOperator<T>& a, const T* b, T* x, std::ptrdiff_t n_vectors,
              const Preconditioner<T>& m)
        : context_(context),
          a_(a),
          b_(b),
          x_(x),
          n_vectors_(n_vectors),
          m_(m),
          backend_(context, a.n, n_vectors),
          own_r_(context, m.residuals == nullptr ? size() : 0),
          p_(context, size()),
          q_(context, size()),
          own_z_(context, m.function && m.preconditioned == nullptr ? size() : 0),
          r_(m.residuals == nullptr ? own_r_.data() : m.residuals),
          z_(m.preconditioned == nullptr ? own_z_.data() : m.preconditioned) {}

    std::size_t n_columns() const { return static_cast<std::size_t>(n_vectors_); }

    // Norms of the right-hand sides; where one is 0, so is the first iterate.
    std::vector<double> start_norms() {
        backend_.sum("pcg (norm)", detail::DotBody<T>{b_, b_, a_.n}, detail::kResidualSquare);
        backend_.read();
        std::vector<double> norms(n_columns());
        backend_.get(detail::kResidualSquare, norms);
        for (std::size_t c = 0; c < norms.size(); ++c) {
            norms[c] = std::sqrt(norms[c]);
            if (norms[c] == 0.0) {
                fill_bytes(context_, x_ + static_cast<std::ptrdiff_t>(c) * a_.n, 0, a_.n);
            }
        }
        return norms;
    }

    void residual(std::vector<double>& rr) {
        operator_apply(context_, a_, x_, r_, n_vectors_);
        backend_.sum("pcg (residual)", detail::PcgResidualBody<T>{b_, r_, a_.n}, detail::kResidualSquare);
        backend_.read();
        backend_.get(detail::kResidualSquare, rr);
    }

    void start(std::vector<double>& rz) {
        precondition();
        backend_.sum("pcg (start)", detail::PcgStartBody<T>{r_, preconditioned(), m_.inverse_diagonal, p_.data(), a_.n},
                     detail::kPreconditionedDot);
        backend_.read();
        backend_.get(detail::kPreconditionedDot, rz);
    }

    void step(const std::vector<char>& active, const std::vector<double>&, std::vector<double>& alpha,
              std::vector<double>& next_rz, std::vector<double>& rr) {
        operator_apply(context_, a_, p_.data(), q_.data(), n_vectors_);
        backend_.step_lengths("pcg (step length)", detail::DotBody<T>{p_.data(), q_.data(), a_.n}, active);
        backend_.sum(
            "pcg (advance)",
            detail::PcgAdvanceBody<T>{x_, r_, p_.data(), q_.data(), m_.inverse_diagonal, backend_.numbers(), a_.n},
            detail::kResidualSquare);
        if (m_.function) {
            precondition();
            backend_.sum("pcg (preconditioner)", detail::DotBody<T>{r_, z_, a_.n}, detail::kPreconditionedDot);
        }
        backend_.read();
        backend_.get(detail::kStepLength, alpha);
        backend_.get(detail::kResidualSquare, rr);
        backend_.get(detail::kPreconditionedDot, next_rz);
    }

    void direct(const std::vector<double>& beta) {
        backend_.for_groups([&](std::ptrdiff_t first, std::ptrdiff_t count) {
            detail::PcgDirectBody<T> body{
                preconditioned() + first * a_.n, m_.inverse_diagonal, p_.data() + first * a_.n, a_.n, {}};
            for (std::ptrdiff_t c = 0; c < count; ++c) {
                body.beta[c] = static_cast<T>(beta[static_cast<std::size_t>(first + c)]);
            }
            backend_.pass("pcg (direction)", body, first, count);
        });
    }

    void keep(std::size_t c, double alpha) {
        if (!saved_) {
            saved_ = std::make_unique<Workspace<T>>(context_, size());
        }
        const std::ptrdiff_t at = static_cast<std::ptrdiff_t>(c) * a_.n;
        backend_.pass("pcg (keep)",
                      detail::KeepBody<T>{x_ + at, p_.data() + at, static_cast<T>(alpha), saved_->data() + at, a_.n}, 0,
                      1);
    }

    void restore(std::size_t c) {
        const std::ptrdiff_t at = static_cast<std::ptrdiff_t>(c) * a_.n;
        backend_.copy(saved_->data() + at, x_ + at, a_.n);
    }

private:
    std::size_t size() const { return static_cast<std::size_t>(a_.n * n_vectors_); }

    const T* preconditioned() const { return m_.function ? z_ : r_; }

    void precondition() {
        if (m_.function) {
            m_.function(r_, z_, n_vectors_);
        }
    }

    const Context& context_;
    const SymmetricOperator<T>& a_;
    const T* b_;
    T* x_;
    std::ptrdiff_t n_vectors_;
    const Preconditioner<T>& m_;
    CudaBackend backend_;
    Workspace<T> own_r_, p_, q_, own_z_;
    T* r_;
    T* z_;
    std::unique_ptr<Workspace<T>> saved_;
};

}  // namespace

template <class T>
std::vector<SolverInfo> pcg(const Context& context, const SymmetricOperator<T>& a, const T* b, T* x,
                            std::ptrdiff_t n_vectors, const Preconditioner<T>& preconditioner, const PcgParams& params,
                            Monitor& monitor) {
    PcgSystem<T> system(context, a, b, x, n_vectors, preconditioner);
    const std::vector<double> norm_b = system.start_norms();
    return detail::pcg_loop(system, norm_b, params, monitor);
}

template std::vector<SolverInfo> pcg(const Context&, const SymmetricOperator<float>&, const float*, float*,
                                     std::ptrdiff_t, const Preconditioner<float>&, const PcgParams&, Monitor&);
template std::vector<SolverInfo> pcg(const Context&, const SymmetricOperator<double>&, const double*, double*,
                                     std::ptrdiff_t, const Preconditioner<double>&, const PcgParams&, Monitor&);

}  // namespace fastsoft::cuda
