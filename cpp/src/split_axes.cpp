// SPDX-License-Identifier: MIT
#include "fastsoft/detail/split_axes.hpp"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>

namespace fastsoft::detail {
namespace {

constexpr std::ptrdiff_t kMaxAxes = 3;

}  // namespace

std::vector<std::vector<double>> split_axes(const std::vector<double>& covariance, std::ptrdiff_t d) {
    using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
    const Eigen::MatrixXd matrix = Eigen::Map<const RowMajor>(covariance.data(), d, d);
    const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(matrix);
    std::vector<std::vector<double>> axes;
    for (std::ptrdiff_t axis = 0; axis < std::min(d, kMaxAxes); ++axis) {
        const Eigen::Index column = d - 1 - axis;
        const double variance = solver.eigenvalues()(column);
        if (!(variance > 0.0)) {
            break;
        }
        Eigen::VectorXd direction = solver.eigenvectors().col(column) * std::sqrt(variance);
        // The sign of an eigenvector is arbitrary.
        Eigen::Index largest = 0;
        direction.cwiseAbs().maxCoeff(&largest);
        if (direction(largest) < 0.0) {
            direction = -direction;
        }
        axes.emplace_back(direction.data(), direction.data() + d);
    }
    return axes;
}

}  // namespace fastsoft::detail
