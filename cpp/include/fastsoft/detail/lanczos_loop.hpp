// SPDX-License-Identifier: MIT
#pragma once

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <vector>

#include "fastsoft/core/monitor.hpp"
#include "fastsoft/core/solver_info.hpp"

// The thick-restart block Lanczos iteration, over a Tall that knows where long vectors live (TallCpu, TallCuda) and an
// Apply that multiplies a block by a symmetric operator B. Nothing here names a device.
namespace fastsoft::detail {

using SmallMatrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

// How eigenvalues theta of B map to wanted ones: ascending order of `value` is the order of preference.
struct Target {
    enum class Map {
        kInverse,   // B = (A - shift)^-1: value = shift + 1 / theta
        kNegative,  // B = shift - A: value = shift - theta
        kFilter     // B = p(A), p within -1..1 for unwanted eigenvalues, above 1 and falling for wanted ones
    };
    Map map = Map::kInverse;
    double shift = 0.0;
    double scale = 1.0;             // lambda_max, to which residuals of A are relative
    std::ptrdiff_t n_negative = 0;  // kInverse: exact number of negative theta
    double spread = 1.0;            // kFilter: bound on the distance of any two eigenvalues of A, relative to scale
    // kFilter: give up after so many restarts while wanted theta are not above 1: there are too few such eigenvalues.
    int patience = std::numeric_limits<int>::max();

    // Orders eigenvalues as those of A are ordered; for kFilter it is not one of them.
    double value(double theta) const {
        return map == Map::kInverse ? shift + 1.0 / theta : (map == Map::kNegative ? shift - theta : -theta);
    }

    // Bound on ||A v - value v|| / scale from the residual of B.
    // kInverse: A - shift = B^-1, so r_A = -(A - shift) r_B / theta.
    // kFilter: with p(lambda) = theta, |p(mu) - theta| >= theta - 1 for every unwanted mu, |mu - lambda| <= spread.
    double relative_residual(double theta, double residual) const {
        switch (map) {
            case Map::kInverse:
                return residual / std::max(std::abs(theta), std::numeric_limits<double>::min());
            case Map::kNegative:
                return residual / scale;
            default:
                return theta > 1.0 ? spread * residual / (theta - 1.0) : std::numeric_limits<double>::infinity();
        }
    }

    bool too_few(double theta) const { return map == Map::kFilter && theta <= 1.0; }
};

template <class T, class Tall, class Apply>
class BlockLanczos {
public:
    // basis: (n_basis + block, n).
    BlockLanczos(const Tall& tall, T* basis, std::ptrdiff_t n, std::ptrdiff_t k, std::ptrdiff_t block,
                 std::ptrdiff_t n_basis, std::uint64_t seed, const Target& target, Apply& apply)
        : tall_(tall),
          v_(basis),
          n_(n),
          k_(k),
          b_(block),
          capacity_(n_basis),
          seed_(seed),
          target_(target),
          apply_(apply) {
        h_ = SmallMatrix::Zero(capacity_ + b_, capacity_ + b_);
    }

    // Afterwards the first k rows of the basis are the Ritz vectors, by ascending value.
    SolverInfo run(double tolerance, int max_restarts, Monitor& monitor) {
        SolverInfo info;
        tall_.fill_normal(v_, b_, n_, seed_, stream_);
        stream_ += static_cast<std::uint64_t>(b_);
        orthonormalise(0);
        std::ptrdiff_t m = 0;  // columns of h_ that are filled
        for (int restart = 0;;) {
            apply_(row(m), row(m + b_), b_);
            ++info.iterations;
            const SmallMatrix next = extend(m);
            m += b_;
            if (m >= k_ && (m + b_ > capacity_ || m >= next_check_)) {
                const std::ptrdiff_t n_converged = check(m, next, tolerance, info.residual);
                monitor.report(static_cast<double>(n_converged) / static_cast<double>(k_ + 1));
                info.converged = n_converged == k_;
                if (info.converged || (m + b_ > capacity_ && (restart == max_restarts || given_up(restart)))) {
                    tall_.rotate(v_, m, n_, wanted(k_).data(), k_);
                    return info;
                }
                next_check_ = m + b_;
            } else {
                monitor.report(0.0);
            }
            if (m + b_ > capacity_) {
                m = thick_restart(m);
                next_check_ = 0;
                ++restart;
            }
        }
    }

    // The eigenvalues of B found are not those wanted: fewer than k lie above 1.
    bool has_too_few() const { return target_.too_few(theta_[order_[static_cast<std::size_t>(k_ - 1)]]); }

    // Smallest eigenvalue of B on the space searched last.
    double lowest_theta() const { return theta_[0]; }

private:
    bool given_up(int restart) const { return restart >= target_.patience && has_too_few(); }

    T* row(std::ptrdiff_t i) const { return v_ + i * n_; }

    // Orthogonalises the new block at rows m + b against all before it, twice (classical Gram-Schmidt: "twice is
    // enough"), and fills columns m..m+b of h_. Returns A with (new block before normalisation) = A (new block).
    // In exact arithmetic B couples a block only with itself and the one before, save for the first block after a
    // restart, so that the first of the two passes may leave out all others: what they have is rounding.
    SmallMatrix extend(std::ptrdiff_t m) {
        const std::ptrdiff_t filled = m + b_;
        SmallMatrix first(filled, b_);
        SmallMatrix second(filled, b_);
        T* const w = row(filled);
        if (m == restarted_at_) {
            tall_.project(v_, filled, w, b_, n_, first.data());
            tall_.project_out(v_, filled, w, b_, n_, first.data(), second.data());
        } else {
            const std::ptrdiff_t near = filled - std::min(filled, 2 * b_);
            first.topRows(near).setZero();
            tall_.project(row(near), filled - near, w, b_, n_, first.row(near).data());
            tall_.project_out(row(near), filled - near, w, b_, n_, first.row(near).data(), nullptr);
            tall_.project(v_, filled, w, b_, n_, second.data());
        }
        tall_.project_out(v_, filled, w, b_, n_, second.data(), nullptr);
        first += second;
        h_.block(0, m, filled, b_) = first;
        h_.block(m, 0, b_, m) = first.topRows(m).transpose();
        const SmallMatrix own = h_.block(m, m, b_, b_);
        h_.block(m, m, b_, b_) = 0.5 * (own + own.transpose());
        const double norm = first.norm();
        largest_ = std::max(largest_, norm);
        return orthonormalise(filled);
    }

    // Makes rows at..at+b orthonormal; they are orthogonal to the rows before. Directions that vanish (an invariant
    // subspace has been exhausted) are replaced by random ones, which is also how further copies of a multiple
    // eigenvalue are found. Returns A with (rows before) = A (rows after), replaced directions having zero columns.
    SmallMatrix orthonormalise(std::ptrdiff_t at) {
        SmallMatrix total = SmallMatrix::Identity(b_, b_);
        T* const w = row(at);
        for (int pass = 0; pass < 5; ++pass) {
            SmallMatrix gram(b_, b_);
            tall_.gram(w, b_, n_, gram.data());
            const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> eig(gram);
            const Eigen::VectorXd lengths = eig.eigenvalues().cwiseMax(0.0).cwiseSqrt();
            // Squaring the block leaves shares below sqrt(eps) as noise; shares below eps of what the operator returned
            // are what rounding left of a vector that was in the basis already.
            const double threshold = std::max(64.0 * std::numeric_limits<T>::epsilon() * (pass == 0 ? largest_ : 0.0),
                                              1e-7 * lengths.maxCoeff());
            Eigen::VectorXd inverse = Eigen::VectorXd::Zero(b_);
            Eigen::VectorXd kept = Eigen::VectorXd::Zero(b_);
            std::ptrdiff_t n_lost = 0;  // ascending eigenvalues: the lost directions come first
            for (std::ptrdiff_t i = 0; i < b_; ++i) {
                if (lengths[i] > threshold) {
                    kept[i] = lengths[i];
                    inverse[i] = 1.0 / lengths[i];
                } else {
                    ++n_lost;
                }
            }
            const SmallMatrix shrink = inverse.asDiagonal() * eig.eigenvectors().transpose();
            tall_.transform(w, b_, n_, shrink.data());
            total = total * (eig.eigenvectors() * kept.asDiagonal()).eval();
            if (n_lost > 0) {
                fill_orthogonal(w, n_lost, at);
            } else if (pass > 0) {
                break;
            }
        }
        return total;
    }

    // count random vectors orthogonal to the first `before` rows.
    void fill_orthogonal(T* w, std::ptrdiff_t count, std::ptrdiff_t before) {
        tall_.fill_normal(w, count, n_, seed_, stream_);
        stream_ += static_cast<std::uint64_t>(count);
        if (before > 0) {
            SmallMatrix first(before, count);
            SmallMatrix second(before, count);
            tall_.project(v_, before, w, count, n_, first.data());
            tall_.project_out(v_, before, w, count, n_, first.data(), second.data());
            tall_.project_out(v_, before, w, count, n_, second.data(), nullptr);
        }
    }

    // Ritz pairs of the first m columns; how many of the k wanted ones have converged.
    std::ptrdiff_t check(std::ptrdiff_t m, const SmallMatrix& next, double tolerance, double& worst) {
        const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> eig(h_.topLeftCorner(m, m));
        theta_ = eig.eigenvalues();
        vectors_ = eig.eigenvectors();
        const SmallMatrix last = next.transpose() * vectors_.bottomRows(b_);
        const auto preference = [&](std::ptrdiff_t i) {
            // theta = 0 would be an eigenvalue at infinity.
            return theta_[i] == 0.0 ? std::numeric_limits<double>::max() : target_.value(theta_[i]);
        };
        order_.resize(static_cast<std::size_t>(m));
        std::iota(order_.begin(), order_.end(), std::ptrdiff_t{0});
        std::stable_sort(order_.begin(), order_.end(),
                         [&](std::ptrdiff_t a, std::ptrdiff_t b) { return preference(a) < preference(b); });
        const std::ptrdiff_t n_negative = std::count_if(theta_.begin(), theta_.end(), [](double t) { return t < 0.0; });
        std::ptrdiff_t n_converged = 0;
        worst = 0.0;
        for (std::ptrdiff_t i = 0; i < k_; ++i) {
            const std::ptrdiff_t j = order_[static_cast<std::size_t>(i)];
            const double residual = target_.relative_residual(theta_[j], last.col(j).norm());
            worst = std::max(worst, residual);
            n_converged += residual <= tolerance ? 1 : 0;
        }
        // Inertia says how many eigenvalues lie below the shift: with fewer found, some are still missing.
        if (target_.map == Target::Map::kInverse && n_negative < std::min(target_.n_negative, k_)) {
            n_converged = std::min(n_converged, k_ - 1);
        }
        return n_converged;
    }

    // Columns of the small eigenvectors that are wanted most, (m, count).
    SmallMatrix wanted(std::ptrdiff_t count) const {
        SmallMatrix q(vectors_.rows(), count);
        for (std::ptrdiff_t i = 0; i < count; ++i) {
            q.col(i) = vectors_.col(order_[static_cast<std::size_t>(i)]);
        }
        return q;
    }

    // Keeps the wanted Ritz vectors and some more, and the block that comes next, whose coupling with them extend()
    // finds by projection.
    std::ptrdiff_t thick_restart(std::ptrdiff_t m) {
        std::ptrdiff_t keep = k_ + std::max<std::ptrdiff_t>((m - k_) / 3, 1);
        keep = std::min(keep, m - b_);
        const SmallMatrix q = wanted(keep);
        tall_.rotate(v_, m, n_, q.data(), keep);
        tall_.copy(row(m), b_ * n_, row(keep));
        restarted_at_ = keep;
        h_.setZero();
        for (std::ptrdiff_t i = 0; i < keep; ++i) {
            h_(i, i) = theta_[order_[static_cast<std::size_t>(i)]];
        }
        return keep;
    }

    const Tall& tall_;
    T* v_;
    std::ptrdiff_t n_;
    std::ptrdiff_t k_;
    std::ptrdiff_t b_;
    std::ptrdiff_t capacity_;
    std::uint64_t seed_;
    std::uint64_t stream_ = 0;
    Target target_;
    Apply& apply_;
    SmallMatrix h_;
    double largest_ = 0.0;
    std::ptrdiff_t restarted_at_ = 0;  // index of the block whose product couples it with all before
    std::ptrdiff_t next_check_ = 0;
    Eigen::VectorXd theta_;
    Eigen::MatrixXd vectors_;
    std::vector<std::ptrdiff_t> order_;
};

}  // namespace fastsoft::detail
