// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "fastsoft/cuda/launch.cuh"
#include "fastsoft/cuda/workspace.cuh"
#include "fastsoft/detail/vector_block.hpp"

namespace fastsoft::cuda {

// What core/backend_cpu.hpp is on the CPU: passes over several vectors of n elements, one launch each, and the numbers
// of each vector that iterations need (detail::ColumnSlot). These stay on the device, where the next pass reads them,
// until read() waits for all of them at once.
class CudaBackend {
public:
    CudaBackend(const Context& context, std::ptrdiff_t n, std::ptrdiff_t n_columns)
        : context_(context),
          n_(n),
          n_columns_(n_columns),
          partial_(context, static_cast<std::size_t>(kMaxSums * n_columns * divide_up(n, kLeastChunk))),
          numbers_(context, static_cast<std::size_t>(n_columns * detail::kColumnSlots)),
          host_(static_cast<std::size_t>(n_columns * detail::kColumnSlots)) {
        numbers_.clear(host_.size());
    }

    const double* numbers() const { return numbers_.data(); }

    // A pass of a body (detail::ColumnsBlock) over columns from `first` on. Its sums wait to be added up.
    template <class Body>
    void pass(const char* name, const Body& body, std::ptrdiff_t first, std::ptrdiff_t count) const {
        using Block = detail::ColumnsBlock<Body>;
        static_assert(Block::kSums <= kMaxSums && Block::kThreads * Block::kPerThread >= kLeastChunk);
        launch<Block>(context_, name, {body, n_, count, partial_.data() + first * Block::n_chunks(n_) * Block::kSums});
    }

    // The same over all columns; adds the sums up to the numbers from `slot` on.
    template <class Body>
    void sum(const char* name, const Body& body, int slot) const {
        pass(name, body, 0, n_columns_);
        using Block = detail::ColumnSumsBlock<Body::kSums, false>;
        launch<Block>(
            context_, name,
            {partial_.data(), detail::ColumnsBlock<Body>::n_chunks(n_), n_columns_, numbers_.data(), slot, {}});
    }

    // The same for p.q, which gives the step lengths of the active columns, too.
    template <class Body>
    void step_lengths(const char* name, const Body& body, const std::vector<char>& active) const {
        static_assert(Body::kSums == 1);
        using Block = detail::ColumnSumsBlock<1, true>;
        pass(name, body, 0, n_columns_);
        const std::ptrdiff_t n_chunks = detail::ColumnsBlock<Body>::n_chunks(n_);
        for_groups([&](std::ptrdiff_t first, std::ptrdiff_t count) {
            typename Block::Arguments arguments{partial_.data() + first * n_chunks,
                                                n_chunks,
                                                count,
                                                numbers_.data() + first * detail::kColumnSlots,
                                                detail::kStepDot,
                                                {}};
            for (std::ptrdiff_t c = 0; c < count; ++c) {
                arguments.active[c] = active[static_cast<std::size_t>(first + c)] != 0;
            }
            launch<Block>(context_, name, arguments);
        });
    }

    // Calls body(first, count) for groups of columns that fit the arguments of a launch.
    template <class Body>
    void for_groups(Body&& body) const {
        for (std::ptrdiff_t first = 0; first < n_columns_; first += detail::kColumnGroup) {
            body(first, std::min<std::ptrdiff_t>(detail::kColumnGroup, n_columns_ - first));
        }
    }

    // Waits for the stream.
    void read() { read_back(context_, numbers_.data(), static_cast<std::ptrdiff_t>(host_.size()), host_.data()); }

    // What read() has read, one number per column.
    void get(int slot, std::vector<double>& values) const {
        for (std::size_t c = 0; c < values.size(); ++c) {
            values[c] = host_[c * detail::kColumnSlots + static_cast<std::size_t>(slot)];
        }
    }

    // to = from, both on the device.
    template <class T>
    void copy(const T* from, T* to, std::ptrdiff_t count) const {
        cuda::copy(context_, to, from, count, cudaMemcpyDeviceToDevice);
    }

private:
    // What partial sums need room for: passes with one element per thread.
    static constexpr std::ptrdiff_t kMaxSums = 2;
    static constexpr std::ptrdiff_t kLeastChunk = 256;

    const Context& context_;
    std::ptrdiff_t n_;
    std::ptrdiff_t n_columns_;
    Workspace<double> partial_;
    Workspace<double> numbers_;
    std::vector<double> host_;
};

}  // namespace fastsoft::cuda
