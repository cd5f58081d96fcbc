// SPDX-License-Identifier: MIT
#include "fastsoft/detail/principal_axes.hpp"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "fastsoft/principal_components.hpp"

namespace fastsoft::detail {
namespace {

// Fixes the sign: the first of the largest loadings is positive.
void fix_sign(Eigen::Ref<Eigen::VectorXd> direction) {
    const double largest = direction.cwiseAbs().maxCoeff();
    Eigen::Index first = 0;
    while (std::abs(direction(first)) < (1.0 - kSameLoading) * largest) {
        ++first;
    }
    if (direction(first) < 0.0) {
        direction = -direction;
    }
}

// The unit vector that lies farthest from the first k columns of the orthonormal basis, made orthogonal to them. Its
// own loading is the largest of the result and positive: entry (i, j) of a projector is at most the root of (i, i) (j,
// j).
Eigen::VectorXd complete(const Eigen::MatrixXd& basis, Eigen::Index k) {
    const Eigen::VectorXd within = basis.leftCols(k).rowwise().squaredNorm();
    const double least = k > 0 ? within.minCoeff() : 0.0;
    Eigen::Index channel = 0;
    while (k > 0 && within(channel) > least + kSameLoading) {
        ++channel;
    }
    Eigen::VectorXd direction = Eigen::VectorXd::Unit(basis.rows(), channel);
    for (int pass = 0; pass < 2; ++pass) {  // the second removes what rounding left
        direction -= basis.leftCols(k) * (basis.leftCols(k).transpose() * direction);
    }
    return direction.normalized();
}

}  // namespace

PrincipalAxes principal_axes(const std::vector<double>& values, std::ptrdiff_t n_channels, std::ptrdiff_t n) {
    const Eigen::Map<const Eigen::MatrixXd> covariance(values.data(), n_channels, n_channels);
    const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(covariance);
    if (solver.info() != Eigen::Success) {
        throw std::runtime_error("the eigenvectors of the covariance did not converge");
    }
    const double zero =
        static_cast<double>(n_channels) * std::numeric_limits<double>::epsilon() * solver.eigenvalues()(n_channels - 1);
    PrincipalAxes axes;
    axes.basis.resize(static_cast<std::size_t>(n_channels * n));
    axes.variances.assign(static_cast<std::size_t>(n), 0.0);
    Eigen::MatrixXd basis(n_channels, n);
    for (std::ptrdiff_t k = 0; k < n; ++k) {
        const double variance = solver.eigenvalues()(n_channels - 1 - k);
        if (variance > std::max(zero, 0.0)) {
            axes.variances[static_cast<std::size_t>(k)] = variance;
            basis.col(k) = solver.eigenvectors().col(n_channels - 1 - k);
            fix_sign(basis.col(k));
            ++axes.rank;
        } else {
            basis.col(k) = complete(basis, k);
        }
    }
    for (std::ptrdiff_t c = 0; c < n_channels; ++c) {
        for (std::ptrdiff_t k = 0; k < n; ++k) {
            axes.basis[static_cast<std::size_t>(c * n + k)] = basis(c, k);
        }
    }
    return axes;
}

}  // namespace fastsoft::detail
