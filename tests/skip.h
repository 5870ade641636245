// Test cases that cannot run on this machine or in this build. tests/main.cpp counts them apart from those
// that passed.
#pragma once

#include <doctest/doctest.h>

#include <string>

#include "tests/test_devices.h"

// Reason of the current test case's skip; empty if it is not skipped.
inline std::string skip_reason;

// Marks the current test case as skipped, unless one of its checks fails: `return skip_test("no Open MPI");`
inline void skip_test(const std::string& reason) {
    skip_reason = reason;
}

inline constexpr const char* no_cuda_backend = "no CUDA backend in this build";

// A test case of a build with the CUDA backend; skipped in others.
#define CUDA_TEST(name) CUDA_TEST_WITH_BODY(DOCTEST_ANONYMOUS(cuda_test_), name)
#define CUDA_TEST_WITH_BODY(body, name) \
    static void body();                 \
    TEST_CASE(name) {                   \
        if (has_cuda_backend())         \
            body();                     \
        else                            \
            skip_test(no_cuda_backend); \
    }                                   \
    static void body()
