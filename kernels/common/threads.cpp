#include "kernels/common/threads.h"

#include <immintrin.h>
#ifdef _OPENMP
#include <omp.h>
#endif
#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace cpu {

// Of one call: share k of S has the tasks from tasks k / S on.
struct TaskQueue::Shares {
    struct alignas(64) Share {
        std::atomic<std::int64_t> next;
        std::int64_t end;
    };
    std::int64_t portion;
    int count;
    Share* share;
};

bool TaskQueue::take(std::int64_t& begin, std::int64_t& end) {
    for (; passed_ < shares_.count; ++passed_) {
        Shares::Share& share = shares_.share[(first_ + passed_) % shares_.count];
        begin = share.next.fetch_add(shares_.portion, std::memory_order_relaxed);
        end = std::min(begin + shares_.portion, share.end);
        if (begin < share.end) return true;
    }
    return false;
}

struct TaskTeam {
    using Shares = TaskQueue::Shares;
    static TaskQueue queue(Shares& shares, int thread) { return {shares, thread}; }
};

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::microseconds longest_spin{100};

thread_local bool at_work = false;

class WorkMark {
  public:
    explicit WorkMark(bool mark) { at_work = mark; }
    ~WorkMark() { at_work = outer_; }
    WorkMark(const WorkMark&) = delete;
    WorkMark& operator=(const WorkMark&) = delete;

  private:
    bool outer_ = at_work;
};

// Spins while `waiting()` for at most longest_spin. True if the wait is over.
template <class Waiting>
bool spun(Waiting waiting) {
    const auto end = Clock::now() + longest_spin;
    do {
        for (int i = 0; i < 32; ++i) {
            if (!waiting()) return true;
            _mm_pause();
        }
    } while (Clock::now() < end);
    return !waiting();
}

// CPUs of a control group's quota, rounded up; `most` without one.
int quota_cpus(int most) {
    std::ifstream file("/sys/fs/cgroup/cpu.max");
    std::string quota;
    double period = 0;
    if (!(file >> quota >> period) || quota == "max" || period <= 0) return most;
    const double cpus = std::strtod(quota.c_str(), nullptr) / period;
    return cpus > 0 ? std::min(most, static_cast<int>(std::ceil(cpus))) : most;
}

int granted_cpus() {
    cpu_set_t set;
    CPU_ZERO(&set);
    const int cpus = ::sched_getaffinity(0, sizeof set, &set) == 0
                         ? CPU_COUNT(&set)
                         : static_cast<int>(std::thread::hardware_concurrency());
    return quota_cpus(std::max(cpus, 1));
}

int initial_count() {
    if (const char* const wanted = std::getenv("OMP_NUM_THREADS"))
        if (const int count = std::atoi(wanted); count > 0) return count;
    return granted_cpus();
}

// Workers and the call that they work on. A worker that arrives late finds the call closed and is not waited for.
class Pool {
  public:
    Pool() : count_(initial_count()) {}

    int count() const { return count_; }
    void set_count(int count) { count_ = count; }

    // False if another thread is sharing tasks.
    bool run(std::int64_t tasks, std::int64_t portion, const ThreadBody& body) {
        const std::unique_lock alone(calls_, std::try_to_lock);
        if (!alone) return false;
        while (static_cast<int>(workers_.size()) < count_ - 1) start_worker();
        divide(tasks, portion);
        body_ = &body;
        failure_ = nullptr;
        ++epoch_;
        joined_.store(of_epoch(epoch_) | open, std::memory_order_release);
        announced_.store(epoch_, std::memory_order_seq_cst);
        if (sleeping_.load(std::memory_order_seq_cst) > 0) announced_.notify_all();
        work(0);
        const std::uint64_t before = joined_.fetch_and(~open, std::memory_order_acq_rel);
        if ((before & members) != 0) wait_for_workers();
        if (failure_) std::rethrow_exception(failure_);
        return true;
    }

  private:
    // joined_: the call's number, whether it may be joined, and how many workers are at it.
    static constexpr std::uint64_t open = std::uint64_t{1} << 31, members = open - 1;
    static std::uint64_t of_epoch(std::uint32_t epoch) { return std::uint64_t{epoch} << 32; }

    void divide(std::int64_t tasks, std::int64_t portion) {
        if (static_cast<int>(shares_.size()) < count_)
            shares_ = std::vector<TaskTeam::Shares::Share>(static_cast<std::size_t>(count_));
        division_ = {portion, count_, shares_.data()};
        for (int k = 0; k < count_; ++k) {
            shares_[static_cast<std::size_t>(k)].next.store(tasks * k / count_, std::memory_order_relaxed);
            shares_[static_cast<std::size_t>(k)].end = tasks * (k + 1) / count_;
        }
    }

    void work(int thread) {
        TaskQueue queue = TaskTeam::queue(division_, thread);
        const WorkMark mark(true);
        try {
            (*body_)(queue);
        } catch (...) {
            const std::lock_guard one(failures_);
            if (!failure_) failure_ = std::current_exception();
        }
    }

    void wait_for_workers() {
        const auto waiting = [&] { return finished_.load(std::memory_order_acquire) != epoch_; };
        if (spun(waiting)) return;
        for (std::uint32_t last = finished_.load(std::memory_order_acquire); last != epoch_;
             last = finished_.load(std::memory_order_acquire))
            finished_.wait(last, std::memory_order_acquire);
    }

    void start_worker() {
        const int number = static_cast<int>(workers_.size()) + 1;
        sigset_t all, before;  // signals are the other threads'
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        workers_.emplace_back([this, number, seen = epoch_] { serve(number, seen); }).detach();
        pthread_sigmask(SIG_SETMASK, &before, nullptr);
    }

    void serve(int number, std::uint32_t seen) {
        libraries_on_one_thread();
        for (;;) {
            const auto waiting = [&] { return announced_.load(std::memory_order_acquire) == seen; };
            if (!spun(waiting)) {
                sleeping_.fetch_add(1, std::memory_order_seq_cst);
                while (announced_.load(std::memory_order_seq_cst) == seen) announced_.wait(seen);
                sleeping_.fetch_sub(1, std::memory_order_relaxed);
            }
            seen = announced_.load(std::memory_order_acquire);
            if (number < count_ && join(seen)) {
                work(number);
                leave(seen);
            }
        }
    }

    bool join(std::uint32_t epoch) {
        std::uint64_t now = joined_.load(std::memory_order_relaxed);
        do {
            if (now >> 32 != epoch || (now & open) == 0) return false;
        } while (!joined_.compare_exchange_weak(now, now + 1, std::memory_order_acquire));
        return true;
    }

    void leave(std::uint32_t epoch) {
        const std::uint64_t before = joined_.fetch_sub(1, std::memory_order_acq_rel);
        if ((before & open) != 0 || (before & members) != 1) return;
        finished_.store(epoch, std::memory_order_release);
        finished_.notify_one();
    }

    std::mutex calls_, failures_;
    std::atomic<int> count_;
    std::vector<std::thread> workers_;  // detached: they end with the process
    std::vector<TaskTeam::Shares::Share> shares_;
    TaskTeam::Shares division_{};
    const ThreadBody* body_ = nullptr;
    std::exception_ptr failure_;
    std::uint32_t epoch_ = 0;
    alignas(64) std::atomic<std::uint64_t> joined_{0};
    alignas(64) std::atomic<std::uint32_t> announced_{0};
    std::atomic<int> sleeping_{0};
    alignas(64) std::atomic<std::uint32_t> finished_{0};
};

// Never destroyed: workers use it until the process ends.
Pool& pool() {
    static Pool& shared = *new Pool;
    return shared;
}

}  // namespace

int thread_count() {
    return pool().count();
}

void set_thread_count(int count) {
    pool().set_count(std::max(count, 1));
}

bool inside_shared_task() {
    return at_work;
}

void libraries_on_one_thread() {
#ifdef _OPENMP
    if (omp_get_max_threads() > 1) omp_set_num_threads(1);
#endif
}

void share_tasks(std::int64_t tasks, std::int64_t portion, ThreadBody body) {
    if (tasks <= 0) return;
    portion = std::max<std::int64_t>(portion, 1);
    libraries_on_one_thread();
    const bool is_shared = tasks > portion;
    if (!at_work && is_shared && thread_count() > 1 && pool().run(tasks, portion, body)) return;
    TaskTeam::Shares::Share all{0, tasks};
    TaskTeam::Shares alone{tasks, 1, &all};
    TaskQueue queue = TaskTeam::queue(alone, 0);
    const WorkMark mark(at_work || is_shared);  // one thread cuts its products as several do
    body(queue);
}

}  // namespace cpu
