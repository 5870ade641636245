// Timing, and the device's ceilings.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "runtime/device/backend.h"

// How much trouble a measurement takes.
struct Effort {
    int repeats = 7;
    bool smoke = false;  // one short call each, to see that it runs
};

// Seconds of one call.
struct Timing {
    double best = 0, median = 0, mean = 0;
};

// Samples of `call`, which is done when it returns. A call shorter than a few milliseconds is repeated within
// a sample, so that the clock's steps and the first touch of the caches do not count. `between` is called
// after each sample and is no part of it.
Timing measure(
    const Effort& effort, const std::function<void()>& call, const std::function<void()>& between = [] {});
// Of a call that queues kernels on the GPU's main stream: the calls of a sample are recorded as one graph, so
// that the host's share of a launch does not count, and replayed after one that is not measured.
Timing measure_queued(const Effort& effort, const std::function<void()>& call);

// The device's ceilings, per second.
struct Ceiling {
    // Of a large product of two matrices in the backend's precision.
    double operations = 0;
    // On the CPU of copying 64 MiB or of a[i] = b[i] + s * c[i], whichever is more: far beyond the caches. On
    // the GPU of copying 1 GiB within its memory, read and written.
    double bytes = 0;
};
double measure_product(const Backend& backend, const Effort& effort);
double measure_bandwidth(const Backend& backend, const Effort& effort);
// "product of 2048 x 2048 matrices" and "triad over 3 x 64 MiB", as measured above.
std::string product_text(const Backend& backend, const Effort& effort);
std::string bandwidth_text(const Backend& backend, const Effort& effort);

// Processor or device.
std::string device_name(const Backend& backend);
