// SPDX-License-Identifier: MIT
#include "fastsoft/core/parallel.hpp"

#include <pthread.h>
#include <sched.h>

#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <memory>
#include <mutex>
#include <sstream>
#include <string>
#include <thread>

#include "fastsoft/core/error.hpp"

namespace fastsoft {
namespace {

constexpr int kMaxThreads = 1024;

// First positive number of an environment variable ("4" or OpenMP's "4,2"), or 0.
int threads_from_environment(const char* name) {
    const char* text = std::getenv(name);
    if (text == nullptr) {
        return 0;
    }
    char* end = nullptr;
    const long value = std::strtol(text, &end, 10);
    return (end != text && value >= 1 && value <= kMaxThreads) ? static_cast<int>(value) : 0;
}

// Processors granted by one quota pair, or 0 where there is no limit. A quota of 1.5 processors gives 2: with one
// thread a third of the grant would stay unused.
int threads_from_quota(double quota, double period) {
    return (quota > 0.0 && period > 0.0) ? std::max(1, static_cast<int>(quota / period + 0.999)) : 0;
}

// Tightest CPU quota of this process's cgroup and its parents, version 2 ("cpu.max") or version 1.
int threads_from_cgroup() {
    std::ifstream groups("/proc/self/cgroup");
    int limit = 0;
    const auto tighten = [&limit](int found) {
        if (found > 0 && (limit == 0 || found < limit)) {
            limit = found;
        }
    };
    for (std::string line; std::getline(groups, line);) {
        const auto first = line.find(':');
        const auto second = first == std::string::npos ? first : line.find(':', first + 1);
        if (second == std::string::npos) {
            continue;
        }
        const std::string controllers = line.substr(first + 1, second - first - 1);
        std::string path = line.substr(second + 1);
        const bool version2 = controllers.empty();
        if (!version2 && controllers.find("cpu") == std::string::npos) {
            continue;
        }
        while (true) {
            if (version2) {
                std::ifstream file("/sys/fs/cgroup" + path + "/cpu.max");
                std::string quota;
                double period = 0.0;
                if (file >> quota >> period && quota != "max") {
                    tighten(threads_from_quota(std::strtod(quota.c_str(), nullptr), period));
                }
            } else {
                std::ifstream quota_file("/sys/fs/cgroup/cpu" + path + "/cpu.cfs_quota_us");
                std::ifstream period_file("/sys/fs/cgroup/cpu" + path + "/cpu.cfs_period_us");
                double quota = 0.0;
                double period = 0.0;
                if (quota_file >> quota && period_file >> period) {
                    tighten(threads_from_quota(quota, period));
                }
            }
            if (path.empty() || path == "/") {
                break;
            }
            path.erase(path.find_last_of('/'));
        }
    }
    return limit;
}

int default_num_threads() {
    for (const char* name : {"FASTSOFT_NUM_THREADS", "OMP_NUM_THREADS"}) {
        if (const int count = threads_from_environment(name); count > 0) {
            return count;
        }
    }
    int count = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof(allowed), &allowed) == 0) {
        count = std::max(1, CPU_COUNT(&allowed));
    }
    if (const int quota = threads_from_cgroup(); quota > 0) {
        count = std::min(count, quota);
    }
    return std::min(count, kMaxThreads);
}

// One loop in flight. Threads claim task numbers from `next`; `active` counts the workers inside.
struct Job {
    const std::function<void(std::ptrdiff_t)>* task = nullptr;
    std::ptrdiff_t n_tasks = 0;
    std::atomic<std::ptrdiff_t> next{0};
    std::atomic<bool> failed{false};
    std::exception_ptr error;
    std::mutex error_mutex;

    void work() {
        while (!failed.load(std::memory_order_relaxed)) {
            const std::ptrdiff_t i = next.fetch_add(1, std::memory_order_relaxed);
            if (i >= n_tasks) {
                return;
            }
            try {
                (*task)(i);
            } catch (...) {
                const std::lock_guard<std::mutex> lock(error_mutex);
                if (!error) {
                    error = std::current_exception();
                }
                failed.store(true, std::memory_order_relaxed);
            }
        }
    }
};

thread_local bool inside_task = false;

class Pool {
public:
    explicit Pool(int count) {
        workers_.reserve(static_cast<std::size_t>(count - 1));
        for (int i = 1; i < count; ++i) {
            workers_.emplace_back([this] { worker_loop(); });
        }
    }

    ~Pool() {
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            stopping_ = true;
        }
        wake_.notify_all();
        for (std::thread& worker : workers_) {
            worker.join();
        }
    }

    Pool(const Pool&) = delete;
    Pool& operator=(const Pool&) = delete;

    void run(Job& job) {
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            job_ = &job;
            ++generation_;
        }
        wake_.notify_all();
        inside_task = true;
        job.work();
        inside_task = false;
        std::unique_lock<std::mutex> lock(mutex_);
        job_ = nullptr;  // a worker that wakes up from here on finds nothing to do
        idle_.wait(lock, [this] { return active_ == 0; });
    }

private:
    void worker_loop() {
        inside_task = true;
        std::uint64_t seen = 0;
        std::unique_lock<std::mutex> lock(mutex_);
        while (true) {
            wake_.wait(lock, [&] { return stopping_ || (job_ != nullptr && generation_ != seen); });
            if (stopping_) {
                return;
            }
            seen = generation_;
            Job* job = job_;
            ++active_;
            lock.unlock();
            job->work();
            lock.lock();
            if (--active_ == 0) {
                idle_.notify_all();
            }
        }
    }

    std::mutex mutex_;
    std::condition_variable wake_;
    std::condition_variable idle_;
    Job* job_ = nullptr;
    std::uint64_t generation_ = 0;
    int active_ = 0;
    bool stopping_ = false;
    std::vector<std::thread> workers_;
};

struct State {
    std::mutex mutex;  // held for the whole of a parallel loop: one at a time
    int pool_size = 0;
    std::unique_ptr<Pool> pool;
};

State* g_state = nullptr;

// A child of fork has only the forking thread: the parent's workers and whatever locks they held are gone. The child
// starts from a fresh state; the old one is leaked, since joining its threads would wait for ever.
void reset_after_fork() {
    g_state = new State;
    inside_task = false;
}

State& state() {
    static std::once_flag once;
    std::call_once(once, [] {
        g_state = new State;  // never destroyed: workers may outlive static destructors
        pthread_atfork(nullptr, nullptr, reset_after_fork);
    });
    return *g_state;
}

std::atomic<int> g_requested{0};

}  // namespace

int num_threads() {
    if (const int requested = g_requested.load(); requested > 0) {
        return requested;
    }
    static const int count = default_num_threads();
    return count;
}

void set_num_threads(int count) {
    FASTSOFT_EXPECTS(count >= 0 && count <= kMaxThreads, "count must be in 0..", kMaxThreads, ", got ", count);
    g_requested.store(count);
}

namespace detail {

void run_tasks(std::ptrdiff_t n_tasks, const std::function<void(std::ptrdiff_t)>& task) {
    const auto run_serially = [&] {
        for (std::ptrdiff_t i = 0; i < n_tasks; ++i) {
            task(i);
        }
    };
    const int wanted = num_threads();
    if (n_tasks <= 1 || wanted == 1 || inside_task) {
        run_serially();
        return;
    }
    State& shared = state();
    const std::unique_lock<std::mutex> lock(shared.mutex, std::try_to_lock);
    if (!lock.owns_lock()) {
        run_serially();
        return;
    }
    if (shared.pool_size != wanted) {
        shared.pool.reset();
        shared.pool = std::make_unique<Pool>(wanted);
        shared.pool_size = wanted;
    }
    Job job;
    job.task = &task;
    job.n_tasks = n_tasks;
    shared.pool->run(job);
    if (job.error) {
        std::rethrow_exception(job.error);
    }
}

}  // namespace detail
}  // namespace fastsoft
