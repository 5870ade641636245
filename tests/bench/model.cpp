// A whole training step and whole images, against the ceiling. Operations are counted by
// models/fractal/cost.h for the arithmetic that the mathematics needs. Recomputation, norms, activations,
// softmax and the optimizer are not counted: they lower the share of the ceiling.
#include <fmt/format.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/error.h"
#include "tests/bench/fractal_workload.h"
#include "tests/bench/table.h"

namespace {

// On the CPU three levels, so that every part of the recursion is there; 6.2 million parameters. On the GPU
// the paper's models of 64x64 images, in chunks that fill it.
FractalWorkload workload_of(const Table& table, const std::string& type) {
    const std::int64_t num_conds = type == "mar" ? 5 : 1;
    const auto three_levels = [&](std::vector<std::int64_t> sizes, std::vector<std::int64_t> widths,
                                  std::vector<std::int64_t> blocks, std::vector<std::int64_t> heads) {
        return FractalConfig{sizes, widths, blocks, heads, {type, type, "ar"}, num_conds, false, 10, 3};
    };
    if (table.effort().smoke)
        return {type, three_levels({4, 2, 1}, {16, 16, 16}, {1, 1, 1}, {2, 2, 2}), 2, 2, 0, {2, 2}};
    if (table.backend().device == Device::cpu)
        return {type, three_levels({32, 4, 1}, {256, 128, 64}, {6, 3, 2}, {8, 4, 2}), 32, 16, 0, {16, 8}};
    const std::string name = fmt::format("fractal{}_in64", type);
    const FractalConfig& config = fractal_preset(name).config;
    return {name, config, 256, 256, 65536, recommended_iterations(config)};
}

}  // namespace

void bench_training_step(Table& table, const JobSizes& sizes) {
    if (!table.wants("training_step")) return;
    for (const std::string type : {"ar", "mar"}) {
        FractalWorkload workload = workload_of(table, type);
        if (sizes.batch != 0) workload.batch = sizes.batch;
        if (sizes.chunk_tokens != 0) workload.chunk_tokens = sizes.chunk_tokens;
        try {
            const auto step = largest_training_step(workload, table.backend());
            table.job(fmt::format("training_step, {}, batch {}", workload.name, step->batch()),
                      static_cast<double>(step->batch()), step->operations(), 0.70, [&] { step->run(); });
        } catch (const Error& error) {
            table.note("training_step, " + workload.name, error.what());
        }
    }
}

void bench_sampling(Table& table) {
    if (!table.wants("sampling")) return;
    for (const std::string type : {"ar", "mar"}) {
        const FractalWorkload workload = workload_of(table, type);
        const auto images = static_cast<double>(workload.images);
        try {
            FractalSampling sampling(workload, table.backend());
            const auto measured = [&](std::string_view how) {
                table.job(fmt::format("{}{}", workload.sampling_text(), how), images,
                          images * workload.cost().sum(&NetworkCost::sampling), 0.40,
                          [&] { sampling.run(); });
            };
            measured("");
            if (table.backend().device == Device::cpu) continue;
            sampling.use_graphs(false);
            measured(", without graphs");
        } catch (const Error& error) {
            table.note("sampling, " + workload.name, error.what());
        }
    }
}
