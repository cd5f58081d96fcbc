// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>

#include "fastsoft/core/host_device.hpp"

namespace fastsoft::detail {

// SplitMix64 (Steele, Lea, Flood 2014), as a hash of a counter.
FASTSOFT_HD std::uint64_t mix_bits(std::uint64_t z) {
    z += 0x9e3779b97f4a7c15ULL;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

// Key of the random numbers of one vector.
FASTSOFT_HD std::uint64_t normal_key(std::uint64_t seed, std::uint64_t stream) {
    return mix_bits(seed ^ mix_bits(stream));
}

// Standard normal number i of a key: Box-Muller on two hashed counters.
FASTSOFT_HD double normal_number(std::uint64_t key, std::uint64_t i) {
    constexpr double kScale = 1.0 / 9007199254740992.0;  // 2^-53
    const std::uint64_t first = mix_bits(key + 2 * i);
    const std::uint64_t second = mix_bits(key + 2 * i + 1);
    const double u = (static_cast<double>(first >> 11) + 0.5) * kScale;
    const double angle = 2.0 * std::numbers::pi * static_cast<double>(second >> 11) * kScale;
    return std::sqrt(-2.0 * std::log(u)) * std::cos(angle);
}

}  // namespace fastsoft::detail
