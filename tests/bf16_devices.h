// Tests of precision bf16 on every device of the build that has it.
#pragma once

#include <vector>

#include "kernels/linear/matmul_bf16.h"
#include "runtime/device/backend.h"
#include "tests/skip.h"
#include "tests/test_devices.h"

inline std::vector<Backend> bf16_backends() {
    std::vector<Backend> backends;
    for (const Device device : test_devices())
        if (device == Device::cuda || cpu::bf16_unit() != cpu::Bf16Unit::none)
            backends.emplace_back(device, Precision::bf16);
    return backends;
}

// A test of products in bf16, run on each device that has them; its parameter `backend`.
#define BF16_TEST(name) BF16_TEST_WITH_BODY(DOCTEST_ANONYMOUS(bf16_test_), name)
#define BF16_TEST_WITH_BODY(body, name)                                        \
    static void body(const Backend& backend);                                  \
    TEST_CASE(name) {                                                          \
        for (const Backend& each : bf16_backends()) {                          \
            INFO("on ", (each.device == Device::cpu ? "the CPU" : "the GPU")); \
            body(each);                                                        \
        }                                                                      \
        if (bf16_backends().empty()) skip_test("no products in bf16 here");    \
    }                                                                          \
    static void body(const Backend& backend)
