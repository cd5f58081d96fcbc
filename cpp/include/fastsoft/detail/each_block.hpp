// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>

#include "fastsoft/core/block.hpp"

namespace fastsoft::detail {

// A thread per element: what Step::run(arguments, i) does for i = 0 .. Step::size(arguments) - 1.
template <class Step, int Threads = 256>
struct EachBlock {
    static constexpr int kThreads = Threads;
    using Arguments = typename Step::Arguments;
    using Shared = Nothing;
    using Registers = Nothing;

    FASTSOFT_HD static std::ptrdiff_t n_blocks(const Arguments& a) { return divide_up(Step::size(a), kThreads); }
    FASTSOFT_HD static int n_phases(const Arguments&) { return 1; }

    FASTSOFT_HD static void phase(int, const Arguments& a, Shared&, Registers&, std::ptrdiff_t block, int thread) {
        const std::ptrdiff_t i = block * kThreads + thread;
        if (i < Step::size(a)) {
            Step::run(a, i);
        }
    }
};

}  // namespace fastsoft::detail
