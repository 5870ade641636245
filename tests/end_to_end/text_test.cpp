// Text to image as a user does it: with an encoder trained with the transformer, with another one's features stored or
// computed on the way, and what does not fit refused.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "data/records/tokens.h"
#include "models/nat/checkpoint.h"
#include "models/text/text_checkpoint.h"
#include "runtime/files/open_tensor_file.h"
#include "tests/end_to_end/random_nat.h"

namespace {

constexpr const char* joint_json = R"({"img_size": 4, "codebook_size": 12, "embed_dim": 16, "depth": 2,
    "num_heads": 2, "clip_dim": 8, "num_clip_token": 10, "text_encoder": {"width": 8, "layers": 1, "heads": 2,
    "context_length": 10}})";
constexpr const char* text_json = R"({"img_size": 4, "codebook_size": 12, "embed_dim": 16, "depth": 2,
    "num_heads": 2, "clip_dim": 8, "num_clip_token": 10})";

struct TextBench : RandomNat {
    TextBench() {
        fingerprint = write_tokenizer("tokenizer.safetensors", 3, 16);
        work.write("joint.json", joint_json);
        work.write("text.json", text_json);
        write_tokens("tokens.bin", 24, 1);
        write_tokens("other.bin", 24, 2);
        write_encoder("encoder.safetensors", 1);
        write_encoder("another.safetensors", 2);
    }

    // Images of one token each, which their captions name: two captions, of every fifth image none.
    void write_tokens(const char* name, int count, int step) const {
        TokenWriter writer(work.at(name), {4, codes, 4, fingerprint}, {});
        for (int i = 0; i < count; ++i) {
            const std::vector<std::int32_t> tokens(16, i * step % 4);
            const std::string word = i * step % 4 == 0 ? "red" : "blue";
            std::vector<std::string> captions{word + " square", "a square, " + word};
            if (i % 5 == 4) captions.clear();
            writer.add(tokens.data(), tokens.data(), -1, captions);
        }
        writer.commit();
    }

    void write_encoder(const char* name, std::uint64_t seed) const {
        TextConfig config{49408, 8, 1, 2};
        config.context_length = 10;
        TextEncoder encoder(config, Device::cpu);
        encoder.parameters().allocate(Device::cpu, false);
        encoder.parameters().initialize(seed);
        CheckpointWriter writer;
        writer.add_slab(encoder.parameters(), "", encoder.parameters().values());
        write_metadata(writer, TextMetadata{{}, config});
        writer.write(work.at(name));
    }

    Outcome train(const char* config, const char* run, const Words& more = {}) const {
        return work.run(
            "train", Words{"nat", "--config", work.path(config), "--tokens", work.path("tokens.bin"), "--out",
                           work.path(run), "--batch", "4", "--steps", "3"} +
                         more);
    }
    // The loss of every update.
    std::vector<std::string> losses(const char* run) const {
        std::vector<std::string> values;
        for (auto& row : read_log(work.at(run))) values.push_back(row.at("loss"));
        return values;
    }
    Outcome draw(const std::string& run, const Words& more) const {
        return work.run("sample", Words{"nat", "--checkpoint", work.path(run + "/last.safetensors"),
                                        "--tokenizer", work.path("tokenizer.safetensors"), "--steps", "2"} +
                                      more);
    }
    void check_refused(const Outcome& outcome, const std::string& named) const {
        CAPTURE(outcome.errors);
        CHECK(outcome.exit_code != 0);
        CHECK(is_one_line(outcome.errors));
        CHECK(outcome.errors.find(named) != std::string::npos);
    }

    std::uint32_t fingerprint = 0;
};

}  // namespace

TEST_CASE("text to image: an encoder trained with the transformer; seed and prompt decide a picture") {
    const TextBench bench;
    const TestDirectory& work = bench.work;
    const Outcome trained = bench.train("joint.json", "run",
                                        {"--validation", work.path("other.bin"), "--tokenizer",
                                         work.path("tokenizer.safetensors"), "--log-every", "1"});
    CAPTURE(trained.errors);
    REQUIRE(trained.exit_code == 0);
    CHECK(trained.output.find("validation loss") != std::string::npos);
    const Outcome described = work.run("sample", {"info", work.path("run/last.safetensors")});
    CHECK(described.output.find("its own encoder's, which is trained with it") != std::string::npos);

    const Outcome two = bench.draw("run", {"--prompt", "red square", "a blue one", "--count", "3", "--batch",
                                           "4", "--each", work.path("two"), "--out", work.path("two.png")});
    CAPTURE(two.errors);
    REQUIRE(two.exit_code == 0);
    REQUIRE(
        bench.draw("run", {"--prompt", "a blue one", "--count", "3", "--each", work.path("one")}).exit_code ==
        0);
    for (int i = 0; i < 3; ++i)
        CHECK(read_file(work.at(fmt::format("two/{:06}.png", i + 3))) ==
              read_file(work.at(fmt::format("one/{:06}.png", i))));
    CHECK(read_file(work.at("two/000003.txt")) == "a blue one\n");
    // The same texts as requests; one that looks like a flag or a list is a text.
    work.write("requests.jsonl", fmt::format(R"({{"prompt": "a blue one", "count": 3, "each": "{}"}}
                              {{"prompt": ["red square", "--out x", "[a, b]"], "count": 1, "each": "{}"}})",
                                             work.path("three"), work.path("texts")));
    const Outcome served = bench.draw("run", {"--requests", work.path("requests.jsonl")});
    CAPTURE(served.output);
    CHECK(served.exit_code == 0);
    CHECK(served.output.find("error") == std::string::npos);
    CHECK(read_file(work.at("three/000001.png")) == read_file(work.at("one/000001.png")));
    CHECK(read_file(work.at("texts/000000.png")) == read_file(work.at("two/000000.png")));
    CHECK(read_file(work.at("texts/000001.txt")) == "--out x\n");
    CHECK(read_file(work.at("texts/000002.txt")) == "[a, b]\n");
    // The pictures with their texts are what pack takes.
    CHECK(work.run("data", {"pack", "--images", work.path("two"), "--captions", "--size", "16", "--out",
                            work.path("packed.bin")})
              .exit_code == 0);
}

TEST_CASE("text to image: features stored and computed on the way train the same transformer") {
    const TextBench bench;
    const TestDirectory& work = bench.work;
    const std::string encoder = work.path("encoder.safetensors"), features = work.path("a.features");
    const Outcome encoded = work.run(
        "data", {"text", "--encoder", encoder, "--data", work.path("tokens.bin"), "--out", features});
    CAPTURE(encoded.errors);
    REQUIRE(encoded.exit_code == 0);
    CHECK(encoded.output.find("40 captions and the empty one, 10 features of width 8 each") !=
          std::string::npos);
    for (const auto& [run, text] : {std::pair{"stored", features}, {"computed", encoder}}) {
        const Outcome trained =
            bench.train("text.json", run, {"--text", text, "--log-every", "1", "--mask", "cosine"});
        CAPTURE(trained.errors);
        REQUIRE(trained.exit_code == 0);
    }
    const auto stored = bench.losses("stored"), computed = bench.losses("computed");
    REQUIRE(stored.size() == 3);
    for (std::size_t i = 0; i < stored.size(); ++i)
        CHECK(std::stod(stored[i]) == doctest::Approx(std::stod(computed[i])).epsilon(1e-3));

    CHECK(bench.draw("stored", {"--prompt", "red", "--text-encoder", encoder, "--out", work.path("a.png")})
              .exit_code == 0);
    bench.check_refused(bench.draw("stored", {"--prompt", "red", "--out", work.path("b.png")}),
                        "expected its weights as --text-encoder");
    bench.check_refused(bench.draw("stored", {"--prompt", "red", "--text-encoder",
                                              work.path("another.safetensors"), "--out", work.path("b.png")}),
                        "another.safetensors");
    bench.check_refused(
        bench.train("text.json", "stored",
                    {"--text", work.path("another.safetensors"), "--mask", "cosine", "--steps", "4"}),
        "another text encoder");
    bench.check_refused(
        work.run("train", {"nat", "--config", work.path("text.json"), "--tokens", work.path("other.bin"),
                           "--text", features, "--out", work.path("c")}),
        "features of other captions");
    bench.check_refused(bench.train("text.json", "d"), "expected --text");
    bench.check_refused(bench.train("joint.json", "d", {"--text", encoder}), "a text encoder of its own");
    CHECK_FALSE(std::filesystem::exists(work.at("b.png")));
}

TEST_CASE("text to image: prompts that are empty or too long, and none at all") {
    const TextBench bench;
    const TestDirectory& work = bench.work;
    REQUIRE(bench.train("joint.json", "run").exit_code == 0);
    const Outcome empty = bench.draw("run", {"--prompt", "", "--count", "1", "--out", work.path("a.png")});
    CHECK(empty.exit_code == 0);
    CHECK(empty.errors.find("the prompt is empty: drawn without a condition") != std::string::npos);
    const Outcome longer = bench.draw(
        "run", {"--prompt", std::string(10'000, 'x'), "--count", "1", "--out", work.path("b.png")});
    CHECK(longer.exit_code == 0);
    CHECK(longer.errors.find("longer than the 10 ids") != std::string::npos);
    const Outcome invalid =
        bench.draw("run", {"--prompt", "a \xff", "--count", "1", "--out", work.path("b.png")});
    CHECK(invalid.exit_code == 0);
    CHECK(invalid.errors.find("the prompt is not valid UTF-8") != std::string::npos);
    bench.check_refused(bench.draw("run", {"--out", work.path("c.png")}), "expected --prompt or --prompts");
    bench.check_refused(bench.draw("run", {"--prompt", "a", "--classes", "1", "--out", work.path("c.png")}),
                        "--classes");
    work.write("prompts.txt", "");
    bench.check_refused(
        bench.draw("run", {"--prompts", work.path("prompts.txt"), "--out", work.path("c.png")}),
        "prompts.txt");
}

TEST_CASE("text to image: measured on captions, judged by a classifier, its strategy searched") {
    const TextBench bench;
    const TestDirectory& work = bench.work;
    REQUIRE(bench.train("joint.json", "run").exit_code == 0);
    const std::string pictures = work.path("pictures.bin"), network = work.path("features/last.safetensors");
    const auto done = [&](const char* program, const Words& words) {
        const Outcome outcome = work.run(program, words);
        REQUIRE_MESSAGE(outcome.exit_code == 0, outcome.errors);
        return outcome.output;
    };
    done("data", {"fractals", "--out", pictures, "--size", "16", "--count", "20", "--captions", "--colours",
                  "any", "--labels", "palette"});
    done("train", {"features", "--preset", "features_16", "--data", pictures, "--batch", "8", "--steps", "2",
                   "--out", work.path("features")});
    const Words model{"--checkpoint", work.path("run/last.safetensors"), "--tokenizer",
                      work.path("tokenizer.safetensors")};

    const Words labels = Words{"evaluate", "labels"} + model +
                         Words{"--data", pictures, "--classifier", network, "--steps", "2", "--json"};
    const auto judged = nlohmann::json::parse(done("sample", labels));
    CHECK(judged["pictures"] == 20);
    std::int64_t asked = 0;
    for (const auto& [name, one] : judged["classes"].items()) asked += one["pictures"].get<std::int64_t>();
    CHECK(asked == 20);
    CHECK(nlohmann::json::parse(done("sample", labels + Words{"--batch", "3"})) == judged);

    const Words quality =
        Words{"evaluate", "quality"} + model +
        Words{"--features", network, "--reference", pictures, "--count", "8", "--steps", "2"};
    for (const char* const protocol : {"coco", "cc3m"})
        CHECK(done("sample", quality + Words{"--captions", pictures, "--caption-protocol", protocol})
                  .find("FD") != std::string::npos);
    bench.check_refused(work.run("sample", quality), "expected --captions");

    const auto search = [&](const char* run, const Words& more) {
        return Words{"strategy",
                     "--checkpoint",
                     work.path(std::string(run) + "/last.safetensors"),
                     "--tokenizer",
                     work.path("tokenizer.safetensors"),
                     "--features",
                     network,
                     "--reference",
                     pictures,
                     "--steps",
                     "2",
                     "--images",
                     "4",
                     "--updates",
                     "1",
                     "--method",
                     "spsa",
                     "--repeats",
                     "1",
                     "--baselines",
                     "halton",
                     "--baseline-guidance",
                     "0,1",
                     "--out",
                     work.path(std::string(run) + "-search")} +
               more;
    };
    bench.check_refused(work.run("train", search("run", {})), "expected --captions");
    CHECK(done("train", search("run", {"--captions", pictures})).find("found") != std::string::npos);

    // The same of a model that takes the features of an encoder in another file.
    const std::string encoder = work.path("encoder.safetensors"), another = work.path("another.safetensors");
    REQUIRE(bench.train("text.json", "outside", {"--text", encoder}).exit_code == 0);
    CHECK(
        done("train", search("outside", {"--captions", pictures, "--text-encoder", encoder})).find("found") !=
        std::string::npos);
    bench.check_refused(work.run("train", search("outside", {"--captions", pictures, "--text-encoder",
                                                             another, "--out", work.path("other-search")})),
                        "another.safetensors");
    CHECK_FALSE(std::filesystem::exists(work.at("other-search/history.csv")));
    CHECK(done("sample",
               {"evaluate", "quality", "--checkpoint", work.path("outside/last.safetensors"), "--tokenizer",
                work.path("tokenizer.safetensors"), "--features", network, "--reference", pictures, "--count",
                "8", "--steps", "2", "--captions", pictures, "--text-encoder", encoder})
              .find("FD") != std::string::npos);
}
