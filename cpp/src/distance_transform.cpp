// SPDX-License-Identifier: MIT
#include "fastsoft/distance_transform.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "fastsoft/core/error.hpp"
#include "fastsoft/core/parallel.hpp"
#include "fastsoft/detail/distance_transform_pixel.hpp"

namespace fastsoft {
namespace {

// Columns of a task of the first pass: one cache line of the mask, and as many rows ahead as the prefetcher likes.
constexpr std::ptrdiff_t kColumnGrain = 256;
constexpr std::ptrdiff_t kRowGrain = 16;
using detail::kNoDistance;

// One parabola of the lower envelope: it is the nearest column from `begin` on.
struct Piece {
    std::ptrdiff_t column;
    std::ptrdiff_t begin;
};

// distance[c]: rows to the nearest pixel of the set in column c, kNoDistance without one.
void transform_row(const std::int32_t* distance, std::ptrdiff_t n_cols, std::vector<Piece>& envelope, double* out) {
    envelope.clear();
    const auto square = [&](std::ptrdiff_t column) {
        const auto d = static_cast<std::int64_t>(distance[column]);
        return d * d;
    };
    const auto value = [&](std::ptrdiff_t at, std::ptrdiff_t column) {
        const std::int64_t step = at - column;
        return step * step + square(column);
    };
    for (std::ptrdiff_t c = 0; c < n_cols; ++c) {
        if (distance[c] == kNoDistance) {
            continue;
        }
        while (!envelope.empty() &&
               value(envelope.back().begin, envelope.back().column) > value(envelope.back().begin, c)) {
            envelope.pop_back();
        }
        if (envelope.empty()) {
            envelope.push_back({c, 0});
            continue;
        }
        // First place where column c is strictly nearer. Not negative, since the last parabola is lower at its begin.
        const std::ptrdiff_t last = envelope.back().column;
        const std::int64_t numerator =
            static_cast<std::int64_t>(c) * c - static_cast<std::int64_t>(last) * last + square(c) - square(last);
        const std::int64_t begin = 1 + numerator / (2 * static_cast<std::int64_t>(c - last));
        if (begin < n_cols) {
            envelope.push_back({c, static_cast<std::ptrdiff_t>(begin)});
        }
    }
    if (envelope.empty()) {
        std::fill(out, out + n_cols, std::numeric_limits<double>::infinity());
        return;
    }
    for (std::size_t i = 0; i < envelope.size(); ++i) {
        const std::ptrdiff_t end = i + 1 < envelope.size() ? envelope[i + 1].begin : n_cols;
        const std::ptrdiff_t column = envelope[i].column;
        const auto offset = static_cast<double>(square(column));
        for (std::ptrdiff_t at = envelope[i].begin; at < end; ++at) {
            out[at] = std::sqrt(detail::squared_distance(at - column, offset));
        }
    }
}

}  // namespace

void distance_transform(const View<const std::uint8_t, 2>& mask, double* out) {
    FASTSOFT_EXPECTS(mask.size() > 0, "mask must not be empty");
    FASTSOFT_EXPECTS(mask.is_contiguous(), "mask must be C-contiguous");
    const std::ptrdiff_t n_rows = mask.extent(0);
    const std::ptrdiff_t n_cols = mask.extent(1);
    std::vector<std::int32_t> distance(static_cast<std::size_t>(n_rows * n_cols));
    parallel_for(n_cols, kColumnGrain, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
        for (std::ptrdiff_t row = 0; row < n_rows; ++row) {
            const std::uint8_t* const is_set = mask.data() + row * n_cols;
            std::int32_t* const here = distance.data() + row * n_cols;
            const std::int32_t* const above = row > 0 ? here - n_cols : nullptr;
            for (std::ptrdiff_t c = begin; c < end; ++c) {
                const std::int32_t before = above == nullptr ? kNoDistance : above[c];
                here[c] = is_set[c] != 0 ? 0 : before == kNoDistance ? kNoDistance : before + 1;
            }
        }
        for (std::ptrdiff_t row = n_rows - 2; row >= 0; --row) {
            std::int32_t* const here = distance.data() + row * n_cols;
            const std::int32_t* const below = here + n_cols;
            for (std::ptrdiff_t c = begin; c < end; ++c) {
                here[c] = below[c] < here[c] ? below[c] + 1 : here[c];
            }
        }
    });
    parallel_for(n_rows, kRowGrain, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
        std::vector<Piece> envelope;
        for (std::ptrdiff_t row = begin; row < end; ++row) {
            transform_row(distance.data() + row * n_cols, n_cols, envelope, out + row * n_cols);
        }
    });
}

}  // namespace fastsoft
