// SPDX-License-Identifier: MIT
#include "fastsoft/core/power.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "check.hpp"

namespace {

// Largest relative error in units of the bound that power.hpp states, over a grid of bases and exponents.
template <class T>
double worst_error() {
    const double unit = std::numeric_limits<T>::epsilon() / 2.0;
    double worst = 0.0;
    for (int i = 0; i <= 4000; ++i) {
        const T x = static_cast<T>(std::pow(10.0, -10.0 + 14.0 * i / 4000.0));
        for (const double e : {-2.0, -1.2, -1.1, -1.0, -0.3, 0.0, 0.8, 1.0, 2.5}) {
            const T exponent = static_cast<T>(e);
            const double exact = std::pow(static_cast<double>(x), static_cast<double>(exponent));
            const double growth = 2.0 + std::abs(static_cast<double>(exponent) * std::log(static_cast<double>(x)));
            const double error = std::abs(static_cast<double>(fastsoft::positive_pow(x, exponent)) - exact) / exact;
            worst = std::max(worst, error / (growth * unit));
        }
    }
    return worst;
}

TEST(positive_pow_is_within_its_error_bound) {
    CHECK(worst_error<double>() <= 2.0);
    CHECK(worst_error<float>() <= 2.0);
}

TEST(positive_pow_of_one_and_to_the_zeroth_power_is_exact) {
    CHECK_EQUAL(fastsoft::positive_pow(1.0, -1.2), 1.0);
    CHECK_EQUAL(fastsoft::positive_pow(1.0F, -1.2F), 1.0F);
    CHECK_EQUAL(fastsoft::positive_pow(0.37, 0.0), 1.0);
}

}  // namespace
