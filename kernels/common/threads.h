// The threads that share the tasks of a kernel on the CPU.
//
// Every thread begins with a share of its own, the same one in each call of so many tasks, so that what it has
// written is in its caches for the next kernel; then it takes what is left of the others' shares. A thread that
// another program has displaced thus holds up one portion of tasks and not its share. Whoever waits, a worker for
// tasks or the caller for the last ones, spins for a tenth of a millisecond, a few times what waking a thread takes,
// and then sleeps: its core is free for others. Which thread does a task is left open: no result may depend on it.
#pragma once

#include <cstdint>
#include <type_traits>
#include <utility>

namespace cpu {

// Threads at work at once, the caller's included: the CPUs that the process is granted by its affinity and its
// control group's quota, or OMP_NUM_THREADS if that is set.
int thread_count();
// So many from now on, also more than there are CPUs. Not while tasks are shared.
void set_thread_count(int count);
// Whether the calling thread is at work on a shared task. Tasks that it shares itself it does alone.
bool inside_shared_task();

// Libraries that the calling thread calls use no threads of their own from here on: a task's product is that thread's.
void libraries_on_one_thread();

// The tasks of one call, taken by any thread.
class TaskQueue {
  public:
    // The next tasks, begin <= task < end. False if none are left.
    bool take(std::int64_t& begin, std::int64_t& end);

  private:
    friend struct TaskTeam;
    struct Shares;
    TaskQueue(Shares& shares, int first) : shares_(shares), first_(first) {}
    Shares& shares_;
    int first_, passed_ = 0;  // the thread's own share, and how many are used up, from that one on
};

// What each thread calls, once: body(queue) takes tasks until none are left.
class ThreadBody {
  public:
    template <class Body>
    requires(!std::is_same_v<std::remove_cvref_t<Body>, ThreadBody>) explicit ThreadBody(Body& body)
        : body_(&body), call_([](void* of, TaskQueue& queue) { (*static_cast<Body*>(of))(queue); }) {}
    void operator()(TaskQueue& queue) const { call_(body_, queue); }

  private:
    void* body_;
    void (*call_)(void*, TaskQueue&);
};

// Shares tasks 0 to `tasks` - 1, `portion` at a time, among the threads; returns when all are done. Called from
// several threads, one shares and the others work alone. Rethrows the first exception of a body.
void share_tasks(std::int64_t tasks, std::int64_t portion, ThreadBody body);

// Calls body(task) for the tasks that are taken from the queue until none are left.
template <class Body>
void for_each_taken(TaskQueue& queue, Body&& body) {
    for (std::int64_t begin = 0, end = 0; queue.take(begin, end);)
        for (std::int64_t task = begin; task < end; ++task) body(task);
}

// The same as share_tasks(), task by task: body(task); without `portion` an eighth of a thread's share at a time.
template <class Body>
void share_each(std::int64_t tasks, std::int64_t portion, Body body) {
    auto loop = [&body](TaskQueue& queue) { for_each_taken(queue, body); };
    share_tasks(tasks, portion, ThreadBody(loop));
}

template <class Body>
void share_each(std::int64_t tasks, Body body) {
    share_each(tasks, tasks / (8 * thread_count()), std::move(body));
}

}  // namespace cpu
