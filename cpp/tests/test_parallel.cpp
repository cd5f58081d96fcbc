// SPDX-License-Identifier: MIT
#include "fastsoft/core/parallel.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cmath>
#include <cstddef>
#include <stdexcept>
#include <thread>
#include <vector>

#include "check.hpp"

namespace {

using fastsoft::parallel_for;
using fastsoft::parallel_sum;
using fastsoft::set_num_threads;

constexpr std::ptrdiff_t kGrain = 37;

// Terms of very different size, so that the order of additions shows in the last bits.
double term(std::ptrdiff_t i) {
    return std::sin(static_cast<double>(i)) * std::pow(10.0, static_cast<double>(i % 17) - 8.0);
}

double sum_of_terms(std::ptrdiff_t n) {
    return parallel_sum<double>(n, kGrain, [](std::ptrdiff_t begin, std::ptrdiff_t end) {
        double total = 0.0;
        for (std::ptrdiff_t i = begin; i < end; ++i) {
            total += term(i);
        }
        return total;
    });
}

class ThreadCount {
public:
    explicit ThreadCount(int count) { set_num_threads(count); }
    ~ThreadCount() { set_num_threads(0); }
    ThreadCount(const ThreadCount&) = delete;
    ThreadCount& operator=(const ThreadCount&) = delete;
};

TEST(every_index_is_visited_once) {
    for (const int count : {1, 2, 3, 8}) {
        const ThreadCount scope(count);
        for (const std::ptrdiff_t n : {0, 1, 36, 37, 38, 1000}) {
            std::vector<std::atomic<int>> visits(static_cast<std::size_t>(n));
            parallel_for(n, kGrain, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
                for (std::ptrdiff_t i = begin; i < end; ++i) {
                    ++visits[static_cast<std::size_t>(i)];
                }
            });
            for (const auto& visit : visits) {
                CHECK_EQUAL(visit.load(), 1);
            }
        }
    }
}

TEST(chunks_do_not_depend_on_the_number_of_threads) {
    for (const int count : {1, 4}) {
        const ThreadCount scope(count);
        std::atomic<int> irregular{0};
        parallel_for(1000, kGrain, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
            irregular += (begin % kGrain != 0 || (end - begin != kGrain && end != 1000)) ? 1 : 0;
        });
        CHECK_EQUAL(irregular.load(), 0);
    }
}

TEST(a_grain_below_one_counts_as_one) {
    std::atomic<int> calls{0};
    parallel_for(5, 0, [&](std::ptrdiff_t begin, std::ptrdiff_t end) { calls += end - begin == 1 ? 1 : 100; });
    CHECK_EQUAL(calls.load(), 5);
}

TEST(sums_have_the_same_bits_for_any_number_of_threads) {
    set_num_threads(1);
    const double expected = sum_of_terms(5000);
    for (const int count : {2, 3, 7}) {
        const ThreadCount scope(count);
        for (int repeat = 0; repeat < 50; ++repeat) {
            CHECK_EQUAL(sum_of_terms(5000), expected);
        }
    }
    CHECK_EQUAL(sum_of_terms(0), 0.0);
}

TEST(nested_loops_run_in_the_calling_thread) {
    const ThreadCount scope(4);
    std::vector<double> sums(64);
    std::atomic<int> strangers{0};
    parallel_for(64, 1, [&](std::ptrdiff_t begin, std::ptrdiff_t) {
        const auto outer = std::this_thread::get_id();
        parallel_for(100, 1,
                     [&](std::ptrdiff_t, std::ptrdiff_t) { strangers += std::this_thread::get_id() == outer ? 0 : 1; });
        sums[static_cast<std::size_t>(begin)] = sum_of_terms(1000);
    });
    CHECK_EQUAL(strangers.load(), 0);
    for (const double sum : sums) {
        CHECK_EQUAL(sum, sum_of_terms(1000));
    }
}

TEST(an_exception_reaches_the_caller_and_the_pool_goes_on) {
    for (const int count : {1, 4}) {
        const ThreadCount scope(count);
        for (int repeat = 0; repeat < 20; ++repeat) {
            CHECK_THROWS(parallel_for(200, 1,
                                      [](std::ptrdiff_t begin, std::ptrdiff_t) {
                                          if (begin % 50 == 13) {
                                              throw std::out_of_range("task");
                                          }
                                      }),
                         std::out_of_range);
            CHECK(std::isfinite(sum_of_terms(1000)));
        }
    }
}

TEST(an_exception_stops_the_remaining_tasks) {
    const ThreadCount scope(2);
    std::atomic<int> done{0};
    CHECK_THROWS(parallel_for(100000, 1,
                              [&](std::ptrdiff_t begin, std::ptrdiff_t) {
                                  if (begin == 0) {
                                      throw std::out_of_range("first task");
                                  }
                                  ++done;
                                  std::this_thread::yield();
                              }),
                 std::out_of_range);
    CHECK(done.load() < 99999);
}

TEST(several_threads_may_call_at_once) {
    const ThreadCount scope(3);
    const double expected = sum_of_terms(3000);
    std::atomic<int> wrong{0};
    std::vector<std::thread> callers;
    for (int caller = 0; caller < 4; ++caller) {
        callers.emplace_back([&, caller] {
            for (int repeat = 0; repeat < 100; ++repeat) {
                if (caller == 0 && repeat % 10 == 0) {
                    set_num_threads(2 + repeat % 3);  // resizes the pool between the loops of the others
                }
                wrong += sum_of_terms(3000) == expected ? 0 : 1;
            }
        });
    }
    for (auto& thread : callers) {
        thread.join();
    }
    CHECK_EQUAL(wrong.load(), 0);
}

TEST(a_forked_child_has_a_pool_of_its_own) {
    const ThreadCount scope(4);
    const double expected = sum_of_terms(5000);
    for (int repeat = 0; repeat < 5; ++repeat) {
        const pid_t child = fork();
        if (child == 0) {
            _exit(sum_of_terms(5000) == expected && sum_of_terms(5000) == expected ? 0 : 1);
        }
        CHECK(child > 0);
        int status = -1;
        CHECK_EQUAL(waitpid(child, &status, 0), child);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        CHECK_EQUAL(sum_of_terms(5000), expected);
    }
}

TEST(thread_counts_out_of_range_are_refused) {
    CHECK_THROWS(set_num_threads(-1), std::invalid_argument);
    CHECK_THROWS(set_num_threads(1025), std::invalid_argument);
    set_num_threads(1024);
    CHECK_EQUAL(fastsoft::num_threads(), 1024);
    set_num_threads(0);
    CHECK(fastsoft::num_threads() >= 1);
}

}  // namespace
