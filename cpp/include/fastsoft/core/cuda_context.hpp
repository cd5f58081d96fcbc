// SPDX-License-Identifier: MIT
#pragma once

// Contracts name the CUDA context without needing it: cuda/include/fastsoft/cuda/context.hpp defines it.
namespace fastsoft::cuda {

class Context;

}  // namespace fastsoft::cuda
