// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

namespace fastsoft {

// Compressed sparse rows. Both triangles of a symmetric matrix are stored. Column indices are int32 and row
// pointers int64, so a matrix may hold more than 2^31 entries but not more than 2^31 - 1 rows.
template <class T>
struct CsrView {
    std::ptrdiff_t n_rows = 0;
    const std::int64_t* indptr = nullptr;
    const std::int32_t* indices = nullptr;
    const T* data = nullptr;

    std::int64_t n_entries() const { return n_rows == 0 ? 0 : indptr[n_rows]; }
};

}  // namespace fastsoft
