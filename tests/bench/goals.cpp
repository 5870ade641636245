// What the project's stated goals are about: FractalMAR-L draws 256x256 pictures with guidance, one and 512 at
// once, and is trained; autonat_l draws in eight steps, one picture and 64 at once. --smoke measures models of
// the same structure that run anywhere.
//
// A cold run is a sampler's first: algorithms are chosen and graphs recorded. Time per level is that of
// another run, without graphs, in which the device is waited for wherever a level begins or ends: its sum
// exceeds a warm run's.
#include <fmt/format.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/error.h"
#include "runtime/device/profile_ranges.h"
#include "tests/bench/fractal_workload.h"
#include "tests/bench/nat_workload.h"
#include "tests/bench/table.h"

namespace {

constexpr std::size_t needed_memory = std::size_t{64} << 30;
constexpr std::int64_t large_batch = 512;

FractalWorkload fractal_workload(bool smoke, std::int64_t images) {
    if (smoke) {
        const FractalConfig config{.img_size_list = {4, 2, 1},
                                   .embed_dim_list = {16, 16, 16},
                                   .num_blocks_list = {1, 1, 1},
                                   .num_heads_list = {2, 2, 2},
                                   .generator_type_list = {"mar", "mar", "ar"},
                                   .num_conds = 5,
                                   .guiding_pixel = true,
                                   .class_num = 10,
                                   .channels = 3};
        return {"smoke", config, 2, images, 0, {2, 1}, 3};
    }
    const std::string name = "fractalmar_large_in256";
    const FractalConfig& config = fractal_preset(name).config;
    return {name, config, 64, images, 65536, recommended_iterations(config), 21};
}

double seconds_of(const std::function<void()>& job) {
    const auto start = std::chrono::steady_clock::now();
    job();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Seconds of each level during `job`, of the inner levels' none; the pixels' last.
std::vector<double> seconds_by_level(const FractalWorkload& workload, Device device,
                                     const std::function<void()>& job) {
    std::vector<double> seconds(workload.config.generators() + 1);
    std::vector<std::size_t> open;
    std::chrono::steady_clock::time_point last;
    observe_ranges([&](std::string_view name, int number, RangeEdge edge) {
        if (name != "level") return;
        synchronize(device);
        const auto now = std::chrono::steady_clock::now();
        if (!open.empty()) seconds[open.back()] += std::chrono::duration<double>(now - last).count();
        last = now;
        if (edge == RangeEdge::begin)
            open.push_back(static_cast<std::size_t>(number));
        else
            open.pop_back();
    });
    job();
    observe_ranges({});
    return seconds;
}

double operations_of(const FractalCost& cost, std::size_t level) {
    double sum = 0;
    for (const NetworkCost& network : cost.networks) sum += network.level == level ? network.sampling : 0;
    return sum;
}

void bench_pictures(Table& table, const FractalWorkload& workload) {
    FractalSampling sampling(workload, table.backend());
    const std::string text = workload.sampling_text();
    const FractalCost cost = workload.cost();
    const auto images = static_cast<double>(workload.images);
    const auto draw = [&] { sampling.run(); };
    const double operations = images * cost.sum(&NetworkCost::sampling);
    table.timed_job(text + ", cold", images, operations, seconds_of(draw));
    if (workload.images < large_batch)
        table.job(text + ", warm", images, operations, 0, draw);
    else  // minutes: once is enough
        table.timed_job(text + ", warm", images, operations, seconds_of(draw));
    sampling.use_graphs(false);
    const std::vector<double> seconds = seconds_by_level(workload, table.backend().device, draw);
    for (std::size_t level = 0; level < seconds.size(); ++level)
        table.timed_job(
            fmt::format("{} of {}",
                        level < workload.config.generators() ? fmt::format("level {}", level) : "pixels",
                        text),
            images, images * operations_of(cost, level), seconds[level]);
}

void bench_training(Table& table, const FractalWorkload& workload) {
    const auto step = largest_training_step(workload, table.backend());
    table.job(fmt::format("training_step, {}, batch {}", workload.name, step->batch()),
              static_cast<double>(step->batch()), step->operations(), 0, [&] { step->run(); });
}

}  // namespace

void bench_goals(Table& table, const std::function<void()>& measured) {
    const bool smoke = table.effort().smoke;
    const Device device = table.backend().device;
    if (!smoke && (device == Device::cpu || available_memory(device) < needed_memory))
        return table.note("goals",
                          fmt::format("they need a GPU with {} GiB of free memory", needed_memory >> 30));
    const auto measure = [&](const std::string& name, const std::function<void()>& bench) {
        try {
            bench();
        } catch (const Error& error) {
            table.note(name, error.what());
        }
        measured();
    };
    measure("one picture", [&] { bench_pictures(table, fractal_workload(smoke, 1)); });
    measure("training_step", [&] { bench_training(table, fractal_workload(smoke, 1)); });
    measure("generation", [&] {
        bench_generation(
            table, smoke ? smoke_nat_workload() : preset_workload("vqgan_f16", "autonat_l", 1, 1, {1, 64}));
    });
    if (!smoke) measure("large batch", [&] { bench_pictures(table, fractal_workload(smoke, large_batch)); });
}
