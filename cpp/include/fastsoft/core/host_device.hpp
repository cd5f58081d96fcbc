// SPDX-License-Identifier: MIT
#pragma once

// FASTSOFT_HD marks per-element arithmetic that the CPU loop and the CUDA kernel share.
#if defined(__CUDACC__)
#define FASTSOFT_HD __host__ __device__ inline
#else
#define FASTSOFT_HD inline
#endif

// FASTSOFT_UNROLL(n) stands before a loop of at most n turns that is to be unrolled. nvcc's pass for the host, whose
// code nobody runs, warns of either spelling and gets none.
#define FASTSOFT_PRAGMA(text) _Pragma(#text)
#if defined(__CUDA_ARCH__)
#define FASTSOFT_UNROLL(n) FASTSOFT_PRAGMA(unroll)
#elif defined(__CUDACC__)
#define FASTSOFT_UNROLL(n)
#else
#define FASTSOFT_UNROLL(n) FASTSOFT_PRAGMA(GCC unroll n)
#endif
