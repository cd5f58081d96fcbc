// SPDX-License-Identifier: MIT
#include "fastsoft/matting_errors.hpp"

#include "fastsoft/cuda/launch.cuh"
#include "fastsoft/cuda/workspace.cuh"
#include "fastsoft/detail/matting_errors_block.hpp"

namespace fastsoft::cuda {
template <class T>
double gradient_error(const Context& context, const View<const T, 2>& alpha, const View<const T, 2>& truth,
                      const View<const std::uint8_t, 2>& region, double sigma, int half_size, double alpha_scale,
                      double truth_scale) {
    using Block = detail::GradientErrorBlock<T>;
    using Total = detail::GradientTotalBlock;
    detail::check_gradient_error(alpha, truth, region);
    typename Block::Arguments arguments{alpha,       truth,       region, detail::gradient_taps(sigma, half_size),
                                        alpha_scale, truth_scale, nullptr};
    const std::ptrdiff_t n_tiles = Block::n_blocks(arguments);
    const Workspace<double> sums(context, static_cast<std::size_t>(n_tiles) + 1);
    double* const total = sums.data() + n_tiles;
    arguments.partial = sums.data();
    launch<Block>(context, "matting_errors (gradient)", arguments);
    launch<Total>(context, "matting_errors (total)", {sums.data(), n_tiles, total});
    return read_back(context, total);
}

template double gradient_error(const Context&, const View<const float, 2>&, const View<const float, 2>&,
                               const View<const std::uint8_t, 2>&, double, int, double, double);
template double gradient_error(const Context&, const View<const double, 2>&, const View<const double, 2>&,
                               const View<const std::uint8_t, 2>&, double, int, double, double);

}  // namespace fastsoft::cuda
