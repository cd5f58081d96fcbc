// SPDX-License-Identifier: MIT
#pragma once

#include "fastsoft/cuda/launch.cuh"

namespace fastsoft::cuda {

// What functions of detail/ run their kernels with.
struct Launcher {
    const Context& context;
    const char* name;

    template <class Block>
    void operator()(const typename Block::Arguments& arguments) const {
        launch<Block>(context, name, arguments);
    }
};

}  // namespace fastsoft::cuda
