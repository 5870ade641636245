#include "runtime/device/backend.h"

#include "runtime/base/error.h"

std::int64_t tokens_at_once(const Backend& backend) {
    return backend.device == Device::cpu ? 2048 : 65536;
}

Backend select_backend(std::string_view device, std::string_view precision, int gpu) {
    if (!precision.empty() && precision != "fp32" && precision != "bf16")
        fail_usage("--precision {}: expected fp32 or bf16", precision);
    if (device == "cpu" && precision == "bf16")
        fail_usage("--precision bf16: the CPU computes in fp32 only; --device cuda takes bf16");
    const Device where = select_device(device, gpu);
    const bool rounds = where == Device::cuda && precision != "fp32";
    return {where, rounds ? Precision::bf16 : Precision::fp32};
}
