// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "check.hpp"
#include "emulate.hpp"
#include "fastsoft/detail/kmeans_block.hpp"
#include "fastsoft/detail/kmeans_loop.hpp"
#include "fastsoft/detail/prefix_sums_block.hpp"

namespace {

using fastsoft::divide_up;
using fastsoft::tests::at;
using fastsoft::tests::emulate;
using fastsoft::tests::Guarded;
using fastsoft::tests::Order;
using std::ptrdiff_t;
namespace detail = fastsoft::detail;

template <class T>
struct Problem {
    ptrdiff_t n;
    ptrdiff_t d;
    ptrdiff_t k;
    std::vector<T> points;
    std::vector<double> weights;
    std::vector<T> centers;

    Problem(ptrdiff_t n_, ptrdiff_t d_, ptrdiff_t k_, bool weighted)
        : n(n_), d(d_), k(k_), points(fastsoft::tests::random_numbers<T>(n_ * d_, 5)) {
        if (weighted) {
            weights = fastsoft::tests::random_numbers<double>(n, 6);
            weights[0] = 0.0;
        }
        // The last centre repeats the first: the first of equal ones wins.
        centers = fastsoft::tests::random_numbers<T>(k * d, 7);
        for (ptrdiff_t c = 0; c < d; ++c) {
            centers[at((k - 1) * d + c)] = centers[at(c)];
        }
    }

    detail::KmeansData<T> data() const { return {points.data(), weights.empty() ? nullptr : weights.data(), n, d}; }
    double weight(ptrdiff_t i) const { return weights.empty() ? 1.0 : weights[at(i)]; }
    double distance(ptrdiff_t i, const T* to) const {
        double sum = 0.0;
        for (ptrdiff_t c = 0; c < d; ++c) {
            const double difference = static_cast<double>(points[at(i * d + c)]) - static_cast<double>(to[c]);
            sum += difference * difference;
        }
        return sum;
    }
};

template <class T>
void check_assignment(ptrdiff_t n, ptrdiff_t d, ptrdiff_t k, bool weighted, Order order) {
    using Assign = detail::KmeansAssignBlock<T>;
    using Sums = detail::KmeansSumsBlock<T>;
    const Problem<T> problem(n, d, k, weighted);
    const ptrdiff_t n_blocks = divide_up(n, Assign::kThreads);
    Guarded<std::int32_t> labels(n);
    std::fill_n(labels.data(), n, -1);
    labels.data()[n - 1] = 0;
    Guarded<detail::KmeansError> errors(n_blocks);
    Guarded<double> error(2);
    emulate<Assign>({problem.data(), problem.centers.data(), k, labels.data(), errors.data()}, order);
    emulate<detail::KmeansErrorBlock>({errors.data(), n_blocks, error.data()}, order);
    CHECK(labels.intact() && errors.intact() && error.intact());

    // Distances in T: d roundings of numbers up to d.
    const double bound = static_cast<double>(d * d) * static_cast<double>(std::numeric_limits<T>::epsilon());
    const ptrdiff_t n_slots = k * (d + 2);
    std::vector<double> expected(at(n_slots));
    double inertia = 0.0;
    std::int64_t changed = 0;
    for (ptrdiff_t i = 0; i < n; ++i) {
        double least = HUGE_VAL;
        for (ptrdiff_t c = 0; c < k; ++c) {
            least = std::min(least, problem.distance(i, problem.centers.data() + c * d));
        }
        const std::int32_t label = labels[i];
        CHECK(label >= 0 && (label < k - 1 || k == 1));
        CHECK(problem.distance(i, problem.centers.data() + label * d) <= least + bound);
        changed += i < n - 1 || label != 0 ? 1 : 0;
        inertia += problem.weight(i) * least;
        double* const own = expected.data() + label * (d + 2);
        own[0] += problem.weight(i);
        own[1] += 1.0;
        for (ptrdiff_t c = 0; c < d; ++c) {
            own[2 + c] += problem.weight(i) * static_cast<double>(problem.points[at(i * d + c)]);
        }
    }
    CHECK(std::abs(error[0] - inertia) <= static_cast<double>(n) * bound);
    CHECK_EQUAL(static_cast<std::int64_t>(error[1]), changed);

    // As the backend chooses them, and what else it might.
    for (const ptrdiff_t chunk : {Sums::chunk_of(n, n_slots), ptrdiff_t{2} * Sums::kLabels}) {
        for (const int lanes : {Sums::lanes_of(n_slots), 1, 4}) {
            const ptrdiff_t n_chunks = divide_up(n, chunk);
            Guarded<double> sums(n_chunks * n_slots);
            Guarded<double> totals(n_slots);
            emulate<Sums>({problem.data(), k, labels.data(), chunk, lanes, sums.data()}, order);
            emulate<detail::ColumnMeansBlock>({sums.data(), n_chunks, n_slots, totals.data(), 1.0}, order);
            CHECK(sums.intact() && totals.intact());
            CHECK(fastsoft::tests::largest_difference(totals.data(), expected.data(), expected.size()) <=
                  1e-15 * static_cast<double>(n));
        }
    }

    if (k < 2) {
        return;
    }
    // Cluster 0 has one point left, so that none of its points is taken.
    using Farthest = detail::KmeansFarthestBlock<T>;
    std::vector<double> counts(at(k), 2.0);
    counts[0] = 1.0;
    const ptrdiff_t n_pieces = divide_up(n, Farthest::kThreads * Farthest::kPerThread);
    Guarded<detail::KmeansFarthest> partial(n_pieces + 1);
    emulate<Farthest>({problem.data(), problem.centers.data(), counts.data(), labels.data(), 1e-3, partial.data()},
                      order);
    emulate<detail::KmeansFarthestTotalBlock>({partial.data(), n_pieces, partial.data() + n_pieces}, order);
    CHECK(partial.intact());
    const std::vector<T> origin(at(d));
    detail::KmeansFarthest farthest{0.0, -1};
    for (ptrdiff_t i = 0; i < n; ++i) {
        const double distance = problem.distance(i, problem.centers.data() + labels[i] * d);
        if (labels[i] != 0 && problem.weight(i) > 0.0 && distance > 1e-3 * problem.distance(i, origin.data()) &&
            (farthest.point < 0 || distance > farthest.distance)) {
            farthest = {distance, i};
        }
    }
    CHECK_EQUAL(partial[n_pieces].point, farthest.point);
}

TEST(kmeans_assigns_and_sums_as_the_definition_says) {
    for (const Order order : {Order::forward, Order::backward}) {
        for (const bool weighted : {false, true}) {
            check_assignment<float>(1, 1, 1, weighted, order);
            check_assignment<float>(257, 3, 5, weighted, order);
            check_assignment<float>(700, 17, 16, weighted, order);
            check_assignment<double>(1300, 2, 17, weighted, order);
            check_assignment<double>(255, 40, 35, weighted, order);
            check_assignment<double>(5000, 3, 9, weighted, order);
        }
    }
}

TEST(kmeans_takes_the_first_of_equally_far_points) {
    constexpr ptrdiff_t kPoints = 3000;
    const double center = 0.0;
    const double count = kPoints;
    const std::vector<std::int32_t> labels(at(kPoints), 0);
    using Farthest = detail::KmeansFarthestBlock<double>;
    const ptrdiff_t n_pieces = divide_up(kPoints, Farthest::kThreads * Farthest::kPerThread);
    // Where a tree merges them in another order than theirs; in one thread; in different blocks.
    for (const auto& [first, second] : {std::pair{1, 256}, {200, 260}, {4, 516}, {1023, 1024}, {1025, 2999}}) {
        std::vector<double> points(at(kPoints), 1.0);
        points[at(first)] = points[at(second)] = -3.0;
        for (const Order order : {Order::forward, Order::backward}) {
            Guarded<detail::KmeansFarthest> partial(n_pieces + 1);
            emulate<Farthest>(
                {{points.data(), nullptr, kPoints, 1}, &center, &count, labels.data(), 0.0, partial.data()}, order);
            emulate<detail::KmeansFarthestTotalBlock>({partial.data(), n_pieces, partial.data() + n_pieces}, order);
            CHECK_EQUAL(partial[n_pieces].point, first);
            CHECK_EQUAL(partial[n_pieces].distance, 9.0);
        }
    }
}

template <class T>
void check_seeds(ptrdiff_t n, ptrdiff_t d, ptrdiff_t k, bool weighted, Order order) {
    constexpr std::uint64_t kSeed = 11;
    constexpr std::uint64_t kStream = 2;
    using Seeds = detail::SeedData<T>;
    Problem<T> problem(n, d, 1, weighted);
    const ptrdiff_t n_candidates = detail::kmeans_candidates(k);
    const ptrdiff_t n_chunks = divide_up(n, Seeds::chunk_of(n));
    Guarded<double> nearest(n);
    Guarded<double> chunk_sums(n_chunks);
    Guarded<double> potentials(n_chunks * n_candidates);
    Guarded<std::int64_t> candidates(n_candidates);
    Guarded<std::int64_t> winner(1);
    Guarded<T> centers(k * d);
    const Seeds seeds{problem.data(),    Seeds::chunk_of(n), nearest.data(), chunk_sums.data(),
                      candidates.data(), potentials.data(),  winner.data()};
    std::vector<double> distances(at(n), 1.0);
    std::uint64_t counter = 0;
    for (ptrdiff_t center = 0; center < k; ++center) {
        const ptrdiff_t competing = center == 0 ? 1 : n_candidates;
        emulate<detail::SeedLowerBlock<T>>({seeds, center}, order);
        emulate<detail::SeedDrawBlock<T>>({seeds, competing, kSeed, kStream, counter}, order);
        if (center > 0) {
            emulate<detail::SeedPotentialBlock<T>>({seeds, competing}, order);
        }
        emulate<detail::SeedPickBlock<T>>({seeds, competing, centers.data() + center * d}, order);

        double total = 0.0;
        for (ptrdiff_t i = 0; i < n; ++i) {
            total += problem.weight(i) * distances[at(i)];
        }
        double least = HUGE_VAL;
        ptrdiff_t best = -1;
        for (ptrdiff_t candidate = 0; candidate < competing; ++candidate) {
            const double target = detail::random_uniform(kSeed, kStream, counter++) * total;
            double sum = 0.0;
            ptrdiff_t point = -1;
            do {
                ++point;
                sum += problem.weight(point) * distances[at(point)];
            } while (sum <= target);
            CHECK_EQUAL(candidates[candidate], point);
            double left = 0.0;
            for (ptrdiff_t i = 0; i < n; ++i) {
                left += problem.weight(i) *
                        std::min(distances[at(i)], problem.distance(i, problem.points.data() + point * d));
            }
            if (left < least) {
                least = left;
                best = point;
            }
        }
        CHECK_EQUAL(winner[0], best);
        for (ptrdiff_t c = 0; c < d; ++c) {
            CHECK_EQUAL(centers[center * d + c], problem.points[at(best * d + c)]);
        }
        for (ptrdiff_t i = 0; i < n; ++i) {
            const double distance = problem.distance(i, problem.points.data() + best * d);
            distances[at(i)] = center == 0 ? distance : std::min(distances[at(i)], distance);
        }
    }
    CHECK(nearest.intact() && chunk_sums.intact() && potentials.intact() && candidates.intact() && centers.intact());
}

TEST(kmeans_draws_its_first_centres_as_the_definition_says) {
    for (const Order order : {Order::forward, Order::backward}) {
        for (const bool weighted : {false, true}) {
            check_seeds<float>(3, 2, 2, weighted, order);
            check_seeds<float>(1500, 3, 9, weighted, order);
            check_seeds<double>(4097, 5, 12, weighted, order);
        }
    }
}

TEST(kmeans_draws_a_late_point_where_all_are_at_a_centre) {
    constexpr ptrdiff_t kPoints = 2000;
    using Seeds = detail::SeedData<float>;
    const std::vector<float> points(kPoints, 0.25F);
    std::vector<double> nearest(kPoints, 0.0);
    std::vector<double> chunk_sums(at(divide_up(kPoints, Seeds::chunk_of(kPoints))), 0.0);
    std::vector<std::int64_t> candidates(1, -1);
    const Seeds seeds{{points.data(), nullptr, kPoints, 1},
                      Seeds::chunk_of(kPoints),
                      nearest.data(),
                      chunk_sums.data(),
                      candidates.data(),
                      nullptr,
                      nullptr};
    emulate<detail::SeedDrawBlock<float>>({seeds, 1, 0, 0, 0}, Order::forward);
    CHECK(candidates[0] >= 0 && candidates[0] < kPoints);
}

TEST(kmeans_samples_one_point_of_each_stretch) {
    const auto points = fastsoft::tests::random_numbers<double>(1000 * 3, 2);
    const auto weights = fastsoft::tests::random_numbers<double>(1000, 3);
    Guarded<double> found(300 * 3);
    Guarded<double> found_weights(300);
    emulate<detail::KmeansSampleBlock<double>>(
        {{points.data(), weights.data(), 1000, 3}, 300, found.data(), found_weights.data()}, Order::forward);
    CHECK(found.intact() && found_weights.intact());
    for (ptrdiff_t s = 0; s < 300; ++s) {
        ptrdiff_t match = -1;
        for (ptrdiff_t i = 0; i < 1000; ++i) {
            match = weights[at(i)] == found_weights[s] ? i : match;
        }
        CHECK(match >= s * 1000 / 300 && match <= (s + 1) * 1000 / 300);
        for (ptrdiff_t c = 0; c < 3; ++c) {
            CHECK_EQUAL(found[s * 3 + c], points[at(match * 3 + c)]);
        }
    }
}

template <class T>
void check_moments(ptrdiff_t n, ptrdiff_t d, bool weighted, Order order) {
    using Covariance = detail::KmeansCovarianceBlock<T>;
    const Problem<T> problem(n, d, 1, weighted);
    const auto mean = fastsoft::tests::random_numbers<double>(d, 8);
    const ptrdiff_t n_slots = Covariance::n_slots(d);
    for (const int lanes : {1, 4, detail::KmeansSumsBlock<T>::lanes_of(n_slots)}) {
        constexpr ptrdiff_t kChunk = 100;
        const ptrdiff_t n_chunks = divide_up(n, kChunk);
        Guarded<double> sums(n_chunks * n_slots);
        Guarded<double> totals(n_slots);
        emulate<Covariance>({problem.data(), mean.data(), kChunk, lanes, sums.data()}, order);
        emulate<detail::ColumnMeansBlock>({sums.data(), n_chunks, n_slots, totals.data(), 2.0}, order);
        CHECK(sums.intact() && totals.intact());
        ptrdiff_t slot = 0;
        for (ptrdiff_t row = 0; row < d; ++row) {
            for (ptrdiff_t col = 0; col <= row; ++col) {
                double sum = 0.0;
                for (ptrdiff_t i = 0; i < n; ++i) {
                    sum += problem.weight(i) * (static_cast<double>(problem.points[at(i * d + row)]) - mean[at(row)]) *
                           (static_cast<double>(problem.points[at(i * d + col)]) - mean[at(col)]);
                }
                CHECK(std::abs(totals[slot++] - sum / 2.0) <= 1e-15 * static_cast<double>(n));
            }
        }
    }
}

TEST(kmeans_covariances_are_those_of_the_definition) {
    for (const Order order : {Order::forward, Order::backward}) {
        for (const bool weighted : {false, true}) {
            check_moments<float>(1, 1, weighted, order);
            check_moments<float>(450, 3, weighted, order);
            check_moments<double>(230, 30, weighted, order);
        }
    }
}

TEST(kmeans_divides_and_gathers_clusters) {
    constexpr ptrdiff_t kPoints = 9000;
    const Problem<double> problem(kPoints, 2, 2, true);
    const double halves[] = {0.25, 0.5, 0.75, 0.5};
    for (const Order order : {Order::forward, Order::backward}) {
        Guarded<std::int32_t> labels(kPoints);
        std::vector<std::int32_t> before(kPoints);
        for (ptrdiff_t i = 0; i < kPoints; ++i) {
            before[at(i)] = static_cast<std::int32_t>(i % 3);
        }
        std::copy(before.begin(), before.end(), labels.data());
        emulate<detail::KmeansHalvesBlock<double>>({problem.data(), halves, 1, 5, labels.data()}, order);
        for (ptrdiff_t i = 0; i < kPoints; ++i) {
            const bool right = problem.points[at(2 * i)] > 0.5;
            CHECK_EQUAL(labels[i], i % 3 == 1 && right ? 5 : static_cast<std::int32_t>(i % 3));
        }
        Guarded<std::int32_t> changed(7);
        std::fill_n(changed.data(), 7, 0);
        before[1] = -1;
        labels.data()[3] = 2;  // was 0
        emulate<detail::KmeansChangesBlock>({kPoints, before.data(), labels.data(), changed.data()}, order);
        for (const std::int32_t cluster : {0, 1, 2, 3, 4, 5, 6}) {
            CHECK_EQUAL(changed[cluster], cluster <= 2 || cluster == 5 ? 1 : 0);
        }

        using Members = detail::KmeansMembers<double>;
        Members members{kPoints, problem.data(), labels.data(), 5, nullptr, nullptr};
        const ptrdiff_t n_tiles = detail::n_prefix_tiles(kPoints);
        Guarded<std::int32_t> partial(n_tiles + 1);
        detail::count_before<Members>(fastsoft::tests::Emulate{order}, {members, partial.data()});
        const std::int32_t count = partial[n_tiles];
        CHECK_EQUAL(count, std::count(labels.data(), labels.data() + kPoints, 5));
        Guarded<double> points(2 * count);
        Guarded<double> weights(count);
        members.points = points.data();
        members.weights = weights.data();
        emulate<detail::PrefixSumsBlock<Members>>({members, partial.data()}, order);
        CHECK(points.intact() && weights.intact() && partial.intact() && labels.intact() && changed.intact());
        ptrdiff_t place = 0;
        for (ptrdiff_t i = 0; i < kPoints; ++i) {
            if (labels[i] == 5) {
                CHECK_EQUAL(points[2 * place], problem.points[at(2 * i)]);
                CHECK_EQUAL(points[2 * place + 1], problem.points[at(2 * i + 1)]);
                CHECK_EQUAL(weights[place++], problem.weights[at(i)]);
            }
        }
    }
}

}  // namespace
