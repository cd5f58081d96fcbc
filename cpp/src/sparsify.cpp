// SPDX-License-Identifier: MIT
#include "fastsoft/sparsify.hpp"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <limits>

#include "fastsoft/core/error.hpp"
#include "fastsoft/core/parallel.hpp"
#include "fastsoft/detail/outer_products.hpp"
#include "fastsoft/detail/sparsify_pixel.hpp"

namespace fastsoft {
namespace {

// Pixels are taken in chunks; a task owns a row of consecutive chunks and a partial sum of every matrix. There
// are at most kMaxTasks of them (a partial sum takes 3 MB for 40 segments and 100 eigenvectors) and their number
// depends on the input only, as the order of all sums must.
constexpr std::ptrdiff_t kChunk = 2048;
constexpr std::ptrdiff_t kMaxTasks = 16;
// Pixels whose outer products are added at once; their scaled eigenvectors stay in the second-level cache.
constexpr std::ptrdiff_t kBlock = 256;

using Eigen::Index;
using MatrixXd = Eigen::MatrixXd;
using VectorXd = Eigen::VectorXd;

template <class T>
using MatrixX = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic>;
template <class T>
using RowMatrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
// A range of pixels of planar vectors: one column per vector.
template <class T>
using PlanarMap = Eigen::Map<const MatrixX<T>, Eigen::Unaligned, Eigen::OuterStride<>>;

MatrixXd inverse_of_symmetric(const MatrixXd& matrix) {
    const MatrixXd identity = MatrixXd::Identity(matrix.rows(), matrix.cols());
    const Eigen::LLT<MatrixXd> cholesky(matrix);
    if (cholesky.info() == Eigen::Success) {
        return cholesky.solve(identity);
    }
    // A negative eigenvalue of the Laplacian that the weights do not outweigh, or fewer pixels than eigenvectors.
    return matrix.fullPivLu().solve(identity);
}

template <class T>
class Sparsifier {
public:
    Sparsifier(const SparsifyInput<T>& input, const SparsifyParams& params, Monitor& monitor)
        : in_(input),
          params_(params),
          monitor_(monitor),
          k_(input.n_eigenvectors),
          length_(detail::padded_length<T>(k_)),
          n_segments_(input.n_segments),
          lambda_(Eigen::Map<const VectorXd>(input.eigenvalues, k_)),
          constant_(Eigen::Map<const VectorXd>(input.constant, k_)) {
        const std::ptrdiff_t n_chunks = (in_.n_pixels + kChunk - 1) / kChunk;
        chunks_per_task_ = (n_chunks + kMaxTasks - 1) / kMaxTasks;
        partial_.resize(static_cast<std::size_t>((n_chunks + chunks_per_task_ - 1) / chunks_per_task_));
        for (std::ptrdiff_t segment = 0; segment < n_segments_; ++segment) {
            kept_.push_back(segment);
        }
    }

    SparsifyOutcome run() {
        if (flat()) {
            make_gram();
        }
        SparsifyOutcome outcome;
        for (int iteration = 1; iteration <= params_.n_iterations; ++iteration) {
            outcome.counts.push_back(static_cast<std::int32_t>(n_segments_));
            set_weights();
            accumulate(iteration);
            if (params_.method == SparsifyMethod::compat) {
                solve_for_remainder();
            } else {
                solve_alike();
            }
            started_ = true;
            if (std::binary_search(params_.prune_after.begin(), params_.prune_after.end(), iteration)) {
                prune();
            }
            monitor_.report(static_cast<double>(iteration) / params_.n_iterations);
        }
        outcome.n_segments = n_segments_;
        outcome.coefficients.assign(coefficients_.data(), coefficients_.data() + coefficients_.size());
        outcome.offsets.assign(offsets_.data(), offsets_.data() + offsets_.size());
        outcome.kept = kept_;
        return outcome;
    }

private:
    struct Partial {
        MatrixXd right;                      // column per segment: E'(e1 - (e0 + e1) offset), or E' e1
        VectorXd last;                       // compat: E' e0_K
        std::vector<RowMatrix<T>> matrices;  // lower triangles, (length_, length_)
    };

    bool flat() const { return params_.method == SparsifyMethod::stable; }

    void set_weights() {
        clamp_ = static_cast<T>(params_.clamp);
        exponent_ = static_cast<T>(params_.gamma - 2.0);
        factor_ = static_cast<T>(std::pow(0.3, params_.gamma));
        peak_ = factor_ * positive_pow(clamp_, exponent_);
        // What the unknowns are added to: the segments sum to 1 when the coefficients sum to 0.
        offset_ = flat() ? T(1) / static_cast<T>(n_segments_) : T(0);
    }

    // Calls body(task, begin, end) for every chunk, in rounds of one chunk per task.
    template <class Body>
    void for_each_chunk(double from, double to, Body&& body) {
        const auto n_tasks = static_cast<std::ptrdiff_t>(partial_.size());
        for (std::ptrdiff_t round = 0; round < chunks_per_task_; ++round) {
            parallel_for(n_tasks, 1, [&](std::ptrdiff_t task, std::ptrdiff_t) {
                const std::ptrdiff_t begin = (task * chunks_per_task_ + round) * kChunk;
                if (begin < in_.n_pixels) {
                    body(partial_[static_cast<std::size_t>(task)], begin, std::min(in_.n_pixels, begin + kChunk));
                }
            });
            if (chunks_per_task_ > 1) {
                monitor_.report(from +
                                (to - from) * static_cast<double>(round + 1) / static_cast<double>(chunks_per_task_));
            }
        }
    }

    PlanarMap<T> eigenvectors(std::ptrdiff_t begin, std::ptrdiff_t end) const {
        return PlanarMap<T>(in_.eigenvectors + begin, end - begin, k_, Eigen::OuterStride<>(in_.n_pixels));
    }

    // alpha of all segments on a range of pixels, a column per segment.
    MatrixX<T> segments(std::ptrdiff_t begin, std::ptrdiff_t end) const {
        if (started_) {
            MatrixX<T> alpha = eigenvectors(begin, end) * coefficients_.template cast<T>();
            alpha.rowwise() += offsets_.transpose().template cast<T>();
            return alpha;
        }
        if (in_.start != nullptr) {
            return PlanarMap<T>(in_.start + begin, end - begin, n_segments_, Eigen::OuterStride<>(in_.n_pixels));
        }
        MatrixX<T> alpha = MatrixX<T>::Zero(end - begin, n_segments_);
        for (std::ptrdiff_t p = begin; p < end; ++p) {
            alpha(p - begin, in_.labels[p]) = T(1);
        }
        return alpha;
    }

    // A pixel per row, padded with zeros.
    RowMatrix<T> pixel_rows(std::ptrdiff_t begin, std::ptrdiff_t end) const {
        RowMatrix<T> rows = RowMatrix<T>::Zero(end - begin, length_);
        rows.leftCols(k_) = eigenvectors(begin, end);
        return rows;
    }

    // target += sign * sum of amounts_i e_i e_i', e_i = rows[indices_i], lower triangle; amounts are >= 0.
    void add_outer_products(const RowMatrix<T>& rows, const std::vector<std::ptrdiff_t>& indices,
                            const std::vector<T>& amounts, T sign, RowMatrix<T>& target) const {
        const auto count = static_cast<std::ptrdiff_t>(indices.size());
        RowMatrix<T> scaled(std::min(kBlock, count), length_);
        for (std::ptrdiff_t first = 0; first < count; first += kBlock) {
            const std::ptrdiff_t n = std::min(kBlock, count - first);
            for (std::ptrdiff_t i = 0; i < n; ++i) {
                const auto at = static_cast<std::size_t>(first + i);
                scaled.row(i) = std::sqrt(amounts[at]) * rows.row(indices[at]);
            }
            detail::add_outer_products(scaled.data(), length_, n, sign, target.data());
        }
    }

    // E' diag(weights) E, once: the part of every A_k that does not depend on the segment.
    void make_gram() {
        for (Partial& part : partial_) {
            part.matrices.assign(1, RowMatrix<T>::Zero(length_, length_));
        }
        for_each_chunk(0.0, 0.0, [&](Partial& part, std::ptrdiff_t begin, std::ptrdiff_t end) {
            std::vector<std::ptrdiff_t> indices;
            std::vector<T> amounts;
            for (std::ptrdiff_t p = begin; p < end; ++p) {
                indices.push_back(p - begin);
                amounts.push_back(in_.weights != nullptr ? in_.weights[p] : T(1));
            }
            add_outer_products(pixel_rows(begin, end), indices, amounts, T(1), part.matrices[0]);
        });
        gram_ = MatrixXd::Zero(k_, k_);
        for (const Partial& part : partial_) {
            gram_ += part.matrices[0].topLeftCorner(k_, k_).template cast<double>();
        }
    }

    // Right-hand sides and the sums over pixels of A_k, for the present weights.
    void accumulate(int iteration) {
        for (Partial& part : partial_) {
            part.right = MatrixXd::Zero(k_, n_segments_);
            part.last = VectorXd::Zero(k_);
            part.matrices.resize(static_cast<std::size_t>(n_segments_));
            for (RowMatrix<T>& matrix : part.matrices) {
                matrix.setZero(length_, length_);
            }
        }
        const double from = static_cast<double>(iteration - 1) / params_.n_iterations;
        const double to = static_cast<double>(iteration) / params_.n_iterations;
        for_each_chunk(from, to, [&](Partial& part, std::ptrdiff_t begin, std::ptrdiff_t end) {
            const std::ptrdiff_t n = end - begin;
            MatrixX<T> right = segments(begin, end);
            const RowMatrix<T> rows = pixel_rows(begin, end);
            MatrixX<T> last;
            std::vector<T> total(static_cast<std::size_t>(n));
            std::vector<std::ptrdiff_t> indices(static_cast<std::size_t>(n));
            std::vector<T> amounts(static_cast<std::size_t>(n));
            for (std::ptrdiff_t segment = 0; segment < n_segments_; ++segment) {
                T* const values = right.col(segment).data();
                if (!flat() && segment == n_segments_ - 1) {
                    last.resize(n, 1);
                }
                weigh(begin, n, values, total.data(), last.data());
                indices.resize(static_cast<std::size_t>(n));
                amounts.resize(static_cast<std::size_t>(n));
                std::size_t count = 0;
                for (std::ptrdiff_t p = 0; p < n; ++p) {
                    // Without a branch: which pixels are active cannot be predicted.
                    const T amount = total[static_cast<std::size_t>(p)];
                    indices[count] = p;
                    amounts[count] = amount;
                    count += amount > T(0) ? 1 : 0;
                }
                indices.resize(count);
                amounts.resize(count);
                add_outer_products(rows, indices, amounts, flat() ? T(-1) : T(1),
                                   part.matrices[static_cast<std::size_t>(segment)]);
            }
            const MatrixX<T> products = eigenvectors(begin, end).transpose() * right;
            part.right += products.template cast<double>();
            if (last.size() > 0) {
                const MatrixX<T> product = eigenvectors(begin, end).transpose() * last;
                part.last += product.col(0).template cast<double>();
            }
        });
    }

    // Replaces alpha by the factor of e_p in the right-hand side; total is that of e_p e_p' in A_k (compat) or what is
    // missing there to the constant (stable). All times the weight of the pixel.
    void weigh(std::ptrdiff_t begin, std::ptrdiff_t n, T* values, T* total, T* last) const {
        const T* const weights = in_.weights != nullptr ? in_.weights + begin : nullptr;
        if (flat()) {
            const T ceiling = peak_ + factor_;
#pragma GCC ivdep
            for (std::ptrdiff_t p = 0; p < n; ++p) {
                const auto e = detail::flat_weights(values[p], clamp_, exponent_, factor_, peak_);
                const T missing = ceiling - (e.e0 + e.e1);
                total[p] = missing > T(0) ? missing : T(0);
                values[p] = e.e1 - (e.e0 + e.e1) * offset_;
            }
        } else {
#pragma GCC ivdep
            for (std::ptrdiff_t p = 0; p < n; ++p) {
                const auto e = detail::clamped_weights(values[p], clamp_, exponent_, factor_);
                total[p] = e.e0 + e.e1;
                values[p] = e.e1;
                if (last != nullptr) {
                    last[p] = e.e0;
                }
            }
        }
        if (weights != nullptr) {
            for (std::ptrdiff_t p = 0; p < n; ++p) {
                total[p] *= weights[p];
                values[p] *= weights[p];
                if (last != nullptr) {
                    last[p] *= weights[p];
                }
            }
        }
    }

    // A_k as a whole matrix.
    MatrixXd matrix(std::ptrdiff_t segment) const {
        MatrixXd sum = flat() ? MatrixXd(static_cast<double>(peak_ + factor_) * gram_) : MatrixXd::Zero(k_, k_);
        for (const Partial& part : partial_) {
            sum += part.matrices[static_cast<std::size_t>(segment)].topLeftCorner(k_, k_).template cast<double>();
        }
        MatrixXd whole = sum.selfadjointView<Eigen::Lower>();
        whole.diagonal() += lambda_;
        return whole;
    }

    MatrixXd right_hand_sides() const {
        MatrixXd sum = MatrixXd::Zero(k_, n_segments_);
        for (const Partial& part : partial_) {
            sum += part.right;
        }
        return sum;
    }

    std::vector<MatrixXd> inverses(std::ptrdiff_t count) const {
        std::vector<MatrixXd> result(static_cast<std::size_t>(count));
        parallel_for(count, 1, [&](std::ptrdiff_t segment, std::ptrdiff_t) {
            result[static_cast<std::size_t>(segment)] = inverse_of_symmetric(matrix(segment));
        });
        return result;
    }

    // stable: A_k c_k + m = b_k, sum c_k = 0.
    void solve_alike() {
        const MatrixXd right =
            right_hand_sides().colwise() - lambda_.cwiseProduct(constant_) / static_cast<double>(n_segments_);
        const std::vector<MatrixXd> inverse = inverses(n_segments_);
        MatrixXd sum = MatrixXd::Zero(k_, k_);
        VectorXd wanted = VectorXd::Zero(k_);
        for (std::ptrdiff_t segment = 0; segment < n_segments_; ++segment) {
            sum += inverse[static_cast<std::size_t>(segment)];
            wanted += inverse[static_cast<std::size_t>(segment)] * right.col(segment);
        }
        const VectorXd multiplier = sum.ldlt().solve(wanted);
        coefficients_.resize(k_, n_segments_);
        for (std::ptrdiff_t segment = 0; segment < n_segments_; ++segment) {
            coefficients_.col(segment) = inverse[static_cast<std::size_t>(segment)] * (right.col(segment) - multiplier);
        }
        offsets_ = VectorXd::Constant(n_segments_, 1.0 / static_cast<double>(n_segments_));
    }

    // compat: the last segment is 1 minus the others.
    void solve_for_remainder() {
        const std::ptrdiff_t n_free = n_segments_ - 1;
        VectorXd common = lambda_.cwiseProduct(constant_);
        for (const Partial& part : partial_) {
            common += part.last;
        }
        const MatrixXd right = right_hand_sides().leftCols(n_free).colwise() + common;
        const std::vector<MatrixXd> inverse = inverses(n_free);
        MatrixXd sum = MatrixXd::Zero(k_, k_);
        VectorXd wanted = VectorXd::Zero(k_);
        for (std::ptrdiff_t segment = 0; segment < n_free; ++segment) {
            sum += inverse[static_cast<std::size_t>(segment)];
            wanted += inverse[static_cast<std::size_t>(segment)] * right.col(segment);
        }
        const MatrixXd last = matrix(n_free);
        const VectorXd total = (MatrixXd::Identity(k_, k_) + sum * last).partialPivLu().solve(wanted);
        const VectorXd coupling = last * total;
        coefficients_.resize(k_, n_segments_);
        for (std::ptrdiff_t segment = 0; segment < n_free; ++segment) {
            coefficients_.col(segment) = inverse[static_cast<std::size_t>(segment)] * (right.col(segment) - coupling);
        }
        coefficients_.col(n_free) = -total;
        offsets_ = VectorXd::Zero(n_segments_);
        offsets_[n_free] = 1.0;
    }

    void prune() {
        std::vector<VectorXd> partial(partial_.size(), VectorXd::Zero(n_segments_));
        for_each_chunk(0.0, 0.0, [&](Partial& part, std::ptrdiff_t begin, std::ptrdiff_t end) {
            VectorXd& largest = partial[static_cast<std::size_t>(&part - partial_.data())];
            const VectorXd here =
                segments(begin, end).cwiseAbs().colwise().maxCoeff().transpose().template cast<double>();
            largest = largest.cwiseMax(here);
        });
        VectorXd largest = VectorXd::Zero(n_segments_);
        for (const VectorXd& part : partial) {
            largest = largest.cwiseMax(part);
        }
        Index top = 0;
        largest.maxCoeff(&top);
        std::ptrdiff_t count = 0;
        for (std::ptrdiff_t segment = 0; segment < n_segments_; ++segment) {
            if (largest[segment] > params_.prune_threshold || segment == top) {
                coefficients_.col(count) = coefficients_.col(segment).eval();
                offsets_[count] = offsets_[segment];
                kept_[static_cast<std::size_t>(count)] = kept_[static_cast<std::size_t>(segment)];
                ++count;
            }
        }
        n_segments_ = count;
        coefficients_.conservativeResize(k_, count);
        offsets_.conservativeResize(count);
        kept_.resize(static_cast<std::size_t>(count));
    }

    const SparsifyInput<T>& in_;
    const SparsifyParams& params_;
    Monitor& monitor_;
    std::ptrdiff_t k_;
    std::ptrdiff_t length_;  // of a row of outer products, k_ and padding
    std::ptrdiff_t n_segments_;
    VectorXd lambda_;
    VectorXd constant_;
    std::ptrdiff_t chunks_per_task_ = 1;
    std::vector<Partial> partial_;
    MatrixXd gram_;
    bool started_ = false;  // from the second iteration on, segments are coefficients and offsets
    MatrixXd coefficients_;
    VectorXd offsets_;
    std::vector<std::ptrdiff_t> kept_;
    T clamp_{}, exponent_{}, factor_{}, peak_{}, offset_{};
};

}  // namespace

template <class T>
SparsifyOutcome sparsify_segments(const SparsifyInput<T>& input, const SparsifyParams& params, Monitor& monitor) {
    FASTSOFT_EXPECTS(input.n_pixels >= 1 && input.n_eigenvectors >= 1 && input.n_segments >= 1,
                     "sparsify_segments needs at least one pixel, eigenvector and segment");
    FASTSOFT_EXPECTS(params.n_iterations >= 1, "n_iterations must be at least 1, got ", params.n_iterations);
    if (input.labels != nullptr) {
        for (std::ptrdiff_t p = 0; p < input.n_pixels; ++p) {
            FASTSOFT_EXPECTS(input.labels[p] >= 0 && input.labels[p] < input.n_segments, "labels must lie in 0..",
                             input.n_segments - 1, ", got ", input.labels[p]);
        }
    }
    return Sparsifier<T>(input, params, monitor).run();
}

template <class T>
double combine_eigenvectors(View<const T, 2> eigenvectors, const double* coefficients, const double* offsets,
                            double gamma, View<T, 2> segments, Monitor& monitor) {
    const std::ptrdiff_t k = eigenvectors.extent(0);
    const std::ptrdiff_t n = eigenvectors.extent(1);
    const std::ptrdiff_t n_segments = segments.extent(1);
    FASTSOFT_EXPECTS(eigenvectors.is_contiguous(), "eigenvectors must be contiguous (k, N)");
    FASTSOFT_EXPECTS(segments.extent(0) == n, "segments must have ", n, " rows, got ", segments.extent(0));
    const MatrixX<T> weights = Eigen::Map<const MatrixXd>(coefficients, k, n_segments).cast<T>();
    const auto exponent = static_cast<T>(gamma);
    double sparsity = 0.0;
    // Rounds of some chunks each, for the monitor.
    constexpr std::ptrdiff_t kRound = 64 * kChunk;
    for (std::ptrdiff_t round = 0; round < n; round += kRound) {
        const std::ptrdiff_t n_here = std::min(kRound, n - round);
        sparsity += parallel_sum<double>(n_here, kChunk, [&](std::ptrdiff_t first, std::ptrdiff_t last) {
            const std::ptrdiff_t begin = round + first;
            const std::ptrdiff_t count = last - first;
            const PlanarMap<T> block(eigenvectors.data() + begin, count, k, Eigen::OuterStride<>(n));
            const MatrixX<T> alpha = block * weights;
            double sum = 0.0;
            for (std::ptrdiff_t s = 0; s < n_segments; ++s) {
                const auto offset = static_cast<T>(offsets[s]);
                const T* const values = alpha.col(s).data();
                T powers[kChunk];
#pragma GCC ivdep
                for (std::ptrdiff_t p = 0; p < count; ++p) {
                    const T value = values[p] + offset;
                    // The smallest normal number, whose power is 0 for every purpose, stands in for 0.
                    const T from0 = std::max(std::abs(value), std::numeric_limits<T>::min());
                    const T from1 = std::max(std::abs(T(1) - value), std::numeric_limits<T>::min());
                    powers[p] = positive_pow(from0, exponent) + positive_pow(from1, exponent);
                }
                for (std::ptrdiff_t p = 0; p < count; ++p) {
                    sum += static_cast<double>(powers[p]);
                }
            }
            for (std::ptrdiff_t p = 0; p < count; ++p) {
                for (std::ptrdiff_t s = 0; s < n_segments; ++s) {
                    segments(begin + p, s) = alpha(p, s) + static_cast<T>(offsets[s]);
                }
            }
            return sum;
        });
        monitor.report(static_cast<double>(round + n_here) / static_cast<double>(n));
    }
    return sparsity;
}

template SparsifyOutcome sparsify_segments(const SparsifyInput<float>&, const SparsifyParams&, Monitor&);
template SparsifyOutcome sparsify_segments(const SparsifyInput<double>&, const SparsifyParams&, Monitor&);
template double combine_eigenvectors(View<const float, 2>, const double*, const double*, double, View<float, 2>,
                                     Monitor&);
template double combine_eigenvectors(View<const double, 2>, const double*, const double*, double, View<double, 2>,
                                     Monitor&);

}  // namespace fastsoft
