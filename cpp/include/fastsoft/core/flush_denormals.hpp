// SPDX-License-Identifier: MIT
#pragma once

#if defined(__SSE__)
#include <xmmintrin.h>
#endif

namespace fastsoft {

// While alive, denormal numbers count as zero in this thread. Entries of a sparse factor decay exponentially with
// distance, in float32 soon below 1e-38, and arithmetic on denormals is up to a hundred times slower; such numbers
// change nothing.
class FlushDenormals {
public:
#if defined(__SSE__)
    FlushDenormals() : saved_(_mm_getcsr()) {
        constexpr unsigned int kFlushToZero = 0x8000;
        constexpr unsigned int kDenormalsAreZero = 0x0040;
        _mm_setcsr(saved_ | kFlushToZero | kDenormalsAreZero);
    }
    ~FlushDenormals() { _mm_setcsr(saved_); }
#else
    FlushDenormals() = default;
    ~FlushDenormals() = default;
#endif
    FlushDenormals(const FlushDenormals&) = delete;
    FlushDenormals& operator=(const FlushDenormals&) = delete;

private:
#if defined(__SSE__)
    unsigned int saved_;
#endif
};

}  // namespace fastsoft
