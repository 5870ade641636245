// Images of build/sample nat with a tiny random transformer and tokenizer: reproducible, independent of the
// batch, by any strategy; mismatched models are refused.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>

#include "data/images/image_file.h"
#include "data/records/tokens.h"
#include "models/nat/checkpoint.h"
#include "models/nat/strategy_heuristics.h"
#include "models/nat/tokenizer_checkpoint.h"
#include "tests/end_to_end/random_nat.h"
#include "tests/test_devices.h"

namespace {

struct RandomModels : RandomNat {
    RandomModels() {
        const std::uint32_t fingerprint = write_tokenizer("tokenizer.safetensors", 3, 16);
        write_tokenizer("other.safetensors", 4, 16);
        write_tokenizer("larger.safetensors", 3, 32);
        write_transformer("codes.safetensors", codes + 1, fingerprint);
    }

    Words sampling(const Words& more, const std::string& checkpoint = "nat",
                   const std::string& tokenizer = "tokenizer") const {
        return Words{"nat", "--checkpoint", work.path(checkpoint + ".safetensors"), "--tokenizer",
                     work.path(tokenizer + ".safetensors")} +
               more;
    }

    // Five images one after the other, as the PNG files hold them.
    std::string draw(const std::string& name, const Words& more = {}) const {
        const Outcome outcome = work.run(
            "sample", sampling(Words{"--each", work.path(name), "--count", "5", "--steps", "3"} + more));
        CAPTURE(outcome.errors);
        REQUIRE(outcome.exit_code == 0);
        std::string bytes;
        for (int i = 0; i < 5; ++i)
            bytes += read_file(work.at(name) / fmt::format("{:06}-class-{}.png", i, i % 3));
        return bytes;
    }

    void check_refused(const Words& words, int exit_code, const Words& named) const {
        const auto before = work.listing();
        const Outcome outcome = work.run("sample", words);
        CAPTURE(outcome.errors);
        CHECK(outcome.exit_code == exit_code);
        CHECK(is_one_line(outcome.errors));
        for (const std::string& each : named)
            CHECK_MESSAGE(outcome.errors.find(each) != std::string::npos, each);
        CHECK(work.listing() == before);
    }
};

}  // namespace

TEST_CASE_FIXTURE(RandomModels,
                  "end to end: a masked-token transformer's images depend on seed and number alone") {
    const std::string images = draw("a");
    CHECK(draw("b") == images);
    CHECK(draw("c", {"--batch", "2"}) == images);
    CHECK(draw("d", {"--seed", "1"}) != images);
    const std::string guided = draw("e", {"--cfg-max", "20"});
    CHECK(guided != images);
    CHECK(draw("f", {"--cfg-max", "0", "--batch", "1"}) != guided);
    if (has_cuda_backend()) CHECK(draw("g", {"--device", "cuda"}) == draw("h", {"--device", "cuda"}));
}

TEST_CASE_FIXTURE(RandomModels, "end to end: a strategy from a file, a sheet, classes by name, a trace") {
    work.write("ours.json", to_json(named_strategy("cosine", 3, 1)));
    work.write("published.yaml",
               "manual_ratios: [0.9, 0.4]\nmanual_temp: [1, 0.5]\nmanual_samp_temp: [1, 1, 1]\n"
               "manual_cfg: [0, 0.5, 1]\n");
    const std::string images = draw("a");
    CHECK(draw("b", {"--strategy", work.path("ours.json")}) == images);
    CHECK(draw("c", {"--strategy", work.path("published.yaml")}) != images);
    CHECK(draw("m", {"--strategy", "maskgit"}) == images);
    CHECK(draw("h", {"--strategy", "halton"}) != images);
    const Outcome outcome = work.run(
        "sample", sampling({"--classes", "fox,0", "--count", "4", "--out", work.path("sheet.png"), "--trace",
                            work.path("trace"), "--strategy", work.path("published.yaml")}));
    CAPTURE(outcome.errors);
    REQUIRE(outcome.exit_code == 0);
    CHECK(outcome.output.starts_with("4 images in 3 steps, "));
    const Image sheet = read_image(work.at("sheet.png"), 3);
    CHECK(sheet.width == 2 + 2 * 66);
    CHECK(sheet.height == 2 + 2 * 66);
    // All grey, two steps, and the result, which is the sheet.
    CHECK(read_image(work.at("trace/0000.png"), 3).pixels[3 * (3 * 134 + 3)] == 128);
    CHECK(read_file(work.at("trace/0003.png")) == read_file(work.at("sheet.png")));
    CHECK(!std::filesystem::exists(work.at("trace/0004.png")));
    CHECK(std::filesystem::exists(work.at("trace/trace.webp")));
}

TEST_CASE("end to end: the schedules of a strategy as a table, as JSON, as a picture") {
    const TestDirectory work;
    const std::string eight = "models/nat/autonat_l_8.json";
    const auto run = [&](const Words& more) { return work.run("sample", Words{"strategy"} + more); };
    const Outcome table = run({eight});
    CHECK(table.exit_code == 0);
    CHECK(table.output.starts_with(eight + ": 8 steps, 16x16 tokens\n"));
    CHECK(table.output.find(
              "   1            12           244    0.9532        2.4049        2.8999        0.0001\n") !=
          std::string::npos);
    CHECK(table.output.find(
              "   8            66             0         -             -        0.7133        1.2268\n") !=
          std::string::npos);
    const Outcome json = run({"halton", "--steps", "4", "--side", "8", "--cfg-max", "1.5", "--json", "--plot",
                              work.path("halton.png")});
    REQUIRE(json.exit_code == 0);
    const nlohmann::json said = nlohmann::json::parse(json.output);
    CHECK(said.at("tokens_fixed") == nlohmann::json{10, 11, 13, 30});
    CHECK(parse_strategy(said.at("strategy").dump(), "said") == named_strategy("halton", 4, 1.5));
    const Image plot = read_image(work.at("halton.png"), 3);
    CHECK(plot.width == 1200);
    CHECK(plot.height == 800);
    work.write("own.json", to_json(named_strategy("muse", 2, 1)));
    const auto refused = [&](const Words& more, const std::string& named) {
        const auto before = work.listing();
        const Outcome outcome = run(more);
        CHECK(outcome.exit_code == 2);
        CHECK(is_one_line(outcome.errors));
        CHECK_MESSAGE(outcome.errors.find(named) != std::string::npos, outcome.errors);
        CHECK(work.listing() == before);
    };
    refused({"haltn"}, "did you mean halton?");
    refused({"muse", "--steps", "17", "--side", "4", "--plot", work.path("new.png")}, "--steps: 17 steps");
    refused({"muse", "--side", "65"}, "--side");
    refused({work.path("own.json"), "--plot", work.path("own.json")}, "the same file as strategy");
}

TEST_CASE_FIXTURE(RandomModels,
                  "end to end: what does not fit a masked-token transformer is refused in one line") {
    const std::string out = work.path("out.png"), eight = "models/nat/autonat_l_8.json";
    work.write("broken.yaml", "manual_ratios: [2]\n");
    const auto refused = [&](const Words& more, int exit_code, const Words& named) {
        check_refused(sampling(Words{"--out", out} + more), exit_code, named);
    };
    refused({"--classes", "wolf"}, 2, {"--classes wolf", "no class of that name"});
    refused({"--classes", "3"}, 2, {"--classes 3", "0 to 2"});
    refused({"--steps", "0"}, 2, {"--steps"});
    refused({"--steps", "4", "--strategy", eight}, 2, {"--steps 4", eight, "8 steps"});
    refused({"--cfg-max", "2", "--strategy", eight}, 2, {"--cfg-max 2", "its own guidance scales"});
    refused({"--cfg-max", "nan"}, 2, {"guidance scale"});
    refused({"--strategy", work.path("broken.yaml")}, 2, {"broken.yaml", "manual_temp"});
    refused({"--strategy", "none.json"}, 2, {"none.json: cannot be opened"});
    refused({"--strategy", "consine"}, 2, {"strategy consine: not known", "did you mean cosine?"});
    refused({"--strategy", "fixed:2"}, 2, {"strategy fixed:2: expected a ratio from 0 to below 1"});
    refused({"--strategy", "halton", "--steps", "17"}, 2, {"--steps: 17 steps", "16 tokens"});
    work.write("long.json", to_json(named_strategy("cosine", 17, 1)));
    refused({"--strategy", work.path("long.json")}, 2, {"long.json: 17 steps", "16 tokens"});
    refused({"--trace", work.path("t"), "--batch", "2", "--count", "3"}, 2, {"--trace"});
    check_refused(sampling({}), 2, {"--out"});
    check_refused(sampling({"--out", out}, "codes"), 1, {"codes.safetensors", "13 codes", "has 12"});
    check_refused(sampling({"--out", out}, "nat", "other"), 1, {"nat.safetensors", "other.safetensors"});
    check_refused(sampling({"--out", out}, "nat", "larger"), 1, {"4x4 tokens", "larger.safetensors", "8x8"});
    check_refused(sampling({"--out", out}, "tokenizer"), 2,
                  {"tokenizer.safetensors: holds a tokenizer, expected a masked-token transformer"});
    check_refused(sampling({"--out", out}, "nat", "nat"), 2,
                  {"nat.safetensors: holds a masked-token transformer, expected a tokenizer"});
}
