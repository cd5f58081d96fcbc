// SPDX-License-Identifier: MIT
#pragma once

#include <cuda_runtime.h>

#include <string>

#include "fastsoft/cuda/context.hpp"

namespace fastsoft::cuda {

// Throws unless a call of the runtime succeeded. The error is taken off the runtime's record, so that it is not
// reported a second time by the next caller, ours or another library.
inline void check(cudaError_t status, const char* what) {
    if (status != cudaSuccess) {
        (void)cudaGetLastError();
        throw cuda_error(std::string(what) + ": " + cudaGetErrorName(status) + ", " + cudaGetErrorString(status));
    }
}

inline cudaStream_t stream_of(const Context& context) {
    return reinterpret_cast<cudaStream_t>(context.stream());
}

}  // namespace fastsoft::cuda
