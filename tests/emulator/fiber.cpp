#include "tests/emulator/fiber.h"

#include <sys/mman.h>

#include <boost/context/detail/fcontext.hpp>
#include <cstdint>
#ifdef __SSE__
#include <immintrin.h>
#endif
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

// The thread sanitizer's interface, there if the program is linked with it.
extern "C" {
__attribute__((weak)) void* __tsan_get_current_fiber();
__attribute__((weak)) void* __tsan_create_fiber(unsigned flags);
__attribute__((weak)) void __tsan_destroy_fiber(void* fiber);
__attribute__((weak)) void __tsan_switch_to_fiber(void* fiber, unsigned flags);
__attribute__((weak)) void __tsan_acquire(void* sync);
__attribute__((weak)) void __tsan_release(void* sync);
__attribute__((weak)) void AnnotateIgnoreReadsBegin(const char* file, int line);
__attribute__((weak)) void AnnotateIgnoreReadsEnd(const char* file, int line);
__attribute__((weak)) void AnnotateIgnoreWritesBegin(const char* file, int line);
__attribute__((weak)) void AnnotateIgnoreWritesEnd(const char* file, int line);
}

// jump_fcontext with the processor's prediction of returns kept right, which makes a switch cost half as
// much. It leaves its stack by a jump, not by the return that the processor expects behind a call, so that
// every return on the new stack would be predicted to where the one before it goes. Here it jumps to that
// missing return.
#if defined(__x86_64__) && defined(__ELF__)
extern "C" boost::context::detail::transfer_t emulator_jump(void* context, void* data);
asm(R"(
    .text
    .type emulator_jump, @function
emulator_jump:
    call 1f
    ret
1:  lea 2f(%rip), %rax
    push %rax
    jmp jump_fcontext@PLT
2:  ret
    .size emulator_jump, .-emulator_jump
)");
#else
constexpr auto emulator_jump = boost::context::detail::jump_fcontext;
#endif

namespace emulator {
namespace {

using boost::context::detail::make_fcontext;
using boost::context::detail::transfer_t;

#ifdef __SANITIZE_ADDRESS__
constexpr std::size_t stack_bytes = 512 * 1024;
#else
constexpr std::size_t stack_bytes = 128 * 1024;
#endif
constexpr std::size_t guard_bytes = 4096;
constexpr unsigned without_synchronisation = 1;

thread_local Fiber* running = nullptr;  // the one jumped to last

}  // namespace

bool thread_sanitizer() {
    return __tsan_create_fiber != nullptr;
}
void release(void* sync) {
    if (thread_sanitizer()) __tsan_release(sync);
}
void acquire(void* sync) {
    if (thread_sanitizer()) __tsan_acquire(sync);
}

Unseen::Unseen() {
    if (!thread_sanitizer()) return;
    AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
    AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
}
Unseen::~Unseen() {
    if (!thread_sanitizer()) return;
    AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
    AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
}

Fiber::Fiber() {
    if (thread_sanitizer()) sanitized_thread_ = __tsan_get_current_fiber();
}

Fiber* Fiber::create(void (*entry)()) {
    void* memory = ::mmap(nullptr, stack_bytes + guard_bytes, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) return nullptr;
    ::mprotect(memory, guard_bytes, PROT_NONE);
    auto* const fiber = new Fiber;
    fiber->entry_ = entry;
    fiber->bottom_ = static_cast<std::byte*>(memory) + guard_bytes;
    fiber->bytes_ = stack_bytes;
    if (thread_sanitizer()) fiber->sanitized_thread_ = __tsan_create_fiber(0);
    return fiber;
}

Fiber::~Fiber() {
    if (entry_ == nullptr) return;
    ::munmap(bottom_ - guard_bytes, bytes_ + guard_bytes);
    if (thread_sanitizer()) __tsan_destroy_fiber(sanitized_thread_);
}

void Fiber::reset() {
    context_ = nullptr;
    if (thread_sanitizer()) {  // it remembers the calls that were in flight
        __tsan_destroy_fiber(sanitized_thread_);
        sanitized_thread_ = __tsan_create_fiber(0);
    }
    fake_stack_ = nullptr;
#ifdef __SANITIZE_ADDRESS__
    __asan_unpoison_memory_region(bottom_, bytes_);
#endif
}

bool Fiber::overflowed_at(const void* address) const {
    const auto* at = static_cast<const std::byte*>(address);
    return at < bottom_ && at >= bottom_ - guard_bytes;
}

void Fiber::jump(Fiber& to) {
    if (to.context_ == nullptr) {
        const auto start = [](transfer_t transfer) {
            auto& from = *static_cast<Fiber*>(transfer.data);
            from.context_ = transfer.fctx;
            running->arrive(from);
            running->entry_();
        };
        // Stacks start at different offsets in their pages: else they would compete for the same lines of the
        // first-level cache.
        const std::size_t offset = reinterpret_cast<std::uintptr_t>(to.bottom_) / guard_bytes % 32 * 128;
#ifdef __SSE__
        const unsigned control = _mm_getcsr();
        _mm_setcsr(0x1F80);  // denormal floats are numbers on the device; a fiber keeps this register
#endif
        to.context_ = make_fcontext(to.top() - offset, to.bytes_ - offset, start);
#ifdef __SSE__
        _mm_setcsr(control);
#endif
    }
    running = &to;
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_start_switch_fiber(&fake_stack_, to.bottom_, to.bytes_);
#endif
    if (thread_sanitizer()) __tsan_switch_to_fiber(to.sanitized_thread_, without_synchronisation);
    const transfer_t transfer = emulator_jump(to.context_, this);
    auto& from = *static_cast<Fiber*>(transfer.data);
    from.context_ = transfer.fctx;
    arrive(from);
}

// On this fiber's stack, coming from another.
void Fiber::arrive([[maybe_unused]] Fiber& from) {
#ifdef __SANITIZE_ADDRESS__
    const void* bottom = nullptr;
    std::size_t bytes = 0;
    __sanitizer_finish_switch_fiber(fake_stack_, &bottom, &bytes);
    fake_stack_ = nullptr;
    if (from.entry_ == nullptr) {  // only now is the stack of the first caller known
        from.bottom_ = static_cast<std::byte*>(const_cast<void*>(bottom));
        from.bytes_ = bytes;
    }
#endif
}

}  // namespace emulator
