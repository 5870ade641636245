// Values of --device and --precision.
#include "runtime/device/backend.h"

#include <doctest/doctest.h>

#include "kernels/linear/matmul_bf16.h"
#include "runtime/base/error.h"
#include "tests/test_devices.h"

#if __has_include("emulated/runtime_calls.h")
#include "tests/emulator/emulated_device.h"
#endif

namespace {

// The message with which the flags are refused, "" if they are not.
std::string refusal(const char* device, const char* precision) {
    try {
        select_backend(device, precision);
    } catch (const UsageError& error) {
        return error.what();
    }
    return "";
}

}  // namespace

TEST_CASE("backend: names, and a CPU without products in bf16") {
    CHECK(select_backend("cpu", "").precision == Precision::fp32);
    CHECK(select_backend("cpu", "fp32").device == Device::cpu);
    const bool multiplies = cpu::bf16_unit() != cpu::Bf16Unit::none;
    CHECK((select_backend("cpu", "bf16").precision == Precision::bf16) == multiplies);
    cpu::limit_bf16_unit(cpu::Bf16Unit::none);
    CHECK(select_backend("cpu", "bf16").precision == Precision::fp32);
    cpu::limit_bf16_unit(cpu::Bf16Unit::amx);
    CHECK(refusal("cpu", "fp16") == "--precision fp16: expected fp32 or bf16");
    CHECK(refusal("gpu", "") == "--device gpu: expected cpu or cuda");
    CHECK(refusal("", "") == "--device : expected cpu or cuda");
    if (!has_cuda_backend())
        for (const char* precision : {"", "bf16", "fp32"})
            CHECK(refusal("cuda", precision) ==
                  "--device cuda: this build has no CUDA backend (built without nvcc)");
}

#if __has_include("emulated/runtime_calls.h")

TEST_CASE("backend: devices that do not serve") {
    const emulator::EmulatedDevice before = emulator::emulated_device();
    CHECK(select_backend("cuda", "").precision == Precision::bf16);
    CHECK(select_backend("cuda", "fp32").precision == Precision::fp32);
    CHECK(select_backend("cuda", "bf16", 5).device == Device::cuda);
    emulator::emulated_device().devices = 0;
    CHECK(refusal("cuda", "").starts_with("--device cuda: no CUDA device ("));
    CHECK(gpu_count() == 0);
    emulator::emulated_device() = before;
    // The code in this build is for 8.0, 9.0 and 10.0, or a part of these.
    for (const auto& [major, minor] : {std::pair{7, 5}, {12, 0}}) {
        emulator::emulated_device().major = major;
        emulator::emulated_device().minor = minor;
        const std::string message = refusal("cuda", "");
        CHECK(message.find("emulated device is an sm_" + std::to_string(10 * major + minor)) !=
              std::string::npos);
        CHECK(message.find("make CUDA=1 ARCH=" + std::to_string(10 * major + minor)) != std::string::npos);
    }
    emulator::emulated_device() = before;
    CHECK(refusal("cuda", "") == "");
}

#endif
