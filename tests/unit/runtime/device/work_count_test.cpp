// Work of a GPU, counted without one.
#include "runtime/device/work_count.h"

#include <doctest/doctest.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels/pointwise/gelu.h"
#include "runtime/device/launch.h"
#include "runtime/ops/ops.h"
#include "runtime/tensor/tape.h"

namespace {

struct Seen {
    std::string kernel, ranges;
    double bytes;
    std::size_t arguments;
    bool operator==(const Seen&) const = default;
};

// What `job` queues on a counted GPU.
template <class Job>
std::vector<Seen> counted(Job job) {
    std::vector<Seen> seen;
    const WorkCount count([&](const CountedWork& work) {
        std::string ranges;
        for (const std::string& each : work.ranges) ranges += each + "/";
        seen.push_back({work.kernel, ranges, work.bytes, work.arguments.size()});
    });
    job();
    return seen;
}

// A template, in which a build without the CUDA backend needs none of its kernels.
template <class... Arguments>
void launch_gelu(Device device, Arguments... arguments) {
    LAUNCH_ON(device, Stream(), gelu_forward, arguments...);
}

}  // namespace

TEST_CASE("work count: a GPU's memory is addresses, its transfers and launches are counted") {
    const std::vector<Seen> seen = counted([] {
        const Memory memory(Device::cuda, std::size_t{1} << 40);  // of a terabyte
        CHECK(memory.data() != nullptr);
        float host[2] = {1, 2};
        copy_to_device(Device::cuda, memory.data(), host, sizeof host);
        copy_from_device(Device::cuda, host, memory.data(), sizeof host);
        CHECK(host[1] == 0);
        fill_on_device(Device::cuda, memory.data(), 0, 100);
        synchronize(Device::cuda);
        auto* const x = reinterpret_cast<float*>(memory.data());
        const ProfileRange range("level", 2);
        launch_gelu(Device::cuda, x + 8, x, std::int64_t{8});
    });
    CHECK(seen == std::vector<Seen>{{"copy", "", 8, 0},
                                    {"copy", "", 8, 0},
                                    {"fill", "", 100, 0},
                                    {"gelu_forward", "level 2/gelu_forward/", 0, 3}});
    CHECK_FALSE(counting_work());
}

TEST_CASE("work count: a launch's bytes are those of its tensors, a part's to its end") {
    const std::vector<Seen> seen = counted([] {
        Tape tape(Backend(Device::cuda, Precision::bf16));
        const auto job = [&] {
            const Tensor x = tape.create(4, 64, false, Element::bf16);
            quick_gelu(tape, x);                    // 2 x 4 x 64 x 2 bytes
            quick_gelu(tape, tape.slice(x, 3, 1));  // its last row, and a row of 64
        };
        run_job(tape, plan_job(tape, job), job);
    });
    REQUIRE(seen.size() == 2);
    CHECK(seen[0].kernel == "quick_gelu_forward");
    CHECK(seen[0].bytes == 1024);
    CHECK(seen[1].bytes == 256);
}

TEST_CASE("work count: there is one at a time, and the CPU's work is no part of it") {
    const std::vector<Seen> seen = counted([] {
        CHECK_THROWS_AS(WorkCount([](const CountedWork&) {}), std::logic_error);
        float x[2] = {0, 1}, y[2];
        launch_gelu(Device::cpu, y, x, std::int64_t{2});
        CHECK(y[1] == doctest::Approx(0.8413447f));
        const Memory memory(Device::cpu, 8);
        fill_on_device(Device::cpu, memory.data(), 1, 8);
        CHECK(memory.data()[7] == std::byte{1});
    });
    CHECK(seen.empty());
}
