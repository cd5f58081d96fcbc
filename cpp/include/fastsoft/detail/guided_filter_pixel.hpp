// SPDX-License-Identifier: MIT
#pragma once

#include "fastsoft/core/host_device.hpp"

namespace fastsoft::detail {

// What the guide contributes at one pixel: window mean, and the factors of covariance + epsilon = L D L' with unit
// lower triangular L (guide channels G = 1 or 3). Solving with the factors is backward stable, where multiplying with
// an inverse rounded to float32 is not: for a small epsilon it would put errors into directions in which the guide
// varies.
template <class T, int G>
struct GuideStatistics {
    T inverse_count;
    T mean[G];
    T inverse_d[G];
    T lower[G == 3 ? 3 : 1];  // L10, L20, L21; unused for a grey guide
};

// sums: G sums of the guide over the window, then the upper triangle of the sums of products, row by row.
template <class T, int G>
FASTSOFT_HD void guide_statistics(const double* sums, double count, double epsilon, GuideStatistics<T, G>& out) {
    const double scale = 1.0 / count;
    double mean[G];
    for (int i = 0; i < G; ++i) {
        mean[i] = sums[i] * scale;
        out.mean[i] = T(mean[i]);
    }
    out.inverse_count = T(scale);
    const double* product = sums + G;
    double d[G];
    const double c00 = *product++ * scale - mean[0] * mean[0];
    d[0] = (c00 > 0.0 ? c00 : 0.0) + epsilon;
    if constexpr (G == 3) {
        const double c01 = *product++ * scale - mean[0] * mean[1];
        const double c02 = *product++ * scale - mean[0] * mean[2];
        const double c11 = *product++ * scale - mean[1] * mean[1];
        const double c12 = *product++ * scale - mean[1] * mean[2];
        const double c22 = *product++ * scale - mean[2] * mean[2];
        const double l10 = c01 / d[0];
        const double l20 = c02 / d[0];
        // Rounding could take a pivot below epsilon, which bounds all of them from below in exact arithmetic.
        d[1] = c11 + epsilon - l10 * c01;
        d[1] = d[1] > epsilon ? d[1] : epsilon;
        const double s12 = c12 - l20 * c01;
        const double l21 = s12 / d[1];
        d[2] = c22 + epsilon - l20 * c02 - l21 * s12;
        d[2] = d[2] > epsilon ? d[2] : epsilon;
        out.lower[0] = T(l10);
        out.lower[1] = T(l20);
        out.lower[2] = T(l21);
    } else {
        out.lower[0] = T(0);
    }
    for (int i = 0; i < G; ++i) {
        out.inverse_d[i] = T(1.0 / d[i]);
    }
}

// Window sums of (p, I_1 p, ..) -> (b, a_1, ..). V is T, or a vector of T that holds several source channels.
template <class T, int G, class V>
FASTSOFT_HD void guided_coefficients(const GuideStatistics<T, G>& guide, const V* sums, V* coefficients) {
    const V mean = sums[0] * guide.inverse_count;
    V a[G];
    for (int i = 0; i < G; ++i) {
        a[i] = sums[1 + i] * guide.inverse_count - mean * guide.mean[i];
    }
    if constexpr (G == 3) {
        a[1] -= a[0] * guide.lower[0];
        a[2] -= a[0] * guide.lower[1] + a[1] * guide.lower[2];
    }
    for (int i = 0; i < G; ++i) {
        a[i] *= guide.inverse_d[i];
    }
    if constexpr (G == 3) {
        a[1] -= a[2] * guide.lower[2];
        a[0] -= a[1] * guide.lower[0] + a[2] * guide.lower[1];
    }
    V b = mean;
    for (int i = 0; i < G; ++i) {
        b -= a[i] * guide.mean[i];
        coefficients[1 + i] = a[i];
    }
    coefficients[0] = b;
}

// Window sums of (b, a_1, ..) and the guide's colour -> filtered value.
template <class T, int G, class V>
FASTSOFT_HD void guided_value(const V* sums, const T* color, T inverse_count, V& value) {
    V sum = sums[0];
    for (int i = 0; i < G; ++i) {
        sum += sums[1 + i] * color[i];
    }
    value = sum * inverse_count;
}

}  // namespace fastsoft::detail
