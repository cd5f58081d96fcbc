// SPDX-License-Identifier: MIT
#include "fastsoft/project_colors.hpp"

#include "fastsoft/cuda/launch.cuh"
#include "fastsoft/cuda/workspace.cuh"
#include "fastsoft/detail/project_colors_block.hpp"
#include "fastsoft/detail/project_colors_checks.hpp"

namespace fastsoft::cuda {
namespace {

// By ProjectColorsFault.
struct Faults {
    std::int32_t found[4];
};

template <class T>
using Block = detail::EachBlock<detail::ProjectColors<T>>;

}  // namespace

template <class T>
ProjectColorsFault project_colors(const Context& context, const View<const T, 3>& alphas,
                                  const View<const T, 4>& colors, const View<const T, 3>& image,
                                  const View<T, 4>& out) {
    detail::check_project_colors<T>(alphas, colors, image, out);
    const Workspace<Faults> faults(context, 1);
    faults.clear(1);
    launch<Block<T>>(context, "project_colors",
                     {alphas, colors, image, out, static_cast<T>(detail::kAlphaSumSlack), faults.data()->found});
    const Faults seen = read_back(context, faults.data());
    int worst = 0;
    for (int fault = 1; fault < 4; ++fault) {
        worst = seen.found[fault] != 0 ? fault : worst;
    }
    return static_cast<ProjectColorsFault>(worst);
}

template ProjectColorsFault project_colors<float>(const Context&, const View<const float, 3>&,
                                                  const View<const float, 4>&, const View<const float, 3>&,
                                                  const View<float, 4>&);
template ProjectColorsFault project_colors<double>(const Context&, const View<const double, 3>&,
                                                   const View<const double, 4>&, const View<const double, 3>&,
                                                   const View<double, 4>&);

}  // namespace fastsoft::cuda
