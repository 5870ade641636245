// The only place that picks a backend, cpu:: or cuda::.
//
//   LAUNCH(tape, kernel, arguments...)               on the tape's device and stream
//   LAUNCH_ON(device, stream, kernel, arguments...)  outside of a tape
//   SIZE_ON(device, size, arguments...)              a size that each backend chooses for itself
//
// Launches are timed when a profile is asked for. In planning mode LAUNCH neither calls the kernel nor
// evaluates its arguments, since buffers have no addresses yet. A build without the CUDA backend checks its
// calls as well but leaves them out, and so needs none of its symbols.
#pragma once

#include <chrono>

#include "runtime/device.h"
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

#define LAUNCH_ON(device, stream, kernel, ...)                                      \
    timed_launch(#kernel, [&] {                                                     \
        if constexpr (cuda_backend_built)                                           \
            if ((device) == Device::cuda) return cuda::kernel(stream, __VA_ARGS__); \
        return cpu::kernel(__VA_ARGS__);                                            \
    })

#define LAUNCH(tape, kernel, ...) \
    ((tape).planning() ? void() : LAUNCH_ON((tape).device(), (tape).stream(), kernel, __VA_ARGS__))

#define SIZE_ON(device, size, ...)                                        \
    [&] {                                                                 \
        if constexpr (cuda_backend_built)                                 \
            if ((device) == Device::cuda) return cuda::size(__VA_ARGS__); \
        return cpu::size(__VA_ARGS__);                                    \
    }()
