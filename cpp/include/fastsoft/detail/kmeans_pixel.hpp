// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

#include "fastsoft/core/host_device.hpp"

// What both backends compute of k-means for one point, and its random numbers.
namespace fastsoft::detail {

// In double, whatever T is.
template <class T>
FASTSOFT_HD double squared_distance(const T* a, const T* b, std::ptrdiff_t d) {
    double sum = 0.0;
    for (std::ptrdiff_t c = 0; c < d; ++c) {
        const double difference = static_cast<double>(a[c]) - static_cast<double>(b[c]);
        sum += difference * difference;
    }
    return sum;
}

// Counter-based random numbers (SplitMix64's output function: Steele, Lea, Flood, "Fast splittable pseudorandom number
// generators", OOPSLA 2014): the value depends on the arguments alone, on every machine and for any number of threads.
FASTSOFT_HD std::uint64_t random_bits(std::uint64_t seed, std::uint64_t stream, std::uint64_t counter) {
    const auto mix = [](std::uint64_t z) {
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
        return z ^ (z >> 31);
    };
    constexpr std::uint64_t kStep = 0x9E3779B97F4A7C15ULL;
    return mix(mix(mix(seed + kStep) + stream + kStep) + counter + kStep);
}

// Uniform in [0, 1).
FASTSOFT_HD double random_uniform(std::uint64_t seed, std::uint64_t stream, std::uint64_t counter) {
    return static_cast<double>(random_bits(seed, stream, counter) >> 11) * 0x1.0p-53;
}

// Random streams: restarts count up from 0, these lie beyond.
constexpr std::uint64_t kSampleStream = std::uint64_t{1} << 40;

// Position of sample s of n_samples: one from each of as many equal stretches of n points, at a fixed pseudo-random
// place in it. Products in double: exact up to 2^53.
FASTSOFT_HD std::ptrdiff_t sample_position(std::ptrdiff_t n, std::ptrdiff_t n_samples, std::ptrdiff_t s) {
    const double stretch = static_cast<double>(n) / static_cast<double>(n_samples);
    const double place = n_samples == n ? 0.0 : random_uniform(0, kSampleStream, static_cast<std::uint64_t>(s));
    const auto position = static_cast<std::ptrdiff_t>((static_cast<double>(s) + place) * stretch);
    return position < n - 1 ? position : n - 1;
}

}  // namespace fastsoft::detail
