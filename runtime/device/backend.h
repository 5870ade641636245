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

// From the two flags of every job. A GPU becomes the current one of this process, which all later calls use.
// An empty precision is the device's own: fp32 on the CPU, bf16 on the GPU. bf16 on a CPU that does not
// multiply it faster than fp32 becomes fp32, with a line on stderr. Throws UsageError for other names, and as
// select_device does. `gpu`: index of the GPU, modulo their number; of several ranks that of the rank on its
// machine, of which number 0 writes the line.
Backend select_backend(std::string_view device, std::string_view precision, int gpu = 0);
