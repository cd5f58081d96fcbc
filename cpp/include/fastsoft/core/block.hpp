// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>

#include "fastsoft/core/host_device.hpp"

// Kernels as types, so that what a GPU runs can be run on the host, too.
//
// A block is a type with
//
//     struct Arguments;    what the kernel is given, passed by value
//     struct Shared;       memory that the threads of a block share; not initialised
//     struct Registers;    what a thread keeps from one phase to the next; not initialised
//     static constexpr int kThreads;                                   threads of a block
//     static std::ptrdiff_t n_blocks(const Arguments&);                blocks of the grid, in one dimension
//     static int n_phases(const Arguments&);                           at least 1
//     static void phase(int phase, const Arguments&, Shared&, Registers&, std::ptrdiff_t block, int thread);
//
// all of them FASTSOFT_HD. A barrier of the block stands between two phases and nowhere else: within a phase no thread
// reads what another one writes. cuda/include/fastsoft/cuda/launch.cuh runs it as a kernel, cpp/tests/emulate.hpp
// thread by thread.
namespace fastsoft {

// What consists of several kernels runs them by a Launch: cuda::Launcher, or tests::Emulate.
template <class Block, class Launch>
void run_kernel(const Launch& launch, const typename Block::Arguments& arguments) {
    launch.template operator()<Block>(arguments);
}

// Of blocks that share nothing and of threads that remember nothing.
struct Nothing {};

FASTSOFT_HD std::ptrdiff_t divide_up(std::ptrdiff_t n, std::ptrdiff_t by) {
    return (n + by - 1) / by;
}

FASTSOFT_HD std::ptrdiff_t clamp_index(std::ptrdiff_t i, std::ptrdiff_t n) {
    return i < 0 ? 0 : (i < n ? i : n - 1);
}

// False for NaN and infinity.
template <class T>
FASTSOFT_HD bool is_finite_number(T value) {
    return value - value == T(0);
}

}  // namespace fastsoft
