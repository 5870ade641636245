// Tokenizers, trained as a user does it.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "runtime/files/safetensors.h"
#include "tests/end_to_end/killed_run.h"
#include "tests/end_to_end/test_directory.h"
#include "train/run_lock.h"

namespace {

constexpr const char* model_json = R"({"in_channels": 3, "out_ch": 3, "ch": 32, "ch_mult": [1, 1],
    "num_res_blocks": 1, "z_channels": 4, "embed_dim": 4, "n_embed": 16, "beta": 0.25})";

struct Place {
    Place() {
        work.write("model.json", model_json);
        for (const auto& [name, count] : {std::pair{"data.bin", "20"}, {"held_out.bin", "8"}})
            REQUIRE(work.run("data", {"fractals", "--out", work.path(name), "--size", "16", "--count", count})
                        .exit_code == 0);
    }
    Words training(const std::string& run, int steps, const Words& more = {}) const {
        return with_usual({"tokenizer"},
                          {{"--data", work.path("data.bin")},
                           {"--config", work.path("model.json")},
                           {"--out", work.path(run)},
                           {"--steps", std::to_string(steps)},
                           {"--batch", "2"},
                           {"--lr", "2e-3"},
                           {"--schedule", "constant"},
                           {"--warmup-steps", "1"},
                           {"--log-every", "1"},
                           {"--adversarial-start", "2"},
                           {"--adversarial-layers", "1"},
                           {"--adversarial-filters", "4"},
                           {"--revive-after", "2"},
                           {"--sheet-columns", "2"},
                           {"--device", "cpu"}},
                          more);
    }
    void train(const std::string& run, int steps, const Words& more = {}) const {
        const Outcome outcome = work.run("train", training(run, steps, more));
        REQUIRE_MESSAGE(outcome.exit_code == 0, outcome.errors);
    }
    std::string checkpoint(const std::string& run, int step) const {
        return work.path(fmt::format("{}/checkpoint-{:08}.safetensors", run, step));
    }
    void refused(const Words& arguments, const std::string& what) const {
        const auto before = work.listing();
        const Outcome outcome = work.run("train", arguments);
        CAPTURE(outcome.errors);
        CHECK(outcome.exit_code == 2);
        CHECK(is_one_line(outcome.errors));
        CHECK(outcome.errors.find(what) != std::string::npos);
        CHECK(work.listing() == before);
    }

    TestDirectory work;
};

}  // namespace

TEST_CASE_FIXTURE(Place,
                  "end to end: a tokenizer's run that stopped and one that did not end with the same bits") {
    const Words more{"--validation", work.path("held_out.bin"), "--evaluate-every", "2"};
    train("run", 4, more);  // stops in the middle of adversarial training
    train("run", 6, more);
    train("reference", 6, more);
    CHECK(differences(checkpoint("run", 6), checkpoint("reference", 6)) == "");
    CHECK(read_reproducible_log(work.at("run")) == read_reproducible_log(work.at("reference")));

    const LogTable log = read_log(work.at("run"));
    REQUIRE(log.size() == 6);
    CHECK(std::stod(log[1].at("discriminator")) == 0);
    CHECK(std::stod(log[2].at("discriminator")) > 0);
    CHECK(std::stod(log[5].at("adversarial_weight")) > 0);
    CHECK(std::stod(log[5].at("l1")) < std::stod(log[0].at("l1")));
    CHECK(std::filesystem::exists(work.at("run") / "reconstructions-00000006.png"));

    // Reconstruction from the checkpoint measures the same on the eight held-out images.
    const Outcome shown = work.run("sample", {"reconstruct", "--tokenizer", checkpoint("run", 6), "--data",
                                              work.path("held_out.bin"), "--out", work.path("shown.png")});
    REQUIRE_MESSAGE(shown.exit_code == 0, shown.errors);
    const auto logged = [&](const char* column) { return std::stod(log[5].at(column)); };
    CHECK_MESSAGE(shown.output.ends_with(fmt::format("perplexity {:.1f}, PSNR {:.2f} dB, SSIM {:.4f}\n",
                                                     logged("validation_perplexity"),
                                                     logged("validation_psnr"), logged("validation_ssim"))),
                  shown.output);
}

TEST_CASE_FIXTURE(Place,
                  "end to end: a tokenizer's run killed at any moment loses no checkpoint, nor its bits") {
    const Words more{"--validation",     work.path("held_out.bin"),
                     "--evaluate-every", "4",
                     "--save-every",     "1",
                     "--sheet-columns",  "1"};
    const std::int64_t step = survive_kills(
        {work.at("run"), work.program("train"), training("run", 100'000, more)}, number_of_kills(3, 5));
    train("run", static_cast<int>(step) + 2, more);
    train("reference", static_cast<int>(step) + 2, more);
    check_same_end(work.at("run"), work.at("reference"), step + 2);
}

TEST_CASE_FIXTURE(Place, "end to end: a tokenizer learns to reconstruct a few pictures") {
    train("run", 80,
          {"--adversarial-start", "1000", "--revive-after", "20", "--log-every", "20", "--batch", "4"});
    const LogTable log = read_log(work.at("run"));
    CHECK(std::stod(log.back().at("l1")) < 0.7 * std::stod(log.front().at("l1")));
}

TEST_CASE_FIXTURE(Place,
                  "end to end: no adversary joins a small tokenizer unasked, however long its run becomes") {
    for (const char* const steps : {"3", "6"}) {
        const Outcome outcome = work.run(
            "train", {"tokenizer", "--data", work.path("data.bin"), "--config", work.path("model.json"),
                      "--out", work.path("run"), "--steps", steps, "--batch", "2", "--schedule", "constant",
                      "--warmup-steps", "1", "--log-every", "1", "--sheet-columns", "2"});
        REQUIRE_MESSAGE(outcome.exit_code == 0, outcome.errors);
    }
    const LogTable log = read_log(work.at("run"));
    REQUIRE(log.size() == 6);
    for (const auto& row : log) CHECK(std::stod(row.at("adversarial_weight")) == 0);
}

TEST_CASE_FIXTURE(Place, "end to end: tokenizers that cannot be trained say why in one line") {
    REQUIRE(work.run("data", {"fractals", "--out", work.path("odd.bin"), "--size", "15", "--count", "4"})
                .exit_code == 0);
    const auto with = [&](const Words& more) { return training("refused", 3, more); };
    refused(with({"--validation", work.path("odd.bin")}), "odd.bin: images of size 15, expected 16");
    refused(with({"--preset", "vqgan_mini_f2"}), "expected either --preset or --config");
    refused(with({"--adversarial-layers", "9"}), "too small for 9 layers");
    refused({"tokenizer", "--data", work.path("data.bin"), "--preset", "none", "--out", work.path("refused")},
            "--preset none: no such preset");
    train("run", 2);
    {
        const RunLock lock(work.at("run"));
        const Outcome locked = work.run("train", training("run", 4));
        CHECK(locked.exit_code == 1);
        CHECK(is_one_line(locked.errors));
        CHECK(locked.errors.find("another run is writing there") != std::string::npos);
    }
    refused(training("run", 4, {"--revive-after", "7"}), "--revive-after 2, now it is 7:");
}

TEST_CASE_FIXTURE(Place, "end to end: a tokenizer starts from another one's weights") {
    train("first", 3);
    // One update at a rate of next to nothing leaves the weights where they came from.
    const Words more{"--init-from", checkpoint("first", 3), "--lr", "1e-12", "--adversarial-start",
                     "9",           "--revive-after",       "9"};
    train("second", 1, more);
    const SafetensorsFile before(checkpoint("first", 3)), after(checkpoint("second", 1));
    for (const char* name :
         {"encoder.conv_in.weight", "decoder.conv_out.bias", "quantize.embedding.weight"}) {
        CAPTURE(name);
        const auto old_values = before.floats(name), values = after.floats(name);
        REQUIRE(old_values.size() == values.size());
        float largest = 0;
        for (std::size_t i = 0; i < values.size(); ++i)
            largest = std::max(largest, std::abs(values[i] - old_values[i]));
        CHECK(largest < 1e-6f);
    }
    // The same command goes on, another file is refused.
    train("second", 1, more);
    refused(training("second", 2,
                     Words{"--lr", "1e-12", "--adversarial-start", "9", "--revive-after", "9", "--init-from",
                           checkpoint("second", 1)}),
            "--init-from " + checkpoint("second", 1));
    refused(training("first", 4, {"--init-from", checkpoint("second", 1)}), "began without it");
    const Outcome no_tokenizer =
        work.run("train", training("third", 1, {"--init-from", work.path("data.bin")}));
    CHECK(no_tokenizer.exit_code == 1);
    CHECK(is_one_line(no_tokenizer.errors));
    CHECK(no_tokenizer.errors.find("data.bin") != std::string::npos);
}
