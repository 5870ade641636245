#include "tests/bench/measure.h"

#include <fmt/format.h>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <fstream>
#include <numeric>
#include <vector>

#include "kernels/common/partition.h"
#include "kernels/linear/matmul.h"
#include "kernels/linear/matmul_bf16.h"
#include "runtime/device/built_backends.h"
#include "runtime/device/ceiling.h"
#include "runtime/device/device_cuda.h"
#include "runtime/device/device_graph.h"
#include "runtime/device/launch.h"
#include "tests/bench/kernels.h"

namespace {

constexpr double shortest_sample = 4e-3;
constexpr double most_calls_in_a_graph = 500;
constexpr std::int64_t cpu_product_size = 2048;

double seconds_of(const std::function<void()>& call, std::int64_t times) {
    const auto start = std::chrono::steady_clock::now();
    for (std::int64_t i = 0; i < times; ++i) call();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() /
           static_cast<double>(times);
}

Timing sampled(
    int repeats, std::int64_t times, const std::function<void()>& call,
    const std::function<void()>& between = [] {}) {
    std::vector<double> samples;
    for (int i = 0; i < repeats; ++i) {
        samples.push_back(seconds_of(call, times));
        between();
    }
    std::ranges::sort(samples);
    return {samples.front(), samples[samples.size() / 2],
            std::accumulate(samples.begin(), samples.end(), 0.0) / repeats};
}

std::int64_t calls_for(double seconds) {
    return static_cast<std::int64_t>(std::ceil(std::max(1.0, shortest_sample / std::max(1e-9, seconds))));
}

std::int64_t product_size(const Effort& effort) {
    return effort.smoke ? 64 : 8192;
}
std::int64_t copy_bytes(const Effort& effort) {
    return std::int64_t{1} << (effort.smoke ? 20 : 30);
}

double measure_cpu_bandwidth(const Effort& effort) {
    const std::int64_t count = std::int64_t{1} << (effort.smoke ? 16 : 24);
    const double array_bytes = sizeof(float) * static_cast<double>(count);
    const auto size = static_cast<std::size_t>(count);
    std::vector<float> a(size), b(size, 1.0f), c(size, 2.0f);
    float *const a_values = a.data(), *const b_values = b.data(), *const c_values = c.data();
    const Timing triad = measure(effort, [&] {
        cpu::for_each_block(count, [&](std::int64_t begin, std::int64_t end) {
#pragma omp simd
            for (std::int64_t i = begin; i < end; ++i) a_values[i] = b_values[i] + 3.0f * c_values[i];
        });
    });
    const Timing copy = measure(effort, [&] {
        const std::int64_t parts = cpu::thread_count();
        cpu::share_each(parts, 1, [&](std::int64_t part) {
            const std::int64_t begin = part * count / parts, end = (part + 1) * count / parts;
            std::memcpy(a_values + begin, b_values + begin,
                        sizeof(float) * static_cast<std::size_t>(end - begin));
        });
    });
    return std::max(3 * array_bytes / triad.best, 2 * array_bytes / copy.best);
}

double measure_bf16_product(const Backend& backend, const Effort& effort) {
    const std::int64_t size = cpu_product_size;
    Operands in(backend);
    float *C = in.floats(size * size), *A = in.floats(size * size);
    const WeightPointer B = in.matrix(size, size);
    const Timing timing = measure(effort, [=] {
        cpu::linear_forward(C, size, A, size, static_cast<const bf16*>(B.address), nullptr, size, size, size);
    });
    return 2 * elements(size * size, size) / timing.best;
}

}  // namespace

Timing measure(const Effort& effort, const std::function<void()>& call,
               const std::function<void()>& between) {
    if (effort.smoke) return sampled(1, 1, call, between);
    const double first = std::min(seconds_of(call, 1), seconds_of(call, 1));
    return sampled(effort.repeats, calls_for(first), call, between);
}

Timing measure_queued(const Effort& effort, const std::function<void()>& call) {
    const Stream stream = main_stream(Device::cuda);
    const auto finished = [&](const auto& queue) {
        return [&] {
            queue();
            synchronize(Device::cuda);
        };
    };
    finished(call)();  // libraries choose their algorithms
    const double first = seconds_of(finished(call), 1);
    const double times =
        effort.smoke ? 1 : std::min(most_calls_in_a_graph, static_cast<double>(calls_for(first)));
    GraphRecording recording(stream);
    for (int i = 0; i < static_cast<int>(times); ++i) call();
    const DeviceGraph graph = recording.finish();
    const auto replay = [&] { graph.launch(stream); };
    finished(replay)();
    // The first call's time holds that of its launch: short kernels need more of them.
    const std::int64_t replays = effort.smoke ? 1 : calls_for(seconds_of(finished(replay), 1));
    const Timing timing = sampled(effort.repeats, 1, finished([&] {
                                      for (std::int64_t i = 0; i < replays; ++i) replay();
                                  }));
    const double calls = times * static_cast<double>(replays);
    return {timing.best / calls, timing.median / calls, timing.mean / calls};
}

double measure_product(const Backend& backend, const Effort& effort) {
    if (backend.device == Device::cpu)
        return backend.precision == Precision::bf16 ? measure_bf16_product(backend, effort)
                                                    : measure_product(effort.repeats);
    const std::int64_t size = product_size(effort);
    Operands in(backend);
    const LaunchSite on = in.site();
    const ElementPointer C = in.activations(size * size), A = in.activations(size * size),
                         B = in.activations(size * size);
    const Timing timing =
        measure_queued(effort, [=] { LAUNCH_ON(on.device, on.stream, matmul, C, A, B, size, size, size); });
    return 2 * elements(size * size, size) / timing.best;
}

double measure_bandwidth(const Backend& backend, const Effort& effort) {
    if (backend.device == Device::cpu) return measure_cpu_bandwidth(effort);
    const std::int64_t size = copy_bytes(effort);
    Operands in(backend);
    std::uint8_t *from = in.bytes(size, 1), *to = in.bytes(size, 0);
    const LaunchSite on = in.site();
    const Timing timing = measure_queued(
        effort, [=] { copy_within_device(on.device, to, from, static_cast<std::size_t>(size), on.stream); });
    return 2 * static_cast<double>(size) / timing.best;
}

std::string product_text(const Backend& backend, const Effort& effort) {
    const std::int64_t size = backend.device == Device::cpu ? cpu_product_size : product_size(effort);
    return fmt::format("product of {0} x {0} matrices", size);
}

std::string bandwidth_text(const Backend& backend, const Effort& effort) {
    if (backend.device == Device::cpu) return "triad over 3 x 64 MiB";
    return fmt::format("copy of {} MiB, read and written", copy_bytes(effort) >> 20);
}

std::string device_name(const Backend& backend) {
    if constexpr (cuda_backend_built)
        if (backend.device == Device::cuda) return cuda_device::name();
    std::ifstream file("/proc/cpuinfo");
    for (std::string line; std::getline(file, line);)
        if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
    return "unknown processor";
}
