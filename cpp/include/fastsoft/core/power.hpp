// SPDX-License-Identifier: MIT
#pragma once

#include <bit>
#include <cstdint>

#include "fastsoft/core/host_device.hpp"

namespace fastsoft {
namespace detail {

template <class T>
struct FloatTraits;

template <>
struct FloatTraits<float> {
    using Bits = std::uint32_t;
    static constexpr int kMantissaBits = 23;
    static constexpr Bits kExponentBias = 127;
    static constexpr Bits kSqrtHalf = 0x3f3504f3;
    static constexpr float kRounder = 0x1.8p23F;  // x + kRounder - kRounder rounds to an integer
    static constexpr float kLn2High = 0x1.62e4p-1F;
    static constexpr float kLn2Low = 0x1.7f7d1cp-20F;
    static constexpr int kLogTerms = 5;
    static constexpr int kExpTerms = 7;
};

template <>
struct FloatTraits<double> {
    using Bits = std::uint64_t;
    static constexpr int kMantissaBits = 52;
    static constexpr Bits kExponentBias = 1023;
    static constexpr Bits kSqrtHalf = 0x3fe6a09e667f3bcd;
    static constexpr double kRounder = 0x1.8p52;
    static constexpr double kLn2High = 0x1.62e42feep-1;
    static constexpr double kLn2Low = 0x1.a39ef35793c76p-33;
    static constexpr int kLogTerms = 11;
    static constexpr int kExpTerms = 13;
};

}  // namespace detail

// x^exponent for a positive, normal x whose power is also normal. Without branches and calls, so that a loop over it
// vectorises, which std::pow does not. Relative error: about 2 + |exponent * log(x)| rounding errors.
//
// log: x = 2^k m with m in [sqrt(1/2), sqrt(2)), log(m) = 2 atanh(s), s = (m - 1) / (m + 1), |s| < 0.1716, by its
// series; the first omitted term is below 2e-17 (double), 2e-9 (float). exp: y = n ln 2 + r, |r| < 0.347, Taylor
// series; the first omitted term is below 5e-18 (double), 6e-9 (float).
template <class T>
FASTSOFT_HD T positive_pow(T x, T exponent) {
    using Traits = detail::FloatTraits<T>;
    using Bits = typename Traits::Bits;
    constexpr int kShift = Traits::kMantissaBits;
    constexpr Bits kBias = Traits::kExponentBias;
    const Bits rounder = std::bit_cast<Bits>(Traits::kRounder);

    const Bits bits = std::bit_cast<Bits>(x);
    const Bits biased = (bits - Traits::kSqrtHalf + (kBias << kShift)) >> kShift;  // k + bias
    const T m = std::bit_cast<T>(bits - ((biased - kBias) << kShift));
    // The bits of kRounder + k, for k of either sign; conversion from int64 is not a vector instruction everywhere.
    const T k = std::bit_cast<T>(rounder + (biased - kBias)) - Traits::kRounder;
    const T s = (m - T(1)) / (m + T(1));
    const T z = s * s;
    T series = T(1) / T(2 * Traits::kLogTerms - 1);
    for (int term = Traits::kLogTerms - 2; term >= 0; --term) {
        series = series * z + T(1) / T(2 * term + 1);
    }
    const T log_m = T(2) * s * series;
    const T y = exponent * (k * Traits::kLn2High + (k * Traits::kLn2Low + log_m));

    constexpr T kLog2E = T(1.4426950408889634);
    const T shifted = y * kLog2E + Traits::kRounder;
    const T n = shifted - Traits::kRounder;
    const T r = (y - n * Traits::kLn2High) - n * Traits::kLn2Low;
    T power = T(1);
    for (int term = Traits::kExpTerms; term >= 1; --term) {
        power = power * (r * (T(1) / T(term))) + T(1);
    }
    const Bits scale = (std::bit_cast<Bits>(shifted) - rounder) << kShift;
    return std::bit_cast<T>(std::bit_cast<Bits>(power) + scale);
}

}  // namespace fastsoft
