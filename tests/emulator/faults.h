// Access to addresses where nothing is, caught while a kernel runs.
#pragma once

#include <signal.h>

#include <cstddef>

namespace emulator {

// During its lifetime, a processor fault (invalid address, integer division by zero) in a thread of the
// device calls on_fault(signal, address) in that thread, which must not return. No effect in other threads
// and under sanitizers.
class FaultHandler {
  public:
    FaultHandler();
    ~FaultHandler();
    FaultHandler(const FaultHandler&) = delete;
    FaultHandler& operator=(const FaultHandler&) = delete;
};

// Gives a host thread the stack on which signals are handled; a thread that runs kernels needs one.
class SignalStack {
  public:
    SignalStack();
    ~SignalStack();
    SignalStack(const SignalStack&) = delete;
    SignalStack& operator=(const SignalStack&) = delete;

  private:
    void* memory_;
    stack_t before_{};
};

// Of scheduler.cpp. The stack to handle a fault on; null outside of kernels.
std::byte* fault_stack();
[[noreturn]] void on_fault(int signal, const void* address);

}  // namespace emulator
