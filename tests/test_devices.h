// Tests on every device of the build. The environment variable TEST_DEVICES=cuda leaves out the CPU's half of
// them, for runs that follow one of the CPU build.
#pragma once

#include <doctest/doctest.h>

#include <vector>

#include "runtime/device/device.h"

// Whether this build has the CUDA backend: a function, so that tests are compiled once for every build.
bool has_cuda_backend();

std::vector<Device> test_devices();

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
