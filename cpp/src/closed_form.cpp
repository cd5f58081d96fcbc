// SPDX-License-Identifier: MIT
#include "fastsoft/closed_form.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <stdexcept>
#include <vector>

#include "fastsoft/core/backend_cpu.hpp"
#include "fastsoft/core/error.hpp"
#include "fastsoft/core/parallel.hpp"
#include "fastsoft/detail/masked_stencil.hpp"
#include "fastsoft/detail/nested_dissection.hpp"
#include "fastsoft/detail/pcg_loop.hpp"
#include "fastsoft/detail/sparse_factor.hpp"
#include "fastsoft/matting_laplacian.hpp"

namespace fastsoft {
namespace {

using detail::kSpan;
using detail::kStencilRow;
using detail::MaskedStencil;

// Unknown pixels are worked on in tiles, whose runs of neighbouring unknowns vectorise. Larger than the reach of a
// row, so that tiles of one of four colours are not coupled.
constexpr std::ptrdiff_t kTile = 64;
constexpr std::ptrdiff_t kBorder = 2;  // of zeros around grids: stencils need no test for the image border
constexpr std::ptrdiff_t kGrain = CpuBackend<double>::kGrain;
constexpr int kColors = 3;
constexpr int kMaxBasis = 1 + kColors;

// Trees of more unknowns than this are not even built to learn how large the factor would be.
constexpr std::ptrdiff_t kMaxDirectUnknowns = 4'000'000;
// Coarse unknowns that are still factorised; blocks of pixels grow until there are fewer.
constexpr double kMaxCoarseUnknowns = 1.2e6;

// Neighbouring unknowns. The compiler splits packs where registers are narrower.
typedef double Pack __attribute__((vector_size(64)));
typedef double PackInMemory __attribute__((vector_size(64), aligned(8), may_alias));
constexpr std::ptrdiff_t kLanes = 8;

inline void load(Pack& pack, const double* source) {
    pack = *reinterpret_cast<const PackInMemory*>(source);
}

// Unknowns first..first + count of one row of a tile, at neighbouring columns from col on.
struct Run {
    std::int32_t first;
    std::int32_t count;
    std::int32_t row;
    std::int32_t col;
};

// The unknowns as runs by tile, and vectors as pictures with a border of zeros.
class Layout {
public:
    explicit Layout(const MaskedStencil& stencil)
        : stencil_(stencil),
          tiles_down_((stencil.n_rows + kTile - 1) / kTile),
          tiles_across_((stencil.n_cols + kTile - 1) / kTile) {
        tile_begin_.push_back(0);
        for (std::ptrdiff_t tile = 0; tile < tiles_down_ * tiles_across_; ++tile) {
            const std::ptrdiff_t row0 = tile / tiles_across_ * kTile;
            const std::ptrdiff_t col0 = tile % tiles_across_ * kTile;
            const std::ptrdiff_t col1 = std::min(col0 + kTile, stencil.n_cols);
            for (std::ptrdiff_t row = row0; row < std::min(row0 + kTile, stencil.n_rows); ++row) {
                const std::int32_t* const number = stencil.number.data() + row * stencil.n_cols;
                for (std::ptrdiff_t col = col0; col < col1;) {
                    if (number[col] < 0) {
                        ++col;
                        continue;
                    }
                    const std::ptrdiff_t begin = col;
                    while (col < col1 && number[col] >= 0) {
                        ++col;
                    }
                    runs_.push_back({number[begin], static_cast<std::int32_t>(col - begin),
                                     static_cast<std::int32_t>(row), static_cast<std::int32_t>(begin)});
                }
            }
            tile_begin_.push_back(static_cast<std::ptrdiff_t>(runs_.size()));
        }
    }

    std::ptrdiff_t n_tiles() const { return tiles_down_ * tiles_across_; }
    std::ptrdiff_t tiles_down() const { return tiles_down_; }
    std::ptrdiff_t tiles_across() const { return tiles_across_; }
    const Run* begin(std::ptrdiff_t tile) const { return runs_.data() + tile_begin_[static_cast<std::size_t>(tile)]; }
    const Run* end(std::ptrdiff_t tile) const { return runs_.data() + tile_begin_[static_cast<std::size_t>(tile + 1)]; }

    // Pictures with a border: all zeros, and where a pixel lies in them.
    std::ptrdiff_t pitch() const { return stencil_.n_cols + 2 * kBorder; }
    std::vector<double> zeros() const {
        return std::vector<double>(static_cast<std::size_t>((stencil_.n_rows + 2 * kBorder) * pitch()), 0.0);
    }
    std::ptrdiff_t place(std::ptrdiff_t row, std::ptrdiff_t col) const {
        return (row + kBorder) * pitch() + col + kBorder;
    }
    std::ptrdiff_t place(const Run& run) const { return place(run.row, run.col); }

    template <class Body>
    void for_each_run(const Body& body) const {
        parallel_for(n_tiles(), 1, [&](std::ptrdiff_t first, std::ptrdiff_t last) {
            for (std::ptrdiff_t tile = first; tile < last; ++tile) {
                std::for_each(begin(tile), end(tile), body);
            }
        });
    }

    void put(const double* vector, double* picture) const {
        for_each_run([&](const Run& run) {
            std::copy(vector + run.first, vector + run.first + run.count, picture + place(run));
        });
    }

    void take(const double* picture, double* vector) const {
        for_each_run([&](const Run& run) {
            const double* const from = picture + place(run);
            std::copy(from, from + run.count, vector + run.first);
        });
    }

    // First weight of a run, and the distance from one entry of the stencil to the next.
    const double* weights(const Run& run) const {
        return stencil_.planes(run.row) + run.first - stencil_.row_begin[static_cast<std::size_t>(run.row)];
    }
    std::ptrdiff_t step(const Run& run) const { return stencil_.count(run.row); }

    // out = rows of a run times a picture, entries First..Last - 1 of the stencil.
    template <int First, int Last>
    void product(const Run& run, const double* picture, double* out) const {
        const double* const w = weights(run);
        const std::ptrdiff_t stride = step(run);
        const double* const centre = picture + place(run);
        const std::ptrdiff_t width = pitch();
        if (run.count >= kLanes) {
            for (std::ptrdiff_t j = 0; j < run.count; j += kLanes) {
                // The last ones are computed together with some before, which come out the same.
                const std::ptrdiff_t at = std::min<std::ptrdiff_t>(j, run.count - kLanes);
                Pack sum = {};
#pragma GCC unroll 25
                for (int e = First; e < Last; ++e) {
                    Pack weight;
                    Pack value;
                    load(weight, w + e * stride + at);
                    load(value, centre + (e / kSpan - kBorder) * width + e % kSpan - kBorder + at);
                    sum += weight * value;
                }
                *reinterpret_cast<PackInMemory*>(out + at) = sum;
            }
            return;
        }
        for (std::ptrdiff_t j = 0; j < run.count; ++j) {
            double sum = 0.0;
            for (int e = First; e < Last; ++e) {
                sum += w[e * stride + j] * centre[(e / kSpan - kBorder) * width + e % kSpan - kBorder + j];
            }
            out[j] = sum;
        }
    }

    // out = L_UU x for the picture of x, which must be 0 at known pixels.
    void apply(const double* picture, double* out) const {
        for_each_run([&](const Run& run) { product<0, kStencilRow>(run, picture, out + run.first); });
    }

private:
    const MaskedStencil& stencil_;
    std::ptrdiff_t tiles_down_;
    std::ptrdiff_t tiles_across_;
    std::vector<Run> runs_;
    std::vector<std::ptrdiff_t> tile_begin_;
};

// z = M r.
using Precondition = std::function<void(const double* r, double* z)>;

// The vectors of the iteration; see detail/pcg_loop.hpp.
class System {
public:
    // target: of the squared residual. Residuals below need no preconditioning.
    System(const Layout& layout, std::ptrdiff_t n, const double* b, double target, const Precondition& precondition)
        : layout_(layout), n_(n), b_(b), target_(target), precondition_(precondition), picture_(layout.zeros()) {
        for (std::vector<double>* vector : {&x_, &r_, &z_, &p_}) {
            vector->assign(static_cast<std::size_t>(n), 0.0);
        }
    }

    std::size_t n_columns() const { return 1; }
    const std::vector<double>& solution() const { return x_; }

    void residual(std::vector<double>& rr) {
        if (is_start_) {
            is_start_ = false;  // x = 0
            CpuBackend<double>::copy(n_, b_, r_.data());
            rr[0] = CpuBackend<double>::dot(n_, r_.data(), r_.data());
            return;
        }
        layout_.put(x_.data(), picture_.data());
        layout_.apply(picture_.data(), r_.data());
        CpuBackend<double>::axpby(n_, 1.0, b_, -1.0, r_.data());
        rr[0] = CpuBackend<double>::dot(n_, r_.data(), r_.data());
    }

    void start(std::vector<double>& rz) {
        precondition_(r_.data(), z_.data());
        CpuBackend<double>::copy(n_, z_.data(), p_.data());
        rz[0] = CpuBackend<double>::dot(n_, r_.data(), z_.data());
    }

    // A p goes where z is no longer needed.
    void product(std::vector<double>& pq) {
        layout_.put(p_.data(), picture_.data());
        layout_.apply(picture_.data(), z_.data());
        pq[0] = CpuBackend<double>::dot(n_, p_.data(), z_.data());
    }

    void advance(const std::vector<double>& alpha, std::vector<double>& rz, std::vector<double>& rr) {
        CpuBackend<double>::axpby(n_, alpha[0], p_.data(), 1.0, x_.data());
        CpuBackend<double>::axpby(n_, -alpha[0], z_.data(), 1.0, r_.data());
        rr[0] = CpuBackend<double>::dot(n_, r_.data(), r_.data());
        if (rr[0] <= target_) {
            rz[0] = rr[0];  // not used
            return;
        }
        precondition_(r_.data(), z_.data());
        rz[0] = CpuBackend<double>::dot(n_, r_.data(), z_.data());
    }

    void direct(const std::vector<double>& beta) { CpuBackend<double>::axpby(n_, 1.0, z_.data(), beta[0], p_.data()); }

    void keep(std::size_t, double alpha) {
        saved_ = x_;
        CpuBackend<double>::axpby(n_, -alpha, p_.data(), 1.0, saved_.data());
    }

    void restore(std::size_t) { x_ = saved_; }

private:
    const Layout& layout_;
    std::ptrdiff_t n_;
    const double* b_;
    double target_;
    const Precondition& precondition_;
    bool is_start_ = true;
    std::vector<double> picture_;
    std::vector<double> x_, r_, z_, p_, saved_;
};

// A factor of a matrix that is positive semidefinite but for rounding: without a shift if its pivots stay positive,
// else with the smallest of a few that makes them so. Entries are at most `scale`.
template <class Matrix>
std::unique_ptr<detail::SparseFactor<float>> positive_factor(const Matrix& matrix, const detail::EliminationTree& tree,
                                                             double scale, Monitor& monitor) {
    for (const double shift : {0.0, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1}) {
        try {
            auto factor = std::make_unique<detail::SparseFactor<float>>(matrix, static_cast<float>(-shift * scale),
                                                                        tree, monitor);
            if (factor->n_negative() == 0) {
                return factor;
            }
        } catch (const std::invalid_argument&) {
            // A pivot was 0 or not finite.
        }
    }
    return nullptr;
}

// out = factor^-1 in, scaled so that float's range does not matter.
class FloatSolve {
public:
    FloatSolve(const detail::SparseFactor<float>& factor, std::ptrdiff_t n)
        : factor_(factor), n_(n), buffer_(static_cast<std::size_t>(n)) {}

    void operator()(const double* in, double* out) {
        const double scale = std::sqrt(CpuBackend<double>::dot(n_, in, in) / static_cast<double>(n_));
        if (!(scale > 0.0)) {
            CpuBackend<double>::fill(n_, 0.0, out);
            return;
        }
        parallel_for(n_, kGrain, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
            for (std::ptrdiff_t i = begin; i < end; ++i) {
                buffer_[static_cast<std::size_t>(i)] = static_cast<float>(in[i] / scale);
            }
        });
        factor_.solve_vector(buffer_.data(), buffer_.data());
        parallel_for(n_, kGrain, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
            for (std::ptrdiff_t i = begin; i < end; ++i) {
                out[i] = scale * static_cast<double>(buffer_[static_cast<std::size_t>(i)]);
            }
        });
    }

private:
    const detail::SparseFactor<float>& factor_;
    std::ptrdiff_t n_;
    std::vector<float> buffer_;
};

// Gauss-Seidel before and, in the opposite order, after a correction from the coarse space: symmetric and positive
// definite because Gauss-Seidel converges for every positive definite matrix. Tiles of one colour are independent of
// each other, so that threads may take them in any order.
class Multilevel {
public:
    template <class T>
    Multilevel(const View<const T, 3>& image, const MaskedStencil& stencil, const Layout& layout, Monitor& monitor)
        : stencil_(stencil), layout_(layout), picture_(layout.zeros()), residual_(static_cast<std::size_t>(stencil.n)) {
        const auto n = static_cast<double>(stencil.n);
        while (block_ < kTile && n * kMaxBasis / static_cast<double>(block_ * block_) > kMaxCoarseUnknowns) {
            block_ *= 2;
        }
        make_basis(image);
        make_matrix();
        const SymmetricOperator<float> coarse{
            n_coarse_, {}, {{n_coarse_, indptr_.data(), indices_.data(), data_.data()}}};
        double scale = 0.0;
        for (const float value : data_) {
            scale = std::max(scale, std::abs(static_cast<double>(value)));
        }
        factor_ = positive_factor(coarse, detail::dissect_points(coarse, points_, 1), scale, monitor);
        data_ = {};
        indices_ = {};
        if (factor_) {
            solve_ = std::make_unique<FloatSolve>(*factor_, n_coarse_);
        }
    }

    void operator()(const double* r, double* z) {
        std::fill(picture_.begin(), picture_.end(), 0.0);
        for (int color = 0; color < 4; ++color) {
            smooth(color, r, /*forward=*/true);
        }
        if (solve_) {
            layout_.for_each_run([&](const Run& run) {
                double* const out = residual_.data() + run.first;
                layout_.product<0, kStencilRow>(run, picture_.data(), out);
                for (std::ptrdiff_t j = 0; j < run.count; ++j) {
                    out[j] = r[run.first + j] - out[j];
                }
            });
            correct();
        }
        for (int color = 3; color >= 0; --color) {
            smooth(color, r, /*forward=*/false);
        }
        layout_.take(picture_.data(), z);
    }

private:
    std::ptrdiff_t blocks_across() const { return (stencil_.n_cols + block_ - 1) / block_; }
    std::ptrdiff_t block_of(std::ptrdiff_t row, std::ptrdiff_t col) const {
        return row / block_ * blocks_across() + col / block_;
    }

    // In every block an orthonormal basis of the functions 1, red, green, blue on its unknowns. Colours that hardly
    // vary, or are affine in others, give none.
    template <class T>
    void make_basis(const View<const T, 3>& image) {
        struct Moments {
            double count = 0.0;
            std::array<double, kColors> sum{};
            std::array<double, kColors * kColors> product{};
        };
        // f(pixel, c) = sum over k of transform[k][c] (colour_k - mean_k), f(pixel, 0) = transform of the count.
        struct Transform {
            int n = 0;
            std::array<double, kColors> mean{};
            std::array<std::array<double, kMaxBasis>, kColors> of_color{};
            double constant = 0.0;
        };
        const std::ptrdiff_t n_blocks = (stencil_.n_rows + block_ - 1) / block_ * blocks_across();
        std::vector<Moments> moments(static_cast<std::size_t>(n_blocks));
        std::vector<Transform> transforms(static_cast<std::size_t>(n_blocks));
        const auto color_of = [&](const Run& run, std::ptrdiff_t j, int k) {
            return static_cast<double>(image(run.row, run.col + j, k));
        };
        // Blocks lie within tiles. Means first: differences of large moments would cancel.
        layout_.for_each_run([&](const Run& run) {
            for (std::ptrdiff_t j = 0; j < run.count; ++j) {
                Moments& m = moments[static_cast<std::size_t>(block_of(run.row, run.col + j))];
                m.count += 1.0;
                for (int k = 0; k < kColors; ++k) {
                    m.sum[static_cast<std::size_t>(k)] += color_of(run, j, k);
                }
            }
        });
        for (std::size_t block = 0; block < moments.size(); ++block) {
            for (std::size_t k = 0; k < kColors && moments[block].count > 0.0; ++k) {
                transforms[block].mean[k] = moments[block].sum[k] / moments[block].count;
            }
        }
        layout_.for_each_run([&](const Run& run) {
            for (std::ptrdiff_t j = 0; j < run.count; ++j) {
                const auto block = static_cast<std::size_t>(block_of(run.row, run.col + j));
                std::array<double, kColors> d{};
                for (std::size_t k = 0; k < kColors; ++k) {
                    d[k] = color_of(run, j, static_cast<int>(k)) - transforms[block].mean[k];
                }
                for (std::size_t a = 0; a < kColors; ++a) {
                    for (std::size_t b = 0; b < kColors; ++b) {
                        moments[block].product[a * kColors + b] += d[a] * d[b];
                    }
                }
            }
        });
        // Variances below that of a third of a grey level of 255 say nothing.
        constexpr double kLeastVariance = 2e-6;
        first_.resize(static_cast<std::size_t>(n_blocks) + 1);
        for (std::size_t block = 0; block < transforms.size(); ++block) {
            first_[block] = static_cast<std::int32_t>(n_coarse_);
            const Moments& m = moments[block];
            Transform& t = transforms[block];
            if (m.count > 0.0) {
                t.n = 1;
                t.constant = 1.0 / std::sqrt(m.count);
                // Gram-Schmidt on the coefficients, in the inner product of the moments.
                std::array<std::array<double, kColors>, kColors> vectors{};
                int found = 0;
                for (std::size_t k = 0; k < kColors && t.n < static_cast<int>(m.count); ++k) {
                    std::array<double, kColors> v{};
                    v[k] = 1.0;
                    const auto times = [&](const std::array<double, kColors>& a, const std::array<double, kColors>& b) {
                        double sum = 0.0;
                        for (std::size_t i = 0; i < kColors; ++i) {
                            for (std::size_t j = 0; j < kColors; ++j) {
                                sum += a[i] * m.product[i * kColors + j] * b[j];
                            }
                        }
                        return sum;
                    };
                    for (int pass = 0; pass < 2; ++pass) {
                        for (int f = 0; f < found; ++f) {
                            const auto& u = vectors[static_cast<std::size_t>(f)];
                            const double along = times(u, v);
                            for (std::size_t i = 0; i < kColors; ++i) {
                                v[i] -= along * u[i];
                            }
                        }
                    }
                    const double square = times(v, v);
                    if (square > kLeastVariance * m.count) {
                        for (std::size_t i = 0; i < kColors; ++i) {
                            v[i] /= std::sqrt(square);
                            t.of_color[i][static_cast<std::size_t>(t.n)] = v[i];
                        }
                        vectors[static_cast<std::size_t>(found++)] = v;
                        ++t.n;
                    }
                }
                for (int f = 0; f < t.n; ++f) {
                    points_.push_back(
                        {static_cast<std::int32_t>(static_cast<std::ptrdiff_t>(block) / blocks_across()),
                         static_cast<std::int32_t>(static_cast<std::ptrdiff_t>(block) % blocks_across())});
                }
            }
            n_coarse_ += t.n;
        }
        first_.back() = static_cast<std::int32_t>(n_coarse_);
        basis_.resize(static_cast<std::size_t>(stencil_.n));
        layout_.for_each_run([&](const Run& run) {
            for (std::ptrdiff_t j = 0; j < run.count; ++j) {
                const Transform& t = transforms[static_cast<std::size_t>(block_of(run.row, run.col + j))];
                std::array<double, kMaxBasis> f{};
                f[0] = t.constant;
                for (std::size_t k = 0; k < kColors; ++k) {
                    const double d = color_of(run, j, static_cast<int>(k)) - t.mean[k];
                    for (std::size_t c = 1; c < kMaxBasis; ++c) {
                        f[c] += t.of_color[k][c] * d;
                    }
                }
                for (std::size_t c = 0; c < kMaxBasis; ++c) {
                    basis_[static_cast<std::size_t>(run.first + j)][c] = static_cast<float>(f[c]);
                }
            }
        });
    }

    // The Galerkin product P' L_UU P as CSR. Rows reach into the eight blocks around.
    void make_matrix() {
        const std::ptrdiff_t across = blocks_across();
        const std::ptrdiff_t down = (stencil_.n_rows + block_ - 1) / block_;
        const auto size_of = [&](std::ptrdiff_t block) {
            return first_[static_cast<std::size_t>(block) + 1] - first_[static_cast<std::size_t>(block)];
        };
        const auto for_each_neighbour = [&](std::ptrdiff_t block, const auto& body) {
            const std::ptrdiff_t row = block / across;
            const std::ptrdiff_t col = block % across;
            for (std::ptrdiff_t dr = -1; dr <= 1; ++dr) {
                for (std::ptrdiff_t dc = -1; dc <= 1; ++dc) {
                    if (row + dr >= 0 && row + dr < down && col + dc >= 0 && col + dc < across) {
                        body(block + dr * across + dc, (dr + 1) * 3 + dc + 1);
                    }
                }
            }
        };
        indptr_.assign(static_cast<std::size_t>(n_coarse_) + 1, 0);
        for (std::ptrdiff_t block = 0; block < down * across; ++block) {
            if (size_of(block) == 0) {
                continue;
            }
            std::int64_t width = 0;
            for_each_neighbour(block, [&](std::ptrdiff_t other, std::ptrdiff_t) { width += size_of(other); });
            for (std::int32_t i = first_[static_cast<std::size_t>(block)];
                 i < first_[static_cast<std::size_t>(block) + 1]; ++i) {
                indptr_[static_cast<std::size_t>(i) + 1] = width;
            }
        }
        for (std::size_t i = 0; i < static_cast<std::size_t>(n_coarse_); ++i) {
            indptr_[i + 1] += indptr_[i];
        }
        indices_.resize(static_cast<std::size_t>(indptr_.back()));
        data_.resize(indices_.size());
        parallel_for(down, 1, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
            for (std::ptrdiff_t block = begin * across; block < end * across; ++block) {
                const std::ptrdiff_t n_own = size_of(block);
                if (n_own == 0) {
                    continue;
                }
                double sum[kMaxBasis][9][kMaxBasis] = {};
                add_block(block / across, block % across, sum);
                for (std::ptrdiff_t a = 0; a < n_own; ++a) {
                    std::int64_t at = indptr_[static_cast<std::size_t>(first_[static_cast<std::size_t>(block)] + a)];
                    for_each_neighbour(block, [&](std::ptrdiff_t other, std::ptrdiff_t place) {
                        for (std::ptrdiff_t b = 0; b < size_of(other); ++b, ++at) {
                            indices_[static_cast<std::size_t>(at)] =
                                first_[static_cast<std::size_t>(other)] + static_cast<std::int32_t>(b);
                            data_[static_cast<std::size_t>(at)] = static_cast<float>(sum[a][place][b]);
                        }
                    });
                }
            }
        });
    }

    void add_block(std::ptrdiff_t block_row, std::ptrdiff_t block_col, double (&sum)[kMaxBasis][9][kMaxBasis]) const {
        const std::ptrdiff_t row1 = std::min((block_row + 1) * block_, stencil_.n_rows);
        const std::ptrdiff_t col1 = std::min((block_col + 1) * block_, stencil_.n_cols);
        for (std::ptrdiff_t row = block_row * block_; row < row1; ++row) {
            const std::ptrdiff_t count = stencil_.count(row);
            for (std::ptrdiff_t col = block_col * block_; col < col1; ++col) {
                const std::int32_t i = stencil_.number[static_cast<std::size_t>(row * stencil_.n_cols + col)];
                if (i < 0) {
                    continue;
                }
                const double* const w = stencil_.planes(row) + i - stencil_.row_begin[static_cast<std::size_t>(row)];
                double reached[9][kMaxBasis] = {};
                for (int e = 0; e < kStencilRow; ++e) {
                    const std::ptrdiff_t r = row + e / kSpan - kBorder;
                    const std::ptrdiff_t c = col + e % kSpan - kBorder;
                    if (r < 0 || r >= stencil_.n_rows || c < 0 || c >= stencil_.n_cols) {
                        continue;
                    }
                    const std::int32_t j = stencil_.number[static_cast<std::size_t>(r * stencil_.n_cols + c)];
                    if (j < 0) {
                        continue;
                    }
                    double* const target = reached[(r / block_ - block_row + 1) * 3 + c / block_ - block_col + 1];
                    for (std::size_t b = 0; b < kMaxBasis; ++b) {
                        target[b] += w[e * count] * static_cast<double>(basis_[static_cast<std::size_t>(j)][b]);
                    }
                }
                for (int a = 0; a < kMaxBasis; ++a) {
                    const auto own =
                        static_cast<double>(basis_[static_cast<std::size_t>(i)][static_cast<std::size_t>(a)]);
                    for (int place = 0; place < 9; ++place) {
                        for (int b = 0; b < kMaxBasis; ++b) {
                            sum[a][place][b] += own * reached[place][b];
                        }
                    }
                }
            }
        }
    }

    // picture += P A_c^-1 P' residual.
    void correct() {
        std::vector<double> coarse(static_cast<std::size_t>(n_coarse_), 0.0);
        const auto for_each_unknown = [&](const Run& run, const auto& body) {
            for (std::ptrdiff_t j = 0; j < run.count; ++j) {
                const auto block = static_cast<std::size_t>(block_of(run.row, run.col + j));
                body(j, basis_[static_cast<std::size_t>(run.first + j)], coarse.data() + first_[block],
                     first_[block + 1] - first_[block]);
            }
        };
        layout_.for_each_run([&](const Run& run) {
            for_each_unknown(run, [&](std::ptrdiff_t j, const auto& basis, double* target, int n) {
                for (int c = 0; c < n; ++c) {
                    target[c] += static_cast<double>(basis[static_cast<std::size_t>(c)]) *
                                 residual_[static_cast<std::size_t>(run.first + j)];
                }
            });
        });
        (*solve_)(coarse.data(), coarse.data());
        layout_.for_each_run([&](const Run& run) {
            double* const out = picture_.data() + layout_.place(run);
            for_each_unknown(run, [&](std::ptrdiff_t j, const auto& basis, const double* source, int n) {
                for (int c = 0; c < n; ++c) {
                    out[j] += static_cast<double>(basis[static_cast<std::size_t>(c)]) * source[c];
                }
            });
        });
    }

    // One sweep over the tiles of one of four colours.
    void smooth(int color, const double* r, bool forward) {
        const std::ptrdiff_t down = (layout_.tiles_down() - color / 2 + 1) / 2;
        const std::ptrdiff_t across = (layout_.tiles_across() - color % 2 + 1) / 2;
        parallel_for(down * across, 1, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
            for (std::ptrdiff_t i = begin; i < end; ++i) {
                const std::ptrdiff_t tile =
                    (2 * (i / across) + color / 2) * layout_.tiles_across() + 2 * (i % across) + color % 2;
                const Run* const first = layout_.begin(tile);
                const Run* const last = layout_.end(tile);
                if (forward) {
                    for (const Run* run = first; run != last; ++run) {
                        smooth_run(*run, r, true);
                    }
                } else {
                    for (const Run* run = last; run != first; --run) {
                        smooth_run(run[-1], r, false);
                    }
                }
            }
        });
    }

    void smooth_run(const Run& run, const double* r, bool forward) {
        constexpr int kRowBegin = 2 * kSpan;  // entries of the stencil's middle row
        constexpr int kDiagonal = kRowBegin + kBorder;
        double above[kTile];
        double below[kTile];
        layout_.product<0, kRowBegin>(run, picture_.data(), above);
        layout_.product<kRowBegin + kSpan, kStencilRow>(run, picture_.data(), below);
        const double* const w = layout_.weights(run);
        const std::ptrdiff_t stride = layout_.step(run);
        double* const x = picture_.data() + layout_.place(run);
        const auto update = [&](std::ptrdiff_t j) {
            const auto weight = [&](int e) { return w[e * stride + j]; };
            const double rest = r[run.first + j] - above[j] - below[j] - weight(kDiagonal - 2) * x[j - 2] -
                                weight(kDiagonal - 1) * x[j - 1] - weight(kDiagonal + 1) * x[j + 1] -
                                weight(kDiagonal + 2) * x[j + 2];
            x[j] = rest / weight(kDiagonal);
        };
        if (forward) {
            for (std::ptrdiff_t j = 0; j < run.count; ++j) {
                update(j);
            }
        } else {
            for (std::ptrdiff_t j = run.count - 1; j >= 0; --j) {
                update(j);
            }
        }
    }

    const MaskedStencil& stencil_;
    const Layout& layout_;
    std::ptrdiff_t block_ = 4;
    std::ptrdiff_t n_coarse_ = 0;
    std::vector<std::int32_t> first_;                  // coarse unknown of each block
    std::vector<detail::GridPoint> points_;            // block of each coarse unknown
    std::vector<std::array<float, kMaxBasis>> basis_;  // row of P of each unknown, in the columns of its block
    std::vector<std::int64_t> indptr_;
    std::vector<std::int32_t> indices_;
    std::vector<float> data_;
    std::unique_ptr<detail::SparseFactor<float>> factor_;
    std::unique_ptr<FloatSolve> solve_;
    std::vector<double> picture_;
    std::vector<double> residual_;
};

MaskedStencil number_unknowns(const std::uint8_t* regions, std::ptrdiff_t n_rows, std::ptrdiff_t n_cols) {
    MaskedStencil rows;
    rows.n_rows = n_rows;
    rows.n_cols = n_cols;
    rows.number.resize(static_cast<std::size_t>(n_rows * n_cols));
    for (std::ptrdiff_t row = 0; row < n_rows; ++row) {
        rows.row_begin.push_back(static_cast<std::int32_t>(rows.pixel.size()));
        for (std::ptrdiff_t i = row * n_cols; i < (row + 1) * n_cols; ++i) {
            if (regions[i] == kRegionUnknown) {
                rows.number[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(rows.pixel.size());
                rows.pixel.push_back(static_cast<std::int32_t>(i));
            } else {
                rows.number[static_cast<std::size_t>(i)] = -1;
            }
        }
    }
    rows.n = static_cast<std::ptrdiff_t>(rows.pixel.size());
    rows.row_begin.push_back(static_cast<std::int32_t>(rows.n));
    return rows;
}

}  // namespace

template <class T>
ClosedFormResult closed_form(const View<const T, 3>& image, const std::uint8_t* regions, T* alpha,
                             const ClosedFormParams& params, Monitor& user_monitor) {
    // Rows of a window's share of L have at most 9 times a number not above 1 on the diagonal.
    constexpr double kLargest = 9.0;
    RisingMonitor monitor(user_monitor);
    const std::ptrdiff_t n_rows = image.extent(0);
    const std::ptrdiff_t n_cols = image.extent(1);
    FASTSOFT_EXPECTS(n_rows >= kSpan - 2 && n_cols >= kSpan - 2, "image must be at least 3x3 pixels, got ", n_rows, "x",
                     n_cols);
    FASTSOFT_EXPECTS(n_rows <= std::numeric_limits<std::int32_t>::max() / n_cols,
                     "image must have at most 2^31 - 1 pixels");
    monitor.report(0.0);
    MaskedStencil rows = number_unknowns(regions, n_rows, n_cols);
    FASTSOFT_EXPECTS(rows.n > 0, "regions must have an unknown pixel, got none");
    FASTSOFT_EXPECTS(rows.n < n_rows * n_cols, "regions must have a known pixel, got none");
    matting_laplacian_rows(image, params.epsilon, rows);
    monitor.report(0.1);
    const Layout layout(rows);

    // b = -L_UK s_K: rows times the picture of the known foreground.
    std::vector<double> b(static_cast<std::size_t>(rows.n));
    {
        std::vector<double> known = layout.zeros();
        for (std::ptrdiff_t row = 0; row < n_rows; ++row) {
            for (std::ptrdiff_t col = 0; col < n_cols; ++col) {
                known[static_cast<std::size_t>(layout.place(row, col))] =
                    regions[row * n_cols + col] == kRegionForeground ? -1.0 : 0.0;
            }
        }
        layout.apply(known.data(), b.data());
    }
    double norm_b = std::sqrt(CpuBackend<double>::dot(rows.n, b.data(), b.data()));
    if (norm_b > 0.0 && params.tolerance > 0.0) {
        // b is tiny where the colours around all known pixels say nothing of others. No iterate has a residual below
        // the rounding of L s, for entries of L up to kLargest and s up to 1.
        const double rounding =
            std::numeric_limits<double>::epsilon() * kLargest * std::sqrt(static_cast<double>(rows.n));
        norm_b = std::max(norm_b, rounding / params.tolerance);
    }

    ClosedFormResult result;
    result.method = params.method;
    SubMonitor prepare(monitor, 0.1, 0.7);
    std::unique_ptr<detail::SparseFactor<float>> factor;
    std::unique_ptr<FloatSolve> solve;
    std::unique_ptr<Multilevel> multilevel;
    Precondition precondition;
    if (params.method == ClosedFormMethod::direct ||
        (params.method == ClosedFormMethod::automatic && rows.n <= kMaxDirectUnknowns)) {
        const detail::UnknownBlock<float> block{rows};
        std::vector<detail::GridPoint> points;
        points.reserve(rows.pixel.size());
        for (const std::int32_t pixel : rows.pixel) {
            points.push_back({static_cast<std::int32_t>(pixel / n_cols), static_cast<std::int32_t>(pixel % n_cols)});
        }
        const detail::EliminationTree tree = detail::dissect_points(block, points, kBorder);
        const double n_bytes = static_cast<double>(tree.n_factor_entries()) * sizeof(float);
        if (params.method == ClosedFormMethod::direct || n_bytes <= params.max_factor_bytes) {
            factor = positive_factor(block, tree, kLargest, prepare);
        }
    }
    if (factor) {
        result.method = ClosedFormMethod::direct;
        solve = std::make_unique<FloatSolve>(*factor, rows.n);
        precondition = [&](const double* r, double* z) { (*solve)(r, z); };
    } else {
        result.method = ClosedFormMethod::multilevel;
        multilevel = std::make_unique<Multilevel>(image, rows, layout, prepare);
        precondition = [&](const double* r, double* z) { (*multilevel)(r, z); };
    }

    const double target = params.tolerance * norm_b;
    System system(layout, rows.n, b.data(), target * target, precondition);
    SubMonitor iterate(monitor, 0.7, 1.0);
    const PcgParams pcg{params.tolerance, params.max_iterations, true};
    result.info = detail::pcg_loop(system, {norm_b}, pcg, iterate)[0];
    const std::vector<double>& x = system.solution();
    for (std::size_t i = 0; i < rows.pixel.size(); ++i) {
        alpha[rows.pixel[i]] = static_cast<T>(x[i]);
    }
    monitor.report(1.0);
    return result;
}

template ClosedFormResult closed_form(const View<const float, 3>&, const std::uint8_t*, float*, const ClosedFormParams&,
                                      Monitor&);
template ClosedFormResult closed_form(const View<const double, 3>&, const std::uint8_t*, double*,
                                      const ClosedFormParams&, Monitor&);

}  // namespace fastsoft
