// Errors are one line that names the cause; the exit code is 2 for usage, 1 for all others; no partial
// results remain.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "tests/end_to_end/refusal.h"
#include "tests/skip.h"

namespace {

namespace fs = std::filesystem;

struct BadInput {
    BadInput() {
        work.make_config("model.json", 10);
        work.make_fractals("data.bin", 40);
        REQUIRE(work.run("train", work.training("run", 1)).exit_code == 0);
    }

    void check(const Refusal& refusal) const { check_refusal(work, refusal); }

    Words train(const Words& more) const { return work.training("new", 1, more); }
    Words sample(const Words& more) const {
        return Words{"fractal", "--checkpoint", work.path("run/last.safetensors"), "--out",
                     work.path("sheet.png")} +
               more;
    }

    TestDirectory work;
};

}  // namespace

TEST_CASE_FIXTURE(BadInput, "end to end: command lines that make no sense") {
    for (const Refusal& refusal : std::vector<Refusal>{
             {"train", {}, 2, {"subcommand"}},
             {"sample", {}, 2, {"subcommand"}},
             {"data", {}, 2, {"subcommand"}},
             {"sample", {"evaluate"}, 2, {"subcommand"}},
             {"train", {"fractal", "--colour"}, 2, {"--colour"}},
             {"train", {"fractal"}, 2, {"--preset", "--config"}},
             {"train", {"fractal", "--config", work.path("model.json")}, 2, {"--data"}},
             {"train",
              {"fractal", "--config", work.path("model.json"), "--data", work.path("data.bin")},
              2,
              {"--out"}},
             {"train",
              {"fractal", "--preset", "fractalar_33", "--plan"},
              2,
              {"fractalar_33", "fractalar_32", "fractalar_in64"}},
             {"train", train({"--device", "abacus"}), 2, {"abacus", "cpu"}},
             {"train", train({"--lr", "0"}), 2, {"--lr 0"}},
             {"train", train({"--lr", "fast"}), 2, {"--lr", "fast"}},
             {"train", train({"--batch", "0"}), 2, {"--batch 0"}},
             {"train", train({"--accumulation", "-1"}), 2, {"--accumulation -1"}},
             {"train", train({"--schedule", "triangle"}), 2, {"--schedule triangle"}},
             {"train", train({"--dropout", "1.5"}), 2, {"--dropout 1.5"}},
             {"train", train({"--epochs", "2"}), 2, {"--steps", "--epochs"}},
             {"train", train({"--chunks", "8,8"}), 2, {"--chunks", "3"}},
             {"train", train({"--chunks", "0,8,8"}), 2, {"--chunks"}},
             {"train", train({"--keep", "0"}), 2, {"--keep"}},
             {"train", train({"--save-every", "-1"}), 2, {"--save-every"}},
             {"train", train({"--evaluate-every", "0"}), 2, {"--evaluate-every"}},
             {"train", train({"--validation-images", "0"}), 2, {"--validation-images"}},
             {"train", train({"--sheet-temperature", "0"}), 2, {"--sheet-temperature 0"}},
             {"train", train({"--sheet-cfg", "inf"}), 2, {"--sheet-cfg inf"}},
             {"sample", {"fractal", "--out", work.path("sheet.png")}, 2, {"--checkpoint"}},
             {"sample",
              {"fractal", "--checkpoint", work.path("run/last.safetensors")},
              2,
              {"--out", "--each"}},
             {"sample", sample({"--classes", "3,10"}), 2, {"--classes 10", "0 to 9"}},
             {"sample", sample({"--classes", "-1"}), 2, {"--classes -1"}},
             {"sample", sample({"--temperature", "0"}), 2, {"--temperature 0"}},
             {"sample", sample({"--cfg", "nan"}), 2, {"--cfg nan"}},
             {"sample", sample({"--cfg-schedule", "steep"}), 2, {"--cfg-schedule steep"}},
             {"sample", sample({"--filter-threshold", "1"}), 2, {"--filter-threshold 1"}},
             {"sample", sample({"--iters", "4"}), 2, {"--iters", "2"}},
             {"sample", sample({"--weights", "oldest"}), 2, {"--weights oldest"}},
             {"sample", sample({"--weights", "average"}), 1, {"last.safetensors", "--ema"}},
             {"data", {"fractals", "--out", work.path("x.bin"), "--size", "0"}, 2, {"--size"}},
             {"data", {"pack", "--out", work.path("x.bin")}, 2, {"--images", "--cifar10"}}})
        check(refusal);
}

TEST_CASE_FIXTURE(BadInput, "end to end: model descriptions that cannot be built") {
    work.write("unknown.json",
               R"({"img_size_list": [8, 1], "embed_dim_list": [16, 16], "num_blocks_list": [1, 1],
        "num_heads_list": [2, 2], "generator_type_list": ["ar", "ar"], "colour": "red"})");
    work.write("uneven.json",
               R"({"img_size_list": [8, 3, 1], "embed_dim_list": [16, 16, 16], "num_blocks_list": [1, 1, 1],
        "num_heads_list": [2, 2, 2], "generator_type_list": ["ar", "ar", "ar"]})");
    work.write("broken.json", R"({"img_size_list": [8)");
    for (const Refusal& refusal : std::vector<Refusal>{
             {"train", train({"--config", work.path("nowhere.json")}), 2, {"nowhere.json"}},
             {"train", train({"--config", work.path("unknown.json")}), 2, {"unknown.json", "colour"}},
             {"train", train({"--config", work.path("uneven.json")}), 2, {"uneven.json", "8", "3"}},
             {"train", train({"--config", work.path("broken.json")}), 2, {"broken.json"}}})
        check(refusal);
}

TEST_CASE_FIXTURE(BadInput, "end to end: data files that do not serve") {
    REQUIRE(work.run("data", {"fractals", "--out", work.path("large.bin"), "--size", "16", "--count", "3"})
                .exit_code == 0);
    const std::string whole = read_file(work.at("data.bin"));
    work.write("cut.bin", whole.substr(0, whole.size() / 2));
    std::string damaged = whole;
    damaged[damaged.size() / 2] ^= 1;
    work.write("damaged.bin", damaged);
    work.write("text.bin", std::string(1000, 'x'));
    work.make_config("two.json", 2);
    const Words nll{"evaluate", "nll", "--checkpoint", work.path("run/last.safetensors"), "--data"};
    for (const Refusal& refusal : std::vector<Refusal>{
             {"train", train({"--data", work.path("nowhere.bin")}), 1, {"nowhere.bin"}},
             {"train", train({"--data", work.path("large.bin")}), 2, {"large.bin", "16", "8"}},
             {"train", train({"--validation", work.path("large.bin")}), 2, {"large.bin", "16", "8"}},
             {"train", train({"--config", work.path("two.json")}), 2, {"data.bin", "10 classes", "2"}},
             {"train", train({"--data", work.path("cut.bin")}), 1, {"cut.bin"}},
             {"train", train({"--data", work.path("damaged.bin")}), 1, {"damaged.bin"}},
             {"train", train({"--validation", work.path("damaged.bin")}), 1, {"damaged.bin"}},
             {"train", train({"--data", work.path("text.bin")}), 1, {"text.bin"}},
             {"sample", nll + Words{work.path("nowhere.bin")}, 1, {"nowhere.bin"}},
             {"sample", nll + Words{work.path("large.bin")}, 2, {"large.bin", "16", "8"}},
             {"sample", nll + Words{work.path("cut.bin")}, 1, {"cut.bin"}},
             {"sample", nll + Words{work.path("damaged.bin")}, 1, {"damaged.bin"}},
             {"data", {"info", work.path("damaged.bin")}, 1, {"damaged.bin"}}})
        check(refusal);
}

TEST_CASE_FIXTURE(BadInput, "end to end: checkpoints that cannot be read") {
    const std::string whole = read_file(work.at("run/last.safetensors"));
    work.write("cut.safetensors", whole.substr(0, whole.size() / 2));
    work.write("short.safetensors", whole.substr(0, 100));
    std::string damaged = whole;
    damaged[whole.find("\"generator.blocks") + 1] = 'G';  // one tensor's name in the header
    work.write("renamed.safetensors", damaged);
    damaged = whole;
    // The weights lie in the first quarter of the data; the optimizer's state, which drawing does not read,
    // behind them.
    damaged[whole.size() / 5] ^= 1;
    work.write("damaged.safetensors", damaged);
    const auto draw = [&](const std::string& name) {
        return Words{"fractal", "--checkpoint", work.path(name), "--out", work.path("sheet.png")};
    };
    for (const Refusal& refusal : std::vector<Refusal>{
             {"sample", draw("nowhere.safetensors"), 1, {"nowhere.safetensors"}},
             {"sample", draw("cut.safetensors"), 1, {"cut.safetensors", "cut off"}},
             {"sample", draw("short.safetensors"), 1, {"short.safetensors", "cut off"}},
             {"sample", draw("renamed.safetensors"), 1, {"renamed.safetensors", "generator.blocks"}},
             {"sample", draw("damaged.safetensors"), 1, {"damaged.safetensors", "CRC-32"}},
             {"sample", draw("data.bin"), 1, {"data.bin"}},
             {"sample", {"info", work.path("cut.safetensors")}, 1, {"cut.safetensors"}},
             {"sample", {"info", work.path("nowhere.safetensors")}, 1, {"nowhere.safetensors"}}})
        check(refusal);
}

TEST_CASE_FIXTURE(BadInput, "end to end: places where nothing can be written") {
    for (const Refusal& refusal : std::vector<Refusal>{
             {"train", work.training("data.bin/run", 1), 1, {"data.bin/run"}},
             {"train", work.training("run/log.csv", 1), 1, {"run/log.csv"}},
             {"sample",
              {"fractal", "--checkpoint", work.path("run/last.safetensors"), "--out",
               work.path("nowhere/sheet.png")},
              1,
              {"nowhere/sheet.png"}},
             {"sample",
              {"fractal", "--checkpoint", work.path("run/last.safetensors"), "--each", work.path("data.bin")},
              1,
              {"data.bin"}},
             {"data",
              {"fractals", "--count", "1", "--size", "8", "--out", work.path("nowhere/x.bin")},
              1,
              {"nowhere/x.bin"}}})
        check(refusal);
}

TEST_CASE_FIXTURE(BadInput, "end to end: folders without permission to write") {
    if (::geteuid() == 0) return skip_test("root may write everywhere");
    fs::create_directory(work.at("locked"));
    fs::permissions(work.at("locked"), fs::perms::owner_read | fs::perms::owner_exec);
    check({"train", work.training("locked", 1), 1, {"locked"}});
    check({"data",
           {"fractals", "--count", "1", "--size", "8", "--out", work.path("locked/x.bin")},
           1,
           {"locked/x.bin"}});
}

TEST_CASE_FIXTURE(BadInput,
                  "end to end: a loss that is not finite stops the run and leaves the last checkpoint") {
    const Words wild{"--lr", "1e30", "--warmup-steps", "0"};
    const Outcome unsaved = work.run("train", work.training("unsaved", 5, wild));
    CHECK(unsaved.exit_code == 1);
    CHECK(is_one_line(unsaved.errors));
    CHECK(unsaved.errors.find("step 2: the loss is ") != std::string::npos);
    CHECK(unsaved.errors.find("holds no checkpoint yet") != std::string::npos);

    const Outcome saved = work.run("train", work.training("saved", 5, wild + Words{"--save-every", "1"}));
    CHECK(saved.exit_code == 1);
    CHECK(is_one_line(saved.errors));
    CHECK(saved.errors.find("holds the last good checkpoint") != std::string::npos);
    CHECK(read_log(work.at("saved")).size() == 1);
    const Outcome info = work.run("sample", {"info", work.path("saved/last.safetensors")});
    CHECK(info.exit_code == 0);
    CHECK(info.output.find(", 1 updates") != std::string::npos);
}

TEST_CASE_FIXTURE(BadInput, "end to end: an evaluation that fails ends a run whose updates are saved first") {
    fs::create_directories(work.at("failing/samples-00000002.png"));  // where the sheet would be written
    const Words more{"--evaluate-every", "2", "--ema", "0.5"};
    const Outcome failed = work.run("train", work.training("failing", 4, more));
    CHECK(failed.exit_code == 1);
    CHECK(is_one_line(failed.errors));
    CHECK(failed.errors.find("samples-00000002.png") != std::string::npos);
    CHECK(fs::read_symlink(work.at("failing/last.safetensors")) == "checkpoint-00000002.safetensors");
    CHECK(read_log(work.at("failing")).size() == 2);
    fs::remove(work.at("failing/samples-00000002.png"));
    for (const char* run : {"failing", "reference"})
        REQUIRE(work.run("train", work.training(run, 4, more)).exit_code == 0);
    CHECK(differences(work.at("failing/last.safetensors"), work.at("reference/last.safetensors")) == "");
}
