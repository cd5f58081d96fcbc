// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "fastsoft/core/host_device.hpp"

// Integer atomics for kernels whose results cannot depend on the order of the threads: minimum, maximum and sum of
// integers. On the host a block runs one thread after another (core/block.hpp), so that plain operations do. All
// return the value before.
namespace fastsoft {

FASTSOFT_HD std::int32_t atomic_min(std::int32_t* place, std::int32_t value) {
#if defined(__CUDA_ARCH__)
    return atomicMin(place, value);
#else
    const std::int32_t before = *place;
    *place = value < before ? value : before;
    return before;
#endif
}

FASTSOFT_HD std::int32_t atomic_max(std::int32_t* place, std::int32_t value) {
#if defined(__CUDA_ARCH__)
    return atomicMax(place, value);
#else
    const std::int32_t before = *place;
    *place = value > before ? value : before;
    return before;
#endif
}

FASTSOFT_HD std::int32_t atomic_add(std::int32_t* place, std::int32_t value) {
#if defined(__CUDA_ARCH__)
    return atomicAdd(place, value);
#else
    const std::int32_t before = *place;
    *place = before + value;
    return before;
#endif
}

}  // namespace fastsoft
