// SPDX-License-Identifier: MIT
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "check.hpp"
#include "emulate.hpp"
#include "fastsoft/detail/guided_filter_block.hpp"
#include "fastsoft/guided_filter.hpp"

namespace {

using fastsoft::View;
using fastsoft::tests::Guarded;
using fastsoft::tests::Order;
namespace detail = fastsoft::detail;

constexpr double kEpsilon = 1e-2;

// `portion` channels at a time.
template <class T, int G>
bool emulated(const View<const T, 3>& guide, const View<const T, 3>& source, const View<T, 3>& out,
              std::ptrdiff_t radius, double clip, std::ptrdiff_t portion, Order order) {
    using Run = detail::GuidedFilterRun<T, G>;
    const std::ptrdiff_t n_rows = source.extent(0);
    const std::ptrdiff_t n_cols = source.extent(1);
    const std::ptrdiff_t n_channels = source.extent(2);
    int not_finite = 0;
    Guarded<detail::GuideStatistics<T, G>> statistics(n_rows * n_cols);
    Guarded<double> sums(Run::kGuideNumbers * n_rows * n_cols);
    Guarded<double> spare_sums(Run::kGuideNumbers * n_rows * n_cols);
    Guarded<T> first(portion * Run::kChannelNumbers * n_rows * n_cols);
    Guarded<T> second(portion * Run::kChannelNumbers * n_rows * n_cols);
    const Run run{{n_rows, n_cols, std::min(radius, n_rows - 1), std::min(radius, n_cols - 1)},
                  guide,
                  source,
                  out,
                  kEpsilon,
                  std::isfinite(clip),
                  static_cast<T>(std::min(clip, static_cast<double>(std::numeric_limits<T>::max()))),
                  &not_finite,
                  statistics.data()};
    const fastsoft::tests::Emulate launch{order};
    run.guide_stages(sums.data(), spare_sums.data(), launch);
    for (std::ptrdiff_t channel = 0; channel < n_channels; channel += portion) {
        run.channel_stages(channel, std::min(portion, n_channels - channel), first.data(), second.data(), launch);
    }
    CHECK(statistics.intact() && sums.intact() && spare_sums.intact() && first.intact() && second.intact());
    return not_finite == 0;
}

// Window sums round a few times their 2 (2 radius + 1) terms, which the division by sqrt(epsilon) amplifies.
template <class T>
double bound() {
    return 5 * 10 * static_cast<double>(std::numeric_limits<T>::epsilon()) * (1 + 0.1 / std::sqrt(kEpsilon));
}

template <class T, int G>
void compare(std::ptrdiff_t n_rows, std::ptrdiff_t n_cols, std::ptrdiff_t n_channels, std::ptrdiff_t radius,
             std::ptrdiff_t portion, double clip) {
    const auto colors = fastsoft::tests::random_numbers<T>(n_rows * n_cols * G, 7);
    auto values = fastsoft::tests::random_numbers<T>(n_rows * n_cols * n_channels, 8);
    for (T& value : values) {
        value = T(10) * value - T(5);
    }
    // Columns backwards, channels apart.
    const View<const T, 3> guide(colors.data() + n_cols - 1, {n_rows, n_cols, G}, {n_cols, -1, n_rows * n_cols});
    const auto source = View<const T, 3>::contiguous(values.data(), {n_rows, n_cols, n_channels});
    fastsoft::SilentMonitor monitor;
    std::vector<T> expected(values.size());
    const auto result = View<T, 3>::contiguous(expected.data(), source.shape());
    CHECK(fastsoft::guided_filter<T>(guide, source, result, radius, kEpsilon, clip, monitor));
    Guarded<T> found(source.size());
    Guarded<T> again(source.size());
    CHECK((emulated<T, G>(guide, source, View<T, 3>::contiguous(found.data(), source.shape()), radius, clip, portion,
                          Order::forward)));
    CHECK((emulated<T, G>(guide, source, View<T, 3>::contiguous(again.data(), source.shape()), radius, clip, portion,
                          Order::backward)));
    CHECK(found == again);
    CHECK(found.intact());
    CHECK(fastsoft::tests::largest_difference(found.data(), expected.data(), expected.size()) < bound<T>());
}

template <class T, int G>
void compare_all() {
    constexpr double kNone = HUGE_VAL;
    compare<T, G>(1, 1, 1, 2, 1, kNone);
    compare<T, G>(1, 9, 2, 1, 2, kNone);
    compare<T, G>(9, 1, 1, 3, 1, kNone);
    compare<T, G>(5, 7, 3, 2, 2, kNone);
    compare<T, G>(6, 5, 2, 20, 2, kNone);
    compare<T, G>(12, 11, 1, 0, 1, kNone);
    compare<T, G>(33, 29, 5, 3, 2, 2.0);
    compare<T, G>(40, 61, 2, 7, 1, kNone);
}

TEST(guided_filter_blocks_do_what_the_cpu_does) {
    compare_all<float, 1>();
    compare_all<float, 3>();
    compare_all<double, 1>();
    compare_all<double, 3>();
}

TEST(guided_filter_blocks_notice_values_that_are_not_finite) {
    const auto colors = fastsoft::tests::random_numbers<float>(12 * 13, 9);
    const auto guide = View<const float, 3>::contiguous(colors.data(), {12, 13, 1});
    for (const float bad : {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
        auto values = fastsoft::tests::random_numbers<float>(12 * 13 * 2, 10);
        values[5 * 26 + 17] = bad;
        std::vector<float> out(values.size());
        const auto source = View<const float, 3>::contiguous(values.data(), {12, 13, 2});
        CHECK(!(emulated<float, 1>(guide, source, View<float, 3>::contiguous(out.data(), source.shape()), 2, 3.0, 1,
                                   Order::forward)));
    }
}

}  // namespace
