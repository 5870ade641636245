// Foreign checkpoints: sampling, evaluation, training and conversion of published .pth files and bare
// weights, whose model is given by a flag.
#include <doctest/doctest.h>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <string>
#include <vector>

#include "kernels/common/bf16.h"
#include "runtime/checkpoint/model_kind.h"
#include "runtime/files/pth/pth.h"
#include "runtime/files/safetensors.h"
#include "tests/end_to_end/test_directory.h"
#include "tests/golden/golden_file.h"
#include "tests/unit/runtime/files/pth/pth_writer.h"

namespace {

// The configuration of the golden model in published.json.
struct PublishedModel {
    PublishedModel() {
        work.write("published.json",
                   R"({"img_size_list": [8, 1], "embed_dim_list": [48, 32], "num_blocks_list": [2, 1],
                       "num_heads_list": [4, 2], "generator_type_list": ["ar", "ar"], "class_num": 10})");
    }
    Outcome draw(const std::string& checkpoint, const std::string& picture, const Words& more) const {
        return work.run(
            "sample",
            Words{"fractal", "--checkpoint", checkpoint, "--count", "2", "--out", work.path(picture)} + more);
    }
    Outcome convert(const std::string& checkpoint, const std::string& out, const Words& more = {}) const {
        return work.run("sample",
                        Words{"convert", "--checkpoint", checkpoint, "--out", work.path(out)} + more);
    }

    TestDirectory work;
    const Words config{"--config", work.path("published.json")};
    const GoldenFile published_file{"fractalar_two_level_tiny.pth"},
        bare_file{"fractalar_two_level_tiny.weights.safetensors"};
    const std::string published = published_file.path().string(), bare = bare_file.path().string();
};

void check_refused(const Outcome& outcome, int exit_code, const std::string& part) {
    CHECK(outcome.exit_code == exit_code);
    CHECK(is_one_line(outcome.errors));
    CHECK_MESSAGE(outcome.errors.find(part) != std::string::npos, outcome.errors);
}

// Files that only say which kind of model they hold: NAME.safetensors.
void write_kinds(const TestDirectory& work) {
    const std::vector<float> number(1);
    for (const auto& [name, kind] :
         {std::pair{"fractal", fractal_kind}, {"nat", nat_kind}, {"tokenizer", tokenizer_kind}})
        write_safetensors(work.at(std::string(name) + ".safetensors"),
                          std::vector<SafetensorsTensor>{{"a", "F32", {1}, std::as_bytes(std::span(number))}},
                          {{"format", format_of(kind)}});
}

// The golden model's weights as trainers' tools write them: names after `prefix`, the dictionary in `wrap`.
template <class Wrap>
void write_wrapped(const std::filesystem::path& path, const SafetensorsFile& file, const std::string& prefix,
                   Wrap wrap) {
    using namespace pth_writer;
    Pairs pairs;
    std::vector<Storage> storages;
    for (const std::string& name : file.names()) {
        const std::string key = std::to_string(storages.size());
        const auto floats = file.floats(name);
        pairs.emplace_back(prefix + name, float_tensor(key, file.shape(name)));
        storages.push_back({key, bytes_of(std::vector<float>(floats.begin(), floats.end()))});
    }
    write_pth(path, wrap(dictionary(pairs)), storages);
}

// A .pth with the tensors of a safetensors file under `model` and, negated, under `model_ema`.
void write_with_average(const std::filesystem::path& path, const SafetensorsFile& file) {
    using namespace pth_writer;
    Pairs newest, average;
    std::vector<Storage> storages;
    const auto add = [&](Pairs& pairs, const std::string& name, const std::vector<float>& values) {
        const std::string key = std::to_string(storages.size());
        pairs.emplace_back(name, float_tensor(key, file.shape(name)));
        storages.push_back({key, bytes_of(values)});
    };
    for (const std::string& name : file.names()) {
        const auto floats = file.floats(name);
        std::vector<float> values(floats.begin(), floats.end());
        add(newest, name, values);
        for (float& value : values) value = -value;
        add(average, name, values);
    }
    write_pth(path, dictionary({{"model", dictionary(newest)}, {"model_ema", dictionary(average)}}),
              storages);
}

}  // namespace

TEST_CASE_FIXTURE(PublishedModel,
                  "end to end: a published checkpoint draws the pictures that its weights do") {
    REQUIRE(draw(published, "a.png", config).exit_code == 0);
    REQUIRE(draw(bare, "b.png", config).exit_code == 0);
    CHECK(read_file(work.at("a.png")) == read_file(work.at("b.png")));

    REQUIRE(convert(published, "c.safetensors", config).exit_code == 0);
    REQUIRE(draw(work.path("c.safetensors"), "c.png", {}).exit_code == 0);
    CHECK(read_file(work.at("c.png")) == read_file(work.at("a.png")));
    const SafetensorsFile converted(work.at("c.safetensors")), expected(bare);
    CHECK(converted.names() == expected.names());
    for (const std::string& name : expected.names())
        CHECK_MESSAGE(std::ranges::equal(converted.bytes(name), expected.bytes(name)), name);
    CHECK(converted.metadata("epoch") == "3");
    CHECK(!converted.metadata().contains("classes"));

    const Outcome info = work.run("sample", {"info", work.path("c.safetensors")});
    CHECK(info.exit_code == 0);
    CHECK(info.output.find("138480 parameters") != std::string::npos);
    const Outcome unknown = work.run("sample", {"info", published});
    CHECK(unknown.exit_code == 0);
    CHECK(unknown.output.find("49 tensors; does not say which model it is") != std::string::npos);
    CHECK(unknown.output.find("args.model: fractalar_two_level_tiny") != std::string::npos);
}

TEST_CASE_FIXTURE(PublishedModel, "end to end: a published checkpoint is measured and trained on") {
    REQUIRE(work.run("data", {"fractals", "--out", work.path("data.bin"), "--size", "8", "--count", "12"})
                .exit_code == 0);
    const auto measure = [&](const std::string& checkpoint) {
        return work.run("sample", Words{"evaluate", "nll", "--checkpoint", checkpoint, "--data",
                                        work.path("data.bin"), "--images", "4", "--json"} +
                                      config);
    };
    const Outcome theirs = measure(published), ours = measure(bare);
    REQUIRE(theirs.exit_code == 0);
    CHECK(theirs.output.find("bits_per_dim") != std::string::npos);
    CHECK(theirs.output == ours.output);

    // So small a step moves no weight by more than 1e-9.
    const Words words{
        "--config", work.path("published.json"), "--lr", "1e-10", "--warmup-steps", "0", "--init-from",
        published};
    REQUIRE(work.run("train", work.training("run", 1, words)).exit_code == 0);
    const SafetensorsFile trained(work.at("run/last.safetensors")), expected(bare);
    for (const std::string& name : expected.names()) {
        const auto a = trained.floats(name), b = expected.floats(name);
        for (std::size_t i = 0; i < b.size(); ++i) REQUIRE(std::abs(a[i] - b[i]) < 1e-8f);
    }
}

TEST_CASE_FIXTURE(PublishedModel,
                  "end to end: what is wrong with a checkpoint's configuration is said in one line") {
    check_refused(draw(published, "a.png", {}), 2, "does not say which model it is");
    check_refused(draw(bare, "a.png", {}), 2, "--preset NAME or --config FILE says it");
    check_refused(draw(published, "a.png", {"--preset", "fractalar_16"}), 1,
                  published + ": tensor fake_latent has shape [1, 48], expected [1, 160]");
    check_refused(draw(published, "a.png", config + Words{"--preset", "fractalar_16"}), 2, "not both");
    check_refused(draw(published, "a.png", config + Words{"--weights", "average"}), 1,
                  "holds no averaged weights");
    const auto with = [&](const std::string& blocks) {
        work.write("other.json", R"({"img_size_list": [8, 1], "embed_dim_list": [48, 32],
            "num_blocks_list": [)" + blocks +
                                     R"(], "num_heads_list": [4, 2],
            "generator_type_list": ["ar", "ar"], "class_num": 10})");
        return draw(published, "a.png", {"--config", work.path("other.json")});
    };
    check_refused(with("3, 1"), 1, "has no tensor generator.blocks.2.");
    check_refused(with("1, 1"), 1, "holds tensor generator.blocks.1.");
    check_refused(with("1, 1"), 1, "and 6 more, which the model lacks");
    std::string damaged = read_file(published);
    damaged.resize(damaged.size() / 2);
    work.write("half.pth", damaged);
    check_refused(draw(work.path("half.pth"), "a.png", config), 1, "not a zip archive, or cut off");
    CHECK_FALSE(std::filesystem::exists(work.at("a.png")));
}

TEST_CASE_FIXTURE(PublishedModel, "end to end: weights in bf16 are the nearest ones, in half the bytes") {
    REQUIRE(convert(published, "a.safetensors", config + Words{"--precision", "bf16"}).exit_code == 0);
    const SafetensorsFile rounded(work.at("a.safetensors")), expected(bare);
    for (const std::string& name : expected.names()) {
        const std::span<const float> values = expected.floats(name);
        std::vector<float> read(values.size());
        rounded.read(name, read.data());
        CHECK_MESSAGE(rounded.entry(name).dtype == "BF16", name);
        CHECK_MESSAGE(
            std::ranges::equal(read, values, [](float a, float b) { return a == to_float(nearest_bf16(b)); }),
            name);
    }
    CHECK(draw(work.path("a.safetensors"), "a.png", {}).exit_code == 0);
    check_refused(convert(published, "b.safetensors", config + Words{"--precision", "int8"}), 2,
                  "--precision int8: expected fp32 or bf16");
}

TEST_CASE_FIXTURE(PublishedModel, "end to end: model_ema of a .pth is the average of its weights") {
    const SafetensorsFile weights(bare);
    write_with_average(work.at("ema.pth"), weights);
    REQUIRE(convert(work.path("ema.pth"), "newest.safetensors", config + Words{"--weights", "newest"})
                .exit_code == 0);
    REQUIRE(convert(work.path("ema.pth"), "average.safetensors", config + Words{"--weights", "average"})
                .exit_code == 0);
    REQUIRE(convert(work.path("ema.pth"), "default.safetensors", config).exit_code == 0);
    CHECK(differences(work.at("average.safetensors"), work.at("default.safetensors")) == "");
    const SafetensorsFile newest(work.at("newest.safetensors")), average(work.at("average.safetensors"));
    for (const std::string& name : weights.names()) {
        CHECK_MESSAGE(newest.floats(name)[0] == weights.floats(name)[0], name);
        CHECK_MESSAGE(average.floats(name)[0] == -weights.floats(name)[0], name);
    }
}

TEST_CASE_FIXTURE(
    PublishedModel,
    "end to end: weights that tools have wrapped are the same weights, and a line says which they are") {
    using namespace pth_writer;
    write_wrapped(work.at("plain.pth"), SafetensorsFile(bare), "",
                  [](const std::string& weights) { return weights; });
    const Outcome plain = convert(work.path("plain.pth"), "plain.safetensors", config);
    CHECK(plain.exit_code == 0);
    CHECK(plain.errors == "");
    const auto check = [&](const std::string& entry, const std::string& removed, const auto& wrap) {
        write_wrapped(work.at("wrapped.pth"), SafetensorsFile(bare), removed, wrap);
        const Outcome outcome = convert(work.path("wrapped.pth"), "wrapped.safetensors", config);
        CHECK(outcome.exit_code == 0);
        CHECK(outcome.errors == "sample: " + work.path("wrapped.pth") + ": weights read from its " + entry +
                                    (removed.empty() ? "" : ", names without " + removed) + "\n");
        CHECK(differences(work.at("plain.safetensors"), work.at("wrapped.safetensors")) == "");
    };
    const std::string settings = dictionary({{"depth", integer(3)}});
    check("tensors", "module._orig_mod.", [](const std::string& weights) { return weights; });
    check("entry checkpoint.model", "", [](const std::string& weights) {
        return dictionary({{"checkpoint", dictionary({{"model", weights}})}});
    });
    check("entry net", "model.", [&](const std::string& weights) {
        return dictionary({{"model", settings}, {"net", weights}});
    });
    const Outcome info = work.run("sample", {"info", work.path("wrapped.pth")});
    CHECK(info.output.find("  weights: its entry net, names without model.\n") != std::string::npos);
    // The jobs that draw, measure and train say so too.
    const Outcome drawn = draw(work.path("wrapped.pth"), "a.png", config);
    CHECK(drawn.exit_code == 0);
    CHECK(drawn.errors.find("weights read from its entry net") != std::string::npos);
}

TEST_CASE("end to end: every job that opens a checkpoint names the kind it found and the kind it needs") {
    const TestDirectory work;
    write_kinds(work);
    work.make_fractals("data.bin", 4);
    work.make_config("model.json", 10);
    const auto path = [&](const std::string& name) { return work.path(name + ".safetensors"); };
    const std::string out = work.path("out.png"), data = work.path("data.bin");
    const auto refused = [&](const std::string& program, const Words& words, const std::string& given,
                             std::string_view found, std::string_view expected) {
        CAPTURE(words.front());
        const Outcome outcome = work.run(program, words);
        check_refused(outcome, 2, fmt::format("{}: holds a {}, expected a {}", path(given), found, expected));
    };
    for (const auto& [given, found] : {std::pair{"nat", nat_kind}, {"tokenizer", tokenizer_kind}}) {
        refused("sample", {"fractal", "--checkpoint", path(given), "--out", out}, given, found, fractal_kind);
        refused("sample",
                {"edit", "--checkpoint", path(given), "--image", data, "--box", "0,0,1,1", "--out", out},
                given, found, fractal_kind);
        refused("sample", {"evaluate", "nll", "--checkpoint", path(given), "--data", data}, given, found,
                fractal_kind);
        refused("train", work.training("run", 1, {"--init-from", path(given)}), given, found, fractal_kind);
    }
    for (const auto& [given, found] : {std::pair{"nat", nat_kind}, {"fractal", fractal_kind}}) {
        refused("sample", {"reconstruct", "--tokenizer", path(given), "--data", data, "--out", out}, given,
                found, tokenizer_kind);
        refused("data", {"tokens", "--tokenizer", path(given), "--data", data, "--out", out}, given, found,
                tokenizer_kind);
        refused("train", {"tokenizer", "--init-from", path(given), "--data", data, "--out", work.path("run")},
                given, found, tokenizer_kind);
    }
    refused("sample",
            {"nat", "--checkpoint", path("fractal"), "--tokenizer", path("tokenizer"), "--out", out},
            "fractal", fractal_kind, nat_kind);
    CHECK_FALSE(std::filesystem::exists(out));
}

TEST_CASE("end to end: what is no checkpoint is named for what it is by every job") {
    const TestDirectory work;
    work.make_fractals("data.bin", 4);
    work.make_config("model.json", 10);
    work.write("pointer.pth", "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12\n");
    const std::string pointer = work.path("pointer.pth"), data = work.path("data.bin"),
                      out = work.path("out.png");
    for (const auto& [program, words] : std::vector<std::pair<std::string, Words>>{
             {"sample", {"info", pointer}},
             {"sample", {"convert", "--checkpoint", pointer, "--out", work.path("out.safetensors")}},
             {"sample", {"fractal", "--checkpoint", pointer, "--out", out}},
             {"sample", {"reconstruct", "--tokenizer", pointer, "--data", data, "--out", out}},
             {"data", {"tokens", "--tokenizer", pointer, "--data", data, "--out", out}},
             {"train", work.training("run", 1, {"--init-from", pointer})}})
        check_refused(work.run(program, words), 1,
                      pointer + ": a git-lfs pointer, not the checkpoint itself: `git lfs pull`");
    check_refused(work.run("sample", {"info", data}), 1, data + ": a packed image file, not a checkpoint");
    CHECK_FALSE(std::filesystem::exists(out));
}

TEST_CASE("end to end: convert keeps a run's weights or their average, and what is still true of them") {
    const TestDirectory work;
    work.make_config("model.json", 10);
    work.make_fractals("data.bin", 40);
    REQUIRE(
        work.run("train", work.training("run", 4, {"--ema", "0.75", "--validation", work.path("data.bin")}))
            .exit_code == 0);
    const SafetensorsFile run(work.at("run/last.safetensors"));
    for (const std::string choice : {"newest", "average"}) {
        CAPTURE(choice);
        const std::string out = work.path(choice + ".safetensors");
        REQUIRE(work.run("sample", {"convert", "--checkpoint", work.path("run/last.safetensors"), "--out",
                                    out, "--weights", choice})
                    .exit_code == 0);
        const SafetensorsFile file(out);
        CHECK(file.entries().size() * 4 == run.entries().size());
        for (const std::string& name : file.names())
            CHECK(
                std::ranges::equal(file.bytes(name), run.bytes((choice == "average" ? "ema." : "") + name)));
        for (const char* key : {"step", "config", "classes", "training"})
            CHECK(file.metadata(key) == run.metadata(key));
        CHECK_FALSE(file.metadata().contains("ema_decay"));
        // It was measured with the average.
        CHECK(file.metadata().contains("validation_bits_per_dim") == (choice == "average"));
        CHECK_FALSE(file.metadata().contains("crc32/ema.fake_latent"));
        for (const std::string& checkpoint : {work.path("run/last.safetensors"), out})
            REQUIRE(
                work.run("sample", {"fractal", "--checkpoint", checkpoint, "--count", "2", "--out",
                                    checkpoint + ".png", "--weights", checkpoint == out ? "newest" : choice})
                    .exit_code == 0);
        CHECK(read_file(out + ".png") == read_file(work.at("run/last.safetensors.png")));
        const Outcome refused = work.run(
            "sample", {"fractal", "--checkpoint", out, "--out", work.path("x.png"), "--weights", "average"});
        check_refused(refused, 1, "holds no averaged weights");
    }
}
