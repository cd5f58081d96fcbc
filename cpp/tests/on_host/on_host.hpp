// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>

#include "emulate.hpp"

// What tests ask of the device that the host stands in for. Python reaches these through ctypes: tests/on_host.py.
namespace fastsoft::tests {

// The order in which blocks and threads run.
Order on_host_order();

void count_launch();

}  // namespace fastsoft::tests

#define FASTSOFT_EXPORT __attribute__((visibility("default")))

extern "C" {

FASTSOFT_EXPORT void fastsoft_on_host_set_backward(int backward);
// Device memory in bytes; allocations beyond it fail.
FASTSOFT_EXPORT void fastsoft_on_host_set_capacity(std::size_t n_bytes);
FASTSOFT_EXPORT std::size_t fastsoft_on_host_allocated();
FASTSOFT_EXPORT std::size_t fastsoft_on_host_peak();
FASTSOFT_EXPORT void fastsoft_on_host_reset_peak();
// Writes before or behind device memory that were found when it was freed.
FASTSOFT_EXPORT std::size_t fastsoft_on_host_faults();
FASTSOFT_EXPORT std::size_t fastsoft_on_host_launches();
// Times that the host waited for a stream.
FASTSOFT_EXPORT std::size_t fastsoft_on_host_waits();
}
