// A tokenizer trained with a perceptual loss, as a user does it.
#include <doctest/doctest.h>

#include <cstdlib>
#include <string>

#include "models/nat/perceptual.h"
#include "models/nat/tokenizer_config.h"
#include "runtime/checkpoint/checkpoint.h"
#include "tests/end_to_end/test_directory.h"

namespace {

constexpr VggWidths widths{{4, 4, 4, 4, 4}};

// 16 x 16 fractals in data.bin, a small tokenizer in model.json, random weights of a small VGG16 and of LPIPS
// in vgg and lin.
struct PerceptualPlace {
    PerceptualPlace() {
        TokenizerConfig config;
        config.ch = 32;
        config.ch_mult = {1, 1};
        config.num_res_blocks = 1;
        config.z_channels = config.embed_dim = 8;
        config.n_embed = 20;
        work.write("model.json", to_json(config));
        write_weights("vgg", 1, "features.");
        write_weights("other", 2, "features.");
        write_weights("lin", 1, "lin");
        REQUIRE(
            work.run("data", {"fractals", "--out", work.path("data.bin"), "--size", "16", "--count", "12"})
                .exit_code == 0);
    }
    void write_weights(std::string_view name, std::uint64_t seed, std::string_view prefix) const {
        PerceptualLoss random(widths, Device::cpu);
        random.parameters().initialize(seed);
        CheckpointWriter writer;
        for (const Parameter& parameter : random.parameters().all())
            if (parameter.name.starts_with(prefix))
                writer.add(parameter.name, parameter.shape, parameter.value, Device::cpu);
        writer.write(work.at(name));
    }
    // Arguments that train into RUN.
    Words training(std::string_view run, int steps, const Words& more) const {
        return Words{"tokenizer",
                     "--data",
                     work.path("data.bin"),
                     "--config",
                     work.path("model.json"),
                     "--out",
                     work.path(run),
                     "--steps",
                     std::to_string(steps),
                     "--batch",
                     "2",
                     "--schedule",
                     "constant",
                     "--log-every",
                     "1",
                     "--sheet-rows",
                     "1",
                     "--adversarial-start",
                     "2",
                     "--adversarial-layers",
                     "1",
                     "--adversarial-filters",
                     "4"} +
               more;
    }
    std::string weights(const char* vgg = "vgg") const { return work.path(vgg) + "," + work.path("lin"); }

    TestDirectory work;
};

double number(const std::map<std::string, std::string>& row, const char* column) {
    return std::strtod(row.at(column).c_str(), nullptr);
}

}  // namespace

TEST_CASE_FIXTURE(PerceptualPlace, "end to end: a tokenizer trained with a perceptual loss, and resumed") {
    const Words with = {"--perceptual", weights(), "--perceptual-weight", "0.5"};
    const Outcome outcome = work.run("train", training("whole", 3, with));
    CAPTURE(outcome.errors);
    REQUIRE(outcome.exit_code == 0);
    CHECK(outcome.output.find("perceptual") != std::string::npos);
    const LogTable log = read_log(work.at("whole"));
    REQUIRE(log.size() == 3);
    for (const auto& row : log) {
        CHECK(number(row, "perceptual") > 0);
        CHECK(number(row, "loss") ==
              doctest::Approx(number(row, "l1") + 0.5 * number(row, "perceptual") + number(row, "quantiser"))
                  .epsilon(1e-4));
    }
    CHECK(number(log[2], "adversarial_weight") > 0);

    REQUIRE(work.run("train", training("parts", 2, with)).exit_code == 0);
    struct Refusal {
        Words flags;
        std::string named;
    };
    for (const Refusal& refusal : std::vector<Refusal>{
             {{}, "without it"},
             {{"--perceptual", weights("other"), "--perceptual-weight", "0.5"}, "other weights"},
             {{"--perceptual", weights()}, "--perceptual-weight"}}) {
        const Outcome refused = work.run("train", training("parts", 3, refusal.flags));
        CHECK(refused.exit_code == 2);
        CHECK(is_one_line(refused.errors));
        CHECK_MESSAGE(refused.errors.find(refusal.named) != std::string::npos, refused.errors);
    }
    REQUIRE(work.run("train", training("parts", 3, with)).exit_code == 0);
    CHECK(differences(work.at("whole/last.safetensors"), work.at("parts/last.safetensors")) == "");

    REQUIRE(work.run("train", training("plain", 2, {})).exit_code == 0);
    CHECK_FALSE(read_log(work.at("plain")).front().contains("perceptual"));
    const Outcome late = work.run("train", training("plain", 3, with));
    CHECK(late.exit_code == 2);
    CHECK(is_one_line(late.errors));
}

TEST_CASE_FIXTURE(PerceptualPlace, "end to end: what a perceptual loss cannot take is refused in one line") {
    REQUIRE(work.run("data", {"fractals", "--out", work.path("small.bin"), "--size", "8", "--count", "2"})
                .exit_code == 0);
    struct Refusal {
        Words flags;
        int exit_code;
        Words named;
    };
    for (const Refusal& refusal : std::vector<Refusal>{
             {{"--perceptual", work.path("vgg")}, 1, {work.path("vgg"), "lin0.model.1.weight"}},
             {{"--perceptual", work.path("lin")}, 1, {work.path("lin"), "features.0.weight"}},
             {{"--perceptual", work.path("none")}, 1, {work.path("none")}},
             {{"--perceptual", work.path("data.bin")}, 1, {work.path("data.bin")}},
             {{"--perceptual", weights(), "--perceptual-weight", "0"}, 2, {"--perceptual-weight"}},
             {{"--perceptual", weights(), "--data", work.path("small.bin")}, 2, {"small.bin", "16 x 16"}}}) {
        Words arguments = training("run", 2, {});
        for (std::size_t i = 0; i < refusal.flags.size(); i += 2)
            if (refusal.flags[i] == "--data")
                arguments[2] = refusal.flags[i + 1];
            else
                arguments = arguments + Words{refusal.flags[i], refusal.flags[i + 1]};
        const Outcome outcome = work.run("train", arguments);
        CAPTURE(outcome.errors);
        CHECK(outcome.exit_code == refusal.exit_code);
        CHECK(is_one_line(outcome.errors));
        for (const std::string& name : refusal.named)
            CHECK_MESSAGE(outcome.errors.find(name) != std::string::npos, name);
    }
}
