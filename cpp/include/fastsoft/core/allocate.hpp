// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <functional>

namespace fastsoft {

// Where a result goes whose size the operation finds out: called at most once, with the number of rows, from the thread
// that entered the operation. What it returns is on the operation's device and C-contiguous.
template <class T>
using Allocate = std::function<T*(std::ptrdiff_t)>;

}  // namespace fastsoft
