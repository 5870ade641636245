// From drawing data to describing the trained model, as a first-time user goes through it.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "data/images/image_file.h"
#include "tests/end_to_end/test_directory.h"

namespace {

// A run of six steps with a validation set, checkpoints at 2, 4 and 6 (of which two are kept) and evaluations
// at 3 and 6.
struct ShortRun {
    ShortRun() {
        work.make_config("model.json", 10);
        work.make_fractals("data.bin", 40);
        work.make_fractals("holdout.bin", 23, 1000);
        training =
            work.run("train", work.training("run", 6,
                                            {"--validation", work.path("holdout.bin"), "--evaluate-every",
                                             "3", "--save-every", "2", "--keep", "2"}));
    }

    TestDirectory work;
    Outcome training;
};

nlohmann::json likelihood_of(const TestDirectory& work, const Words& more = {}) {
    const Outcome outcome =
        work.run("sample", Words{"evaluate", "nll", "--checkpoint", work.path("run/last.safetensors"),
                                 "--data", work.path("holdout.bin"), "--json"} +
                               more);
    REQUIRE(outcome.exit_code == 0);
    REQUIRE(is_one_line(outcome.output));
    return nlohmann::json::parse(outcome.output);
}

}  // namespace

TEST_CASE_FIXTURE(ShortRun, "end to end: a run leaves its log, configuration, sheets and checkpoints") {
    REQUIRE(training.exit_code == 0);
    CHECK(training.errors.empty());
    CHECK(training.output.find("step 6/6") != std::string::npos);

    std::set<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(work.at("run")))
        names.insert(entry.path().filename().string());
    std::erase_if(names, [](const std::string& name) { return name.starts_with("events.out.tfevents."); });
    CHECK(names == std::set<std::string>{"best.safetensors", "checkpoint-00000004.safetensors",
                                         "checkpoint-00000006.safetensors", "config.json", "curves.png",
                                         "last.safetensors", "log.csv", "samples-00000003.png",
                                         "samples-00000006.png"});
    CHECK(std::filesystem::read_symlink(work.at("run/last.safetensors")) ==
          "checkpoint-00000006.safetensors");

    const LogTable log = read_log(work.at("run"));
    REQUIRE(log.size() == 6);
    for (std::size_t i = 0; i < log.size(); ++i) {
        CHECK(log[i].at("step") == std::to_string(i + 1));
        CHECK(log[i].at("validation_bits_per_dim").empty() == ((i + 1) % 3 != 0));
        // 8 bits for 256 values, whose probabilities are nearly equal after a few updates.
        CHECK(std::stod(log[i].at("bits_per_dim")) == doctest::Approx(8).epsilon(0.1));
    }

    const auto config = nlohmann::json::parse(read_file(work.at("run/config.json")));
    CHECK(config["model"]["img_size_list"] == nlohmann::json{8, 4, 1});
    CHECK(config["training"]["steps"] == 6);
    CHECK(config["training"]["flip"] == true);
    CHECK(config["data"]["images"] == 40);

    // One picture of 8 x 8, eight times enlarged, with a margin of two pixels.
    const Image sheet = read_image(work.at("run/samples-00000006.png"), 3);
    CHECK(sheet.width == 68);
    CHECK(sheet.height == 68);
}

TEST_CASE_FIXTURE(ShortRun, "end to end: the likelihood is the one that training logged") {
    const auto likelihood = likelihood_of(work);
    const LogTable log = read_log(work.at("run"));
    const double bits = likelihood["bits_per_dim"];
    CHECK(bits == doctest::Approx(std::stod(log[5].at("validation_bits_per_dim"))).epsilon(1e-6));
    CHECK(likelihood["images"] == 23);
    CHECK(likelihood["condition"] == "unconditional");
    const std::vector<double> channels = likelihood["channels"];
    CHECK((channels.at(0) + channels.at(1) + channels.at(2)) / 3 == doctest::Approx(bits).epsilon(1e-12));

    const Outcome sentence =
        work.run("sample", {"evaluate", "nll", "--checkpoint", work.path("run/last.safetensors"), "--data",
                            work.path("holdout.bin")});
    CHECK(sentence.exit_code == 0);
    CHECK(sentence.output.starts_with(
        fmt::format("{:.4f} bits/dim, unconditional, exact, over 23 images", bits)));

    CHECK(likelihood_of(work, {"--batch", "5"})["bits_per_dim"].get<double>() ==
          doctest::Approx(bits).epsilon(1e-6));
    CHECK(likelihood_of(work, {"--images", "7"})["images"] == 7);
    const auto conditional = likelihood_of(work, {"--conditional"});
    CHECK(conditional["condition"] == "given the class");
    CHECK(std::abs(conditional["bits_per_dim"].get<double>() - bits) > 1e-6);
}

TEST_CASE_FIXTURE(ShortRun, "end to end: best.safetensors is the checkpoint with the lowest validation") {
    const LogTable log = read_log(work.at("run"));
    const double third = std::stod(log[2].at("validation_bits_per_dim")),
                 sixth = std::stod(log[5].at("validation_bits_per_dim"));
    const Outcome best = work.run("sample", {"info", work.path("run/best.safetensors")});
    REQUIRE(best.exit_code == 0);
    CHECK(best.output.find(third < sixth ? ", 3 updates" : ", 6 updates") != std::string::npos);
    const auto at = best.output.find("validation_bits_per_dim: ");
    REQUIRE(at != std::string::npos);
    CHECK(std::stod(best.output.substr(at + 25)) == doctest::Approx(std::min(third, sixth)).epsilon(1e-6));
    CHECK(best.output.find("the optimizer's state") == std::string::npos);
}

TEST_CASE_FIXTURE(ShortRun, "end to end: info describes a checkpoint") {
    const Outcome info = work.run("sample", {"info", work.path("run/last.safetensors")});
    REQUIRE(info.exit_code == 0);
    CHECK(info.errors.empty());
    for (const char* text : {"8x8 images", "3 channels", "6 updates", "level 0: ar, 4 tokens of 4x4 pixels",
                             "10 classes: 0 mandelbrot", "the optimizer's state", "\"batch\":4"})
        CHECK_MESSAGE(info.output.find(text) != std::string::npos, text);
}

TEST_CASE("end to end: the plan of a run needs neither data nor a folder and leaves nothing behind") {
    const TestDirectory work;
    work.make_config("model.json", 10);
    const auto before = work.listing();
    const Outcome small = work.run("train", {"fractal", "--config", work.path("model.json"), "--plan"});
    CHECK(small.exit_code == 0);
    CHECK(small.output.find("together") != std::string::npos);
    // The paper's model would need 11 GiB: planning it takes none of that.
    const Outcome large =
        work.run("train", {"fractal", "--preset", "fractalar_in64", "--plan", "--out", work.path("run")});
    CHECK(large.exit_code == 0);
    CHECK(large.output.find("442068224") != std::string::npos);
    CHECK(work.listing() == before);
}

TEST_CASE("end to end: of a flag that is given twice the last counts, of a list all of its words") {
    const TestDirectory work;
    work.make_config("model.json", 10);
    work.make_fractals("data.bin", 20);
    const Outcome training =
        work.run("train", work.training("run", 9, {"--keep", "1"}) + Words{"--steps", "2"});
    REQUIRE_MESSAGE(training.exit_code == 0, training.errors);
    CHECK(training.output.find("step 2/2") != std::string::npos);
    const Outcome sampling =
        work.run("sample", {"fractal", "--checkpoint", work.path("run/last.safetensors"), "--classes", "3,1",
                            "--classes", "2", "--count", "4", "--count", "3", "--each", work.path("each")});
    REQUIRE_MESSAGE(sampling.exit_code == 0, sampling.errors);
    for (const std::string name : {"000000-class-3.png", "000001-class-1.png", "000002-class-2.png"})
        CHECK(std::filesystem::exists(work.at("each") / name));
    CHECK_FALSE(std::filesystem::exists(work.at("each/000003-class-3.png")));
}

TEST_CASE("end to end: two batches of 4 make the update that one batch of 8 makes") {
    const TestDirectory work;
    work.make_config("model.json", 10);
    work.make_fractals("data.bin", 40);
    REQUIRE(work.run("train", work.training("large", 3, {"--batch", "8"})).exit_code == 0);
    REQUIRE(work.run("train", work.training("accumulated", 3, {"--accumulation", "2"})).exit_code == 0);
    const LogTable large = read_log(work.at("large")), accumulated = read_log(work.at("accumulated"));
    REQUIRE(large.size() == 3);
    REQUIRE(accumulated.size() == 3);
    for (std::size_t i = 0; i < large.size(); ++i)
        for (const char* column : {"loss", "bits_per_dim", "gradient_norm"})
            CHECK_MESSAGE(std::stod(accumulated[i].at(column)) ==
                              doctest::Approx(std::stod(large[i].at(column))).epsilon(1e-5),
                          column, " in row ", i);
    CHECK(large[0].at("loss") != large[1].at("loss"));
}

// The loader lists what a program is linked with, instead of starting it.
TEST_CASE("end to end: programs start without BLAS, whose loading would take half of the time") {
    const TestDirectory work;
    for (const char* const program : {"train", "sample", "data"}) {
        const Outcome listed =
            Command("/usr/bin/env", {"LD_TRACE_LOADED_OBJECTS=1", work.program(program).string()}).finish();
        CHECK(listed.output.find("libdnnl") != std::string::npos);
        CHECK(listed.output.find("blas") == std::string::npos);
        CHECK(listed.output.find("lapack") == std::string::npos);
    }
}
