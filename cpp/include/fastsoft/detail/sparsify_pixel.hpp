// SPDX-License-Identifier: MIT
#pragma once

#include <limits>

#include "fastsoft/core/host_device.hpp"
#include "fastsoft/core/power.hpp"

// Weights of the reweighted least squares at one value alpha; see sparsify.hpp. The factor w = 0.3^gamma is included.
namespace fastsoft::detail {

template <class T>
struct SparsityWeights {
    T e0;  // of alpha^2
    T e1;  // of (1 - alpha)^2
};

// max(|alpha|, clamp)^exponent and max(|1 - alpha|, clamp)^exponent, exponent = gamma - 2.
template <class T>
FASTSOFT_HD SparsityWeights<T> clamped_weights(T alpha, T clamp, T exponent, T factor) {
    const T from0 = alpha < T(0) ? -alpha : alpha;
    const T from1 = alpha < T(1) ? T(1) - alpha : alpha - T(1);
    return {factor * positive_pow(from0 > clamp ? from0 : clamp, exponent),
            factor * positive_pow(from1 > clamp ? from1 : clamp, exponent)};
}

// As above, but within the clamp of 0 or 1 exactly the weights at 0 or 1, (peak, factor) or (factor, peak) with
// peak = factor * clamp^exponent; and nowhere a sum above theirs, peak + factor.
template <class T>
FASTSOFT_HD SparsityWeights<T> flat_weights(T alpha, T clamp, T exponent, T factor, T peak) {
    const T from0 = alpha < T(0) ? -alpha : alpha;
    const T from1 = alpha < T(1) ? T(1) - alpha : alpha - T(1);
    const SparsityWeights<T> between = clamped_weights(alpha, clamp, exponent, factor);
    const T excess = (between.e0 + between.e1) / (peak + factor);
    const T scale = excess > T(1) ? T(1) / excess : T(1);
    const T e0 = from0 < clamp ? peak : (from1 < clamp ? factor : between.e0 * scale);
    const T e1 = from0 < clamp ? factor : (from1 < clamp ? peak : between.e1 * scale);
    return {e0, e1};
}

// What a pixel brings to the sums of a segment.
template <class T>
struct SparsityTerms {
    T total;  // factor of e e' in A_k (compat), or what is missing there to the constant peak + factor (stable)
    T right;  // factor of e in the right-hand side
    T last;   // compat: factor of e in the right-hand side of all others, of the last segment
};

template <class T>
FASTSOFT_HD SparsityTerms<T> stable_terms(T alpha, T clamp, T exponent, T factor, T peak, T offset) {
    const SparsityWeights<T> e = flat_weights(alpha, clamp, exponent, factor, peak);
    const T missing = (peak + factor) - (e.e0 + e.e1);
    return {missing > T(0) ? missing : T(0), e.e1 - (e.e0 + e.e1) * offset, T(0)};
}

template <class T>
FASTSOFT_HD SparsityTerms<T> compat_terms(T alpha, T clamp, T exponent, T factor) {
    const SparsityWeights<T> e = clamped_weights(alpha, clamp, exponent, factor);
    return {e.e0 + e.e1, e.e1, e.e0};
}

// |alpha|^gamma + |1 - alpha|^gamma. The smallest normal number, whose power is 0 for every purpose, stands in for 0.
template <class T>
FASTSOFT_HD T sparsity_at(T alpha, T gamma) {
    constexpr T kSmallest = std::numeric_limits<T>::min();
    const T from0 = alpha < T(0) ? -alpha : alpha;
    const T from1 = alpha < T(1) ? T(1) - alpha : alpha - T(1);
    return positive_pow(from0 > kSmallest ? from0 : kSmallest, gamma) +
           positive_pow(from1 > kSmallest ? from1 : kSmallest, gamma);
}

}  // namespace fastsoft::detail
