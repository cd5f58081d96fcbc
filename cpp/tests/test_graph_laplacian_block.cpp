// SPDX-License-Identifier: MIT
#include <cmath>
#include <limits>
#include <vector>

#include "check.hpp"
#include "emulate.hpp"
#include "fastsoft/detail/graph_laplacian_block.hpp"
#include "fastsoft/graph_laplacian.hpp"

namespace {

using fastsoft::CsrView;
using fastsoft::kStencilColOffset;
using fastsoft::kStencilRowOffset;
using fastsoft::kStencilSize;
using fastsoft::tests::at;
using fastsoft::tests::Guarded;
using fastsoft::tests::Order;
namespace detail = fastsoft::detail;

template <class Step>
void run(const typename Step::Arguments& arguments, Order order) {
    fastsoft::tests::emulate<detail::EachBlock<Step>>(arguments, order);
}

using Dense = std::vector<std::vector<double>>;

Dense zeros(std::ptrdiff_t n) {
    return Dense(at(n), std::vector<double>(at(n)));
}

// A matrix with the given share of entries, some rows of which are empty and some diagonals missing.
template <class T>
struct Sparse {
    std::vector<std::int64_t> indptr{0};
    std::vector<std::int32_t> indices;
    std::vector<T> data;
    Dense dense;

    Sparse(std::ptrdiff_t n, double share, std::uint64_t seed) : dense(zeros(n)) {
        const auto dice = fastsoft::tests::random_numbers<double>(2 * n * n, seed);
        for (std::ptrdiff_t i = 0; i < n; ++i) {
            for (std::ptrdiff_t j = 0; j < n; ++j) {
                if (i % 5 != 3 && dice[at(i * n + j)] < share) {
                    indices.push_back(static_cast<std::int32_t>(j));
                    data.push_back(static_cast<T>(dice[at(n * n + i * n + j)] - 0.25));
                    dense[at(i)][at(j)] = static_cast<double>(data.back());
                }
            }
            indptr.push_back(static_cast<std::int64_t>(indices.size()));
        }
    }

    CsrView<T> view() const {
        return {static_cast<std::ptrdiff_t>(dense.size()), indptr.data(), indices.data(), data.data()};
    }
};

// Row pointers of counts.
std::vector<std::int64_t> pointers(const Guarded<std::int32_t>& counts) {
    std::vector<std::int64_t> indptr{0};
    for (std::size_t i = 0; i < counts.size(); ++i) {
        indptr.push_back(indptr.back() + counts[static_cast<std::ptrdiff_t>(i)]);
    }
    return indptr;
}

// The found rows hold exactly the entries that are expected, in order.
template <class T, class Expected>
void compare_rows(const std::vector<std::int64_t>& indptr, const Guarded<std::int32_t>& indices, const Guarded<T>& data,
                  std::ptrdiff_t n, const Expected& expected) {
    for (std::ptrdiff_t i = 0; i < n; ++i) {
        std::int64_t e = indptr[at(i)];
        for (std::ptrdiff_t j = 0; j < n; ++j) {
            double value = 0.0;
            if (expected(i, j, value)) {
                CHECK(e < indptr[at(i + 1)]);
                CHECK_EQUAL(indices[e], static_cast<std::int32_t>(j));
                const double bound =
                    4.0 * static_cast<double>(n) * static_cast<double>(std::numeric_limits<T>::epsilon());
                CHECK(std::abs(static_cast<double>(data[e]) - value) < bound);
                ++e;
            }
        }
        CHECK_EQUAL(e, indptr[at(i + 1)]);
    }
}

template <class T>
void compare_sum(std::ptrdiff_t n, Order order) {
    const Sparse<T> first(n, 0.2, 1);
    const Sparse<T> second(n, 0.3, 2);
    Guarded<std::int32_t> counts(n);
    std::int32_t unsorted = 0;
    typename detail::SummedRows<T>::Arguments rows{first.view(), T(0.5),  second.view(), T(-2),  counts.data(),
                                                   &unsorted,    nullptr, nullptr,       nullptr};
    run<detail::SummedRows<T>>(rows, order);
    CHECK(counts.intact());
    CHECK_EQUAL(unsorted, 0);
    const auto indptr = pointers(counts);
    Guarded<std::int32_t> indices(indptr.back());
    Guarded<T> data(indptr.back());
    rows.indptr = indptr.data();
    rows.indices = indices.data();
    rows.data = data.data();
    run<detail::SummedRows<T>>(rows, order);
    CHECK(indices.intact() && data.intact());
    compare_rows(indptr, indices, data, n, [&](std::ptrdiff_t i, std::ptrdiff_t j, double& value) {
        value = 0.5 * first.dense[at(i)][at(j)] - 2.0 * second.dense[at(i)][at(j)];
        return value != 0.0;
    });
}

template <class T>
void compare_laplacian(std::ptrdiff_t n, bool scaled, Order order) {
    const Sparse<T> matrix(n, 0.25, 3);
    const auto scale = fastsoft::tests::random_numbers<double>(n, 4);
    const double* const factors = scaled ? scale.data() : nullptr;
    Guarded<std::int32_t> counts(n);
    std::int32_t unsorted = 0;
    run<detail::LaplacianCounts<T>>({matrix.view(), counts.data(), &unsorted}, order);
    CHECK(counts.intact());
    CHECK_EQUAL(unsorted, 0);
    const auto indptr = pointers(counts);
    Guarded<std::int32_t> indices(indptr.back());
    Guarded<T> data(indptr.back());
    run<detail::LaplacianRows<T>>({matrix.view(), factors, indptr.data(), indices.data(), data.data()}, order);
    CHECK(indices.intact() && data.intact());
    compare_rows(indptr, indices, data, n, [&](std::ptrdiff_t i, std::ptrdiff_t j, double& value) {
        const auto& row = matrix.dense[at(i)];
        bool any = false;
        double sum = 0.0;
        for (std::ptrdiff_t k = 0; k < n; ++k) {
            any = any || row[at(k)] != 0.0;
            sum += k == i ? 0.0 : row[at(k)];
        }
        const double factor = scaled ? scale[at(i)] * scale[at(j)] : 1.0;
        value = (i == j ? sum : -row[at(j)]) * factor;
        return i == j ? any : row[at(j)] != 0.0;
    });
    // Row sums, with the diagonal.
    Guarded<double> sums(n);
    Guarded<double> magnitudes(n);
    for (const bool add : {false, true}) {
        run<detail::CsrDegrees<T>>({matrix.view(), add, sums.data(), magnitudes.data()}, order);
        for (std::ptrdiff_t i = 0; i < n; ++i) {
            double sum = 0.0;
            double magnitude = 0.0;
            for (const double w : matrix.dense[at(i)]) {
                sum += w;
                magnitude += std::abs(w);
            }
            CHECK(std::abs(sums[i] - (add ? 2 : 1) * sum) < 1e-13);
            CHECK(std::abs(magnitudes[i] - (add ? 2 : 1) * magnitude) < 1e-13);
        }
    }
}

TEST(sparse_rows_are_those_of_dense_matrices) {
    for (const Order order : {Order::forward, Order::backward}) {
        for (const std::ptrdiff_t n : {1, 4, 30, 300}) {
            compare_sum<float>(n, order);
            compare_sum<double>(n, order);
            compare_laplacian<float>(n, false, order);
            compare_laplacian<double>(n, true, order);
        }
    }
}

TEST(unsorted_and_repeated_columns_are_noticed) {
    const std::vector<std::int64_t> indptr{0, 2, 2, 4};
    const std::vector<float> data(4, 1.0F);
    for (const auto& indices : {std::vector<std::int32_t>{1, 0, 1, 2}, {0, 1, 2, 2}}) {
        const CsrView<float> matrix{3, indptr.data(), indices.data(), data.data()};
        Guarded<std::int32_t> counts(3);
        std::int32_t unsorted = 0;
        run<detail::LaplacianCounts<float>>({matrix, counts.data(), &unsorted}, Order::forward);
        CHECK_EQUAL(unsorted, 1);
        unsorted = 0;
        run<detail::SummedRows<float>>(
            {matrix, 1.0F, matrix, 1.0F, counts.data(), &unsorted, nullptr, nullptr, nullptr}, Order::forward);
        CHECK_EQUAL(unsorted, 1);
    }
}

template <class T>
void compare_stencil(std::ptrdiff_t n_rows, std::ptrdiff_t n_cols, bool scaled, Order order) {
    const std::ptrdiff_t n = n_rows * n_cols;
    auto weights = fastsoft::tests::random_numbers<T>(kStencilSize * n, 6);
    Dense dense = zeros(n);
    for (int k = 0; k < kStencilSize; ++k) {
        for (std::ptrdiff_t i = 0; i < n; ++i) {
            const std::ptrdiff_t row = i / n_cols + kStencilRowOffset[k];
            const std::ptrdiff_t col = i % n_cols + kStencilColOffset[k];
            T& w = weights[at(k * n + i)];
            if (row >= n_rows || col < 0 || col >= n_cols) {
                w = T(0);
                continue;
            }
            dense[at(i)][at(row * n_cols + col)] = static_cast<double>(w);
            dense[at(row * n_cols + col)][at(i)] = static_cast<double>(w);
        }
    }
    const auto scale = fastsoft::tests::random_numbers<double>(n, 7);
    Guarded<double> sums(n);
    Guarded<double> magnitudes(n);
    run<detail::StencilDegrees<T>>({weights.data(), n_rows, n_cols, false, sums.data(), magnitudes.data()}, order);
    run<detail::StencilDegrees<T>>({weights.data(), n_rows, n_cols, true, sums.data(), magnitudes.data()}, order);
    Guarded<T> found(kStencilSize * n);
    run<detail::StencilLaplacian<T>>({weights.data(), n_rows, n_cols, scaled ? scale.data() : nullptr, found.data()},
                                     order);
    CHECK(sums.intact() && magnitudes.intact() && found.intact());
    const double bound = 24 * static_cast<double>(std::numeric_limits<T>::epsilon());
    for (std::ptrdiff_t i = 0; i < n; ++i) {
        double sum = 0.0;
        for (const double w : dense[at(i)]) {
            sum += w;
        }
        CHECK(std::abs(sums[i] - 2 * sum) < 1e-12);
        CHECK(std::abs(magnitudes[i] - 2 * sum) < 1e-12);
        for (int k = 0; k < kStencilSize; ++k) {
            const std::ptrdiff_t row = i / n_cols + kStencilRowOffset[k];
            const std::ptrdiff_t col = i % n_cols + kStencilColOffset[k];
            const std::ptrdiff_t j = row * n_cols + col;
            const T value = found[k * n + i];
            if (row >= n_rows || col < 0 || col >= n_cols) {
                CHECK(value == T(0) && !std::signbit(value));
                continue;
            }
            const double factor = scaled ? scale[at(i)] * scale[at(j)] : 1.0;
            const double expected = (k == 0 ? sum - dense[at(i)][at(i)] : -dense[at(i)][at(j)]) * factor;
            CHECK(std::abs(static_cast<double>(value) - expected) < bound);
        }
    }
}

TEST(stencil_rows_are_those_of_dense_matrices) {
    for (const Order order : {Order::forward, Order::backward}) {
        for (const bool scaled : {false, true}) {
            compare_stencil<float>(1, 1, scaled, order);
            compare_stencil<double>(1, 8, scaled, order);
            compare_stencil<float>(8, 1, scaled, order);
            compare_stencil<double>(2, 3, scaled, order);
            compare_stencil<double>(17, 19, scaled, order);
        }
    }
}

}  // namespace
