// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

// What the bindings need to know of CUDA. No header of the toolkit is included here: contracts and bindings compile
// without one.
namespace fastsoft::cuda {

// A call of the CUDA runtime failed. Becomes fastsoft.CudaError in Python.
class cuda_error : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

// Not enough memory on the device; the message says how much was wanted and how much is free. Becomes MemoryError.
class out_of_device_memory : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

// Where an operation runs: a device, and the stream of the caller's library on it. Everything is enqueued on this one
// stream. While it lives, the device is the calling thread's current one.
class Context {
public:
    // stream: a cudaStream_t as an integer, as array libraries pass it; 0 is the legacy default stream.
    Context(int device, std::uintptr_t stream);
    ~Context();
    Context(const Context&) = delete;
    Context& operator=(const Context&) = delete;

    int device() const { return device_; }
    std::uintptr_t stream() const { return stream_; }

    // Waits until all that was enqueued on the stream is done.
    void synchronize() const;

private:
    int device_;
    int previous_device_ = -1;
    std::uintptr_t stream_;
};

struct DeviceInfo {
    std::string name;
    int major = 0;  // compute capability
    int minor = 0;
    std::size_t total_bytes = 0;
    std::size_t free_bytes = 0;
};

// Versions as CUDA counts them: 13000 is 13.0. driver is the newest toolkit that the driver supports, 0 without one.
struct Installation {
    int runtime = 0;
    int driver = 0;
    std::string problem;  // why no device can be used; empty if one can
    std::vector<DeviceInfo> devices;
};

// Why no device can be used; empty if one can. Does not set up a device, as installation() does with all.
std::string problem();

// Neither throws for lack of a driver or a device.
Installation installation();

}  // namespace fastsoft::cuda
