// SPDX-License-Identifier: MIT
#include <array>
#include <limits>
#include <vector>

#include "check.hpp"
#include "emulate.hpp"
#include "fastsoft/detail/image_gradient_block.hpp"
#include "fastsoft/image_gradient.hpp"

namespace {

using fastsoft::View;
using fastsoft::tests::Guarded;
using fastsoft::tests::Order;

template <class T>
void compare(const View<const T, 3>& image) {
    using Block = fastsoft::detail::ImageGradientBlock<T>;
    const std::ptrdiff_t n_pixels = image.extent(0) * image.extent(1);
    std::vector<T> expected(static_cast<std::size_t>(n_pixels));
    fastsoft::image_gradient<T>(image, expected.data());
    Guarded<T> found(n_pixels);
    Guarded<T> again(n_pixels);
    fastsoft::tests::emulate<Block>({image, found.data()}, Order::forward);
    fastsoft::tests::emulate<Block>({image, again.data()}, Order::backward);
    CHECK(found == again);
    CHECK(found.intact());
    // The same operations in the same order; compilers may fuse them differently.
    const double bound = 30 * static_cast<double>(std::numeric_limits<T>::epsilon());
    CHECK(fastsoft::tests::largest_difference(found.data(), expected.data(), expected.size()) < bound);
}

template <class T>
void compare_all() {
    for (const auto& shape : std::vector<std::array<std::ptrdiff_t, 3>>{
             {1, 1, 1}, {1, 9, 3}, {9, 1, 2}, {5, 7, 3}, {32, 32, 1}, {33, 31, 3}, {31, 65, 2}, {70, 40, 3}}) {
        const auto values = fastsoft::tests::random_numbers<T>(shape[0] * shape[1] * shape[2], 3);
        compare<T>(View<const T, 3>::contiguous(values.data(), shape));
    }
    const auto values = fastsoft::tests::random_numbers<T>(80 * 90 * 3, 4);
    // Every second row, columns backwards, channels apart.
    compare<T>(View<const T, 3>(values.data() + 29, {40, 30, 3}, {60, -1, 2400}));
}

TEST(image_gradient_block_does_what_the_cpu_does) {
    compare_all<float>();
    compare_all<double>();
}

}  // namespace
