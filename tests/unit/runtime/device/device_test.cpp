#include "runtime/device/device.h"

#include <doctest/doctest.h>

#include <vector>

#include "runtime/base/error.h"
#include "tests/test_devices.h"

TEST_CASE("devices are known by their names, and the ones that are missing are named") {
    CHECK(select_device("cpu") == Device::cpu);
    CHECK_THROWS_WITH_AS(select_device("gpu"), "--device gpu: expected cpu or cuda", UsageError);
    if (has_cuda_backend()) {
        CHECK(select_device("cuda") == Device::cuda);
    } else {
        const char* missing = "--device cuda: this build has no CUDA backend (built without nvcc)";
        CHECK_THROWS_WITH_AS(select_device("cuda"), missing, UsageError);
        CHECK_THROWS_WITH_AS(Memory(Device::cuda, 64), missing, UsageError);
        CHECK_THROWS_WITH_AS(available_memory(Device::cuda), missing, UsageError);
    }
}

TEST_CASE("a device's memory starts as zeros and keeps what is copied to it") {
    for (const Device device : test_devices()) {
        const std::vector<int> numbers = {1, 2, 3, 4, 5, 6, 7};
        const std::size_t bytes = numbers.size() * sizeof(int);
        const Memory memory(device, bytes);
        std::vector<int> back(numbers.size(), -1);
        const auto read = [&] {
            copy_from_device(device, back.data(), memory.data(), bytes);
            return back;
        };
        CHECK(read() == std::vector<int>(numbers.size(), 0));
        copy_to_device(device, memory.data(), numbers.data(), bytes);
        CHECK(read() == numbers);
        fill_on_device(device, memory.data() + sizeof(int), 0, 2 * sizeof(int));
        CHECK(read() == std::vector<int>{1, 0, 0, 4, 5, 6, 7});
    }
}
