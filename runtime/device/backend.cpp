#include "runtime/device/backend.h"

#include <fmt/format.h>

#include <cstdio>

#include "kernels/linear/matmul_bf16.h"
#include "runtime/base/error.h"

std::int64_t tokens_at_once(const Backend& backend) {
    return backend.device == Device::cpu ? 2048 : 65536;
}

Backend select_backend(std::string_view device, std::string_view precision, int gpu) {
    if (!precision.empty() && precision != "fp32" && precision != "bf16")
        fail_usage("--precision {}: expected fp32 or bf16", precision);
    const Device where = select_device(device, gpu);
    bool rounds = where == Device::cuda ? precision != "fp32" : precision == "bf16";
    if (rounds && where == Device::cpu && cpu::bf16_unit() == cpu::Bf16Unit::none) {
        if (gpu == 0)
            fmt::print(
                stderr,
                "--precision bf16: this CPU multiplies bf16 no faster than fp32; it computes in fp32\n");
        rounds = false;
    }
    return {where, rounds ? Precision::bf16 : Precision::fp32};
}
