#include "kernels/common/threads.h"

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>
#include <vector>

namespace {

struct ThreadCount {
    explicit ThreadCount(int count) : before(cpu::thread_count()) { cpu::set_thread_count(count); }
    ~ThreadCount() { cpu::set_thread_count(before); }
    int before;
};

}  // namespace

TEST_CASE("threads: every task is done once, by any number of threads") {
    for (const int threads : {1, 2, 3, 8}) {
        const ThreadCount count(threads);
        std::vector<int> done(500);
        for (int call = 0; call < 1000; ++call) {
            const int tasks = call % 500;
            cpu::share_each(tasks, 1 + call % 7,
                            [&](std::int64_t task) { ++done[static_cast<std::size_t>(task)]; });
        }
        for (int task = 0; task < 500; ++task)
            CHECK(done[static_cast<std::size_t>(task)] == 2 * (499 - task));
    }
}

TEST_CASE("threads: a displaced thread holds up one portion, not its share") {
    const ThreadCount count(2);
    const auto caller = std::this_thread::get_id();
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    std::atomic<int> of_caller = 0, of_worker = 0;
    // The worker is stuck in its first task until the caller has done all others, its share included.
    cpu::share_each(100, 1, [&](std::int64_t) {
        if (std::this_thread::get_id() == caller) {
            ++of_caller;
            return;
        }
        ++of_worker;
        while (of_caller < 99 && std::chrono::steady_clock::now() < end) std::this_thread::yield();
    });
    CHECK(of_worker <= 1);
    CHECK(of_caller + of_worker == 100);
}

TEST_CASE("threads: a task's own tasks are its thread's; calls from several threads all end") {
    const ThreadCount count(3);
    std::atomic<int> inner = 0;
    cpu::share_each(20, 1, [&](std::int64_t) {
        CHECK(cpu::inside_shared_task());
        const auto own = std::this_thread::get_id();
        cpu::share_each(10, 1, [&](std::int64_t) {
            CHECK(std::this_thread::get_id() == own);
            ++inner;
        });
    });
    CHECK(inner == 200);
    CHECK_FALSE(cpu::inside_shared_task());
    std::atomic<int> done = 0;
    std::vector<std::thread> callers;
    for (int i = 0; i < 4; ++i)
        callers.emplace_back([&] {
            for (int call = 0; call < 200; ++call) cpu::share_each(16, 1, [&](std::int64_t) { ++done; });
        });
    for (std::thread& caller : callers) caller.join();
    CHECK(done == 4 * 200 * 16);
}

TEST_CASE("threads: an exception of a task reaches the caller, and the next call works") {
    const ThreadCount count(2);
    CHECK_THROWS_WITH_AS(cpu::share_each(100, 1,
                                         [](std::int64_t task) {
                                             if (task == 57) throw std::runtime_error("task 57");
                                         }),
                         "task 57", std::runtime_error);
    std::atomic<int> done = 0;
    cpu::share_each(100, 1, [&](std::int64_t) { ++done; });
    CHECK(done == 100);
}
