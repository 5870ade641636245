// build/bench: what this machine could do, and what each kernel, a training step and sampling make of it.
//
// Every figure is the best of seven: the least disturbed run. Of the shares, the first is of the ceiling, the
// rate of a product of two 2,048 x 2,048 matrices, the second of the memory's bandwidth. A kernel's bytes are
// those its header states; where its operands fit the caches, as a chunk's do on purpose, it may move them
// faster than the memory could. Which shapes: benchmarks.h; how the operations of the training step and of
// sampling are counted: model.cpp.
#include <fmt/format.h>
#include <omp.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "runtime/ceiling.h"
#include "runtime/device.h"
#include "tests/bench/benchmarks.h"

int main(int argument_count, char** arguments) {
    CLI::App app("Measures the machine's ceiling, each kernel, a training step and sampling.");
    bool quick = false;
    std::string only;
    app.add_flag("--quick", quick, "Three repeats instead of seven");
    app.add_option("--only", only,
                   "Only kernels and jobs (training_step, sampling) whose name contains this");
    CLI11_PARSE(app, argument_count, arguments);
    flush_denormals();  // as the programs do
    Table table(quick ? 3 : 7, only);

    fmt::print("{}, {} threads, best of {}\n", processor_name(), omp_get_max_threads(), table.repeats());
    const Ceiling ceiling{measure_product(table.repeats()), measure_bandwidth(table.repeats())};
    fmt::print(
        "ceiling {:.1f} GFLOP/s (product of 2048 x 2048 matrices), memory {:.1f} GB/s (triad over 3 x 64 "
        "MiB)\n\n",
        ceiling.operations / 1e9, ceiling.bytes / 1e9);
    std::fflush(stdout);

    table.begin(ceiling);
    bench_products(table);
    bench_attention(table);
    bench_elementwise(table);
    bench_rows(table);
    fmt::print("\n");
    bench_training_step(table);
    bench_sampling(table);
    return 0;
}
