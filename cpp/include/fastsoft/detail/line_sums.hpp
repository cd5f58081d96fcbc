// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>

#include "fastsoft/core/block.hpp"
#include "fastsoft/detail/each_block.hpp"
#include "fastsoft/detail/mirrored_position.hpp"

// Window sums along the lines of a picture, one axis at a time, by a scheme whose cost does not depend on the radius
// and that never subtracts: lines are cut into segments of one window length L = before + 1 + after. A window is then
// the end of one segment of the input followed by the beginning of the next. A thread makes the L outputs of one
// segment: going back through the first, it leaves at every output the sum from there to the end of the segment; going
// forward through the second, it adds the sum from its beginning. (Van Herk's and Gil and Werman's scheme for running
// maxima, for sums; on the CPU cpp/src/guided_filter.cpp has it in a form for pixels that come one by one.)
//
// A stage tells what is summed:
//
//     using Sum; static constexpr int kQuantities;
//     static constexpr int kThreads;                          of a block; a thread has a segment
//     std::ptrdiff_t before, after;                           pixels of a window beside its own one
//     static constexpr bool kMirrored;                        beyond the border: the picture mirrored, else nothing
//     std::ptrdiff_t n_along, n_across, n_slices;             slices: what has sums of its own, such as channels
//     static constexpr bool kAlongRows;                       lines are rows of the picture, else columns
//     void load(slice, row, col, Sum (&values)[kQuantities]) const;
//     Sum* scratch(slice, row, col) const, scratch_step() const;   where quantity q of an output may be kept meanwhile,
//                                                             q steps further; nothing that any thread loads
//     void store(slice, row, col, const Sum (&sums)[kQuantities]) const;
namespace fastsoft::detail {

template <class Stage>
struct LineSumsStep {
    static constexpr int kQuantities = Stage::kQuantities;
    using Sum = typename Stage::Sum;
    using Arguments = Stage;

    FASTSOFT_HD static std::ptrdiff_t size(const Stage& stage) {
        return stage.n_slices * stage.n_across * divide_up(stage.n_along, window(stage));
    }

    FASTSOFT_HD static void run(const Stage& stage, std::ptrdiff_t item) {
        // Neighbouring threads take neighbouring columns, or neighbouring segments of a row.
        const std::ptrdiff_t n_segments = divide_up(stage.n_along, window(stage));
        const std::ptrdiff_t slice = item / (stage.n_across * n_segments);
        const std::ptrdiff_t rest = item % (stage.n_across * n_segments);
        if constexpr (Stage::kAlongRows) {
            sum_segment(stage, slice, rest / n_segments, rest % n_segments);
        } else {
            sum_segment(stage, slice, rest % stage.n_across, rest / stage.n_across);
        }
    }

private:
    FASTSOFT_HD static std::ptrdiff_t window(const Stage& stage) { return stage.before + 1 + stage.after; }

    FASTSOFT_HD static void add(const Stage& stage, std::ptrdiff_t slice, std::ptrdiff_t across, std::ptrdiff_t along,
                                Sum (&sum)[kQuantities]) {
        if constexpr (Stage::kMirrored) {
            along = mirrored_position(along, stage.n_along);
        } else if (along < 0 || along >= stage.n_along) {
            return;
        }
        Sum values[kQuantities];
        stage.load(slice, Stage::kAlongRows ? across : along, Stage::kAlongRows ? along : across, values);
        FASTSOFT_UNROLL(16)
        for (int q = 0; q < kQuantities; ++q) {
            sum[q] += values[q];
        }
    }

    FASTSOFT_HD static void sum_segment(const Stage& stage, std::ptrdiff_t slice, std::ptrdiff_t across,
                                        std::ptrdiff_t segment) {
        const std::ptrdiff_t length = window(stage);
        const std::ptrdiff_t first = segment * length;  // output; its window begins `before` pixels earlier
        const std::ptrdiff_t end = first + length < stage.n_along ? first + length : stage.n_along;
        const std::ptrdiff_t step = stage.scratch_step();
        Sum sum[kQuantities] = {};
        for (std::ptrdiff_t i = first + length - 1; i >= first; --i) {
            add(stage, slice, across, i - stage.before, sum);
            if (i < end) {
                Sum* const kept = stage.scratch(slice, Stage::kAlongRows ? across : i, Stage::kAlongRows ? i : across);
                FASTSOFT_UNROLL(16)
                for (int q = 0; q < kQuantities; ++q) {
                    kept[q * step] = sum[q];
                }
            }
        }
        FASTSOFT_UNROLL(16)
        for (int q = 0; q < kQuantities; ++q) {
            sum[q] = Sum(0);
        }
        for (std::ptrdiff_t i = first; i < end; ++i) {
            const std::ptrdiff_t row = Stage::kAlongRows ? across : i;
            const std::ptrdiff_t col = Stage::kAlongRows ? i : across;
            const Sum* const kept = stage.scratch(slice, row, col);
            Sum window[kQuantities];
            FASTSOFT_UNROLL(16)
            for (int q = 0; q < kQuantities; ++q) {
                window[q] = kept[q * step] + sum[q];
            }
            stage.store(slice, row, col, window);
            add(stage, slice, across, i + stage.after + 1, sum);
        }
    }
};

template <class Stage>
using LineSumsBlock = EachBlock<LineSumsStep<Stage>, Stage::kThreads>;

}  // namespace fastsoft::detail
