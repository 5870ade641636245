// build/bench: ceilings of this machine, and the rates of each kernel, a training step and sampling as shares
// of them.
//
// Every figure is the best of several: the least disturbed run (of jobs the mean share as well). Shares are
// of two ceilings measured in the same run, the rate of a large product of two matrices and the memory's
// bandwidth (measure.h). A kernel's bytes are those its header states; if its operands fit the caches, as a
// chunk's do by design on the CPU, its rate may exceed the memory's bandwidth. Shapes: shapes.h; counts of
// operations of the training step and of sampling: model.cpp and, for the NAT pipeline, nat.cpp.
//
// Times on the emulated device (tests/emulator) are meaningless: there, --smoke only tests the benchmark.
#include <fmt/format.h>
#include <cstdio>
#include <functional>

#include "kernels/common/threads.h"
#include "runtime/base/command_line.h"
#include "runtime/base/error.h"
#include "runtime/device/backend_flags.h"
#include "runtime/device/device.h"
#include "tests/bench/formulas.h"
#include "tests/bench/latency.h"
#include "tests/bench/table.h"

namespace {

struct Options {
    BackendFlags backend;
    bool quick = false, smoke = false, formulas = false, paper = false, goals = false, ladder = false;
    std::string only, markdown;
    JobSizes jobs;
};

const Shapes& shapes_for(const Options& options, Device device) {
    if (options.smoke) return smoke_shapes();
    return device == Device::cpu ? cpu_shapes() : gpu_shapes();
}

void measure_kernels(Table& table, const KernelList& list) {
    for (const Kernel& kernel : list.kernels()) {
        try {
            table.kernel(kernel);
        } catch (const Error& error) {  // a device with less memory than most
            table.note(kernel.name + ", " + kernel.shape, error.what());
        }
    }
}

void measure_all(const Options& options, std::string_view command) {
    const Backend backend = options.backend.backend();
    const Effort effort{options.smoke ? 1 : options.quick ? 3 : 7, options.smoke};
    Table table(backend, effort, options.only);
    const bool cpu = backend.device == Device::cpu;
    const std::string threads = cpu ? fmt::format("{} threads, ", cpu::thread_count()) : "";
    fmt::print("{}, {}precision {}, best of {}\n", device_name(backend), threads,
               backend.precision == Precision::bf16 ? "bf16" : "fp32", effort.repeats);
    const Ceiling ceiling{measure_product(backend, effort), measure_bandwidth(backend, effort)};
    fmt::print("ceiling {:.1f} GFLOP/s ({}), memory {:.1f} GB/s ({})\n\n", ceiling.operations / 1e9,
               product_text(backend, effort), ceiling.bytes / 1e9, bandwidth_text(backend, effort));
    std::fflush(stdout);

    // What was measured so far, should the rest not be reached.
    const auto write = [&] {
        if (!options.markdown.empty()) table.write_markdown(options.markdown, command);
    };
    table.begin(ceiling);
    if (options.goals) return bench_goals(table, write);
    if (options.ladder) {
        bench_ladder(table);
        return write();
    }
    measure_kernels(table, all_kernels(shapes_for(options, backend.device), backend));
    bench_layernorm_steps(table);
    fmt::print("\n");
    write();
    const std::function<void()> jobs[] = {
        [&] { bench_training_step(table, options.jobs); }, [&] { bench_sampling(table); },
        [&] { bench_nat(table, options.paper); }, [&] { bench_features(table); }, [&] { bench_data(table); }};
    for (const auto& job : jobs) {
        job();
        write();
    }
}

// By formula at the GPU's shapes; needs no device.
void print_formulas(const Options& options) {
    const Precision precision = options.backend.precision == "fp32" ? Precision::fp32 : Precision::bf16;
    fmt::print("{}",
               formula_table(all_kernels(gpu_shapes(), {Device::cuda, precision}), data_sheet(precision)));
    if (precision == Precision::bf16) fmt::print("\n{}", prediction_table(predicted_goals()));
}

}  // namespace

int main(int argument_count, char** arguments) {
    flush_denormals();
    CommandLine app(
        "Measures the device's ceilings, each kernel, training steps, sampling and the data pipeline.");
    Options options;
    add_backend_flags(app, options.backend);
    app.add_flag("--quick", options.quick, "Three repeats instead of seven");
    app.add_flag("--smoke", options.smoke, "Everything once at the smallest sizes: does it run?");
    app.add_option(
        "--only", options.only,
        "Only kernels and jobs (layernorm_steps, training_step, sampling, tokenizer, tokenizer_step, "
        "nat_step, nat_forward, generation, features, packing, loading) whose name contains this");
    app.add_option("--batch", options.jobs.batch,
                   "Images of a training step (default: 32, on a GPU the power of two up to 256 that fits)")
        ->check(at_least(1));
    app.add_option(
           "--chunk-tokens", options.jobs.chunk_tokens,
           "Tokens that a level of a training step computes at once (default: the model's own, on a GPU "
           "65536)")
        ->check(at_least(1));
    app.add_flag("--paper", options.paper,
                 "The tokenizer's and the NAT's rows of vqgan_f16 and autonat_s (always so on a GPU)");
    app.add_flag(
        "--goals", options.goals,
        "Only what the stated goals are about, on a GPU with 64 GiB of free memory: fractalmar_large_in256 "
        "draws 1 and 512 pictures and is trained, autonat_l draws 1 and 64 in 8 steps; minutes");
    app.add_flag("--ladder", options.ladder,
                 "Only matmul, layernorm and attention from a naive kernel to today's, on a GPU in bf16");
    app.add_option("--markdown", options.markdown, "Also write what was measured to this file");
    app.add_flag(
        "--formulas", options.formulas,
        "Measure nothing: the bytes and operations of each kernel at a GPU's shapes, and what bounds "
        "it by an H200's data sheet; in bf16 the predicted time of whole jobs as well");
    std::string command = arguments[0];
    for (int i = 1; i < argument_count; ++i) command += fmt::format(" {}", arguments[i]);
    app.callback([&] { options.formulas ? print_formulas(options) : measure_all(options, command); });
    return run_program(app, "bench", argument_count, arguments);
}
