// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

#include "fastsoft/core/allocate.hpp"

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

// Where a matrix of n_rows rows goes whose number of entries the operation finds out: indptr has n_rows + 1 elements,
// the others one per entry.
template <class T>
struct CsrOutput {
    std::int64_t* indptr;
    Allocate<std::int32_t> indices;
    Allocate<T> data;
};

}  // namespace fastsoft
