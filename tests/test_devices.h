// Tests on every device of the build. The environment variable TEST_DEVICES=cuda leaves out the CPU's half of
// them, for runs that follow one of the CPU build.
#pragma once

#include <doctest/doctest.h>

#include <cstdlib>
#include <string_view>
#include <vector>

#include "runtime/device/built_backends.h"
#include "runtime/device/device.h"

inline std::vector<Device> test_devices() {
#ifdef __SANITIZE_THREAD__
    // It does not model OpenMP's barriers; on the emulated device, it checks those of the kernels.
    if constexpr (cuda_backend_built) return {Device::cuda};
#endif
    if constexpr (!cuda_backend_built) return {Device::cpu};
    const char* chosen = std::getenv("TEST_DEVICES");
    if (chosen != nullptr && std::string_view(chosen) == "cuda") return {Device::cuda};
    return {Device::cpu, Device::cuda};
}

// A test whose body runs once for each of these devices, its parameter `device`. Without SUBCASE in it:
// doctest would enter each of them on one device only.
#define DEVICE_TEST(name) DEVICE_TEST_WITH_BODY(DOCTEST_ANONYMOUS(device_test_), name)
#define DEVICE_TEST_WITH_BODY(body, name)                               \
    static void body(Device device);                                    \
    TEST_CASE(name) {                                                   \
        for (const Device each : test_devices()) {                      \
            INFO("on ", (each == Device::cpu ? "the CPU" : "the GPU")); \
            body(each);                                                 \
        }                                                               \
    }                                                                   \
    static void body(Device device)
