// SPDX-License-Identifier: MIT
#include "on_host.hpp"

#include <cuda_runtime.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

namespace {

// Memory lies between guards, whose bytes must be as they were when it is freed.
constexpr std::size_t kGuard = 4096;
constexpr unsigned char kGuardByte = 0xA5;

struct Device {
    bool backward = false;
    std::size_t capacity = std::size_t{8} << 30;
    std::size_t allocated = 0;
    std::size_t peak = 0;
    std::size_t faults = 0;
    std::size_t launches = 0;
    std::size_t waits = 0;
};

// Tests run one operation at a time.
Device device;

}  // namespace

struct FastsoftPool {};

namespace fastsoft::tests {

Order on_host_order() {
    return device.backward ? Order::backward : Order::forward;
}

void count_launch() {
    ++device.launches;
}

}  // namespace fastsoft::tests

void fastsoft_on_host_set_backward(int backward) {
    device.backward = backward != 0;
}

void fastsoft_on_host_set_capacity(std::size_t n_bytes) {
    device.capacity = n_bytes;
}

std::size_t fastsoft_on_host_allocated() {
    return device.allocated;
}

std::size_t fastsoft_on_host_peak() {
    return device.peak;
}

void fastsoft_on_host_reset_peak() {
    device.peak = device.allocated;
}

std::size_t fastsoft_on_host_faults() {
    return device.faults;
}

std::size_t fastsoft_on_host_launches() {
    return device.launches;
}

std::size_t fastsoft_on_host_waits() {
    return device.waits;
}

cudaError_t cudaGetLastError() {
    return cudaSuccess;
}

const char* cudaGetErrorName(cudaError_t status) {
    switch (status) {
        case cudaSuccess:
            return "cudaSuccess";
        case cudaErrorMemoryAllocation:
            return "cudaErrorMemoryAllocation";
        default:
            return "cudaErrorIllegalAddress";
    }
}

const char* cudaGetErrorString(cudaError_t status) {
    switch (status) {
        case cudaSuccess:
            return "no error";
        case cudaErrorMemoryAllocation:
            return "out of memory";
        default:
            return "an illegal memory access was encountered";
    }
}

cudaError_t cudaGetDevice(int* current) {
    *current = 0;
    return cudaSuccess;
}

cudaError_t cudaSetDevice(int) {
    return cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int* count) {
    *count = 1;
    return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
    *properties = {};
    std::strncpy(properties->name, "the host", sizeof(properties->name) - 1);
    properties->totalGlobalMem = device.capacity;
    properties->multiProcessorCount = 1;
    return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int* version) {
    *version = 12000;
    return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int* version) {
    *version = 12000;
    return cudaSuccess;
}

cudaError_t cudaMemGetInfo(std::size_t* n_free, std::size_t* n_total) {
    *n_total = device.capacity;
    *n_free = device.capacity - std::min(device.capacity, device.allocated);
    return cudaSuccess;
}

cudaError_t cudaMemPoolCreate(cudaMemPool_t* pool, const cudaMemPoolProps*) {
    static FastsoftPool one;
    *pool = &one;
    return cudaSuccess;
}

cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t, cudaMemPoolAttr, void*) {
    return cudaSuccess;
}

cudaError_t cudaMallocFromPoolAsync(void** data, std::size_t n_bytes, cudaMemPool_t, cudaStream_t) {
    if (n_bytes > device.capacity - std::min(device.capacity, device.allocated)) {
        return cudaErrorMemoryAllocation;
    }
    auto* const whole = static_cast<unsigned char*>(std::malloc(n_bytes + 2 * kGuard));
    if (whole == nullptr) {
        return cudaErrorMemoryAllocation;
    }
    std::memcpy(whole, &n_bytes, sizeof(n_bytes));
    std::memset(whole + sizeof(n_bytes), kGuardByte, kGuard - sizeof(n_bytes));
    std::memset(whole + kGuard, 0xFF, n_bytes);  // not 0: NaN, and -1
    std::memset(whole + kGuard + n_bytes, kGuardByte, kGuard);
    device.allocated += n_bytes;
    device.peak = std::max(device.peak, device.allocated);
    *data = whole + kGuard;
    return cudaSuccess;
}

cudaError_t cudaFreeAsync(void* data, cudaStream_t) {
    auto* const whole = static_cast<unsigned char*>(data) - kGuard;
    std::size_t n_bytes = 0;
    std::memcpy(&n_bytes, whole, sizeof(n_bytes));
    const auto intact = [](const unsigned char* begin, const unsigned char* end) {
        return std::all_of(begin, end, [](unsigned char byte) { return byte == kGuardByte; });
    };
    const bool fault = !intact(whole + sizeof(n_bytes), whole + kGuard) ||
                       !intact(whole + kGuard + n_bytes, whole + kGuard + n_bytes + kGuard);
    device.faults += fault ? 1 : 0;
    device.allocated -= n_bytes;
    std::free(whole);
    return fault ? cudaErrorIllegalAddress : cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t n_bytes, cudaMemcpyKind, cudaStream_t) {
    std::memcpy(to, from, n_bytes);
    return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void* data, int value, std::size_t n_bytes, cudaStream_t) {
    std::memset(data, value, n_bytes);
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t) {
    ++device.waits;
    return cudaSuccess;
}
