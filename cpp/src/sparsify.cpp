// SPDX-License-Identifier: MIT
#include "fastsoft/sparsify.hpp"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>

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

// The sums on the CPU.
template <class T>
class CpuSums final : public SparsifySums<T> {
public:
    explicit CpuSums(const SparsifyInput<T>& input)
        : in_(input), k_(input.n_eigenvectors), length_(detail::padded_length<T>(k_)) {
        const std::ptrdiff_t n_chunks = (in_.n_pixels + kChunk - 1) / kChunk;
        chunks_per_task_ = (n_chunks + kMaxTasks - 1) / kMaxTasks;
        partial_.resize(static_cast<std::size_t>((n_chunks + chunks_per_task_ - 1) / chunks_per_task_));
    }

    void gram(double* sum, Monitor& monitor) override {
        for (Partial& part : partial_) {
            part.matrices.assign(1, RowMatrix<T>::Zero(length_, length_));
        }
        for_each_chunk(monitor, [&](Partial& part, std::ptrdiff_t begin, std::ptrdiff_t end) {
            std::vector<std::ptrdiff_t> indices;
            std::vector<T> amounts;
            for (std::ptrdiff_t p = begin; p < end; ++p) {
                indices.push_back(p - begin);
                amounts.push_back(in_.weights != nullptr ? in_.weights[p] : T(1));
            }
            add_outer_products(pixel_rows(begin, end), indices, amounts, T(1), part.matrices[0]);
        });
        Eigen::Map<MatrixXd>(sum, k_, k_).setZero();
        add_matrix(0, sum);
    }

    void form(const SparsityWeighting<T>& weighting, const SegmentCoefficients& segments, Monitor& monitor) override {
        const std::ptrdiff_t n_segments = segments.n_segments;
        for (Partial& part : partial_) {
            part.right = MatrixXd::Zero(k_, n_segments);
            part.last = VectorXd::Zero(k_);
            part.matrices.resize(static_cast<std::size_t>(n_segments));
            for (RowMatrix<T>& matrix : part.matrices) {
                matrix.setZero(length_, length_);
            }
        }
        for_each_chunk(monitor, [&](Partial& part, std::ptrdiff_t begin, std::ptrdiff_t end) {
            const std::ptrdiff_t n = end - begin;
            MatrixX<T> right = values(segments, begin, end);
            const RowMatrix<T> rows = pixel_rows(begin, end);
            MatrixX<T> last;
            std::vector<T> total(static_cast<std::size_t>(n));
            std::vector<std::ptrdiff_t> indices(static_cast<std::size_t>(n));
            std::vector<T> amounts(static_cast<std::size_t>(n));
            for (std::ptrdiff_t segment = 0; segment < n_segments; ++segment) {
                T* const alpha = right.col(segment).data();
                if (!weighting.flat && segment == n_segments - 1) {
                    last.resize(n, 1);
                }
                weigh(weighting, begin, n, alpha, total.data(), last.data());
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
                add_outer_products(rows, indices, amounts, weighting.flat ? T(-1) : T(1),
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

    void add_matrix(std::ptrdiff_t segment, double* sum) const override {
        Eigen::Map<MatrixXd> target(sum, k_, k_);
        for (const Partial& part : partial_) {
            target += part.matrices[static_cast<std::size_t>(segment)].topLeftCorner(k_, k_).template cast<double>();
        }
    }

    void add_right(double* sum) const override {
        for (const Partial& part : partial_) {
            Eigen::Map<MatrixXd>(sum, k_, part.right.cols()) += part.right;
        }
    }

    void add_last(double* sum) const override {
        for (const Partial& part : partial_) {
            Eigen::Map<VectorXd>(sum, k_) += part.last;
        }
    }

    void peaks(const SegmentCoefficients& segments, double* largest, Monitor& monitor) override {
        const std::ptrdiff_t n_segments = segments.n_segments;
        std::vector<VectorXd> partial(partial_.size(), VectorXd::Zero(n_segments));
        for_each_chunk(monitor, [&](Partial& part, std::ptrdiff_t begin, std::ptrdiff_t end) {
            VectorXd& here = partial[static_cast<std::size_t>(&part - partial_.data())];
            const VectorXd chunk =
                values(segments, begin, end).cwiseAbs().colwise().maxCoeff().transpose().template cast<double>();
            here = here.cwiseMax(chunk);
        });
        Eigen::Map<VectorXd> result(largest, n_segments);
        result.setZero();
        for (const VectorXd& part : partial) {
            result = result.cwiseMax(part);
        }
    }

private:
    struct Partial {
        MatrixXd right;                      // column per segment
        VectorXd last;                       // compat
        std::vector<RowMatrix<T>> matrices;  // lower triangles, (length_, length_)
    };

    // Calls body(task, begin, end) for every chunk, in rounds of one chunk per task.
    template <class Body>
    void for_each_chunk(Monitor& monitor, Body&& body) {
        const auto n_tasks = static_cast<std::ptrdiff_t>(partial_.size());
        for (std::ptrdiff_t round = 0; round < chunks_per_task_; ++round) {
            parallel_for(n_tasks, 1, [&](std::ptrdiff_t task, std::ptrdiff_t) {
                const std::ptrdiff_t begin = (task * chunks_per_task_ + round) * kChunk;
                if (begin < in_.n_pixels) {
                    body(partial_[static_cast<std::size_t>(task)], begin, std::min(in_.n_pixels, begin + kChunk));
                }
            });
            if (chunks_per_task_ > 1) {
                monitor.report(static_cast<double>(round + 1) / static_cast<double>(chunks_per_task_));
            }
        }
    }

    PlanarMap<T> eigenvectors(std::ptrdiff_t begin, std::ptrdiff_t end) const {
        return PlanarMap<T>(in_.eigenvectors + begin, end - begin, k_, Eigen::OuterStride<>(in_.n_pixels));
    }

    // alpha of all segments on a range of pixels, a column per segment.
    MatrixX<T> values(const SegmentCoefficients& segments, std::ptrdiff_t begin, std::ptrdiff_t end) const {
        const std::ptrdiff_t n_segments = segments.n_segments;
        if (segments.coefficients != nullptr) {
            const Eigen::Map<const MatrixXd> coefficients(segments.coefficients, k_, n_segments);
            const Eigen::Map<const VectorXd> offsets(segments.offsets, n_segments);
            MatrixX<T> alpha = eigenvectors(begin, end) * coefficients.template cast<T>();
            alpha.rowwise() += offsets.transpose().template cast<T>();
            return alpha;
        }
        if (in_.start != nullptr) {
            return PlanarMap<T>(in_.start + begin, end - begin, n_segments, Eigen::OuterStride<>(in_.n_pixels));
        }
        MatrixX<T> alpha = MatrixX<T>::Zero(end - begin, n_segments);
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

    // Replaces alpha by the factor of e_p in the right-hand side; total is that of e_p e_p' in A_k (compat) or what is
    // missing there to the constant (stable). All times the weight of the pixel.
    void weigh(const SparsityWeighting<T>& by, std::ptrdiff_t begin, std::ptrdiff_t n, T* values, T* total,
               T* last) const {
        const T* const weights = in_.weights != nullptr ? in_.weights + begin : nullptr;
        const T clamp = by.clamp;
        const T exponent = by.exponent;
        const T factor = by.factor;
        const T peak = by.peak;
        const T offset = by.offset;
        if (by.flat) {
#pragma GCC ivdep
            for (std::ptrdiff_t p = 0; p < n; ++p) {
                const auto terms = detail::stable_terms(values[p], clamp, exponent, factor, peak, offset);
                total[p] = terms.total;
                values[p] = terms.right;
            }
        } else {
#pragma GCC ivdep
            for (std::ptrdiff_t p = 0; p < n; ++p) {
                const auto terms = detail::compat_terms(values[p], clamp, exponent, factor);
                total[p] = terms.total;
                values[p] = terms.right;
                if (last != nullptr) {
                    last[p] = terms.last;
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

    const SparsifyInput<T>& in_;
    std::ptrdiff_t k_;
    std::ptrdiff_t length_;  // of a row of outer products, k_ and padding
    std::ptrdiff_t chunks_per_task_ = 1;
    std::vector<Partial> partial_;
};

// The iteration.
template <class T>
class Sparsifier {
public:
    Sparsifier(SparsifySums<T>& sums, std::ptrdiff_t n_eigenvectors, std::ptrdiff_t n_segments,
               const double* eigenvalues, const double* constant, const SparsifyParams& params, Monitor& monitor)
        : sums_(sums),
          params_(params),
          monitor_(monitor),
          k_(n_eigenvectors),
          n_segments_(n_segments),
          lambda_(Eigen::Map<const VectorXd>(eigenvalues, k_)),
          constant_(Eigen::Map<const VectorXd>(constant, k_)) {
        for (std::ptrdiff_t segment = 0; segment < n_segments_; ++segment) {
            kept_.push_back(segment);
        }
    }

    SparsifyOutcome run() {
        if (flat()) {
            SubMonitor nothing_done(monitor_, 0.0, 0.0);
            gram_.resize(k_, k_);
            sums_.gram(gram_.data(), nothing_done);
        }
        SparsifyOutcome outcome;
        for (int iteration = 1; iteration <= params_.n_iterations; ++iteration) {
            const double before = static_cast<double>(iteration - 1) / params_.n_iterations;
            const double after = static_cast<double>(iteration) / params_.n_iterations;
            outcome.counts.push_back(static_cast<std::int32_t>(n_segments_));
            set_weights();
            SubMonitor forming(monitor_, before, after);
            sums_.form(by_, segments(), forming);
            if (params_.method == SparsifyMethod::compat) {
                solve_for_remainder();
            } else {
                solve_alike();
            }
            started_ = true;
            if (std::binary_search(params_.prune_after.begin(), params_.prune_after.end(), iteration)) {
                SubMonitor pruning(monitor_, after, after);
                prune(pruning);
            }
            monitor_.report(after);
        }
        outcome.n_segments = n_segments_;
        outcome.coefficients.assign(coefficients_.data(), coefficients_.data() + coefficients_.size());
        outcome.offsets.assign(offsets_.data(), offsets_.data() + offsets_.size());
        outcome.kept = kept_;
        return outcome;
    }

private:
    bool flat() const { return params_.method == SparsifyMethod::stable; }

    void set_weights() {
        by_.flat = flat();
        by_.clamp = static_cast<T>(params_.clamp);
        by_.exponent = static_cast<T>(params_.gamma - 2.0);
        by_.factor = static_cast<T>(std::pow(0.3, params_.gamma));
        by_.peak = by_.factor * positive_pow(by_.clamp, by_.exponent);
        // What the unknowns are added to: the segments sum to 1 when the coefficients sum to 0.
        by_.offset = flat() ? T(1) / static_cast<T>(n_segments_) : T(0);
    }

    // The present segments; those of the start have no coefficients.
    SegmentCoefficients segments() const {
        return started_ ? SegmentCoefficients{n_segments_, coefficients_.data(), offsets_.data()}
                        : SegmentCoefficients{n_segments_, nullptr, nullptr};
    }

    // A_k as a whole matrix.
    MatrixXd matrix(std::ptrdiff_t segment) const {
        MatrixXd sum = flat() ? MatrixXd(static_cast<double>(by_.peak + by_.factor) * gram_) : MatrixXd::Zero(k_, k_);
        sums_.add_matrix(segment, sum.data());
        MatrixXd whole = sum.selfadjointView<Eigen::Lower>();
        whole.diagonal() += lambda_;
        return whole;
    }

    MatrixXd right_hand_sides() const {
        MatrixXd sum = MatrixXd::Zero(k_, n_segments_);
        sums_.add_right(sum.data());
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
        sums_.add_last(common.data());
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

    void prune(Monitor& monitor) {
        VectorXd largest(n_segments_);
        sums_.peaks(segments(), largest.data(), monitor);
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

    SparsifySums<T>& sums_;
    const SparsifyParams& params_;
    Monitor& monitor_;
    std::ptrdiff_t k_;
    std::ptrdiff_t n_segments_;
    VectorXd lambda_;
    VectorXd constant_;
    MatrixXd gram_;
    bool started_ = false;  // from the second iteration on, segments are coefficients and offsets
    MatrixXd coefficients_;
    VectorXd offsets_;
    std::vector<std::ptrdiff_t> kept_;
    SparsityWeighting<T> by_;
};

void check_counts(std::ptrdiff_t n_eigenvectors, std::ptrdiff_t n_segments, const SparsifyParams& params) {
    FASTSOFT_EXPECTS(n_eigenvectors >= 1 && n_segments >= 1,
                     "sparsify_segments needs at least one pixel, eigenvector and segment");
    FASTSOFT_EXPECTS(params.n_iterations >= 1, "n_iterations must be at least 1, got ", params.n_iterations);
}

}  // namespace

template <class T>
SparsifyOutcome sparsify_segments(const SparsifyInput<T>& input, const SparsifyParams& params, Monitor& monitor) {
    FASTSOFT_EXPECTS(input.n_pixels >= 1, "sparsify_segments needs at least one pixel, eigenvector and segment");
    check_counts(input.n_eigenvectors, input.n_segments, params);
    if (input.labels != nullptr) {
        for (std::ptrdiff_t p = 0; p < input.n_pixels; ++p) {
            FASTSOFT_EXPECTS(input.labels[p] >= 0 && input.labels[p] < input.n_segments, "labels must lie in 0..",
                             input.n_segments - 1, ", got ", input.labels[p]);
        }
    }
    CpuSums<T> sums(input);
    return Sparsifier<T>(sums, input.n_eigenvectors, input.n_segments, input.eigenvalues, input.constant, params,
                         monitor)
        .run();
}

template <class T>
SparsifyOutcome sparsify_segments(SparsifySums<T>& sums, std::ptrdiff_t n_eigenvectors, std::ptrdiff_t n_segments,
                                  const double* eigenvalues, const double* constant, const SparsifyParams& params,
                                  Monitor& monitor) {
    check_counts(n_eigenvectors, n_segments, params);
    return Sparsifier<T>(sums, n_eigenvectors, n_segments, eigenvalues, constant, params, monitor).run();
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
                    powers[p] = detail::sparsity_at(values[p] + offset, exponent);
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
template SparsifyOutcome sparsify_segments(SparsifySums<float>&, std::ptrdiff_t, std::ptrdiff_t, const double*,
                                           const double*, const SparsifyParams&, Monitor&);
template SparsifyOutcome sparsify_segments(SparsifySums<double>&, std::ptrdiff_t, std::ptrdiff_t, const double*,
                                           const double*, const SparsifyParams&, Monitor&);
template double combine_eigenvectors(View<const float, 2>, const double*, const double*, double, View<float, 2>,
                                     Monitor&);
template double combine_eigenvectors(View<const double, 2>, const double*, const double*, double, View<double, 2>,
                                     Monitor&);

}  // namespace fastsoft
