// SPDX-License-Identifier: MIT
#include "fastsoft/core/parallel.hpp"

#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>

#include "fastsoft/core/cpu_limits.hpp"
#include "fastsoft/core/error.hpp"

namespace fastsoft {
namespace {

constexpr int kMaxThreads = 1024;

// Processors this process may run on, further limited by its cgroup's quota.
int available_processors() {
    int count = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof(allowed), &allowed) == 0) {
        count = std::max(1, CPU_COUNT(&allowed));
    }
    if (const int quota = cgroup_cpu_limit(); quota > 0) {
        count = std::min(count, quota);
    }
    return std::min(count, kMaxThreads);
}

int default_num_threads() {
    for (const char* name : {"FASTSOFT_NUM_THREADS", "OMP_NUM_THREADS"}) {
        if (const int count = threads_from_environment(name, kMaxThreads); count > 0) {
            return count;
        }
    }
    return available_processors();
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
        // Signals are for the threads of the program: Ctrl-C must interrupt its main thread, not a worker.
        sigset_t all;
        sigset_t before;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        try {
            for (int i = 1; i < count; ++i) {
                workers_.emplace_back([this] { worker_loop(); });
            }
        } catch (const std::system_error&) {
            // The system grants no more threads: the caller and those that did start do all the work.
        }
        pthread_sigmask(SIG_SETMASK, &before, nullptr);
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

// All of this is set up when the library is loaded, by one thread: a lazily initialised static could be caught half way
// by a fork in another thread, and the child would wait for its guard for ever. Never destroyed: workers may outlive
// static destructors.
State* g_state = new State;
const int kDefaultThreads = default_num_threads();
std::atomic<int> g_requested{0};

// A child of fork has only the forking thread: the parent's workers and whatever locks they held are gone. The child
// starts from a fresh state; the old one is leaked, since joining its threads would wait for ever.
void reset_after_fork() {
    g_state = new State;
    inside_task = false;
}

[[maybe_unused]] const int kForkHandler = pthread_atfork(nullptr, nullptr, reset_after_fork);

}  // namespace

int num_threads() {
    const int requested = g_requested.load();
    return requested > 0 ? requested : kDefaultThreads;
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
    State& shared = *g_state;
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
