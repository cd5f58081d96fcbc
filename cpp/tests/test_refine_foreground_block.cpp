// SPDX-License-Identifier: MIT
#include <algorithm>
#include <limits>
#include <vector>

#include "check.hpp"
#include "emulate.hpp"
#include "fastsoft/detail/refine_foreground_block.hpp"
#include "fastsoft/refine_foreground.hpp"

namespace {

using fastsoft::RefineForegroundParams;
using fastsoft::RefineOrder;
using fastsoft::View;
using fastsoft::tests::Guarded;
using fastsoft::tests::Order;
namespace detail = fastsoft::detail;

template <class T, bool Jacobi>
void emulate_run(const detail::RefineRun<T, Jacobi>& run, Order order) {
    const std::ptrdiff_t n_pixels = run.alpha.size();
    Guarded<T> level(run.kLevelNumbers * n_pixels);
    Guarded<T> first(run.kColorNumbers * n_pixels);
    Guarded<T> second(run.kColorNumbers * n_pixels);
    double last = -1.0;
    run.run(level.data(), first.data(), second.data(), fastsoft::tests::Emulate{order}, [&](double fraction) {
        CHECK(fraction > last && fraction < 1.0);
        last = fraction;
    });
    CHECK(level.intact() && first.intact() && second.intact());
}

template <class T, bool Jacobi>
void compare(std::ptrdiff_t n_rows, std::ptrdiff_t n_cols, int n_scales, int iterations, double kappa) {
    const auto colors = fastsoft::tests::random_numbers<T>(n_rows * n_cols * 3, 5);
    auto opacities = fastsoft::tests::random_numbers<T>(n_rows * n_cols, 6);
    for (T& a : opacities) {
        a = std::clamp(T(1.6) * a - T(0.3), T(0), T(1));
    }
    // Channels apart, columns backwards.
    const View<const T, 3> foreground(colors.data() + n_cols - 1, {n_rows, n_cols, 3}, {n_cols, -1, n_rows * n_cols});
    const auto alpha = View<const T, 2>::contiguous(opacities.data(), {n_rows, n_cols});
    const RefineForegroundParams params{kappa, n_scales, iterations,
                                        Jacobi ? RefineOrder::jacobi : RefineOrder::red_black};
    fastsoft::SilentMonitor monitor;
    std::vector<T> expected(colors.size());
    fastsoft::refine_foreground<T>(foreground, alpha, View<T, 3>::contiguous(expected.data(), foreground.shape()),
                                   params, monitor);
    Guarded<T> found(n_rows * n_cols * 3);
    Guarded<T> again(n_rows * n_cols * 3);
    emulate_run<T, Jacobi>({foreground, alpha, View<T, 3>::contiguous(found.data(), foreground.shape()), params},
                           Order::forward);
    emulate_run<T, Jacobi>({foreground, alpha, View<T, 3>::contiguous(again.data(), foreground.shape()), params},
                           Order::backward);
    CHECK(found == again);
    CHECK(found.intact());
    // Roundings of averages spread like a diffusion.
    const double bound = 50 * static_cast<double>(std::numeric_limits<T>::epsilon());
    CHECK(fastsoft::tests::largest_difference(found.data(), expected.data(), expected.size()) < bound);
}

template <class T, bool Jacobi>
void compare_all() {
    compare<T, Jacobi>(1, 1, 3, 4, 1.0);
    compare<T, Jacobi>(1, 2, 1, 3, 1.0);
    compare<T, Jacobi>(1, 150, 2, 9, 1.0);
    compare<T, Jacobi>(131, 1, 2, 9, 0.1);
    compare<T, Jacobi>(2, 3, 6, 2, 1.0);
    compare<T, Jacobi>(48, 64, 1, 3, 1.0);
    compare<T, Jacobi>(32, 48, 2, 17, 1.0);
    compare<T, Jacobi>(49, 65, 2, 6, 30.0);
    compare<T, Jacobi>(101, 139, 3, 20, 1.0);
}

TEST(refine_blocks_do_what_the_cpu_does) {
    compare_all<float, false>();
    compare_all<float, true>();
    compare_all<double, false>();
    compare_all<double, true>();
}

}  // namespace
