// SPDX-License-Identifier: MIT
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <limits>

#include "emulate.hpp"
#include "fastsoft/core/block.hpp"
#include "fastsoft/core/error.hpp"
#include "fastsoft/cuda/check.cuh"
#include "on_host.hpp"

// Stands in for cuda/include/fastsoft/cuda/launch.cuh, with the same functions and the same limits.
namespace fastsoft::cuda {

constexpr std::size_t kMaxSharedBytes = 48 * 1024;
constexpr std::size_t kMaxArgumentBytes = 4096;
constexpr std::ptrdiff_t kMaxBlocks = std::numeric_limits<int>::max();

template <class Block>
void launch(const Context&, const char* name, const typename Block::Arguments& arguments) {
    static_assert(sizeof(typename Block::Shared) <= kMaxSharedBytes);
    static_assert(sizeof(typename Block::Arguments) <= kMaxArgumentBytes);
    static_assert(Block::kThreads <= 1024);
    const std::ptrdiff_t n_blocks = Block::n_blocks(arguments);
    FASTSOFT_EXPECTS(n_blocks <= kMaxBlocks, name, " would need ", n_blocks, " blocks, a launch has at most ",
                     kMaxBlocks);
    tests::count_launch();
    tests::emulate<Block>(arguments, tests::on_host_order());
}

}  // namespace fastsoft::cuda
