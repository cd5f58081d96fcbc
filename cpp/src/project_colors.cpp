// SPDX-License-Identifier: MIT
#include "fastsoft/project_colors.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

#include "fastsoft/core/parallel.hpp"
#include "fastsoft/detail/project_colors_checks.hpp"
#include "fastsoft/detail/project_colors_pixel.hpp"

namespace fastsoft {
namespace {

// Pixels of a row that are worked on at a time: with ten layers the workspace is 10 kB in float, less than a
// first-level cache.
constexpr std::ptrdiff_t kBlock = 128;
constexpr std::ptrdiff_t kRowGrain = 8;

template <class T>
void load(const T* from, std::ptrdiff_t step, std::ptrdiff_t count, T* to) {
    if (step == 1) {
        std::copy_n(from, count, to);
        return;
    }
    for (std::ptrdiff_t p = 0; p < count; ++p) {
        to[p] = from[p * step];
    }
}

template <class T>
class Worker {
public:
    Worker(const View<const T, 3>& alphas, const View<const T, 4>& colors, const View<const T, 3>& image,
           const View<T, 4>& out)
        : alphas_(alphas),
          colors_(colors),
          image_(image),
          out_(out),
          n_(alphas.extent(2)),
          a_(static_cast<std::size_t>(n_ * kBlock)),
          u_(a_.size()) {}

    ProjectColorsFault block(std::ptrdiff_t row, std::ptrdiff_t first, std::ptrdiff_t count) {
        T sum[kBlock] = {};
        T lowest = T(0);
        for (std::ptrdiff_t i = 0; i < n_; ++i) {
            T* const a = a_.data() + i * kBlock;
            const std::ptrdiff_t step = alphas_.stride(1);
            const T* const from = &alphas_(row, first, i);
            load(from, step, count, a);
            for (std::ptrdiff_t p = 0; p < count; ++p) {
                sum[p] += a[p];
                lowest = std::min(lowest, a[p]);
            }
        }
        bool right = lowest >= T(0);
        for (std::ptrdiff_t p = 0; p < count; ++p) {
            right = right && std::abs(sum[p] - T(1)) <= T(detail::kAlphaSumSlack);  // false for NaN, too
        }
        if (!right) {
            return ProjectColorsFault::alphas;
        }
        for (std::ptrdiff_t channel = 0; channel < 3; ++channel) {
            const ProjectColorsFault fault = one_channel(row, first, count, channel);
            if (fault != ProjectColorsFault::none) {
                return fault;
            }
        }
        return ProjectColorsFault::none;
    }

private:
    ProjectColorsFault one_channel(std::ptrdiff_t row, std::ptrdiff_t first, std::ptrdiff_t count,
                                   std::ptrdiff_t channel) {
        T target[kBlock];
        T bound[kBlock];
        T lambda[kBlock] = {};
        T reached[kBlock] = {};
        for (std::ptrdiff_t i = 0; i < n_; ++i) {
            const T* const a = a_.data() + i * kBlock;
            T* const u = u_.data() + i * kBlock;
            const std::ptrdiff_t step = colors_.stride(1);
            const T* const from = &colors_(row, first, i, channel);
            int outside = 0;
            load(from, step, count, u);
            for (std::ptrdiff_t p = 0; p < count; ++p) {
                outside |= static_cast<int>(!(u[p] >= T(0))) | static_cast<int>(!(u[p] <= T(1)));
                reached[p] += a[p] * u[p];
            }
            if (outside != 0) {
                return ProjectColorsFault::colors;
            }
        }
        for (std::ptrdiff_t p = 0; p < count; ++p) {
            target[p] = image_(row, first + p, channel);
            if (!(target[p] >= T(0) && target[p] <= T(1))) {
                return ProjectColorsFault::image;
            }
            bound[p] = target[p] > reached[p] ? T(1) : T(0);
        }
        // The last round finds no layer that has to be held besides those that are.
        for (std::ptrdiff_t round = 0; round <= n_; ++round) {
            if (!raise_lambda(count, target, bound, lambda)) {
                break;
            }
        }
        for (std::ptrdiff_t i = 0; i < n_; ++i) {
            const T* const a = a_.data() + i * kBlock;
            const T* const u = u_.data() + i * kBlock;
            const std::ptrdiff_t step = out_.stride(1);
            T* const to = &out_(row, first, i, channel);
            // Planes, as networks leave them, are written in order.
            if (step == 1) {
#pragma GCC ivdep
                for (std::ptrdiff_t p = 0; p < count; ++p) {
                    to[p] = detail::projected(u[p], a[p], lambda[p]);
                }
            } else {
                for (std::ptrdiff_t p = 0; p < count; ++p) {
                    to[p * step] = detail::projected(u[p], a[p], lambda[p]);
                }
            }
        }
        return ProjectColorsFault::none;
    }

    // One round for all pixels of the block; returns whether any of them needs another.
    bool raise_lambda(std::ptrdiff_t count, const T* target, const T* bound, T* lambda) const {
        T square[kBlock] = {};
        T missing[kBlock];
        T held_before[kBlock] = {};
        T held_after[kBlock] = {};
        std::copy_n(target, count, missing);
        for (std::ptrdiff_t i = 0; i < n_; ++i) {
            const T* const a = a_.data() + i * kBlock;
            const T* const u = u_.data() + i * kBlock;
#pragma GCC ivdep
            for (std::ptrdiff_t p = 0; p < count; ++p) {
                const T held = detail::held_at_bound(u[p], a[p], lambda[p], bound[p]);
                held_before[p] += held;
                detail::add_layer(u[p], a[p], held, bound[p], square[p], missing[p]);
            }
        }
#pragma GCC ivdep
        for (std::ptrdiff_t p = 0; p < count; ++p) {
            lambda[p] = detail::next_lambda(lambda[p], square[p], missing[p], bound[p], std::numeric_limits<T>::min());
        }
        for (std::ptrdiff_t i = 0; i < n_; ++i) {
            const T* const a = a_.data() + i * kBlock;
            const T* const u = u_.data() + i * kBlock;
#pragma GCC ivdep
            for (std::ptrdiff_t p = 0; p < count; ++p) {
                held_after[p] += detail::held_at_bound(u[p], a[p], lambda[p], bound[p]);
            }
        }
        int more = 0;
        for (std::ptrdiff_t p = 0; p < count; ++p) {
            more |= static_cast<int>(held_after[p] > held_before[p]);
        }
        return more != 0;
    }

    View<const T, 3> alphas_;
    View<const T, 4> colors_;
    View<const T, 3> image_;
    View<T, 4> out_;
    std::ptrdiff_t n_;
    std::vector<T> a_;  // alphas and, of one channel, colours, of the block: kBlock pixels of each layer
    std::vector<T> u_;
};

}  // namespace

template <class T>
ProjectColorsFault project_colors(const View<const T, 3>& alphas, const View<const T, 4>& colors,
                                  const View<const T, 3>& image, const View<T, 4>& out) {
    detail::check_project_colors<T>(alphas, colors, image, out);
    const std::ptrdiff_t height = alphas.extent(0);
    const std::ptrdiff_t width = alphas.extent(1);
    // Of several faults the one with the largest number is told, whichever thread found it first.
    std::atomic<int> worst{0};
    parallel_for(height, kRowGrain, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
        Worker<T> worker(alphas, colors, image, out);
        for (std::ptrdiff_t row = begin; row < end; ++row) {
            for (std::ptrdiff_t first = 0; first < width; first += kBlock) {
                const auto fault = static_cast<int>(worker.block(row, first, std::min(kBlock, width - first)));
                int before = worst.load();
                while (fault > before && !worst.compare_exchange_weak(before, fault)) {
                }
            }
        }
    });
    return static_cast<ProjectColorsFault>(worst.load());
}

template ProjectColorsFault project_colors<float>(const View<const float, 3>&, const View<const float, 4>&,
                                                  const View<const float, 3>&, const View<float, 4>&);
template ProjectColorsFault project_colors<double>(const View<const double, 3>&, const View<const double, 4>&,
                                                   const View<const double, 3>&, const View<double, 4>&);

}  // namespace fastsoft
