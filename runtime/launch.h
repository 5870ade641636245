// LAUNCH(tape, kernel, arguments...) calls the backend's kernel, timed when a profile is asked for. In
// planning mode neither the kernel runs nor are its arguments evaluated, since buffers have no addresses yet.
#pragma once

#include <chrono>

#include "runtime/profile.h"
#include "runtime/tape.h"

template <class Call>
void timed_launch(const char* kernel, Call call) {
    if (!profiling()) {
        call();
        return;
    }
    const auto start = std::chrono::steady_clock::now();
    call();
    add_to_profile(kernel, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
}

#define LAUNCH(tape, kernel, ...) \
    ((tape).planning() ? void() : timed_launch(#kernel, [&] { cpu::kernel(__VA_ARGS__); }))
