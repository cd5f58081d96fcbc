// SPDX-License-Identifier: MIT
#pragma once

// Marks per-element arithmetic that the CPU loop and the CUDA kernel share.
#if defined(__CUDACC__)
#define FASTSOFT_HD __host__ __device__ inline
#else
#define FASTSOFT_HD inline
#endif
