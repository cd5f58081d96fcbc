// SPDX-License-Identifier: MIT
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdio>
#include <sstream>
#include <type_traits>

#include "fastsoft/cuda/check.cuh"

namespace fastsoft::cuda {

// Where the context's device has memory for workspaces: a pool of fastsoft's own, which keeps some memory while nothing
// uses it. CUDA's default pool gives all back at every wait, and iterations free, wait and allocate in turn.
cudaMemPool_t pool_of(const Context& context);

// Device memory for the time of an operation, allocated and freed in the order of its stream: neither waits, and an
// exception on the way frees it, too. Must not outlive the context.
template <class T>
class Workspace {
public:
    static_assert(std::is_trivially_copyable_v<T>);

    Workspace(const Context& context, std::size_t count) : context_(context) {
        const std::size_t n_bytes = (count == 0 ? 1 : count) * sizeof(T);
        const cudaError_t status =
            cudaMallocFromPoolAsync(reinterpret_cast<void**>(&data_), n_bytes, pool_of(context), stream_of(context));
        if (status == cudaErrorMemoryAllocation) {
            (void)cudaGetLastError();
            std::size_t n_free = 0;
            std::size_t n_total = 0;
            check(cudaMemGetInfo(&n_free, &n_total), "cudaMemGetInfo");
            std::ostringstream message;
            message << "CUDA device " << context.device() << " has " << n_free / 1000000 << " of " << n_total / 1000000
                    << " MB free, " << n_bytes / 1000000 << " MB more are needed";
            throw out_of_device_memory(message.str());
        }
        check(status, "cudaMallocFromPoolAsync");
    }

    ~Workspace() {
        const cudaError_t status = cudaFreeAsync(data_, stream_of(context_));
        if (status != cudaSuccess) {
            std::fprintf(stderr, "fastsoft: cudaFreeAsync: %s\n", cudaGetErrorString(status));
        }
    }

    Workspace(const Workspace&) = delete;
    Workspace& operator=(const Workspace&) = delete;

    T* data() const { return data_; }

    // All bytes 0.
    void clear(std::size_t count) const {
        check(cudaMemsetAsync(data_, 0, count * sizeof(T), stream_of(context_)), "cudaMemsetAsync");
    }

private:
    const Context& context_;
    T* data_ = nullptr;
};

// Enqueues copies of `count` elements. Pageable memory of the host is read before this returns, and written when the
// stream has been waited for; page-locked memory is read later, too.
template <class T>
void copy(const Context& context, T* to, const std::type_identity_t<T>* from, std::ptrdiff_t count,
          cudaMemcpyKind kind) {
    check(cudaMemcpyAsync(to, from, static_cast<std::size_t>(count) * sizeof(T), kind, stream_of(context)),
          "cudaMemcpyAsync");
}

// Enqueues setting all bytes of `count` elements.
template <class T>
void fill_bytes(const Context& context, T* data, int byte, std::ptrdiff_t count) {
    check(cudaMemsetAsync(data, byte, static_cast<std::size_t>(count) * sizeof(T), stream_of(context)),
          "cudaMemsetAsync");
}

// Waits for the stream; `count` values from the device.
template <class T>
void read_back(const Context& context, const T* source, std::ptrdiff_t count, T* values) {
    copy(context, values, source, count, cudaMemcpyDeviceToHost);
    context.synchronize();
}

// The same of one.
template <class T>
T read_back(const Context& context, const T* source) {
    T value{};
    read_back(context, source, 1, &value);
    return value;
}

}  // namespace fastsoft::cuda
