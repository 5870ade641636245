// An output that is one of the inputs, in every job that has both: refused in one line, all files as they
// were.
#include <doctest/doctest.h>

#include "tests/end_to_end/refusal.h"

namespace {

struct Inputs {
    Inputs() {
        work.make_config("model.json", 10);
        work.make_fractals("data.bin", 20);
        REQUIRE(work.run("train", work.training("run", 1)).exit_code == 0);
        REQUIRE(work.run("data", {"info", data, "--sheet", picture}).exit_code == 0);
        std::filesystem::create_symlink("run/last.safetensors", link);
        std::filesystem::create_hard_link(picture, second_name);
        std::filesystem::create_directories(work.at("inputs"));
        std::filesystem::copy_file(work.at("model.json"), work.at("inputs/config.json"));
        std::filesystem::copy_file(picture, work.at("inputs/picture.png"));
    }
    void refused(const std::string& program, const Words& arguments, const Words& named) const {
        check_refusal(work, {program, arguments, 2, named});
    }
    Words fractal(const Words& more) const { return Words{"fractal", "--checkpoint", checkpoint} + more; }
    Words edit(const Words& more) const {
        return with_usual({"edit", "--checkpoint", checkpoint, "--outpaint", "0,0,4,0"},
                          {{"--image", picture}, {"--out", work.path("edited.png")}}, more);
    }

    TestDirectory work;
    const std::string data = work.path("data.bin"), picture = work.path("picture.png"),
                      checkpoint = work.path("run/last.safetensors"), link = work.path("link"),
                      second_name = work.path("second name.png"), inputs = work.path("inputs");
};

}  // namespace

TEST_CASE_FIXTURE(Inputs, "end to end: an output that is one of the inputs is refused") {
    refused("sample", fractal({"--out", link}), {"--out", "--checkpoint"});
    refused("sample", fractal({"--each", work.path("run")}), {"--each", "--checkpoint"});
    refused("sample", fractal({"--out", work.path("x.png"), "--trace", work.path("run")}),
            {"--trace", "--checkpoint"});
    refused("sample", edit({"--out", second_name}), {"--out", "--image"});
    refused("sample", edit({"--image", inputs + "/picture.png", "--each", inputs}), {"--each", "--image"});
    refused("sample", edit({"--image", inputs + "/picture.png", "--trace", inputs}), {"--trace", "--image"});
    refused("sample", {"convert", "--checkpoint", checkpoint, "--out", link}, {"--out", "--checkpoint"});
    refused("sample", {"reconstruct", "--tokenizer", link, "--image", picture, "--out", second_name},
            {"--out", "--image"});
    refused("sample", {"reconstruct", "--tokenizer", link, "--data", data, "--out", checkpoint},
            {"--out", "--tokenizer"});
    refused("sample", {"plot", "--run", work.path("run"), "--out", work.path("run/log.csv")},
            {"--out", "--run"});
    refused("data", {"info", data, "--sheet", work.path("inputs/../data.bin")}, {"--sheet", "FILE"});
    refused("data", {"tokens", "--tokenizer", link, "--data", data, "--out", data}, {"--out", "--data"});
    refused("data", {"tokens", "--tokenizer", link, "--data", data, "--out", checkpoint},
            {"--out", "--tokenizer"});
    refused("data", {"pack", "--images", inputs, "--size", "8", "--out", inputs + "/picture.png"},
            {"--out", "--images"});
    refused("train", work.training("inputs", 1, {"--config", inputs + "/config.json"}),
            {"--out", "--config", "config.json"});
    refused("train", work.training("data.bin", 1), {"--out", "--data"});
}

TEST_CASE_FIXTURE(Inputs, "end to end: numbered pictures of an earlier call are replaced only if asked for") {
    const Words draw = fractal({"--count", "2", "--each", work.path("each")});
    REQUIRE(work.run("sample", draw).exit_code == 0);
    refused("sample", draw, {"--each", "000000-class-0.png", "--overwrite"});
    refused("sample", draw + Words{"--first", "1"}, {"--each", "000001-class-1.png"});
    CHECK(work.run("sample", draw + Words{"--first", "2"}).exit_code == 0);
    CHECK(work.run("sample", draw + Words{"--overwrite", "--classes", "5"}).exit_code == 0);
    CHECK(std::filesystem::exists(work.at("each/000000-class-5.png")));
    CHECK_FALSE(std::filesystem::exists(work.at("each/000000-class-0.png")));
    CHECK(std::filesystem::exists(work.at("each/000002-class-2.png")));

    const Words trace = edit({"--count", "1", "--each", work.path("results"), "--trace", work.path("trace")});
    REQUIRE(work.run("sample", trace).exit_code == 0);
    refused("sample", trace, {"--each", "000000.png"});
    refused("sample", edit({"--trace", work.path("trace")}), {"--trace", "0000.png", "--overwrite"});
    CHECK(work.run("sample", trace + Words{"--overwrite"}).exit_code == 0);
}
