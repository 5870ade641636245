// Device and precision of a job.
#pragma once

#include <cstdint>
#include <string_view>

#include "runtime/device/device.h"
#include "runtime/device/element.h"

struct Backend {
    Backend(Device where = Device::cpu, Precision how = Precision::fp32) : device(where), precision(how) {}
    Device device;
    Precision precision;
};

// Default number of tokens per chunk of a level or a transformer: few enough for the processor's caches, many
// enough to occupy a GPU.
std::int64_t tokens_at_once(const Backend& backend);

// The two flags of every job. An empty precision is the device's own: fp32 on the CPU, bf16 on the GPU.
// Throws UsageError for other names, for bf16 on the CPU, and as parse_device does. `gpu`: index of the GPU,
// modulo their number.
Backend parse_backend(std::string_view device, std::string_view precision, int gpu = 0);
