// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>

#include "fastsoft/core/cuda_context.hpp"
#include "fastsoft/core/monitor.hpp"
#include "fastsoft/core/view.hpp"

// Principal components of the pixels of a picture: with x_p the channels of pixel p, m their mean over the N pixels and
//
//     S = 1/N sum_p (x_p - m) (x_p - m)',
//
// the unit eigenvectors v_1, v_2, .. of S by descending eigenvalue and the scores (x_p - m) . v_k.
//
// K. Pearson, "On lines and planes of closest fit to systems of points in space", Philosophical Magazine 2(11), 1901;
// H. Hotelling, "Analysis of a complex of statistical variables into principal components", Journal of Educational
// Psychology 24(6), 1933.
//
// S is summed in double, whatever T is, in one pass over the pixels: sums about the mean of one block are merged
// with those of the blocks before it (T. F. Chan, G. H. Golub, R. J. LeVeque, "Algorithms for computing the sample
// variance", The American Statistician 37(3), 1983), all of them less the first pixel, so that a mean far from zero
// costs no digits. The scores take a second pass. Blocks depend on N alone and are merged in order: the same bits for
// any number of threads.
//
// What linear algebra leaves open is fixed as follows.
//   - Signs: the loading of largest magnitude is positive; of several within kSameLoading of each other, the first.
//   - Eigenvalues of at most C * 2.2e-16 of the largest cannot be told from rounding and count as zero. Such a
//   component
//     has variance 0 and scores 0; its direction is the unit vector of the channel that lies farthest from the
//     directions before it (of equal ones the first), made orthogonal to them.
//   - Within an eigenvalue that occurs several times any basis is as good as another; it is what the solver returns.
namespace fastsoft {

// Loadings are equal in magnitude if they differ by less than this share.
constexpr double kSameLoading = 1e-6;

template <class T>
struct PrincipalComponents {
    T* scores = nullptr;          // (N, n_components)
    double* mean = nullptr;       // (C), of the clipped values
    double* basis = nullptr;      // (C, n_components)
    double* variances = nullptr;  // (n_components)
    double* low = nullptr;        // (n_components), least and greatest score
    double* high = nullptr;
};

struct PrincipalComponentsInfo {
    bool finite = true;           // false: values hold NaN or infinity, what was filled is unspecified
    double total_variance = 0.0;  // trace of S; not finite if sums overflow, then only the mean is filled
};

// values is (H, W, C), any strides; they are cut to [-clip, clip] as they are read (infinity: not at all).
// n_components in 1..C. All arrays of `out` are contiguous and provided by the caller.
template <class T>
PrincipalComponentsInfo principal_components(const View<const T, 3>& values, std::ptrdiff_t n_components, double clip,
                                             const PrincipalComponents<T>& out, Monitor& monitor);

extern template PrincipalComponentsInfo principal_components<float>(const View<const float, 3>&, std::ptrdiff_t, double,
                                                                    const PrincipalComponents<float>&, Monitor&);
extern template PrincipalComponentsInfo principal_components<double>(const View<const double, 3>&, std::ptrdiff_t,
                                                                     double, const PrincipalComponents<double>&,
                                                                     Monitor&);

namespace cuda {

// On the device of the context, in the order of its stream; values and all arrays of `out` are in its memory. Means are
// summed first, then the products of centred channels, so that values are read three times with the scores. Waits once,
// for the covariance, whose eigenvectors the host computes as for the CPU; scores and their ranges are enqueued.
//
// Workspace: about 20 MB of sums, above 1500 channels twice the covariance.
template <class T>
PrincipalComponentsInfo principal_components(const Context& context, const View<const T, 3>& values,
                                             std::ptrdiff_t n_components, double clip,
                                             const PrincipalComponents<T>& out, Monitor& monitor);

}  // namespace cuda
}  // namespace fastsoft
