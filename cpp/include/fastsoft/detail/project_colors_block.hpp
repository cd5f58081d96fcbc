// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

#include "fastsoft/core/view.hpp"
#include "fastsoft/detail/each_block.hpp"
#include "fastsoft/detail/project_colors_pixel.hpp"

namespace fastsoft::detail {

// A thread per pixel. Rounds read the pixel's alphas and colours again, from the cache: 7 n + 3 numbers per pixel at
// least. Neighbours are beside each other in planes (n, H, W), as networks leave them; with layers last a thread's
// numbers are, and a line of the cache serves several rounds.
template <class T>
struct ProjectColors {
    struct Arguments {
        View<const T, 3> alphas;
        View<const T, 4> colors;
        View<const T, 3> image;
        View<T, 4> out;
        T sum_slack;
        std::int32_t* faults;  // by ProjectColorsFault: set where there is one
    };

    FASTSOFT_HD static std::ptrdiff_t size(const Arguments& a) { return a.alphas.extent(0) * a.alphas.extent(1); }

    FASTSOFT_HD static void run(const Arguments& a, std::ptrdiff_t pixel) {
        const std::ptrdiff_t row = pixel / a.alphas.extent(1);
        const std::ptrdiff_t col = pixel % a.alphas.extent(1);
        const std::ptrdiff_t n = a.alphas.extent(2);
        const T* const alpha = &a.alphas(row, col, 0);
        T sum = T(0);
        bool negative = false;
        for (std::ptrdiff_t i = 0; i < n; ++i) {
            const T own = alpha[i * a.alphas.stride(2)];
            sum += own;
            negative = negative || own < T(0);
        }
        const T beyond = sum - T(1);
        // False for NaN, too.
        if (negative || !(beyond <= a.sum_slack && -beyond <= a.sum_slack)) {
            a.faults[1] = 1;
            return;
        }
        for (std::ptrdiff_t channel = 0; channel < 3; ++channel) {
            one_channel(a, row, col, channel, alpha);
        }
    }

private:
    FASTSOFT_HD static void one_channel(const Arguments& a, std::ptrdiff_t row, std::ptrdiff_t col,
                                        std::ptrdiff_t channel, const T* alpha) {
        const std::ptrdiff_t n = a.alphas.extent(2);
        const std::ptrdiff_t alpha_step = a.alphas.stride(2);
        const std::ptrdiff_t color_step = a.colors.stride(2);
        const T* const color = &a.colors(row, col, 0, channel);
        T reached = T(0);
        bool outside = false;
        for (std::ptrdiff_t i = 0; i < n; ++i) {
            const T u = color[i * color_step];
            outside = outside || !(u >= T(0)) || !(u <= T(1));
            reached += alpha[i * alpha_step] * u;
        }
        const T target = a.image(row, col, channel);
        const bool image_outside = !(target >= T(0) && target <= T(1));
        if (outside || image_outside) {
            a.faults[outside ? 2 : 3] = 1;
            return;
        }
        const T bound = target > reached ? T(1) : T(0);
        T lambda = T(0);
        // The last round finds no layer that has to be held besides those that are.
        for (std::ptrdiff_t round = 0; round <= n; ++round) {
            T square = T(0);
            T missing = target;
            std::ptrdiff_t held_before = 0;
            for (std::ptrdiff_t i = 0; i < n; ++i) {
                const T own = alpha[i * alpha_step];
                const T u = color[i * color_step];
                const T held = held_at_bound(u, own, lambda, bound);
                held_before += held > T(0) ? 1 : 0;
                add_layer(u, own, held, bound, square, missing);
            }
            lambda = next_lambda(lambda, square, missing, bound, std::numeric_limits<T>::min());
            std::ptrdiff_t held_after = 0;
            for (std::ptrdiff_t i = 0; i < n; ++i) {
                held_after += held_at_bound(color[i * color_step], alpha[i * alpha_step], lambda, bound) > T(0) ? 1 : 0;
            }
            if (held_after <= held_before) {
                break;
            }
        }
        T* const to = &a.out(row, col, 0, channel);
        for (std::ptrdiff_t i = 0; i < n; ++i) {
            to[i * a.out.stride(2)] = projected(color[i * color_step], alpha[i * alpha_step], lambda);
        }
    }
};

}  // namespace fastsoft::detail
