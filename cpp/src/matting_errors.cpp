// SPDX-License-Identifier: MIT
#include "fastsoft/matting_errors.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "fastsoft/core/error.hpp"
#include "fastsoft/core/parallel.hpp"
#include "fastsoft/detail/matting_errors_pixel.hpp"

namespace fastsoft {
namespace {

using detail::GradientTaps;

constexpr std::ptrdiff_t kRowGrain = 32;
constexpr int kLevels = 10;
constexpr std::uint8_t kUnassigned = std::numeric_limits<std::uint8_t>::max();
constexpr double kConnectivityThreshold = 0.15;

// Gradient magnitudes of one row.
class RowGradient {
public:
    RowGradient(const GradientTaps& taps, std::ptrdiff_t n_rows, std::ptrdiff_t n_cols)
        : taps_(taps),
          half_(taps.half_size),
          n_rows_(n_rows),
          n_cols_(n_cols),
          smooth_(static_cast<std::size_t>(n_cols + 2 * half_)),
          slope_(smooth_.size()) {}

    template <class T>
    void compute(const T* image, std::ptrdiff_t row, double scale, double* magnitude) {
        double* const smooth = smooth_.data() + half_;
        double* const slope = slope_.data() + half_;
        std::fill(smooth, smooth + n_cols_, 0.0);
        std::fill(slope, slope + n_cols_, 0.0);
        for (std::ptrdiff_t k = -half_; k <= half_; ++k) {
            const T* const line = image + std::clamp<std::ptrdiff_t>(row + k, 0, n_rows_ - 1) * n_cols_;
            const double a = taps_.smooth[k + half_];
            const double b = taps_.slope[k + half_];
            for (std::ptrdiff_t c = 0; c < n_cols_; ++c) {
                smooth[c] += a * static_cast<double>(line[c]);
                slope[c] += b * static_cast<double>(line[c]);
            }
        }
        for (double* const line : {smooth, slope}) {
            std::fill(line - half_, line, line[0]);
            std::fill(line + n_cols_, line + n_cols_ + half_, line[n_cols_ - 1]);
        }
        for (std::ptrdiff_t c = 0; c < n_cols_; ++c) {
            double gx = 0.0;
            double gy = 0.0;
            for (std::ptrdiff_t k = -half_; k <= half_; ++k) {
                gx += taps_.slope[k + half_] * smooth[c + k];
                gy += taps_.smooth[k + half_] * slope[c + k];
            }
            magnitude[c] = scale * std::sqrt(gx * gx + gy * gy);
        }
    }

private:
    const GradientTaps& taps_;
    std::ptrdiff_t half_;
    std::ptrdiff_t n_rows_;
    std::ptrdiff_t n_cols_;
    std::vector<double> smooth_;
    std::vector<double> slope_;
};

// Pixels [begin, end) of a row that pass a threshold together.
struct Run {
    std::int32_t row;
    std::int32_t begin;
    std::int32_t end;
};

std::int32_t find_root(std::vector<std::int32_t>& parent, std::int32_t i) {
    while (parent[static_cast<std::size_t>(i)] != i) {
        auto& up = parent[static_cast<std::size_t>(i)];
        up = parent[static_cast<std::size_t>(up)];
        i = up;
    }
    return i;
}

// Runs of the largest 4-connected component of {level >= k}, in row order; empty if nothing passes.
std::vector<Run> largest_component(const std::uint8_t* level, std::ptrdiff_t n_rows, std::ptrdiff_t n_cols, int k) {
    std::vector<Run> runs;
    std::vector<std::int32_t> parent;
    std::size_t above_begin = 0;
    for (std::ptrdiff_t row = 0; row < n_rows; ++row) {
        const std::uint8_t* const line = level + row * n_cols;
        const std::size_t row_begin = runs.size();
        std::size_t above = above_begin;
        for (std::ptrdiff_t c = 0; c < n_cols;) {
            if (line[c] < k) {
                ++c;
                continue;
            }
            const std::ptrdiff_t begin = c;
            while (c < n_cols && line[c] >= k) {
                ++c;
            }
            auto root = static_cast<std::int32_t>(runs.size());
            runs.push_back(
                {static_cast<std::int32_t>(row), static_cast<std::int32_t>(begin), static_cast<std::int32_t>(c)});
            parent.push_back(root);
            while (above < row_begin && runs[above].end <= begin) {
                ++above;
            }
            // The last run above that touches this one may touch the next one as well.
            for (std::size_t i = above; i < row_begin && runs[i].begin < c; ++i) {
                const std::int32_t other = find_root(parent, static_cast<std::int32_t>(i));
                const std::int32_t first = std::min(root, other);
                parent[static_cast<std::size_t>(std::max(root, other))] = first;
                root = first;
            }
        }
        above_begin = row_begin;
    }
    std::vector<std::int64_t> size(runs.size(), 0);
    for (std::size_t i = 0; i < runs.size(); ++i) {
        size[static_cast<std::size_t>(find_root(parent, static_cast<std::int32_t>(i)))] += runs[i].end - runs[i].begin;
    }
    // Roots are the first runs of their components: the first maximum is the component met first.
    const auto largest = static_cast<std::int32_t>(std::max_element(size.begin(), size.end()) - size.begin());
    std::size_t kept = 0;
    for (std::size_t i = 0; i < runs.size(); ++i) {
        if (find_root(parent, static_cast<std::int32_t>(i)) == largest) {
            runs[kept++] = runs[i];
        }
    }
    runs.resize(kept);
    runs.shrink_to_fit();
    return runs;
}

double phi(double value, double connected) {
    const double distance = value - connected;
    return distance >= kConnectivityThreshold ? 1.0 - distance : 1.0;
}

}  // namespace

template <class T>
double gradient_error(const View<const T, 2>& alpha, const View<const T, 2>& truth,
                      const View<const std::uint8_t, 2>& region, double sigma, int half_size, double alpha_scale,
                      double truth_scale) {
    detail::check_gradient_error(alpha, truth, region);
    FASTSOFT_EXPECTS(
        alpha.is_contiguous() && truth.is_contiguous() && (region.data() == nullptr || region.is_contiguous()),
        "alpha, truth and region must be C-contiguous");
    const std::ptrdiff_t n_rows = alpha.extent(0);
    const std::ptrdiff_t n_cols = alpha.extent(1);
    const GradientTaps taps = detail::gradient_taps(sigma, half_size);
    return parallel_sum<double>(n_rows, kRowGrain, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
        RowGradient gradient(taps, n_rows, n_cols);
        std::vector<double> of_alpha(static_cast<std::size_t>(n_cols));
        std::vector<double> of_truth(static_cast<std::size_t>(n_cols));
        const std::vector<std::uint8_t> everywhere(region.data() == nullptr ? static_cast<std::size_t>(n_cols) : 0, 1);
        double sum = 0.0;
        for (std::ptrdiff_t row = begin; row < end; ++row) {
            const std::uint8_t* const counts =
                region.data() == nullptr ? everywhere.data() : region.data() + row * n_cols;
            if (std::all_of(counts, counts + n_cols, [](std::uint8_t r) { return r == 0; })) {
                continue;
            }
            gradient.compute(alpha.data(), row, alpha_scale, of_alpha.data());
            gradient.compute(truth.data(), row, truth_scale, of_truth.data());
            for (std::ptrdiff_t c = 0; c < n_cols; ++c) {
                const double difference = of_alpha[static_cast<std::size_t>(c)] - of_truth[static_cast<std::size_t>(c)];
                sum += counts[c] != 0 ? difference * difference : 0.0;
            }
        }
        return sum;
    });
}

template <class T>
double connectivity_error(const T* alpha, const T* truth, const std::uint8_t* region, std::ptrdiff_t n_rows,
                          std::ptrdiff_t n_cols, bool skip_empty) {
    FASTSOFT_EXPECTS(n_rows > 0 && n_cols > 0, "alpha must not be empty");
    const std::ptrdiff_t n = n_rows * n_cols;
    FASTSOFT_EXPECTS(n <= std::numeric_limits<std::int32_t>::max(), "alpha must have at most 2^31 - 1 pixels, got ", n);
    // How many of the ten thresholds a pixel passes in both images.
    std::vector<std::uint8_t> level(static_cast<std::size_t>(n));
    parallel_for(n_rows, kRowGrain, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
        for (std::ptrdiff_t i = begin * n_cols; i < end * n_cols; ++i) {
            const T both = std::min(alpha[i], truth[i]);
            std::uint8_t passed = 0;
            for (int k = 1; k <= kLevels; ++k) {
                passed = static_cast<std::uint8_t>(passed + (both >= static_cast<T>(k) / T(kLevels) ? 1 : 0));
            }
            level[static_cast<std::size_t>(i)] = passed;
        }
    });
    std::array<std::vector<Run>, kLevels> components;
    parallel_for(kLevels, 1, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
        for (std::ptrdiff_t k = begin; k < end; ++k) {
            components[static_cast<std::size_t>(k)] =
                largest_component(level.data(), n_rows, n_cols, static_cast<int>(k) + 1);
        }
    });
    return parallel_sum<double>(n_rows, kRowGrain, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
        std::array<std::size_t, kLevels> next{};
        for (std::size_t k = 0; k < kLevels; ++k) {
            const auto& runs = components[k];
            next[k] = static_cast<std::size_t>(
                std::lower_bound(runs.begin(), runs.end(), begin,
                                 [](const Run& run, std::ptrdiff_t row) { return run.row < row; }) -
                runs.begin());
        }
        std::vector<std::uint8_t> connected(static_cast<std::size_t>(n_cols));
        double sum = 0.0;
        for (std::ptrdiff_t row = begin; row < end; ++row) {
            std::fill(connected.begin(), connected.end(), kUnassigned);
            for (std::size_t k = 0; k < kLevels; ++k) {
                const auto& runs = components[k];
                if (runs.empty() && skip_empty) {
                    continue;
                }
                // What lies between the runs of the component.
                const auto assign = [&](std::ptrdiff_t from, std::ptrdiff_t to) {
                    for (auto c = static_cast<std::size_t>(from); c < static_cast<std::size_t>(to); ++c) {
                        connected[c] = connected[c] == kUnassigned ? static_cast<std::uint8_t>(k) : connected[c];
                    }
                };
                std::ptrdiff_t from = 0;
                for (; next[k] < runs.size() && runs[next[k]].row == row; ++next[k]) {
                    assign(from, runs[next[k]].begin);
                    from = runs[next[k]].end;
                }
                assign(from, n_cols);
            }
            for (std::ptrdiff_t c = 0; c < n_cols; ++c) {
                const std::ptrdiff_t i = row * n_cols + c;
                if (region[i] != 0) {
                    const std::uint8_t tenths = connected[static_cast<std::size_t>(c)];
                    const double l = tenths == kUnassigned ? 1.0 : static_cast<double>(tenths) / kLevels;
                    sum += std::abs(phi(static_cast<double>(alpha[i]), l) - phi(static_cast<double>(truth[i]), l));
                }
            }
        }
        return sum;
    });
}

template double gradient_error(const View<const float, 2>&, const View<const float, 2>&,
                               const View<const std::uint8_t, 2>&, double, int, double, double);
template double gradient_error(const View<const double, 2>&, const View<const double, 2>&,
                               const View<const std::uint8_t, 2>&, double, int, double, double);
template double connectivity_error(const float*, const float*, const std::uint8_t*, std::ptrdiff_t, std::ptrdiff_t,
                                   bool);
template double connectivity_error(const double*, const double*, const std::uint8_t*, std::ptrdiff_t, std::ptrdiff_t,
                                   bool);

}  // namespace fastsoft
