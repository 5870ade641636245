// What old drivers need.
#include <doctest/doctest.h>

#include <cstdlib>
#include <string>

#include "runtime/device/device.h"
#include "tests/emulator/emulated_device.h"

TEST_CASE("emulator: kernels are loaded at the start where a driver cannot load them into a recording") {
    const auto loading_of = [](int driver) {
        emulator::emulated_device().driver = driver;
        unsetenv("CUDA_MODULE_LOADING");
        CHECK(gpu_count() == 1);
        const char* loading = std::getenv("CUDA_MODULE_LOADING");
        return std::string(loading == nullptr ? "" : loading);
    };
    CHECK(loading_of(12020) == "EAGER");
    CHECK(loading_of(12030) == "");
    CHECK(loading_of(13000) == "");
}
