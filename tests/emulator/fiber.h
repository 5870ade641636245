// A stack of its own and a place to go on from: what a thread of the device is to the host. The sanitizers are
// told of every switch. The emulator is compiled without the thread sanitizer: to it, the threads
// of a block shall be threads that know of each other only what their barriers say.
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
    // Forgets where it was left: entry() again at the next jump.
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
// What came before the release of `sync` on one thread of the device is seen behind the acquire on another.
void release(void* sync);
void acquire(void* sync);

// While it lives, the thread sanitizer does not look at what the calling thread of the device does: the device's
// own bookkeeping is no kernel's business.
class Unseen {
  public:
    Unseen();
    ~Unseen();
    Unseen(const Unseen&) = delete;
    Unseen& operator=(const Unseen&) = delete;
};

}  // namespace emulator
