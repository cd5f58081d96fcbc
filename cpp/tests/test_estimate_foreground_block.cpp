// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cstring>
#include <limits>
#include <vector>

#include "check.hpp"
#include "emulate.hpp"
#include "fastsoft/detail/estimate_foreground_block.hpp"
#include "fastsoft/estimate_foreground.hpp"

namespace {

using fastsoft::BlurFusionParams;
using fastsoft::ForegroundFault;
using fastsoft::MultilevelParams;
using fastsoft::View;
using fastsoft::tests::Emulate;
using fastsoft::tests::Guarded;
using fastsoft::tests::Order;
namespace detail = fastsoft::detail;

// A photograph with its channels apart and its columns backwards, and alphas with regions of 0 and of 1.
template <class T>
struct Case {
    std::ptrdiff_t n_rows;
    std::ptrdiff_t n_cols;
    std::ptrdiff_t n_layers;
    std::vector<T> colors = fastsoft::tests::random_numbers<T>(n_rows * n_cols * 3, 3);
    std::vector<T> opacities = fastsoft::tests::random_numbers<T>(n_rows * n_cols * n_layers, 4);

    Case(std::ptrdiff_t rows, std::ptrdiff_t cols, std::ptrdiff_t layers)
        : n_rows(rows), n_cols(cols), n_layers(layers) {
        for (T& a : opacities) {
            a = std::clamp(T(1.6) * a - T(0.3), T(0), T(1));
        }
    }

    std::ptrdiff_t n_colors() const { return n_rows * n_cols * n_layers * 3; }
    View<const T, 3> image() const {
        return {colors.data() + n_cols - 1, {n_rows, n_cols, 3}, {n_cols, -1, n_rows * n_cols}};
    }
    View<const T, 3> alphas() const {
        return View<const T, 3>::contiguous(opacities.data(), {n_rows, n_cols, n_layers});
    }
    View<T, 4> result(T* data) const { return View<T, 4>::contiguous(data, {n_rows, n_cols, n_layers, 3}); }
};

template <class T>
ForegroundFault emulated(const Case<T>& c, const View<T, 4>& foregrounds, const View<T, 4>& backgrounds,
                         const MultilevelParams& params, Order order) {
    const detail::MultilevelRun<T> run{c.image(), c.alphas(), foregrounds, backgrounds, params};
    detail::ForegroundFaults faults{};
    Guarded<detail::ForegroundSums> sums(c.n_layers * run.n_sums());
    Guarded<T> first(c.n_layers * run.n_numbers());
    Guarded<T> second(c.n_layers * run.n_numbers());
    run.run(sums.data(), &faults, first.data(), second.data(), Emulate{order});
    CHECK(sums.intact() && first.intact() && second.intact());
    return faults.alpha != 0 ? ForegroundFault::alpha
                             : (faults.image != 0 ? ForegroundFault::image : ForegroundFault::none);
}

template <class T>
ForegroundFault emulated(const Case<T>& c, const View<T, 4>& foregrounds, const View<T, 4>& backgrounds,
                         const BlurFusionParams& params, Order order) {
    using Run = detail::FusionRun<T>;
    detail::ForegroundFaults faults{};
    for (std::ptrdiff_t layer = 0; layer < c.n_layers; ++layer) {
        Guarded<T> colors(Run::kColorNumbers * c.n_rows * c.n_cols);
        Guarded<T> columns(Run::kSumNumbers * c.n_rows * c.n_cols);
        Guarded<T> sums(Run::kSumNumbers * c.n_rows * c.n_cols);
        const Run run{c.image(),
                      detail::layer_of(c.alphas(), layer),
                      detail::layer_of(foregrounds, layer),
                      detail::layer_of(backgrounds, layer),
                      params,
                      &faults};
        run.run(colors.data(), columns.data(), sums.data(), Emulate{order});
        CHECK(colors.intact() && columns.intact() && sums.intact());
    }
    return faults.alpha != 0 ? ForegroundFault::alpha
                             : (faults.image != 0 ? ForegroundFault::image : ForegroundFault::none);
}

template <class T>
ForegroundFault on_cpu(const Case<T>& c, const View<T, 4>& foregrounds, const View<T, 4>& backgrounds,
                       const MultilevelParams& params) {
    fastsoft::SilentMonitor monitor;
    return fastsoft::multilevel_foreground<T>(c.image(), c.alphas(), foregrounds, backgrounds, params, monitor);
}

template <class T>
ForegroundFault on_cpu(const Case<T>& c, const View<T, 4>& foregrounds, const View<T, 4>& backgrounds,
                       const BlurFusionParams& params) {
    fastsoft::SilentMonitor monitor;
    return fastsoft::blur_fusion<T>(c.image(), c.alphas(), foregrounds, backgrounds, params, monitor);
}

template <class T, class Params>
void compare(std::ptrdiff_t n_rows, std::ptrdiff_t n_cols, std::ptrdiff_t n_layers, const Params& params,
             double epsilons) {
    const Case<T> c(n_rows, n_cols, n_layers);
    std::vector<T> foreground(static_cast<std::size_t>(c.n_colors()));
    std::vector<T> background(static_cast<std::size_t>(c.n_colors()));
    CHECK(on_cpu(c, c.result(foreground.data()), c.result(background.data()), params) == ForegroundFault::none);
    Guarded<T> found(c.n_colors());
    Guarded<T> behind(c.n_colors());
    Guarded<T> again(c.n_colors());
    CHECK(emulated(c, c.result(found.data()), c.result(behind.data()), params, Order::forward) ==
          ForegroundFault::none);
    CHECK(emulated(c, c.result(again.data()), View<T, 4>(), params, Order::backward) == ForegroundFault::none);
    CHECK(found == again);
    CHECK(found.intact() && behind.intact());
    const double bound = epsilons * static_cast<double>(std::numeric_limits<T>::epsilon());
    CHECK(fastsoft::tests::largest_difference(found.data(), foreground.data(), foreground.size()) < bound);
    CHECK(fastsoft::tests::largest_difference(behind.data(), background.data(), background.size()) < bound);
}

// Each of up to a hundred visits of a pixel averages its neighbours and adds a correction, with a few roundings.
constexpr double kMultilevelEpsilons = 100.0;

template <class T>
void compare_multilevel() {
    const MultilevelParams usual;
    const MultilevelParams many{1e-3, 0.5, 20, 3, 5, fastsoft::ForegroundOrder::red_black};
    const MultilevelParams tiles{1e-5, 1.0, 0, 10, 1, fastsoft::ForegroundOrder::red_black};
    for (const MultilevelParams& params : {usual, many, tiles}) {
        compare<T>(1, 1, 1, params, kMultilevelEpsilons);
        compare<T>(1, 2, 2, params, kMultilevelEpsilons);
        compare<T>(1, 150, 1, params, kMultilevelEpsilons);
        compare<T>(131, 1, 1, params, kMultilevelEpsilons);
        compare<T>(5, 7, 3, params, kMultilevelEpsilons);
        compare<T>(32, 48, 1, params, kMultilevelEpsilons);
        compare<T>(24, 32, 1, params, kMultilevelEpsilons);
        compare<T>(33, 49, 2, params, kMultilevelEpsilons);
        compare<T>(90, 141, 1, params, kMultilevelEpsilons);
    }
}

TEST(multilevel_blocks_do_what_the_cpu_does) {
    compare_multilevel<float>();
    compare_multilevel<double>();
}

// What is summed is not negative. The CPU adds and subtracts in double, and subtracts the mean of alpha from 1, which
// leaves less of it the nearer it is to 1 and is divided by no less than 1e-5.
template <class T>
void compare_blur_fusion() {
    const double epsilons = sizeof(T) == 4 ? 100.0 : 1e6;
    for (const BlurFusionParams& params : {BlurFusionParams{90, 6}, BlurFusionParams{1, 1}, BlurFusionParams{4, 200}}) {
        compare<T>(1, 1, 1, params, epsilons);
        compare<T>(1, 40, 2, params, epsilons);
        compare<T>(37, 1, 1, params, epsilons);
        compare<T>(6, 5, 2, params, epsilons);
        compare<T>(43, 61, 1, params, epsilons);
    }
}

TEST(blur_fusion_blocks_do_what_the_cpu_does) {
    compare_blur_fusion<float>();
    compare_blur_fusion<double>();
}

TEST(foreground_blocks_notice_values_that_are_no_colours) {
    for (const float bad : {std::numeric_limits<float>::quiet_NaN(), -0.25f, 1.5f}) {
        for (const bool in_alpha : {false, true}) {
            Case<float> c(20, 31, 2);
            (in_alpha ? c.opacities[577] : c.colors[803]) = bad;
            std::vector<float> out(static_cast<std::size_t>(c.n_colors()));
            const auto expected = in_alpha ? ForegroundFault::alpha : ForegroundFault::image;
            const View<float, 4> none;
            CHECK(emulated(c, c.result(out.data()), none, MultilevelParams{}, Order::forward) == expected);
            CHECK(emulated(c, c.result(out.data()), none, BlurFusionParams{5, 2}, Order::forward) == expected);
        }
    }
}

}  // namespace
