// Runs beyond the plain one: averaged weights, a start from another model, grey and unlabelled images.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>
#include <string>

#include "runtime/files/safetensors.h"
#include "tests/end_to_end/test_directory.h"

namespace {

Words sampling(const TestDirectory& work, const std::string& run, const std::string& picture,
               const Words& more = {}) {
    return Words{"fractal", "--checkpoint",    work.path(run + "/last.safetensors"), "--count", "3",
                 "--out",   work.path(picture)} +
           more;
}

double largest_difference(std::span<const float> a, std::span<const float> b) {
    REQUIRE(a.size() == b.size());
    double largest = 0;
    for (std::size_t i = 0; i < a.size(); ++i)
        largest = std::max(largest, std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
    return largest;
}

}  // namespace

TEST_CASE("end to end: the average of the weights is kept, and drawn from unless the newest are asked for") {
    const TestDirectory work;
    work.make_config("model.json", 10);
    work.make_fractals("data.bin", 40);
    REQUIRE(work.run("train", work.training("run", 6, {"--ema", "0.75", "--save-every", "1"})).exit_code ==
            0);

    const SafetensorsFile before(work.at("run/checkpoint-00000005.safetensors")),
        after(work.at("run/checkpoint-00000006.safetensors"));
    int averages = 0;
    for (const auto& [name, entry] : after.entries()) {
        if (!name.starts_with("ema.")) continue;
        ++averages;
        const auto newest = after.floats(name.substr(4)), old_average = before.floats(name),
                   average = after.floats(name);
        std::vector<float> expected;
        for (std::size_t i = 0; i < newest.size(); ++i)
            expected.push_back(0.75f * old_average[i] + 0.25f * newest[i]);
        CHECK_MESSAGE(largest_difference(average, expected) < 1e-6, name);
    }
    CHECK(averages * 4 == static_cast<int>(after.entries().size()));

    REQUIRE(work.run("sample", sampling(work, "run", "default.png")).exit_code == 0);
    REQUIRE(work.run("sample", sampling(work, "run", "average.png", {"--weights", "average"})).exit_code ==
            0);
    REQUIRE(work.run("sample", sampling(work, "run", "newest.png", {"--weights", "newest"})).exit_code == 0);
    CHECK(read_file(work.at("default.png")) == read_file(work.at("average.png")));
    CHECK(read_file(work.at("newest.png")) != read_file(work.at("average.png")));
}

TEST_CASE("end to end: a run starts from the weights of a model with another number of classes") {
    const TestDirectory work;
    work.make_config("model.json", 10);
    work.make_fractals("data.bin", 40);
    REQUIRE(work.run("train", work.training("run", 8)).exit_code == 0);

    for (const char* name : {"one", "two", "three"})
        REQUIRE(work.run("sample", {"fractal", "--checkpoint", work.path("run/last.safetensors"), "--count",
                                    "5", "--each", work.path(fmt::format("pictures/{}", name)), "--seed",
                                    std::to_string(name[1])})
                    .exit_code == 0);
    const Outcome packing = work.run(
        "data", {"pack", "--images", work.path("pictures"), "--size", "8", "--out", work.path("three.bin")});
    REQUIRE(packing.exit_code == 0);
    work.make_config("three.json", 3);

    // So small a step moves no weight by more than 1e-9.
    const Words words{"--config",       work.path("three.json"),
                      "--data",         work.path("three.bin"),
                      "--lr",           "1e-10",
                      "--warmup-steps", "0",
                      "--init-from",    work.path("run/last.safetensors")};
    const Outcome outcome = work.run("train", work.training("continued", 1, words));
    CHECK(outcome.errors == "");
    REQUIRE(outcome.exit_code == 0);
    const SafetensorsFile old_file(work.at("run/last.safetensors")),
        new_file(work.at("continued/last.safetensors"));
    CHECK(new_file.entry("class_emb.weight").shape == std::vector<std::int64_t>{3, 16});
    for (const auto& [name, entry] : new_file.entries()) {
        if (name == "class_emb.weight" || name.starts_with("optimizer.")) continue;
        CHECK_MESSAGE(largest_difference(new_file.floats(name), old_file.floats(name)) < 1e-9, name);
    }

    overwrite(work.at("narrow.json"),
              R"({"img_size_list": [8, 4, 1], "embed_dim_list": [16, 8, 16], "num_blocks_list": [1, 1, 1],
        "num_heads_list": [2, 2, 2], "generator_type_list": ["ar", "ar", "ar"], "class_num": 10})");
    const Outcome misfit =
        work.run("train", work.training("misfit", 1,
                                        {"--config", work.path("narrow.json"), "--init-from",
                                         work.path("run/last.safetensors")}));
    CHECK(misfit.exit_code == 1);
    CHECK(is_one_line(misfit.errors));
    CHECK(misfit.errors.find("next_fractal.generator.") != std::string::npos);
}

TEST_CASE("end to end: grey pictures without labels are packed, trained on, drawn and measured") {
    const TestDirectory work;
    work.make_config("model.json", 10);
    work.make_fractals("data.bin", 40);
    REQUIRE(work.run("train", work.training("coloured", 1)).exit_code == 0);
    REQUIRE(work.run("sample", {"fractal", "--checkpoint", work.path("coloured/last.safetensors"), "--count",
                                "9", "--each", work.path("pictures")})
                .exit_code == 0);
    const Outcome packing = work.run("data", {"pack", "--images", work.path("pictures"), "--size", "8",
                                              "--grey", "--out", work.path("grey.bin")});
    REQUIRE(packing.exit_code == 0);

    work.make_config("grey.json", 0, 1);
    const Outcome training =
        work.run("train", work.training("run", 5,
                                        {"--config", work.path("grey.json"), "--data", work.path("grey.bin"),
                                         "--validation", work.path("grey.bin")}));
    REQUIRE(training.exit_code == 0);
    CHECK(training.errors.empty());

    const Outcome info = work.run("sample", {"info", work.path("run/last.safetensors")});
    CHECK(info.output.find("1 channel,") != std::string::npos);
    CHECK(info.output.find("unlabelled") != std::string::npos);
    REQUIRE(work.run("sample", sampling(work, "run", "sheet.png")).exit_code == 0);
    const Outcome guided = work.run("sample", sampling(work, "run", "guided.png", {"--cfg", "2"}));
    CHECK(guided.exit_code == 2);
    CHECK(guided.errors.find("--cfg 2") != std::string::npos);
    CHECK(work.run("sample", sampling(work, "run", "guided.png", {"--classes", "0"})).exit_code == 2);
    CHECK_FALSE(std::filesystem::exists(work.at("guided.png")));

    const Outcome measured =
        work.run("sample", {"evaluate", "nll", "--checkpoint", work.path("run/last.safetensors"), "--data",
                            work.path("grey.bin")});
    REQUIRE(measured.exit_code == 0);
    CHECK(std::stod(measured.output) ==
          doctest::Approx(std::stod(read_log(work.at("run")).back().at("validation_bits_per_dim")))
              .epsilon(1e-4));
}
