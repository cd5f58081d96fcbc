// SPDX-License-Identifier: MIT
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <vector>

#include "fastsoft/core/error.hpp"
#include "fastsoft/core/parallel.hpp"
#include "fastsoft/detail/checkerboard.hpp"
#include "fastsoft/detail/estimate_foreground_pixel.hpp"
#include "fastsoft/detail/pcg_loop.hpp"
#include "fastsoft/estimate_foreground.hpp"

// The system of 2 H W unknowns (F; B) per channel, and a multigrid cycle that preconditions it. Everything is float64:
// the direction of F and B that alpha does not fix is held by weights of 1e-5 beside entries of 1.
//
// A level is a grid of pixels or of blocks of pixels. Unknowns of a pixel are coupled by a symmetric 2x2 block, and
// each of F and B with its four neighbours by the weights of the edges. The next coarser level joins 2x2 pixels: blocks
// and weights of joined pixels are added (Galerkin with piecewise constant interpolation), and the weights of edges
// halved, since a piecewise constant function has twice the squared differences of the smooth one that it stands for
// (Braess, "Towards algebraic multigrid for elliptic problems of second order", Computing 55, 1995).
namespace fastsoft {
namespace {

using detail::Checkerboard;
using std::ptrdiff_t;

constexpr ptrdiff_t kColors = 6;  // F and B of three channels
constexpr ptrdiff_t kChunkPixels = 4096;
constexpr double kCoarseEdgeScale = 0.5;
// Cycles on each coarser level per cycle. Two on a quarter of the unknowns double the cost at the most.
constexpr int kCoarseCycles = 2;

ptrdiff_t row_grain(ptrdiff_t n_cols) {
    return std::max<ptrdiff_t>(1, kChunkPixels / n_cols);
}

template <class Body>
void each_row(const Checkerboard<double>& grid, const Body& body) {
    parallel_for(grid.n_rows(), row_grain(grid.n_cols()), [&](ptrdiff_t begin, ptrdiff_t end) {
        for (ptrdiff_t row = begin; row < end; ++row) {
            body(row);
        }
    });
}

using PerChannel = std::array<double, 3>;

struct ChannelSums {
    PerChannel value{};
    ChannelSums& operator+=(const ChannelSums& other) {
        for (std::size_t c = 0; c < value.size(); ++c) {
            value[c] += other.value[c];
        }
        return *this;
    }
};

// Inner products of each channel, summed over both unknowns of all pixels in a fixed order.
ChannelSums dot(const Checkerboard<double>& a, const Checkerboard<double>& b) {
    return parallel_sum<ChannelSums>(a.n_rows(), row_grain(a.n_cols()), [&](ptrdiff_t begin, ptrdiff_t end) {
        ChannelSums sums;
        for (ptrdiff_t row = begin; row < end; ++row) {
            for (ptrdiff_t plane = 0; plane < kColors; ++plane) {
                for (ptrdiff_t s = 0; s < 2; ++s) {
                    const double* const left = a.half(plane, row, s);
                    const double* const right = b.half(plane, row, s);
                    // Independent partial sums let the loop vectorise without reordering what the compiler may not.
                    std::array<double, 8> partial{};
                    const ptrdiff_t count = a.count(s);
                    ptrdiff_t k = 0;
                    for (; k + 8 <= count; k += 8) {
                        for (std::size_t i = 0; i < 8; ++i) {
                            partial[i] += left[k + static_cast<ptrdiff_t>(i)] * right[k + static_cast<ptrdiff_t>(i)];
                        }
                    }
                    for (; k < count; ++k) {
                        partial[0] += left[k] * right[k];
                    }
                    double sum = 0.0;
                    for (const double value : partial) {
                        sum += value;
                    }
                    sums.value[static_cast<std::size_t>(plane % 3)] += sum;
                }
            }
        }
        return sums;
    });
}

// y = x * x_factor + y * y_factor, with factors of each channel. Where y_factor is 0, y may be anything before, even
// NaN.
void combine(const Checkerboard<double>& x, const PerChannel& x_factor, Checkerboard<double>& y,
             const PerChannel& y_factor) {
    each_row(x, [&](ptrdiff_t row) {
        for (ptrdiff_t plane = 0; plane < kColors; ++plane) {
            const double fx = x_factor[static_cast<std::size_t>(plane % 3)];
            const double fy = y_factor[static_cast<std::size_t>(plane % 3)];
            for (ptrdiff_t s = 0; s < 2; ++s) {
                const double* const from = x.half(plane, row, s);
                double* const to = y.half(plane, row, s);
                if (fy == 0.0) {
#pragma GCC ivdep
                    for (ptrdiff_t k = 0; k < x.count(s); ++k) {
                        to[k] = fx * from[k];
                    }
                    continue;
                }
#pragma GCC ivdep
                for (ptrdiff_t k = 0; k < x.count(s); ++k) {
                    to[k] = fx * from[k] + fy * to[k];
                }
            }
        }
    });
}

class Level {
public:
    static constexpr ptrdiff_t kRight = 0;  // weight of the edge to the next column; 0 in the last
    static constexpr ptrdiff_t kDown = 1;   // and to the next row
    // Diagonal block, without the weights of edges: [kFF kFB; kFB kBB].
    static constexpr ptrdiff_t kFF = 0;
    static constexpr ptrdiff_t kFB = 1;
    static constexpr ptrdiff_t kBB = 2;

    Level(ptrdiff_t n_rows, ptrdiff_t n_cols)
        : edges_(2, n_rows, n_cols),
          data_(3, n_rows, n_cols),
          diagonal_(3, n_rows, n_cols),
          inverse_(3, n_rows, n_cols),
          x_(kColors, n_rows, n_cols),
          b_(kColors, n_rows, n_cols),
          no_edge_(static_cast<std::size_t>((n_cols + 1) / 2), 0.0) {}

    ptrdiff_t n_rows() const { return edges_.n_rows(); }
    ptrdiff_t n_cols() const { return edges_.n_cols(); }
    Checkerboard<double>& edges() { return edges_; }
    Checkerboard<double>& data() { return data_; }
    Checkerboard<double>& x() { return x_; }
    Checkerboard<double>& b() { return b_; }

    // Once edges() and data() are filled.
    void finish() {
        each_row(edges_, [&](ptrdiff_t row) {
            for (ptrdiff_t s = 0; s < 2; ++s) {
                // No edge leads to the left of the first column.
                edges_.half(kRight, row, 1)[-1] = 0.0;
                const Edges w = edges_around(row, s);
                for (ptrdiff_t k = 0; k < edges_.count(s); ++k) {
                    const double sum = (w.left[k] + w.right[k]) + (w.up[k] + w.down[k]);
                    const double ff = data_.half(kFF, row, s)[k] + sum;
                    const double fb = data_.half(kFB, row, s)[k];
                    const double bb = data_.half(kBB, row, s)[k] + sum;
                    diagonal_.half(kFF, row, s)[k] = ff;
                    diagonal_.half(kFB, row, s)[k] = fb;
                    diagonal_.half(kBB, row, s)[k] = bb;
                    // A block without edges (the coarsest) is singular where alpha is the same everywhere.
                    const double lift = 1e-12 * (ff + bb);
                    const double determinant = (ff + lift) * (bb + lift) - fb * fb;
                    inverse_.half(kFF, row, s)[k] = (bb + lift) / determinant;
                    inverse_.half(kFB, row, s)[k] = -fb / determinant;
                    inverse_.half(kBB, row, s)[k] = (ff + lift) / determinant;
                }
            }
        });
    }

    Level coarser() const {
        Level next((n_rows() + 1) / 2, (n_cols() + 1) / 2);
        each_row(next.edges_, [&](ptrdiff_t row) {
            const ptrdiff_t last_row = std::min(2 * row + 1, n_rows() - 1);
            for (ptrdiff_t col = 0; col < next.n_cols(); ++col) {
                const ptrdiff_t last_col = std::min(2 * col + 1, n_cols() - 1);
                double right = 0.0;
                double down = 0.0;
                double block[3] = {};
                for (ptrdiff_t r = 2 * row; r <= last_row; ++r) {
                    right += edges_.at(kRight, r, last_col);
                    for (ptrdiff_t c = 2 * col; c <= last_col; ++c) {
                        for (ptrdiff_t i = 0; i < 3; ++i) {
                            block[i] += data_.at(i, r, c);
                        }
                    }
                }
                for (ptrdiff_t c = 2 * col; c <= last_col; ++c) {
                    down += edges_.at(kDown, last_row, c);
                }
                next.edges_.at(kRight, row, col) = kCoarseEdgeScale * right;
                next.edges_.at(kDown, row, col) = kCoarseEdgeScale * down;
                for (ptrdiff_t i = 0; i < 3; ++i) {
                    next.data_.at(i, row, col) = block[i];
                }
            }
        });
        next.finish();
        return next;
    }

    // Solves for F and B of the pixels of one colour of the chequerboard, exactly.
    void relax(const Checkerboard<double>& right_side, ptrdiff_t color) {
        each_row(edges_, [&](ptrdiff_t row) {
            const ptrdiff_t s = (row + color) & 1;
            const Edges w = edges_around(row, s);
            const double* const ff = inverse_.half(kFF, row, s);
            const double* const fb = inverse_.half(kFB, row, s);
            const double* const bb = inverse_.half(kBB, row, s);
            for (ptrdiff_t channel = 0; channel < 3; ++channel) {
                const Around f = around(x_, channel, row, s);
                const Around b = around(x_, 3 + channel, row, s);
                const double* const right_f = right_side.half(channel, row, s);
                const double* const right_b = right_side.half(3 + channel, row, s);
                double* const out_f = x_.half(channel, row, s);
                double* const out_b = x_.half(3 + channel, row, s);
#pragma GCC ivdep
                for (ptrdiff_t k = 0; k < edges_.count(s); ++k) {
                    const double sum_f = right_f[k] + w.sum(f, k);
                    const double sum_b = right_b[k] + w.sum(b, k);
                    out_f[k] = ff[k] * sum_f + fb[k] * sum_b;
                    out_b[k] = fb[k] * sum_f + bb[k] * sum_b;
                }
            }
        });
    }

    // out(plane, row, s, k) = (A v) of half a row at a time; v's margins are written.
    template <class Use>
    void apply_half_row(Checkerboard<double>& v, ptrdiff_t row, ptrdiff_t s, const Use& use) const {
        const Edges w = edges_around(row, s);
        const double* const ff = diagonal_.half(kFF, row, s);
        const double* const fb = diagonal_.half(kFB, row, s);
        const double* const bb = diagonal_.half(kBB, row, s);
        for (ptrdiff_t channel = 0; channel < 3; ++channel) {
            const Around f = around(v, channel, row, s);
            const Around b = around(v, 3 + channel, row, s);
            const double* const own_f = v.half(channel, row, s);
            const double* const own_b = v.half(3 + channel, row, s);
            use(channel, [=](ptrdiff_t k) { return ff[k] * own_f[k] + fb[k] * own_b[k] - w.sum(f, k); });
            use(3 + channel, [=](ptrdiff_t k) { return fb[k] * own_f[k] + bb[k] * own_b[k] - w.sum(b, k); });
        }
    }

    // The residual of x, added up over the pixels that a coarser pixel joins.
    void restrict_residual(const Checkerboard<double>& right_side, Level& coarse) {
        parallel_for(coarse.n_rows(), row_grain(n_cols()), [&](ptrdiff_t begin, ptrdiff_t end) {
            for (ptrdiff_t coarse_row = begin; coarse_row < end; ++coarse_row) {
                for (ptrdiff_t plane = 0; plane < kColors; ++plane) {
                    for (ptrdiff_t s = 0; s < 2; ++s) {
                        std::fill_n(coarse.b_.half(plane, coarse_row, s), coarse.b_.count(s), 0.0);
                    }
                }
                for (ptrdiff_t row = 2 * coarse_row; row < std::min(2 * coarse_row + 2, n_rows()); ++row) {
                    for (ptrdiff_t s = 0; s < 2; ++s) {
                        apply_half_row(x_, row, s, [&](ptrdiff_t plane, const auto& product) {
                            const double* const b = right_side.half(plane, row, s);
                            for (ptrdiff_t k = 0; k < edges_.count(s); ++k) {
                                coarse.b_.at(plane, coarse_row, k) += b[k] - product(k);
                            }
                        });
                    }
                }
            }
        });
    }

    void add_interpolated(const Level& coarse) {
        each_row(edges_, [&](ptrdiff_t row) {
            for (ptrdiff_t plane = 0; plane < kColors; ++plane) {
                for (ptrdiff_t s = 0; s < 2; ++s) {
                    double* const to = x_.half(plane, row, s);
                    for (ptrdiff_t k = 0; k < edges_.count(s); ++k) {
                        to[k] += coarse.x_.at(plane, row / 2, k);
                    }
                }
            }
        });
    }

    void clear() {
        each_row(edges_, [&](ptrdiff_t row) {
            for (ptrdiff_t plane = 0; plane < kColors; ++plane) {
                for (ptrdiff_t s = 0; s < 2; ++s) {
                    std::fill_n(x_.half(plane, row, s), x_.count(s), 0.0);
                }
            }
        });
    }

private:
    // Four neighbours of half a row: values, or weights of the edges to them.
    struct Around {
        const double* left;
        const double* right;
        const double* up;
        const double* down;
    };
    struct Edges : Around {
        double sum(const Around& v, ptrdiff_t k) const {
            return (left[k] * v.left[k] + right[k] * v.right[k]) + (up[k] * v.up[k] + down[k] * v.down[k]);
        }
    };

    Edges edges_around(ptrdiff_t row, ptrdiff_t s) const {
        const double* const left = edges_.half(kRight, row, 1 - s) - (s == 0 ? 1 : 0);
        const double* const up = row > 0 ? edges_.half(kDown, row - 1, s) : no_edge_.data();
        return {{left, edges_.half(kRight, row, s), up, edges_.half(kDown, row, s)}};
    }

    // What lies beyond the border has the weight 0, and must only be finite.
    Around around(Checkerboard<double>& v, ptrdiff_t plane, ptrdiff_t row, ptrdiff_t s) const {
        v.clamp(plane, row, s);
        const double* const left = v.half(plane, row, 1 - s) - (s == 0 ? 1 : 0);
        return {left, left + 1, v.half(plane, std::max<ptrdiff_t>(row - 1, 0), s),
                v.half(plane, std::min(row + 1, n_rows() - 1), s)};
    }

    Checkerboard<double> edges_;
    Checkerboard<double> data_;
    Checkerboard<double> diagonal_;
    Checkerboard<double> inverse_;
    Checkerboard<double> x_;
    Checkerboard<double> b_;
    std::vector<double> no_edge_;
};

// One layer's system, as detail/pcg_loop.hpp wants it: three channels are three right-hand sides.
template <class T>
class ForegroundSystem {
public:
    ForegroundSystem(const View<const T, 3>& image, const View<const T, 2>& alpha, double regularization)
        : image_(image), alpha_(alpha) {
        const ptrdiff_t n_rows = alpha.extent(0);
        const ptrdiff_t n_cols = alpha.extent(1);
        levels_.emplace_back(n_rows, n_cols);
        Level& fine = levels_.front();
        each_row(fine.edges(), [&](ptrdiff_t row) {
            for (ptrdiff_t col = 0; col < n_cols; ++col) {
                const double a = static_cast<double>(alpha(row, col));
                // Twice, since the energy counts each edge from both of its ends.
                const auto weight = [&](double other) { return 2.0 * (regularization + std::abs(a - other)); };
                fine.edges().at(Level::kRight, row, col) =
                    col + 1 < n_cols ? weight(static_cast<double>(alpha(row, col + 1))) : 0.0;
                fine.edges().at(Level::kDown, row, col) =
                    row + 1 < n_rows ? weight(static_cast<double>(alpha(row + 1, col))) : 0.0;
                fine.data().at(Level::kFF, row, col) = a * a;
                fine.data().at(Level::kFB, row, col) = a * (1.0 - a);
                fine.data().at(Level::kBB, row, col) = (1.0 - a) * (1.0 - a);
            }
        });
        fine.finish();
        while (levels_.back().n_rows() * levels_.back().n_cols() > 1) {
            levels_.push_back(levels_.back().coarser());
        }
        for (auto* const vector : {&x_, &p_, &q_}) {
            vector->reset(kColors, n_rows, n_cols);
        }
        // Both start as the photograph.
        each_row(x_, [&](ptrdiff_t row) {
            for (ptrdiff_t col = 0; col < n_cols; ++col) {
                for (ptrdiff_t channel = 0; channel < 3; ++channel) {
                    const double value = static_cast<double>(image_(row, col, channel));
                    x_.at(channel, row, col) = value;
                    x_.at(3 + channel, row, col) = value;
                }
            }
        });
    }

    static std::size_t n_columns() { return 3; }

    std::vector<double> norm_b() const {
        const auto sums = parallel_sum<ChannelSums>(
            alpha_.extent(0), row_grain(alpha_.extent(1)), [&](ptrdiff_t begin, ptrdiff_t end) {
                ChannelSums chunk;
                for (ptrdiff_t row = begin; row < end; ++row) {
                    for (ptrdiff_t col = 0; col < alpha_.extent(1); ++col) {
                        for (ptrdiff_t channel = 0; channel < 3; ++channel) {
                            const double f = right_side(channel, row, col);
                            const double b = right_side(3 + channel, row, col);
                            chunk.value[static_cast<std::size_t>(channel)] += f * f + b * b;
                        }
                    }
                }
                return chunk;
            });
        std::vector<double> norms;
        for (const double sum : sums.value) {
            norms.push_back(std::sqrt(sum));
        }
        return norms;
    }

    // A channel that is black in the photograph is black in F and B.
    void clear_channel(std::size_t channel) {
        PerChannel keep{1.0, 1.0, 1.0};
        keep[channel] = 0.0;
        combine(x_, {0.0, 0.0, 0.0}, x_, keep);
    }

    void residual(std::vector<double>& rr) {
        Level& fine = levels_.front();
        each_row(r(), [&](ptrdiff_t row) {
            for (ptrdiff_t s = 0; s < 2; ++s) {
                fine.apply_half_row(x_, row, s, [&](ptrdiff_t plane, const auto& product) {
                    double* const to = r().half(plane, row, s);
                    for (ptrdiff_t k = 0; k < r().count(s); ++k) {
                        to[k] = right_side(plane, row, 2 * k + s) - product(k);
                    }
                });
            }
        });
        assign(rr, dot(r(), r()));
    }

    void start(std::vector<double>& rz) {
        precondition();
        combine(z(), {1.0, 1.0, 1.0}, p_, {0.0, 0.0, 0.0});
        assign(rz, dot(r(), z()));
    }

    void product(std::vector<double>& pq) {
        Level& fine = levels_.front();
        each_row(q_, [&](ptrdiff_t row) {
            for (ptrdiff_t s = 0; s < 2; ++s) {
                fine.apply_half_row(p_, row, s, [&](ptrdiff_t plane, const auto& product) {
                    double* const to = q_.half(plane, row, s);
                    for (ptrdiff_t k = 0; k < q_.count(s); ++k) {
                        to[k] = product(k);
                    }
                });
            }
        });
        assign(pq, dot(p_, q_));
    }

    void advance(const std::vector<double>& alpha, std::vector<double>& rz, std::vector<double>& rr) {
        const PerChannel step{alpha[0], alpha[1], alpha[2]};
        combine(p_, step, x_, {1.0, 1.0, 1.0});
        combine(q_, {-step[0], -step[1], -step[2]}, r(), {1.0, 1.0, 1.0});
        assign(rr, dot(r(), r()));
        precondition();
        assign(rz, dot(r(), z()));
    }

    void direct(const std::vector<double>& beta) { combine(z(), {1.0, 1.0, 1.0}, p_, {beta[0], beta[1], beta[2]}); }

    void keep(std::size_t channel, double alpha) {
        saved_.reset(kColors, x_.n_rows(), x_.n_cols());
        PerChannel own{};
        PerChannel others{1.0, 1.0, 1.0};
        own[channel] = 1.0;
        others[channel] = 0.0;
        if (!any_saved_) {
            others = {};
            any_saved_ = true;
        }
        combine(x_, own, saved_, others);
        own[channel] = -alpha;
        combine(p_, own, saved_, {1.0, 1.0, 1.0});
    }

    void restore(std::size_t channel) {
        PerChannel own{};
        PerChannel others{1.0, 1.0, 1.0};
        own[channel] = 1.0;
        others[channel] = 0.0;
        combine(saved_, own, x_, others);
    }

    const Checkerboard<double>& solution() const { return x_; }

private:
    Checkerboard<double>& r() { return levels_.front().b(); }
    Checkerboard<double>& z() { return levels_.front().x(); }

    static void assign(std::vector<double>& to, const ChannelSums& sums) {
        std::copy(sums.value.begin(), sums.value.end(), to.begin());
    }

    double right_side(ptrdiff_t plane, ptrdiff_t row, ptrdiff_t col) const {
        const double a = static_cast<double>(alpha_(row, col));
        const double value = static_cast<double>(image_(row, col, plane % 3));
        return (plane < 3 ? a : 1.0 - a) * value;
    }

    // z = M r. Each cycle reads b and improves x from what it is; colours go forwards before the coarser level and
    // backwards after it, which makes M symmetric.
    void precondition() {
        levels_.front().clear();
        cycle(0);
    }

    void cycle(std::size_t l) {
        Level& level = levels_[l];
        level.relax(level.b(), 0);
        level.relax(level.b(), 1);
        if (l + 1 == levels_.size()) {
            return;
        }
        Level& coarse = levels_[l + 1];
        level.restrict_residual(level.b(), coarse);
        coarse.clear();
        for (int i = 0; i < kCoarseCycles; ++i) {
            cycle(l + 1);
        }
        level.add_interpolated(coarse);
        level.relax(level.b(), 1);
        level.relax(level.b(), 0);
    }

    View<const T, 3> image_;
    View<const T, 2> alpha_;
    std::vector<Level> levels_;
    Checkerboard<double> x_, p_, q_, saved_;
    bool any_saved_ = false;
};

template <class T>
void write(const Checkerboard<double>& colors, ptrdiff_t first_plane, ptrdiff_t layer, const View<T, 4>& out) {
    if (out.data() == nullptr) {
        return;
    }
    each_row(colors, [&](ptrdiff_t row) {
        for (ptrdiff_t col = 0; col < colors.n_cols(); ++col) {
            for (ptrdiff_t channel = 0; channel < 3; ++channel) {
                out(row, col, layer, channel) =
                    static_cast<T>(detail::unit_clamp(colors.at(first_plane + channel, row, col)));
            }
        }
    });
}

}  // namespace

template <class T>
std::vector<SolverInfo> closed_form_foreground(const View<const T, 3>& image, const View<const T, 3>& alphas,
                                               const View<T, 4>& foregrounds, const View<T, 4>& backgrounds,
                                               const ClosedFormForegroundParams& params, Monitor& monitor) {
    const ptrdiff_t height = alphas.extent(0);
    const ptrdiff_t width = alphas.extent(1);
    const ptrdiff_t n = alphas.extent(2);
    FASTSOFT_EXPECTS(height > 0 && width > 0 && n > 0, "alphas must not be empty");
    FASTSOFT_EXPECTS(image.extent(0) == height && image.extent(1) == width && image.extent(2) == 3,
                     "image must have shape (H, W, 3) with the size of alphas");
    for (const auto* const out : {&foregrounds, &backgrounds}) {
        FASTSOFT_EXPECTS(out->data() == nullptr || (out->extent(0) == height && out->extent(1) == width &&
                                                    out->extent(2) == n && out->extent(3) == 3),
                         "foregrounds and backgrounds must have shape (H, W, n, 3) with the sizes of alphas");
    }
    FASTSOFT_EXPECTS(params.regularization > 0.0, "regularization must be positive, got ", params.regularization);
    std::vector<SolverInfo> all;
    for (ptrdiff_t i = 0; i < n; ++i) {
        const View<const T, 2> alpha(alphas.data() + i * alphas.stride(2), {height, width},
                                     {alphas.stride(0), alphas.stride(1)});
        SubMonitor part(monitor, static_cast<double>(i) / static_cast<double>(n),
                        static_cast<double>(i + 1) / static_cast<double>(n));
        ForegroundSystem<T> system(image, alpha, params.regularization);
        const std::vector<double> norm_b = system.norm_b();
        for (std::size_t c = 0; c < norm_b.size(); ++c) {
            if (norm_b[c] == 0.0) {
                system.clear_channel(c);
            }
        }
        const auto info = detail::pcg_loop(system, norm_b, {params.tolerance, params.max_iterations, true}, part);
        all.insert(all.end(), info.begin(), info.end());
        write(system.solution(), 0, i, foregrounds);
        write(system.solution(), 3, i, backgrounds);
    }
    return all;
}

template std::vector<SolverInfo> closed_form_foreground<float>(const View<const float, 3>&, const View<const float, 3>&,
                                                               const View<float, 4>&, const View<float, 4>&,
                                                               const ClosedFormForegroundParams&, Monitor&);
template std::vector<SolverInfo> closed_form_foreground<double>(const View<const double, 3>&,
                                                                const View<const double, 3>&, const View<double, 4>&,
                                                                const View<double, 4>&,
                                                                const ClosedFormForegroundParams&, Monitor&);

}  // namespace fastsoft
