// SPDX-License-Identifier: MIT
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdio>
#include <sstream>
#include <type_traits>

#include "fastsoft/cuda/check.cuh"

namespace fastsoft::cuda {

// Device memory for the time of an operation, allocated and freed in the order of its stream: neither waits, and an
// exception on the way frees it, too. Must not outlive the context.
template <class T>
class Workspace {
public:
    static_assert(std::is_trivially_copyable_v<T>);

    Workspace(const Context& context, std::size_t count) : context_(context) {
        const std::size_t n_bytes = (count == 0 ? 1 : count) * sizeof(T);
        const cudaError_t status = cudaMallocAsync(reinterpret_cast<void**>(&data_), n_bytes, stream_of(context));
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
        check(status, "cudaMallocAsync");
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

// Waits for the stream and returns one value from the device.
template <class T>
T read_back(const Context& context, const T* source) {
    T value{};
    check(cudaMemcpyAsync(&value, source, sizeof(T), cudaMemcpyDeviceToHost, stream_of(context)), "cudaMemcpyAsync");
    context.synchronize();
    return value;
}

// The same of `count` values.
template <class T>
void read_back(const Context& context, const T* source, std::size_t count, T* values) {
    check(cudaMemcpyAsync(values, source, count * sizeof(T), cudaMemcpyDeviceToHost, stream_of(context)),
          "cudaMemcpyAsync");
    context.synchronize();
}

}  // namespace fastsoft::cuda
