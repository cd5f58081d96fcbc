// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <vector>

#include "fastsoft/core/cuda_context.hpp"
#include "fastsoft/core/monitor.hpp"
#include "fastsoft/core/solver_info.hpp"
#include "fastsoft/core/view.hpp"

// Colours F and B of the foreground and the background of a photograph I with alpha a: I = a F + (1 - a) B at every
// pixel has too many solutions, and each function here takes a smooth one. image is (H, W, 3); alphas is (H, W, n), of
// n foregrounds that are estimated independently of each other, each against everything else as its background;
// foregrounds and backgrounds are (H, W, n, 3). All with any strides; outputs must not overlap inputs. backgrounds may
// be empty (null data) where they are not wanted. All colours are cut to [0, 1]. Same bits for any number of threads.
//
// Returns what was not as it must be, numbers in [0, 1]; outputs are unspecified then.
namespace fastsoft {

enum class ForegroundFault { none = 0, alpha = 1, image = 2 };

// Germer, Uelwer, Conrad and Harmeling, "Fast Multi-Level Foreground Estimation", ICPR 2020. Per channel it decreases
//
//     sum_i (a_i F_i + (1 - a_i) B_i - I_i)^2 + sum_i sum_{j in N4(i)} d_ij ((F_i - F_j)^2 + (B_i - B_j)^2),
//     d_ij = regularization + gradient_weight |a_i - a_j|
//
// by solving for F and B of one pixel at a time, on levels l = 0..m of sizes round(H^(l/m)), round(W^(l/m)) with
// m = ceil(log2(max(H, W))). I and a of a level, and the first F and B from the level before, are those of the nearest
// pixel. The first level starts from the mean colours of a > 0.9 and a < 0.1. Levels of at most small_size pixels on
// either side are updated n_small_iterations times, others n_large_iterations times. A border pixel is its own
// neighbour.
//
// `sequential` takes pixels in raster order, in one thread per layer, as the implementation of the authors (PyMatting)
// on a CPU, whose float32 sum for the mean colours it repeats. `red_black` takes the pixels of either colour of a
// chequerboard in turn, in tiles that go through all iterations of a level while they are in the cache.
//
// Workspace: 4 numbers per pixel (red_black), 14 per pixel and layer at work (sequential).
enum class ForegroundOrder { red_black = 0, sequential = 1 };

struct MultilevelParams {
    double regularization = 1e-5;
    double gradient_weight = 1.0;
    int small_size = 32;
    int n_small_iterations = 10;
    int n_large_iterations = 2;
    ForegroundOrder order = ForegroundOrder::red_black;
};

template <class T>
ForegroundFault multilevel_foreground(const View<const T, 3>& image, const View<const T, 3>& alphas,
                                      const View<T, 4>& foregrounds, const View<T, 4>& backgrounds,
                                      const MultilevelParams& params, Monitor& monitor);

// Forte, "Approximate Fast Foreground Colour Estimation", ICIP 2021. With means over windows of `size` x `size` pixels,
//
//     mF = mean(F a) / (mean(a) + 1e-5),   mB = mean(B (1 - a)) / (1 - mean(a) + 1e-5),
//     F <- mF + a (I - a mF - (1 - a) mB) cut to [0, 1],   B <- mB,
//
// once with first_size from F = B = I and once with second_size. The window of pixel x begins at x - size / 2, and the
// picture is mirrored at its border without repeating it. Window sums run along the picture in float64: O(1) in
// the sizes. Workspace: 6 numbers per pixel.
struct BlurFusionParams {
    std::ptrdiff_t first_size = 90;
    std::ptrdiff_t second_size = 6;
};

template <class T>
ForegroundFault blur_fusion(const View<const T, 3>& image, const View<const T, 3>& alphas,
                            const View<T, 4>& foregrounds, const View<T, 4>& backgrounds,
                            const BlurFusionParams& params, Monitor& monitor);

// The minimum of the energy of Levin, Lischinski and Weiss, "A Closed Form Solution to Natural Image Matting", IEEE
// TPAMI 30(2), 2008, Eq. 19, in PyMatting's form: per channel
//
//     sum_i (a_i F_i + (1 - a_i) B_i - I_i)^2 + sum_i sum_{j in N4(i)} d_ij ((F_i - F_j)^2 + (B_i - B_j)^2),
//     d_ij = regularization + |a_i - a_j|,
//
// in which every edge counts from both of its ends and neighbours beyond the border do not exist. One sparse linear
// system for F and B, solved from F = B = I by conjugate gradients with a multigrid cycle for a preconditioner, in
// float64, until the residual has fallen to tolerance times the norm of the right-hand side. Values must have been
// checked. Returns three entries per layer, of its channels. Workspace: about 450 bytes per pixel.
struct ClosedFormForegroundParams {
    double regularization = 1e-5;
    double tolerance = 1e-6;
    int max_iterations = 1000;
};

template <class T>
std::vector<SolverInfo> closed_form_foreground(const View<const T, 3>& image, const View<const T, 3>& alphas,
                                               const View<T, 4>& foregrounds, const View<T, 4>& backgrounds,
                                               const ClosedFormForegroundParams& params, Monitor& monitor);

extern template ForegroundFault multilevel_foreground<float>(const View<const float, 3>&, const View<const float, 3>&,
                                                             const View<float, 4>&, const View<float, 4>&,
                                                             const MultilevelParams&, Monitor&);
extern template ForegroundFault multilevel_foreground<double>(const View<const double, 3>&,
                                                              const View<const double, 3>&, const View<double, 4>&,
                                                              const View<double, 4>&, const MultilevelParams&,
                                                              Monitor&);
extern template ForegroundFault blur_fusion<float>(const View<const float, 3>&, const View<const float, 3>&,
                                                   const View<float, 4>&, const View<float, 4>&,
                                                   const BlurFusionParams&, Monitor&);
extern template ForegroundFault blur_fusion<double>(const View<const double, 3>&, const View<const double, 3>&,
                                                    const View<double, 4>&, const View<double, 4>&,
                                                    const BlurFusionParams&, Monitor&);
extern template std::vector<SolverInfo> closed_form_foreground<float>(const View<const float, 3>&,
                                                                      const View<const float, 3>&,
                                                                      const View<float, 4>&, const View<float, 4>&,
                                                                      const ClosedFormForegroundParams&, Monitor&);
extern template std::vector<SolverInfo> closed_form_foreground<double>(const View<const double, 3>&,
                                                                       const View<const double, 3>&,
                                                                       const View<double, 4>&, const View<double, 4>&,
                                                                       const ClosedFormForegroundParams&, Monitor&);

namespace cuda {

// On the device of the context, in the order of its stream; all arrays are in its memory. Wait for the stream, which
// tells whether anything was not as it must be. multilevel_foreground takes red_black order only, up to 256 MB of
// layers at once (one layer at the least) and 4 numbers per pixel of each (13 if n_large_iterations is above 2);
// blur_fusion takes 22 numbers per pixel.
template <class T>
ForegroundFault multilevel_foreground(const Context& context, const View<const T, 3>& image,
                                      const View<const T, 3>& alphas, const View<T, 4>& foregrounds,
                                      const View<T, 4>& backgrounds, const MultilevelParams& params, Monitor& monitor);

template <class T>
ForegroundFault blur_fusion(const Context& context, const View<const T, 3>& image, const View<const T, 3>& alphas,
                            const View<T, 4>& foregrounds, const View<T, 4>& backgrounds,
                            const BlurFusionParams& params, Monitor& monitor);

}  // namespace cuda
}  // namespace fastsoft
