// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <vector>

namespace fastsoft {

// A small pool of std::threads. No OpenMP: two OpenMP runtimes in one process (ours and torch's) slow each
// other down, and an OpenMP team does not survive fork.
//
// The number of threads is, in this order: the last set_num_threads(); FASTSOFT_NUM_THREADS; OMP_NUM_THREADS (its
// first entry); the processors this process may run on, further limited by the cgroup's CPU quota.
int num_threads();
void set_num_threads(int count);  // count >= 1; 0 returns to the default

namespace detail {

// Calls task(i) once for each i in [0, n_tasks), spread over the pool in no particular order, and returns when all
// are done. The first exception is rethrown. A call from inside a task, or while another thread uses the pool,
// runs serially in the calling thread.
void run_tasks(std::ptrdiff_t n_tasks, const std::function<void(std::ptrdiff_t)>& task);

}  // namespace detail

// Splits [0, n) into chunks of `grain` (the last may be shorter) and calls body(begin, end) for each. Chunk
// borders depend on n and grain only, never on the number of threads: whatever a chunk computes from its own
// range has the same bits for 1 thread and for 64.
template <class Body>
void parallel_for(std::ptrdiff_t n, std::ptrdiff_t grain, Body&& body) {
    if (n <= 0) {
        return;
    }
    grain = std::max<std::ptrdiff_t>(grain, 1);
    const std::ptrdiff_t n_chunks = (n + grain - 1) / grain;
    if (n_chunks == 1) {
        body(std::ptrdiff_t{0}, n);
        return;
    }
    detail::run_tasks(n_chunks, [&](std::ptrdiff_t chunk) {
        const std::ptrdiff_t begin = chunk * grain;
        body(begin, std::min(n, begin + grain));
    });
}

// Sum of body(begin, end) over the same chunks, added in chunk order.
template <class T, class Body>
T parallel_sum(std::ptrdiff_t n, std::ptrdiff_t grain, Body&& body) {
    grain = std::max<std::ptrdiff_t>(grain, 1);
    const std::ptrdiff_t n_chunks = n <= 0 ? 0 : (n + grain - 1) / grain;
    std::vector<T> partial(static_cast<std::size_t>(n_chunks));
    parallel_for(n, grain, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
        partial[static_cast<std::size_t>(begin / grain)] = body(begin, end);
    });
    T total{};
    for (const T& value : partial) {
        total += value;
    }
    return total;
}

}  // namespace fastsoft
