// SPDX-License-Identifier: MIT
#include "fastsoft/cuda/context.hpp"

#include <cuda_runtime.h>

#include <cstdint>
#include <cstdio>
#include <map>
#include <mutex>

#include "fastsoft/cuda/check.cuh"
#include "fastsoft/cuda/workspace.cuh"

namespace fastsoft::cuda {
namespace {

// That a pool keeps: what the iterations allocate between two waits, not what they work on.
constexpr std::uint64_t kKeptBytes = std::uint64_t{64} << 20;

cudaMemPool_t make_pool(int device) {
    cudaMemPoolProps properties{};
    properties.allocType = cudaMemAllocationTypePinned;
    properties.location.type = cudaMemLocationTypeDevice;
    properties.location.id = device;
    cudaMemPool_t pool = nullptr;
    check(cudaMemPoolCreate(&pool, &properties), "cudaMemPoolCreate");
    std::uint64_t kept = kKeptBytes;
    check(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &kept), "cudaMemPoolSetAttribute");
    return pool;
}

}  // namespace

cudaMemPool_t pool_of(const Context& context) {
    static std::mutex mutex;
    // Until the process ends, when the driver frees them: its own end may have come by the time of destructors.
    static std::map<int, cudaMemPool_t> pools;
    const std::lock_guard<std::mutex> lock(mutex);
    cudaMemPool_t& pool = pools[context.device()];
    if (pool == nullptr) {
        pool = make_pool(context.device());
    }
    return pool;
}

Context::Context(int device, std::uintptr_t stream) : device_(device), stream_(stream) {
    int current = 0;
    check(cudaGetDevice(&current), "cudaGetDevice");
    if (current != device) {
        check(cudaSetDevice(device), "cudaSetDevice");
        previous_device_ = current;
    }
}

Context::~Context() {
    if (previous_device_ >= 0) {
        const cudaError_t status = cudaSetDevice(previous_device_);
        if (status != cudaSuccess) {
            std::fprintf(stderr, "fastsoft: cudaSetDevice(%d): %s\n", previous_device_, cudaGetErrorString(status));
        }
    }
}

void Context::synchronize() const {
    check(cudaStreamSynchronize(stream_of(*this)), "cudaStreamSynchronize");
}

std::string problem() {
    int driver = 0;
    (void)cudaDriverGetVersion(&driver);
    int n_devices = 0;
    const cudaError_t status = cudaGetDeviceCount(&n_devices);
    if (status != cudaSuccess) {
        (void)cudaGetLastError();
        return driver == 0 ? "no CUDA driver is installed" : cudaGetErrorString(status);
    }
    return n_devices == 0 ? "the CUDA driver sees no device" : "";
}

Installation installation() {
    Installation found;
    (void)cudaRuntimeGetVersion(&found.runtime);
    (void)cudaDriverGetVersion(&found.driver);
    found.problem = problem();
    if (!found.problem.empty()) {
        return found;
    }
    int n_devices = 0;
    check(cudaGetDeviceCount(&n_devices), "cudaGetDeviceCount");
    for (int device = 0; device < n_devices; ++device) {
        cudaDeviceProp properties{};
        check(cudaGetDeviceProperties(&properties, device), "cudaGetDeviceProperties");
        DeviceInfo info;
        info.name = properties.name;
        info.major = properties.major;
        info.minor = properties.minor;
        info.total_bytes = properties.totalGlobalMem;
        const Context context(device, 0);
        check(cudaMemGetInfo(&info.free_bytes, &info.total_bytes), "cudaMemGetInfo");
        found.devices.push_back(info);
    }
    return found;
}

}  // namespace fastsoft::cuda
