#include "tests/bench/table.h"

#include <fmt/format.h>
#include <omp.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>

namespace {

double seconds_of(const std::function<void()>& call, std::int64_t times) {
    const auto start = std::chrono::steady_clock::now();
    for (std::int64_t i = 0; i < times; ++i) call();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() /
           static_cast<double>(times);
}

std::string duration_text(double seconds) {
    return seconds < 1e-3 ? fmt::format("{:8.2f} us", seconds * 1e6)
                          : fmt::format("{:8.3f} ms", seconds * 1e3);
}

}  // namespace

Timing measure(int repeats, const std::function<void()>& call) {
    constexpr double shortest_sample = 4e-3;
    const double first = std::max(1e-9, std::min(seconds_of(call, 1), seconds_of(call, 1)));
    const auto times = static_cast<std::int64_t>(std::ceil(std::max(1.0, shortest_sample / first)));
    std::vector<double> samples;
    for (int i = 0; i < repeats; ++i) samples.push_back(seconds_of(call, times));
    std::ranges::sort(samples);
    return {samples.front(), samples[samples.size() / 2]};
}

double measure_bandwidth(int repeats) {
    constexpr std::int64_t count = std::int64_t{1} << 24;
    constexpr double array_bytes = sizeof(float) * count;
    std::vector<float> a(count), b(count, 1.0f), c(count, 2.0f);
    const Timing triad = measure(repeats, [&] {
#pragma omp parallel for simd schedule(static)
        for (std::size_t i = 0; i < a.size(); ++i) a[i] = b[i] + 3.0f * c[i];
    });
    const Timing copy = measure(repeats, [&] {
#pragma omp parallel for schedule(static)
        for (std::int64_t part = 0; part < omp_get_num_threads(); ++part) {
            const std::int64_t begin = part * count / omp_get_num_threads(),
                               end = (part + 1) * count / omp_get_num_threads();
            std::memcpy(a.data() + begin, b.data() + begin,
                        sizeof(float) * static_cast<std::size_t>(end - begin));
        }
    });
    return std::max(3 * array_bytes / triad.best, 2 * array_bytes / copy.best);
}

void Table::begin(const Ceiling& ceiling) {
    ceiling_ = ceiling;
    fmt::print("{:<34}{:<34}{:>11}{:>12}{:>9}{:>10}{:>9}\n", "kernel", "shape", "time", "GFLOP/s", "share",
               "GB/s", "share");
}

void Table::kernel(std::string_view name, std::string_view shape, Bound bound, double amount,
                   const std::function<void()>& call) {
    if (!wants(name)) return;
    const double seconds = measure(repeats_, call).best, rate = amount / seconds;
    fmt::print("{:<34}{:<34}{:>11}", name, shape, duration_text(seconds));
    if (bound == Bound::arithmetic)
        fmt::print("{:>12.1f}{:>9.2f}\n", rate / 1e9, rate / ceiling_.operations);
    else
        fmt::print("{:>12}{:>9}{:>10.2f}{:>9.2f}\n", "", "", rate / 1e9, rate / ceiling_.bytes);
    std::fflush(stdout);
}

std::string processor_name() {
    std::ifstream file("/proc/cpuinfo");
    for (std::string line; std::getline(file, line);)
        if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
    return "unknown processor";
}
