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
        fmt::print(stderr,
                   "--precision bf16: this CPU has neither AVX512-BF16 nor AMX; it computes in fp32\n");
        rounds = false;
    }
    return {where, rounds ? Precision::bf16 : Precision::fp32};
}

std::string arithmetic_of(const Backend& backend) {
    const char* const precision = backend.precision == Precision::bf16 ? "bf16" : "fp32";
    if (backend.device == Device::cuda) return fmt::format("cuda {} {}", precision, gpu_name());
        // Of this build, which is made for the machine that it runs on.
#if defined(__AVX512F__)
    constexpr const char* instructions = "AVX-512";
#elif defined(__AVX2__)
    constexpr const char* instructions = "AVX2";
#elif defined(__x86_64__)
    constexpr const char* instructions = "x86-64";
#elif defined(__aarch64__)
    constexpr const char* instructions = "AArch64";
#else
    constexpr const char* instructions = "another processor";
#endif
#ifdef __FMA__
    constexpr const char* fused = "+FMA";
#else
    constexpr const char* fused = "";
#endif
    const bool by_amx = backend.precision == Precision::bf16 && cpu::bf16_unit() == cpu::Bf16Unit::amx;
    return fmt::format("cpu {} {}{}{}", precision, instructions, fused, by_amx ? "+AMX" : "");
}
