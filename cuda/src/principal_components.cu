// SPDX-License-Identifier: MIT
#include "fastsoft/principal_components.hpp"

#include <algorithm>
#include <limits>
#include <vector>

#include "fastsoft/cuda/launch.cuh"
#include "fastsoft/cuda/workspace.cuh"
#include "fastsoft/detail/principal_components_block.hpp"
#include "fastsoft/detail/principal_components_loop.hpp"
#include "fastsoft/detail/sums_block.hpp"

namespace fastsoft::cuda {
namespace {

std::size_t at(std::ptrdiff_t index) {
    return static_cast<std::size_t>(index);
}

// What detail::principal_components_loop calls.
template <class T>
class System {
public:
    System(const Context& context, const View<const T, 3>& values, std::ptrdiff_t n_components, double clip, T* scores)
        : context_(context),
          pixels_(values, static_cast<T>(std::min(clip, static_cast<double>(std::numeric_limits<T>::max())))),
          n_components_(n_components),
          scores_(scores),
          n_products_(Products::n_tiles(values.extent(2)) * Products::kTile * Products::kTile),
          moments_(context, at(2 * values.extent(2) + n_products_)) {}

    bool sum_up(std::vector<double>& mean, std::vector<double>& covariance, Monitor&) {
        const std::ptrdiff_t n = pixels_.n();
        const std::ptrdiff_t n_channels = pixels_.n_channels();
        const Workspace<int> not_finite(context_, 1);
        not_finite.clear(1);
        const detail::PcaCenter center = center_of_sums();
        {
            const std::ptrdiff_t chunk = Mean::chunk_of(n);
            const Workspace<double> sums(context_, at(divide_up(n, chunk) * n_channels));
            launch<Mean>(context_, "principal_components (means)",
                         {pixels_, chunk, not_finite.data(), sums.data(), center.first});
            add_rows(sums.data(), divide_up(n, chunk), n_channels, center.mean);
        }
        {
            const std::ptrdiff_t chunk = Products::chunk_of(n, n_channels);
            const Workspace<double> sums(context_, at(divide_up(n, chunk) * n_products_));
            launch<Products>(context_, "principal_components (products)", {pixels_, center, chunk, sums.data()});
            add_rows(sums.data(), divide_up(n, chunk), n_products_, moments_.data() + 2 * n_channels);
        }
        std::vector<double> moments(at(2 * n_channels + n_products_));
        copy(context_, moments.data(), moments_.data(), 2 * n_channels + n_products_, cudaMemcpyDeviceToHost);
        if (read_back(context_, not_finite.data()) != 0) {
            return false;
        }
        const double* const products = moments.data() + 2 * n_channels;
        for (std::ptrdiff_t i = 0; i < n_channels; ++i) {
            mean[at(i)] = moments[at(n_channels + i)] + moments[at(i)];
            for (std::ptrdiff_t j = 0; j <= i; ++j) {
                const double value = products[Products::place(i, j)];
                covariance[at(i * n_channels + j)] = value;
                covariance[at(j * n_channels + i)] = value;
            }
        }
        return true;
    }

    void project(const detail::PrincipalAxes& axes, double* low, double* high, Monitor& monitor) const {
        using Scores = detail::PcaScoresBlock<T>;
        using Range = detail::PcaRangeBlock<T>;
        const Workspace<double> basis(context_, axes.basis.size());
        fill(basis.data(), axes.basis);
        launch<Scores>(context_, "principal_components (scores)",
                       {pixels_, center_of_sums(), basis.data(), n_components_, axes.rank, scores_});
        const std::ptrdiff_t chunk = Mean::chunk_of(pixels_.n());
        const std::ptrdiff_t n_chunks = divide_up(pixels_.n(), chunk);
        const Workspace<T> ranges(context_, at(2 * n_chunks * n_components_));
        T* const lows = ranges.data();
        T* const highs = ranges.data() + n_chunks * n_components_;
        launch<Range>(context_, "principal_components (ranges)",
                      {scores_, scores_, pixels_.n(), n_components_, chunk, lows, highs, nullptr, nullptr});
        launch<Range>(context_, "principal_components (range of all)",
                      {lows, highs, n_chunks, n_components_, n_chunks, nullptr, nullptr, low, high});
        monitor.report(1.0);
    }

    void fill(double* to, const std::vector<double>& values) const {
        copy(context_, to, values.data(), static_cast<std::ptrdiff_t>(values.size()), cudaMemcpyHostToDevice);
    }

private:
    using Mean = detail::PcaMeanBlock<T>;
    using Products = detail::PcaProductsBlock<T>;

    detail::PcaCenter center_of_sums() const { return {moments_.data(), moments_.data() + pixels_.n_channels()}; }

    // Means over the pixels from sums of chunks.
    void add_rows(const double* values, std::ptrdiff_t n_rows, std::ptrdiff_t n_cols, double* out) {
        using Columns = detail::ColumnMeansBlock;
        launch<Columns>(context_, "principal_components (sums of chunks)",
                        {values, n_rows, n_cols, out, static_cast<double>(pixels_.n())});
    }

    const Context& context_;
    detail::PcaPixels<T> pixels_;
    std::ptrdiff_t n_components_;
    T* scores_;
    std::ptrdiff_t n_products_;
    Workspace<double> moments_;  // means less the first pixel, that pixel, products
};

}  // namespace

template <class T>
PrincipalComponentsInfo principal_components(const Context& context, const View<const T, 3>& values,
                                             std::ptrdiff_t n_components, double clip,
                                             const PrincipalComponents<T>& out, Monitor& monitor) {
    detail::check_principal_components(values, n_components, clip);
    System<T> system(context, values, n_components, clip, out.scores);
    return detail::principal_components_loop<T>(system, values.extent(2), n_components, out, monitor);
}

template PrincipalComponentsInfo principal_components<float>(const Context&, const View<const float, 3>&,
                                                             std::ptrdiff_t, double, const PrincipalComponents<float>&,
                                                             Monitor&);
template PrincipalComponentsInfo principal_components<double>(const Context&, const View<const double, 3>&,
                                                              std::ptrdiff_t, double,
                                                              const PrincipalComponents<double>&, Monitor&);

}  // namespace fastsoft::cuda
