// Fault injection: kernels with a missing barrier or an out-of-bounds write must be reported, by the thread
// orders and by the sanitizer of this build. A sanitizer's report ends the process, so the faulty kernels run
// in a child process of this program, one skipped test case each.
#include <doctest/doctest.h>

#include <unistd.h>

#include <cstdio>
#include <string>

#include "tests/emulator/emulated_device.h"
#include "tests/emulator/run_threads.h"
#include "tests/thread_orders.h"

using namespace emulator;

namespace {

enum class Mistake { none, missing_barrier, missing_warp_barrier, out_of_bounds };

// Sums of 256 values each by a tree reduction in shared memory.
std::vector<float> sums(Mistake mistake) {
    constexpr int threads = 256, blocks = 3;
    std::vector<float> values(threads * blocks);
    for (int i = 0; i < threads * blocks; ++i) values[i] = static_cast<float>(i % 7);
    const DeviceArray<float> input(values), results(blocks);
    const float* const from = input.data();
    float* const to = results.data();
    CHECK(run_threads(blocks, threads, threads * sizeof(float), [=] {
              cuda::SharedMemory shared;
              float* const parts = shared.take<float>(threads);
              const int me = static_cast<int>(threadIdx.x);
              parts[me] = from[blockIdx.x * threads + threadIdx.x];
              for (int half = threads / 2; half > 0; half /= 2) {
                  if (half >= 32 && mistake != Mistake::missing_barrier)
                      __syncthreads();
                  else if (half < 32 && mistake != Mistake::missing_warp_barrier)
                      __syncwarp();
                  if (me < half) parts[me] += parts[me + half];
              }
              if (me == 255 && mistake == Mistake::out_of_bounds) parts[me + 1] = 0;
              if (me == 0) to[blockIdx.x] = parts[0];
          }) == cudaSuccess);
    return results.values();
}

}  // namespace

TEST_CASE("planted: nothing") {
    CHECK(sums(Mistake::none) == std::vector<float>{762, 771, 766});
    CHECK(same_in_every_order([] { return sums(Mistake::none); }));
}
TEST_CASE("planted: a missing barrier" * doctest::skip()) {
    sums(Mistake::missing_barrier);
}
TEST_CASE("planted: a missing barrier of a warp" * doctest::skip()) {
    sums(Mistake::missing_warp_barrier);
}
TEST_CASE("planted: a write behind a shared array" * doctest::skip()) {
    sums(Mistake::out_of_bounds);
}

namespace {

// Output and success of a child process that runs one of the test cases above.
struct Outcome {
    std::string output;
    bool success;
};
[[maybe_unused]] Outcome run_planted(const std::string& test) {
    char self[4096] = {};
    if (::readlink("/proc/self/exe", self, sizeof self - 1) < 0) return {};
    const std::string command = std::string(self) + " --no-skip -tc='planted: " + test + "' 2>&1";
    std::FILE* const pipe = ::popen(command.c_str(), "r");
    Outcome outcome;
    char buffer[4096];
    for (std::size_t count; (count = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;)
        outcome.output.append(buffer, count);
    outcome.success = ::pclose(pipe) == 0;
    return outcome;
}
[[maybe_unused]] bool contains(const Outcome& outcome, const char* words) {
    return outcome.output.find(words) != std::string::npos;
}

}  // namespace

#if defined(__SANITIZE_THREAD__)
TEST_CASE("emulated device: the thread sanitizer reports missing barriers, and only them") {
    CHECK(run_planted("nothing").success);
    for (const char* test : {"a missing barrier", "a missing barrier of a warp"}) {
        const Outcome outcome = run_planted(test);
        CHECK_FALSE(outcome.success);
        CHECK(contains(outcome, "WARNING: ThreadSanitizer: data race"));
        CHECK(contains(outcome, "fault_injection_test.cpp"));
    }
}
#else
TEST_CASE("emulated device: a missing barrier gives other results in other orders") {
    CHECK_FALSE(same_in_every_order([] { return sums(Mistake::missing_barrier); }));
    CHECK_FALSE(same_in_every_order([] { return sums(Mistake::missing_warp_barrier); }));
}
#endif

#if defined(__SANITIZE_ADDRESS__)
TEST_CASE("emulated device: the address sanitizer reports a write behind a shared array, and only that") {
    CHECK(run_planted("nothing").success);
    const Outcome outcome = run_planted("a write behind a shared array");
    CHECK_FALSE(outcome.success);
    CHECK(contains(outcome, "AddressSanitizer: use-after-poison"));
    CHECK(contains(outcome, "fault_injection_test.cpp"));
}
#endif
