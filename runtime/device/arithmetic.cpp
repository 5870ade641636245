#include "runtime/device/arithmetic.h"

#include <fmt/format.h>

#include "kernels/linear/matmul_bf16.h"
#include "runtime/device/built_backends.h"
#include "runtime/device/device_cuda.h"

namespace {

#if defined(__AVX512F__)
constexpr const char* instructions = "AVX-512";
#elif defined(__AVX2__)
constexpr const char* instructions = "AVX2";
#elif defined(__x86_64__)
constexpr const char* instructions = "x86-64";
#elif defined(__aarch64__)
constexpr const char* instructions = "AArch64";
#else
constexpr const char* instructions = "other instructions";
#endif

#ifdef __FMA__
constexpr const char* fused = "+FMA";
#else
constexpr const char* fused = "";
#endif

}  // namespace

std::string arithmetic_of(const Backend& backend) {
    const bool rounds = backend.precision == Precision::bf16;
    const char* const precision = rounds ? "bf16" : "fp32";
    if constexpr (cuda_backend_built)
        if (backend.device == Device::cuda) return fmt::format("cuda {} {}", precision, cuda_device::name());
    const bool by_amx = rounds && cpu::bf16_unit() == cpu::Bf16Unit::amx;
    return fmt::format("cpu {} {}{}{}", precision, instructions, fused, by_amx ? "+AMX" : "");
}
