// The benchmark: every kernel and job of it runs, and the table of tests/bench/README.md is the one it prints.
#include <doctest/doctest.h>

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <utility>

#include "kernels/linear/matmul_bf16.h"
#include "tests/end_to_end/test_directory.h"
#include "tests/test_devices.h"

namespace {

std::int64_t lines_with(const std::string& text, std::string_view part) {
    std::int64_t count = 0;
    for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
    return count;
}

// What the goals are stated in: "| **job, 1 at once** | kernels | 337 GB | 54.5 TFLOP | 755 ms |".
void check_goals(const std::string& predictions) {
    struct Goal {
        const char* job;
        int kernels, milliseconds;  // per picture
    };
    for (const Goal& goal : {Goal{"fractalmar_large_in256, 1 at once", 141'800, 800},
                             Goal{"fractalmar_large_in256, 512 at once", 1'370, 160},
                             Goal{"autonat_l, 8 steps, 1 at once", 2'360, 10}}) {
        CAPTURE(goal.job);
        const std::string name = fmt::format("| **{}** | ", goal.job);
        const std::size_t line = predictions.find(name);
        REQUIRE(line != std::string::npos);
        int kernels = 0;
        double bytes = 0, operations = 0, milliseconds = 0;
        REQUIRE(std::sscanf(predictions.c_str() + line + name.size(), "%d | %lf GB | %lf TFLOP | %lf ms",
                            &kernels, &bytes, &operations, &milliseconds) == 4);
        CHECK(kernels <= goal.kernels);
        CHECK(milliseconds <= goal.milliseconds);
    }
}

}  // namespace

DEVICE_TEST("bench: every kernel and job runs once, and what was measured becomes a page") {
    const TestDirectory work;
    for (const std::string precision : {"fp32", "bf16"}) {
        if (precision == "bf16" && device == Device::cpu && cpu::bf16_unit() == cpu::Bf16Unit::none) continue;
        const Outcome outcome =
            work.run("bench", {"--smoke", "--device", device == Device::cpu ? "cpu" : "cuda", "--precision",
                               precision, "--markdown", work.path("results.md")});
        CAPTURE(precision);
        CAPTURE(outcome.output);
        CAPTURE(outcome.errors);
        REQUIRE(outcome.exit_code == 0);
        CHECK(outcome.errors.empty());
        CHECK(outcome.output.find("not measured") == std::string::npos);
        for (const std::string name :
             {"linear_forward", "attention_backward", "pixel_sample", "adamw_update", "training_step, ar",
              "training_step, mar", "conv2d_backward_weight", "groupnorm_backward", "token_draw",
              "tokenizer, smoke, decode", "tokenizer_step", "nat_step", "nat_forward", "generation of 2",
              "features, features_32", "packing", "loading"})
            CHECK(outcome.output.find("\n" + name) != std::string::npos);
        CHECK(lines_with(outcome.output, "\nlayernorm_steps, naive ") == (device == Device::cpu ? 2 : 0));
        const std::string page = read_file(work.at("results.md"));
        CHECK(page.find("bench --smoke --device ") != std::string::npos);
        CHECK(lines_with(page, "\n| adamw_update |") == 1);
        // with graphs and without
        CHECK(lines_with(page, "\n| sampling of ") == (device == Device::cpu ? 2 : 4));
    }
}

DEVICE_TEST("bench: the goals' rows run, of models of the same structure") {
    const TestDirectory work;
    const Outcome outcome =
        work.run("bench", {"--goals", "--smoke", "--device", device == Device::cpu ? "cpu" : "cuda",
                           "--markdown", work.path("goals.md")});
    CAPTURE(outcome.output);
    CAPTURE(outcome.errors);
    REQUIRE(outcome.exit_code == 0);
    CHECK(outcome.output.find("not measured") == std::string::npos);
    const std::string page = read_file(work.at("goals.md"));
    for (const auto& [before, after] : {std::pair{"", ", cold"},
                                        {"", ", warm"},
                                        {"level 0 of ", ""},
                                        {"level 1 of ", ""},
                                        {"pixels of ", ""}})
        CHECK(lines_with(page, fmt::format("\n| {}sampling of 1 images, smoke, cfg 3, iters 2,1{} | ", before,
                                           after)) == 1);
    CHECK(lines_with(page, "\n| training_step, smoke, batch 2 | ") == 1);
    CHECK(lines_with(page, "\n| generation of 2, smoke, 8 steps, guided") == 1);
}

TEST_CASE("bench: the goals are not measured without a large GPU") {
    const Outcome outcome = TestDirectory().run("bench", {"--goals", "--quick"});
    CHECK(outcome.exit_code == 0);
    CHECK(outcome.output.ends_with("goals: not measured: they need a GPU with 64 GiB of free memory\n"));
}

DEVICE_TEST("bench: the ladder has a row for each rung, on a GPU") {
    const TestDirectory work;
    const bool cpu = device == Device::cpu;
    const Outcome outcome = work.run("bench", {"--ladder", "--smoke", "--device", cpu ? "cpu" : "cuda",
                                               "--precision", cpu ? "fp32" : "bf16"});
    CAPTURE(outcome.output);
    REQUIRE(outcome.exit_code == 0);
    CHECK(outcome.output.ends_with("ladder: not measured: its kernels need a GPU\n") == cpu);
    for (const auto& [operation, rungs] : {std::pair{"matmul", 7}, {"layernorm", 5}, {"attention", 5}})
        for (int rung = 1; rung <= rungs; ++rung)
            CHECK(lines_with(outcome.output, fmt::format("\n{} {} ", operation, rung)) == (cpu ? 0 : 1));
}

TEST_CASE("bench: the tables of its README are what the program prints, and predictions keep to the goals") {
    const TestDirectory work;
    const Outcome outcome = work.run("bench", {"--formulas"});
    REQUIRE(outcome.exit_code == 0);
    CHECK(lines_with(outcome.output, "\n") > 50);
    CHECK(lines_with(outcome.output, "\n| **") == 3);
    check_goals(outcome.output);
    const std::string readme = read_file("tests/bench/README.md");
    INFO("put the tables of build/bench --formulas into tests/bench/README.md");
    const std::size_t second = outcome.output.find("\n\n");
    REQUIRE(second != std::string::npos);
    CHECK(readme.find("\n\n" + outcome.output.substr(0, second + 1) + "\n") != std::string::npos);
    // A build with the CUDA backend counts the packed weights of its kernels, the README's build those of the CPU.
    if (!has_cuda_backend())
        CHECK(readme.find("\n\n" + outcome.output.substr(second + 2) + "\n") != std::string::npos);
}

TEST_CASE("bench: wrong arguments are refused in one line") {
    const TestDirectory work;
    const Outcome outcome = work.run("bench", {"--device", "abacus"});
    CHECK(outcome.exit_code == 2);
    CHECK(lines_with(outcome.errors, "\n") == 1);
}
