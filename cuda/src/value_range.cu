// SPDX-License-Identifier: MIT
#include "fastsoft/cuda/value_range.hpp"

#include "fastsoft/cuda/launch.cuh"
#include "fastsoft/cuda/workspace.cuh"

namespace fastsoft::cuda {
template <class T>
detail::ValueRange value_range(const Context& context, const View<const T, 3>& values) {
    using Block = detail::ValueRangeBlock<T>;
    using Total = detail::ValueRangeTotalBlock;
    const std::ptrdiff_t n_pieces = Block::n_blocks({values, nullptr});
    const Workspace<detail::ValueRange> ranges(context, static_cast<std::size_t>(n_pieces) + 1);
    detail::ValueRange* const total = ranges.data() + n_pieces;
    launch<Block>(context, "value_range", {values, ranges.data()});
    launch<Total>(context, "value_range (total)", {ranges.data(), n_pieces, total});
    return read_back(context, total);
}

template detail::ValueRange value_range(const Context&, const View<const float, 3>&);
template detail::ValueRange value_range(const Context&, const View<const double, 3>&);
template detail::ValueRange value_range(const Context&, const View<const std::int32_t, 3>&);

}  // namespace fastsoft::cuda
