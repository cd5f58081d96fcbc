// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "check.hpp"
#include "emulate.hpp"
#include "fastsoft/detail/symmetric_operator_block.hpp"

namespace {

using fastsoft::CsrView;
using fastsoft::kStencilColOffset;
using fastsoft::kStencilRowOffset;
using fastsoft::kStencilSize;
using fastsoft::ProductFactors;
using fastsoft::StencilView;
using fastsoft::SymmetricOperator;
using fastsoft::tests::Emulate;
using fastsoft::tests::Guarded;
using fastsoft::tests::Order;
namespace detail = fastsoft::detail;

// A stencil and, by its definition, the dense matrix. Weights outside the grid are 0.
template <class T>
struct RandomStencil {
    std::ptrdiff_t n_rows, n_cols;
    std::vector<T> weights;

    RandomStencil(std::ptrdiff_t rows, std::ptrdiff_t cols, std::uint64_t seed)
        : n_rows(rows), n_cols(cols), weights(fastsoft::tests::random_numbers<T>(kStencilSize * rows * cols, seed)) {
        for (int k = 0; k < kStencilSize; ++k) {
            for (std::ptrdiff_t i = 0; i < rows * cols; ++i) {
                T& weight = weights[static_cast<std::size_t>(k * rows * cols + i)];
                weight = inside(i, k) ? weight - T(0.5) : T(0);
            }
        }
    }

    bool inside(std::ptrdiff_t i, int k) const {
        const std::ptrdiff_t row = i / n_cols + kStencilRowOffset[k];
        const std::ptrdiff_t col = i % n_cols + kStencilColOffset[k];
        return row < n_rows && col >= 0 && col < n_cols;
    }

    void add_to(std::vector<double>& dense) const {
        const std::ptrdiff_t n = n_rows * n_cols;
        for (int k = 0; k < kStencilSize; ++k) {
            for (std::ptrdiff_t i = 0; i < n; ++i) {
                const double weight = static_cast<double>(weights[static_cast<std::size_t>(k * n + i)]);
                if (!inside(i, k)) {
                    continue;
                }
                const std::ptrdiff_t j = i + kStencilRowOffset[k] * n_cols + kStencilColOffset[k];
                dense[static_cast<std::size_t>(i * n + j)] += weight;
                if (i != j) {
                    dense[static_cast<std::size_t>(j * n + i)] += weight;
                }
            }
        }
    }

    StencilView<T> view() const { return {weights.data(), n_rows, n_cols}; }
};

// Rows of 0, 1, .. and sometimes all n entries; columns neither sorted nor unique.
template <class T>
struct RandomCsr {
    std::vector<std::int64_t> indptr{0};
    std::vector<std::int32_t> indices;
    std::vector<T> data;

    RandomCsr(std::ptrdiff_t n, std::uint64_t seed) {
        const auto numbers = fastsoft::tests::random_numbers<double>(2 * n * (n + 20) + n, seed);
        std::size_t next = 0;
        for (std::ptrdiff_t i = 0; i < n; ++i) {
            const double kind = numbers[next++];
            const std::ptrdiff_t length = kind < 0.4 ? 0 : (kind > 0.95 ? n : static_cast<std::ptrdiff_t>(kind * 20.0));
            for (std::ptrdiff_t e = 0; e < length; ++e) {
                indices.push_back(static_cast<std::int32_t>(numbers[next++] * static_cast<double>(n)));
                data.push_back(static_cast<T>(numbers[next++] - 0.5));
            }
            indptr.push_back(static_cast<std::int64_t>(indices.size()));
        }
    }

    void add_to(std::vector<double>& dense) const {
        const std::size_t n = indptr.size() - 1;
        for (std::size_t i = 0; i < n; ++i) {
            for (auto e = static_cast<std::size_t>(indptr[i]); e < static_cast<std::size_t>(indptr[i + 1]); ++e) {
                dense[i * n + static_cast<std::size_t>(indices[e])] += static_cast<double>(data[e]);
            }
        }
    }

    CsrView<T> view() const {
        return {static_cast<std::ptrdiff_t>(indptr.size()) - 1, indptr.data(), indices.data(), data.data()};
    }
};

// What y was matters where it has a factor; elsewhere it is NaN.
template <class T>
void check_product(const SymmetricOperator<T>& op, const std::vector<double>& dense, std::ptrdiff_t n_vectors,
                   const ProductFactors<T>& factors) {
    const std::ptrdiff_t n = op.n;
    const auto x = fastsoft::tests::random_numbers<T>(n * n_vectors, 5);
    const auto before = fastsoft::tests::random_numbers<T>(n * n_vectors, 6);
    Guarded<T> forward(n * n_vectors);
    Guarded<T> backward(n * n_vectors);
    if (factors.y != T(0)) {
        std::copy(before.begin(), before.end(), forward.data());
        std::copy(before.begin(), before.end(), backward.data());
    }
    detail::run_apply(op, x.data(), forward.data(), n_vectors, factors, Emulate{Order::forward});
    detail::run_apply(op, x.data(), backward.data(), n_vectors, factors, Emulate{Order::backward});
    CHECK(forward.intact());
    CHECK(forward == backward);
    for (std::ptrdiff_t v = 0; v < n_vectors; ++v) {
        for (std::ptrdiff_t i = 0; i < n; ++i) {
            const auto element = static_cast<std::size_t>(v * n + i);
            double expected = static_cast<double>(factors.x) * static_cast<double>(x[element]) +
                              static_cast<double>(factors.y) * static_cast<double>(before[element]);
            double size = std::abs(expected);
            for (std::ptrdiff_t j = 0; j < n; ++j) {
                const double term = static_cast<double>(factors.product) * dense[static_cast<std::size_t>(i * n + j)] *
                                    static_cast<double>(x[static_cast<std::size_t>(v * n + j)]);
                expected += term;
                size += std::abs(term);
            }
            // As many roundings as a row has terms, at most 2 n + 25 here, at random: far fewer in effect. The
            // entries of duplicate columns may cancel in `dense`.
            const double bound = 100.0 * static_cast<double>(std::numeric_limits<T>::epsilon()) * (size + 1.0);
            CHECK(std::abs(static_cast<double>(forward[v * n + i]) - expected) <= bound);
        }
    }
}

template <class T>
void check_products(const SymmetricOperator<T>& op, const std::vector<double>& dense) {
    for (const std::ptrdiff_t n_vectors : {1, 2, 3, 4, 5, 8, 9, 17}) {
        check_product<T>(op, dense, n_vectors, {});
    }
    for (const std::ptrdiff_t n_vectors : {1, 9}) {
        check_product<T>(op, dense, n_vectors, {T(-2), T(1.5), T(0)});
        check_product<T>(op, dense, n_vectors, {T(1), T(0), T(1)});
        check_product<T>(op, dense, n_vectors, {T(0.5), T(-1), T(-3)});
    }
}

template <class T>
void check_rows(const SymmetricOperator<T>& op, const std::vector<double>& dense) {
    const std::ptrdiff_t n = op.n;
    const double eps = 100.0 * static_cast<double>(std::numeric_limits<T>::epsilon());
    Guarded<T> diagonal(n);
    Guarded<T> again(n);
    detail::run_rows<detail::RowQuantity::diagonal>(op, diagonal.data(), Emulate{Order::forward});
    detail::run_rows<detail::RowQuantity::diagonal>(op, again.data(), Emulate{Order::backward});
    CHECK(diagonal.intact() && diagonal == again);
    Guarded<T> ends(2 * n);
    detail::run_rows<detail::RowQuantity::interval>(op, ends.data(), Emulate{Order::forward});
    CHECK(ends.intact());
    for (std::ptrdiff_t i = 0; i < n; ++i) {
        double radius = 0.0;
        for (std::ptrdiff_t j = 0; j < n; ++j) {
            radius += j == i ? 0.0 : std::abs(dense[static_cast<std::size_t>(i * n + j)]);
        }
        const double centre = dense[static_cast<std::size_t>(i * n + i)];
        CHECK(std::abs(static_cast<double>(diagonal[i]) - centre) <= eps);
        // Terms that cancel in the sum do not in the bound.
        CHECK(static_cast<double>(ends[i]) <= centre - radius + eps * (radius + 1.0));
        CHECK(static_cast<double>(ends[n + i]) >= centre + radius - eps * (radius + 1.0));
    }
}

template <class T>
void check_grid(std::ptrdiff_t n_rows, std::ptrdiff_t n_cols) {
    const std::ptrdiff_t n = n_rows * n_cols;
    const RandomStencil<T> first(n_rows, n_cols, 1);
    const RandomStencil<T> second(n_rows, n_cols, 2);
    const RandomCsr<T> third(n, 3);
    const RandomCsr<T> fourth(n, 4);
    for (const int which : {1, 4, 5, 15}) {
        SymmetricOperator<T> op;
        op.n = n;
        std::vector<double> dense(static_cast<std::size_t>(n * n), 0.0);
        for (const auto* stencil : {&first, &second}) {
            if ((which >> (stencil == &first ? 0 : 1)) & 1) {
                op.stencils.push_back(stencil->view());
                stencil->add_to(dense);
            }
        }
        for (const auto* csr : {&third, &fourth}) {
            if ((which >> (csr == &third ? 2 : 3)) & 1) {
                op.csrs.push_back(csr->view());
                csr->add_to(dense);
            }
        }
        check_products(op, dense);
        check_rows(op, dense);
    }
}

TEST(symmetric_operator_block_equals_its_dense_definition) {
    for (const auto& [n_rows, n_cols] : {std::pair{1, 1}, {1, 9}, {9, 1}, {2, 3}, {3, 2}, {5, 5}, {9, 33}, {17, 7}}) {
        check_grid<float>(n_rows, n_cols);
        check_grid<double>(n_rows, n_cols);
    }
}

// For a symmetric matrix in one term, the intervals are those of the dense rows: the same bounds as on the CPU.
TEST(symmetric_operator_block_has_the_cpu_bounds) {
    const RandomStencil<double> stencil(13, 37, 6);
    SymmetricOperator<double> op;
    op.n = 13 * 37;
    op.stencils.push_back(stencil.view());
    double lower = 0.0;
    double upper = 0.0;
    op.spectrum_bounds(&lower, &upper);
    Guarded<double> ends(2 * op.n);
    detail::run_rows<detail::RowQuantity::interval>(op, ends.data(), Emulate{Order::backward});
    double* const middle = ends.data() + op.n;
    CHECK(std::abs(*std::min_element(ends.data(), middle) - lower) < 1e-13);
    CHECK(std::abs(*std::max_element(middle, middle + op.n) - upper) < 1e-13);
}

}  // namespace
