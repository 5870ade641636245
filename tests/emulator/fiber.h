// A fiber: a stack and a saved context, which implement a thread of the device on the host. The sanitizers
// are notified of every switch. The emulator itself is compiled without the thread sanitizer, so that it
// orders the threads of a block by their barriers only.
#pragma once

#include <cstddef>

namespace emulator {

class Fiber {
  public:
    // The caller itself, whatever stack it runs on; jumped to only after it jumped away.
    Fiber();
    // On a new stack, runs entry() at the first jump; entry never returns. Null if there is no memory.
    static Fiber* create(void (*entry)());
    ~Fiber();
    Fiber(const Fiber&) = delete;
    Fiber& operator=(const Fiber&) = delete;

    // From this fiber, which runs, to another. Returns when another one jumps back.
    void jump(Fiber& to);
    // Discards the saved context: the next jump starts at entry().
    void reset();
    // Whether an address lies in the page below the stack: the stack was too small.
    bool overflowed_at(const void* address) const;
    // The highest address of the stack.
    std::byte* top() const { return bottom_ + bytes_; }

  private:
    void arrive(Fiber& from);

    void (*entry_)() = nullptr;
    void* context_ = nullptr;  // null: not yet run
    std::byte* bottom_ = nullptr;
    std::size_t bytes_ = 0;
    void* fake_stack_ = nullptr;        // of the address sanitizer
    void* sanitized_thread_ = nullptr;  // of the thread sanitizer
};

// Whether the program has the thread sanitizer.
bool thread_sanitizer();
// For the thread sanitizer: accesses before release(sync) on one thread of the device happen before those
// after acquire(sync) on another.
void release(void* sync);
void acquire(void* sync);

// During its lifetime the thread sanitizer ignores the accesses of the calling thread of the device:
// bookkeeping of the emulator.
class Unseen {
  public:
    Unseen();
    ~Unseen();
    Unseen(const Unseen&) = delete;
    Unseen& operator=(const Unseen&) = delete;
};

}  // namespace emulator
