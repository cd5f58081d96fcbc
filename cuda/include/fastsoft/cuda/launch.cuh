// SPDX-License-Identifier: MIT
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <limits>

#include "fastsoft/core/block.hpp"
#include "fastsoft/core/error.hpp"
#include "fastsoft/cuda/check.cuh"

namespace fastsoft::cuda {

// Static shared memory of a block, and what a launch can pass, on every device that CUDA supports.
constexpr std::size_t kMaxSharedBytes = 48 * 1024;
constexpr std::size_t kMaxArgumentBytes = 4096;
constexpr std::ptrdiff_t kMaxBlocks = std::numeric_limits<int>::max();

// The body of a kernel: the phases of core/block.hpp with a barrier between them.
template <class Block>
__device__ void run_block(const typename Block::Arguments& arguments) {
    static_assert(sizeof(typename Block::Shared) <= kMaxSharedBytes);
    static_assert(sizeof(typename Block::Arguments) <= kMaxArgumentBytes);
    __shared__ typename Block::Shared shared;
    typename Block::Registers registers;
    const int n_phases = Block::n_phases(arguments);
    for (int phase = 0; phase < n_phases; ++phase) {
        if (phase > 0) {
            __syncthreads();
        }
        Block::phase(phase, arguments, shared, registers, static_cast<std::ptrdiff_t>(blockIdx.x),
                     static_cast<int>(threadIdx.x));
    }
}

template <class Block>
__global__ void __launch_bounds__(Block::kThreads) block_kernel(typename Block::Arguments arguments) {
    run_block<Block>(arguments);
}

// Enqueues a kernel. The name says in errors what it does.
template <class Block>
void launch(const Context& context, const char* name, const typename Block::Arguments& arguments) {
    const std::ptrdiff_t n_blocks = Block::n_blocks(arguments);
    FASTSOFT_EXPECTS(n_blocks <= kMaxBlocks, name, " would need ", n_blocks, " blocks, a launch has at most ",
                     kMaxBlocks);
    if (n_blocks == 0) {
        return;
    }
    block_kernel<Block><<<static_cast<unsigned>(n_blocks), Block::kThreads, 0, stream_of(context)>>>(arguments);
    check(cudaGetLastError(), name);
}

}  // namespace fastsoft::cuda
