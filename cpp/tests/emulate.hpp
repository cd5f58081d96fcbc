// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <type_traits>
#include <vector>

#include "fastsoft/core/block.hpp"

// Runs the kernels of core/block.hpp on the host: every block, every phase, every thread, one after another.
namespace fastsoft::tests {

// A phase must not depend on the order of its threads, nor a launch on that of its blocks: tests run both and compare
// bits, which finds a missing barrier wherever it shows in the result.
enum class Order { forward, backward };

// Memory as a kernel finds it: not 0. All ones are NaN in floating point and -1 in integers.
template <class T>
void spoil(T& memory) {
    static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);
    if constexpr (!std::is_empty_v<T>) {
        std::memset(static_cast<void*>(&memory), 0xFF, sizeof(T));
    }
}

template <class Block>
void emulate(const typename Block::Arguments& arguments, Order order) {
    const std::ptrdiff_t n_blocks = Block::n_blocks(arguments);
    const int n_phases = Block::n_phases(arguments);
    const auto shared = std::make_unique<typename Block::Shared>();
    std::vector<typename Block::Registers> registers(Block::kThreads);
    for (std::ptrdiff_t i = 0; i < n_blocks; ++i) {
        const std::ptrdiff_t block = order == Order::forward ? i : n_blocks - 1 - i;
        spoil(*shared);
        for (auto& thread : registers) {
            spoil(thread);
        }
        for (int phase = 0; phase < n_phases; ++phase) {
            for (int j = 0; j < Block::kThreads; ++j) {
                const int thread = order == Order::forward ? j : Block::kThreads - 1 - j;
                Block::phase(phase, arguments, *shared, registers[static_cast<std::size_t>(thread)], block, thread);
            }
        }
    }
}

// What functions of detail/ run their kernels with.
struct Emulate {
    Order order;

    template <class Block>
    void operator()(const typename Block::Arguments& arguments) const {
        emulate<Block>(arguments, order);
    }
};

// Output of a kernel, between guards that must keep their bits.
template <class T>
class Guarded {
public:
    explicit Guarded(std::ptrdiff_t size)
        : size_(static_cast<std::size_t>(size)), bytes_((size_ + 2 * kGuard) * sizeof(T), 0xFF) {}

    T* data() { return reinterpret_cast<T*>(bytes_.data()) + kGuard; }
    const T* data() const { return reinterpret_cast<const T*>(bytes_.data()) + kGuard; }
    std::size_t size() const { return size_; }
    T operator[](std::ptrdiff_t i) const { return data()[i]; }

    bool intact() const {
        for (std::size_t i = 0; i < kGuard * sizeof(T); ++i) {
            if (bytes_[i] != 0xFF || bytes_[bytes_.size() - 1 - i] != 0xFF) {
                return false;
            }
        }
        return true;
    }

    friend bool operator==(const Guarded& a, const Guarded& b) { return a.bytes_ == b.bytes_; }

private:
    static constexpr std::size_t kGuard = 512;
    std::size_t size_;
    std::vector<unsigned char> bytes_;
};

// Largest |a - b|; NaN counts as infinite, so that elements nobody wrote are found.
template <class A, class B>
double largest_difference(const A* a, const B* b, std::size_t size) {
    double largest = 0.0;
    for (std::size_t i = 0; i < size; ++i) {
        const double difference = std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
        largest = difference <= largest ? largest : (difference == difference ? difference : HUGE_VAL);
    }
    return largest;
}

// Numbers in [0, 1) from a counter.
template <class T>
std::vector<T> random_numbers(std::ptrdiff_t size, std::uint64_t seed) {
    std::vector<T> values(static_cast<std::size_t>(size));
    std::uint64_t state = seed * 0x9E3779B97F4A7C15u + 1;
    for (T& value : values) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        value = static_cast<T>(static_cast<double>(state >> 40) / static_cast<double>(1 << 24));
    }
    return values;
}

// The same between -1/2 and 1/2.
template <class T>
std::vector<T> centred_numbers(std::ptrdiff_t size, std::uint64_t seed) {
    auto values = random_numbers<T>(size, seed);
    for (T& value : values) {
        value -= T(0.5);
    }
    return values;
}

// An index of a vector.
constexpr std::size_t at(std::ptrdiff_t index) {
    return static_cast<std::size_t>(index);
}

}  // namespace fastsoft::tests
