// SPDX-License-Identifier: MIT
#include "fastsoft/core/view.hpp"

#include <array>
#include <numeric>
#include <type_traits>
#include <vector>

#include "check.hpp"

namespace {

using fastsoft::View;

std::vector<int> counting(int n) {
    std::vector<int> values(static_cast<std::size_t>(n));
    std::iota(values.begin(), values.end(), 0);
    return values;
}

TEST(contiguous_views_count_in_row_major_order) {
    auto values = counting(24);
    const auto view = View<int, 3>::contiguous(values.data(), {2, 3, 4});
    CHECK_EQUAL(view(1, 2, 3), 23);
    CHECK_EQUAL(view(1, 0, 2), 14);
    CHECK_EQUAL(view.size(), 24);
    CHECK_EQUAL(view.stride(0), 12);
    CHECK(view.is_contiguous());
    view(0, 1, 0) = -1;
    CHECK_EQUAL(values[4], -1);
}

TEST(strides_may_be_negative_zero_or_transposed) {
    auto values = counting(12);
    const View<int, 2> transposed(values.data(), {4, 3}, {1, 4});
    CHECK_EQUAL(transposed(3, 2), 11);
    CHECK(!transposed.is_contiguous());
    const View<int, 2> flipped(values.data() + 11, {3, 4}, {-4, -1});
    CHECK_EQUAL(flipped(0, 0), 11);
    CHECK_EQUAL(flipped(2, 3), 0);
    const View<int, 2> repeated(values.data(), {5, 4}, {0, 1});
    CHECK_EQUAL(repeated(4, 2), 2);
    CHECK(!repeated.is_contiguous());
}

TEST(strides_of_axes_with_one_element_do_not_matter) {
    auto values = counting(4);
    CHECK((View<int, 3>(values.data(), {1, 4, 1}, {99, 1, -7}).is_contiguous()));
    CHECK((View<int, 2>(values.data(), {0, 4}, {4, 1}).size() == 0));
}

TEST(writable_views_become_read_only_ones_and_not_the_reverse) {
    auto values = counting(6);
    const auto writable = View<int, 2>::contiguous(values.data(), {2, 3});
    const View<const int, 2> readable = writable;
    CHECK_EQUAL(readable(1, 1), 4);
    static_assert(!std::is_convertible_v<View<const int, 2>, View<int, 2>>);
    static_assert(!std::is_assignable_v<decltype(readable(0, 0)), int>);
}

}  // namespace
