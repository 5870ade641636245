// What is predicted of a job is counted without a GPU; here, the same job runs on the emulated one.
#include <doctest/doctest.h>

#include "tests/bench/latency.h"
#include "tests/emulator/calls.h"
#include "tests/unit/models/device_model.h"

namespace {

// The kernels that `job` runs after its begin(), without the fill of each new allocation.
template <class Job>
std::int64_t kernels_run(Job job) {
    const HostAccessAllowed open;
    const auto so_far = [] { return emulator::calls().nodes - emulator::calls().allocations; };
    std::int64_t before = 0;
    job([&] { before = so_far(); });
    return so_far() - before;
}

template <class Job>
void check_same_kernels(Job job) {
    const PredictedJob predicted = predict("test", 1, job);
    CHECK(predicted.total().kernels == kernels_run(job));
    CHECK(predicted.total().kernels > 100);
}

}  // namespace

TEST_CASE("work count: the kernels of a fractal picture are those that the device runs") {
    FractalConfig config = random_fractal::make_config({8, 4, 2, 1}, 3, 5);
    config.embed_dim_list = {32, 32, 16, 16};
    for (const std::string kind : {"mar", "ar"}) {
        CAPTURE(kind);
        const FractalConfig each =
            random_fractal::with_types(config, {kind, kind, kind, "ar"}, 5, kind == "mar");
        check_same_kernels([&](const Begin& begin) { draw_fractals(each, {3, 2, 2}, 2, begin); });
    }
}

TEST_CASE("work count: the kernels of a picture of tokens are those that the device runs") {
    NatConfig config;
    config.img_size = 4;
    config.codebook_size = 16;
    config.embed_dim = 32;
    config.depth = 2;
    config.num_heads = 2;
    config.num_classes = 5;
    config.validate("test");
    const TokenizerConfig tokenizer{3, 3, 32, {1, 2}, 1, 32, 32, 16, 0.25};
    check_same_kernels([&](const Begin& begin) { draw_tokens(config, tokenizer, 3, 1, begin); });
}
