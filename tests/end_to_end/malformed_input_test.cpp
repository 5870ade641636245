// Malformed input: invalid images, unusual names, numbers out of range, weights that are NaN, paths that are
// no files.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "data/images/image_file.h"
#include "data/records/packed.h"
#include "runtime/files/safetensors.h"
#include "tests/end_to_end/refusal.h"

namespace {

namespace fs = std::filesystem;

struct Trained {
    Trained() {
        work.make_config("model.json", 10);
        work.make_fractals("data.bin", 40);
        REQUIRE(work.run("train", work.training("run", 1)).exit_code == 0);
    }

    void check(const Refusal& refusal) const { check_refusal(work, refusal); }
    Words train(const Words& more) const { return work.training("new", 1, more); }
    Words sample(const Words& more) const {
        return with_usual(
            {"fractal"},
            {{"--checkpoint", work.path("run/last.safetensors")}, {"--out", work.path("sheet.png")}}, more);
    }
    Words nll(const Words& more) const {
        return with_usual(
            {"evaluate", "nll"},
            {{"--checkpoint", work.path("run/last.safetensors")}, {"--data", work.path("data.bin")}}, more);
    }

    TestDirectory work;
};

Image plain_image(int width, int height) {
    return {width, height, 3, std::vector<std::uint8_t>(static_cast<std::size_t>(width * height * 3), 90)};
}

Words pack(const TestDirectory& work, const std::string& folder) {
    return {"pack", "--images", work.path(folder), "--size", "8", "--out", work.path(folder + ".bin")};
}

// The checkpoint with `value` for the 12th number of a tensor, and the checksum that belongs to it.
void spoil(const fs::path& from, const fs::path& to, const std::string& tensor, float value) {
    const SafetensorsFile file(from);
    auto metadata = file.metadata();
    std::vector<std::byte> spoiled(file.bytes(tensor).begin(), file.bytes(tensor).end());
    std::memcpy(spoiled.data() + 12 * sizeof value, &value, sizeof value);
    metadata[std::string(checksum_prefix) + tensor] = fmt::format("{:08x}", checksum(spoiled));
    std::vector<SafetensorsTensor> tensors;
    for (const auto& [name, entry] : file.entries())
        tensors.push_back({name, entry.dtype, entry.shape, name == tensor ? spoiled : file.bytes(name)});
    write_safetensors(to, tensors, metadata);
}

}  // namespace

TEST_CASE("end to end: pictures that are none, and pictures of extreme sides") {
    const TestDirectory work;
    for (const char* folder : {"texts", "wide", "small"}) fs::create_directory(work.at(folder));
    work.write("texts/notes.jpg", "a text, whatever its name says\n");
    check_refusal(work, {"data", pack(work, "texts"), 1, {"notes.jpg", "not a JPEG or PNG"}});
    write_png(work.at("wide/wide.png"), plain_image(20'001, 2));
    check_refusal(work, {"data", pack(work, "wide"), 1, {"wide.png", "20001x2", "20000"}});
    write_png(work.at("wide/wide.png"), plain_image(20'000, 2));
    CHECK(work.run("data", pack(work, "wide")).output.find(": 1 images\n") != std::string::npos);
    write_png(work.at("small/small.png"), plain_image(1, 1));
    CHECK(work.run("data", pack(work, "small")).output.find(": 1 images\n") != std::string::npos);
}

TEST_CASE("end to end: folders and files whose names no one expected") {
    const TestDirectory work;
    const std::vector<std::string> names{"-dash", "two words", "new\nline", "latin\xe9", "ü 猫 🐈"};
    for (const std::string& name : names) {
        fs::create_directories(work.at("images/" + name));
        for (const std::string& file : names)
            write_png(work.at("images/" + name + "/" + file), plain_image(8, 8));
    }
    fs::create_directory(work.at("images/hol\nlow"));
    check_refusal(work, {"data", pack(work, "images"), 1, {"images/hol\\nlow: ", "no JPEG or PNG image"}});
    fs::remove(work.at("images/hol\nlow"));
    work.write("images/new\nline/bad\x1b[2J\nfile.png", "text");
    const Outcome packed = work.run("data", pack(work, "images"));
    CHECK(packed.exit_code == 0);
    CHECK(packed.output.find(": 25 images\n") != std::string::npos);
    CHECK(packed.errors.find("skipped 1 file:\n  ") == 0);
    CHECK(packed.errors.find("/new\\nline/bad\\x1b[2J\\nfile.png: not a JPEG or PNG\n") != std::string::npos);

    const Outcome info = work.run("data", {"info", work.path("images.bin")});
    CHECK(info.output.find("25 images") != std::string::npos);
    for (const char* name : {"  -dash\n", "  latin\\xe9\n", "  new\\nline\n", "  two words\n", "  ü 猫 🐈\n"})
        CHECK_MESSAGE(info.output.find(name) != std::string::npos, name);
    CHECK(PackedFile(work.at("images.bin")).classes() ==
          std::vector<std::string>{"-dash", "latin\xe9", "new\nline", "two words", "ü 猫 🐈"});

    // A checkpoint is written with these names, and read.
    work.make_config("model.json", 5);
    const Outcome trained = work.run("train", work.training("run", 1, {"--data", work.path("images.bin")}));
    CHECK_MESSAGE(trained.exit_code == 0, trained.errors);
    CHECK(work.run("sample", {"info", work.path("run/last.safetensors")}).exit_code == 0);
    check_refusal(work,
                  {"data",
                   {"pack", "--images", work.path("no\nwhere"), "--size", "8", "--out", work.path("x.bin")},
                   1,
                   {"no\\nwhere"}});
}

TEST_CASE_FIXTURE(Trained, "end to end: weights that are no numbers are named before anything is computed") {
    const std::string tensor = "generator.blocks.0.attention.wqkv.weight";
    REQUIRE(SafetensorsFile(work.at("run/last.safetensors")).contains(tensor));
    for (const float value :
         {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
        spoil(work.at("run/last.safetensors"), work.at("spoiled.safetensors"), tensor, value);
        const Words spoiled{"--checkpoint", work.path("spoiled.safetensors")};
        const Words named{"spoiled.safetensors", tensor, "element 12", "finite"};
        check({"sample", sample(spoiled), 1, named});
        check({"sample", nll(spoiled), 1, named});
        check({"train", train({"--init-from", work.path("spoiled.safetensors")}), 1, named});
    }
}

TEST_CASE_FIXTURE(Trained, "end to end: classes in the data and none in the model, and the other way round") {
    work.make_config("unlabelled.json", 0);
    fs::create_directory(work.at("plain"));
    for (int i = 0; i < 4; ++i) write_png(work.at("plain/" + std::to_string(i) + ".png"), plain_image(8, 8));
    REQUIRE(work.run("data", pack(work, "plain")).exit_code == 0);
    // Labels may be left unused.
    CHECK(work.run("train", work.training("ignored", 1, {"--config", work.path("unlabelled.json")}))
              .exit_code == 0);
    CHECK(work.run("train", work.training(
                                "plain-run", 1,
                                {"--config", work.path("unlabelled.json"), "--data", work.path("plain.bin")}))
              .exit_code == 0);
    check({"train", train({"--data", work.path("plain.bin")}), 2, {"plain.bin"}});
    check({"sample",
           sample({"--checkpoint", work.path("ignored/last.safetensors"), "--classes", "0"}),
           2,
           {"--classes"}});
    check({"sample",
           {"evaluate", "nll", "--checkpoint", work.path("ignored/last.safetensors"), "--data",
            work.path("plain.bin"), "--conditional"},
           2,
           {"--conditional", "no classes"}});
}

TEST_CASE_FIXTURE(Trained, "end to end: numbers beyond all measure") {
    const std::string most = "9223372036854775807";
    for (const Refusal& refusal : std::vector<Refusal>{
             {"train", train({"--steps", "-1"}), 2, {"--steps -1"}},
             {"train", train({"--steps", most}), 2, {"--steps " + most, "1000000000"}},
             {"train", train({"--steps", most + "0"}), 2, {"--steps"}},
             {"train", train({"--batch", most}), 2, {"--batch " + most, "1000000"}},
             {"train", train({"--accumulation", most}), 2, {"--accumulation " + most}},
             {"train", train({"--batch", "1000000", "--accumulation", "2"}), 2, {"2000000 images an update"}},
             {"train", train({"--lr", "1e39"}), 2, {"--lr 1e+39"}},
             {"train", train({"--lr", "nan"}), 2, {"--lr nan"}},
             {"train",
              train({"--sheet-columns", "-3"}),
              2,
              {"--sheet-columns", "-3: expected a whole number"}},
             {"train", train({"--sheet-rows", "100000000"}), 2, {"--sheet-rows", "from 1 to 1000"}},
             {"train", train({"--keep", "2.5"}), 2, {"--keep", "2.5: expected a whole number"}},
             {"train", train({"--log-every", most}), 2, {"--log-every"}},
             {"sample", sample({"--count", "0"}), 2, {"--count", "0: expected"}},
             {"sample", sample({"--count", "1000000000000"}), 2, {"--count", "1000000"}},
             {"sample", sample({"--classes", "99"}), 2, {"--classes 99", "0 to 9"}},
             {"sample", sample({"--classes", most}), 2, {"--classes " + most}},
             {"sample", nll({"--passes", "0"}), 2, {"--passes"}},
             {"data", {"fractals", "--out", work.path("x.bin"), "--count", "0"}, 2, {"--count"}},
             {"data", {"fractals", "--out", work.path("x.bin"), "--first", "-1"}, 2, {"--first: -1"}},
             {"data", {"fractals", "--out", work.path("x.bin"), "--size", "1000000000"}, 2, {"--size"}}})
        check(refusal);
}

TEST_CASE_FIXTURE(Trained, "end to end: seeds out of range, in every job that takes one") {
    const std::string checkpoint = work.path("run/last.safetensors");
    for (const char* seed : {"-1", "18446744073709551616", "1.5", "1e3"}) {
        const Words words{"--seed", seed}, named{fmt::format("--seed: {}: expected a whole number", seed)};
        check({"train", train(words), 2, named});
        for (const char* job : {"tokenizer", "nat"}) check({"train", Words{job} + words, 2, named});
        check({"sample", sample(words), 2, named});
        check({"sample", nll(words), 2, named});
        check({"sample", Words{"nat", "--checkpoint", checkpoint} + words, 2, named});
        check({"sample", Words{"edit", "--checkpoint", checkpoint} + words, 2, named});
        check({"data", Words{"fractals", "--out", work.path("x.bin")} + words, 2, named});
    }
}

TEST_CASE("end to end: a misspelt flag or job is named, whatever else is missing") {
    const TestDirectory work;
    for (const Refusal& refusal : std::vector<Refusal>{
             {"sample",
              {"fractal", "--checkpont", "x"},
              2,
              {"--checkpont: no such flag; did you mean --checkpoint?"}},
             {"sample", {"nat", "--greedy"}, 2, {"--greedy: no flag of nat, but of fractal, edit"}},
             {"sample", {"evaluate", "nl"}, 2, {"no job nl; did you mean nll?"}},
             {"sample", {"fractl", "--help"}, 2, {"no job fractl; did you mean fractal?"}},
             {"sample", {"info"}, 2, {"FILE"}},
             {"train", {"fractl", "--data", "x"}, 2, {"no job fractl; did you mean fractal?"}},
             {"train", {"nat", "--token", "x"}, 2, {"--token: no such flag; did you mean --tokens?"}},
             {"train",
              {"--data", "x", "fractal"},
              2,
              {"--data: stands before the job; write it after fractal"}},
             {"data", {"pack", "--image", "x"}, 2, {"--image: no such flag; did you mean --images?"}},
             {"data", {"info", "x", "y"}, 2, {"y: not expected"}}})
        check_refusal(work, refusal);
}

TEST_CASE_FIXTURE(Trained, "end to end: an argument that is empty is no flag left out") {
    for (const Refusal& refusal :
         std::vector<Refusal>{{"train", train({"--init-from", ""}), 2, {"empty", "--init-from"}},
                              {"train", train({"--validation="}), 2, {"--validation="}},
                              {"sample", sample({"--each", ""}), 2, {"empty", "--each"}},
                              {"data", {"info", ""}, 2, {"empty", "info"}}})
        check(refusal);
}

TEST_CASE_FIXTURE(Trained, "end to end: what is no file is not read, and not waited for") {
    fs::create_directory(work.at("folder"));
    REQUIRE(::mkfifo(work.path("pipe").c_str(), 0600) == 0);
    work.write("long.bin", read_file(work.at("data.bin")) + "more");
    check({"train", train({"--data", work.path("long.bin")}), 1, {"long.bin", "expected"}});
    for (const std::string& odd : {work.path("folder"), work.path("pipe"), std::string("/dev/zero")}) {
        for (const Refusal& refusal :
             std::vector<Refusal>{{"train", train({"--data", odd}), 1, {odd}},
                                  {"train", train({"--validation", odd}), 1, {odd}},
                                  {"train", train({"--config", odd}), 2, {odd, "not a file"}},
                                  {"train", train({"--init-from", odd}), 1, {odd}},
                                  {"sample", sample({"--checkpoint", odd}), 1, {odd}},
                                  {"sample", nll({"--data", odd}), 1, {odd}},
                                  {"sample", {"info", odd}, 1, {odd}},
                                  {"sample",
                                   {"edit", "--checkpoint", work.path("run/last.safetensors"), "--image", odd,
                                    "--box", "0,0,2,2", "--out", work.path("edit.png")},
                                   1,
                                   {odd}},
                                  {"data", {"info", odd}, 1, {odd}}})
            check(refusal);
    }
}

TEST_CASE("end to end: a holdout file of an earlier packing is pointed at") {
    const TestDirectory work;
    fs::create_directory(work.at("plain"));
    for (int i = 0; i < 4; ++i) write_png(work.at("plain/" + std::to_string(i) + ".png"), plain_image(8, 8));
    const Outcome held_out = work.run("data", pack(work, "plain") + Words{"--holdout", "0.5"});
    REQUIRE(held_out.exit_code == 0);
    CHECK(held_out.errors.empty());
    const Outcome whole = work.run("data", pack(work, "plain"));
    CHECK(whole.exit_code == 0);
    CHECK(is_one_line(whole.errors));
    CHECK(whole.errors.find("plain.holdout.bin lies beside it") != std::string::npos);
}
