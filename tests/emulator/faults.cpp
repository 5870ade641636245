#include "tests/emulator/faults.h"

#include <ucontext.h>

#include <cstdint>
#include <cstdlib>

#include "tests/emulator/fiber.h"

namespace emulator {
namespace {

constexpr int signals[] = {SIGSEGV, SIGBUS, SIGFPE};
constexpr std::size_t stack_bytes = 64 * 1024;
struct sigaction before[3];

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__)
constexpr bool supported = true;

thread_local int caught_signal;
thread_local const void* caught_address;

void land() {
    on_fault(caught_signal, caught_address);
}

// Returns into land() at the top of the thread's stack; the interrupted code is not resumed.
void handle(int signal, siginfo_t* information, void* context) {
    std::byte* const stack = fault_stack();
    if (stack == nullptr) {  // not of the device: as without this handler
        for (int i = 0; i < 3; ++i)
            if (signals[i] == signal) ::sigaction(signal, &before[i], nullptr);
        return;
    }
    caught_signal = signal;
    caught_address = information->si_addr;
    auto& registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
    registers[REG_RSP] = static_cast<greg_t>(reinterpret_cast<std::uintptr_t>(stack) / 16 * 16 - 136);
    registers[REG_RIP] = static_cast<greg_t>(reinterpret_cast<std::uintptr_t>(land));
}
#else
constexpr bool supported = false;
void handle(int, siginfo_t*, void*) {}
#endif

bool active() {
    return supported && !thread_sanitizer();
}

}  // namespace

FaultHandler::FaultHandler() {
    if (!active()) return;
    struct sigaction action {};
    action.sa_sigaction = handle;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    for (int i = 0; i < 3; ++i) ::sigaction(signals[i], &action, &before[i]);
}

FaultHandler::~FaultHandler() {
    if (!active()) return;
    for (int i = 0; i < 3; ++i) ::sigaction(signals[i], &before[i], nullptr);
}

SignalStack::SignalStack() : memory_(std::malloc(stack_bytes)) {
    stack_t stack{};
    stack.ss_sp = memory_;
    stack.ss_size = stack_bytes;
    ::sigaltstack(&stack, &before_);
}

SignalStack::~SignalStack() {
    ::sigaltstack(&before_, nullptr);
    std::free(memory_);
}

}  // namespace emulator
